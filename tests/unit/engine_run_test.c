/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run of many plays: the schedule of starts, closed and open loop, repeated plays, the end by
 * --duration or a signal, shards, and packets that belong to nobody.
 */
#include "engine_rig.h"
#include "io/backends.h"

#define ABOUT(us, from, distance) \
    assert_in_range((us) - (from), (distance), (distance) + 1 * MILLISECONDS)

static uint64_t syn_after_us(const struct world *w, uint32_t n)
{
    return world_conn(w, n)->syn_us - w->begin_us;
}

/* --- starts ----------------------------------------------------------------------------------- */

static void sessions_start_at_the_rate(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->plan_input.users = 50;
    w->pacing_input.rate = 10;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 50);
    for (uint32_t i = 0; i < 50; i++)
        ABOUT(syn_after_us(w, i), 0, i * 100 * MILLISECONDS);
    assert_int_equal(w->stats->peak, 1);
}

static void rate_ramps_up(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->plan_input.users = 20;
    w->pacing_input.rate = 10;
    w->pacing_input.ramp_s = 2;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 20);
    ABOUT(syn_after_us(w, 10), 0, 2 * SECONDS);
    ABOUT(syn_after_us(w, 19), 0, 2900 * MILLISECONDS);
    for (uint32_t i = 2; i < 10; i++) /* ever closer */
        assert_true(syn_after_us(w, i) - syn_after_us(w, i - 1) <=
                    syn_after_us(w, i - 1) - syn_after_us(w, i - 2) + 1);
}

static void sessions_do_not_wait_for_each_other(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 3 * SECONDS});
    w->plan_input.users = 20;
    w->pacing_input.rate = 10;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 20);
    assert_int_equal(w->stats->peak, 20);
}

static void many_users_at_once_are_no_trouble(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->plan_input.users = 3000;
    w->pacing_input.rate = 1e9;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 3000);
    for (uint32_t i = 0; i < 3000; i++)
        assert_int_equal(world_conn(w, i)->in_order, 100);
}

/* --- loops ------------------------------------------------------------------------------------ */

static void users_play_their_session_again(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    w->plan_input.users = 3;
    w->config.plays = 4;
    w->pacing_input.rate = 100;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 12);
    assert_int_equal(w->server.count, 12);
    for (uint32_t i = 0; i < 12; i++)
        world_all_arrived(w, i, s);
}

static void play_that_was_due_meanwhile_starts_at_once(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 50 * MILLISECONDS});
    w->config.plays = 5;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 5);
    for (uint32_t i = 1; i < 5; i++)
        ABOUT(syn_after_us(w, i), syn_after_us(w, i - 1), 50 * MILLISECONDS);
}

/* As when the ranges are full: every play uses the same address and port. */
static void start_with_one_pair_each(struct world *w)
{
    world_start(w);
    w->plan.generations = 1;
}

static void pair_may_be_used_again_while_the_server_is_in_time_wait(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500, .then = FAKE_CLOSE});
    s->script.end.server_first = true;
    w->config.plays = 5;

    start_with_one_pair_each(w);
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 5);
    assert_int_equal(w->server.count, 5);
    for (uint32_t i = 1; i < 5; i++)
        assert_int_equal(world_conn(w, i)->client_port, world_conn(w, 0)->client_port);
}

static void pair_may_be_used_again_though_the_server_never_closed(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->server.never_closes = true;
    w->config.plays = 3;

    start_with_one_pair_each(w);
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 3);
    for (uint32_t i = 0; i < w->server.count; i++)
        assert_true(world_conn(w, i)->reset_by_client);
}

static void connection_the_server_never_closed_is_reset_by_the_next_play(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 500});
    s->server.never_closes = true;
    w->config.plays = 3;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 3);
    assert_int_equal(w->server.count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(world_conn(w, i)->reset_by_client);
}

/* Each play has another address or port, until they come round; the server then takes only greater
 * numbers than before. */
