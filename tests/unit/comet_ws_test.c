/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WebSocket frames (modules/comet/ws.h): read whole, byte by byte and in random pieces, with the
 * same outcome; and those that a client writes. The bytes are those of RFC 6455 §5.7, or built
 * here.
 */
#include "unit.h"
#include "comet/ws.h"

#include <stdlib.h>

struct outcome {
    unsigned frames;
    uint8_t opcodes[8];
    uint64_t lengths[8];
    uint64_t payload_bytes;
    size_t end;
    bool bad, begun;
    struct tb_ws ws;
};

static struct outcome feed(const void *bytes, size_t len, bool from_client, unsigned mode)
{
    uint8_t *copy = exact_copy(bytes, len);
    struct outcome o = {0};
    while (o.end < len && !o.bad) {
        size_t n = len - o.end, used, payload_len;
        const uint8_t *payload;
        if (mode == 1) {
            n = 1;
        } else if (mode > 1) {
            mode = mode * 1103515245u + 12345u;
            size_t random = 1 + (mode >> 16) % 7;
            n = random < n ? random : n;
        }
        enum tb_ws_event event =
            tb_ws_feed(&o.ws, from_client, copy + o.end, n, &used, &payload, &payload_len);
        assert_true(used <= n && payload_len <= used);
        assert_true(payload_len == 0 || payload + payload_len == copy + o.end + used);
        o.end += used;
        o.payload_bytes += payload_len;
        o.bad = event == TB_WS_BAD;
        if (event == TB_WS_MORE)
            assert_int_equal(used, n);
        if (event == TB_WS_DONE && o.frames < 8) {
            o.opcodes[o.frames] = o.ws.opcode;
            o.lengths[o.frames++] = o.ws.length;
        }
    }
    o.begun = tb_ws_begun(&o.ws);
    free(copy);
    return o;
}

static struct outcome read_all(const void *bytes, size_t len, bool from_client)
{
    struct outcome whole = feed(bytes, len, from_client, 0);
    for (unsigned mode = 1; mode < 30; mode++) {
        struct outcome o = feed(bytes, len, from_client, mode);
        assert_int_equal(o.frames, whole.frames);
        assert_int_equal(o.bad, whole.bad);
        assert_int_equal(o.begun, whole.begun);
        assert_memory_equal(o.opcodes, whole.opcodes, sizeof o.opcodes);
        assert_memory_equal(o.lengths, whole.lengths, sizeof o.lengths);
        if (!o.bad)
            assert_int_equal(o.payload_bytes, whole.payload_bytes);
    }
    return whole;
}
#define SERVER(bytes) read_all(bytes, sizeof(bytes) - 1, false)
#define CLIENT(bytes) read_all(bytes, sizeof(bytes) - 1, true)

#define HELLO      "\x81\x05Hello"
#define PING_HELLO "\x89\x05Hello"
/* "Hello", masked with 37 fa 21 3d */
#define MASKED_HELLO "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
#define MASKED_PONG  "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"

static void frames_of_the_server_are_told_by_kind(void **state)
{
    struct outcome o = SERVER(HELLO PING_HELLO "\x82\x00"
                                               "\x88\x02\x03\xe8");
    assert_false(o.bad);
    assert_int_equal(o.frames, 4);
    assert_memory_equal(o.opcodes, "\x01\x09\x02\x08", 4);
    assert_int_equal(o.lengths[0], 5);
    assert_int_equal(o.lengths[2], 0);
    assert_false(o.begun);
}

static void payload_of_control_frames_is_kept_unmasked(void **state)
{
    struct outcome o = SERVER(PING_HELLO);
    assert_int_equal(o.ws.control_len, 5);
    assert_memory_equal(o.ws.control, "Hello", 5);
    o = CLIENT(MASKED_PONG);
    assert_int_equal(o.ws.control_len, 5);
    assert_memory_equal(o.ws.control, "Hello", 5);
}

