/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recovering from loss: retransmission timeout and its estimate (RFC 6298), fast retransmit and
 * NewReno (RFC 5681, 6582), selective acknowledgements (RFC 2018, 6675), and giving up.
 */
#include "tcp_rig.h"

/* --- the estimate ----------------------------------------------------------------------------- */

static void first_sample_sets_the_estimate(void **state)
{
    struct tb_tcp c = {0};

    tb_tcp_rtt_sample(&c, 100000);
    assert_int_equal(c.srtt_us, 100000);
    assert_int_equal(c.rttvar_us, 50000);
    assert_int_equal(tb_tcp_rto_us(&c, 0), 300000);
}

static void further_samples_move_it_by_an_eighth_and_a_quarter(void **state)
{
    struct tb_tcp c = {0};

    tb_tcp_rtt_sample(&c, 100000);
    tb_tcp_rtt_sample(&c, 180000);
    assert_int_equal(c.srtt_us, 110000);
    assert_int_equal(c.rttvar_us, (3 * 50000 + 80000) / 4);
}

static void timeout_without_a_sample_is_one_second(void **state)
{
    struct tb_tcp c = {0};

    assert_int_equal(tb_tcp_rto_us(&c, 0), 1 * SECONDS);
}

static void timeout_is_at_least_200_ms_above_the_round_trip(void **state)
{
    struct tb_tcp c = {0};

    for (unsigned i = 0; i < 100; i++)
        tb_tcp_rtt_sample(&c, 5000);
    assert_in_range(tb_tcp_rto_us(&c, 0), 205000, 206000);
}

static void timeout_is_at_most_a_minute(void **state)
{
    struct tb_tcp c = {0};

    tb_tcp_rtt_sample(&c, 300 * SECONDS);
    assert_int_equal(tb_tcp_rto_us(&c, 0), 60 * SECONDS);
    assert_int_equal(tb_tcp_rto_us(&c, 200), 60 * SECONDS);
}

/* --- timeout ---------------------------------------------------------------------------------- */

static void retransmits_first_unacked_after_rto(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 3000);
    rig_skip_sent(r);
    rig_pass(r, 199 * MILLISECONDS);
    EXPECT_NOTHING(r);
    rig_pass(r, 2 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void timeout_counts_from_the_latest_progress(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 3000);
    rig_pass(r, 150 * MILLISECONDS);
    GIVE(r, .flags = ACK, .ack = 1001);
    rig_skip_sent(r);
    rig_pass(r, 150 * MILLISECONDS);
    EXPECT_NOTHING(r);
}

static void timeout_counts_from_the_sending_not_from_the_wait_for_a_window(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .window = 500);
    rig_send(r, 800);
    rig_pass(r, 150 * MILLISECONDS);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .window = 65535);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 800);
    rig_pass(r, 190 * MILLISECONDS);
    EXPECT_NOTHING(r);
}

static void timeouts_back_off(void **state)
{
    struct rig *r = *state;
    static const uint64_t at_ms[] = {200, 600, 1400, 3000, 6200};

    rig_connect(r);
    rig_send(r, 500);
    rig_skip_sent(r);
    rig_pass(r, 7 * SECONDS);
    for (unsigned i = 0; i < 5; i++) {
        EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 500);
        assert_in_range(rig_sent_at_us(r), at_ms[i] * 1000, at_ms[i] * 1000 + 1000);
    }
    EXPECT_NOTHING(r);
}

static void progress_leaves_the_rto_doubled_once(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 2000);
    rig_pass(r, 4 * SECONDS);
    GIVE(r, .flags = ACK, .ack = 1001);
    rig_skip_sent(r);
    rig_pass(r, 399 * MILLISECONDS);
    EXPECT_NOTHING(r);
    rig_pass(r, 2 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
}

