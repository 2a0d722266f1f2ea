/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening a connection: the SYN and its options, what the server's answer settles, refusals,
 * half-open leftovers on the server, and numbers that only ever grow.
 */
#include "tcp_rig.h"
#include "packet/seq.h"

/* --- options ---------------------------------------------------------------------------------- */

static void syn_carries_the_captured_options(void **state)
{
    struct rig *r = *state;
    r->syn = (struct tb_tcp_syn){.mss = 1400, .wscale = 9, .sack = true, .ts = true};

    rig_open(r);
    const struct tb_segment *s = EXPECT(r, .flags = SYN);
    assert_int_equal(s->opt.mss, 1400);
    assert_int_equal(s->opt.wscale, 9);
    assert_true(s->opt.sack_permitted);
    assert_true(s->opt.has_ts);
    assert_int_equal(s->opt.tsecr, 0);
    assert_int_equal(s->window, 65535);
}

static void syn_leaves_out_what_the_captured_client_left_out(void **state)
{
    struct rig *r = *state;
    r->syn = (struct tb_tcp_syn){.mss = 0, .wscale = -1};

    rig_open(r);
    const struct tb_segment *s = EXPECT(r, .flags = SYN);
    assert_int_equal(s->opt.mss, 0);
    assert_int_equal(s->opt.wscale, -1);
    assert_false(s->opt.sack_permitted);
    assert_false(s->opt.has_ts);
}

static void synack_is_acknowledged(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    assert_int_equal(GIVE(r, .flags = SYN | ACK), TB_TCP_EV_CONNECTED);
    assert_int_equal(r->c.state, TB_TCP_ESTABLISHED);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    EXPECT_NOTHING(r);
}

static void request_rides_on_the_ack_of_the_handshake(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    rig_send(r, 100);
    EXPECT(r, .flags = SYN);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = SYN | ACK);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
    EXPECT_NOTHING(r);
}

static void bytes_of_the_synack_are_left_to_be_sent_again(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK, .len = 10);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(r->delivered, 0);
}

static void first_segment_is_as_long_as(struct rig *r, uint32_t len)
{
    rig_connect(r);
    rig_send(r, 5000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = len);
    rig_skip_sent(r);
}

static void segments_are_no_longer_than_the_servers_mss(void **state)
{
    struct rig *r = *state;
    r->server.mss = 700;
    first_segment_is_as_long_as(r, 700);
}

static void server_without_mss_gets_536_bytes(void **state)
{
    struct rig *r = *state;
    r->server.mss = 0;
    first_segment_is_as_long_as(r, 536);
}

static void segments_are_no_longer_than_the_mtu(void **state)
{
    struct rig *r = *state;
    r->server.mss = 1460;
    r->env.mtu = 900;
    first_segment_is_as_long_as(r, 860);
}

static void ipv6_headers_take_more_of_the_mtu(void **state)
{
    struct rig *r = *state;
    assert_int_equal(tb_addr_parse("fd00:19::1", &r->path.src), 0);
    assert_int_equal(tb_addr_parse("fd00:18::2", &r->path.dst), 0);
    r->server.mss = 1440;
    r->env.mtu = 1280;
    first_segment_is_as_long_as(r, 1220);
}

static void timestamps_take_12_bytes_of_the_mss(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;
    first_segment_is_as_long_as(r, MSS - 12);
}

static void hostile_mss_does_not_make_a_packet_of_every_byte(void **state)
{
    struct rig *r = *state;
    r->server.mss = 1;
    first_segment_is_as_long_as(r, 64);
}

static void timestamps_are_echoed_when_both_use_them(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK, .tsval = 12345);
    const struct tb_segment *s = EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_true(s->opt.has_ts);
    assert_int_equal(s->opt.tsecr, 12345);
}

static void timestamps_are_dropped_when_the_server_does_not_answer_them(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;
    r->server.ts = false;

    rig_connect(r);
    rig_send(r, 2000);
    assert_false(EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000)->opt.has_ts);
    assert_false(EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000)->opt.has_ts);
}

static void timestamps_never_offered_are_not_used(void **state)
{
    struct rig *r = *state;
    r->syn.ts = false;

    rig_connect(r);
    rig_send(r, 10);
    assert_false(EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 10)->opt.has_ts);
}

static void our_window_is_scaled_when_both_agreed(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 10);
    assert_int_equal(EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 10)->window,
                     (1 << 20) >> 7);
}

static void our_window_is_not_scaled_when_the_server_does_not(void **state)
{
    struct rig *r = *state;
    r->server.wscale = -1;

    rig_connect(r);
    rig_send(r, 10);
    assert_int_equal(EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 10)->window, 65535);
}

