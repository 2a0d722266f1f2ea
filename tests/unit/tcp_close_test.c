/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closing: who closes first and what is lost on the way, half-closed connections, TIME-WAIT, and
 * aborting in every state (RFC 9293 §3.6, §3.10.5).
 */
#include "tcp_rig.h"

/* --- we close first --------------------------------------------------------------------------- */

static void active_close_ends_in_time_wait(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    EXPECT(r, .flags = FIN | ACK, .seq = 1, .ack = 1);
    assert_int_equal(r->c.state, TB_TCP_FIN_WAIT_1);
    assert_int_equal(GIVE(r, .flags = ACK, .ack = 2), TB_TCP_EV_ACKED);
    assert_int_equal(r->c.state, TB_TCP_FIN_WAIT_2);
    EXPECT_NOTHING(r);
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .ack = 2), TB_TCP_EV_FIN);
    assert_int_equal(r->c.state, TB_TCP_TIME_WAIT);
    EXPECT(r, .flags = ACK, .seq = 2, .ack = 2);
    EXPECT_NOTHING(r);
    assert_int_equal(tb_tcp_deadline(&r->c), 0);
}

static void fin_and_ack_in_one_segment_end_in_time_wait(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    rig_skip_sent(r);
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .ack = 2), TB_TCP_EV_ACKED | TB_TCP_EV_FIN);
    assert_int_equal(r->c.state, TB_TCP_TIME_WAIT);
    EXPECT(r, .flags = ACK, .seq = 2, .ack = 2);
}

static void fin_rides_on_the_last_bytes(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    rig_send(r, 1200);
    rig_close(r);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT(r, .flags = FIN | ACK, .seq = 1001, .ack = 1, .len = 200);
    EXPECT_NOTHING(r);
}

static void fin_waits_for_the_bytes_before_it(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    rig_send(r, 3000);
    rig_close(r);
    EXPECT(r, .flags = SYN);
    GIVE(r, .flags = SYN | ACK, .window = 2000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 1001, .ack = 1, .len = 1000);
    EXPECT_NOTHING(r);
    assert_int_equal(r->c.state, TB_TCP_ESTABLISHED);
    GIVE(r, .flags = ACK, .ack = 2001, .window = 2000);
    EXPECT(r, .flags = FIN | ACK, .seq = 2001, .ack = 1, .len = 1000);
}

static void closing_twice_sends_one_fin(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    rig_close(r);
    EXPECT(r, .flags = FIN | ACK, .seq = 1, .ack = 1);
    EXPECT_NOTHING(r);
}

static void lost_fin_is_sent_again(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    rig_pass(r, 201 * MILLISECONDS);
    EXPECT(r, .flags = FIN | ACK, .seq = 1, .ack = 1);
    EXPECT(r, .flags = FIN | ACK, .seq = 1, .ack = 1);
    EXPECT_NOTHING(r);
}

static void lost_fin_is_sent_again_with_its_bytes(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 100);
    rig_close(r);
    rig_skip_sent(r);
    rig_pass(r, 201 * MILLISECONDS);
    EXPECT(r, .flags = FIN | ACK, .seq = 1, .ack = 1, .len = 100);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .ack = 102);
    assert_int_equal(r->c.state, TB_TCP_FIN_WAIT_2);
}

/* A closed window does not hold back what takes none of it. */
static void fin_alone_is_sent_again_into_a_closed_window(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 100);
    GIVE(r, .flags = ACK, .ack = 101, .zero_window = true);
    rig_close(r);
    rig_skip_sent(r);
    rig_pass(r, 210 * MILLISECONDS);
    EXPECT(r, .flags = FIN | ACK, .seq = 101, .ack = 1);
}

static void unacknowledged_fin_is_given_up_after_the_timeout(void **state)
{
    struct rig *r = *state;
    r->env.timeout_us = 5 * SECONDS;

    rig_connect(r);
    rig_close(r);
    assert_true(rig_pass(r, 6 * SECONDS) & TB_TCP_EV_DEAD);
    rig_skip_sent(r);
}

/* --- half-closed ------------------------------------------------------------------------------ */