static void numbers_of_a_pair_only_grow(void **state)
{
    struct world *w = *state;
    enum { PLAYS = 3 * TB_PLAN_GENERATIONS_MAX };
    SESSION(w, {.request = 100, .response = 500, .server_us = 5 * MILLISECONDS});
    w->config.plays = PLAYS;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, PLAYS);
    for (uint32_t i = TB_PLAN_GENERATIONS_MAX; i < PLAYS; i++) {
        const struct fake_conn *before = world_conn(w, i - TB_PLAN_GENERATIONS_MAX);
        const struct fake_conn *c = world_conn(w, i);
        assert_int_equal(c->client_port, before->client_port);
        assert_true(tb_addr_eq(&c->client, &before->client));
        ABOUT(c->client_isn, before->client_isn, (c->syn_us - before->syn_us) / 4);
    }
}

static void failed_play_is_followed_by_the_next(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .is_silent = true});
    w->config.plays = 3;
    w->config.timeout_us = 1 * SECONDS;

    world_run(w);
    ENDED(w, TB_VERDICT_RESPONSE_TIMEOUT, 3);
}

/* --- open loop -------------------------------------------------------------------------------- */

static void arrivals_take_free_users(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->config.open_loop = true;
    w->plan_input.users = 5;
    w->config.plays = 4;
    w->pacing_input.rate = 10;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 20);
    for (uint32_t i = 0; i < 20; i++)
        ABOUT(syn_after_us(w, i), 0, i * 100 * MILLISECONDS);
    assert_int_equal(w->stats->late, 0);
}

/* One user, an arrival every 200 ms, a play of a second: play n starts at n seconds, n · 0.8 s
 * late, and its response is late by that too. */
static void arrivals_without_a_free_user_are_late_and_counted_from_when_they_were_due(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 1 * SECONDS});
    w->config.open_loop = true;
    w->config.plays = 5;
    w->pacing_input.rate = 5;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 5);
    assert_int_equal(w->stats->late, 4);
    assert_in_range(w->stats->response.max, 1000 * MILLISECONDS, 1010 * MILLISECONDS);
    assert_in_range(w->stats->from_schedule.max, 4200 * MILLISECONDS, 4210 * MILLISECONDS);
}

/* RFC 9293 §3.10.7.4: the FIN that ends a play is acknowledged, though the next one starts in the
 * same turn. */
static void last_ack_goes_out_before_the_next_play_starts(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 1 * SECONDS});
    w->config.open_loop = true;
    w->config.plays = 3;
    w->pacing_input.rate = 5;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(world_conn(w, i)->fin_acked);
}

/* The same at twice the rate, every second arrival being the other shard's. */
static void lateness_counts_only_this_workers_arrivals(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 1 * SECONDS});
    w->config.open_loop = true;
    w->config.plays = 5;
    w->plan_input.users = 2;
    w->plan_input.shards = 2;
    w->pacing_input.rate = 10;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 5);
    assert_int_equal(w->stats->late, 4);
    assert_in_range(w->stats->from_schedule.max, 4200 * MILLISECONDS, 4210 * MILLISECONDS);
}

/* --- duration and stop ------------------------------------------------------------------------ */

static void nothing_starts_after_the_duration(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->plan_input.users = 100;
    w->config.plays = 0;
    w->config.duration_us = 2 * SECONDS;
    w->pacing_input.rate = 10;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 20);
}

static void users_repeat_until_the_duration_is_over(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 95 * MILLISECONDS});
    w->plan_input.users = 2;
    w->config.plays = 0;
    w->config.duration_us = 2 * SECONDS;

    world_run(w);
    assert_in_range(w->stats->started, 38, 42);
    ENDED(w, TB_VERDICT_COMPLETED, w->stats->started);
}

static void open_sessions_may_finish_within_the_grace(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 4 * SECONDS});
    w->config.plays = 0;
    w->config.duration_us = 1 * SECONDS;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_in_range(w->now_us - w->begin_us, 4 * SECONDS, 5 * SECONDS);
}

static void sessions_open_after_the_grace_are_cut(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 8 * SECONDS});
    w->plan_input.users = 700;
    w->config.plays = 0;
    w->config.duration_us = 1 * SECONDS;

    world_run(w);
    ENDED(w, TB_VERDICT_CUT, 700);
    ABOUT(w->worker->last_end_us, w->begin_us, 6 * SECONDS);
    for (uint32_t i = 0; i < 700; i++)
        assert_true(world_conn(w, i)->reset_by_client);
    assert_int_equal(tb_stats_failed(w->stats), 0);
}

