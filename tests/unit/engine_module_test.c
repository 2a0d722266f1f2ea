/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a module may do about requests and responses (request() and response() of
 * include/module.h), with modules made of functions in this file.
 */
#include "engine_rig.h"

#include <errno.h>

#define ABOUT(us, from, distance) \
    assert_in_range((us) - (from), (distance), (distance) + 1 * MILLISECONDS)

static const struct tb_host *host;

/* What the hooks of the test at hand were called with. */
static struct {
    unsigned requests, responses, timers, unasked, closed;
    struct tb_request_info info[8];
    uint8_t bytes[8][64]; /* first bytes of the requests */
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

/* --- requests --------------------------------------------------------------------------------- */

static enum tb_request_action note_request(struct tb_session *s, const struct tb_request_info *r)
{
    if (r) {
        seen.info[seen.requests] = *r;
        memcpy(seen.bytes[seen.requests], r->data, r->len < 64 ? r->len : 64);
        seen.requests++;
    }
    (void) s;
    return TB_REQUEST_SEND;
}

static void module_sees_each_request_in_one_piece(void **state)
{
    struct world *w = *state;
    w->module.request = note_request;
    w->chunk_bytes = 7;
    struct session *s = SESSION(w, {.request = 40, .response = 10},
                                {.request = 30, .response = 10, .think_us = 50 * MILLISECONDS});
    s->request[1].note = 4711;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    world_all_arrived(w, 0, s);
    assert_int_equal(seen.requests, 2);
    assert_int_equal(seen.info[0].index, 0);
    assert_int_equal(seen.info[0].len, 40);
    assert_memory_equal(seen.bytes[0], s->bytes, 40);
    assert_int_equal(seen.info[1].index, 1);
    assert_int_equal(seen.info[1].note, 4711);
    assert_memory_equal(seen.bytes[1], s->bytes + 40, 30);
    ABOUT(seen.info[1].due_us, seen.info[0].due_us, 50 * MILLISECONDS);
}

static enum tb_request_action skip_first(struct tb_session *s, const struct tb_request_info *r)
{
    (void) s;
    return r && r->index == 0 ? TB_REQUEST_SKIP : TB_REQUEST_SEND;
}

static void skipped_request_is_neither_sent_nor_waited_for(void **state)
{
    struct world *w = *state;
    w->module.request = skip_first;
    struct session *s =
        SESSION(w, {.request = 100, .response = 10}, {.request = 50, .response = 20});
    s->server.step[0] = (struct fake_step){.after = 50, .reply = 20};
    s->server.count = 1;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    const struct fake_conn *c = world_conn(w, 0);
    assert_int_equal(c->in_order, 50);
    assert_memory_equal(c->in, s->bytes + 100, 50);
    assert_int_equal(w->stats->requests_sent, 1);
    assert_int_equal(w->stats->requests_answered, 1);
}

static enum tb_request_action replace(struct tb_session *s, const struct tb_request_info *r)
{
    if (!r)
        return TB_REQUEST_SEND;
    assert_int_equal(host->send(s, "HELLO ", 6), 0);
    assert_int_equal(host->send_captured(s, 10, 25), 0);
    assert_int_equal(host->send(s, "!", 1), 0);
    return TB_REQUEST_REPLACED;
}

static void replaced_request_is_what_the_module_sent(void **state)
{
    struct world *w = *state;
    w->module.request = replace;
    w->chunk_bytes = 11;
    struct session *s = SESSION(w, {.request = 100, .response = 10});
    s->server.step[0].after = 32;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    const struct fake_conn *c = world_conn(w, 0);
    assert_int_equal(c->in_order, 32);
    assert_memory_equal(c->in, "HELLO ", 6);
    assert_memory_equal(c->in + 6, s->bytes + 10, 25);
    assert_memory_equal(c->in + 31, "!", 1);
    assert_int_equal(w->stats->requests_sent, 1);
}

static enum tb_request_action precede(struct tb_session *s, const struct tb_request_info *r)
{
    if (r)
        assert_int_equal(host->send(s, "AUTH ", 5), 0);
    return TB_REQUEST_SEND;
}

static void captured_request_goes_behind_what_the_module_sent(void **state)
{
    struct world *w = *state;
    w->module.request = precede;
    struct session *s = SESSION(w, {.request = 100, .response = 10});
    s->server.step[0].after = 105;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    const struct fake_conn *c = world_conn(w, 0);
    assert_int_equal(c->in_order, 105);
    assert_memory_equal(c->in, "AUTH ", 5);
    assert_memory_equal(c->in + 5, s->bytes, 100);
}

static enum tb_request_action send_beyond(struct tb_session *s, const struct tb_request_info *r)
{
    if (r) {
        assert_int_equal(host->send_captured(s, 90, 11), -ERANGE);
        assert_int_equal(host->send_captured(s, 101, 0), -ERANGE);
        assert_int_equal(host->send_captured(s, 1, SIZE_MAX), -ERANGE);
        assert_int_equal(host->send_captured(s, 100, 0), 0);
    }
    return TB_REQUEST_SEND;
}

static void only_bytes_of_the_request_can_be_sent_captured(void **state)
{
    struct world *w = *state;
    w->module.request = send_beyond;
    struct session *s = SESSION(w, {.request = 100, .response = 10}, {.request = 100});

    s->request[1].len = 100;
    world_run(w);
    world_all_arrived(w, 0, s);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
}

static enum tb_request_action send_kept(struct tb_session *s, const struct tb_request_info *r)
{
    static const char kept[] = "kept by the module";
    if (!r)
        return TB_REQUEST_SEND;
    assert_int_equal(host->send_kept(s, kept, 18), 0);
    return TB_REQUEST_REPLACED;
}

static void bytes_the_module_keeps_are_sent_in_place(void **state)
{
    struct world *w = *state;
    w->module.request = send_kept;
    struct session *s = SESSION(w, {.request = 100, .response = 10});
    s->server.step[0].after = 18;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_memory_equal(world_conn(w, 0)->in, "kept by the module", 18);
}

/* --- figures ---------------------------------------------------------------------------------- */

struct adding_up {
    struct tb_latency *latency;
    uint64_t responses;
};

static enum tb_response_status add_up(struct tb_session *s, const uint8_t *data, size_t len,
                                      unsigned flags, size_t *used)
{
    struct adding_up *sum = host->worker_state(s);
    if (flags)
        return TB_RESPONSE_MORE;
    sum->responses++;
    if (!sum->latency)
        sum->latency = host->latency_new();
    host->latency_add(sum->latency, host->now_us(s) - host->awaited_sent_us(s));
    return TB_RESPONSE_COMPLETE;
}

static void sessions_of_a_worker_add_up_in_its_state(void **state)
{
    struct world *w = *state;
    struct adding_up sum = {0};
    void *const workers[] = {&sum};
    w->module.response = add_up;
    w->config.modules[0].workers = workers;
    SESSION(w, {.request = 100, .response = 10, .server_us = 30 * MILLISECONDS},
            {.request = 100, .response = 10, .server_us = 30 * MILLISECONDS});
    w->plan_input.users = 3;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 3);
    assert_int_equal(sum.responses, 6);
    json_t *json = host->latency_json((struct tb_latency *[]){sum.latency, NULL}, 2);
    assert_int_equal(json_integer_value(json_object_get(json, "count")), 6);
    ABOUT((uint64_t) json_integer_value(json_object_get(json, "min")), 2 * w->one_way_us,
          30 * MILLISECONDS);
    json_decref(json);
    host->latency_free(sum.latency);
}

