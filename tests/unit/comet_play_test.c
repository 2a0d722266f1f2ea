/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Playing comet sessions (modules/comet/play.c, http.c, socket.c): what is sent, what counts as a
 * push, and how long a session lasts. Server bytes are given whole, byte by byte and in random
 * pieces; what is counted must not depend on it.
 */
#include "unit.h"
#include "module_host.h"
#include "comet/comet.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>

static const struct tb_module *const comet = &tb_module_entry;

#define SECOND UINT64_C(1000000)
#define NOW_US UINT64_C(1795316645678901) /* 2026-11-22T03:04:05.678901Z */

#define STREAM \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define OK      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void configure(const char *options)
{
    char err[200] = "";
    assert_int_equal(host_configure(comet, options, err, sizeof err), 0);
}

static uint64_t noted(enum tb_comet_kind kind, uint32_t repeated, uint64_t interval_us)
{
    return tb_comet_note_pack(&(struct tb_comet_session_note){
        .kind = (uint8_t) kind, .repeated = repeated, .interval_us = interval_us});
}

static struct tb_comet_session *state_of(struct tb_session *s)
{
    return (struct tb_comet_session *) (void *) s->state;
}

static uint64_t counted(const struct tb_session *s, const char *name)
{
    return s->counts[host_counter(name)];
}

/* A session that has been started, with its clock and what was learned of it. */
static void begin(struct tb_session *s, uint64_t note)
{
    *s = (struct tb_session){.now_us = 1000 * SECOND, .real_us = NOW_US, .note = note};
    comet->session_start(s);
    assert_int_equal(comet->session_size, sizeof(struct tb_comet_session));
    assert_in_range(comet->busy_size, 1, sizeof s->busy);
}

static enum tb_request_action hold(struct tb_session *s)
{
    return comet->request(s, NULL);
}

static unsigned next_piece(unsigned *mode, size_t left)
{
    if (*mode == 0)
        return (unsigned) left;
    if (*mode == 1)
        return 1;
    *mode = *mode * 1103515245u + 12345u;
    unsigned n = 1 + (*mode >> 16) % 13;
    return n < left ? n : (unsigned) left;
}

/* Server bytes that the host does not follow. */
static enum tb_response_status push_bytes(struct tb_session *s, const void *bytes, size_t len,
                                          unsigned mode)
{
    for (size_t at = 0, n; at < len; at += n) {
        size_t used;
        n = next_piece(&mode, len - at);
        enum tb_response_status status =
            host_respond(comet, s, (const char *) bytes + at, n, 0, &used);
        if (status != TB_RESPONSE_MORE)
            return status;
    }
    return TB_RESPONSE_MORE;
}

static enum tb_response_status push(struct tb_session *s, const char *text)
{
    return push_bytes(s, text, strlen(text), 0);
}

/* A held session of that kind that gets `text`, in pieces of every kind; the last one's counts are
 * left in *s. */
static void held(struct tb_session *s, enum tb_comet_kind kind, const char *text, size_t len)
{
    static struct tb_session whole;
    for (unsigned mode = 0; mode < 30; mode++) {
        begin(s, noted(kind, kind == TB_COMET_POLL ? 7 : TB_COMET_NOTHING, 0));
        if (kind == TB_COMET_SOCKET)
            state_of(s)->reading = TB_COMET_READS_FRAMES;
        assert_int_equal(hold(s), TB_REQUEST_HOLD);
        push_bytes(s, text, len, mode);
        if (mode == 0)
            whole = *s;
        assert_memory_equal(s->counts, whole.counts, sizeof s->counts);
        assert_int_equal(s->sent_len, whole.sent_len);
        assert_int_equal(s->keeps_busy, whole.keeps_busy);
        comet->unload((void *const[]){s->worker}, 1);
    }
}
#define HELD(s, kind, text) held(s, kind, text, sizeof(text) - 1)

/* --- pushes over HTTP ------------------------------------------------------------------------- */

static void events_are_pushes(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_STREAM,
         STREAM "14\r\nid: 1\ndata: one\n\nid:\r\n"
                "f\r\n 2\ndata: two\n\n\n\r\n");
    assert_int_equal(counted(&s, "events"), 2);
    assert_int_equal(counted(&s, "pushes"), 2);
    assert_int_equal(counted(&s, "push_bytes"), 35);
    assert_false(s.keeps_busy); /* nothing is half read */
}