static void stop_aborts_open_sessions(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 8 * SECONDS});
    w->plan_input.users = 700;
    w->pacing_input.rate = 100;

    world_run_until(w, 3 * SECONDS);
    tb_worker_stop(w->worker, TB_STOP_ABORT);
    world_run(w);
    ENDED(w, TB_VERDICT_ABORTED, w->stats->started);
    assert_in_range(w->stats->started, 300, 302);
    for (uint32_t i = 0; i < w->server.count; i++)
        assert_true(world_conn(w, i)->reset_by_client);
}

static void stop_ends_a_run_that_waits_for_its_next_start(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500});
    w->plan_input.users = 2;
    w->pacing_input.rate = 0.0001;

    world_run_until(w, 3 * SECONDS);
    tb_worker_stop(w->worker, TB_STOP_ABORT);
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_true(w->now_us - w->begin_us < 5 * SECONDS);
}

static int64_t again_in_a_minute(struct tb_session *s, enum tb_verdict verdict)
{
    (void) s;
    (void) verdict;
    return 60 * SECONDS;
}

static void stop_does_not_wait_for_reconnects(void **state)
{
    struct world *w = *state;
    w->module.session_end = again_in_a_minute;
    SESSION(w, {.request = 100, .response = 500});
    SESSION(w, {.request = 100, .response = 500, .server_us = 9 * SECONDS});
    w->config.duration_us = 64 * SECONDS; /* in the middle of the second play of the second one */

    world_run(w);
    assert_int_equal(w->stats->started, 3);
    assert_int_equal(w->stats->verdicts[TB_VERDICT_COMPLETED], 3);
    assert_true(w->now_us - w->begin_us < 80 * SECONDS);
}

/* --- blind ------------------------------------------------------------------------------------ */

static void blind_run_awaits_no_responses(void **state)
{
    struct world *w = *state;
    struct session *s =
        SESSION(w, {.request = 100, .response = 500, .is_silent = true},
                {.request = 50, .response = 500, .is_silent = true, .think_us = 20 * MILLISECONDS});
    w->config.blind = true;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    world_all_arrived(w, 0, s);
    assert_int_equal(w->stats->requests_answered, 0);
}

/* --- strangers -------------------------------------------------------------------------------- */

static struct tb_frame_spec stray_segment(struct world *w, uint32_t user)
{
    struct tb_tcp_path path;
    static struct tb_addr src, dst;

    tb_plan_path(&w->plan, user, 0, &path);
    src = path.dst;
    dst = path.src;
    return (struct tb_frame_spec){.src = &src,
                                  .dst = &dst,
                                  .sport = path.dport,
                                  .dport = path.sport,
                                  .seq = 1000,
                                  .ack = 2000,
                                  .flags = TB_TCP_ACK};
}

static void one_user_starts_much_later(struct world *w)
{
    SESSION(w, {.request = 100, .response = 500});
    w->plan_input.users = 2;
    w->pacing_input.rate = 0.5;
    world_start(w);
    world_run_until(w, 1 * SECONDS);
}

static void segment_of_a_user_not_connected_is_reset(void **state)
{
    struct world *w = *state;
    one_user_starts_much_later(w);
    struct tb_frame_spec spec = stray_segment(w, 1);

    world_inject(w, &spec, 10);
    world_run_until(w, 1500 * MILLISECONDS);
    assert_int_equal(w->stats->strays, 1);
    assert_int_equal(w->server.rsts, 1);
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 2);
}

static void segment_to_a_port_of_nobody_is_reset(void **state)
{
    struct world *w = *state;
    one_user_starts_much_later(w);
    struct tb_frame_spec spec = stray_segment(w, 0);
    spec.dport = (uint16_t) (spec.dport < 60000 ? spec.dport + 99 : spec.dport - 99);

    world_inject(w, &spec, 10);
    world_run_until(w, 1500 * MILLISECONDS);
    assert_int_equal(w->stats->strays, 1);
    assert_int_equal(w->server.rsts, 1);
    world_run(w);
}

