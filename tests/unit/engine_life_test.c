/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A module in the life of a session: its timer, its memory, start, end and reconnects
 * (include/module.h), with modules made of functions in this file.
 */
#include "engine_rig.h"

#define ABOUT(us, from, distance) \
    assert_in_range((us) - (from), (distance), (distance) + 1 * MILLISECONDS)

static const struct tb_host *host;

/* What the hooks of the test at hand were called with. */
static struct {
    unsigned starts, timers, ends, busy_taken, busy_ends;
    enum tb_verdict verdict;
    uint64_t timer_us[8];
} seen;

static int setup(void **state)
{
    memset(&seen, 0, sizeof seen);
    if (world_setup(state) < 0)
        return -1;
    host = &((struct world *) *state)->host;
    return 0;
}
#define MODULE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

/* --- timer ------------------------------------------------------------------------------------ */

static enum tb_response_status note_timer(struct tb_session *s)
{
    seen.timer_us[seen.timers++] = host->now_us(s);
    return TB_RESPONSE_MORE;
}

static int arm_at_start(struct tb_session *s)
{
    seen.starts++;
    host->set_timer(s, 150 * MILLISECONDS);
    return 0;
}

static enum tb_response_status rearm_twice(struct tb_session *s)
{
    note_timer(s);
    if (seen.timers < 3)
        host->set_timer(s, 100 * MILLISECONDS);
    return TB_RESPONSE_MORE;
}

static void timer_fires_when_it_is_due(void **state)
{
    struct world *w = *state;
    w->module.session_start = arm_at_start;
    w->module.timer = rearm_twice;
    SESSION(w, {.request = 100, .response = 50, .think_us = 2 * SECONDS});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(seen.timers, 3);
    ABOUT(seen.timer_us[0], w->begin_us, 150 * MILLISECONDS);
    ABOUT(seen.timer_us[1], seen.timer_us[0], 100 * MILLISECONDS);
    ABOUT(seen.timer_us[2], seen.timer_us[1], 100 * MILLISECONDS);
}

static enum tb_request_action cancel_timer(struct tb_session *s, const struct tb_request_info *r)
{
    if (r)
        host->set_timer(s, UINT64_MAX);
    return TB_REQUEST_SEND;
}

static void timer_can_be_cancelled(void **state)
{
    struct world *w = *state;
    w->module.session_start = arm_at_start;
    w->module.request = cancel_timer;
    w->module.timer = note_timer;
    SESSION(w, {.request = 100, .response = 50, .server_us = 2 * SECONDS});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(seen.timers, 0);
}

static void timer_ends_with_the_session(void **state)
{
    struct world *w = *state;
    w->module.session_start = arm_at_start;
    w->module.timer = note_timer;
    SESSION(w, {.request = 100, .response = 50});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(seen.timers, 0);
}

static enum tb_response_status complete_by_timer(struct tb_session *s)
{
    note_timer(s);
    return TB_RESPONSE_COMPLETE;
}

static enum tb_response_status never_complete(struct tb_session *s, const uint8_t *data, size_t len,
                                              unsigned flags, size_t *used)
{
    (void) s;
    (void) data;
    (void) flags;
    *used = len;
    return TB_RESPONSE_MORE;
}

static void timer_may_complete_a_response(void **state)
{
    struct world *w = *state;
    w->module.session_start = arm_at_start;
    w->module.timer = complete_by_timer;
    w->module.response = never_complete;
    SESSION(w, {.request = 100, .response = 50});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_answered, 1);
    ABOUT(world_conn(w, 0)->fin_us, w->begin_us, 150 * MILLISECONDS);
}

/* --- state ------------------------------------------------------------------------------------ */

static int state_is_zero(struct tb_session *s)
{
    uint32_t *state = host->session_state(s);

    seen.starts++;
    assert_non_null(state);
    assert_int_equal(state[0], 0);
    assert_int_equal(state[24], 0);
    state[0] = state[24] = 0xdeadbeef;
    return 0;
}

static void session_state_begins_zeroed_in_every_play(void **state)
{
    struct world *w = *state;
    w->module.session_start = state_is_zero;
    w->module.session_size = 100;
    SESSION(w, {.request = 100, .response = 50});
    w->plan_input.users = 3;
    w->config.plays = 4;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 12);
    assert_int_equal(seen.starts, 12);
}

struct busy_probe {
    void *owned;
    uint32_t pad[10];
};

static enum tb_request_action take_busy(struct tb_session *s, const struct tb_request_info *r)
{
    struct busy_probe *b = host->busy_state(s);

    if (!r)
        return TB_REQUEST_SEND;
    assert_non_null(b);
    if (!b->owned) {
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(b->pad[i], 0);
        seen.busy_taken++;
        b->owned = malloc(10);
        b->pad[9] = 1;
    }
    return TB_REQUEST_SEND;
}

static void free_busy(struct tb_session *s, void *busy)
{
    struct busy_probe *b = busy;

    (void) s;
    seen.busy_ends += b->owned != NULL;
    free(b->owned);
}

static void busy_state_begins_zeroed_and_is_given_back_when_idle(void **state)
{
    struct world *w = *state;
    w->module.request = take_busy;
    w->module.busy_end = free_busy;
    w->module.busy_size = sizeof(struct busy_probe);
    SESSION(w, {.request = 100, .response = 50},
            {.request = 100, .response = 50, .think_us = 1 * SECONDS});
    w->plan_input.users = 3;
    w->config.plays = 2;

    world_run_until(w, 500 * MILLISECONDS);
    assert_int_equal(w->worker->module_busy.in_use, 0);
    assert_int_equal(seen.busy_ends, 3);
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 6);
    assert_int_equal(seen.busy_taken, 12);
    assert_int_equal(seen.busy_ends, seen.busy_taken);
}

