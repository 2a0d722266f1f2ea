/* SPDX-License-Identifier: BSD-2-Clause */
/* What a lossy network or a server that does not keep to the rules must not do to a connection. */
#include "tcp_rig.h"

/* The batch is emptied while a payload is put together from several spans. */
static void gathered_payload_survives_a_full_batch(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    r->env.frame_room = 2;
    rig_send(r, 2000); /* two frames in place fill the batch */
    for (unsigned i = 0; i < 6; i++)
        rig_send_copy(r, 500); /* three frames of two pieces each; the rig compares the bytes */
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK);
    for (uint32_t i = 0; i < 5; i++)
        EXPECT(r, .flags = ACK, .seq = 1 + i * 1000, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

/* Bytes of the server's that are missing are no loss of ours. */
static void reset_behind_a_gap_of_the_server_loses_nothing(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1001, .len = 100);
    assert_true(tb_tcp_is_acked(&r->env, &r->c));
    assert_false(tb_tcp_is_quiet(&r->env, &r->c));
    assert_int_equal(GIVE(r, .flags = RST, .seq = 1), TB_TCP_EV_RESET);
}

/* Not subject to the limit on challenge ACKs: with many connections these are too few for all whose
 * first ACK was lost. */
static void every_repeated_syn_ack_is_acknowledged(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    for (unsigned i = 0; i < 200; i++) {
        GIVE(r, .flags = SYN | ACK);
        EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    }
    EXPECT_NOTHING(r);
}

static void bytes_beyond_the_fin_hold_nothing(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    GIVE(r, .flags = ACK, .seq = 501, .len = 100);
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .seq = 1), TB_TCP_EV_FIN);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
}

static void a_fin_that_bytes_run_over_is_none(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = FIN | ACK, .seq = 101);
    assert_int_equal(GIVE(r, .flags = ACK, .seq = 1, .len = 200), 0);
    assert_int_equal(r->delivered, 200);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .seq = 201), TB_TCP_EV_FIN);
}

/* Packets that wait to be read put a retransmission off, not the end. */
static void a_flood_does_not_keep_a_dead_connection_alive(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 100);
    r->env.is_behind = true;
    assert_true(rig_pass(r, 130 * SECONDS) & TB_TCP_EV_DEAD);
}

/* Neither a small MTU of ours nor a tiny MSS of the server's is overstepped or sends crumbs. */
static void segments_fit_the_smallest_mtu(void **state)
{
    struct rig *r = *state;

    r->env.mtu = 68;
    r->syn.ts = false;
    r->server.mss = 1;
    rig_connect(r);
    rig_send(r, 100);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(gathered_payload_survives_a_full_batch),
        RIG_TEST(reset_behind_a_gap_of_the_server_loses_nothing),
        RIG_TEST(every_repeated_syn_ack_is_acknowledged),
        RIG_TEST(bytes_beyond_the_fin_hold_nothing),
        RIG_TEST(a_fin_that_bytes_run_over_is_none),
        RIG_TEST(segments_fit_the_smallest_mtu),
        RIG_TEST(a_flood_does_not_keep_a_dead_connection_alive),
    };

    return cmocka_run_group_tests_name("tcp_hostile", tests, NULL, NULL);
}
