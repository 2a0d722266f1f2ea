/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Modules whose sessions are there to stay (tb_module.holds of include/module.h): how long, who
 * ends them, what is sent meanwhile, and what is left when they are reconnected.
 */
#include "engine_rig.h"

#include <errno.h>

#define ABOUT(us, from, distance) \
    assert_in_range((us) - (from), (distance), (distance) + 1 * MILLISECONDS)

static const struct tb_host *host;

/* What the hooks of the test at hand were called with. */
static struct {
    unsigned unasked_bytes, closed, timers, starts, kept;
    uint32_t state; /* that a start found */
    enum tb_verdict verdict;
} seen;

static enum tb_request_action hold_at_the_end(struct tb_session *s, const struct tb_request_info *r)
{
    (void) s;
    return r ? TB_REQUEST_SEND : TB_REQUEST_HOLD;
}

static enum tb_response_status take(struct tb_session *s, const uint8_t *data, size_t len,
                                    unsigned flags, size_t *used)
{
    (void) s;
    (void) data;
    *used = len;
    seen.closed += (flags & TB_RESPONSE_CLOSED) != 0;
    if (!(flags & TB_RESPONSE_UNASKED))
        return TB_RESPONSE_COMPLETE;
    seen.unasked_bytes += (unsigned) len;
    return TB_RESPONSE_MORE;
}

static int setup(void **state)
{
    memset(&seen, 0, sizeof seen);
    if (world_setup(state) < 0)
        return -1;
    struct world *w = *state;
    host = &w->host;
    w->module.holds = true;
    w->module.request = hold_at_the_end;
    w->module.response = take;
    w->config.hold_us = 30 * SECONDS;
    return 0;
}
#define HOLD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

/* The server does this `after` the session's first 100 bytes and some time. */
static void server_then(struct session *s, uint64_t delay_us, uint32_t reply,
                        enum fake_action action)
{
    s->server.step[s->server.count++] =
        (struct fake_step){.after = 100, .delay_us = delay_us, .reply = reply, .then = action};
}

/* --- how long --------------------------------------------------------------------------------- */

static void captured_end_is_not_played(void **state)
{
    static const enum tb_end ends[] = {TB_END_NONE, TB_END_FIN, TB_END_RST};
    struct world *w = *state;
    for (unsigned i = 0; i < 3; i++) {
        struct session *s = SESSION(w, {.request = 100, .response = 500});
        s->script.end.client = (uint8_t) ends[i];
        s->script.end.delay_us = 100 * MILLISECONDS;
    }
    world_run(w);
    for (unsigned i = 0; i < 3; i++) {
        const struct fake_conn *c = world_conn(w, i);
        ABOUT(c->fin_us, world_arrival_us(c, 100), 30 * SECONDS);
        assert_false(c->reset_by_client);
    }
    ENDED(w, TB_VERDICT_HELD, 3);
    assert_int_equal(tb_stats_completed(w->stats), 3);
    assert_int_equal(tb_stats_failed(w->stats), 0);
}

static void captured_close_of_the_server_is_not_waited_for(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end.server = TB_END_FIN;
    s->script.end.server_first = s->script.end.server_fin = true;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 30 * SECONDS);
    ENDED(w, TB_VERDICT_HELD, 1);
}

static void held_session_needs_no_memory_while_its_response_is_open(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 50, .unanswered = true});
    s->script.end.bytes = 50; /* the client had so many of them when it closed */
    server_then(s, 5 * SECONDS, 700, FAKE_NOTHING);

    world_run_until(w, 20 * SECONDS);
    assert_int_equal(w->stats->open, 1);
    assert_int_equal(seen.unasked_bytes, 750);
    assert_int_equal(w->worker->tcp.busy.in_use, 0);
    world_run(w);
    ENDED(w, TB_VERDICT_HELD, 1);
}

static void what_comes_behind_the_farewell_is_still_read(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 50});
    s->script.end.client = TB_END_FIN;
    s->script.end.client_rst = true; /* there, it was refused */
    s->server.step[s->server.count++] =
        (struct fake_step){.after = 100, .after_fin = true, .delay_us = SECONDS / 2, .reply = 300};

    world_run(w);
    assert_int_equal(seen.unasked_bytes, 300);
    assert_false(world_conn(w, 0)->reset_by_client);
    ENDED(w, TB_VERDICT_HELD, 1);
}

/* A server with many clients that leave at once takes its time. */
static void server_that_closes_late_is_not_reset(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 50});
    s->server.step[s->server.count++] = (struct fake_step){
        .after = 100, .after_fin = true, .delay_us = 18 * SECONDS / 10, .then = FAKE_CLOSE};

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(w->worker->last_end_us, c->fin_us, 1 * SECONDS); /* close-wait */
    assert_false(c->reset_by_client);
    assert_true(c->fin_acked);
    ENDED(w, TB_VERDICT_HELD, 1);
}