static enum tb_request_action fail_second(struct tb_session *s, const struct tb_request_info *r)
{
    if (!r || r->index == 0)
        return TB_REQUEST_SEND;
    host->fail_reason(s, "no such user");
    host->fail_reason(s, "no such user");
    return TB_REQUEST_FAIL;
}

static void module_may_fail_a_session(void **state)
{
    struct world *w = *state;
    w->module.request = fail_second;
    SESSION(w, {.request = 100, .response = 10}, {.request = 100, .response = 10});
    w->plan_input.users = 3;

    world_run(w);
    ENDED(w, TB_VERDICT_MODULE, 3);
    assert_int_equal(w->stats->reason_count, 1);
    assert_string_equal(w->stats->reasons[0], "no such user");
    assert_true(world_conn(w, 0)->reset_by_client);
}

static enum tb_request_action wait_for_timer(struct tb_session *s, const struct tb_request_info *r)
{
    if (!r || seen.timers > 0)
        return TB_REQUEST_SEND;
    seen.requests++;
    host->set_timer(s, 300 * MILLISECONDS);
    return TB_REQUEST_WAIT;
}

static enum tb_response_status note_timer(struct tb_session *s)
{
    (void) s;
    seen.timers++;
    return TB_RESPONSE_MORE;
}

static void request_may_wait_for_the_modules_timer(void **state)
{
    struct world *w = *state;
    w->module.request = wait_for_timer;
    w->module.timer = note_timer;
    struct session *s = SESSION(w, {.request = 100, .response = 10});

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 100), c->syn_us, 300 * MILLISECONDS);
    assert_int_equal(seen.requests, 1);
    world_all_arrived(w, 0, s);
}