static void server_may_go_on_sending_after_our_fin(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    GIVE(r, .flags = ACK, .ack = 2, .len = 500);
    GIVE(r, .flags = ACK, .seq = 501, .ack = 2, .len = 500);
    assert_int_equal(r->delivered, 1000);
    assert_int_equal(r->c.state, TB_TCP_FIN_WAIT_2);
    rig_skip_sent(r);
    GIVE(r, .flags = FIN | ACK, .seq = 1001, .ack = 2);
    EXPECT(r, .flags = ACK, .seq = 2, .ack = 1002);
}

/* The extension, given back when the FIN was acknowledged, comes back for bytes out of order. */
static void acknowledged_fin_is_not_sent_again(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 50);
    rig_close(r);
    GIVE(r, .flags = ACK, .ack = 52);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
    tb_tcp_release(&r->env, &r->c);
    rig_skip_sent(r);
    GIVE(r, .flags = ACK, .seq = 1001, .ack = 52, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 52, .ack = 1);
    EXPECT_NOTHING(r);
    GIVE(r, .flags = ACK, .seq = 1, .ack = 52, .len = 1000);
    EXPECT(r, .flags = ACK, .seq = 52, .ack = 2001);
    rig_pass(r, 10 * SECONDS);
    EXPECT_NOTHING(r);
}

/* --- the server closes first ------------------------------------------------------------------ */

static void passive_close_ends_closed(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = FIN | ACK), TB_TCP_EV_FIN);
    assert_int_equal(r->c.state, TB_TCP_CLOSE_WAIT);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 2);
    rig_close(r);
    EXPECT(r, .flags = FIN | ACK, .seq = 1, .ack = 2);
    assert_int_equal(r->c.state, TB_TCP_LAST_ACK);
    assert_int_equal(GIVE(r, .flags = ACK, .seq = 2, .ack = 2), TB_TCP_EV_ACKED);
    assert_int_equal(r->c.state, TB_TCP_CLOSED);
    EXPECT_NOTHING(r);
}

static void we_may_go_on_sending_after_the_servers_fin(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = FIN | ACK);
    rig_skip_sent(r);
    rig_send(r, 100);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 2, .len = 100);
    GIVE(r, .flags = ACK, .seq = 2, .ack = 101);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
    assert_int_equal(r->c.state, TB_TCP_CLOSE_WAIT);
}

static void fin_behind_bytes_of_its_segment_comes_after_them(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .len = 500), TB_TCP_EV_FIN);
    assert_int_equal(r->delivered, 500);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 502);
}

static void fin_before_missing_bytes_waits_for_them(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .seq = 501, .len = 500), 0);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(r->c.state, TB_TCP_ESTABLISHED);
    assert_int_equal(GIVE(r, .flags = ACK, .len = 500), TB_TCP_EV_FIN);
    assert_int_equal(r->delivered, 1000);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1002);
    assert_true(tb_tcp_is_quiet(&r->env, &r->c));
}

static void bare_fin_before_missing_bytes_waits_for_them(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    r->c.flags |= TB_TCP_WANTS_DATA;
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .seq = 1001), 0);
    assert_int_equal(GIVE(r, .flags = ACK, .seq = 501, .len = 500), 0);
    assert_int_equal(GIVE(r, .flags = ACK, .len = 500), TB_TCP_EV_FIN);
    assert_int_equal(r->delivered, 1000);
    rig_skip_sent(r);
}

static void repeated_fin_is_acknowledged_again_and_reported_once(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    assert_int_equal(GIVE(r, .flags = FIN | ACK), TB_TCP_EV_FIN);
    assert_int_equal(GIVE(r, .flags = FIN | ACK), 0);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 2);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 2);
}

static void bytes_behind_the_fin_are_ignored(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = FIN | ACK);
    GIVE(r, .flags = ACK, .seq = 2, .len = 100);
    assert_int_equal(r->delivered, 0);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 2);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 2);
}

/* --- both at once ----------------------------------------------------------------------------- */

static void simultaneous_close_ends_in_time_wait(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    EXPECT(r, .flags = FIN | ACK, .seq = 1, .ack = 1);
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .ack = 1), TB_TCP_EV_FIN);
    assert_int_equal(r->c.state, TB_TCP_CLOSING);
    EXPECT(r, .flags = ACK, .seq = 2, .ack = 2);
    assert_int_equal(GIVE(r, .flags = ACK, .seq = 2, .ack = 2), TB_TCP_EV_ACKED);
    assert_int_equal(r->c.state, TB_TCP_TIME_WAIT);
    EXPECT_NOTHING(r);
}