/* As the kernel does when a program has closed its socket. */
static void what_comes_when_the_session_is_over_is_refused(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 50});
    s->server.never_closes = true;
    s->server.step[s->server.count++] = (struct fake_step){
        .after = 100, .after_fin = true, .delay_us = 15 * SECONDS / 10, .reply = 300};

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->rst_us, c->fin_us, 15 * SECONDS / 10);
    assert_int_equal(seen.unasked_bytes, 0);
    ENDED(w, TB_VERDICT_HELD, 1);
}

static enum tb_response_status leave(struct tb_session *s)
{
    (void) s;
    seen.timers++;
    return TB_RESPONSE_LEAVE;
}

static int leave_in_3_s(struct tb_session *s)
{
    host->set_timer(s, 3 * SECONDS);
    return 0;
}

static void module_may_leave_earlier(void **state)
{
    struct world *w = *state;
    w->config.hold_us = 0; /* for ever */
    w->module.session_start = leave_in_3_s;
    w->module.timer = leave;
    SESSION(w, {.request = 100, .response = 500});

    world_run(w);
    ABOUT(world_conn(w, 0)->fin_us, world_conn(w, 0)->syn_us, 3 * SECONDS);
    ENDED(w, TB_VERDICT_HELD, 1);
}

static void module_may_leave_while_a_response_is_awaited(void **state)
{
    struct world *w = *state;
    w->module.session_start = leave_in_3_s;
    w->module.timer = leave;
    SESSION(w, {.request = 100, .response = 500, .is_silent = true},
            {.request = 100, .response = 500});

    world_run(w);
    assert_int_equal(world_conn(w, 0)->in_order, 100);
    ABOUT(world_conn(w, 0)->fin_us, world_conn(w, 0)->syn_us, 3 * SECONDS);
    ENDED(w, TB_VERDICT_HELD, 1);
}

static void held_sessions_leave_when_the_duration_is_over(void **state)
{
    struct world *w = *state;
    w->config.hold_us = 0;
    w->config.duration_us = 7 * SECONDS;
    w->config.grace_us = 5 * SECONDS;
    w->plan_input.users = 300; /* more than one turn looks at */
    SESSION(w, {.request = 100, .response = 500});

    world_run(w);
    for (uint32_t i = 0; i < 300; i++)
        assert_in_range(world_conn(w, i)->fin_us - w->begin_us, 7 * SECONDS,
                        7 * SECONDS + 50 * MILLISECONDS);
    ENDED(w, TB_VERDICT_HELD, 300);
}

static void session_that_begins_to_hold_after_the_duration_leaves_at_once(void **state)
{
    struct world *w = *state;
    w->config.hold_us = 0;
    w->config.duration_us = 1 * SECONDS;
    w->config.grace_us = 5 * SECONDS;
    w->config.plays = 1;
    SESSION(w, {.request = 100, .response = 500, .server_us = 2 * SECONDS});

    world_run(w);
    ENDED(w, TB_VERDICT_HELD, 1);
}

/* --- who ends it ------------------------------------------------------------------------------ */

static void server_that_closes_a_held_session_fails_it(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end.server = TB_END_FIN; /* in the capture, too */
    s->script.end.server_fin = true;
    server_then(s, 2 * SECONDS, 0, FAKE_CLOSE);

    world_run(w);
    ABOUT(world_conn(w, 0)->fin_us, world_arrival_us(world_conn(w, 0), 100), 2 * SECONDS);
    assert_int_equal(seen.closed, 1);
    ENDED(w, TB_VERDICT_SERVER_CLOSED, 1);
    assert_int_equal(tb_stats_failed(w->stats), 1);
}

static void server_that_resets_a_held_session_fails_it(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end.server = TB_END_RST;
    server_then(s, 2 * SECONDS, 0, FAKE_RESET);

    world_run(w);
    ENDED(w, TB_VERDICT_SERVER_CLOSED, 1);
}

static void server_that_closes_before_the_last_request_fails_it(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .then = FAKE_CLOSE},
            {.request = 100, .response = 500, .think_us = 5 * SECONDS});

    world_run(w);
    ENDED(w, TB_VERDICT_SERVER_CLOSED, 1);
}

static enum tb_response_status close_is_fine(struct tb_session *s, const uint8_t *data, size_t len,
                                             unsigned flags, size_t *used)
{
    take(s, data, len, flags, used);
    return flags & TB_RESPONSE_CLOSED || !(flags & TB_RESPONSE_UNASKED) ? TB_RESPONSE_COMPLETE
                                                                        : TB_RESPONSE_MORE;
}

