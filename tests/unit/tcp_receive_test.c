/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receiving: when bytes are acknowledged, bytes out of order with and without their contents, and
 * segments that do not fit (RFC 9293 §3.10.7.4, RFC 5961, RFC 7323).
 */
#include "tcp_rig.h"

/* --- acknowledging ---------------------------------------------------------------------------- */

static void ack_of_a_single_segment_is_delayed_40_ms(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 500);
    assert_int_equal(r->delivered, 500);
    EXPECT_NOTHING(r);
    rig_pass(r, 39 * MILLISECONDS);
    EXPECT_NOTHING(r);
    rig_pass(r, 2 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 501);
    rig_pass(r, 1 * SECONDS);
    EXPECT_NOTHING(r);
}

static void second_full_segment_is_acknowledged_at_once(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .seq = 1001, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 2001);
    rig_pass(r, 1 * SECONDS);
    EXPECT_NOTHING(r);
}

static void delay_counts_from_the_first_segment(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 10);
    rig_pass(r, 30 * MILLISECONDS);
    GIVE(r, .flags = ACK, .seq = 11, .len = 10);
    EXPECT_NOTHING(r);
    rig_pass(r, 11 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 21);
}

static void ack_rides_on_a_request(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 500);
    rig_send(r, 100);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 501, .len = 100);
    rig_pass(r, 100 * MILLISECONDS);
    EXPECT_NOTHING(r);
}

static void old_segment_is_acknowledged_again(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1001);
    assert_int_equal(r->delivered, 1000);
}

static void keep_alive_of_the_server_is_answered(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 100);
    rig_pass(r, 1 * SECONDS);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .seq = 100);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 101);
}

static void only_the_new_part_of_a_segment_is_delivered(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    GIVE(r, .flags = ACK, .seq = 1, .len = 700);
    GIVE(r, .flags = ACK, .seq = 501, .len = 500);
    assert_int_equal(r->delivered, 1000);
}

/* --- out of order ----------------------------------------------------------------------------- */

static void hole_is_reported_at_once_with_the_latest_range_first(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1001, .len = 1000);
    const struct tb_segment *s = EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(s->opt.sack_count, 1);
    assert_int_equal(s->opt.sack[0].left, r->irs + 1001);
    assert_int_equal(s->opt.sack[0].right, r->irs + 2001);

    GIVE(r, .flags = ACK, .seq = 5001, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 3001, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    s = EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(s->opt.sack_count, 3);
    assert_int_equal(s->opt.sack[0].left, r->irs + 3001);
    assert_int_equal(s->opt.sack[0].right, r->irs + 4001);
}

static void ranges_leave_room_for_timestamps(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;

    rig_connect(r);
    for (uint32_t i = 0; i < 6; i++)
        GIVE(r, .flags = ACK, .seq = 1001 + 2000 * i, .len = 1000);
    const struct tb_segment *s = &r->sent[r->sent_count - 1].seg;
    assert_true(s->opt.has_ts);
    assert_int_equal(s->opt.sack_count, 3);
    assert_int_equal(s->opt.sack[0].left, r->irs + 11001);
}

static void numbers_out_of_order_are_delivered_once(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 2001, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 1001, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 2001, .len = 1000);
    assert_int_equal(r->delivered, 0);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 1000);
    assert_int_equal(r->delivered, 3000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 3001);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
}

static void bytes_out_of_order_are_delivered_once_and_in_order(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    GIVE(r, .flags = ACK, .seq = 2001, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 1001, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 2001, .len = 1000);
    assert_int_equal(r->delivered, 0);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 1000);
    assert_int_equal(r->delivered, 3000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 3001);
    assert_int_equal(r->env.blocks.in_use, 0);
}

static void overlapping_pieces_are_delivered_once(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    GIVE(r, .flags = ACK, .seq = 501, .len = 100);
    GIVE(r, .flags = ACK, .seq = 401, .len = 500);
    GIVE(r, .flags = ACK, .seq = 851, .len = 150);
    GIVE(r, .flags = ACK, .seq = 1, .len = 450);
    assert_int_equal(r->delivered, 1000);
    assert_int_equal(r->env.blocks.in_use, 0);
}

