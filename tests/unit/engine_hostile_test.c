/* SPDX-License-Identifier: BSD-2-Clause */
/* Hostile servers, odd scripts and odd modules: a worker ends every session and then itself. */
#include "unit.h"
#include "worker_rig.h"

#define SECONDS UINT64_C(1000000)

/* --- a server ----------------------------------------------------------------------------------
 */

static void expect_sent(struct wrig *r, struct tb_segment *seg, uint8_t flags, uint32_t len)
{
    assert_true(wrig_take(r, seg));
    assert_int_equal(seg->flags & (uint8_t) ~TB_TCP_PSH, flags);
    assert_int_equal(seg->payload_len, len);
}

static void expect_nothing(struct wrig *r)
{
    struct tb_segment seg;

    assert_false(wrig_take(r, &seg));
}

enum { SERVER_ISN = 7000 };

/* Bytes [offset, offset + len) of the server's stream and these flags, in answer to `seg`. */
static void give(struct wrig *r, const struct tb_segment *seg, uint8_t flags, uint32_t offset,
                 uint32_t len)
{
    static const uint8_t bytes[4000];
    bool syn = flags & TB_TCP_SYN;
    struct wrig_answer a = {
        .flags = flags | TB_TCP_ACK,
        .seq = SERVER_ISN + offset + !syn,
        .ack = seg->seq + seg->payload_len + !!(seg->flags & (TB_TCP_SYN | TB_TCP_FIN)),
        .window = 60000,
        .payload = bytes,
        .len = len,
    };
    wrig_give(r, seg, &a);
}

/* Up to the request of `len` bytes, which is in *seg then. */
static void connect_and_take_request(struct wrig *r, struct tb_segment *seg, uint32_t len)
{
    expect_sent(r, seg, TB_TCP_SYN, 0);
    give(r, seg, TB_TCP_SYN, 0, 0);
    wrig_tick(r, 1000);
    expect_sent(r, seg, TB_TCP_ACK, len);
}

/* --- addresses ---------------------------------------------------------------------------------
 */

/* With fewer users than sessions a family may have sessions but no users. */
static void a_family_without_users_has_nobody(void **state)
{
    struct tb_script scripts[2] = {{.transfer = 0}, {.transfer = 1}};
    struct tb_script *sessions[2] = {&scripts[0], &scripts[1]};
    struct tb_endpoint targets[2] = {{.port = 80}, {.port = 80}};
    struct tb_plan_range clients[2] = {{.count = 256}, {.count = 256}};
    struct tb_plan plan;
    struct tb_err err;
    uint32_t generation;

    (void) state;
    tb_addr_parse("10.0.0.1", &targets[0].addr);
    tb_addr_parse("fd00::1", &targets[1].addr);
    tb_addr_parse("198.19.0.0", &clients[0].first);
    tb_addr_parse("fd00:19::", &clients[1].first);
    struct tb_plan_input in = {.sessions = sessions,
                               .session_count = 2,
                               .targets = targets,
                               .target_count = 2,
                               .clients = clients,
                               .client_count = 2,
                               .users = 1};
    assert_int_equal(tb_plan_init(&plan, &in, &err), 0);
    assert_int_equal(tb_plan_user_at(&plan, &clients[1].first, 5000, &generation), TB_PLAN_NOBODY);
    tb_plan_fini(&plan);
}

/* --- starts ------------------------------------------------------------------------------------
 */

/* The segment that ends a play has a FIN too, and its user's next play is overdue: the FIN is of
 * the old connection. */
static void an_overdue_play_begins_after_the_one_before_it_is_over(void **state)
{
    struct wrig *r = wrig_new();
    struct wrig_script *m = wrig_add(r, (uint32_t[]){100}, 1, 50);
    struct tb_segment seg;

    (void) state;
    m->script.end.client = TB_END_RST;
    r->config.open_loop = true;
    r->config.plays = 2;
    wrig_start(r, 1, 1e6);
    wrig_tick(r, 10);
    for (unsigned play = 0; play < 2; play++) {
        connect_and_take_request(r, &seg, 100);
        give(r, &seg, TB_TCP_FIN, 0, 50);
        wrig_tick(r, 1000);
        expect_sent(r, &seg, TB_TCP_RST | TB_TCP_ACK, 0);
        assert_int_equal(r->w->stats.verdicts[TB_VERDICT_COMPLETED], play + 1);
        if (play > 0)
            break;
        assert_int_equal(r->w->stats.started, 2);
        assert_int_equal(r->w->users[0].tcp.state, TB_TCP_SYN_SENT);
        assert_int_equal(r->w->users[0].tcp.rcv_nxt, 0);
        assert_false(tb_user_busy(r->w, &r->w->users[0])->tcp.fin_pending);
    }
    expect_nothing(r);
    wrig_pass(r, 1 * SECONDS);
    assert_true(tb_worker_is_done(r->w));
    assert_int_equal(r->w->stats.late, 1);
    wrig_free(r);
}

