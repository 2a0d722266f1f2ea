/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framing and judging real responses (modules/http/play.c). Server bytes are given whole, byte by
 * byte and in random pieces; what is complete, and right, must not depend on it.
 */
#include "unit.h"
#include "module_host.h"
#include "http/http.h"

#include <stdio.h>

#define OK(n)    "HTTP/1.1 200 OK\r\nContent-Length: " #n "\r\n\r\n"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define MISSING  "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"

static const struct tb_module *const http = &tb_module_entry;

static uint64_t captured(unsigned status)
{
    return (uint64_t) status << TB_HTTP_NOTE_STATUS_SHIFT;
}

static void configure(const char *options)
{
    char err[200] = "";
    assert_int_equal(host_configure(http, options, err, sizeof err), 0);
}

/* The server's stream in pieces, as the engine gives it: what a response leaves is given again.
 * Results other than MORE are collected. */
struct results {
    enum tb_response_status status[16];
    size_t end[16]; /* stream offset where it completed */
    unsigned count;
};

static struct results respond_pieces(struct tb_session *s, const char *text, unsigned mode)
{
    struct results r = {0};
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        size_t n = len - at, used;
        if (mode == 1) {
            n = 1;
        } else if (mode > 1) {
            mode = mode * 1103515245u + 12345u;
            size_t random = 1 + (mode >> 16) % 13;
            n = random < n ? random : n;
        }
        enum tb_response_status status = host_respond(http, s, text + at, n, 0, &used);
        at += used;
        if (status != TB_RESPONSE_MORE) {
            assert_true(r.count < 16);
            r.status[r.count] = status;
            r.end[r.count++] = at;
        }
    }
    return r;
}

/* Play `text` to a session that awaits `n` responses with these notes. */
static struct results respond(struct tb_session *s, const uint64_t *notes, unsigned n,
                              const char *text)
{
    struct results whole = {0};
    for (unsigned mode = 0; mode < 30; mode++) {
        *s = (struct tb_session){0};
        for (unsigned i = 0; i < n; i++)
            host_await(s, notes[i]);
        struct results r = respond_pieces(s, text, mode);
        if (mode == 0)
            whole = r;
        assert_int_equal(r.count, whole.count);
        for (unsigned i = 0; i < r.count; i++) {
            assert_int_equal(r.status[i], whole.status[i]);
            if (r.status[i] != TB_RESPONSE_MISMATCH)
                assert_int_equal(r.end[i], whole.end[i]);
        }
    }
    return whole;
}

/* One awaited response. */
static enum tb_response_status one(struct tb_session *s, uint64_t note, const char *text)
{
    struct results r = respond(s, &note, 1, text);
    assert_in_range(r.count, 0, 1);
    if (r.count && r.status[0] != TB_RESPONSE_OPAQUE)
        assert_int_equal(r.end[0], strlen(text));
    return r.count ? r.status[0] : TB_RESPONSE_MORE;
}

static void is_mismatch(struct tb_session *s, uint64_t note, const char *text, const char *want,
                        const char *seen)
{
    assert_int_equal(one(s, note, text), TB_RESPONSE_MISMATCH);
    assert_int_equal(s->mismatches, 1);
    assert_string_equal(s->captured, want);
    assert_string_equal(s->seen, seen);
}

/* --- framing ---------------------------------------------------------------------------------- */

