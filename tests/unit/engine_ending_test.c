/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions end as captured: who closes first, after which progress and time, with FIN or RST; and
 * what happens when the server does otherwise.
 */
#include "engine_rig.h"

#define ABOUT(us, from, distance) \
    assert_in_range((us) - (from), (distance), (distance) + 1 * MILLISECONDS)

/* --- the client closes first ------------------------------------------------------------------ */

static void client_closes_after_the_captured_time(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end.delay_us = 300 * MILLISECONDS;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 300 * MILLISECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_true(c->fin_acked);
    assert_false(c->reset_by_client);
}

static void time_of_the_end_is_accelerated(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end.delay_us = 3 * SECONDS;
    w->pacing_input.accelerate = 10;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 300 * MILLISECONDS);
}

/* shutdown(SHUT_WR), then the answer. */
static void half_closed_client_gets_its_response(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 5000, .is_silent = true});
    s->script.end.waits_for = 0;
    s->script.end.delay_us = 20 * MILLISECONDS;
    s->server.step[0] =
        (struct fake_step){.after = 100, .after_fin = true, .reply = 5000, .delay_us = 1 * SECONDS};
    s->server.count = 1;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 20 * MILLISECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->worker->tcp.bytes_received, 5000);
    assert_int_equal(w->stats->requests_answered, 1);
    assert_true(c->fin_acked);
}

static void half_closed_client_waits_no_longer_than_the_timeout(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 5000, .is_silent = true});
    s->script.end.waits_for = 0;
    s->server.never_closes = true;

    world_run(w);
    ENDED(w, TB_VERDICT_RESPONSE_TIMEOUT, 1);
    assert_true(world_conn(w, 0)->reset_by_client);
}

static void server_that_does_not_close_is_left_after_close_wait(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->server.never_closes = true;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    ABOUT(w->worker->last_end_us, world_conn(w, 0)->fin_us, 1 * SECONDS);
    /* Nothing stays open on the target when the run is over. */
    assert_true(world_conn(w, 0)->reset_by_client);
}

/* A million that leave at once take a server seconds: as long as it goes on closing it is let. */
static void servers_that_still_close_are_not_reset(void **state)
{
    struct world *w = *state;
    for (uint64_t i = 0; i < 3; i++) {
        struct session *s = SESSION(w, {.request = 100, .response = 500});
        /* after the client's FIN: 1 s is close-wait, each of the others less than one later */
        s->server.step[1] = (struct fake_step){.after = 100,
                                               .after_fin = true,
                                               .then = FAKE_CLOSE,
                                               .delay_us = (18 + 8 * i) * 100 * MILLISECONDS};
        s->server.count = 2;
    }
    w->plan_input.users = 3;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(world_conn(w, i)->fin_acked);
        assert_false(world_conn(w, i)->reset_by_client);
    }
}

enum { SLOWLY_CLOSED = 40 };

static const struct fake_script *closes_later_than_the_last(void *ctx, const struct fake_conn *c)
{
    static struct fake_script made[SLOWLY_CLOSED];
    struct world *w = ctx;
    uint32_t nth = w->server.count % SLOWLY_CLOSED;
    (void) c;

    made[nth] = w->session[0]->server;
    made[nth].step[1].delay_us = 900 * (1 + nth) * MILLISECONDS;
    return &made[nth];
}

static void servers_that_close_without_end_are_reset(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->server.step[1] = (struct fake_step){.after = 100, .after_fin = true, .then = FAKE_CLOSE};
    s->server.count = 2;
    w->plan_input.users = SLOWLY_CLOSED;
    world_start(w);
    w->server.choose = closes_later_than_the_last;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, SLOWLY_CLOSED);
    uint32_t resets = 0;
    for (uint32_t i = 0; i < SLOWLY_CLOSED; i++)
        resets += world_conn(w, i)->reset_by_client;
    /* 30 s after the last verdict, which close-wait gives 1 s after the FIN */
    assert_in_range(resets, 4, 7);
}

static void client_may_close_without_waiting_for_all_of_the_response(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 200000, .unanswered = true});
    s->script.end.waits_for = 0;
    s->script.end.bytes = 50000;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_true(w->worker->tcp.bytes_received >= 50000);
}

/* --- the client resets ------------------------------------------------------------------------ */