static void everything_lost_is_sent_again_from_the_first_byte(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 4000);
    rig_skip_sent(r);
    rig_pass(r, 201 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 1001);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 3001);
    EXPECT(r, .flags = ACK, .seq = 3001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void ack_beyond_the_retransmission_point_skips_what_arrived(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 4000);
    rig_pass(r, 201 * MILLISECONDS);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .ack = 3001);
    EXPECT(r, .flags = ACK, .seq = 3001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void spans_are_found_again_after_going_back(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    for (unsigned i = 0; i < 5; i++)
        rig_send_copy(r, 100);
    rig_skip_sent(r);
    rig_pass(r, 201 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 500);
    EXPECT_NOTHING(r);
}

/* What was received but not read yet may hold the acknowledgement. */
static void timeout_waits_while_packets_are_unread(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 500);
    rig_skip_sent(r);
    r->env.is_behind = true;
    rig_pass(r, 300 * MILLISECONDS);
    EXPECT_NOTHING(r);
    r->env.is_behind = false;
    rig_pass(r, 20 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 500);
}

/* Karn: whose segment the acknowledgement is for cannot be told. */
static void retransmitted_data_gives_no_sample(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    uint32_t before = r->c.srtt_us;
    rig_send(r, 500);
    rig_pass(r, 250 * MILLISECONDS);
    GIVE(r, .flags = ACK, .ack = 501);
    assert_int_equal(r->c.srtt_us, before);
    rig_skip_sent(r);
}

static void acknowledged_data_gives_a_sample(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.srtt_us = 0;
    rig_send(r, 500);
    rig_pass(r, 25 * MILLISECONDS);
    GIVE(r, .flags = ACK, .ack = 501);
    assert_int_equal(r->c.srtt_us, 25000);
}

static void peer_that_acknowledges_nothing_is_dead_after_the_timeout(void **state)
{
    struct rig *r = *state;
    r->env.timeout_us = 10 * SECONDS;

    rig_connect(r);
    rig_pass(r, 60 * SECONDS); /* silence without anything to be answered does not count */
    rig_send(r, 500);
    assert_false(rig_pass(r, 9900 * MILLISECONDS) & TB_TCP_EV_DEAD);
    assert_true(rig_pass(r, 200 * MILLISECONDS) & TB_TCP_EV_DEAD);
    assert_int_equal(r->c.state, TB_TCP_ESTABLISHED);
    rig_skip_sent(r);
}

/* --- fast retransmit -------------------------------------------------------------------------- */

static void connect_and_send(struct rig *r, bool sack, uint32_t len)
{
    r->server.sack = sack;
    rig_connect(r);
    rig_send(r, len);
    rig_skip_sent(r);
}

static void two_duplicate_acks_retransmit_nothing(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 5000);
    GIVE(r, .flags = ACK, .ack = 1);
    GIVE(r, .flags = ACK, .ack = 1);
    EXPECT_NOTHING(r);
}

static void third_duplicate_ack_retransmits_the_first_segment(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 5000);
    for (unsigned i = 0; i < 3; i++)
        GIVE(r, .flags = ACK, .ack = 1);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 1);
    EXPECT_NOTHING(r);
}

/* RFC 3042 */
static void fast_retransmission_keeps_within_the_window(void **state)
{
    struct rig *r = *state;

    r->server.sack = false;
    rig_connect(r);
    rig_send(r, 500);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 500);
    GIVE(r, .flags = ACK, .window = 500);
    rig_send(r, 5000);
    EXPECT_NOTHING(r);
    for (unsigned i = 0; i < 3; i++)
        GIVE(r, .flags = ACK, .window = 500);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 500);
    EXPECT_NOTHING(r);
}

static void first_two_duplicate_acks_let_new_segments_go(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 20000);
    GIVE(r, .flags = ACK, .ack = 1);
    EXPECT(r, .flags = ACK, .seq = 10001, .ack = 1, .len = 1000);
    GIVE(r, .flags = ACK, .ack = 1);
    EXPECT(r, .flags = ACK, .seq = 11001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void window_update_is_no_duplicate_ack(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 5000);
    for (uint16_t i = 0; i < 5; i++)
        GIVE(r, .flags = ACK, .ack = 1, .window = (uint16_t) (20000 + i));
    EXPECT_NOTHING(r);
}