static void event_without_data_and_comments_are_none(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_STREAM,
         STREAM "2b\r\n: hb\n\nevent: x\n\ndatabase: 1\n\r\n\ndata\r\n\r\n: data\n\r\n");
    assert_int_equal(counted(&s, "events"), 1);
    assert_int_equal(counted(&s, "event_comments"), 2);
}

static void half_of_an_event_is_kept(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_STREAM, STREAM "9\r\ndata: one\r\n");
    assert_int_equal(counted(&s, "pushes"), 0);
    assert_true(s.keeps_busy);
    push(&s, "2\r\n\n\n\r\n");
    assert_int_equal(counted(&s, "pushes"), 1);
    assert_false(s.keeps_busy);
}

static void events_of_a_body_to_the_end_of_the_connection_are_pushes(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_STREAM,
         "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\ndata: 2\n\n");
    assert_int_equal(counted(&s, "pushes"), 2);
    size_t used; /* the server must not close it, though */
    assert_int_equal(host_respond(comet, &s, "", 0, TB_RESPONSE_CLOSED, &used), TB_RESPONSE_MORE);
}

static void parts_of_other_streams_are_pushes(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_STREAM, CHUNKED "4\r\nabc\n\r\n4\r\nd\ne\n\r\n");
    assert_int_equal(counted(&s, "body_parts"), 2);
    assert_int_equal(counted(&s, "pushes"), 2);
    configure("{\"push\": \"line\"}");
    HELD(&s, TB_COMET_STREAM, CHUNKED "4\r\nabc\n\r\n4\r\nd\ne\n\r\n");
    assert_int_equal(counted(&s, "pushes"), 3);
    configure("{}");
    HELD(&s, TB_COMET_STREAM, "HTTP/1.1 200 OK\r\n\r\nabc\n\r\nd\ne\nf");
    assert_int_equal(counted(&s, "pushes"), 3);
    assert_true(s.keeps_busy);
}

static void answer_to_a_poll_is_a_push_and_the_poll_is_repeated(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_POLL, OK);
    assert_int_equal(counted(&s, "polls_answered"), 1);
    assert_int_equal(counted(&s, "pushes"), 1);
    assert_in_range(s.timer_us, 0, 1);
    s.now_us += 2;
    assert_int_equal(comet->timer(&s), TB_RESPONSE_MORE);
    assert_int_equal(s.repeats, 1);
    assert_int_equal(s.repeated, 7);
    push(&s, CHUNKED "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    assert_int_equal(counted(&s, "pushes"), 2);
}

static void poll_is_repeated_after_the_captured_pause(void **state)
{
    struct tb_session s;
    configure("{}");
    begin(&s, noted(TB_COMET_POLL, 7, 3 * SECOND));
    hold(&s);
    push(&s, OK);
    assert_int_equal(s.timer_us, 3 * SECOND);
}

static void empty_answers_are_no_pushes_and_errors_are_not_hurried(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_POLL, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(counted(&s, "polls_empty"), 1);
    assert_int_equal(counted(&s, "pushes"), 0);
    HELD(&s, TB_COMET_POLL, "HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nbad");
    assert_int_equal(counted(&s, "pushes"), 0);
    assert_int_equal(s.timer_us, SECOND);
}

static void poll_that_closes_ends_the_session_well(void **state)
{
    struct tb_session s;
    size_t used;
    configure("{}");
    HELD(&s, TB_COMET_POLL, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
    assert_int_equal(host_respond(comet, &s, "", 0, TB_RESPONSE_CLOSED, &used),
                     TB_RESPONSE_COMPLETE);
    HELD(&s, TB_COMET_POLL, "HTTP/1.0 200 OK\r\n\r\nx");
    assert_int_equal(counted(&s, "pushes"), 0);
    assert_int_equal(host_respond(comet, &s, "", 0, TB_RESPONSE_CLOSED, &used),
                     TB_RESPONSE_COMPLETE);
    assert_int_equal(counted(&s, "pushes"), 1);
}

static void close_of_a_server_that_did_not_say_so_is_none(void **state)
{
    struct tb_session s;
    size_t used;
    configure("{}");
    HELD(&s, TB_COMET_POLL, OK);
    assert_int_equal(host_respond(comet, &s, "", 0, TB_RESPONSE_CLOSED, &used), TB_RESPONSE_MORE);
}

static void garbage_is_counted_and_forgotten(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_STREAM, "SSH-2.0-nonsense\r\nand more of it\r\n");
    assert_int_equal(counted(&s, "not_http"), 1);
    assert_false(s.keeps_busy);
}