static void servers_window_is_scaled_but_not_that_of_its_syn(void **state)
{
    struct rig *r = *state;
    r->server.wscale = 2;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK, .window = 1000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    rig_send(r, 5000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 1001, .window = 500);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void holes_are_not_reported_when_the_server_refused_sack(void **state)
{
    struct rig *r = *state;
    r->server.sack = false;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 101, .len = 100);
    assert_int_equal(EXPECT(r, .flags = ACK, .seq = 1, .ack = 1)->opt.sack_count, 0);
}

/* --- no answer, or a bad one ------------------------------------------------------------------ */

static void syn_is_sent_again_after_1_3_and_7_seconds(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    rig_pass(r, 8 * SECONDS);
    for (uint64_t at = 1; at <= 7; at = 2 * at + 1) {
        EXPECT(r, .flags = SYN);
        assert_in_range(rig_sent_at_us(r), at * SECONDS, at * SECONDS + 1000);
    }
    EXPECT_NOTHING(r);
    assert_int_equal(r->env.retransmitted, 3);
}

static void peer_that_never_answers_is_dead_after_the_timeout(void **state)
{
    struct rig *r = *state;
    r->env.timeout_us = 10 * SECONDS;

    rig_open(r);
    assert_false(rig_pass(r, 10 * SECONDS) & TB_TCP_EV_DEAD);
    assert_true(rig_pass(r, 10 * SECONDS) & TB_TCP_EV_DEAD);
}

static void rst_that_acknowledges_the_syn_refuses(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    assert_int_equal(GIVE(r, .flags = RST | ACK, .ack = 1), TB_TCP_EV_REFUSED);
    assert_int_equal(r->c.state, TB_TCP_CLOSED);
    assert_int_equal(r->env.busy.in_use, 0);
    assert_int_equal(tb_tcp_deadline(&r->c), 0);
    EXPECT_NOTHING(r);
}

static void rst_that_acknowledges_something_else_is_ignored(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    assert_int_equal(GIVE(r, .flags = RST | ACK, .ack = 2), 0);
    assert_int_equal(GIVE(r, .flags = RST), 0);
    assert_int_equal(r->c.state, TB_TCP_SYN_SENT);
    EXPECT_NOTHING(r);
}

static void ack_without_syn_is_ignored(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    assert_int_equal(GIVE(r, .flags = ACK, .ack = 1, .len = 5), 0);
    assert_int_equal(r->c.state, TB_TCP_SYN_SENT);
    EXPECT_NOTHING(r);
}

static void simultaneous_open_is_refused(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    assert_int_equal(GIVE(r, .flags = SYN), 0);
    const struct tb_segment *s = &r->sent[r->sent_seen++].seg;
    assert_int_equal(s->flags, RST | ACK);
    assert_int_equal(s->seq, r->iss);
    assert_int_equal(s->ack, r->irs + 1);
    assert_int_equal(r->c.state, TB_TCP_SYN_SENT);
    EXPECT_NOTHING(r);
}

/* RFC 9293 §3.5.1: the server still has the connection of a client that died. */
static void challenge_ack_is_reset_and_the_syn_sent_again(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    EXPECT(r, .flags = SYN);
    assert_int_equal(GIVE(r, .flags = ACK, .seq = 5000, .ack = 777), 0);
    EXPECT(r, .flags = RST, .seq = 777);
    EXPECT(r, .flags = SYN);
    EXPECT_NOTHING(r);
    assert_int_equal(GIVE(r, .flags = SYN | ACK), TB_TCP_EV_CONNECTED);
}

static void challenge_acks_without_end_do_not_make_syns_without_end(void **state)
{
    struct rig *r = *state;
    unsigned syns = 0;

    rig_open(r);
    for (unsigned i = 0; i < 100; i++)
        GIVE(r, .flags = ACK, .seq = 5000, .ack = 777);
    for (uint32_t i = 0; i < r->sent_count; i++)
        syns += r->sent[i].seg.flags == SYN;
    assert_in_range(syns, 2, 20);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static void isn_of_the_next_connection_is_behind_everything_sent(void **state)
{
    struct rig *r = *state;

    for (unsigned i = 0; i < 5; i++) {
        rig_connect(r);
        rig_send(r, 100); /* not acknowledged */
        uint32_t end = r->iss + 1 + 100;
        rig_abort(r);
        rig_skip_sent(r);
        rig_open(r);
        assert_true(tb_seq_lt(end, r->iss));
        rig_abort(r);
        rig_skip_sent(r);
    }
}

/* The ISN clock counts 250,000 a second; this connection sends megabytes in no time. */
static void isn_is_behind_what_was_sent_faster_than_its_clock(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 4000000);
    rig_ack_all(r);
    uint32_t end = r->iss + 1 + 4000000;
    rig_abort(r);
    rig_open(r);
    assert_true(tb_seq_lt(end, r->iss));
}