static void segment_from_a_stranger_does_not_touch_the_users_connection(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 2 * SECONDS});
    world_start(w);
    world_run_until(w, 1 * SECONDS);
    struct tb_frame_spec spec = stray_segment(w, 0);
    spec.sport = 8080;
    spec.flags = TB_TCP_ACK;

    world_inject(w, &spec, 10);
    world_run(w);
    assert_int_equal(w->stats->strays, 1);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void segment_to_an_address_not_ours_is_not_answered(void **state)
{
    struct world *w = *state;
    one_user_starts_much_later(w);
    struct tb_frame_spec spec = stray_segment(w, 0);
    struct tb_addr other = tb_addr_plus(w->clients.first, 100);
    spec.dst = &other;

    world_inject(w, &spec, 10);
    world_run_until(w, 1500 * MILLISECONDS);
    assert_int_equal(w->stats->strays, 0);
    assert_int_equal(w->server.rsts, 0);
    world_run(w);
}

/* Its own process answers it; ours would reset it. */
static void segment_of_another_shards_user_is_not_answered(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 2 * SECONDS});
    w->plan_input.users = 2;
    w->plan_input.shards = 2;
    world_start(w);
    world_run_until(w, 1 * SECONDS);
    struct tb_frame_spec spec = stray_segment(w, 1);

    world_inject(w, &spec, 10);
    world_run_until(w, 1500 * MILLISECONDS);
    assert_int_equal(w->server.rsts, 0);
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static void flood_of_strays_is_answered_at_a_limited_rate(void **state)
{
    struct world *w = *state;
    one_user_starts_much_later(w);
    struct tb_frame_spec spec = stray_segment(w, 1);

    for (unsigned i = 0; i < 1500; i++)
        world_inject(w, &spec, 10);
    world_run_until(w, 1500 * MILLISECONDS);
    assert_int_equal(w->stats->strays, 1500);
    assert_int_equal(w->server.rsts, 1000);
    world_run(w);
}

static void packets_that_are_not_tcp_are_counted(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 500, .server_us = 1 * SECONDS});
    world_start(w);
    static const uint8_t nonsense[] = {0x45, 0, 0, 20, 1, 2, 3};

    assert_int_equal(tb_mem_inject(w->io, nonsense, sizeof nonsense), 0);
    world_run(w);
    assert_int_equal(w->stats->bad_packets, 1);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(sessions_start_at_the_rate),
        WORLD_TEST(rate_ramps_up),
        WORLD_TEST(sessions_do_not_wait_for_each_other),
        WORLD_TEST(many_users_at_once_are_no_trouble),
        WORLD_TEST(users_play_their_session_again),
        WORLD_TEST(play_that_was_due_meanwhile_starts_at_once),
        WORLD_TEST(pair_may_be_used_again_while_the_server_is_in_time_wait),
        WORLD_TEST(pair_may_be_used_again_though_the_server_never_closed),
        WORLD_TEST(connection_the_server_never_closed_is_reset_by_the_next_play),
        WORLD_TEST(numbers_of_a_pair_only_grow),
        WORLD_TEST(failed_play_is_followed_by_the_next),
        WORLD_TEST(arrivals_take_free_users),
        WORLD_TEST(arrivals_without_a_free_user_are_late_and_counted_from_when_they_were_due),
        WORLD_TEST(last_ack_goes_out_before_the_next_play_starts),
        WORLD_TEST(lateness_counts_only_this_workers_arrivals),
        WORLD_TEST(nothing_starts_after_the_duration),
        WORLD_TEST(users_repeat_until_the_duration_is_over),
        WORLD_TEST(open_sessions_may_finish_within_the_grace),
        WORLD_TEST(sessions_open_after_the_grace_are_cut),
        WORLD_TEST(stop_aborts_open_sessions),
        WORLD_TEST(stop_ends_a_run_that_waits_for_its_next_start),
        WORLD_TEST(stop_does_not_wait_for_reconnects),
        WORLD_TEST(blind_run_awaits_no_responses),
        WORLD_TEST(segment_of_a_user_not_connected_is_reset),
        WORLD_TEST(segment_to_a_port_of_nobody_is_reset),
        WORLD_TEST(segment_from_a_stranger_does_not_touch_the_users_connection),
        WORLD_TEST(segment_to_an_address_not_ours_is_not_answered),
        WORLD_TEST(segment_of_another_shards_user_is_not_answered),
        WORLD_TEST(flood_of_strays_is_answered_at_a_limited_rate),
        WORLD_TEST(packets_that_are_not_tcp_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