static void masked_payload_can_be_unmasked_in_place(void **state)
{
    struct tb_ws ws = {0};
    size_t used, n;
    const uint8_t *payload;
    const uint8_t frame[] = MASKED_HELLO;
    assert_int_equal(tb_ws_feed(&ws, true, frame, sizeof frame - 1, &used, &payload, &n),
                     TB_WS_DONE);
    assert_int_equal(n, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(payload[i] ^ tb_ws_mask_at(&ws, i), "Hello"[i]);
}

static void fragments_are_frames_of_their_own(void **state)
{
    struct outcome o = SERVER("\x01\x03Hel"
                              "\x89\x00"
                              "\x80\x02lo");
    assert_int_equal(o.frames, 3);
    assert_memory_equal(o.opcodes, "\x01\x09\x00", 3);
    assert_true(o.ws.fin);
}

static void lengths_of_two_and_eight_bytes_are_read(void **state)
{
    uint8_t frame[10 + 70000] = {0x82, 126, 0x01, 0x00};
    struct outcome o = read_all(frame, 4 + 256, false);
    assert_int_equal(o.frames, 1);
    assert_int_equal(o.lengths[0], 256);
    const uint8_t head[] = {0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70}; /* 70000 */
    memcpy(frame, head, sizeof head);
    o = read_all(frame, sizeof frame, false);
    assert_int_equal(o.frames, 1);
    assert_int_equal(o.lengths[0], 70000);
    assert_int_equal(o.payload_bytes, 70000);
    o = read_all(frame, sizeof frame - 1, false);
    assert_int_equal(o.frames, 0);
    assert_true(o.begun);
}

static void compressed_frames_are_marked(void **state)
{
    struct outcome o = SERVER("\xc1\x03\xaa\x56\x00");
    assert_int_equal(o.frames, 1);
    assert_true(o.ws.compressed);
}

static void what_is_no_websocket_is_refused(void **state)
{
    assert_true(SERVER(MASKED_HELLO).bad); /* servers do not mask */
    assert_true(CLIENT(HELLO).bad);        /* clients do */
    assert_true(SERVER("\x83\x00").bad);   /* reserved opcodes */
    assert_true(SERVER("\x8b\x00").bad);
    assert_true(SERVER("\xa1\x00").bad);                   /* RSV2 */
    assert_true(SERVER("\x09\x00").bad);                   /* a ping in parts */
    assert_true(SERVER("\x89\x7e\x00\x80").bad);           /* a ping of 128 bytes */
    assert_true(SERVER("\xc9\x00").bad);                   /* a compressed ping */
    assert_true(SERVER("\x82\x7f\x80\0\0\0\0\0\0\0").bad); /* a length of 63 bits and one */
    assert_true(SERVER("HTTP/1.1 400 Bad Request\r\n").bad);
}

static void client_frames_are_masked_and_read_back(void **state)
{
    uint8_t frame[TB_WS_CONTROL_MAX + 6], payload[TB_WS_CONTROL_MAX];
    for (unsigned i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t) (i * 7);
    for (size_t len = 0; len <= TB_WS_CONTROL_MAX; len++) {
        size_t n = tb_ws_frame(frame, TB_WS_PONG, payload, len, 0xa1b2c3d4);
        assert_int_equal(n, 6 + len);
        struct outcome o = feed(frame, n, true, 0);
        assert_int_equal(o.frames, 1);
        assert_int_equal(o.opcodes[0], TB_WS_PONG);
        assert_int_equal(o.ws.control_len, len);
        assert_memory_equal(o.ws.control, payload, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_the_server_are_told_by_kind),
        cmocka_unit_test(payload_of_control_frames_is_kept_unmasked),
        cmocka_unit_test(masked_payload_can_be_unmasked_in_place),
        cmocka_unit_test(fragments_are_frames_of_their_own),
        cmocka_unit_test(lengths_of_two_and_eight_bytes_are_read),
        cmocka_unit_test(compressed_frames_are_marked),
        cmocka_unit_test(what_is_no_websocket_is_refused),
        cmocka_unit_test(client_frames_are_masked_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