static void piece_within_another_is_given_back_with_it(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    GIVE(r, .flags = ACK, .seq = 501, .len = 100);
    GIVE(r, .flags = ACK, .seq = 401, .len = 500);
    GIVE(r, .flags = ACK, .seq = 1, .len = 400);
    assert_int_equal(r->delivered, 900);
    assert_int_equal(r->env.blocks.in_use, 0);
}

/* The holes are filled back to front, then front to back, in sizes that do not line up. */
static void any_order_gives_the_same_stream(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    for (uint32_t seq = 20000; seq > 3000; seq -= 3000)
        GIVE(r, .flags = ACK, .seq = seq, .len = 1700);
    for (uint32_t seq = 1; seq < 22000; seq += 1300)
        GIVE(r, .flags = ACK, .seq = seq, .len = 1400);
    assert_true(r->delivered >= 21700);
    assert_int_equal(r->env.blocks.in_use, 0);
    rig_skip_sent(r);
}

static void more_pieces_than_are_kept_arrive_all_the_same(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    for (uint32_t i = 0; i < 200; i++)
        GIVE(r, .flags = ACK, .seq = 1001 + 1000 * i, .len = 500);
    assert_in_range(r->env.blocks.in_use, 1, TB_TCP_BLOCKS_MAX);
    r->sent_count = r->sent_seen = 0;
    for (uint32_t i = 0; i < 201; i++)
        GIVE(r, .flags = ACK, .seq = 1 + 1000 * i, .len = 1000);
    assert_int_equal(r->delivered, 201000);
    assert_int_equal(r->env.blocks.in_use, 0);
    rig_skip_sent(r);
}

static void bytes_kept_are_given_back_when_the_connection_ends(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    GIVE(r, .flags = ACK, .seq = 2001, .len = 1000);
    assert_int_equal(r->env.blocks.in_use, 1);
    GIVE(r, .flags = RST, .seq = 1);
    assert_int_equal(r->env.blocks.in_use, 0);
}

static void bytes_beyond_the_window_are_cut_off(void **state)
{
    struct rig *r = *state;
    r->env.rcv_wnd = 1500;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 2000);
    assert_int_equal(r->delivered, 1500);
    rig_skip_sent(r);
}

static void segment_beyond_the_window_is_answered_and_dropped(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 2 << 20, .len = 10);
    const struct tb_segment *s = EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(s->opt.sack_count, 0);
}

static void abort_while_kept_bytes_are_delivered(struct rig *r)
{
    if (r->delivered == 2000)
        tb_tcp_abort(&r->env, &r->c, &r->path);
}

static void receiver_may_abort_in_the_middle(void **state)
{
    struct rig *r = *state;
    r->on_deliver = abort_while_kept_bytes_are_delivered;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    GIVE(r, .flags = ACK | FIN, .seq = 2001, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 1001, .len = 1000);
    rig_skip_sent(r);
    assert_int_equal(GIVE(r, .flags = ACK, .seq = 1, .len = 1000), 0);
    assert_int_equal(r->delivered, 2000);
    assert_int_equal(r->c.state, TB_TCP_CLOSED);
    EXPECT(r, .flags = RST | ACK, .seq = 1, .ack = 2001);
    EXPECT_NOTHING(r);
    assert_int_equal(r->env.busy.in_use + r->env.blocks.in_use, 0);
}

static void answer_while_bytes_are_delivered(struct rig *r)
{
    static const uint8_t first[] = {0, 1, 2}; /* as the stream of the bench begins */

    tb_tcp_send(&r->env, &r->c, first, 3);
}

static void receiver_may_send_at_once(void **state)
{
    struct rig *r = *state;
    r->on_deliver = answer_while_bytes_are_delivered;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 10);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 11, .len = 3);
}

static void servers_numbers_wrap(void **state)
{
    struct rig *r = *state;
    r->irs = UINT32_MAX - 1500;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    GIVE(r, .flags = ACK, .seq = 2001, .len = 1000);
    const struct tb_segment *s = EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(s->opt.sack[0].left, (uint32_t) (r->irs + 2001));
    GIVE(r, .flags = ACK, .seq = 1, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 1001, .len = 1000);
    assert_int_equal(r->delivered, 3000);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK | FIN, .seq = 3001);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 3002);
}

static void received_bytes_are_counted_once(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1001, .len = 1000);
    GIVE(r, .flags = ACK, .seq = 1, .len = 1500);
    GIVE(r, .flags = ACK, .seq = 1, .len = 1500);
    assert_int_equal(r->env.bytes_received, 2000);
    rig_skip_sent(r);
}

