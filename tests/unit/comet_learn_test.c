/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Learning captured comet sessions (modules/comet/learn.c): what is a poll, a stream, a WebSocket,
 * which frames are played as they are, and what is repeated while the session is held.
 */
#include "unit.h"
#include "module_host.h"
#include "comet/comet.h"

#include <stdio.h>

static const struct tb_module *const comet = &tb_module_entry;

#define SECOND UINT64_C(1000000)

#define POLL   "GET /poll?n=1 HTTP/1.1\r\nHost: h\r\n\r\n"
#define POLL_2 "GET /poll?n=2 HTTP/1.1\r\nHost: h\r\n\r\n"
#define PAGE   "GET /page HTTP/1.1\r\n\r\n"
#define OK     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define EVENTS \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define UPGRADE                                                         \
    "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define SWITCHING                                                \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

/* One captured session: what was said when. */
static struct tb_learn learned;
static void *state_of_learning;

static void begin(const char *options)
{
    char err[200] = "";
    assert_int_equal(host_configure(comet, options, err, sizeof err), 0);
    learned = (struct tb_learn){.now_us = SECOND};
    state_of_learning = comet->learn_begin(&learned);
}

static void say_bytes(enum tb_direction dir, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += 3) /* in pieces */
        host_learn(comet, &learned, state_of_learning, dir, (const char *) bytes + at,
                   len - at < 3 ? len - at : 3);
}

static void client(const char *text)
{
    say_bytes(TB_CLIENT_BYTES, text, strlen(text));
}

static void server(const char *text)
{
    say_bytes(TB_SERVER_BYTES, text, strlen(text));
}

static void pass(uint64_t us)
{
    learned.now_us += us;
}

static void client_frame(enum tb_ws_opcode opcode, const char *payload)
{
    uint8_t frame[TB_WS_CONTROL_MAX + 6];
    size_t n = tb_ws_frame(frame, opcode, (const uint8_t *) payload, strlen(payload),
                           0x10203040u + learned.count);
    say_bytes(TB_CLIENT_BYTES, frame, n);
}

static void server_frame(enum tb_ws_opcode opcode, const char *payload)
{
    uint8_t frame[2 + TB_WS_CONTROL_MAX] = {(uint8_t) (0x80 | opcode), (uint8_t) strlen(payload)};
    memcpy(frame + 2, payload, strlen(payload));
    say_bytes(TB_SERVER_BYTES, frame, 2 + strlen(payload));
}

static struct tb_comet_session_note end(void)
{
    comet->learn_end(&learned, state_of_learning, true);
    return tb_comet_note_unpack(learned.session_note);
}

