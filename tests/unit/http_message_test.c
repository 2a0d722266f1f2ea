/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Framing of HTTP/1.x messages (modules/httpmsg/message.h). Every message is read in one piece,
 * byte by byte, and in random pieces, from copies of exact size: the outcome must not depend on it.
 */
#include "unit.h"
#include "httpmsg/message.h"

#include <stdio.h>

enum { REQUEST = -1 }; /* else: the response to a request with that method */

struct outcome {
    enum tb_http_event event; /* DONE, BAD, or MORE: not complete */
    size_t end;               /* bytes read */
    struct tb_http_message m;
};

/* Piece lengths: 0: all at once; 1: single bytes; others: seed of random pieces. */
static size_t piece(unsigned *mode, size_t left)
{
    if (*mode == 0)
        return left;
    if (*mode == 1)
        return 1;
    *mode = *mode * 1103515245u + 12345u;
    size_t n = 1 + (*mode >> 16) % 9;
    return n < left ? n : left;
}

static struct outcome read_pieces(int what, const char *text, size_t len, unsigned mode)
{
    struct outcome o = {.event = TB_HTTP_MORE};
    if (what == REQUEST)
        tb_http_begin_request(&o.m, true);
    else
        tb_http_begin_response(&o.m, (enum tb_http_method) what, true);
    while (o.end < len && o.event == TB_HTTP_MORE) {
        size_t n = piece(&mode, len - o.end), at = 0, used;
        uint8_t *copy = exact_copy(text + o.end, n);
        do {
            o.event = tb_http_feed(&o.m, copy + at, n - at, &used);
            assert_in_range(used, 0, n - at);
            at += used;
        } while (o.event == TB_HTTP_HEAD_END);
        if (o.event == TB_HTTP_MORE)
            assert_int_equal(at, n);
        o.end += at;
        free(copy);
    }
    return o;
}

static struct outcome read_all_ways(int what, const char *text, size_t len)
{
    struct outcome whole = read_pieces(what, text, len, 0);
    for (unsigned mode = 1; mode < 40; mode++) {
        struct outcome o = read_pieces(what, text, len, mode);
        assert_int_equal(o.event, whole.event);
        assert_int_equal(o.end, whole.end);
        assert_int_equal(o.m.status, whole.m.status);
        assert_int_equal(o.m.method, whole.m.method);
        assert_int_equal(o.m.flags, whole.m.flags);
        if (o.event == TB_HTTP_DONE)
            assert_int_equal(o.m.digest, whole.m.digest);
    }
    return whole;
}

#define TAIL "GET /next" /* what follows a message must be left alone */

static struct tb_http_message ends(int what, const char *text)
{
    char *with_tail = malloc(strlen(text) + sizeof TAIL);
    assert_non_null(with_tail);
    memcpy(with_tail, text, strlen(text));
    memcpy(with_tail + strlen(text), TAIL, sizeof TAIL);
    struct outcome o = read_all_ways(what, with_tail, strlen(with_tail));
    free(with_tail);
    assert_int_equal(o.event, TB_HTTP_DONE);
    assert_int_equal(o.end, strlen(text));
    return o.m;
}

static struct tb_http_message goes_on(int what, const char *text)
{
    struct outcome o = read_all_ways(what, text, strlen(text));
    assert_int_equal(o.event, TB_HTTP_MORE);
    return o.m;
}

static void is_bad(int what, const char *text)
{
    struct outcome o = read_all_ways(what, text, strlen(text));
    assert_int_equal(o.event, TB_HTTP_BAD);
    size_t used;
    assert_int_equal(tb_http_feed(&o.m, (const uint8_t *) "more", 4, &used), TB_HTTP_BAD);
    assert_int_equal(used, 0);
}

/* --- requests --------------------------------------------------------------------------------- */