static enum tb_request_action wait_for_bytes(struct tb_session *s, const struct tb_request_info *r)
{
    (void) s;
    if (!r || r->index == 0)
        return TB_REQUEST_SEND;
    seen.requests++;
    return seen.responses >= 3 ? TB_REQUEST_SEND : TB_REQUEST_WAIT;
}

static enum tb_response_status first_piece_completes(struct tb_session *s, const uint8_t *data,
                                                     size_t len, unsigned flags, size_t *used)
{
    (void) s;
    (void) data;
    *used = len;
    seen.responses += len > 0;
    seen.unasked += (flags & TB_RESPONSE_UNASKED) != 0;
    return seen.responses == 1 ? TB_RESPONSE_COMPLETE : TB_RESPONSE_MORE;
}

static void request_may_wait_for_more_bytes(void **state)
{
    struct world *w = *state;
    w->module.request = wait_for_bytes;
    w->module.response = first_piece_completes;
    struct session *s =
        SESSION(w, {.request = 100, .response = 10}, {.request = 50, .flags = TB_REQ_NO_RESPONSE});
    for (unsigned i = 1; i < 3; i++)
        s->server.step[i] =
            (struct fake_step){.after = 100, .reply = 10, .delay_us = 400 * MILLISECONDS};
    s->server.count = 3;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), world_arrival_us(c, 100), 800 * MILLISECONDS);
    assert_int_equal(seen.unasked, 2);
    assert_int_equal(seen.requests, 3);
}

static enum tb_request_action hold_at_the_end(struct tb_session *s, const struct tb_request_info *r)
{
    (void) s;
    return r ? TB_REQUEST_SEND : TB_REQUEST_HOLD;
}

static void module_may_hold_a_session(void **state)
{
    struct world *w = *state;
    w->module.request = hold_at_the_end;
    SESSION(w, {.request = 100, .response = 10});

    world_run_until(w, 3600 * SECONDS);
    assert_int_equal(w->stats->open, 1);
    assert_int_equal(w->worker->tcp.busy.in_use, 0);
    tb_worker_stop(w->worker, TB_STOP_CUT);
    world_run(w);
    ENDED(w, TB_VERDICT_CUT, 1);
}

/* --- responses -------------------------------------------------------------------------------- */

/* Frames of as many bytes as the request's note says. */
struct framing {
    uint32_t have;
};

static enum tb_response_status frame(struct tb_session *s, const uint8_t *data, size_t len,
                                     unsigned flags, size_t *used)
{
    struct framing *f = host->session_state(s);
    struct tb_request_info info;

    seen.closed += (flags & TB_RESPONSE_CLOSED) != 0;
    seen.unasked += (flags & TB_RESPONSE_UNASKED) != 0;
    assert_null(data); /* needs_payload is not set */
    if (flags || !host->awaited(s, &info))
        return TB_RESPONSE_MORE;
    seen.responses++;
    *used = len < info.note - f->have ? len : info.note - f->have;
    f->have += (uint32_t) *used;
    if (f->have < info.note)
        return TB_RESPONSE_MORE;
    f->have = 0;
    return TB_RESPONSE_COMPLETE;
}

static void frames(struct world *w)
{
    w->module.response = frame;
    w->module.session_size = sizeof(struct framing);
}

