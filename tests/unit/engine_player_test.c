/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Playing a session: when requests are sent, when responses count as complete, and how sessions
 * fail. No module: responses are counted in bytes.
 */
#include "engine_rig.h"

/* `us` within a millisecond after `from` + `distance`. */
#define ABOUT(us, from, distance) \
    assert_in_range((us) - (from), (distance), (distance) + 1 * MILLISECONDS)

/* --- requests --------------------------------------------------------------------------------- */

static void request_and_response_complete_a_session(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    world_all_arrived(w, 0, s);
    assert_int_equal(w->stats->established, 1);
    assert_int_equal(w->stats->requests_planned, 1);
    assert_int_equal(w->stats->requests_sent, 1);
    assert_int_equal(w->stats->requests_answered, 1);
    assert_int_equal(w->stats->requests_mismatched, 0);
    assert_int_equal(w->worker->tcp.bytes_sent, 100);
    assert_int_equal(w->worker->tcp.bytes_received, 500);
}

static void session_without_requests_is_played(void **state)
{
    struct world *w = *state;
    world_session(w, 0, NULL);

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_true(world_conn(w, 0)->client_closed);
}

static void first_request_thinks_from_the_handshake(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .think_us = 250 * MILLISECONDS});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 100), c->syn_us, 250 * MILLISECONDS);
}

static void request_thinks_from_the_response_before_it(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 300 * MILLISECONDS},
            {.request = 50, .response = 500, .think_us = 70 * MILLISECONDS});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), world_arrival_us(c, 100), 370 * MILLISECONDS);
}

static void think_times_are_accelerated(void **state)
{
    struct world *w = *state;
    w->pacing_input.accelerate = 10;
    SESSION(w, {.request = 100, .response = 500},
            {.request = 50, .response = 500, .think_us = 5 * SECONDS});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), world_arrival_us(c, 100), 500 * MILLISECONDS);
}

static void acceleration_of_0_leaves_no_think_time(void **state)
{
    struct world *w = *state;
    w->pacing_input.accelerate = 0;
    SESSION(w, {.request = 100, .response = 500, .think_us = 5 * SECONDS},
            {.request = 50, .response = 500, .think_us = 5 * SECONDS});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), c->syn_us, 0);
}

static void pipelined_requests_keep_their_distance(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(
        w, {.request = 100, .response = 500, .server_us = 1 * SECONDS},
        {.request = 50, .response = 500, .think_us = 30 * MILLISECONDS, .flags = TB_REQ_PIPELINED},
        {.request = 70, .response = 500, .think_us = 40 * MILLISECONDS, .flags = TB_REQ_PIPELINED});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), world_arrival_us(c, 100), 30 * MILLISECONDS);
    ABOUT(world_arrival_us(c, 220), world_arrival_us(c, 150), 40 * MILLISECONDS);
    world_all_arrived(w, 0, s);
    assert_int_equal(w->stats->requests_answered, 3);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void answers_to_pipelined_requests_may_come_in_one_piece(void **state)
{
    struct world *w = *state;
    struct session *s =
        SESSION(w, {.request = 100, .response = 300, .is_silent = true},
                {.request = 100, .response = 200, .flags = TB_REQ_PIPELINED, .reply = 500},
                {.request = 10, .response = 50, .think_us = 1 * MILLISECONDS});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_answered, 3);
    assert_int_equal(w->stats->requests_mismatched, 0);
    world_all_arrived(w, 0, s);
}

static void request_waits_for_the_response_before_it(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 5000, .server_us = 2 * SECONDS},
            {.request = 50, .response = 10});

    world_run_until(w, 1900 * MILLISECONDS);
    assert_int_equal(world_conn(w, 0)->in_order, 100);
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void request_without_response_is_not_waited_for(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .flags = TB_REQ_NO_RESPONSE},
                                {.request = 50, .response = 10, .think_us = 5 * MILLISECONDS});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), world_arrival_us(c, 100), 5 * MILLISECONDS);
    world_all_arrived(w, 0, s);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void request_cut_off_by_the_capture_is_not_waited_for(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 10}, {.request = 50});

    world_run(w);
    world_all_arrived(w, 0, s);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_true(w->worker->last_end_us - w->begin_us < 100 * MILLISECONDS);
}

static void continued_request_counts_once(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100},
                                {.request = 50,
                                 .response = 10,
                                 .think_us = 20 * MILLISECONDS,
                                 .flags = TB_REQ_CONTINUED | TB_REQ_PIPELINED});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), world_arrival_us(c, 100), 20 * MILLISECONDS);
    assert_int_equal(w->stats->requests_planned, 1);
    assert_int_equal(w->stats->requests_sent, 1);
    world_all_arrived(w, 0, s);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void requests_scattered_over_chunks_arrive_whole(void **state)
{
    struct world *w = *state;
    w->chunk_bytes = 37;
    struct session *s = SESSION(w, {.request = 1000, .response = 10},
                                {.request = 5, .response = 10}, {.request = 3000, .response = 10});

    world_run(w);
    world_all_arrived(w, 0, s);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void long_requests_and_responses_arrive_whole(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 300000, .response = 400000});

    world_run(w);
    world_all_arrived(w, 0, s);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->worker->tcp.bytes_received, 400000);
    assert_int_equal(w->worker->tcp.retransmitted, 0);
}

