/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending: how the queue is cut into segments, what the server's window and congestion control
 * allow, and probing a closed window.
 */
#include "tcp_rig.h"

#include <errno.h>

/* --- segments --------------------------------------------------------------------------------- */

static void data_is_cut_at_the_mss(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 2500);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 500);
    EXPECT_NOTHING(r);
}

static void last_segment_is_pushed(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 1500);
    assert_false(EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000)->flags & PSH);
    assert_true(EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 500)->flags & PSH);
}

static void device_cuts_what_it_can(void **state)
{
    struct rig *r = *state;
    r->env.gso_max = 60000;

    rig_connect(r);
    uint64_t before = r->env.packets_sent;
    rig_send(r, 4500);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 4500);
    EXPECT_NOTHING(r);
    assert_int_equal(r->sent[r->sent_count - 1].gso_size, MSS);
    assert_int_equal(r->env.packets_sent - before, 5);
}

static void frames_for_the_device_hold_whole_segments(void **state)
{
    struct rig *r = *state;
    r->env.gso_max = 3999;

    rig_connect(r);
    rig_send(r, 7000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 3000);
    EXPECT(r, .flags = ACK, .seq = 3001, .ack = 1, .len = 3000);
    EXPECT(r, .flags = ACK, .seq = 6001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void end_of_a_span_goes_out_with_what_follows(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->env.gso_max = 60000;
    GIVE(r, .flags = ACK, .zero_window = true);
    rig_send(r, 2500);
    rig_send_copy(r, 300);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .window = 65535);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 2000);
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 800);
}

static void single_segment_is_not_marked_for_cutting(void **state)
{
    struct rig *r = *state;
    r->env.gso_max = 60000;

    rig_connect(r);
    rig_send(r, MSS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = MSS);
    assert_int_equal(r->sent[r->sent_count - 1].gso_size, 0);
}

static void retransmissions_are_not_left_to_the_device(void **state)
{
    struct rig *r = *state;
    r->env.gso_max = 60000;

    rig_connect(r);
    rig_send(r, 4500);
    rig_skip_sent(r);
    rig_pass(r, 210 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void full_batch_is_flushed_on_the_way(void **state)
{
    struct rig *r = *state;
    r->env.frame_room = 2;

    rig_connect(r);
    rig_send(r, 5000);
    for (uint32_t i = 0; i < 5; i++)
        EXPECT(r, .flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

/* --- the queue -------------------------------------------------------------------------------- */

static void contiguous_borrowed_bytes_need_one_span(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    for (unsigned i = 0; i < 10; i++)
        rig_send(r, 100);
    assert_int_equal(r->env.spans.in_use, 1);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
}

static void copies_are_given_back_when_acknowledged(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send_copy(r, 300);
    rig_send_copy(r, 200);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 300);
    EXPECT(r, .flags = ACK, .seq = 301, .ack = 1, .len = 200);
    rig_send_copy(r, 100);
    EXPECT(r, .flags = ACK, .seq = 501, .ack = 1, .len = 100);
    assert_int_equal(r->env.copies.in_use, 2); /* the first is full */
    GIVE(r, .flags = ACK, .ack = 513);
    assert_int_equal(r->env.copies.in_use, 1);
    GIVE(r, .flags = ACK, .ack = 601);
    assert_int_equal(r->env.copies.in_use, 0);
}

static void copies_are_given_back_when_the_connection_ends(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send_copy(r, 300);
    rig_send(r, 300);
    rig_abort(r);
    assert_int_equal(r->env.spans.in_use, 0);
}

static void small_pieces_share_a_segment(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    rig_send(r, 10);
    rig_send_copy(r, 20);
    rig_send(r, 30);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 60);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 31);
    assert_int_equal(r->env.spans.in_use, 1);
}

static void pieces_are_put_together_up_to_the_mss(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    for (unsigned i = 0; i < 12; i++)
        rig_send_copy(r, 700);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK);
    for (uint32_t i = 0; i < 8; i++)
        EXPECT(r, .flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 8001, .ack = 1, .len = 400);
    EXPECT_NOTHING(r);
}

static void nothing_can_be_queued_behind_the_fin(void **state)
{
    struct rig *r = *state;
    rig_connect(r);
    rig_close(r);
    assert_int_equal(tb_tcp_send_copy(&r->env, &r->c, (const uint8_t *) "x", 1), -EPIPE);
    assert_int_equal(r->env.spans.in_use + r->env.copies.in_use, 0);
}

static void empty_piece_queues_nothing(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 0);
    EXPECT_NOTHING(r);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
}

static void bytes_are_counted_once(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 2500);
    rig_pass(r, 5 * SECONDS);
    assert_true(r->env.retransmitted > 0);
    assert_int_equal(r->env.bytes_sent, 2500);
}