/* --- segments that do not fit ----------------------------------------------------------------- */

static void rst_at_the_expected_number_resets(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = RST, .seq = 1), TB_TCP_EV_RESET);
    assert_int_equal(r->c.state, TB_TCP_CLOSED);
    assert_int_equal(tb_tcp_deadline(&r->c), 0);
    EXPECT_NOTHING(r);
}

static void rst_tells_whether_bytes_were_lost(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 100);
    assert_int_equal(GIVE(r, .flags = RST, .seq = 1), TB_TCP_EV_RESET | TB_TCP_EV_LOST);
    rig_skip_sent(r);
}

/* RFC 5961 §3.2 */
static void rst_elsewhere_in_the_window_is_challenged(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = RST, .seq = 100), 0);
    assert_int_equal(r->c.state, TB_TCP_ESTABLISHED);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
}

static void rst_outside_of_the_window_is_ignored(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = RST, .seq = 2 << 20), 0);
    assert_int_equal(r->c.state, TB_TCP_ESTABLISHED);
    EXPECT_NOTHING(r);
}

/* RFC 5961 §4.2; also what a server does whose SYN-ACK was not acknowledged. */
static void syn_is_challenged(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = SYN | ACK), 0);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(GIVE(r, .flags = SYN, .seq = 500), 0);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(r->c.state, TB_TCP_ESTABLISHED);
}

/* RFC 5961 §5.2 */
static void ack_of_what_was_never_sent_is_answered_and_dropped(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 100);
    rig_skip_sent(r);
    assert_int_equal(GIVE(r, .flags = ACK, .ack = 102, .len = 10), 0);
    EXPECT(r, .flags = ACK, .seq = 101, .ack = 1);
    assert_int_equal(r->delivered, 0);
    assert_int_equal(r->c.snd_una, 0);
}

static void challenges_are_limited(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_pass(r, 1 * SECONDS);
    for (unsigned i = 0; i < 300; i++)
        GIVE(r, .flags = RST, .seq = 100);
    assert_int_equal(r->sent_count - r->sent_seen, 100);
    rig_pass(r, 1 * SECONDS);
    rig_skip_sent(r);
    GIVE(r, .flags = RST, .seq = 100);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
}

static void segment_without_ack_is_dropped(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = 0, .len = 10), 0);
    assert_int_equal(r->delivered, 0);
    EXPECT_NOTHING(r);
}

/* RFC 7323 §5: protection against wrapped sequence numbers. */
static void segment_older_than_the_last_timestamp_is_answered_and_dropped(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;

    rig_connect(r);
    GIVE(r, .flags = ACK, .len = 100, .tsval = 90000);
    rig_pass(r, 1 * SECONDS);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .seq = 101, .len = 100, .tsval = 89999);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 101);
    assert_int_equal(r->delivered, 100);
}

static void old_timestamp_does_not_save_from_a_rst(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;

    rig_connect(r);
    GIVE(r, .flags = ACK, .len = 100, .tsval = 90000);
    assert_int_equal(GIVE(r, .flags = RST, .seq = 101, .no_ts = true), TB_TCP_EV_RESET);
}

static void segment_without_agreed_timestamps_is_dropped(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = ACK, .len = 100, .no_ts = true), 0);
    assert_int_equal(r->delivered, 0);
    EXPECT_NOTHING(r);
}

static void timestamp_of_a_segment_out_of_order_is_not_echoed(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 100, .tsval = 90000);
    rig_pass(r, 1 * SECONDS);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .seq = 201, .len = 100, .tsval = 95000);
    assert_int_equal(EXPECT(r, .flags = ACK, .seq = 1, .ack = 101)->opt.tsecr, 90000);
}

static void timestamps_wrap(void **state)
{
    struct rig *r = *state;
    r->syn.ts = true;

    rig_connect(r);
    r->c.ts_recent = UINT32_MAX - 5;
    GIVE(r, .flags = ACK, .seq = 1, .len = 100, .tsval = 3);
    assert_int_equal(r->delivered, 100);
    assert_int_equal(r->c.ts_recent, 3);
}

/* --- segments of no connection ---------------------------------------------------------------- */

