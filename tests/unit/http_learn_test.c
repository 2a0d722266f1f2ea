/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Learning captured HTTP sessions (modules/http/learn.c). A dialogue is learned whole, byte by byte
 * and in random pieces; cuts, answers and notes must not depend on that.
 */
#include "unit.h"
#include "module_host.h"
#include "http/http.h"

#include <stdio.h>

/* What one side sent without the other between; or a hole, or how it all ended. */
struct turn {
    char who; /* 'c', 's', or 'g': `hole` bytes of the server missing */
    const char *text;
    size_t hole;
};

#define C(text)      \
    {                \
        'c', text, 0 \
    }
#define S(text)      \
    {                \
        's', text, 0 \
    }
#define GAP(n)       \
    {                \
        'g', NULL, n \
    }
#define OK(n)    "HTTP/1.1 200 OK\r\nContent-Length: " #n "\r\n\r\n"
#define GET      "GET / HTTP/1.1\r\n\r\n"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define EXPECT   "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"

static const struct tb_module *const http = &tb_module_entry;

static void say(struct tb_learn *l, void *state, const struct turn *t, unsigned mode)
{
    enum tb_direction dir = t->who == 'c' ? TB_CLIENT_BYTES : TB_SERVER_BYTES;
    size_t len = t->text ? strlen(t->text) : t->hole;
    for (size_t at = 0; at < len;) {
        size_t n = len - at;
        if (mode == 1) {
            n = 1;
        } else if (mode > 1) {
            mode = mode * 1103515245u + 12345u;
            size_t random = 1 + (mode >> 16) % 11;
            n = random < n ? random : n;
        }
        host_learn(http, l, state, dir, t->text ? t->text + at : NULL, n);
        at += n;
    }
}

static struct tb_learn learn_pieces(const struct turn *turns, size_t count, bool closed,
                                    unsigned mode)
{
    struct tb_learn l = {.server_closed = closed};
    void *state = http->learn_begin(&l);
    for (size_t i = 0; i < count; i++)
        say(&l, state, &turns[i], mode);
    http->learn_end(&l, state, true);
    return l;
}

static struct tb_learn learn(const struct turn *turns, size_t count, bool closed)
{
    struct tb_learn whole = learn_pieces(turns, count, closed, 0);
    for (unsigned mode = 1; mode < 30; mode++) {
        struct tb_learn l = learn_pieces(turns, count, closed, mode);
        assert_int_equal(l.count, whole.count);
        assert_int_equal(l.opaque, whole.opaque);
        assert_int_equal(l.greetings, 0);
        for (uint32_t i = 0; i < l.count; i++)
            assert_memory_equal(&l.request[i], &whole.request[i], sizeof l.request[i]);
    }
    return whole;
}

#define LEARN(...)                            \
    learn((const struct turn[]){__VA_ARGS__}, \
          sizeof((const struct turn[]){__VA_ARGS__}) / sizeof(struct turn), false)
#define LEARN_CLOSED(...)                     \
    learn((const struct turn[]){__VA_ARGS__}, \
          sizeof((const struct turn[]){__VA_ARGS__}) / sizeof(struct turn), true)

static void is_answered(const struct tb_learn *l, uint32_t i, size_t end, size_t response_end,
                        unsigned status)
{
    assert_true(i < l->count);
    assert_int_equal(l->request[i].end, end);
    /* a head that waits is only a part, to be counted with its body */
    bool is_part = l->request[i].note & TB_HTTP_NOTE_EXPECTS;
    assert_int_equal(l->request[i].flags, is_part ? TB_CUT_PART : 0);
    assert_true(l->request[i].answered);
    assert_int_equal(l->request[i].response_end, response_end);
    assert_int_equal(tb_http_note_status(l->request[i].note), status);
}

static void is_unanswered(const struct tb_learn *l, uint32_t i, size_t end, unsigned flags)
{
    assert_true(i < l->count);
    assert_int_equal(l->request[i].end, end);
    assert_int_equal(l->request[i].flags, flags);
    assert_false(l->request[i].answered);
}

static int configure_plain(void **state)
{
    char err[200];
    return host_configure(http, "{}", err, sizeof err);
}

/* --- plain dialogues -------------------------------------------------------------------------- */