static void users_play_their_own_sessions(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 10});
    SESSION(w, {.request = 333, .response = 20});
    w->plan_input.users = 6;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 6);
    for (uint32_t i = 0; i < 6; i++)
        world_all_arrived(w, i, w->session[i % 2]);
}

/* --- responses -------------------------------------------------------------------------------- */

static void greeting_is_awaited_before_the_first_request(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->script.has_greeting = true;
    s->script.greeting_bytes = 80;
    s->script.responses = 2;
    s->request[0].waits_for = 1;
    s->request[0].think_us = 10 * MILLISECONDS;
    s->script.end.waits_for = 2;
    s->server.step[1] = s->server.step[0];
    s->server.step[0] = (struct fake_step){.reply = 80, .delay_us = 200 * MILLISECONDS};
    s->server.count = 2;

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 100), c->syn_us, 210 * MILLISECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_answered, 1);
}

static void longer_response_counts_as_complete(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .reply = 900},
            {.request = 50, .response = 10, .think_us = 10 * MILLISECONDS});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_mismatched, 0);
    assert_int_equal(w->stats->requests_answered, 2);
}

static void shorter_response_is_a_mismatch_after_the_quiet_time(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .reply = 400}, {.request = 50, .response = 10});

    world_run(w);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), world_arrival_us(c, 100), 200 * MILLISECONDS);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_mismatched, 1);
    assert_int_equal(w->stats->mismatched_sessions, 1);
    assert_int_equal(w->stats->example_count, 1);
    assert_string_equal(w->stats->examples[0].captured, "500 bytes");
    assert_string_equal(w->stats->examples[0].seen, "400 bytes");
}

static void quiet_time_is_not_part_of_the_response_time(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .reply = 400, .server_us = 50 * MILLISECONDS});

    world_run(w);
    assert_int_equal(w->stats->response.count, 1);
    assert_in_range(w->stats->response.max, 50 * MILLISECONDS, 52 * MILLISECONDS);
}

static void server_that_paused_in_the_capture_may_pause_again(void **state)
{
    struct world *w = *state;
    struct session *s =
        SESSION(w, {.request = 100, .response = 500, .reply = 250, .silence_us = 3 * SECONDS});
    s->server.step[s->server.count++] =
        (struct fake_step){.after = 100, .reply = 250, .delay_us = 3100 * MILLISECONDS};

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_mismatched, 0);
}

static void response_in_pieces_is_one_response(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500, .reply = 100});
    for (unsigned i = 0; i < 4; i++)
        s->server.step[s->server.count++] =
            (struct fake_step){.after = 100, .reply = 100, .delay_us = 150 * MILLISECONDS};

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_mismatched, 0);
    assert_in_range(w->stats->first_byte.max, 0, 2 * MILLISECONDS);
    assert_in_range(w->stats->response.max, 600 * MILLISECONDS, 602 * MILLISECONDS);
}

static void latencies_are_measured(void **state)
{
    struct world *w = *state;
    w->one_way_us = 5 * MILLISECONDS;
    SESSION(w, {.request = 100, .response = 500, .server_us = 80 * MILLISECONDS});

    world_run(w);
    assert_int_equal(w->stats->connect.max, 10 * MILLISECONDS);
    assert_in_range(w->stats->first_byte.max, 90 * MILLISECONDS, 91 * MILLISECONDS);
    assert_in_range(w->stats->response.max, 90 * MILLISECONDS, 91 * MILLISECONDS);
    assert_in_range(w->stats->from_schedule.max, 90 * MILLISECONDS, 91 * MILLISECONDS);
    assert_int_equal(w->stats->pacing_error.count, 1);
}

/* A module's word decides on its own responses; this script says they are counted. */
static void data_nobody_asked_for_is_taken_and_forgotten(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500},
                                {.request = 10, .response = 10, .think_us = 500 * MILLISECONDS});
    s->server.step[2] = s->server.step[1];
    s->server.step[1] =
        (struct fake_step){.after = 100, .reply = 77, .delay_us = 100 * MILLISECONDS};
    s->server.count = 3;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->worker->tcp.bytes_received, 587);
    assert_int_equal(w->stats->requests_mismatched, 0);
}

/* --- failures --------------------------------------------------------------------------------- */

static void missing_response_times_out(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .is_silent = true});

    world_run(w);
    ENDED(w, TB_VERDICT_RESPONSE_TIMEOUT, 1);
    ABOUT(w->worker->last_end_us, w->begin_us, 10 * SECONDS);
    assert_true(world_conn(w, 0)->reset_by_client);
}