static void busy_state_is_given_back_when_the_session_fails(void **state)
{
    struct world *w = *state;
    w->module.request = take_busy;
    w->module.busy_end = free_busy;
    w->module.busy_size = sizeof(struct busy_probe);
    SESSION(w, {.request = 100, .response = 50, .is_silent = true, .then = FAKE_RESET});
    w->plan_input.users = 3;

    world_run(w);
    ENDED(w, TB_VERDICT_RESET, 3);
    assert_int_equal(seen.busy_ends, 3);
}

static int know_thyself(struct tb_session *s)
{
    seen.starts++;
    assert_int_equal(host->session_number(s), 17);
    assert_int_equal(host->session_note(s), 99);
    assert_null(host->session_state(s));
    host->count(s, 3, 5);
    host->count(s, -1, 5);
    host->count(s, 64, 5);
    return 0;
}

static void host_tells_of_the_session_and_counts(void **state)
{
    struct world *w = *state;
    w->module.session_start = know_thyself;
    struct session *s = SESSION(w, {.request = 100, .response = 50});
    s->script.number = 17;
    s->script.note = 99;
    w->plan_input.users = 2;

    world_run(w);
    assert_int_equal(seen.starts, 2);
    assert_int_equal(w->stats->module[3], 10);
}

/* --- start and end ---------------------------------------------------------------------------- */

static int refuse_to_start(struct tb_session *s)
{
    (void) s;
    seen.starts++;
    return -1;
}

static int64_t note_end(struct tb_session *s, enum tb_verdict verdict)
{
    (void) s;
    seen.ends++;
    seen.verdict = verdict;
    return -1;
}

static void session_the_module_refuses_sends_nothing(void **state)
{
    struct world *w = *state;
    w->module.session_start = refuse_to_start;
    w->module.session_end = note_end;
    SESSION(w, {.request = 100, .response = 50});

    world_run(w);
    ENDED(w, TB_VERDICT_MODULE, 1);
    assert_int_equal(seen.ends, 1);
    assert_int_equal(seen.verdict, TB_VERDICT_MODULE);
    assert_int_equal(w->worker->tcp.packets_sent, 0);
}

/* Late arrivals that fail at once must not make each other's starts deeper and deeper. */
static int refuse_after_the_first(struct tb_session *s)
{
    (void) s;
    return seen.starts++ == 0 ? 0 : -1;
}

static void many_late_sessions_may_be_refused(void **state)
{
    struct world *w = *state;
    w->module.session_start = refuse_after_the_first;
    SESSION(w, {.request = 100, .response = 50, .server_us = 9 * SECONDS});
    w->config.open_loop = true;
    w->config.plays = 80000;
    w->pacing_input.rate = 10000;

    world_run(w);
    assert_int_equal(w->stats->verdicts[TB_VERDICT_COMPLETED], 1);
    assert_int_equal(w->stats->verdicts[TB_VERDICT_MODULE], 79999);
}

static void session_end_is_told_the_verdict_once(void **state)
{
    struct world *w = *state;
    w->module.session_end = note_end;
    SESSION(w, {.request = 100, .response = 50, .is_silent = true});

    world_run(w);
    ENDED(w, TB_VERDICT_RESPONSE_TIMEOUT, 1);
    assert_int_equal(seen.ends, 1);
    assert_int_equal(seen.verdict, TB_VERDICT_RESPONSE_TIMEOUT);
}

static int64_t again_twice(struct tb_session *s, enum tb_verdict verdict)
{
    (void) s;
    (void) verdict;
    return seen.ends++ < 2 ? (int64_t) (3 * SECONDS) : -1;
}

static void module_may_have_a_session_reconnect(void **state)
{
    struct world *w = *state;
    w->module.session_end = again_twice;
    SESSION(w, {.request = 100, .response = 50});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 3);
    ABOUT(world_conn(w, 1)->syn_us, world_conn(w, 0)->fin_us, 3 * SECONDS);
    ABOUT(world_conn(w, 2)->syn_us, world_conn(w, 1)->fin_us, 3 * SECONDS);
}

static int64_t first_user_again(struct tb_session *s, enum tb_verdict verdict)
{
    (void) verdict;
    return host->session_number(s) == 0 && seen.ends++ == 0 ? (int64_t) (60 * SECONDS) : -1;
}

/* Other users that go on with their next play at once are not taken for it. */
static void run_waits_for_a_reconnect(void **state)
{
    struct world *w = *state;
    w->module.session_end = first_user_again;
    SESSION(w, {.request = 100, .response = 50});
    SESSION(w, {.request = 100, .response = 50, .server_us = 100 * MILLISECONDS});
    w->config.plays = 5;

    world_run(w);
    const struct fake_conn *last = world_conn(w, w->server.count - 1);
    assert_true(last->syn_us - w->begin_us >= 60 * SECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, w->stats->started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODULE_TEST(timer_fires_when_it_is_due),
        MODULE_TEST(timer_can_be_cancelled),
        MODULE_TEST(timer_ends_with_the_session),
        MODULE_TEST(timer_may_complete_a_response),
        MODULE_TEST(session_state_begins_zeroed_in_every_play),
        MODULE_TEST(busy_state_begins_zeroed_and_is_given_back_when_idle),
        MODULE_TEST(busy_state_is_given_back_when_the_session_fails),
        MODULE_TEST(host_tells_of_the_session_and_counts),
        MODULE_TEST(session_the_module_refuses_sends_nothing),
        MODULE_TEST(many_late_sessions_may_be_refused),
        MODULE_TEST(session_end_is_told_the_verdict_once),
        MODULE_TEST(module_may_have_a_session_reconnect),
        MODULE_TEST(run_waits_for_a_reconnect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