static void requests_are_paired_with_their_responses(void **state)
{
    struct tb_learn l = LEARN(C(GET), S(OK(2) "ab"), C(GET),
                              S("HTTP/1.1 404 No\r\n"
                                "Content-Length: 0\r\n\r\n"));
    assert_int_equal(l.count, 2);
    is_answered(&l, 0, strlen(GET), strlen(OK(2)) + 2, 200);
    is_answered(&l, 1, 2 * strlen(GET), l.server_len, 404);
    assert_false(l.opaque);
}

static void pipelined_requests_are_cut_apart(void **state)
{
    struct tb_learn l =
        LEARN(C(GET GET "HEAD / HTTP/1.1\r\n\r\n" GET), S(OK(1) "a" OK(1) "b" OK(1) OK(1) "d"));
    size_t n = strlen(GET), r = strlen(OK(1));
    assert_int_equal(l.count, 4);
    is_answered(&l, 0, n, r + 1, 200);
    is_answered(&l, 1, 2 * n, 2 * r + 2, 200);
    is_answered(&l, 2, 3 * n + 1, 3 * r + 2, 200);
    is_answered(&l, 3, 4 * n + 1, 4 * r + 3, 200);
    assert_int_equal(tb_http_note_method(l.request[2].note), TB_HTTP_HEAD);
}

static void many_requests_may_be_outstanding(void **state)
{
    struct tb_learn l = {0};
    void *s = http->learn_begin(&l);
    for (int i = 0; i < 3; i++)
        host_learn(http, &l, s, TB_CLIENT_BYTES, GET, strlen(GET));
    for (int i = 0; i < 3; i++)
        host_learn(http, &l, s, TB_SERVER_BYTES, OK(0), strlen(OK(0)));
    for (int i = 3; i < 200; i++)
        host_learn(http, &l, s, TB_CLIENT_BYTES, GET, strlen(GET));
    for (int i = 3; i < 200; i++)
        host_learn(http, &l, s, TB_SERVER_BYTES, OK(0), strlen(OK(0)));
    http->learn_end(&l, s, true);
    assert_int_equal(l.count, 200);
    for (uint32_t i = 0; i < 200; i++)
        is_answered(&l, i, (i + 1) * strlen(GET), (i + 1) * strlen(OK(0)), 200);
}

static void interim_responses_are_not_the_answer(void **state)
{
    struct tb_learn l = LEARN(C(GET), S("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 102 P\r\n\r\n" OK(0)));
    assert_int_equal(l.count, 1);
    is_answered(&l, 0, strlen(GET), l.server_len, 200);
}

static void unanswered_and_cut_off_requests_are_not_waited_for(void **state)
{
    struct tb_learn l = LEARN(C(GET), S(OK(5) "ab"));
    is_unanswered(&l, 0, strlen(GET), 0);
    l = LEARN(C(GET), S(OK(0)), C("GET /half"));
    assert_int_equal(l.count, 2);
    is_unanswered(&l, 1, l.client_len, 0);
    l = LEARN(C("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"));
    assert_int_equal(l.count, 1);
    is_unanswered(&l, 0, l.client_len, 0);
}

static void stray_line_ends_at_the_end_expect_no_response(void **state)
{
    struct tb_learn l = LEARN(C(GET), S(OK(0)), C("\r\n"));
    assert_int_equal(l.count, 2);
    is_unanswered(&l, 1, strlen(GET) + 2, TB_CUT_NO_RESPONSE);
}

static void response_until_close_needs_the_close(void **state)
{
    struct tb_learn l = LEARN_CLOSED(C(GET), S("HTTP/1.0 200 OK\r\n\r\nall of it"));
    is_answered(&l, 0, strlen(GET), l.server_len, 200);
    l = LEARN(C(GET), S("HTTP/1.0 200 OK\r\n\r\nevents, still going on"));
    is_unanswered(&l, 0, strlen(GET), 0);
    l = LEARN_CLOSED(C(GET), S(OK(9) "cut off"));
    is_unanswered(&l, 0, strlen(GET), 0);
}

static void response_before_the_end_of_its_request_counts_when_that_is_cut(void **state)
{
#define UPLOAD    "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"
#define TOO_LARGE "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"
    struct tb_learn l = LEARN(C(UPLOAD "ab"), S(TOO_LARGE), C("cd" GET), S(OK(0)));
    assert_int_equal(l.count, 2);
    is_answered(&l, 0, strlen(UPLOAD) + 4, strlen(TOO_LARGE), 413);
    is_answered(&l, 1, l.client_len, l.server_len, 200);
    /* never finished */
    l = LEARN_CLOSED(C(UPLOAD "ab"), S(TOO_LARGE));
    assert_int_equal(l.count, 1);
    is_answered(&l, 0, strlen(UPLOAD) + 2, strlen(TOO_LARGE), 413);
}