static void client_resets_after_the_captured_progress(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 200000, .unanswered = true});
    s->script.end =
        (struct tb_script_end){.client = TB_END_RST, .bytes = 50000, .delay_us = 30 * MILLISECONDS};
    s->server.step[0].reply = 50000;
    s->server.step[1] = (struct fake_step){.after = 100, .reply = 150000, .delay_us = 5 * SECONDS};
    s->server.count = 2;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    assert_true(c->reset_by_client);
    assert_false(c->has_client_fin);
    assert_in_range(c->rst_us - c->syn_us, 30 * MILLISECONDS, 40 * MILLISECONDS);
    assert_int_equal(w->worker->tcp.bytes_received, 50000);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

/* A download given up: the captured client closed, and reset when the server went on sending. */
static void client_that_had_closed_for_good_resets_at_the_next_bytes(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 200000, .unanswered = true});
    s->script.end = (struct tb_script_end){
        .client = TB_END_FIN, .client_rst = true, .bytes = 50000, .delay_us = 30 * MILLISECONDS};
    s->server.step[0].reply = 50000;
    s->server.step[1] =
        (struct fake_step){.after = 100, .reply = 150000, .delay_us = 200 * MILLISECONDS};
    s->server.count = 2;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    assert_true(c->has_client_fin);
    assert_true(c->reset_by_client);
    assert_in_range(c->rst_us - c->syn_us, 200 * MILLISECONDS, 240 * MILLISECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void client_resets_only_when_its_bytes_are_acknowledged(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100000});
    s->script.end = (struct tb_script_end){.client = TB_END_RST};
    w->one_way_us = 20 * MILLISECONDS;

    world_run(w);
    world_all_arrived(w, 0, s);
    assert_true(world_conn(w, 0)->reset_by_client);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

/* A segment of the response is lost for good: the server died. The RST waits for our bytes only. */
static void client_resets_with_a_hole_in_the_response(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 5000, .unanswered = true});
    s->script.end = (struct tb_script_end){.client = TB_END_RST, .delay_us = 10 * MILLISECONDS};
    w->to_client.lose = 2;

    world_run_until(w, 1 * MILLISECONDS);
    w->server.is_deaf = true;
    w->to_client.lose = 1;
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_true(w->worker->last_end_us - w->begin_us < 100 * MILLISECONDS);
}

static void client_that_resets_without_progress_gives_up_in_time(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 5000, .is_silent = true});
    s->script.end = (struct tb_script_end){.client = TB_END_RST, .bytes = 3000};

    world_run(w);
    ENDED(w, TB_VERDICT_RESPONSE_TIMEOUT, 1);
}

/* --- the server closes first ------------------------------------------------------------------ */

static struct session *server_first(struct world *w, enum fake_action then)
{
    struct session *s = SESSION(w, {.request = 100, .response = 500, .then = then});

    s->script.end.server_first = true;
    return s;
}

static void client_closes_after_the_server(void **state)
{
    struct world *w = *state;
    struct session *s = server_first(w, FAKE_CLOSE);
    s->script.end.delay_us = 100 * MILLISECONDS;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 100 * MILLISECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_true(c->client_closed);
    assert_true(c->fin_acked);
}

static void server_gets_its_time_to_close_first(void **state)
{
    struct world *w = *state;
    struct session *s = server_first(w, FAKE_NOTHING);
    s->server.step[1] =
        (struct fake_step){.after = 100, .delay_us = 800 * MILLISECONDS, .then = FAKE_CLOSE};
    s->server.count = 2;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 800 * MILLISECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void client_closes_when_the_server_does_not_within_close_wait(void **state)
{
    struct world *w = *state;
    server_first(w, FAKE_NOTHING);

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 1 * SECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void close_that_the_capture_shows_too_is_no_failure(void **state)
{
    struct world *w = *state;
    /* The server closes after the first response; the client had sent another request by then. */
    struct session *s = SESSION(w, {.request = 100, .response = 500, .then = FAKE_CLOSE},
                                {.request = 50, .think_us = 100 * MILLISECONDS});
    s->script.end.server_first = true;
    s->script.end.server_responses = 1;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    world_all_arrived(w, 0, s);
}

/* What was still on its way when the server closed as captured finds nobody there. */
static void reset_behind_the_captured_close_is_no_failure(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500, .then = FAKE_CLOSE},
                                {.request = 50000, .think_us = 100 * MILLISECONDS});
    s->script.end.server_first = true;
    s->script.end.server_responses = 1;
    s->server.step[1] = (struct fake_step){.after = 2000, .then = FAKE_RESET};
    s->server.count = 2;

    world_run(w);
    assert_true(world_conn(w, 0)->reset_by_server);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void response_that_only_the_close_completes_is_no_mismatch(void **state)
{
    struct world *w = *state;
    struct session *s = server_first(w, FAKE_CLOSE);
    s->server.step[0].reply = 500;

    world_run(w);
    assert_int_equal(w->stats->requests_mismatched, 0);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

/* --- the server resets ------------------------------------------------------------------------ */

static void reset_that_the_capture_shows_too_is_no_failure(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500, .then = FAKE_RESET});
    s->script.end = (struct tb_script_end){
        .server = TB_END_RST, .server_first = true, .waits_for = 1, .server_responses = 1};

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void reset_before_the_captured_progress_fails_the_session(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500, .then = FAKE_RESET},
                                {.request = 100, .response = 500, .think_us = 1 * SECONDS});
    s->script.end = (struct tb_script_end){
        .server = TB_END_RST, .server_first = true, .waits_for = 2, .server_responses = 2};

    world_run(w);
    ENDED(w, TB_VERDICT_RESET, 1);
}