static void module_may_know_that_the_server_has_to_close(void **state)
{
    struct world *w = *state;
    w->module.response = close_is_fine;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    server_then(s, 2 * SECONDS, 0, FAKE_CLOSE);

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static enum tb_response_status lost_at_the_push(struct tb_session *s, const uint8_t *data,
                                                size_t len, unsigned flags, size_t *used)
{
    if (take(s, data, len, flags, used) == TB_RESPONSE_COMPLETE)
        return TB_RESPONSE_COMPLETE;
    host->send(s, "BYE", 3);
    return TB_RESPONSE_LOST;
}

static void module_may_close_because_the_server_asked_for_it(void **state)
{
    struct world *w = *state;
    w->module.response = lost_at_the_push;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    server_then(s, 2 * SECONDS, 20, FAKE_NOTHING);

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    assert_int_equal(c->in_order, 103);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 2 * SECONDS);
    ENDED(w, TB_VERDICT_SERVER_CLOSED, 1);
}

static enum tb_request_action close_at_the_end(struct tb_session *s,
                                               const struct tb_request_info *r)
{
    (void) s;
    (void) r;
    return TB_REQUEST_SEND;
}

static void session_that_is_not_held_closes_at_once(void **state)
{
    struct world *w = *state;
    w->config.hold_us = 0;
    w->module.request = close_at_the_end;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end.client = TB_END_RST;
    s->script.end.delay_us = 2 * SECONDS;

    world_run(w);
    ABOUT(world_conn(w, 0)->fin_us, world_arrival_us(world_conn(w, 0), 100), 0);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

/* --- meanwhile -------------------------------------------------------------------------------- */

static enum tb_response_status send_the_second_again(struct tb_session *s)
{
    assert_int_equal(host->send_request(s, 2), -ERANGE);
    assert_int_equal(host->send_request(s, 1), 0);
    if (++seen.timers < 3)
        host->set_timer(s, 1 * SECONDS);
    return TB_RESPONSE_MORE;
}

static enum tb_request_action hold_with_timer(struct tb_session *s, const struct tb_request_info *r)
{
    if (!r)
        host->set_timer(s, 1 * SECONDS);
    return hold_at_the_end(s, r);
}

static void captured_request_may_be_sent_again(void **state)
{
    struct world *w = *state;
    w->module.request = hold_with_timer;
    w->module.timer = send_the_second_again;
    w->chunk_bytes = 11;
    struct session *s =
        SESSION(w, {.request = 100, .response = 10}, {.request = 40, .response = 10});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    assert_int_equal(c->in_order, 140 + 3 * 40);
    for (unsigned i = 0; i < 4; i++)
        assert_memory_equal(c->in + 100 + 40 * i, s->bytes + 100, 40);
    ABOUT(world_arrival_us(c, 220), world_arrival_us(c, 180), 1 * SECONDS);
    ENDED(w, TB_VERDICT_HELD, 1);
}

static enum tb_request_action patient(struct tb_session *s, const struct tb_request_info *r)
{
    if (r && r->index == 0)
        host->no_timeout(s);
    return hold_at_the_end(s, r);
}

static void response_may_take_as_long_as_the_server_likes(void **state)
{
    struct world *w = *state;
    w->module.request = patient;
    w->config.timeout_us = 5 * SECONDS;
    SESSION(w, {.request = 100, .response = 10, .server_us = 600 * SECONDS});
    world_run(w);
    ENDED(w, TB_VERDICT_HELD, 1);
}

static void other_responses_still_time_out(void **state)
{
    struct world *w = *state;
    w->module.request = patient;
    w->config.timeout_us = 5 * SECONDS;
    SESSION(w, {.request = 100, .response = 10, .server_us = 600 * SECONDS},
            {.request = 100, .response = 10, .is_silent = true});
    world_run(w);
    ENDED(w, TB_VERDICT_RESPONSE_TIMEOUT, 1);
}

/* Keeps what has come of a push of 30 bytes until it is whole. */
static enum tb_response_status keep_until_whole(struct tb_session *s, const uint8_t *data,
                                                size_t len, unsigned flags, size_t *used)
{
    if (take(s, data, len, flags, used) == TB_RESPONSE_COMPLETE)
        return TB_RESPONSE_COMPLETE;
    uint32_t *have = host->busy_state(s);
    seen.kept += *have > 0;
    *have += (uint32_t) len;
    host->keep_busy(s, *have < 30);
    return TB_RESPONSE_MORE;
}

static void busy_state_may_be_kept_for_what_is_half_read(void **state)
{
    struct world *w = *state;
    w->module.response = keep_until_whole;
    w->module.busy_size = sizeof(uint32_t);
    struct session *s = SESSION(w, {.request = 100, .response = 10});
    server_then(s, 1 * SECONDS, 12, FAKE_NOTHING);
    server_then(s, 2 * SECONDS, 18, FAKE_NOTHING);

    world_run_until(w, 2 * SECONDS);
    assert_int_equal(w->worker->tcp.busy.in_use, 1);
    world_run_until(w, 10 * SECONDS);
    assert_int_equal(seen.kept, 1);
    assert_int_equal(w->worker->tcp.busy.in_use, 0);
    world_run(w);
    ENDED(w, TB_VERDICT_HELD, 1);
}

static int look_at_the_clocks(struct tb_session *s)
{
    const struct world *w =
        (const struct world *) (const void *) ((const char *) host - offsetof(struct world, host));
    assert_int_equal(host->real_us(s), w->real_us);
    assert_int_equal(host->hold_us(s), 30 * SECONDS);
    assert_int_equal(host->run_left_us(s), w->begin_us + 60 * SECONDS - w->now_us);
    assert_int_equal(host->scale_us(s, 1000), 500);
    seen.starts++;
    return 0;
}

static void host_tells_the_times_of_the_run(void **state)
{
    struct world *w = *state;
    w->module.session_start = look_at_the_clocks;
    w->config.duration_us = 60 * SECONDS;
    w->config.plays = 1;
    w->pacing_input.accelerate = 2;
    SESSION(w, {.request = 100, .response = 10});
    world_run(w);
    assert_int_equal(seen.starts, 1);
}

/* --- again ------------------------------------------------------------------------------------ */

static int note_state(struct tb_session *s)
{
    seen.starts++;
    seen.state = *(uint32_t *) host->session_state(s);
    return 0;
}

static int64_t again_once(struct tb_session *s, enum tb_verdict verdict)
{
    seen.verdict = verdict;
    *(uint32_t *) host->session_state(s) = 4711;
    return verdict == TB_VERDICT_SERVER_CLOSED && seen.starts == 1 ? (int64_t) (2 * SECONDS) : -1;
}

static void reconnect_finds_the_state_as_it_was_left(void **state)
{
    struct world *w = *state;
    w->module.session_start = note_state;
    w->module.session_end = again_once;
    w->module.session_size = sizeof(uint32_t);
    struct session *s = SESSION(w, {.request = 100, .response = 10});
    server_then(s, 1 * SECONDS, 0, FAKE_CLOSE);

    world_run(w);
    assert_int_equal(seen.starts, 2);
    assert_int_equal(seen.state, 4711);
    assert_int_equal(w->stats->reconnects, 1);
    assert_int_equal(w->stats->started, 2);
    ENDED(w, TB_VERDICT_SERVER_CLOSED, 2);
}

static void next_play_finds_its_state_zeroed(void **state)
{
    struct world *w = *state;
    w->module.session_start = note_state;
    w->module.session_end = again_once;
    w->module.session_size = sizeof(uint32_t);
    w->config.plays = 2;
    SESSION(w, {.request = 100, .response = 10});

    world_run(w);
    assert_int_equal(seen.starts, 2);
    assert_int_equal(seen.state, 0);
    assert_int_equal(w->stats->reconnects, 0);
    ENDED(w, TB_VERDICT_HELD, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLD_TEST(captured_end_is_not_played),
        HOLD_TEST(captured_close_of_the_server_is_not_waited_for),
        HOLD_TEST(held_session_needs_no_memory_while_its_response_is_open),
        HOLD_TEST(what_comes_behind_the_farewell_is_still_read),
        HOLD_TEST(server_that_closes_late_is_not_reset),
        HOLD_TEST(what_comes_when_the_session_is_over_is_refused),
        HOLD_TEST(module_may_leave_earlier),
        HOLD_TEST(module_may_leave_while_a_response_is_awaited),
        HOLD_TEST(held_sessions_leave_when_the_duration_is_over),
        HOLD_TEST(session_that_begins_to_hold_after_the_duration_leaves_at_once),
        HOLD_TEST(server_that_closes_a_held_session_fails_it),
        HOLD_TEST(server_that_resets_a_held_session_fails_it),
        HOLD_TEST(server_that_closes_before_the_last_request_fails_it),
        HOLD_TEST(module_may_know_that_the_server_has_to_close),
        HOLD_TEST(module_may_close_because_the_server_asked_for_it),
        HOLD_TEST(session_that_is_not_held_closes_at_once),
        HOLD_TEST(captured_request_may_be_sent_again),
        HOLD_TEST(response_may_take_as_long_as_the_server_likes),
        HOLD_TEST(other_responses_still_time_out),
        HOLD_TEST(busy_state_may_be_kept_for_what_is_half_read),
        HOLD_TEST(host_tells_the_times_of_the_run),
        HOLD_TEST(reconnect_finds_the_state_as_it_was_left),
        HOLD_TEST(next_play_finds_its_state_zeroed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