static void fin_is_sent_again_while_closing(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    GIVE(r, .flags = FIN | ACK, .ack = 1);
    rig_skip_sent(r);
    rig_pass(r, 201 * MILLISECONDS);
    EXPECT(r, .flags = FIN | ACK, .seq = 1, .ack = 2);
}

/* --- TIME-WAIT -------------------------------------------------------------------------------- */

static void time_wait(struct rig *r)
{
    rig_connect(r);
    rig_close(r);
    GIVE(r, .flags = FIN | ACK, .ack = 2);
    rig_skip_sent(r);
    tb_tcp_release(&r->env, &r->c);
}

static void repeated_fin_is_acknowledged_in_time_wait(void **state)
{
    struct rig *r = *state;

    time_wait(r);
    assert_int_equal(GIVE(r, .flags = FIN | ACK, .ack = 2), 0);
    EXPECT(r, .flags = ACK, .seq = 2, .ack = 2);
    assert_int_equal(r->env.busy.in_use, 0);
}

static void ack_and_rst_do_nothing_in_time_wait(void **state)
{
    struct rig *r = *state;

    time_wait(r);
    assert_int_equal(GIVE(r, .flags = ACK, .seq = 2, .ack = 2), 0);
    assert_int_equal(GIVE(r, .flags = RST, .seq = 2), 0);
    assert_int_equal(r->c.state, TB_TCP_TIME_WAIT);
    EXPECT_NOTHING(r);
}

static void record_in_time_wait_may_be_opened_again(void **state)
{
    struct rig *r = *state;

    time_wait(r);
    rig_open(r);
    EXPECT(r, .flags = SYN);
    assert_int_equal(GIVE(r, .flags = SYN | ACK), TB_TCP_EV_CONNECTED);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    rig_send(r, 100);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
}

/* --- resets ----------------------------------------------------------------------------------- */

static void reset_closes_every_state_in_silence(void **state)
{
    struct rig *r = *state;

    for (unsigned which = 0; which < 5; which++) {
        rig_connect(r);
        uint32_t seq = 1;
        if (which == 1 || which == 2)
            rig_close(r); /* FIN-WAIT-1 */
        if (which == 2)
            GIVE(r, .flags = ACK, .ack = 2); /* FIN-WAIT-2 */
        if (which >= 3) {
            GIVE(r, .flags = FIN | ACK); /* CLOSE-WAIT */
            seq = 2;
        }
        if (which == 4)
            rig_close(r); /* LAST-ACK */
        rig_skip_sent(r);
        assert_true(GIVE(r, .flags = RST, .seq = seq) & TB_TCP_EV_RESET);
        assert_int_equal(r->c.state, TB_TCP_CLOSED);
        assert_int_equal(tb_tcp_deadline(&r->c), 0);
        assert_int_equal(r->env.busy.in_use, 0);
        EXPECT_NOTHING(r);
    }
}

static void reset_of_an_unacknowledged_fin_tells_so(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    assert_int_equal(GIVE(r, .flags = RST), TB_TCP_EV_RESET | TB_TCP_EV_LOST);
    rig_skip_sent(r);
}

/* --- abort ------------------------------------------------------------------------------------ */

static void is_closed_and_empty(struct rig *r)
{
    assert_int_equal(r->c.state, TB_TCP_CLOSED);
    assert_int_equal(tb_tcp_deadline(&r->c), 0);
    assert_int_equal(r->env.busy.in_use, 0);
    assert_int_equal(r->env.spans.in_use, 0);
    EXPECT_NOTHING(r);
    rig_pass(r, 5 * SECONDS);
    EXPECT_NOTHING(r);
}

static void abort_resets_behind_everything_sent(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_send(r, 1500);
    GIVE(r, .flags = ACK, .ack = 1, .len = 700);
    rig_skip_sent(r);
    rig_abort(r);
    EXPECT(r, .flags = RST | ACK, .seq = 1501, .ack = 701);
    is_closed_and_empty(r);
}