static void module_frames_responses(void **state)
{
    struct world *w = *state;
    frames(w);
    /* Shorter than captured, and right away: the module's word counts, not bytes or silence. */
    struct session *s = SESSION(w, {.request = 100, .response = 500, .reply = 400},
                                {.request = 50, .response = 10, .think_us = 20 * MILLISECONDS});
    s->request[0].note = 400;
    s->request[1].note = 10;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    const struct fake_conn *c = world_conn(w, 0);
    ABOUT(world_arrival_us(c, 150), world_arrival_us(c, 100), 20 * MILLISECONDS);
    assert_int_equal(w->stats->requests_answered, 2);
    assert_int_equal(w->stats->requests_mismatched, 0);
}

static void bytes_behind_a_response_belong_to_the_next(void **state)
{
    struct world *w = *state;
    frames(w);
    struct session *s =
        SESSION(w, {.request = 100, .response = 300, .is_silent = true},
                {.request = 100, .response = 200, .flags = TB_REQ_PIPELINED, .is_silent = true},
                {.request = 100, .response = 100, .flags = TB_REQ_PIPELINED, .reply = 600});
    s->request[0].note = 300;
    s->request[1].note = 200;
    s->request[2].note = 100;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_answered, 3);
    assert_int_equal(seen.unasked, 0);
}

static enum tb_response_status any_greeting(struct tb_session *s, const uint8_t *data, size_t len,
                                            unsigned flags, size_t *used)
{
    seen.responses += flags == 0;
    return flags ? TB_RESPONSE_MORE : TB_RESPONSE_COMPLETE;
}

static void module_frames_the_greeting_of_a_session_without_requests(void **state)
{
    struct world *w = *state;
    w->module.response = any_greeting;
    struct session *s = SESSION(w, {0});
    s->script.first = NULL;
    s->script.requests = 0;
    s->script.client_bytes = 0;
    s->script.has_greeting = true;
    s->script.greeting_bytes = 100;
    s->script.responses = 1;
    s->server.step[0] = (struct fake_step){.after = 0, .reply = 60};
    s->server.count = 1;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(seen.responses, 1);
    assert_int_equal(w->stats->requests_mismatched, 0);
}

static enum tb_response_status mismatch(struct tb_session *s, const uint8_t *data, size_t len,
                                        unsigned flags, size_t *used)
{
    (void) data;
    (void) len;
    (void) used;
    if (flags)
        return TB_RESPONSE_MORE;
    host->mismatch(s, "200 OK", "500 Internal Server Error");
    return TB_RESPONSE_MISMATCH;
}

static void module_may_call_a_response_wrong(void **state)
{
    struct world *w = *state;
    w->module.response = mismatch;
    struct session *s =
        SESSION(w, {.request = 100, .response = 50}, {.request = 100, .response = 50});
    s->script.number = 17;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_mismatched, 2);
    assert_int_equal(w->stats->mismatched_sessions, 1);
    assert_int_equal(w->stats->example_count, 2);
    assert_int_equal(w->stats->examples[1].session, 17);
    assert_int_equal(w->stats->examples[1].request, 1);
    assert_string_equal(w->stats->examples[1].captured, "200 OK");
    assert_string_equal(w->stats->examples[1].seen, "500 Internal Server Error");
}

static enum tb_response_status fatal(struct tb_session *s, const uint8_t *data, size_t len,
                                     unsigned flags, size_t *used)
{
    (void) data;
    (void) len;
    (void) flags;
    (void) used;
    host->fail_reason(s, "access denied");
    return TB_RESPONSE_FATAL;
}

static void module_may_end_a_session_over_a_response(void **state)
{
    struct world *w = *state;
    w->module.response = fatal;
    SESSION(w, {.request = 100, .response = 5000}, {.request = 100, .response = 50});

    world_run(w);
    ENDED(w, TB_VERDICT_MODULE, 1);
    assert_string_equal(w->stats->reasons[0], "access denied");
    assert_true(world_conn(w, 0)->reset_by_client);
}

static enum tb_response_status at_the_close(struct tb_session *s, const uint8_t *data, size_t len,
                                            unsigned flags, size_t *used)
{
    (void) s;
    (void) data;
    *used = len;
    return flags & TB_RESPONSE_CLOSED ? TB_RESPONSE_COMPLETE : TB_RESPONSE_MORE;
}