/* Numbers go on above the last connection's of one path; another path has its own. */
static void another_address_pair_has_its_own_sequence_numbers(void **state)
{
    uint32_t iss[2];

    (void) state;
    for (unsigned high = 0; high < 2; high++) {
        struct wrig *r = wrig_new();
        wrig_add(r, (uint32_t[]){100}, 1, 50);
        r->config.plays = 2;
        wrig_start(r, 1, 1e6);
        /* As if the pair before had ended with a number above or below. */
        r->w->users[0].tcp.iss = 1;
        wrig_tick(r, 10);
        struct tb_segment seg;
        expect_sent(r, &seg, TB_TCP_SYN, 0);
        r->w->users[0].tcp.iss = seg.seq + (high ? 1u << 30 : 0);
        struct wrig_answer rst = {.flags = TB_TCP_RST | TB_TCP_ACK,
                                  .ack = r->w->users[0].tcp.iss + 1};
        wrig_give(r, &seg, &rst);
        wrig_tick(r, 100);
        expect_sent(r, &seg, TB_TCP_SYN, 0);
        iss[high] = seg.seq;
        wrig_free(r);
    }
    assert_int_equal(iss[0], iss[1]);
}

/* --- ends --------------------------------------------------------------------------------------
 */

static void a_captured_reset_does_not_wait_for_bytes_of_the_server(void **state)
{
    struct wrig *r = wrig_new();
    struct wrig_script *m = wrig_add(r, (uint32_t[]){100}, 1, 50);
    struct tb_segment seg;

    (void) state;
    m->script.end.client = TB_END_RST;
    wrig_start(r, 1, 1e6);
    wrig_tick(r, 10);
    connect_and_take_request(r, &seg, 100);
    give(r, &seg, 0, 1000, 100); /* what lies between never comes */
    give(r, &seg, 0, 0, 50);
    wrig_pass(r, 1 * SECONDS);
    assert_int_equal(r->w->stats.verdicts[TB_VERDICT_COMPLETED], 1);
    assert_true(tb_worker_is_done(r->w));
    wrig_free(r);
}

static enum tb_response_status goes_on(struct tb_session *s, const uint8_t *data, size_t len,
                                       unsigned flags, size_t *used)
{
    (void) s;
    (void) data;
    (void) flags;
    *used = len;
    return TB_RESPONSE_MORE;
}

/* The client of the capture stayed on longer than -t after it had what it wanted. */
static void the_clients_own_time_is_no_response_timeout(void **state)
{
    static const struct tb_module module = {.name = "goes on", .response = goes_on};
    struct wrig *r = wrig_new();
    struct wrig_script *m = wrig_add(r, (uint32_t[]){100}, 1, 5000);
    struct tb_segment seg;

    (void) state;
    m->requests[0].flags = 0; /* cut off after 500 bytes */
    r->config.modules[0].ops = &module;
    m->script.responses = m->script.end.waits_for = 0;
    m->script.end.bytes = 500;
    m->script.end.client = TB_END_RST;
    m->script.end.server = TB_END_NONE;
    m->script.end.delay_us = 20 * SECONDS;
    wrig_start(r, 1, 1e6);
    wrig_tick(r, 10);
    connect_and_take_request(r, &seg, 100);
    wrig_tick(r, 1 * SECONDS);
    give(r, &seg, 0, 0, 500);
    wrig_pass(r, 30 * SECONDS);
    assert_int_equal(r->w->stats.verdicts[TB_VERDICT_COMPLETED], 1);
    wrig_free(r);
}

/* --- modules -----------------------------------------------------------------------------------
 */