static void response_is_complete_with_its_last_byte(void **state)
{
    struct tb_session s;
    configure("{}");
    assert_int_equal(one(&s, captured(200), OK(5) "hello"), TB_RESPONSE_COMPLETE);
    assert_int_equal(one(&s, captured(200), OK(5) "hell"), TB_RESPONSE_MORE);
    assert_int_equal(one(&s, captured(200),
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n0\r\n\r\n"),
                     TB_RESPONSE_COMPLETE);
    assert_int_equal(one(&s, captured(200) | TB_HTTP_HEAD, OK(500)), TB_RESPONSE_COMPLETE);
    assert_int_equal(s.mismatches, 0);
}

static void pipelined_responses_go_to_their_requests(void **state)
{
    configure("{\"check\": \"status\"}");
    struct tb_session s;
    const uint64_t notes[] = {captured(200), captured(200) | TB_HTTP_HEAD, captured(404)};
    struct results r = respond(&s, notes, 3, OK(2) "ab" OK(99) MISSING);
    assert_int_equal(r.count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(r.status[i], TB_RESPONSE_COMPLETE);
    assert_int_equal(r.end[0], strlen(OK(2)) + 2);
    assert_int_equal(r.end[1], strlen(OK(2)) + 2 + strlen(OK(99)));
}

static void interim_responses_are_skipped(void **state)
{
    struct tb_session s;
    configure("{}");
    assert_int_equal(one(&s, captured(200), CONTINUE "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" OK(0)),
                     TB_RESPONSE_COMPLETE);
}

static void close_completes_only_what_lasts_until_close(void **state)
{
    configure("{}");
    struct tb_session s = {0};
    size_t used;
    host_await(&s, captured(200));
    assert_int_equal(respond_pieces(&s, "HTTP/1.0 200 OK\r\n\r\nall", 0).count, 0);
    assert_int_equal(host_respond(http, &s, "", 0, TB_RESPONSE_CLOSED, &used),
                     TB_RESPONSE_COMPLETE);

    host_await(&s, captured(200));
    assert_int_equal(respond_pieces(&s, OK(9) "half", 0).count, 0);
    assert_int_equal(host_respond(http, &s, "", 0, TB_RESPONSE_CLOSED, &used), TB_RESPONSE_MORE);

    s = (struct tb_session){0};
    host_await(&s, captured(404));
    assert_int_equal(host_respond(http, &s, "", 0, TB_RESPONSE_CLOSED, &used), TB_RESPONSE_MORE);
    assert_int_equal(respond_pieces(&s, "HTTP/1.0 200 OK\r\n\r\nall", 0).count, 0);
    assert_int_equal(host_respond(http, &s, "", 0, TB_RESPONSE_CLOSED, &used),
                     TB_RESPONSE_MISMATCH);
}

static void unasked_bytes_are_consumed(void **state)
{
    configure("{}");
    struct tb_session s = {0};
    assert_int_equal(respond_pieces(&s, "HTTP/1.1 408 Timeout\r\n\r\n", 0).count, 0);
    assert_int_equal(respond_pieces(&s, "garbage", 1).count, 0);
}

static void switching_protocols_ends_http(void **state)
{
    struct tb_session s;
    configure("{}");
    const uint64_t note = captured(101) | TB_HTTP_NOTE_UPGRADE;
    assert_int_equal(one(&s, note, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
                     TB_RESPONSE_OPAQUE);
    struct results r = respond(&s, &note, 1, "HTTP/1.1 101 S\r\n\r\n\x81\x01x");
    assert_int_equal(r.count, 1);
    assert_int_equal(r.end[0], strlen("HTTP/1.1 101 S\r\n\r\n"));
    assert_int_equal(one(&s, captured(200) | TB_HTTP_CONNECT, "HTTP/1.1 200 OK\r\n\r\n"),
                     TB_RESPONSE_OPAQUE);
    is_mismatch(&s, note, "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", "101", "400");
    is_mismatch(&s, captured(200), "HTTP/1.1 101 S\r\n\r\n", "200", "101");
}

static void garbage_is_a_mismatch_and_consumed(void **state)
{
    configure("{}");
    struct tb_session s = {0};
    size_t used;
    host_await(&s, captured(200));
    assert_int_equal(host_respond(http, &s, "SSH-2.0-x\r\n", 11, 0, &used), TB_RESPONSE_MISMATCH);
    assert_int_equal(used, 11);
    assert_string_equal(s.seen, "not HTTP");
    assert_int_equal(s.counts[host_counter("not_http")], 1);
    assert_int_equal(host_respond(http, &s, "more of it", 10, 0, &used), TB_RESPONSE_MORE);
    host_await(&s, captured(200));
    assert_int_equal(host_respond(http, &s, OK(0), strlen(OK(0)), 0, &used), TB_RESPONSE_COMPLETE);
}

static void broken_framing_is_a_mismatch(void **state)
{
    configure("{}");
    struct tb_session s = {0};
    size_t used;
    const char *text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense";
    host_await(&s, captured(200));
    assert_int_equal(host_respond(http, &s, text, strlen(text), 0, &used), TB_RESPONSE_MISMATCH);
    assert_string_equal(s.captured, "200");
    assert_string_equal(s.seen, "200, broken framing");
}

/* --- judging ---------------------------------------------------------------------------------- */

static void status_class_is_compared_by_default(void **state)
{
    struct tb_session s;
    configure("{}");
    assert_int_equal(one(&s, captured(201), OK(0)), TB_RESPONSE_COMPLETE);
    is_mismatch(&s, captured(200), "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "200", "503");
    assert_int_equal(one(&s, captured(0), MISSING), TB_RESPONSE_COMPLETE);
}

static void exact_status_is_compared_on_request(void **state)
{
    struct tb_session s;
    configure("{\"check\": \"status\"}");
    assert_int_equal(one(&s, captured(200), OK(0)), TB_RESPONSE_COMPLETE);
    is_mismatch(&s, captured(201), OK(0), "201", "200");
    configure("{\"check\": \"none\"}");
    assert_int_equal(one(&s, captured(201), MISSING), TB_RESPONSE_COMPLETE);
}

static void accepted_pairs_are_as_good(void **state)
{
    struct tb_session s;
    configure("{\"accept\": [[200, 304], [200, 404]]}");
    assert_int_equal(one(&s, captured(200), MISSING), TB_RESPONSE_COMPLETE);
    is_mismatch(&s, captured(304), MISSING, "304", "404");
}

static void bodies_are_compared_by_digest(void **state)
{
    struct tb_session s;
    const uint64_t note = captured(200) | TB_HTTP_NOTE_HAS_DIGEST |
                          (uint64_t) 0x4f9f2cab << TB_HTTP_NOTE_DIGEST_SHIFT; /* "hello" */
    configure("{\"digest\": true, \"accept\": [[200, 404]]}");
    assert_int_equal(one(&s, note, OK(5) "hello"), TB_RESPONSE_COMPLETE);
    is_mismatch(&s, note, OK(5) "hallo", "200, body 4f9f2cab", "200, body f9473f67");
    assert_int_equal(one(&s, note, MISSING), TB_RESPONSE_COMPLETE);
    assert_int_equal(one(&s, captured(200), OK(1) "x"), TB_RESPONSE_COMPLETE);
}

static void responses_are_counted_by_class(void **state)
{
    configure("{}");
    struct tb_session s = {0};
    for (int i = 0; i < 3; i++)
        host_await(&s, captured(200));
    respond_pieces(&s, OK(0) MISSING "HTTP/1.1 299 X\r\nContent-Length: 0\r\n\r\n", 0);
    assert_int_equal(s.counts[host_counter("status_2xx")], 2);
    assert_int_equal(s.counts[host_counter("status_4xx")], 1);
    assert_int_equal(s.counts[host_counter("status_5xx")], 0);
}

/* --- Expect: 100-continue ----------------------------------------------------------------------
 */

enum { EXPECTS = TB_HTTP_NOTE_EXPECTS };

static void interim_100_answers_the_head_that_expects_it(void **state)
{
    configure("{}");
    struct tb_session s;
    const uint64_t notes[] = {captured(100) | EXPECTS, captured(200)};
    struct results r = respond(&s, notes, 2, "HTTP/1.1 102 P\r\n\r\n" CONTINUE OK(0));
    assert_int_equal(r.count, 2);
    assert_int_equal(r.status[0], TB_RESPONSE_COMPLETE);
    assert_int_equal(r.end[0], strlen("HTTP/1.1 102 P\r\n\r\n" CONTINUE));
    assert_int_equal(r.status[1], TB_RESPONSE_COMPLETE);
}

static void final_status_instead_of_100_is_a_mismatch(void **state)
{
    configure("{}");
    struct tb_session s;
    is_mismatch(&s, captured(100) | EXPECTS, "HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno",
                "100", "417");
}

/* --- options ---------------------------------------------------------------------------------- */

static void bad_options_are_refused_by_name(void **state)
{
    static const char *const bad[][2] = {
        {"{\"chek\": \"none\"}", "\"chek\""},
        {"{\"check\": \"body\"}", "\"check\""},
        {"{\"check\": 1}", "\"check\""},
        {"{\"digest\": \"yes\"}", "\"digest\""},
        {"{\"accept\": [200, 304]}", "\"accept\""},
        {"{\"accept\": [[200]]}", "\"accept\""},
        {"{\"accept\": [[200, 304, 1]]}", "\"accept\""},
        {"{\"accept\": [[200, 3040]]}", "\"accept\""},
        {"{\"accept\": [[200, \"304\"]]}", "\"accept\""},
        {"{\"accept\": {}}", "\"accept\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char err[200] = "";
        assert_int_not_equal(host_configure(http, bad[i][0], err, sizeof err), 0);
        assert_non_null(strstr(err, bad[i][1]));
    }
}

static void idle_sessions_need_no_memory(void **state)
{
    assert_int_equal(http->session_size, 0);
    assert_in_range(http->busy_size, 1, 64);
    assert_true(http->needs_payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(response_is_complete_with_its_last_byte),
        cmocka_unit_test(pipelined_responses_go_to_their_requests),
        cmocka_unit_test(interim_responses_are_skipped),
        cmocka_unit_test(close_completes_only_what_lasts_until_close),
        cmocka_unit_test(unasked_bytes_are_consumed),
        cmocka_unit_test(switching_protocols_ends_http),
        cmocka_unit_test(garbage_is_a_mismatch_and_consumed),
        cmocka_unit_test(broken_framing_is_a_mismatch),
        cmocka_unit_test(status_class_is_compared_by_default),
        cmocka_unit_test(exact_status_is_compared_on_request),
        cmocka_unit_test(accepted_pairs_are_as_good),
        cmocka_unit_test(bodies_are_compared_by_digest),
        cmocka_unit_test(responses_are_counted_by_class),
        cmocka_unit_test(interim_100_answers_the_head_that_expects_it),
        cmocka_unit_test(final_status_instead_of_100_is_a_mismatch),
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(idle_sessions_need_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