static void latency_counts_from_the_time_in_the_message(void **state)
{
    struct tb_session s;
    configure("{}");
    begin(&s, noted(TB_COMET_STREAM, TB_COMET_NOTHING, 0));
    hold(&s);
    push(&s, STREAM "1d\r\ndata: {\"t\":1795316645678}\n\n\n\r\n");
    const struct tb_comet_worker *w = (const void *) s.worker;
    assert_non_null(w->latency);
    assert_int_equal(w->latency->count, 1);
    assert_int_equal(w->latency->last_us, 901);
    push(&s, "9\r\ndata: x\n\n\r\n");
    assert_int_equal(w->latency->count, 1);
    comet->unload((void *const[]){s.worker}, 1);
}

/* --- the script's own responses ----------------------------------------------------------------
 */

static void responses_of_the_script_are_framed_and_compared(void **state)
{
    struct tb_session s;
    size_t used;
    configure("{}");
    begin(&s, 0);
    host_await(&s, 200u << TB_HTTP_NOTE_STATUS_SHIFT);
    assert_int_equal(host_respond(comet, &s, OK, strlen(OK), 0, &used), TB_RESPONSE_COMPLETE);
    assert_int_equal(counted(&s, "pushes"), 0);
    host_await(&s, 200u << TB_HTTP_NOTE_STATUS_SHIFT);
    const char *missing = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(host_respond(comet, &s, missing, strlen(missing), 0, &used),
                     TB_RESPONSE_MISMATCH);
    assert_string_equal(s.seen, "404");
    host_await(&s, 200u << TB_HTTP_NOTE_STATUS_SHIFT | TB_COMET_NOTE_POLL);
    assert_int_equal(host_respond(comet, &s, OK, strlen(OK), 0, &used), TB_RESPONSE_COMPLETE);
    assert_int_equal(counted(&s, "pushes"), 1);
}

static void poll_of_the_script_may_take_as_long_as_the_hold(void **state)
{
    struct tb_session s;
    configure("{\"hold_s\": 100}");
    begin(&s, 0);
    assert_int_equal(host_request(comet, &s, TB_COMET_NOTE_POLL, "GET", 3), TB_REQUEST_SEND);
    assert_true(s.is_patient);
    assert_int_equal(s.timer_us, 100 * SECOND);
    s.now_us += 100 * SECOND;
    assert_int_equal(comet->timer(&s), TB_RESPONSE_LEAVE);
}

static void stream_within_the_script_lasts_as_long_as_the_hold(void **state)
{
    struct tb_session s;
    size_t used;
    configure("{\"hold_s\": 100}");
    begin(&s, 0);
    assert_int_equal(host_request(comet, &s, 0, "GET", 3), TB_REQUEST_SEND);
    assert_false(s.is_patient);
    host_await(&s, 0);
    host_respond(comet, &s, STREAM, strlen(STREAM), 0, &used);
    assert_int_equal(s.timer_us, 100 * SECOND);
}

/* --- WebSocket -------------------------------------------------------------------------------- */

#define UPGRADE_HEAD "GET /ws HTTP/1.1\r\nsec-websocket-key:  "
#define UPGRADE_TAIL " \r\nUpgrade: websocket\r\n\r\n"
#define KEY          "dGhlIHNhbXBsZSBub25jZQ=="
#define UPGRADE      UPGRADE_HEAD KEY UPGRADE_TAIL