static void request_without_body_ends_with_its_head(void **state)
{
    ends(REQUEST, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ends(REQUEST, "OPTIONS * HTTP/1.0\r\n\r\n");
    ends(REQUEST, "DELETE /a%20b?x=1&y HTTP/1.1\r\nX:\r\nY: a: b\r\n\r\n");
}

static void method_is_classified_exactly(void **state)
{
    assert_int_equal(ends(REQUEST, "HEAD / HTTP/1.1\r\n\r\n").method, TB_HTTP_HEAD);
    assert_int_equal(ends(REQUEST, "CONNECT a:443 HTTP/1.1\r\n\r\n").method, TB_HTTP_CONNECT);
    assert_int_equal(ends(REQUEST, "HEADER / HTTP/1.1\r\n\r\n").method, TB_HTTP_OTHER);
    assert_int_equal(ends(REQUEST, "head / HTTP/1.1\r\n\r\n").method, TB_HTTP_OTHER);
    assert_int_equal(ends(REQUEST, "HEA / HTTP/1.1\r\n\r\n").method, TB_HTTP_OTHER);
}

static void empty_lines_before_a_message_are_part_of_it(void **state)
{
    ends(REQUEST, "\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    ends(REQUEST, "\n\nGET / HTTP/1.1\r\n\r\n");
    assert_false(tb_http_begun(&(struct tb_http_message){0}));
    struct tb_http_message m = goes_on(REQUEST, "\r\n");
    assert_false(tb_http_begun(&m));
    m = goes_on(REQUEST, "\r\nG");
    assert_true(tb_http_begun(&m));
}

static void bare_line_feeds_end_lines_too(void **state)
{
    ends(REQUEST, "GET / HTTP/1.1\nHost: a\n\n");
    ends(REQUEST, "POST / HTTP/1.1\nContent-Length: 3\n\nabc");
    ends(REQUEST, "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n");
}

static void spaces_within_the_target_are_tolerated(void **state)
{
    ends(REQUEST, "GET /a b HTTP/1.1 c HTTP/1.1\r\n\r\n");
}

static void content_length_counts_the_body(void **state)
{
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    ends(REQUEST, "POST / HTTP/1.1\r\ncOnTeNt-LeNgTh:5  \r\n\r\nhello");
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Length:\t005\r\n\r\nhello");
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    ends(REQUEST, "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    goes_on(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhell");
}

static void names_that_only_resemble_are_ignored(void **state)
{
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Length-X: 5\r\n\r\n");
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Lengt: 5\r\n\r\n");
    ends(REQUEST, "POST / HTTP/1.1\r\nX-Content-Length: 5\r\n\r\n");
    ends(REQUEST, "POST / HTTP/1.1\r\nno colon in this line\r\nContent-Len\r\n\r\n");
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Len\r\n\r\n");
}

static void equal_content_lengths_are_one(void **state)
{
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello");
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 5, 5 ,5\r\n\r\nhello");
    is_bad(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello");
    is_bad(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 5, 6\r\n\r\nhello");
}

static void content_length_must_be_a_number(void **state)
{
    static const char *const values[] = {"-5",
                                         "+5",
                                         "0x5",
                                         "5 5",
                                         "five",
                                         "",
                                         " ",
                                         "5;a",
                                         "5,",
                                         ",5",
                                         "5.0",
                                         "9223372036854775808",
                                         "18446744073709551621",
                                         "100000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[200];
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\nhello",
                 values[i]);
        is_bad(REQUEST, text);
    }
    goes_on(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\nhello");
}

static void chunked_body_ends_with_its_trailers(void **state)
{
#define CHUNKED "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    ends(REQUEST, CHUNKED "0\r\n\r\n");
    ends(REQUEST, CHUNKED "5\r\nhello\r\n0\r\n\r\n");
    ends(REQUEST, CHUNKED "5\r\nhello\r\n00000A\r\n0123456789\r\n000\r\n\r\n");
    ends(REQUEST, CHUNKED "a\r\n\r\n0\r\n\r\nxyz\r\n0\r\n\r\n");
    ends(REQUEST, CHUNKED "5;name=value;other=\"quoted\"\r\nhello\r\n0;last\r\n\r\n");
    ends(REQUEST, CHUNKED "5  \r\nhello\r\n0 ; x\r\n\r\n");
    ends(REQUEST, CHUNKED "0\r\nTrailer: x\r\nOther: y\r\n\r\n");
}

static void chunk_sizes_must_be_hexadecimal_numbers(void **state)
{
    static const char *const bodies[] = {"\r\n\r\n",
                                         "-5\r\nhello",
                                         "g\r\n",
                                         "5 5\r\nhello",
                                         ";x\r\n",
                                         "5\r\nhelloX\r\n",
                                         "5\r\nhello\rX",
                                         " 5\r\nhello",
                                         "5x\r\nhello",
                                         "8000000000000000\r\nx",
                                         "fffffffffffffffff\r\nx"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char text[200];
        snprintf(text, sizeof text, CHUNKED "%s", bodies[i]);
        is_bad(REQUEST, text);
    }
    goes_on(REQUEST, CHUNKED "7fffffffffffffff\r\nx");
}

static void transfer_encoding_overrides_content_length(void **state)
{
    ends(REQUEST, "POST / HTTP/1.1\r\nContent-Length: 500\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1\r\nx\r\n0\r\n\r\n");
    ends(TB_HTTP_OTHER, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"
                        "2\r\nxy\r\n0\r\n\r\n");
}

static void the_last_transfer_coding_decides(void **state)
{
    ends(REQUEST, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n0\r\n\r\n");
    ends(REQUEST, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "0\r\n\r\n");
    ends(REQUEST, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip,\r\n  chunked\r\n\r\n0\r\n\r\n");
    ends(REQUEST, "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx");
    is_bad(REQUEST, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n");
    is_bad(REQUEST, "POST / HTTP/1.1\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n");
    struct tb_http_message m =
        goes_on(TB_HTTP_OTHER, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n"
                               "Content-Length: 1\r\n\r\nxyz");
    assert_true(tb_http_until_close(&m));
}

static void expectation_and_upgrade_are_noticed(void **state)
{
    struct tb_http_message m =
        ends(REQUEST, "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx");
    assert_true(m.flags & TB_HTTP_EXPECTS);
    m = ends(REQUEST, "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_true(m.flags & TB_HTTP_UPGRADE);
    assert_false(m.flags & TB_HTTP_EXPECTS);
    m = ends(REQUEST, "GET / HTTP/1.1\r\nExpect: 100-continued\r\nUpgrad: x\r\n\r\n");
    assert_false(m.flags & (TB_HTTP_UPGRADE | TB_HTTP_EXPECTS));
}

static void other_protocols_are_no_requests(void **state)
{
    is_bad(REQUEST, "\x16\x03\x01\x02");
    is_bad(REQUEST, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    is_bad(REQUEST, "GET /\r\n");
    is_bad(REQUEST, "GET HTTP/1.1\r\n");
    is_bad(REQUEST, "EHLO me\r\n");
    is_bad(REQUEST, "GET / HTTP/1.10\r\n");
    is_bad(REQUEST, "GET / HTTP/1.\r\n");
    is_bad(REQUEST, "GET / HTTP/1.1\rX");
    is_bad(REQUEST, " / HTTP/1.1\r\n");
    is_bad(REQUEST, "GET /\x01 HTTP/1.1\r\n");
}

/* --- responses -------------------------------------------------------------------------------- */

static void response_body_is_counted(void **state)
{
    struct tb_http_message m =
        ends(TB_HTTP_OTHER, "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(m.status, 200);
    m = ends(TB_HTTP_OTHER, "HTTP/1.0 404\r\nContent-Length: 2\r\n\r\nno");
    assert_int_equal(m.status, 404);
    m = ends(TB_HTTP_OTHER, "HTTP/1.1 503 \nContent-Length: 0\n\n");
    assert_int_equal(m.status, 503);
}

static void some_responses_have_no_body(void **state)
{
    ends(TB_HTTP_OTHER, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
    ends(TB_HTTP_OTHER, "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n");
    ends(TB_HTTP_OTHER, "HTTP/1.1 100 Continue\r\n\r\n");
    ends(TB_HTTP_OTHER, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
    ends(TB_HTTP_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    ends(TB_HTTP_HEAD, "HTTP/1.1 200 OK\r\n\r\n");
    ends(TB_HTTP_CONNECT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    ends(TB_HTTP_CONNECT, "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nhello");
}

static void response_without_length_lasts_until_close(void **state)
{
    struct tb_http_message m = goes_on(TB_HTTP_OTHER, "HTTP/1.0 200 OK\r\n\r\nas long as it takes");
    assert_true(tb_http_until_close(&m));
    m = goes_on(TB_HTTP_OTHER, "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nshort");
    assert_false(tb_http_until_close(&m));
}

static void interim_responses_are_told_from_final_ones(void **state)
{
    struct tb_http_message m =
        ends(TB_HTTP_OTHER, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    assert_true(tb_http_interim(&m));
    m = ends(TB_HTTP_OTHER, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert_false(tb_http_interim(&m));
    m = ends(TB_HTTP_OTHER, "HTTP/1.1 204 No\r\n\r\n");
    assert_false(tb_http_interim(&m));
}

static void garbage_is_no_response(void **state)
{
    is_bad(TB_HTTP_OTHER, "SSH-2.0-OpenSSH\r\n");
    is_bad(TB_HTTP_OTHER, "HTTP/2 200\r\n");
    is_bad(TB_HTTP_OTHER, "HTTP/1.1 20 OK\r\n");
    is_bad(TB_HTTP_OTHER, "HTTP/1.1 099 No\r\n");
    is_bad(TB_HTTP_OTHER, "HTTP/1.1 2000 OK\r\n");
    is_bad(TB_HTTP_OTHER, "HTTP/1.1  200 OK\r\n");
    is_bad(TB_HTTP_OTHER, "\x15\x03\x03");
    is_bad(TB_HTTP_OTHER, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n");
}

/* --- digest, holes, bounds
 * ------------------------------------------------------------------------ */

static void digest_is_that_of_the_body_alone(void **state)
{
    struct tb_http_message counted =
        ends(TB_HTTP_OTHER, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    struct tb_http_message chunked =
        ends(TB_HTTP_OTHER, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "2\r\nhe\r\n3;x\r\nllo\r\n0\r\nT: x\r\n\r\n");
    struct tb_http_message other =
        ends(TB_HTTP_OTHER, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellO");
    assert_int_equal(counted.digest, 0x4f9f2cab); /* FNV-1a 32 of "hello" */
    assert_int_equal(chunked.digest, counted.digest);
    assert_int_not_equal(other.digest, counted.digest);
}

static void feed(struct tb_http_message *m, const char *text, enum tb_http_event want)
{
    size_t used, at = 0;
    enum tb_http_event event;
    do {
        event = tb_http_feed(m, (const uint8_t *) text + at, strlen(text) - at, &used);
        at += used;
    } while (event == TB_HTTP_HEAD_END);
    assert_int_equal(event, want);
}

static void hole_within_a_counted_body_is_counted(void **state)
{
    struct tb_http_message m;
    tb_http_begin_response(&m, TB_HTTP_OTHER, true);
    feed(&m, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", TB_HTTP_MORE);
    assert_true(tb_http_skip(&m, 7));
    assert_true(m.flags & TB_HTTP_DIGEST_LOST);
    feed(&m, "z", TB_HTTP_DONE);

    tb_http_begin_response(&m, TB_HTTP_OTHER, false);
    feed(&m, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", TB_HTTP_MORE);
    assert_true(tb_http_skip(&m, 5));
    feed(&m, "\r\n0\r\n\r\n", TB_HTTP_DONE);

    tb_http_begin_response(&m, TB_HTTP_OTHER, false);
    feed(&m, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", TB_HTTP_MORE);
    assert_true(tb_http_skip(&m, 10));
    feed(&m, "", TB_HTTP_DONE);
}

static void hole_elsewhere_loses_the_framing(void **state)
{
    struct tb_http_message m;
    tb_http_begin_response(&m, TB_HTTP_OTHER, false);
    feed(&m, "HTTP/1.1 200 OK\r\nContent-", TB_HTTP_MORE);
    assert_false(tb_http_skip(&m, 1));

    tb_http_begin_response(&m, TB_HTTP_OTHER, false);
    feed(&m, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", TB_HTTP_MORE);
    assert_false(tb_http_skip(&m, 11));

    tb_http_begin_response(&m, TB_HTTP_OTHER, false);
    feed(&m, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", TB_HTTP_MORE);
    assert_false(tb_http_skip(&m, 6));
    assert_false(tb_http_skip(&m, UINT64_MAX));
}

/* `start`, then `fill` for ever: must be refused at the limit, not later. */
static void refused_at_the_limit(int what, const char *start, const char *fill)
{
    struct tb_http_message m;
    if (what == REQUEST)
        tb_http_begin_request(&m, false);
    else
        tb_http_begin_response(&m, (enum tb_http_method) what, false);
    if (*start)
        feed(&m, start, TB_HTTP_MORE);
    size_t fed = strlen(start), used = 0;
    enum tb_http_event event = TB_HTTP_MORE;
    while (event == TB_HTTP_MORE && fed <= 2 * TB_HTTP_HEAD_MAX) {
        event = tb_http_feed(&m, (const uint8_t *) fill, strlen(fill), &used);
        fed += used;
    }
    assert_int_equal(event, TB_HTTP_BAD);
    assert_in_range(fed, TB_HTTP_HEAD_MAX - 100, TB_HTTP_HEAD_MAX + 100);
}

static void endless_heads_are_refused(void **state)
{
    refused_at_the_limit(REQUEST, "", "\r\n");
    refused_at_the_limit(REQUEST, "", "AAAAAAAAAA");
    refused_at_the_limit(REQUEST, "GET /", "aaaaaaaaaa");
    refused_at_the_limit(REQUEST, "GET / HTTP/1.1\r\n", "X: y\r\n");
    refused_at_the_limit(REQUEST, "GET / HTTP/1.1\r\nX: ", "yyyyyyyyyy");
    refused_at_the_limit(REQUEST, "GET / HTTP/1.1\r\nContent-Length: ", "0000000000");
    refused_at_the_limit(TB_HTTP_OTHER, "HTTP/1.1 200 ", "OK OK OK OK");
    refused_at_the_limit(REQUEST, CHUNKED, "0000000000");
    refused_at_the_limit(REQUEST, CHUNKED "5;", "xxxxxxxxxx");
    refused_at_the_limit(REQUEST, CHUNKED "0\r\n", "X: y\r\n");
}

static void many_small_chunks_are_fine(void **state)
{
    struct tb_http_message m;
    tb_http_begin_request(&m, false);
    feed(&m, CHUNKED, TB_HTTP_MORE);
    for (int i = 0; i < TB_HTTP_HEAD_MAX; i++)
        feed(&m, "1\r\nx\r\n", TB_HTTP_MORE);
    feed(&m, "0\r\n\r\n", TB_HTTP_DONE);
}

/* --- what only watchers see ------------------------------------------------------------------- */

static struct tb_http_message watched_head(const char *head, bool watch)
{
    struct tb_http_message m;
    size_t used;
    tb_http_begin_response(&m, TB_HTTP_OTHER, false);
    if (watch)
        tb_http_watch(&m);
    for (size_t at = 0; at < strlen(head); at++) /* byte by byte: nothing is looked at twice */
        tb_http_feed(&m, (const uint8_t *) head + at, 1, &used);
    return m;
}

static void watcher_sees_what_the_connection_and_the_body_are(void **state)
{
    const char *head = "HTTP/1.1 200 OK\r\nconnection: x, Close\r\n"
                       "Content-Type: Text/Event-Stream; charset=utf-8\r\n"
                       "Sec-WebSocket-Accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n"
                       "Transfer-Encoding: chunked\r\n\r\n";
    struct tb_http_message m = watched_head(head, true);
    assert_true(m.flags & TB_HTTP_CLOSE);
    assert_true(m.flags & TB_HTTP_EVENTS);
    assert_true(m.flags & TB_HTTP_CHUNKED);
    assert_true(tb_http_closes(&m));
    const char *accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert_int_equal(m.accept, tb_http_hash((const uint8_t *) accept, strlen(accept)));
    m = watched_head(head, false);
    assert_false(m.flags & (TB_HTTP_CLOSE | TB_HTTP_EVENTS));
    assert_int_equal(m.accept, 0);
    m = watched_head("HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\n\r\n", true);
    assert_false(m.flags & TB_HTTP_EVENTS);
}

static void old_servers_close_unless_they_say_otherwise(void **state)
{
    struct tb_http_message m = watched_head("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true);
    assert_true(tb_http_closes(&m));
    m = watched_head("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
                     true);
    assert_false(tb_http_closes(&m));
    m = watched_head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true);
    assert_false(tb_http_closes(&m));
}

static void collect(void *ctx, const struct tb_http_message *m, const uint8_t *data, size_t len,
                    bool part_end)
{
    char *text = ctx;
    strncat(text, (const char *) data, len);
    if (part_end)
        strcat(text, "|");
}

static void body_can_be_read_without_its_framing_and_resumed_between_chunks(void **state)
{
    char text[32] = "";
    const struct tb_http_sink sink = {collect, text};
    const char *parts[] = {"3\r\nabc\r\n2", "\r\nde\r\n", "1\r\nf\r\n0\r\n\r\n"};
    struct tb_http_message m;
    size_t used;
    tb_http_resume(&m, true);
    for (unsigned i = 0; i < 3; i++) {
        enum tb_http_event event =
            tb_http_feed_to(&m, (const uint8_t *) parts[i], strlen(parts[i]), &used, &sink);
        assert_int_equal(event, i < 2 ? TB_HTTP_MORE : TB_HTTP_DONE);
        assert_int_equal(tb_http_between_chunks(&m), i == 1);
        if (i == 1)
            tb_http_resume(&m, true);
    }
    assert_string_equal(text, "abc|de|f|");
}

static void state_stays_small(void **state)
{
    assert_in_range(sizeof(struct tb_http_message), 1, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_without_body_ends_with_its_head),
        cmocka_unit_test(method_is_classified_exactly),
        cmocka_unit_test(empty_lines_before_a_message_are_part_of_it),
        cmocka_unit_test(bare_line_feeds_end_lines_too),
        cmocka_unit_test(spaces_within_the_target_are_tolerated),
        cmocka_unit_test(content_length_counts_the_body),
        cmocka_unit_test(names_that_only_resemble_are_ignored),
        cmocka_unit_test(equal_content_lengths_are_one),
        cmocka_unit_test(content_length_must_be_a_number),
        cmocka_unit_test(chunked_body_ends_with_its_trailers),
        cmocka_unit_test(chunk_sizes_must_be_hexadecimal_numbers),
        cmocka_unit_test(transfer_encoding_overrides_content_length),
        cmocka_unit_test(the_last_transfer_coding_decides),
        cmocka_unit_test(expectation_and_upgrade_are_noticed),
        cmocka_unit_test(other_protocols_are_no_requests),
        cmocka_unit_test(response_body_is_counted),
        cmocka_unit_test(some_responses_have_no_body),
        cmocka_unit_test(response_without_length_lasts_until_close),
        cmocka_unit_test(interim_responses_are_told_from_final_ones),
        cmocka_unit_test(garbage_is_no_response),
        cmocka_unit_test(digest_is_that_of_the_body_alone),
        cmocka_unit_test(hole_within_a_counted_body_is_counted),
        cmocka_unit_test(hole_elsewhere_loses_the_framing),
        cmocka_unit_test(endless_heads_are_refused),
        cmocka_unit_test(many_small_chunks_are_fine),
        cmocka_unit_test(watcher_sees_what_the_connection_and_the_body_are),
        cmocka_unit_test(old_servers_close_unless_they_say_otherwise),
        cmocka_unit_test(body_can_be_read_without_its_framing_and_resumed_between_chunks),
        cmocka_unit_test(state_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