static unsigned asked;

static enum tb_request_action waits(struct tb_session *s, const struct tb_request_info *req)
{
    (void) s;
    (void) req;
    asked++;
    return TB_REQUEST_WAIT;
}

static void a_module_does_not_wait_for_a_silent_server_for_ever(void **state)
{
    static const struct tb_module module = {.name = "waits", .request = waits};
    struct wrig *r = wrig_new();
    struct wrig_script *m = wrig_add(r, (uint32_t[]){100}, 1, 50);
    struct tb_segment seg;

    (void) state;
    asked = 0;
    m->requests[0].think_us = 1000; /* asked when it is due, not again in the same breath */
    r->config.modules[0].ops = &module;
    wrig_start(r, 1, 1e6);
    wrig_tick(r, 10);
    connect_and_take_request(r, &seg, 0);
    wrig_pass(r, 10 * SECONDS);
    assert_int_equal(asked, 1);
    assert_int_equal(r->w->stats.verdicts[TB_VERDICT_RESPONSE_TIMEOUT], 1);
    assert_true(tb_worker_is_done(r->w));
    wrig_free(r);
}

static unsigned reconnects_wanted;

static int64_t reconnects(struct tb_session *s, enum tb_verdict verdict)
{
    (void) s;
    (void) verdict;
    return reconnects_wanted > 0 && reconnects_wanted-- ? 3 * (int64_t) SECONDS : -1;
}

static const struct tb_module reconnecting = {.name = "reconnects", .session_end = reconnects};

static void refuse(struct wrig *r)
{
    struct tb_segment seg;

    expect_sent(r, &seg, TB_TCP_SYN, 0);
    give(r, &seg, TB_TCP_RST, 0, 0);
    wrig_tick(r, 100);
}

/* User 0 is to reconnect in three seconds; user 1 starts its second play meanwhile. */
static void a_reconnect_is_waited_for_whatever_else_starts(void **state)
{
    struct wrig *r = wrig_new();

    (void) state;
    reconnects_wanted = 1;
    wrig_add(r, NULL, 0, 0);
    r->config.modules[0].ops = &reconnecting;
    r->config.plays = 2;
    wrig_start(r, 2, 1000);
    wrig_tick(r, 10);
    refuse(r);
    wrig_tick(r, 1000);
    wrig_tick(r, 5000); /* all arrivals are over: user 1 is due again as soon as it is free */
    refuse(r);
    refuse(r);
    wrig_pass(r, 4 * SECONDS);
    refuse(r);
    assert_int_equal(r->w->stats.verdicts[TB_VERDICT_REFUSED], 4);
    wrig_free(r);
}

static void what_is_not_started_any_more_does_not_keep_the_worker_busy(void **state)
{
    struct wrig *r = wrig_new();
    struct tb_segment seg;

    (void) state;
    reconnects_wanted = 1;
    wrig_add(r, (uint32_t[]){100}, 1, 50);
    r->config.modules[0].ops = &reconnecting;
    wrig_start(r, 2, 1e6);
    wrig_tick(r, 10);
    refuse(r);
    connect_and_take_request(r, &seg, 100); /* the other one waits five seconds for its response */
    tb_worker_stop(r->w, TB_STOP_STARTING);
    assert_true(wrig_pass(r, 10 * SECONDS) < 100);
    assert_int_equal(r->w->stats.verdicts[TB_VERDICT_RESPONSE_TIMEOUT], 1);
    assert_true(tb_worker_is_done(r->w));
    wrig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_without_users_has_nobody),
        cmocka_unit_test(an_overdue_play_begins_after_the_one_before_it_is_over),
        cmocka_unit_test(another_address_pair_has_its_own_sequence_numbers),
        cmocka_unit_test(a_captured_reset_does_not_wait_for_bytes_of_the_server),
        cmocka_unit_test(the_clients_own_time_is_no_response_timeout),
        cmocka_unit_test(a_module_does_not_wait_for_a_silent_server_for_ever),
        cmocka_unit_test(a_reconnect_is_waited_for_whatever_else_starts),
        cmocka_unit_test(what_is_not_started_any_more_does_not_keep_the_worker_busy),
    };

    return cmocka_run_group_tests_name("engine_hostile", tests, NULL, NULL);
}