static bool has(uint32_t index, uint64_t bits)
{
    return (learned.request[index].note & bits) == bits;
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static void held_request_is_a_poll_and_so_are_those_to_its_path(void **state)
{
    begin("{}");
    client(PAGE);
    server(OK);
    client(POLL);
    server(OK); /* at once, for once */
    pass(SECOND / 10);
    client(POLL_2);
    pass(3 * SECOND);
    server(OK);
    struct tb_comet_session_note note = end();
    assert_false(has(0, TB_COMET_NOTE_POLL));
    assert_true(has(1, TB_COMET_NOTE_POLL));
    assert_true(has(2, TB_COMET_NOTE_POLL));
    assert_int_equal(tb_http_note_status(learned.request[2].note), 200);
    assert_int_equal(note.kind, TB_COMET_POLL);
    assert_int_equal(note.repeated, 2);
    assert_int_equal(note.interval_us, SECOND / 10);
}

static void what_is_asked_for_again_at_once_is_a_poll(void **state)
{
    begin("{}");
    for (unsigned i = 0; i < 3; i++) {
        client(POLL);
        pass(SECOND / 5);
        server(OK);
        pass(SECOND / 100);
    }
    client(POLL);
    struct tb_comet_session_note note = end();
    assert_true(has(0, TB_COMET_NOTE_POLL));
    assert_true(has(3, TB_COMET_NOTE_POLL));
    assert_int_equal(note.kind, TB_COMET_POLL);
    assert_int_equal(note.interval_us, SECOND / 100);
}

static void quick_answers_are_no_polls(void **state)
{
    begin("{}");
    for (unsigned i = 0; i < 9; i++) {
        client(PAGE);
        pass(SECOND / 1000);
        server(OK);
    }
    assert_int_equal(end().kind, TB_COMET_IDLE);
    assert_false(has(0, TB_COMET_NOTE_POLL));
}

static void pending_request_is_a_poll(void **state)
{
    begin("{}");
    client(POLL);
    struct tb_comet_session_note note = end();
    assert_int_equal(note.kind, TB_COMET_POLL);
    assert_int_equal(note.repeated, 0);
    assert_false(learned.request[0].answered);
}

static void request_cut_off_by_the_end_of_the_capture_is_no_poll(void **state)
{
    begin("{}");
    client(PAGE);
    server(OK);
    client(PAGE);
    struct tb_comet_session_note note = end();
    assert_int_equal(note.kind, TB_COMET_IDLE);
    assert_int_equal(note.repeated, TB_COMET_NOTHING);
}

static void options_may_say_what_a_poll_is(void **state)
{
    begin("{\"poll\": [\"/x\", \"/pa*\"]}");
    client(POLL);
    pass(3 * SECOND);
    server(OK);
    client(PAGE);
    server(OK);
    struct tb_comet_session_note note = end();
    assert_false(has(0, TB_COMET_NOTE_POLL));
    assert_true(has(1, TB_COMET_NOTE_POLL));
    assert_int_equal(tb_http_note_status(learned.request[1].note), 200);
    assert_int_equal(note.kind, TB_COMET_POLL);
}

static void body_without_an_end_is_a_stream(void **state)
{
    begin("{}");
    client(PAGE);
    server(EVENTS "8\r\ndata: 1\n\r\n");
    pass(SECOND);
    server("8\r\ndata: 1\n\r\n");
    struct tb_comet_session_note note = end();
    assert_int_equal(note.kind, TB_COMET_STREAM);
    assert_false(learned.request[0].answered);
}

static void event_stream_that_the_server_closed_was_only_cut_off(void **state)
{
    begin("{}");
    learned.server_closed = true;
    client(PAGE);
    server("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n");
    struct tb_comet_session_note note = end();
    assert_int_equal(note.kind, TB_COMET_STREAM);
    assert_false(learned.request[0].answered);
}

static void upload_beside_its_response_keeps_its_pauses(void **state)
{
    begin("{}");
    const char *head = "POST /s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    host_learn(comet, &learned, state_of_learning, TB_CLIENT_BYTES, head, strlen(head));
    server(EVENTS);
    pass(SECOND);
    host_learn(comet, &learned, state_of_learning, TB_CLIENT_BYTES, "2\r\nab\r\n", 7);
    pass(SECOND);
    host_learn(comet, &learned, state_of_learning, TB_CLIENT_BYTES, "2\r\ncd\r\n", 7);
    struct tb_comet_session_note note = end();
    assert_int_equal(learned.count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(learned.request[i].flags & TB_CUT_NO_RESPONSE);
    assert_int_equal(learned.request[0].end, strlen(head));
    assert_int_equal(learned.request[1].end, strlen(head) + 7);
    assert_int_equal(note.kind, TB_COMET_STREAM);
}

static void publish_sessions_can_be_excluded(void **state)
{
    begin("{\"exclude\": \"/publish*\"}");
    client(PAGE);
    server(OK);
    client("POST /publish?id=7 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
    end();
    assert_string_equal(learned.rejected, "excluded");

    begin("{\"exclude\": \"/publish*\"}");
    client("GET /x/publish HTTP/1.1\r\n\r\n");
    end();
    assert_null(learned.rejected);
}

/* --- WebSocket -------------------------------------------------------------------------------- */

static void begin_socket(const char *request)
{
    begin("{}");
    client(request);
    server(SWITCHING);
}

static void every_frame_of_the_client_is_a_request(void **state)
{
    begin_socket(UPGRADE);
    client_frame(TB_WS_TEXT, "hello");
    server_frame(TB_WS_TEXT, "echo hello");
    client_frame(TB_WS_BINARY, "there");
    struct tb_comet_session_note note = end();
    assert_int_equal(learned.count, 3);
    assert_true(learned.request[0].answered);
    assert_true(has(0, TB_COMET_NOTE_SOCKET));
    assert_int_equal(learned.request[1].flags, TB_CUT_NO_RESPONSE);
    assert_int_equal(learned.request[1].end, strlen(UPGRADE) + 6 + 5);
    assert_true(has(2, TB_COMET_NOTE_FRAME));
    assert_int_equal(note.kind, TB_COMET_SOCKET);
    assert_int_equal(note.repeated, TB_COMET_NOTHING);
    assert_false(learned.opaque);
}

static void frames_in_the_same_packet_as_the_upgrade_are_frames(void **state)
{
    begin("{}");
    client(UPGRADE);
    const char *both = SWITCHING "\x89\x01p";
    host_learn(comet, &learned, state_of_learning, TB_SERVER_BYTES, both, strlen(both));
    client_frame(TB_WS_PONG, "p");
    end();
    assert_true(has(1, TB_COMET_NOTE_ANSWER));
}

static void pongs_that_answer_pings_are_not_played(void **state)
{
    begin_socket(UPGRADE);
    server_frame(TB_WS_PING, "1");
    client_frame(TB_WS_PONG, "1");
    client_frame(TB_WS_PONG, "of my own accord");
    end();
    assert_true(has(1, TB_COMET_NOTE_ANSWER));
    assert_false(has(2, TB_COMET_NOTE_ANSWER));
}

static void pings_of_the_client_are_heartbeats(void **state)
{
    begin_socket(UPGRADE);
    for (unsigned i = 0; i < 3; i++) {
        char text[2] = {(char) ('a' + i), 0};
        pass(20 * SECOND);
        client_frame(TB_WS_PING, text);
        client_frame(TB_WS_TEXT, "other");
    }
    struct tb_comet_session_note note = end();
    assert_int_equal(note.repeated, 5); /* the last ping */
    assert_int_equal(note.interval_us, 20 * SECOND);
}

static void message_that_comes_regularly_is_a_heartbeat(void **state)
{
    begin_socket(UPGRADE);
    for (unsigned i = 0; i < 4; i++) {
        pass(5 * SECOND);
        client_frame(TB_WS_TEXT, "{\"ping\":1}");
        client_frame(TB_WS_TEXT, i % 2 ? "this" : "that");
    }
    struct tb_comet_session_note note = end();
    assert_int_equal(note.repeated, 7);
    assert_int_equal(note.interval_us, 5 * SECOND);
}

static void message_that_comes_now_and_then_is_none(void **state)
{
    static const uint64_t pauses_s[] = {1, 20, 2, 9};
    begin_socket(UPGRADE);
    for (unsigned i = 0; i < 4; i++) {
        pass(pauses_s[i] * SECOND);
        client_frame(TB_WS_TEXT, "same");
    }
    assert_int_equal(end().repeated, TB_COMET_NOTHING);
}

static void farewell_of_the_client_is_not_played(void **state)
{
    begin_socket(UPGRADE);
    client_frame(TB_WS_TEXT, "x");
    client_frame(TB_WS_CLOSE, "\x03\xe8");
    server_frame(TB_WS_CLOSE, "\x03\xe8");
    struct tb_comet_session_note note = end();
    assert_false(has(1, TB_COMET_NOTE_CLOSE));
    assert_true(has(2, TB_COMET_NOTE_CLOSE));
    assert_int_equal(note.flags, 0);
}

static void normal_farewell_of_the_server_is_noted(void **state)
{
    begin_socket(UPGRADE);
    server_frame(TB_WS_CLOSE, "\x03\xe8");
    client_frame(TB_WS_CLOSE, "\x03\xe8");
    assert_int_equal(end().flags, TB_COMET_SERVER_CLOSES);
    begin_socket(UPGRADE);
    server_frame(TB_WS_CLOSE, "\x03\xe9"); /* going away */
    assert_int_equal(end().flags, 0);
}

static void frame_right_behind_a_message_of_the_server_may_depend_on_it(void **state)
{
    begin_socket(UPGRADE);
    server_frame(TB_WS_TEXT, "hello");
    server_frame(TB_WS_PING, "");
    server_frame(TB_WS_TEXT, "who are you");
    pass(SECOND / 100);
    client_frame(TB_WS_TEXT, "it is me");
    pass(SECOND);
    client_frame(TB_WS_TEXT, "of my own accord");
    end();
    assert_true(has(1, TB_COMET_NOTE_REACTS));
    assert_int_equal(learned.request[1].note >> TB_COMET_NOTE_MESSAGES_SHIFT, 2);
    assert_false(has(2, TB_COMET_NOTE_REACTS));
}

static void engine_io_answers_and_farewells_are_not_played(void **state)
{
    begin_socket("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    client_frame(TB_WS_TEXT, "40");
    server_frame(TB_WS_TEXT, "2");
    client_frame(TB_WS_TEXT, "3");
    client_frame(TB_WS_TEXT, "42[\"x\"]");
    client_frame(TB_WS_TEXT, "41"); /* the farewell of socket.io */
    assert_int_equal(end().flags, TB_COMET_ENGINE_IO);
    assert_false(has(1, TB_COMET_NOTE_ANSWER));
    assert_true(has(2, TB_COMET_NOTE_ANSWER));
    assert_false(has(3, TB_COMET_NOTE_CLOSE));
    assert_true(has(4, TB_COMET_NOTE_CLOSE));
}

static void broken_frames_leave_the_rest_opaque(void **state)
{
    begin_socket(UPGRADE);
    client_frame(TB_WS_TEXT, "x");
    client("\x81\x05Hello"); /* not masked */
    end();
    assert_true(learned.opaque);
}

static void other_upgrades_are_opaque(void **state)
{
    begin("{}");
    client("GET / HTTP/1.1\r\nUpgrade: other\r\n\r\n");
    server("HTTP/1.1 101 S\r\nUpgrade: other\r\n\r\n");
    end();
    assert_true(learned.opaque);
}

static void session_note_is_unpacked_as_it_was_packed(void **state)
{
    struct tb_comet_session_note a = {
        .kind = TB_COMET_SOCKET, .flags = 3, .repeated = 123456, .interval_us = 25000 * 1000};
    struct tb_comet_session_note b = tb_comet_note_unpack(tb_comet_note_pack(&a));
    assert_int_equal(b.kind, a.kind);
    assert_int_equal(b.flags, a.flags);
    assert_int_equal(b.repeated, a.repeated);
    assert_int_equal(b.interval_us, a.interval_us);
}

static void unused_session_is_only_freed(void **state)
{
    begin("{}");
    client(POLL);
    comet->learn_end(&learned, state_of_learning, false);
    assert_int_equal(learned.session_note, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_request_is_a_poll_and_so_are_those_to_its_path),
        cmocka_unit_test(what_is_asked_for_again_at_once_is_a_poll),
        cmocka_unit_test(quick_answers_are_no_polls),
        cmocka_unit_test(pending_request_is_a_poll),
        cmocka_unit_test(request_cut_off_by_the_end_of_the_capture_is_no_poll),
        cmocka_unit_test(options_may_say_what_a_poll_is),
        cmocka_unit_test(body_without_an_end_is_a_stream),
        cmocka_unit_test(event_stream_that_the_server_closed_was_only_cut_off),
        cmocka_unit_test(upload_beside_its_response_keeps_its_pauses),
        cmocka_unit_test(publish_sessions_can_be_excluded),
        cmocka_unit_test(every_frame_of_the_client_is_a_request),
        cmocka_unit_test(frames_in_the_same_packet_as_the_upgrade_are_frames),
        cmocka_unit_test(pongs_that_answer_pings_are_not_played),
        cmocka_unit_test(pings_of_the_client_are_heartbeats),
        cmocka_unit_test(message_that_comes_regularly_is_a_heartbeat),
        cmocka_unit_test(message_that_comes_now_and_then_is_none),
        cmocka_unit_test(farewell_of_the_client_is_not_played),
        cmocka_unit_test(normal_farewell_of_the_server_is_noted),
        cmocka_unit_test(frame_right_behind_a_message_of_the_server_may_depend_on_it),
        cmocka_unit_test(engine_io_answers_and_farewells_are_not_played),
        cmocka_unit_test(broken_frames_leave_the_rest_opaque),
        cmocka_unit_test(other_upgrades_are_opaque),
        cmocka_unit_test(session_note_is_unpacked_as_it_was_packed),
        cmocka_unit_test(unused_session_is_only_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