static void reset_in_place_of_the_last_close_is_no_failure(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end.delay_us = 1 * SECONDS;
    s->server.step[1] =
        (struct fake_step){.after = 100, .delay_us = 500 * MILLISECONDS, .then = FAKE_RESET};
    s->server.count = 2;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

/* --- no end in the capture -------------------------------------------------------------------- */

static void session_without_an_end_closes_politely(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end = (struct tb_script_end){0};

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 0);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_true(c->fin_acked);
}

static void session_without_an_end_waits_for_its_last_response(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500, .server_us = 2 * SECONDS});
    s->script.end = (struct tb_script_end){0};

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 2 * SECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void server_that_closed_in_the_capture_is_waited_for(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end =
        (struct tb_script_end){.server = TB_END_FIN, .server_fin = true, .server_responses = 1};

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 1 * SECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

/* --- holding ---------------------------------------------------------------------------------- */

static void session_is_held_open(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->config.hold_us = 30 * SECONDS;

    world_run_until(w, 20 * SECONDS);
    assert_int_equal(w->stats->open, 1);
    assert_int_equal(w->worker->tcp.busy.in_use, 0);
    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 30 * SECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void holding_ends_when_the_server_closes(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    w->config.hold_us = 30 * SECONDS;
    s->server.step[1] =
        (struct fake_step){.after = 100, .delay_us = 2 * SECONDS, .then = FAKE_CLOSE};
    s->server.count = 2;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(c->fin_us, world_arrival_us(c, 100), 2 * SECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void held_session_ends_by_the_captured_reset(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.end.client = TB_END_RST;
    w->config.hold_us = 3 * SECONDS;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    assert_true(c->reset_by_client);
    ABOUT(c->rst_us, world_arrival_us(c, 100), 3 * SECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(client_closes_after_the_captured_time),
        WORLD_TEST(time_of_the_end_is_accelerated),
        WORLD_TEST(half_closed_client_gets_its_response),
        WORLD_TEST(half_closed_client_waits_no_longer_than_the_timeout),
        WORLD_TEST(server_that_does_not_close_is_left_after_close_wait),
        WORLD_TEST(servers_that_still_close_are_not_reset),
        WORLD_TEST(servers_that_close_without_end_are_reset),
        WORLD_TEST(client_may_close_without_waiting_for_all_of_the_response),
        WORLD_TEST(client_resets_after_the_captured_progress),
        WORLD_TEST(client_that_had_closed_for_good_resets_at_the_next_bytes),
        WORLD_TEST(client_resets_only_when_its_bytes_are_acknowledged),
        WORLD_TEST(client_resets_with_a_hole_in_the_response),
        WORLD_TEST(client_that_resets_without_progress_gives_up_in_time),
        WORLD_TEST(client_closes_after_the_server),
        WORLD_TEST(server_gets_its_time_to_close_first),
        WORLD_TEST(client_closes_when_the_server_does_not_within_close_wait),
        WORLD_TEST(close_that_the_capture_shows_too_is_no_failure),
        WORLD_TEST(reset_behind_the_captured_close_is_no_failure),
        WORLD_TEST(response_that_only_the_close_completes_is_no_mismatch),
        WORLD_TEST(reset_that_the_capture_shows_too_is_no_failure),
        WORLD_TEST(reset_before_the_captured_progress_fails_the_session),
        WORLD_TEST(reset_in_place_of_the_last_close_is_no_failure),
        WORLD_TEST(session_without_an_end_closes_politely),
        WORLD_TEST(session_without_an_end_waits_for_its_last_response),
        WORLD_TEST(server_that_closed_in_the_capture_is_waited_for),
        WORLD_TEST(session_is_held_open),
        WORLD_TEST(holding_ends_when_the_server_closes),
        WORLD_TEST(held_session_ends_by_the_captured_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