static void abort_of_a_connection_not_yet_answered_resets_the_syn(void **state)
{
    struct rig *r = *state;

    rig_open(r);
    rig_skip_sent(r);
    rig_abort(r);
    EXPECT(r, .flags = RST, .seq = 1);
    is_closed_and_empty(r);
}

static void abort_before_the_syn_went_out_sends_nothing(void **state)
{
    struct rig *r = *state;

    assert_int_equal(tb_tcp_open(&r->env, &r->c, &r->path, &r->syn), 0);
    rig_abort(r);
    is_closed_and_empty(r);
}

static void abort_of_a_closed_connection_sends_nothing(void **state)
{
    struct rig *r = *state;

    rig_abort(r);
    is_closed_and_empty(r);
}

static void abort_works_after_our_fin(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    rig_skip_sent(r);
    rig_abort(r);
    EXPECT(r, .flags = RST | ACK, .seq = 2, .ack = 1);
    is_closed_and_empty(r);
}

static void abort_works_when_half_closed(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    rig_close(r);
    GIVE(r, .flags = ACK, .ack = 2);
    tb_tcp_release(&r->env, &r->c);
    rig_skip_sent(r);
    rig_abort(r);
    EXPECT(r, .flags = RST | ACK, .seq = 2, .ack = 1);
    is_closed_and_empty(r);
}

static void abort_works_after_the_servers_fin(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = FIN | ACK);
    rig_skip_sent(r);
    rig_abort(r);
    EXPECT(r, .flags = RST | ACK, .seq = 1, .ack = 2);
    is_closed_and_empty(r);
}

static void delayed_ack_is_not_sent_after_an_abort(void **state)
{
    struct rig *r = *state;

    rig_connect(r);
    GIVE(r, .flags = ACK, .len = 100);
    rig_abort(r);
    EXPECT(r, .flags = RST | ACK, .seq = 1, .ack = 101);
    is_closed_and_empty(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(active_close_ends_in_time_wait),
        RIG_TEST(fin_and_ack_in_one_segment_end_in_time_wait),
        RIG_TEST(fin_rides_on_the_last_bytes),
        RIG_TEST(fin_waits_for_the_bytes_before_it),
        RIG_TEST(closing_twice_sends_one_fin),
        RIG_TEST(lost_fin_is_sent_again),
        RIG_TEST(lost_fin_is_sent_again_with_its_bytes),
        RIG_TEST(fin_alone_is_sent_again_into_a_closed_window),
        RIG_TEST(unacknowledged_fin_is_given_up_after_the_timeout),
        RIG_TEST(server_may_go_on_sending_after_our_fin),
        RIG_TEST(acknowledged_fin_is_not_sent_again),
        RIG_TEST(passive_close_ends_closed),
        RIG_TEST(we_may_go_on_sending_after_the_servers_fin),
        RIG_TEST(fin_behind_bytes_of_its_segment_comes_after_them),
        RIG_TEST(fin_before_missing_bytes_waits_for_them),
        RIG_TEST(bare_fin_before_missing_bytes_waits_for_them),
        RIG_TEST(repeated_fin_is_acknowledged_again_and_reported_once),
        RIG_TEST(bytes_behind_the_fin_are_ignored),
        RIG_TEST(simultaneous_close_ends_in_time_wait),
        RIG_TEST(fin_is_sent_again_while_closing),
        RIG_TEST(repeated_fin_is_acknowledged_in_time_wait),
        RIG_TEST(ack_and_rst_do_nothing_in_time_wait),
        RIG_TEST(record_in_time_wait_may_be_opened_again),
        RIG_TEST(reset_closes_every_state_in_silence),
        RIG_TEST(reset_of_an_unacknowledged_fin_tells_so),
        RIG_TEST(abort_resets_behind_everything_sent),
        RIG_TEST(abort_of_a_connection_not_yet_answered_resets_the_syn),
        RIG_TEST(abort_before_the_syn_went_out_sends_nothing),
        RIG_TEST(abort_of_a_closed_connection_sends_nothing),
        RIG_TEST(abort_works_after_our_fin),
        RIG_TEST(abort_works_when_half_closed),
        RIG_TEST(abort_works_after_the_servers_fin),
        RIG_TEST(delayed_ack_is_not_sent_after_an_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