static void end_of_the_connection_may_complete_a_response(void **state)
{
    struct world *w = *state;
    w->module.response = at_the_close;
    struct session *s = SESSION(w, {.request = 100, .response = 500, .then = FAKE_CLOSE});
    s->script.end.server_first = true;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->requests_answered, 1);
    assert_int_equal(w->stats->requests_mismatched, 0);
}

static void end_of_the_connection_may_come_too_early(void **state)
{
    struct world *w = *state;
    frames(w);
    struct session *s =
        SESSION(w, {.request = 100, .response = 500, .reply = 400, .then = FAKE_CLOSE});
    s->request[0].note = 500;

    world_run(w);
    ENDED(w, TB_VERDICT_CLOSED_EARLY, 1);
    assert_int_equal(seen.closed, 1);
}

static enum tb_response_status pong(struct tb_session *s, const uint8_t *data, size_t len,
                                    unsigned flags, size_t *used)
{
    (void) data;
    *used = len;
    if (flags & TB_RESPONSE_UNASKED) {
        seen.unasked++;
        assert_int_equal(host->send(s, "PONG", 4), 0);
        assert_int_equal(host->send_captured(s, 0, 1), -ERANGE); /* only in request() */
    }
    return TB_RESPONSE_COMPLETE;
}

static void module_may_answer_what_nobody_asked_for(void **state)
{
    struct world *w = *state;
    w->module.response = pong;
    struct session *s = SESSION(w, {.request = 100, .response = 50});
    s->script.end.delay_us = 1 * SECONDS;
    s->server.step[1] =
        (struct fake_step){.after = 100, .reply = 4, .delay_us = 300 * MILLISECONDS};
    s->server.count = 2;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    const struct fake_conn *c = world_conn(w, 0);
    assert_int_equal(seen.unasked, 1);
    assert_int_equal(c->in_order, 104);
    assert_memory_equal(c->in + 100, "PONG", 4);
}

static enum tb_response_status opaque_at_once(struct tb_session *s, const uint8_t *data, size_t len,
                                              unsigned flags, size_t *used)
{
    (void) s;
    (void) data;
    (void) flags;
    *used = len;
    seen.responses++;
    return TB_RESPONSE_OPAQUE;
}

static void responses_of_an_opaque_stream_are_counted_in_bytes(void **state)
{
    struct world *w = *state;
    w->module.response = opaque_at_once;
    struct session *s =
        SESSION(w, {.request = 100, .response = 50}, {.request = 100, .response = 60});
    s->request[1].flags |= TB_REQ_BYTES;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(seen.responses, 1);
    assert_int_equal(w->stats->requests_answered, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODULE_TEST(module_sees_each_request_in_one_piece),
        MODULE_TEST(skipped_request_is_neither_sent_nor_waited_for),
        MODULE_TEST(replaced_request_is_what_the_module_sent),
        MODULE_TEST(captured_request_goes_behind_what_the_module_sent),
        MODULE_TEST(only_bytes_of_the_request_can_be_sent_captured),
        MODULE_TEST(bytes_the_module_keeps_are_sent_in_place),
        MODULE_TEST(sessions_of_a_worker_add_up_in_its_state),
        MODULE_TEST(module_may_fail_a_session),
        MODULE_TEST(request_may_wait_for_the_modules_timer),
        MODULE_TEST(request_may_wait_for_more_bytes),
        MODULE_TEST(module_may_hold_a_session),
        MODULE_TEST(module_frames_responses),
        MODULE_TEST(bytes_behind_a_response_belong_to_the_next),
        MODULE_TEST(module_frames_the_greeting_of_a_session_without_requests),
        MODULE_TEST(module_may_call_a_response_wrong),
        MODULE_TEST(module_may_end_a_session_over_a_response),
        MODULE_TEST(end_of_the_connection_may_complete_a_response),
        MODULE_TEST(end_of_the_connection_may_come_too_early),
        MODULE_TEST(module_may_answer_what_nobody_asked_for),
        MODULE_TEST(responses_of_an_opaque_stream_are_counted_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