static void data_is_no_duplicate_ack(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 5000);
    for (uint32_t i = 0; i < 5; i++)
        GIVE(r, .flags = ACK, .seq = 1 + 10 * i, .ack = 1, .len = 10);
    EXPECT_NOTHING(r);
    assert_int_equal(r->delivered, 50);
}

static void repeated_ack_with_nothing_in_flight_is_no_duplicate(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    for (unsigned i = 0; i < 5; i++)
        GIVE(r, .flags = ACK, .ack = 1);
    rig_send(r, 1000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

/* RFC 6582: segments 1 and 3 of five are lost; no SACK. */
static void partial_ack_retransmits_the_next_hole(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 5000);
    for (unsigned i = 0; i < 3; i++)
        GIVE(r, .flags = ACK, .ack = 1);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    GIVE(r, .flags = ACK, .ack = 2001);
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 5001);
    EXPECT_NOTHING(r);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
}

static void recovery_halves_the_flight(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 30000);
    for (unsigned i = 0; i < 10; i++)
        GIVE(r, .flags = ACK, .ack = 1);
    /* Half of the 10 in flight remains when all is acknowledged: 2 more by limited transmit do not
     * count (RFC 5681 §3.2). */
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .ack = (uint32_t) tb_tcp_busy(&r->env, &r->c)->snd_max + 1);
    assert_int_equal(r->sent_count - r->sent_seen, 5);
    rig_skip_sent(r);
}

static void duplicate_acks_after_a_timeout_start_no_second_recovery(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 5000);
    rig_pass(r, 201 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    for (unsigned i = 0; i < 5; i++)
        GIVE(r, .flags = ACK, .ack = 1);
    EXPECT_NOTHING(r);
}

/* --- SACK ------------------------------------------------------------------------------------- */

static void only_holes_are_sent_again(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, true, 10000); /* segments 1 and 3 of ten are lost */
    GIVE(r, .flags = ACK, .ack = 1, .sack = {{1001, 2001}});
    GIVE(r, .flags = ACK, .ack = 1, .sack = {{3001, 4001}, {1001, 2001}});
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 1, .sack = {{3001, 5001}, {1001, 2001}});
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    for (uint32_t end = 6001; end <= 10001; end += 1000)
        GIVE(r, .flags = ACK, .ack = 1, .sack = {{3001, end}, {1001, 2001}});
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 2001, .sack = {{3001, 10001}});
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 10001);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
}

static void hole_shorter_than_a_segment_is_filled_exactly(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, true, 10000);
    for (unsigned i = 0; i < 3; i++)
        GIVE(r, .flags = ACK, .ack = 1, .sack = {{2501, 10001}, {1001, 2001}});
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 500);
    EXPECT_NOTHING(r);
}

static void more_than_two_segments_sacked_need_no_third_duplicate(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, true, 10000);
    GIVE(r, .flags = ACK, .ack = 1, .sack = {{1001, 5001}});
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
}

static void new_data_is_sent_during_recovery_as_the_pipe_empties(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, true, 30000);
    for (uint32_t end = 2001; end <= 10001; end += 1000)
        GIVE(r, .flags = ACK, .ack = 1, .sack = {{1001, end}});
    bool new_data = false;
    for (; r->sent_seen < r->sent_count; r->sent_seen++)
        new_data |= r->sent[r->sent_seen].seg.seq - r->iss > 10001;
    assert_true(new_data);
}

static void senseless_sack_blocks_change_nothing(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, true, 5000);
    for (unsigned i = 0; i < 2; i++)
        GIVE(r, .flags = ACK, .ack = 1,
             .sack = {{3001, 2001},         /* backwards */
                      {4001, 900001},       /* never sent */
                      {0x80000000, 5001}}); /* from far away */
    EXPECT_NOTHING(r);
    const struct tb_tcp_busy *b = tb_tcp_busy(&r->env, &r->c);
    assert_int_equal(b->sacked.count, 0);
}