static void connection_is_quiet_when_all_is_acknowledged(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 500);
    assert_false(tb_tcp_is_quiet(&r->env, &r->c));
    GIVE(r, .flags = ACK, .ack = 501);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
    assert_int_equal(tb_tcp_deadline(&r->c), 0);
}

static void stream_goes_on_after_the_extension_was_given_back(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 500);
    GIVE(r, .flags = ACK, .ack = 501);
    tb_tcp_release(&r->env, &r->c);
    assert_int_equal(r->env.busy.in_use, 0);
    rig_skip_sent(r);
    rig_send(r, 300);
    EXPECT(r, .flags = ACK, .seq = 501, .ack = 1, .len = 300);
}

/* --- sequence numbers ------------------------------------------------------------------------- */

static void sequence_numbers_wrap(void **state)
{
    struct rig *r = *state;

    rig_open_at(r, UINT32_MAX - 1500);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    rig_send(r, 4000);
    for (uint32_t i = 0; i < 4; i++)
        EXPECT(r, .flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = 1000);
    GIVE(r, .flags = ACK, .ack = 3001);
    assert_int_equal(r->c.snd_una, 3000);
    GIVE(r, .flags = ACK, .ack = 4001);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
}

static void sequence_numbers_wrap_more_than_once(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 1000);
    rig_ack_all(r);
    tb_tcp_release(&r->env, &r->c);
    r->c.snd_una += UINT64_C(2) << 32; /* as if 8 GiB had been sent since */
    rig_send(r, 500);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 500);
    GIVE(r, .flags = ACK, .ack = 1501);
    assert_int_equal(r->c.snd_una, (UINT64_C(2) << 32) + 1500);
}

/* --- the server's window ---------------------------------------------------------------------- */

static void no_more_than_the_window_is_sent(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    GIVE(r, .flags = SYN | ACK, .window = 3000);
    rig_skip_sent(r);
    rig_send(r, 10000);
    for (uint32_t i = 0; i < 3; i++)
        EXPECT(r, .flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 2001, .window = 3000);
    EXPECT(r, .flags = ACK, .seq = 3001, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 4001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

/* RFC 9293 §3.8.6.2.1: no small segments only because the window has a little room. */
static void small_rest_of_the_window_is_not_used_while_data_is_in_flight(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    GIVE(r, .flags = SYN | ACK, .window = 2500);
    rig_skip_sent(r);
    rig_send(r, 10000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void window_smaller_than_a_segment_is_used_when_nothing_is_in_flight(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    GIVE(r, .flags = SYN | ACK, .window = 300);
    rig_skip_sent(r);
    rig_send(r, 10000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 300);
    EXPECT_NOTHING(r);
}

static void last_small_segment_is_sent_while_data_is_in_flight(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 1000);
    rig_send(r, 50);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 50);
}

static void window_of_an_old_segment_is_ignored(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .seq = 1, .len = 100, .window = 5000);
    GIVE(r, .flags = ACK, .seq = 101, .len = 100, .window = 4000);
    assert_int_equal(r->c.snd_wnd, 4000);
    GIVE(r, .flags = ACK, .seq = 1, .len = 150, .window = 9000);
    assert_int_equal(r->c.snd_wnd, 4000);
    rig_skip_sent(r);
}

static void connect_and_close_window(struct rig *r)
{
    rig_connect(r);
    rig_send(r, 1000);
    GIVE(r, .flags = ACK, .ack = 1001, .zero_window = true);
    rig_skip_sent(r);
    rig_send(r, 2000);
    EXPECT_NOTHING(r);
}

static void nothing_is_sent_into_a_closed_window(void **state)
{
    struct rig *r = *state;

    connect_and_close_window(r);
    rig_pass(r, 100 * MILLISECONDS);
    EXPECT_NOTHING(r);
}

static void closed_window_is_probed_with_back_off(void **state)
{
    struct rig *r = *state;
    static const uint64_t at_ms[] = {200, 600, 1400, 3000};

    connect_and_close_window(r);
    for (unsigned i = 0; i < 4; i++) {
        rig_pass(r, at_ms[i] * MILLISECONDS + 1000 - (i ? at_ms[i - 1] * MILLISECONDS + 1000 : 0));
        EXPECT(r, .flags = ACK, .seq = 1000, .ack = 1); /* just below what it expects */
        EXPECT_NOTHING(r);
        assert_in_range(rig_sent_at_us(r), at_ms[i] * 1000, at_ms[i] * 1000 + 1000);
        GIVE(r, .flags = ACK, .ack = 1001, .zero_window = true);
        EXPECT_NOTHING(r);
    }
}

static void sending_goes_on_when_the_window_opens(void **state)
{
    struct rig *r = *state;

    connect_and_close_window(r);
    rig_pass(r, 3 * SECONDS);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .ack = 1001, .window = 5000);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 2001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void back_off_of_the_probes_does_not_slow_down_what_follows(void **state)
{
    struct rig *r = *state;

    connect_and_close_window(r);
    rig_pass(r, 10 * SECONDS);
    GIVE(r, .flags = ACK, .ack = 1001, .window = 5000);
    rig_skip_sent(r);
    rig_pass(r, 250 * MILLISECONDS);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
}

/* A server out of memory drops what is in flight and closes its window; the update that opens it
 * again may be lost. */
static void window_closed_over_data_in_flight_is_probed(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 3000);
    GIVE(r, .flags = ACK, .ack = 1001, .zero_window = true);
    rig_skip_sent(r);
    rig_pass(r, 1 * SECONDS);
    EXPECT(r, .flags = ACK, .seq = 1000, .ack = 1);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .ack = 1001, .window = 5000);
    rig_pass(r, 1 * SECONDS);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
}