/* A later run on the same machine knows nothing but the clock. */
static void isn_of_a_later_run_is_greater(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    uint32_t first = r->iss;
    tb_tcp_release(&r->env, &r->c);
    memset(&r->c, 0, sizeof r->c);
    rig_pass(r, 10 * SECONDS);
    rig_open(r);
    assert_int_equal(r->iss - first, 10 * SECONDS / 4);
}

static void isn_depends_on_path_and_key(void **state)
{
    struct rig *r = *state;
    uint32_t isn[3];

    for (unsigned i = 0; i < 3; i++) {
        r->path.sport += i == 1;
        r->env.isn_key[7] += i == 2;
        rig_open(r);
        isn[i] = r->iss;
        tb_tcp_release(&r->env, &r->c);
        memset(&r->c, 0, sizeof r->c);
    }
    assert_int_not_equal(isn[0], isn[1]);
    assert_int_not_equal(isn[1], isn[2]);
}

static void timestamps_grow_from_connection_to_connection(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;

    rig_connect(r);
    rig_pass(r, 50 * MILLISECONDS);
    rig_send(r, 10);
    uint32_t before = EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 10)->opt.tsval;
    rig_abort(r);
    rig_skip_sent(r);
    rig_pass(r, 2 * MILLISECONDS);
    rig_open(r);
    assert_int_equal(EXPECT(r, .flags = SYN)->opt.tsval - before, 2);
}

static void round_trip_of_the_handshake_is_the_first_estimate(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    rig_pass(r, 30 * MILLISECONDS);
    GIVE(r, .flags = SYN | ACK);
    assert_int_equal(r->c.srtt_us, 30000);
    assert_int_equal(r->c.rttvar_us, 15000);
    rig_skip_sent(r);
}

static void syn_sent_again_gives_no_estimate(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    rig_pass(r, 1010 * MILLISECONDS);
    GIVE(r, .flags = SYN | ACK);
    assert_int_equal(r->c.srtt_us, 0);
    rig_skip_sent(r);
}

static void owner_is_kept(void **state)
{
    struct rig *r = *state;
    r->c.owner = 4711;

    rig_connect(r);
    rig_abort(r);
    rig_open(r);
    assert_int_equal(r->c.owner, 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(syn_carries_the_captured_options),
        RIG_TEST(syn_leaves_out_what_the_captured_client_left_out),
        RIG_TEST(synack_is_acknowledged),
        RIG_TEST(request_rides_on_the_ack_of_the_handshake),
        RIG_TEST(bytes_of_the_synack_are_left_to_be_sent_again),
        RIG_TEST(segments_are_no_longer_than_the_servers_mss),
        RIG_TEST(server_without_mss_gets_536_bytes),
        RIG_TEST(segments_are_no_longer_than_the_mtu),
        RIG_TEST(ipv6_headers_take_more_of_the_mtu),
        RIG_TEST(timestamps_take_12_bytes_of_the_mss),
        RIG_TEST(hostile_mss_does_not_make_a_packet_of_every_byte),
        RIG_TEST(timestamps_are_echoed_when_both_use_them),
        RIG_TEST(timestamps_are_dropped_when_the_server_does_not_answer_them),
        RIG_TEST(timestamps_never_offered_are_not_used),
        RIG_TEST(our_window_is_scaled_when_both_agreed),
        RIG_TEST(our_window_is_not_scaled_when_the_server_does_not),
        RIG_TEST(servers_window_is_scaled_but_not_that_of_its_syn),
        RIG_TEST(holes_are_not_reported_when_the_server_refused_sack),
        RIG_TEST(syn_is_sent_again_after_1_3_and_7_seconds),
        RIG_TEST(peer_that_never_answers_is_dead_after_the_timeout),
        RIG_TEST(rst_that_acknowledges_the_syn_refuses),
        RIG_TEST(rst_that_acknowledges_something_else_is_ignored),
        RIG_TEST(ack_without_syn_is_ignored),
        RIG_TEST(simultaneous_open_is_refused),
        RIG_TEST(challenge_ack_is_reset_and_the_syn_sent_again),
        RIG_TEST(challenge_acks_without_end_do_not_make_syns_without_end),
        RIG_TEST(isn_of_the_next_connection_is_behind_everything_sent),
        RIG_TEST(isn_is_behind_what_was_sent_faster_than_its_clock),
        RIG_TEST(isn_of_a_later_run_is_greater),
        RIG_TEST(isn_depends_on_path_and_key),
        RIG_TEST(timestamps_grow_from_connection_to_connection),
        RIG_TEST(round_trip_of_the_handshake_is_the_first_estimate),
        RIG_TEST(syn_sent_again_gives_no_estimate),
        RIG_TEST(owner_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