static void unasked_response_answers_nothing(void **state)
{
    struct tb_learn l =
        LEARN_CLOSED(C(GET), S(OK(0)), S("HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(l.count, 1);
    is_answered(&l, 0, strlen(GET), strlen(OK(0)), 200);
    assert_false(l.opaque);
}

/* --- Expect: 100-continue ----------------------------------------------------------------------
 */

static void body_that_waited_for_100_is_a_request_of_its_own(void **state)
{
    struct tb_learn l = LEARN(C(EXPECT), S(CONTINUE), C("body"), S(OK(0)), C(GET), S(OK(0)));
    assert_int_equal(l.count, 3);
    is_answered(&l, 0, strlen(EXPECT), strlen(CONTINUE), 100);
    assert_true(l.request[0].note & TB_HTTP_NOTE_EXPECTS);
    is_answered(&l, 1, strlen(EXPECT) + 4, strlen(CONTINUE OK(0)), 200);
    assert_false(l.request[1].note & TB_HTTP_NOTE_EXPECTS);
    is_answered(&l, 2, l.client_len, l.server_len, 200);
}

static void body_that_did_not_wait_is_not_cut_off(void **state)
{
    struct tb_learn l = LEARN(C(EXPECT "body"), S(CONTINUE OK(0)));
    assert_int_equal(l.count, 1);
    is_answered(&l, 0, l.client_len, l.server_len, 200);
    assert_false(l.request[0].note & TB_HTTP_NOTE_EXPECTS);

    l = LEARN(C(EXPECT "bo"), S(CONTINUE), C("dy"), S(OK(0)));
    assert_int_equal(l.count, 1);
    is_answered(&l, 0, l.client_len, l.server_len, 200);
}

static void expect_behind_a_pipelined_request_waits_for_its_own_100(void **state)
{
    struct tb_learn l =
        LEARN(C(GET EXPECT), S(OK(0)), S("HTTP/1.1 103 H\r\n\r\n" CONTINUE), C("body"), S(OK(0)));
    assert_int_equal(l.count, 3);
    is_answered(&l, 0, strlen(GET), strlen(OK(0)), 200);
    is_answered(&l, 1, strlen(GET EXPECT), l.server_len - strlen(OK(0)), 100);
    is_answered(&l, 2, l.client_len, l.server_len, 200);
}

static void refused_expectation_leaves_the_body_without_response(void **state)
{
    struct tb_learn l = LEARN(C(EXPECT), S("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
                              C("body" GET), S(OK(0)));
    assert_int_equal(l.count, 3);
    is_answered(&l, 0, strlen(EXPECT), l.server_len - strlen(OK(0)), 417);
    is_unanswered(&l, 1, strlen(EXPECT) + 4, TB_CUT_NO_RESPONSE);
    is_answered(&l, 2, l.client_len, l.server_len, 200);
}

static void expectation_without_body_changes_nothing(void **state)
{
    struct tb_learn l = LEARN(C("GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"), S(OK(0)));
    assert_int_equal(l.count, 1);
    assert_false(l.request[0].note & TB_HTTP_NOTE_EXPECTS);
}

/* --- no HTTP, or no longer ---------------------------------------------------------------------
 */

static void other_protocols_are_opaque_from_the_start(void **state)
{
    struct tb_learn l = LEARN(C("\x16\x03\x01 hello"), S("\x16\x03\x03"));
    assert_true(l.opaque);
    assert_int_equal(l.count, 0);
    l = LEARN(S("220 mail.example ready\r\n"), C("EHLO me\r\n"));
    assert_true(l.opaque);
    assert_int_equal(l.count, 0);
}

static void upgrade_makes_the_rest_opaque(void **state)
{
    struct tb_learn l = LEARN(C("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
                              S("HTTP/1.1 101 Switching\r\n\r\n\x81\x01x"), C("\x81\x81mask"));
    assert_true(l.opaque);
    assert_int_equal(l.count, 1);
    is_answered(&l, 0, l.request[0].end, strlen("HTTP/1.1 101 Switching\r\n\r\n"), 101);
    assert_true(l.request[0].note & TB_HTTP_NOTE_UPGRADE);
}

static void refused_upgrade_stays_http(void **state)
{
    struct tb_learn l =
        LEARN(C("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"), S(OK(0)), C(GET), S(OK(0)));
    assert_false(l.opaque);
    assert_int_equal(l.count, 2);
}

static void tunnel_is_opaque_once_it_stands(void **state)
{
    struct tb_learn l = LEARN(
        C("CONNECT a:1 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 407 Auth\r\nContent-Length: 1\r\n\r\nx"),
        C("CONNECT a:1 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 OK\r\n\r\n"), C("\x16\x03\x01"));
    assert_true(l.opaque);
    assert_int_equal(l.count, 2);
    is_answered(&l, 1, l.request[1].end, l.server_len, 200);
}

/* --- holes ------------------------------------------------------------------------------------ */

static void hole_in_a_counted_body_changes_nothing(void **state)
{
    struct tb_learn l = LEARN(C(GET), S(OK(10) "ab"), GAP(6), S("yz"), C(GET), S(OK(0)));
    assert_int_equal(l.count, 2);
    is_answered(&l, 0, strlen(GET), strlen(OK(10)) + 10, 200);
    is_answered(&l, 1, l.client_len, l.server_len, 200);
    l = LEARN(C(GET), S(OK(10)), GAP(10), C(GET), S(OK(0)));
    is_answered(&l, 0, strlen(GET), strlen(OK(10)) + 10, 200);
}

static void lost_responses_are_complete_when_the_next_request_comes(void **state)
{
    struct tb_learn l =
        LEARN(C(GET GET), S("HTTP/1.1 200 OK\r\n"), GAP(90), S("rest of it"), C(GET), S(OK(0)));
    size_t lost_end = strlen("HTTP/1.1 200 OK\r\n") + 90 + strlen("rest of it");
    assert_int_equal(l.count, 3);
    is_answered(&l, 0, strlen(GET), lost_end, 0);
    is_answered(&l, 1, 2 * strlen(GET), lost_end, 0);
    is_answered(&l, 2, l.client_len, l.server_len, 200);
    assert_false(l.opaque);
}

static void lost_response_is_complete_at_the_end(void **state)
{
    struct tb_learn l = LEARN(C(GET), GAP(100), S("tail"));
    is_answered(&l, 0, strlen(GET), 104, 0);
}

static void leftovers_of_a_lost_response_do_not_end_http(void **state)
{
    struct tb_learn l = LEARN(C(GET), GAP(50), C(GET), S("still the first one"), C(GET), S(OK(0)));
    assert_int_equal(l.count, 3);
    assert_false(l.opaque);
    is_answered(&l, 2, l.client_len, l.server_len, 200);
}

static void lost_100_is_taken_as_given(void **state)
{
    struct tb_learn l = LEARN(C(EXPECT), GAP(25), C("body"), S(OK(0)));
    assert_int_equal(l.count, 2);
    is_answered(&l, 0, strlen(EXPECT), 25, 0);
    assert_true(l.request[0].note & TB_HTTP_NOTE_EXPECTS);
    is_answered(&l, 1, l.client_len, l.server_len, 200);
}

/* --- digests ---------------------------------------------------------------------------------- */

static void digest_of_the_body_is_noted_when_asked_for(void **state)
{
    char err[200];
    assert_int_equal(host_configure(http, "{\"digest\": true}", err, sizeof err), 0);
    struct tb_learn l = LEARN(C(GET GET), S(OK(5) "hello" OK(5)), GAP(5));
    assert_true(l.request[0].note & TB_HTTP_NOTE_HAS_DIGEST);
    assert_int_equal(tb_http_note_digest(l.request[0].note), 0x4f9f2cab);
    is_answered(&l, 1, l.client_len, l.server_len, 200);
    assert_false(l.request[1].note & TB_HTTP_NOTE_HAS_DIGEST);
    configure_plain(NULL);
    l = LEARN(C(GET), S(OK(5) "hello"));
    assert_false(l.request[0].note & TB_HTTP_NOTE_HAS_DIGEST);
}

/* Uploads: 300,000 bytes with a head of 43 before, in pieces of 10,000. */
static void upload(struct tb_learn *l, void *s, const char *early_answer)
{
    static const char head[] = "PUT /a HTTP/1.1\r\nContent-Length: 300000\r\n\r\n";
    static uint8_t body[10000];

    host_learn(http, l, s, TB_CLIENT_BYTES, head, sizeof head - 1);
    for (unsigned i = 0; i < 30; i++) {
        host_learn(http, l, s, TB_CLIENT_BYTES, body, sizeof body);
        if (l->live) /* less is left than a part, and what came last */
            assert_true(l->client_len - (l->count ? l->request[l->count - 1].end : 0) < 75000);
        if (early_answer && i == 20)
            host_learn(http, l, s, TB_SERVER_BYTES, early_answer, strlen(early_answer));
    }
}

static void long_live_requests_are_cut_in_parts(void **state)
{
    for (int live = 0; live < 2; live++) {
        struct tb_learn l = {.live = live};
        void *s = http->learn_begin(&l);
        upload(&l, s, NULL);
        assert_int_equal(l.parts, live ? 4 : 0);
        host_learn(http, &l, s, TB_SERVER_BYTES, OK(0), strlen(OK(0)));
        is_answered(&l, 0, 43 + 300000, strlen(OK(0)), 200);
        host_learn(http, &l, s, TB_CLIENT_BYTES, GET, strlen(GET));
        host_learn(http, &l, s, TB_SERVER_BYTES, OK(0), strlen(OK(0)));
        is_answered(&l, 1, 43 + 300000 + strlen(GET), 2 * strlen(OK(0)), 200);
        http->learn_end(&l, s, true);
        assert_int_equal(l.count, 2);
    }
}

static void part_of_an_upload_may_be_answered(void **state)
{
    static const char too_large[] = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    struct tb_learn l = {.live = true};
    void *s = http->learn_begin(&l);
    upload(&l, s, too_large);
    is_answered(&l, 0, 43 + 300000, strlen(too_large), 413);
    http->learn_end(&l, s, true);
    assert_int_equal(l.count, 1);
}

static void unused_session_is_only_freed(void **state)
{
    struct tb_learn l = {0};
    void *s = http->learn_begin(&l);
    host_learn(http, &l, s, TB_CLIENT_BYTES, "GET /", 5);
    http->learn_end(&l, s, false);
    assert_int_equal(l.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_paired_with_their_responses),
        cmocka_unit_test(pipelined_requests_are_cut_apart),
        cmocka_unit_test(many_requests_may_be_outstanding),
        cmocka_unit_test(interim_responses_are_not_the_answer),
        cmocka_unit_test(unanswered_and_cut_off_requests_are_not_waited_for),
        cmocka_unit_test(stray_line_ends_at_the_end_expect_no_response),
        cmocka_unit_test(response_until_close_needs_the_close),
        cmocka_unit_test(response_before_the_end_of_its_request_counts_when_that_is_cut),
        cmocka_unit_test(unasked_response_answers_nothing),
        cmocka_unit_test(body_that_waited_for_100_is_a_request_of_its_own),
        cmocka_unit_test(body_that_did_not_wait_is_not_cut_off),
        cmocka_unit_test(expect_behind_a_pipelined_request_waits_for_its_own_100),
        cmocka_unit_test(refused_expectation_leaves_the_body_without_response),
        cmocka_unit_test(expectation_without_body_changes_nothing),
        cmocka_unit_test(other_protocols_are_opaque_from_the_start),
        cmocka_unit_test(upgrade_makes_the_rest_opaque),
        cmocka_unit_test(refused_upgrade_stays_http),
        cmocka_unit_test(tunnel_is_opaque_once_it_stands),
        cmocka_unit_test(hole_in_a_counted_body_changes_nothing),
        cmocka_unit_test(lost_responses_are_complete_when_the_next_request_comes),
        cmocka_unit_test(lost_response_is_complete_at_the_end),
        cmocka_unit_test(leftovers_of_a_lost_response_do_not_end_http),
        cmocka_unit_test(lost_100_is_taken_as_given),
        cmocka_unit_test(digest_of_the_body_is_noted_when_asked_for),
        cmocka_unit_test(long_live_requests_are_cut_in_parts),
        cmocka_unit_test(part_of_an_upload_may_be_answered),
        cmocka_unit_test(unused_session_is_only_freed),
    };
    return cmocka_run_group_tests(tests, configure_plain, NULL);
}