static void window_that_stays_closed_is_given_up(void **state)
{
    struct rig *r = *state;
    r->env.timeout_us = 20 * SECONDS;

    connect_and_close_window(r);
    assert_false(rig_pass(r, 15 * SECONDS) & TB_TCP_EV_DEAD);
    assert_true(rig_pass(r, 10 * SECONDS) & TB_TCP_EV_DEAD);
}

/* --- congestion window ------------------------------------------------------------------------ */

static void first_flight_is_ten_segments(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 50000);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(r, .flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void slow_start_sends_two_segments_for_each_acknowledged(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 50000);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .ack = 2001);
    for (uint32_t i = 0; i < 4; i++)
        EXPECT(r, .flags = ACK, .seq = 10001 + 1000 * i, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
}

static void window_does_not_grow_while_the_script_is_what_limits(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    for (uint32_t i = 0; i < 50; i++) {
        rig_send(r, 1000);
        GIVE(r, .flags = ACK, .ack = 1 + 1000 * (i + 1));
    }
    rig_skip_sent(r);
    rig_send(r, 60000);
    assert_int_equal(r->sent_count - r->sent_seen, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(data_is_cut_at_the_mss),
        RIG_TEST(last_segment_is_pushed),
        RIG_TEST(device_cuts_what_it_can),
        RIG_TEST(frames_for_the_device_hold_whole_segments),
        RIG_TEST(end_of_a_span_goes_out_with_what_follows),
        RIG_TEST(single_segment_is_not_marked_for_cutting),
        RIG_TEST(retransmissions_are_not_left_to_the_device),
        RIG_TEST(full_batch_is_flushed_on_the_way),
        RIG_TEST(contiguous_borrowed_bytes_need_one_span),
        RIG_TEST(copies_are_given_back_when_acknowledged),
        RIG_TEST(copies_are_given_back_when_the_connection_ends),
        RIG_TEST(small_pieces_share_a_segment),
        RIG_TEST(pieces_are_put_together_up_to_the_mss),
        RIG_TEST(nothing_can_be_queued_behind_the_fin),
        RIG_TEST(empty_piece_queues_nothing),
        RIG_TEST(bytes_are_counted_once),
        RIG_TEST(connection_is_quiet_when_all_is_acknowledged),
        RIG_TEST(stream_goes_on_after_the_extension_was_given_back),
        RIG_TEST(sequence_numbers_wrap),
        RIG_TEST(sequence_numbers_wrap_more_than_once),
        RIG_TEST(no_more_than_the_window_is_sent),
        RIG_TEST(small_rest_of_the_window_is_not_used_while_data_is_in_flight),
        RIG_TEST(window_smaller_than_a_segment_is_used_when_nothing_is_in_flight),
        RIG_TEST(last_small_segment_is_sent_while_data_is_in_flight),
        RIG_TEST(window_of_an_old_segment_is_ignored),
        RIG_TEST(nothing_is_sent_into_a_closed_window),
        RIG_TEST(closed_window_is_probed_with_back_off),
        RIG_TEST(sending_goes_on_when_the_window_opens),
        RIG_TEST(back_off_of_the_probes_does_not_slow_down_what_follows),
        RIG_TEST(window_closed_over_data_in_flight_is_probed),
        RIG_TEST(window_that_stays_closed_is_given_up),
        RIG_TEST(first_flight_is_ten_segments),
        RIG_TEST(slow_start_sends_two_segments_for_each_acknowledged),
        RIG_TEST(window_does_not_grow_while_the_script_is_what_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