/* Send the upgrade request; the key that went out. */
static void upgrade(struct tb_session *s, char key[25])
{
    begin(s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    assert_int_equal(host_request(comet, s, TB_COMET_NOTE_SOCKET, UPGRADE, strlen(UPGRADE)),
                     TB_REQUEST_REPLACED);
    assert_int_equal(s->sent_len, strlen(UPGRADE));
    memcpy(key, s->sent + strlen(UPGRADE_HEAD), 24);
    key[24] = '\0';
    host_await(s, TB_COMET_NOTE_SOCKET | 101u << TB_HTTP_NOTE_STATUS_SHIFT);
}

/* What a server answers to that key. */
static void accept_text(const char *key, char out[256])
{
    char both[64];
    uint8_t digest[SHA_DIGEST_LENGTH], text[32];
    snprintf(both, sizeof both, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    SHA1((const uint8_t *) both, strlen(both), digest);
    EVP_EncodeBlock(text, digest, sizeof digest);
    snprintf(out, 256,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             (char *) text);
}

static void every_session_has_a_key_of_its_own(void **state)
{
    struct tb_session s;
    char one[25], two[25];
    configure("{}");
    upgrade(&s, one);
    assert_memory_equal(s.sent, UPGRADE_HEAD, strlen(UPGRADE_HEAD));
    assert_memory_equal(s.sent + strlen(UPGRADE_HEAD) + 24, UPGRADE_TAIL, strlen(UPGRADE_TAIL));
    configure("{}"); /* another run */
    upgrade(&s, two);
    assert_string_not_equal(one, KEY);
    assert_string_not_equal(one, two);
    uint8_t nonce[32];
    assert_int_equal(EVP_DecodeBlock(nonce, (const uint8_t *) one, 24), 18); /* 16 and padding */
}

static void right_accept_opens_the_socket(void **state)
{
    struct tb_session s;
    char key[25], text[256];
    size_t used;
    configure("{}");
    upgrade(&s, key);
    accept_text(key, text);
    assert_int_equal(host_respond(comet, &s, text, strlen(text), 0, &used), TB_RESPONSE_COMPLETE);
    assert_int_equal(counted(&s, "ws_upgrades"), 1);
    push(&s, "\x81\x02hi");
    assert_int_equal(counted(&s, "ws_text"), 1);
}

static void wrong_accept_ends_the_session(void **state)
{
    struct tb_session s;
    char key[25], text[256];
    size_t used;
    configure("{}");
    upgrade(&s, key);
    accept_text(KEY, text);
    assert_int_equal(host_respond(comet, &s, text, strlen(text), 0, &used), TB_RESPONSE_FATAL);
    assert_non_null(strstr(s.reason, "Sec-WebSocket-Accept"));
}

static void refused_upgrade_ends_the_session(void **state)
{
    struct tb_session s;
    char key[25];
    size_t used;
    const char *no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    configure("{}");
    upgrade(&s, key);
    assert_int_equal(host_respond(comet, &s, no, strlen(no), 0, &used), TB_RESPONSE_FATAL);
    assert_non_null(strstr(s.reason, "403"));
}

static void messages_are_pushes_and_frames_are_counted_by_kind(void **state)
{
    struct tb_session s;
    configure("{}");
    HELD(&s, TB_COMET_SOCKET,
         "\x81\x02hi"
         "\x02\x01"
         "a"
         "\x89\x00"
         "\x00\x01"
         "b"
         "\x80\x00"
         "\x82\x7e\x00\x03xyz"
         "\x8a\x00");
    assert_int_equal(counted(&s, "ws_messages"), 3);
    assert_int_equal(counted(&s, "pushes"), 3);
    assert_int_equal(counted(&s, "ws_text"), 1);
    assert_int_equal(counted(&s, "ws_binary"), 2);
    assert_int_equal(counted(&s, "ws_continuation"), 2);
    assert_int_equal(counted(&s, "ws_ping"), 1);
    assert_int_equal(counted(&s, "ws_pong"), 1);
    assert_int_equal(counted(&s, "push_bytes"), 7);
    assert_false(s.keeps_busy);
}

/* The n-th frame that the session sent, unmasked. */
static uint8_t sent_frame(const struct tb_session *s, unsigned nth, uint8_t payload[125],
                          size_t *len)
{
    struct tb_ws ws = {0};
    const uint8_t *at = s->sent;
    size_t left = s->sent_len, used, n;
    const uint8_t *in_place;
    for (unsigned i = 0;; i++) {
        assert_int_equal(tb_ws_feed(&ws, true, at, left, &used, &in_place, &n), TB_WS_DONE);
        at += used;
        left -= used;
        if (i < nth)
            continue;
        for (size_t k = 0; k < n; k++)
            payload[k] = in_place[k] ^ tb_ws_mask_at(&ws, k);
        *len = n;
        return ws.opcode;
    }
}

static void pings_are_answered_with_their_payload(void **state)
{
    struct tb_session s;
    uint8_t payload[125];
    size_t len;
    configure("{}");
    HELD(&s, TB_COMET_SOCKET, "\x89\x05Hello\x89\x00");
    assert_int_equal(counted(&s, "pongs_sent"), 2);
    assert_int_equal(sent_frame(&s, 0, payload, &len), TB_WS_PONG);
    assert_int_equal(len, 5);
    assert_memory_equal(payload, "Hello", 5);
    assert_int_equal(sent_frame(&s, 1, payload, &len), TB_WS_PONG);
    assert_int_equal(len, 0);
}

static void engine_io_pings_are_answered(void **state)
{
    struct tb_session s;
    uint8_t payload[125];
    size_t len;
    configure("{}");
    begin(&s,
          tb_comet_note_pack(&(struct tb_comet_session_note){
              .kind = TB_COMET_SOCKET, .flags = TB_COMET_ENGINE_IO, .repeated = TB_COMET_NOTHING}));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    hold(&s);
    push(&s, "\x81\x01"
             "2"
             "\x81\x02"
             "42");
    assert_int_equal(sent_frame(&s, 0, payload, &len), TB_WS_TEXT);
    assert_int_equal(len, 1);
    assert_int_equal(payload[0], '3');
    assert_int_equal(counted(&s, "pushes"), 1);
    push(&s, "\x81\x03"
             "0{}"
             "\x81\x04"
             "40{}"
             "\x82\x01"
             "x"); /* no events */
    assert_int_equal(counted(&s, "pushes"), 1);
    assert_false(s.keeps_busy);
}

static void frame_waits_for_the_messages_that_it_may_depend_on(void **state)
{
    const uint64_t note =
        TB_COMET_NOTE_FRAME | TB_COMET_NOTE_REACTS | UINT64_C(2) << TB_COMET_NOTE_MESSAGES_SHIFT;
    struct tb_session s;
    configure("{}");
    begin(&s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    assert_int_equal(host_request(comet, &s, note, "x", 1), TB_REQUEST_WAIT);
    assert_int_equal(s.timer_us, 3 * SECOND);
    push(&s, "\x81\x05hello\x89\x01p\x81\x05hel");
    assert_int_equal(host_request(comet, &s, note, "x", 1), TB_REQUEST_WAIT);
    push(&s, "lo");
    assert_int_equal(host_request(comet, &s, note, "x", 1), TB_REQUEST_SEND);
    assert_int_equal(s.timer_us, UINT64_MAX);
}

static void server_that_says_less_is_not_waited_for_again(void **state)
{
    const uint64_t note =
        TB_COMET_NOTE_FRAME | TB_COMET_NOTE_REACTS | UINT64_C(2) << TB_COMET_NOTE_MESSAGES_SHIFT;
    struct tb_session s;
    configure("{}");
    begin(&s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    assert_int_equal(host_request(comet, &s, note, "x", 1), TB_REQUEST_WAIT);
    s.now_us += 3 * SECOND;
    assert_int_equal(comet->timer(&s), TB_RESPONSE_MORE);
    assert_int_equal(host_request(comet, &s, note, "x", 1), TB_REQUEST_SEND);
    assert_int_equal(host_request(comet, &s, note, "x", 1), TB_REQUEST_SEND);
    assert_int_equal(s.repeats + s.sent_len, 0);
}

static void captured_answers_and_farewells_are_skipped(void **state)
{
    struct tb_session s;
    configure("{}");
    begin(&s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    assert_int_equal(host_request(comet, &s, TB_COMET_NOTE_FRAME | TB_COMET_NOTE_ANSWER, "x", 1),
                     TB_REQUEST_SKIP);
    assert_int_equal(host_request(comet, &s, TB_COMET_NOTE_FRAME | TB_COMET_NOTE_CLOSE, "x", 1),
                     TB_REQUEST_SKIP);
    assert_int_equal(host_request(comet, &s, TB_COMET_NOTE_FRAME, "x", 1), TB_REQUEST_SEND);
}

static void farewell_of_the_server_is_answered_and_ends_the_session(void **state)
{
    struct tb_session s;
    uint8_t payload[125];
    size_t len;
    configure("{}");
    begin(&s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    hold(&s);
    assert_int_equal(push(&s, "\x88\x04\x03\xe9no"), TB_RESPONSE_LOST);
    assert_int_equal(sent_frame(&s, 0, payload, &len), TB_WS_CLOSE);
    assert_int_equal(len, 2);
    assert_memory_equal(payload, "\x03\xe9", 2);
}

static void farewell_that_the_capture_shows_too_is_fine(void **state)
{
    struct tb_session s;
    size_t used;
    configure("{}");
    begin(&s, tb_comet_note_pack(&(struct tb_comet_session_note){.kind = TB_COMET_SOCKET,
                                                                 .flags = TB_COMET_SERVER_CLOSES,
                                                                 .repeated = TB_COMET_NOTHING}));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    hold(&s);
    assert_int_equal(push(&s, "\x88\x02\x03\xe8"), TB_RESPONSE_MORE);
    assert_int_equal(push(&s, "\x88\x02\x03\xe8"), TB_RESPONSE_MORE);
    assert_int_equal(host_respond(comet, &s, "", 0, TB_RESPONSE_CLOSED, &used),
                     TB_RESPONSE_COMPLETE);
}

static void what_is_no_frame_ends_the_session(void **state)
{
    struct tb_session s;
    configure("{}");
    begin(&s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    hold(&s);
    assert_int_equal(push(&s, "HTTP/1.1 500 oops\r\n"), TB_RESPONSE_FATAL);
    assert_int_equal(counted(&s, "ws_bad"), 1);
}

/* --- holding ---------------------------------------------------------------------------------- */

static void hold_lasts_as_the_command_line_or_the_option_says(void **state)
{
    struct tb_session s;
    configure("{\"hold_s\": 20}");
    begin(&s, 0);
    hold(&s);
    assert_int_equal(s.timer_us, 20 * SECOND);
    begin(&s, 0);
    s.hold_us = 5 * SECOND;
    hold(&s);
    assert_int_equal(s.timer_us, 5 * SECOND);
    configure("{\"hold_s\": 0}");
    begin(&s, 0);
    hold(&s);
    assert_int_equal(s.timer_us, UINT64_MAX);
    configure("{}");
    begin(&s, 0);
    s.run_left_us = 300 * SECOND;
    hold(&s);
    assert_int_equal(s.timer_us, 300 * SECOND);
    begin(&s, 0);
    hold(&s);
    assert_int_equal(s.timer_us, 60 * SECOND);
}

static void held_session_leaves_when_its_time_is_over(void **state)
{
    struct tb_session s;
    uint8_t payload[125];
    size_t len;
    configure("{\"hold_s\": 20}");
    begin(&s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    hold(&s);
    s.now_us += 20 * SECOND;
    assert_int_equal(comet->timer(&s), TB_RESPONSE_LEAVE);
    assert_int_equal(sent_frame(&s, 0, payload, &len), TB_WS_CLOSE);
    assert_memory_equal(payload, "\x03\xe8", 2);
}

static void heartbeats_go_on_at_the_captured_interval(void **state)
{
    struct tb_session s;
    configure("{\"hold_s\": 100}");
    begin(&s, noted(TB_COMET_SOCKET, 0, 25 * SECOND));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    assert_int_equal(host_request(comet, &s, TB_COMET_NOTE_FRAME, "beat", 4), TB_REQUEST_SEND);
    s.now_us += 10 * SECOND;
    hold(&s);
    assert_int_equal(s.timer_us, 15 * SECOND);
    for (unsigned i = 1; i <= 3; i++) {
        s.now_us += s.timer_us;
        assert_int_equal(comet->timer(&s), TB_RESPONSE_MORE);
        assert_int_equal(s.repeats, i);
        assert_int_equal(s.timer_us, 25 * SECOND);
    }
    assert_int_equal(counted(&s, "heartbeats_sent"), 3);
}

static void heartbeats_missed_while_the_machine_stood_still_are_not_made_up_for(void **state)
{
    struct tb_session s;
    configure("{\"hold_s\": 1000, \"heartbeat_s\": 7}");
    begin(&s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    hold(&s);
    s.now_us += 8 * SECOND; /* a little late: the next one is not */
    comet->timer(&s);
    assert_int_equal(s.timer_us, 6 * SECOND);
    s.now_us += 100 * SECOND;
    comet->timer(&s);
    assert_int_equal(s.timer_us, 7 * SECOND);
    assert_int_equal(counted(&s, "heartbeats_sent"), 2);
}

static void heartbeat_interval_can_be_chosen(void **state)
{
    struct tb_session s;
    uint8_t payload[125];
    size_t len;
    configure("{\"heartbeat_s\": 7}");
    begin(&s, noted(TB_COMET_SOCKET, TB_COMET_NOTHING, 0));
    state_of(&s)->reading = TB_COMET_READS_FRAMES;
    hold(&s);
    assert_int_equal(s.timer_us, 7 * SECOND);
    s.now_us += 7 * SECOND;
    comet->timer(&s);
    assert_int_equal(sent_frame(&s, 0, payload, &len), TB_WS_PING); /* the capture shows none */
    configure("{\"heartbeat_s\": 0}");
    begin(&s, noted(TB_COMET_SOCKET, 3, 5 * SECOND));
    hold(&s);
    assert_int_equal(s.timer_us, 60 * SECOND);
}

static void session_whose_server_closes_anyway_is_not_held(void **state)
{
    struct tb_session s;
    size_t used;
    const char *last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    configure("{}");
    begin(&s, 0);
    host_await(&s, 200u << TB_HTTP_NOTE_STATUS_SHIFT);
    host_respond(comet, &s, last, strlen(last), 0, &used);
    assert_int_equal(hold(&s), TB_REQUEST_SEND);
}

/* --- lost and back ---------------------------------------------------------------------------- */

static void lost_sessions_are_counted_by_the_minute(void **state)
{
    static struct tb_session s;
    configure("{}");
    begin(&s, 0);
    hold(&s);
    assert_int_equal(comet->session_end(&s, TB_VERDICT_SERVER_CLOSED), -1);
    s.now_us += 130 * SECOND;
    hold(&s);
    comet->session_end(&s, TB_VERDICT_SERVER_CLOSED);
    comet->session_end(&s, TB_VERDICT_HELD);
    assert_int_equal(counted(&s, "sessions_lost"), 2);
    json_t *report = comet->report((void *const[]){s.worker}, 1);
    json_t *minutes = json_object_get(report, "lost_per_minute");
    assert_int_equal(json_array_size(minutes), 3);
    assert_int_equal(json_integer_value(json_array_get(minutes, 0)), 1);
    assert_int_equal(json_integer_value(json_array_get(minutes, 2)), 1);
    assert_non_null(json_object_get(report, "push_latency_us"));
    json_decref(report);
}

static void lost_session_comes_back_with_growing_pauses(void **state)
{
    struct tb_session s;
    configure("{\"reconnect\": {\"first_s\": 1, \"most_s\": 5}, \"hold_s\": 100}");
    begin(&s, 0);
    hold(&s);
    uint64_t end_us = state_of(&s)->hold_end_us;
    static const unsigned most_s[] = {1, 2, 4, 5, 5};
    for (unsigned i = 0; i < 5; i++) {
        int64_t delay = comet->session_end(&s, i ? TB_VERDICT_REFUSED : TB_VERDICT_SERVER_CLOSED);
        assert_in_range(delay, most_s[i] * SECOND / 2, most_s[i] * SECOND);
    }
    assert_int_equal(counted(&s, "sessions_lost"), 1);
    comet->session_start(&s);
    hold(&s);
    assert_int_equal(counted(&s, "sessions_back"), 1);
    assert_int_equal(state_of(&s)->hold_end_us, end_us); /* for the rest of its time */
    push(&s, OK);
    assert_in_range(comet->session_end(&s, TB_VERDICT_SERVER_CLOSED), SECOND / 2, SECOND);
}

static void session_that_never_stood_is_not_reconnected(void **state)
{
    struct tb_session s;
    configure("{\"reconnect\": true}");
    begin(&s, 0);
    assert_int_equal(comet->session_end(&s, TB_VERDICT_REFUSED), -1);
    begin(&s, 0);
    hold(&s);
    assert_int_equal(comet->session_end(&s, TB_VERDICT_HELD), -1);
}

/* --- options ---------------------------------------------------------------------------------- */

static void bad_options_are_refused_by_name(void **state)
{
    static const char *const bad[][2] = {
        {"{\"hold\": 1}", "\"hold\""},
        {"{\"hold_s\": -1}", "\"hold_s\""},
        {"{\"hold_s\": \"1\"}", "\"hold_s\""},
        {"{\"heartbeat_s\": true}", "\"heartbeat_s\""},
        {"{\"reconnect\": 1}", "\"reconnect\""},
        {"{\"reconnect\": {\"first_s\": 0}}", "\"reconnect\""},
        {"{\"reconnect\": {\"first_s\": 9, \"most_s\": 8}}", "\"reconnect\""},
        {"{\"reconnect\": {\"last_s\": 9}}", "\"reconnect\""},
        {"{\"poll\": 1}", "\"poll\""},
        {"{\"exclude\": [\"/a\", 1]}", "\"exclude\""},
        {"{\"push\": \"word\"}", "\"push\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char err[300] = "";
        assert_int_not_equal(host_configure(comet, bad[i][0], err, sizeof err), 0);
        assert_non_null(strstr(err, bad[i][1]));
    }
}

static void held_session_costs_little(void **state)
{
    assert_in_range(comet->session_size, 1, 32);
    assert_true(comet->holds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_pushes),
        cmocka_unit_test(event_without_data_and_comments_are_none),
        cmocka_unit_test(half_of_an_event_is_kept),
        cmocka_unit_test(events_of_a_body_to_the_end_of_the_connection_are_pushes),
        cmocka_unit_test(parts_of_other_streams_are_pushes),
        cmocka_unit_test(answer_to_a_poll_is_a_push_and_the_poll_is_repeated),
        cmocka_unit_test(poll_is_repeated_after_the_captured_pause),
        cmocka_unit_test(empty_answers_are_no_pushes_and_errors_are_not_hurried),
        cmocka_unit_test(poll_that_closes_ends_the_session_well),
        cmocka_unit_test(close_of_a_server_that_did_not_say_so_is_none),
        cmocka_unit_test(garbage_is_counted_and_forgotten),
        cmocka_unit_test(latency_counts_from_the_time_in_the_message),
        cmocka_unit_test(responses_of_the_script_are_framed_and_compared),
        cmocka_unit_test(poll_of_the_script_may_take_as_long_as_the_hold),
        cmocka_unit_test(stream_within_the_script_lasts_as_long_as_the_hold),
        cmocka_unit_test(every_session_has_a_key_of_its_own),
        cmocka_unit_test(right_accept_opens_the_socket),
        cmocka_unit_test(wrong_accept_ends_the_session),
        cmocka_unit_test(refused_upgrade_ends_the_session),
        cmocka_unit_test(messages_are_pushes_and_frames_are_counted_by_kind),
        cmocka_unit_test(pings_are_answered_with_their_payload),
        cmocka_unit_test(engine_io_pings_are_answered),
        cmocka_unit_test(frame_waits_for_the_messages_that_it_may_depend_on),
        cmocka_unit_test(server_that_says_less_is_not_waited_for_again),
        cmocka_unit_test(captured_answers_and_farewells_are_skipped),
        cmocka_unit_test(farewell_of_the_server_is_answered_and_ends_the_session),
        cmocka_unit_test(farewell_that_the_capture_shows_too_is_fine),
        cmocka_unit_test(what_is_no_frame_ends_the_session),
        cmocka_unit_test(hold_lasts_as_the_command_line_or_the_option_says),
        cmocka_unit_test(held_session_leaves_when_its_time_is_over),
        cmocka_unit_test(heartbeats_go_on_at_the_captured_interval),
        cmocka_unit_test(heartbeats_missed_while_the_machine_stood_still_are_not_made_up_for),
        cmocka_unit_test(heartbeat_interval_can_be_chosen),
        cmocka_unit_test(session_whose_server_closes_anyway_is_not_held),
        cmocka_unit_test(lost_sessions_are_counted_by_the_minute),
        cmocka_unit_test(lost_session_comes_back_with_growing_pauses),
        cmocka_unit_test(session_that_never_stood_is_not_reconnected),
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(held_session_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