static void timeout_counts_only_while_a_response_is_awaited(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500},
            {.request = 100, .response = 500, .think_us = 60 * SECONDS, .server_us = 9 * SECONDS});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void timeout_starts_anew_with_each_piece(void **state)
{
    struct world *w = *state;
    struct session *s =
        SESSION(w, {.request = 100, .response = 500, .reply = 100, .silence_us = 20 * SECONDS});
    for (unsigned i = 0; i < 4; i++)
        s->server.step[s->server.count++] =
            (struct fake_step){.after = 100, .reply = 100, .delay_us = 8 * SECONDS};

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void server_that_is_not_there_times_out(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->server.is_deaf = true;

    world_run(w);
    ENDED(w, TB_VERDICT_CONNECT_TIMEOUT, 1);
    ABOUT(w->worker->last_end_us, w->begin_us, 10 * SECONDS);
    assert_int_equal(w->stats->established, 0);
}

static void server_that_refuses_fails_the_session(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->server.refuses = true;

    world_run(w);
    ENDED(w, TB_VERDICT_REFUSED, 1);
}

static void server_that_goes_deaf_times_out(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .think_us = 1 * SECONDS});

    world_run_until(w, 500 * MILLISECONDS);
    w->server.is_deaf = true;
    world_run(w);
    ENDED(w, TB_VERDICT_RESPONSE_TIMEOUT, 1);
    assert_true(w->worker->tcp.retransmitted > 3);
}

static void reset_unlike_the_capture_fails_the_session(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .reply = 200, .then = FAKE_RESET});

    world_run(w);
    ENDED(w, TB_VERDICT_RESET, 1);
}

static void close_before_the_response_fails_the_session(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .is_silent = true, .then = FAKE_CLOSE});

    world_run(w);
    ENDED(w, TB_VERDICT_CLOSED_EARLY, 1);
    assert_true(world_conn(w, 0)->reset_by_client);
}

static void close_within_the_response_is_a_mismatch(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .reply = 300, .then = FAKE_CLOSE});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_mismatched, 1);
    assert_true(w->worker->last_end_us - w->begin_us < 50 * MILLISECONDS); /* no quiet time */
}

static void close_with_requests_left_fails_the_session(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .then = FAKE_CLOSE},
            {.request = 100, .response = 500, .think_us = 100 * MILLISECONDS});

    world_run(w);
    ENDED(w, TB_VERDICT_CLOSED_EARLY, 1);
    assert_int_equal(w->stats->requests_sent, 1);
}

/* RFC 9293 §3.5.1: a client that died left its connection open on the server. */
static void leftover_of_a_dead_client_is_cleared_on_the_way(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});

    world_start(w);
    const struct fake_conn *leftover = world_leftover(w, 0);
    world_run(w);
    assert_true(leftover->reset_by_client);
    world_all_arrived(w, 1, s);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(request_and_response_complete_a_session),
        WORLD_TEST(session_without_requests_is_played),
        WORLD_TEST(first_request_thinks_from_the_handshake),
        WORLD_TEST(request_thinks_from_the_response_before_it),
        WORLD_TEST(think_times_are_accelerated),
        WORLD_TEST(acceleration_of_0_leaves_no_think_time),
        WORLD_TEST(pipelined_requests_keep_their_distance),
        WORLD_TEST(answers_to_pipelined_requests_may_come_in_one_piece),
        WORLD_TEST(request_waits_for_the_response_before_it),
        WORLD_TEST(request_without_response_is_not_waited_for),
        WORLD_TEST(request_cut_off_by_the_capture_is_not_waited_for),
        WORLD_TEST(continued_request_counts_once),
        WORLD_TEST(requests_scattered_over_chunks_arrive_whole),
        WORLD_TEST(long_requests_and_responses_arrive_whole),
        WORLD_TEST(users_play_their_own_sessions),
        WORLD_TEST(greeting_is_awaited_before_the_first_request),
        WORLD_TEST(longer_response_counts_as_complete),
        WORLD_TEST(shorter_response_is_a_mismatch_after_the_quiet_time),
        WORLD_TEST(quiet_time_is_not_part_of_the_response_time),
        WORLD_TEST(server_that_paused_in_the_capture_may_pause_again),
        WORLD_TEST(response_in_pieces_is_one_response),
        WORLD_TEST(latencies_are_measured),
        WORLD_TEST(data_nobody_asked_for_is_taken_and_forgotten),
        WORLD_TEST(missing_response_times_out),
        WORLD_TEST(timeout_counts_only_while_a_response_is_awaited),
        WORLD_TEST(timeout_starts_anew_with_each_piece),
        WORLD_TEST(server_that_is_not_there_times_out),
        WORLD_TEST(server_that_refuses_fails_the_session),
        WORLD_TEST(server_that_goes_deaf_times_out),
        WORLD_TEST(reset_unlike_the_capture_fails_the_session),
        WORLD_TEST(close_before_the_response_fails_the_session),
        WORLD_TEST(close_within_the_response_is_a_mismatch),
        WORLD_TEST(close_with_requests_left_fails_the_session),
        WORLD_TEST(leftover_of_a_dead_client_is_cleared_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