static void repeated_sack_of_old_bytes_changes_nothing(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, true, 5000);
    GIVE(r, .flags = ACK, .ack = 3001);
    GIVE(r, .flags = ACK, .ack = 3001, .sack = {{1, 1001}}); /* D-SACK, RFC 2883 */
    GIVE(r, .flags = ACK, .ack = 3001, .sack = {{1001, 3001}});
    EXPECT_NOTHING(r);
}

static void sack_never_agreed_is_ignored(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, false, 10000);
    GIVE(r, .flags = ACK, .ack = 1, .sack = {{1001, 9001}});
    EXPECT_NOTHING(r);
}

/* RFC 2018 §8: a receiver may drop what it has selectively acknowledged. */
static void timeout_forgets_what_was_sacked(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, true, 3000);
    GIVE(r, .flags = ACK, .ack = 1, .sack = {{1001, 3001}});
    rig_skip_sent(r);
    rig_pass(r, 201 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    GIVE(r, .flags = ACK, .ack = 1001);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
}

static void going_back_skips_what_is_sacked_since(void **state)
{
    struct rig *r = *state;

    connect_and_send(r, true, 5000);
    rig_pass(r, 201 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    GIVE(r, .flags = ACK, .ack = 2001, .sack = {{3001, 4001}});
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 4001);
    EXPECT(r, .flags = ACK, .seq = 4001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_sample_sets_the_estimate),
        cmocka_unit_test(further_samples_move_it_by_an_eighth_and_a_quarter),
        cmocka_unit_test(timeout_without_a_sample_is_one_second),
        cmocka_unit_test(timeout_is_at_least_200_ms_above_the_round_trip),
        cmocka_unit_test(timeout_is_at_most_a_minute),
        RIG_TEST(retransmits_first_unacked_after_rto),
        RIG_TEST(timeout_counts_from_the_latest_progress),
        RIG_TEST(timeout_counts_from_the_sending_not_from_the_wait_for_a_window),
        RIG_TEST(timeouts_back_off),
        RIG_TEST(progress_leaves_the_rto_doubled_once),
        RIG_TEST(everything_lost_is_sent_again_from_the_first_byte),
        RIG_TEST(ack_beyond_the_retransmission_point_skips_what_arrived),
        RIG_TEST(spans_are_found_again_after_going_back),
        RIG_TEST(timeout_waits_while_packets_are_unread),
        RIG_TEST(retransmitted_data_gives_no_sample),
        RIG_TEST(acknowledged_data_gives_a_sample),
        RIG_TEST(peer_that_acknowledges_nothing_is_dead_after_the_timeout),
        RIG_TEST(two_duplicate_acks_retransmit_nothing),
        RIG_TEST(third_duplicate_ack_retransmits_the_first_segment),
        RIG_TEST(fast_retransmission_keeps_within_the_window),
        RIG_TEST(first_two_duplicate_acks_let_new_segments_go),
        RIG_TEST(window_update_is_no_duplicate_ack),
        RIG_TEST(data_is_no_duplicate_ack),
        RIG_TEST(repeated_ack_with_nothing_in_flight_is_no_duplicate),
        RIG_TEST(partial_ack_retransmits_the_next_hole),
        RIG_TEST(recovery_halves_the_flight),
        RIG_TEST(duplicate_acks_after_a_timeout_start_no_second_recovery),
        RIG_TEST(only_holes_are_sent_again),
        RIG_TEST(hole_shorter_than_a_segment_is_filled_exactly),
        RIG_TEST(more_than_two_segments_sacked_need_no_third_duplicate),
        RIG_TEST(new_data_is_sent_during_recovery_as_the_pipe_empties),
        RIG_TEST(senseless_sack_blocks_change_nothing),
        RIG_TEST(repeated_sack_of_old_bytes_changes_nothing),
        RIG_TEST(sack_never_agreed_is_ignored),
        RIG_TEST(timeout_forgets_what_was_sacked),
        RIG_TEST(going_back_skips_what_is_sacked_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