static void closed_connection_knows_no_segment(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_abort(r);
    rig_skip_sent(r);
    assert_int_equal(GIVE(r, .flags = ACK, .len = 10), TB_TCP_EV_STRAY);
    EXPECT_NOTHING(r);
}

static const struct tb_segment *refused(struct rig *r, struct tb_segment seg)
{
    seg.src = r->path.dst;
    seg.dst = r->path.src;
    seg.sport = r->path.dport;
    seg.dport = r->path.sport;
    rig_skip_sent(r);
    tb_tcp_refuse(&r->env, &seg, 0, 0);
    r->env.flush(&r->env);
    return r->sent_seen < r->sent_count ? &r->sent[r->sent_seen].seg : NULL;
}

/* RFC 9293 §3.10.7.1 */
static void refusal_of_an_ack_takes_its_number(void **state)
{
    const struct tb_segment *s =
        refused(*state, (struct tb_segment){.flags = ACK, .seq = 77, .ack = 12345});

    assert_non_null(s);
    assert_int_equal(s->flags, RST);
    assert_int_equal(s->seq, 12345);
}

static void refusal_of_anything_else_acknowledges_it(void **state)
{
    const struct tb_segment *s =
        refused(*state, (struct tb_segment){.flags = SYN | FIN, .seq = 77, .payload_len = 10});

    assert_non_null(s);
    assert_int_equal(s->flags, RST | ACK);
    assert_int_equal(s->seq, 0);
    assert_int_equal(s->ack, 77 + 10 + 2);
}

static void rst_is_never_answered(void **state)
{
    assert_null(refused(*state, (struct tb_segment){.flags = RST, .seq = 77}));
    assert_null(refused(*state, (struct tb_segment){.flags = RST | ACK, .seq = 77, .ack = 3}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(ack_of_a_single_segment_is_delayed_40_ms),
        RIG_TEST(second_full_segment_is_acknowledged_at_once),
        RIG_TEST(delay_counts_from_the_first_segment),
        RIG_TEST(ack_rides_on_a_request),
        RIG_TEST(old_segment_is_acknowledged_again),
        RIG_TEST(keep_alive_of_the_server_is_answered),
        RIG_TEST(only_the_new_part_of_a_segment_is_delivered),
        RIG_TEST(hole_is_reported_at_once_with_the_latest_range_first),
        RIG_TEST(ranges_leave_room_for_timestamps),
        RIG_TEST(numbers_out_of_order_are_delivered_once),
        RIG_TEST(bytes_out_of_order_are_delivered_once_and_in_order),
        RIG_TEST(overlapping_pieces_are_delivered_once),
        RIG_TEST(piece_within_another_is_given_back_with_it),
        RIG_TEST(any_order_gives_the_same_stream),
        RIG_TEST(more_pieces_than_are_kept_arrive_all_the_same),
        RIG_TEST(bytes_kept_are_given_back_when_the_connection_ends),
        RIG_TEST(bytes_beyond_the_window_are_cut_off),
        RIG_TEST(segment_beyond_the_window_is_answered_and_dropped),
        RIG_TEST(receiver_may_abort_in_the_middle),
        RIG_TEST(receiver_may_send_at_once),
        RIG_TEST(servers_numbers_wrap),
        RIG_TEST(received_bytes_are_counted_once),
        RIG_TEST(rst_at_the_expected_number_resets),
        RIG_TEST(rst_tells_whether_bytes_were_lost),
        RIG_TEST(rst_elsewhere_in_the_window_is_challenged),
        RIG_TEST(rst_outside_of_the_window_is_ignored),
        RIG_TEST(syn_is_challenged),
        RIG_TEST(ack_of_what_was_never_sent_is_answered_and_dropped),
        RIG_TEST(challenges_are_limited),
        RIG_TEST(segment_without_ack_is_dropped),
        RIG_TEST(segment_older_than_the_last_timestamp_is_answered_and_dropped),
        RIG_TEST(old_timestamp_does_not_save_from_a_rst),
        RIG_TEST(segment_without_agreed_timestamps_is_dropped),
        RIG_TEST(timestamp_of_a_segment_out_of_order_is_not_echoed),
        RIG_TEST(timestamps_wrap),
        RIG_TEST(closed_connection_knows_no_segment),
        RIG_TEST(refusal_of_an_ack_takes_its_number),
        RIG_TEST(refusal_of_anything_else_acknowledges_it),
        RIG_TEST(rst_is_never_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
