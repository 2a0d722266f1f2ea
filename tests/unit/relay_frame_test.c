/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/frame: what is written is read again, and what is wrong is refused. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include "packet/wire.h"
#include "relay/frame.h"

enum { ROOM = TB_RELAY_HEAD + TB_RELAY_PAYLOAD_MAX };

static uint8_t frame[ROOM];

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;

    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

/* The frame's head holds its type and the length of the rest; a copy of the payload, to be freed.
 */
static uint8_t *payload_of(size_t len, uint8_t type)
{
    struct tb_relay_head head;

    assert_true(len >= TB_RELAY_HEAD);
    assert_int_equal(tb_relay_head_get(frame, len, &head), 0);
    assert_int_equal(head.type, type);
    assert_int_equal(head.len, len - TB_RELAY_HEAD);
    return exact_copy(frame + TB_RELAY_HEAD, head.len);
}

/* A decoder, with room for what it decodes. */
typedef int decode_fn(const uint8_t *data, size_t len);

/* Cut or prolonged payloads are no frames of this type. */
static void expect_exact_length(size_t len, decode_fn *decode)
{
    size_t payload_len = len - TB_RELAY_HEAD;

    for (size_t n = 0; n <= payload_len + 1; n++) {
        uint8_t *copy = exact_copy(frame + TB_RELAY_HEAD, n);
        assert_int_equal(decode(copy, n), n == payload_len ? 0 : -EBADMSG);
        free(copy);
    }
}

/* --- heads ------------------------------------------------------------------------------------ */

static void a_head_lies_as_documented(void **state)
{
    static const uint8_t expected[] = {0, 1, 2, 3, TB_RELAY_RECORDS, 0, 0, 0};
    uint8_t head[TB_RELAY_HEAD];

    tb_relay_head_put(head, TB_RELAY_RECORDS, 0x00010203);
    assert_memory_equal(head, expected, sizeof expected);
}

static void a_head_is_waited_for(void **state)
{
    struct tb_relay_head head;

    tb_relay_head_put(frame, TB_RELAY_PING, 16);
    for (size_t n = 0; n < TB_RELAY_HEAD; n++) {
        uint8_t *copy = exact_copy(frame, n);
        assert_int_equal(tb_relay_head_get(copy, n, &head), -EAGAIN);
        free(copy);
    }
}

static int head_with(uint8_t type, uint32_t len, size_t dirty)
{
    struct tb_relay_head head;
    uint8_t b[TB_RELAY_HEAD];

    tb_relay_head_put(b, type, len);
    if (dirty)
        b[dirty] = 1;
    return tb_relay_head_get(b, sizeof b, &head);
}

static void strange_heads_are_refused(void **state)
{
    assert_int_equal(head_with(0, 0, 0), -EBADMSG);
    assert_int_equal(head_with(TB_RELAY_TAKEN, 0, 0), 0);
    assert_int_equal(head_with(TB_RELAY_TAKEN + 1, 0, 0), -EBADMSG);
    for (size_t i = 5; i < TB_RELAY_HEAD; i++)
        assert_int_equal(head_with(TB_RELAY_PING, 16, i), -EBADMSG);
}

static void lengths_are_bounded_by_type(void **state)
{
    assert_int_equal(head_with(TB_RELAY_RECORDS, TB_RELAY_PAYLOAD_MAX, 0), 0);
    assert_int_equal(head_with(TB_RELAY_RECORDS, TB_RELAY_PAYLOAD_MAX + 1, 0), -EBADMSG);
    assert_int_equal(head_with(TB_RELAY_HELLO, TB_RELAY_CONTROL_MAX, 0), 0);
    assert_int_equal(head_with(TB_RELAY_HELLO, TB_RELAY_CONTROL_MAX + 1, 0), -EBADMSG);
    assert_int_equal(head_with(TB_RELAY_HELLO, UINT32_MAX, 0), -EBADMSG);
}

/* --- HELLO ------------------------------------------------------------------------------------ */

static struct tb_relay_hello hello_out;

static int decode_hello(const uint8_t *data, size_t len)
{
    return tb_relay_hello_get(data, len, &hello_out);
}

static struct tb_relay_hello *a_hello(void)
{
    static struct tb_relay_hello h;

    h = (struct tb_relay_hello){.version = TB_RELAY_VERSION,
                                .flags = TB_RELAY_WANT_PAYLOAD | TB_RELAY_WANT_SINGLE,
                                .connection = 3,
                                .connections = 4,
                                .name = "tcpburn 0.1.0 on host (77)",
                                .range_count = 2};
    memset(h.run, 0xab, sizeof h.run);
    h.range[0] = (struct tb_relay_range){addr("198.18.0.0"), 65536};
    h.range[1] = (struct tb_relay_range){addr("fd00::"), UINT64_C(1) << 32};
    h.target_count = 2;
    h.target[0] = (struct tb_endpoint){addr("10.0.0.1"), 80};
    h.target[1] = (struct tb_endpoint){addr("fd00::1"), 443};
    return &h;
}

static void a_hello_is_read_as_written(void **state)
{
    struct tb_relay_hello *h = a_hello();
    size_t len = tb_relay_hello_put(frame, sizeof frame, h);
    uint8_t *payload = payload_of(len, TB_RELAY_HELLO);

    assert_int_equal(decode_hello(payload, len - TB_RELAY_HEAD), 0);
    assert_int_equal(hello_out.version, h->version);
    assert_int_equal(hello_out.flags, h->flags);
    assert_memory_equal(hello_out.run, h->run, sizeof h->run);
    assert_int_equal(hello_out.connection, 3);
    assert_int_equal(hello_out.connections, 4);
    assert_string_equal(hello_out.name, h->name);
    assert_int_equal(hello_out.range_count, 2);
    assert_memory_equal(hello_out.range, h->range, 2 * sizeof *h->range);
    assert_int_equal(hello_out.target_count, 2);
    assert_memory_equal(hello_out.target, h->target, 2 * sizeof *h->target);
    free(payload);
    expect_exact_length(len, decode_hello);
}

static void the_first_version_of_a_hello_ends_with_the_ranges(void **state)
{
    struct tb_relay_hello *h = a_hello();
    size_t longer = tb_relay_hello_put(frame, sizeof frame, h);

    h->version = 1;
    size_t len = tb_relay_hello_put(frame, sizeof frame, h);
    assert_int_equal(longer - len, 2 + 2 * 18);
    assert_int_equal(decode_hello(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD), 0);
    assert_int_equal(hello_out.version, 1);
    assert_int_equal(hello_out.range_count, 2);
    assert_int_equal(hello_out.target_count, 0);
}

static void the_longest_hello_fits_a_frame(void **state)
{
    struct tb_relay_hello *h = a_hello();

    h->range_count = TB_RELAY_RANGES_MAX;
    for (uint32_t i = 0; i < TB_RELAY_RANGES_MAX; i++)
        h->range[i] = (struct tb_relay_range){addr("10.0.0.0"), 1};
    h->target_count = TB_RELAY_TARGETS_MAX;
    size_t len = tb_relay_hello_put(frame, sizeof frame, h);
    assert_true(len > 0 && len <= TB_RELAY_HEAD + TB_RELAY_CONTROL_MAX);
    assert_int_equal(decode_hello(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD), 0);
}

/* Offsets into the payload of a hello; docs/CHANNEL.md. */
enum { AT_MAGIC = 0, AT_VERSION = 4, AT_CONNECTION = 26, AT_CONNECTIONS = 28, AT_NAME = 30 };

static int hello_with(size_t at, uint16_t value)
{
    size_t len = tb_relay_hello_put(frame, sizeof frame, a_hello());

    tb_put_be16(frame + TB_RELAY_HEAD + at, value);
    return decode_hello(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD);
}

static void a_hello_of_another_version_is_told_from_garbage(void **state)
{
    assert_int_equal(hello_with(AT_VERSION, 3), -EPROTONOSUPPORT);
    assert_int_equal(hello_out.version, 3);
    assert_int_equal(hello_with(AT_VERSION, 0), -EPROTONOSUPPORT);
    assert_int_equal(hello_with(AT_MAGIC, 0x5442), 0); /* "TB" again */
    assert_int_equal(hello_with(AT_MAGIC, 0x5443), -EBADMSG);
}

static void a_hello_with_impossible_numbers_is_refused(void **state)
{
    size_t ranges = AT_NAME + 2 + strlen(a_hello()->name);

    assert_int_equal(hello_with(AT_CONNECTIONS, 0), -EBADMSG);
    assert_int_equal(hello_with(AT_CONNECTIONS, TB_RELAY_CONNECTIONS_MAX + 1), -EBADMSG);
    assert_int_equal(hello_with(AT_CONNECTION, 4), -EBADMSG);
    assert_int_equal(hello_with(AT_NAME, 64), -EBADMSG);
    assert_int_equal(hello_with(ranges, TB_RELAY_RANGES_MAX + 1), -EBADMSG);
    assert_int_equal(hello_with(ranges, 3), -EBADMSG);
    assert_int_equal(hello_with(ranges, 1), -EBADMSG);
    size_t targets = ranges + 2 + 2 * 24;
    assert_int_equal(hello_with(targets, TB_RELAY_TARGETS_MAX + 1), -EBADMSG);
    assert_int_equal(hello_with(targets, 3), -EBADMSG);
    assert_int_equal(hello_with(targets, 1), -EBADMSG);
}

static void a_range_stays_within_the_last_32_bits(void **state)
{
    struct tb_relay_hello *h = a_hello();

    static const struct {
        const char *first;
        uint64_t count;
        int rc;
    } cases[] = {
        {"255.255.255.255", 1, 0},         {"255.255.255.255", 2, -EBADMSG},
        {"0.0.0.0", UINT64_C(1) << 32, 0}, {"0.0.0.0", (UINT64_C(1) << 32) + 1, -EBADMSG},
        {"10.0.0.0", 0, -EBADMSG},         {"10.0.0.1", UINT64_MAX, -EBADMSG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h->range[1] = (struct tb_relay_range){addr(cases[i].first), cases[i].count};
        size_t len = tb_relay_hello_put(frame, sizeof frame, h);
        assert_int_equal(decode_hello(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD), cases[i].rc);
    }
}

static void unprintable_bytes_of_a_text_never_reach_the_log(void **state)
{
    struct tb_relay_hello *h = a_hello();

    snprintf(h->name, sizeof h->name, "a\x1b[2J\nb\xff");
    size_t len = tb_relay_hello_put(frame, sizeof frame, h);
    assert_int_equal(decode_hello(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD), 0);
    assert_string_equal(hello_out.name, "a?[2J?b?");
}

/* --- WELCOME, texts --------------------------------------------------------------------------- */

static struct tb_relay_welcome welcome_out;
static struct tb_relay_text text_out;

static int decode_welcome(const uint8_t *data, size_t len)
{
    return tb_relay_welcome_get(data, len, &welcome_out);
}

static int decode_text(const uint8_t *data, size_t len)
{
    return tb_relay_text_get(data, len, &text_out);
}

static void a_welcome_is_read_as_written(void **state)
{
    struct tb_relay_welcome welcome = {.version = TB_RELAY_VERSION,
                                       .flags = TB_RELAY_OFFLOADS,
                                       .real_us = UINT64_C(0x0102030405060708),
                                       .program = "intercept 0.1.0",
                                       .devices = "eth0,eth1",
                                       .filter = "tcp"};
    size_t len = tb_relay_welcome_put(frame, sizeof frame, &welcome);

    free(payload_of(len, TB_RELAY_WELCOME));
    expect_exact_length(len, decode_welcome);
    assert_int_equal(decode_welcome(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD), 0);
    assert_int_equal(welcome_out.version, TB_RELAY_VERSION);
    assert_int_equal(welcome_out.flags, TB_RELAY_OFFLOADS);
    assert_int_equal(welcome_out.real_us, welcome.real_us);
    assert_string_equal(welcome_out.program, welcome.program);
    assert_string_equal(welcome_out.devices, welcome.devices);
    assert_string_equal(welcome_out.filter, welcome.filter);
}

static void a_refusal_is_read_as_written(void **state)
{
    size_t len = tb_relay_text_put(frame, sizeof frame, TB_RELAY_REFUSED, 3, "no, because");

    free(payload_of(len, TB_RELAY_REFUSED));
    expect_exact_length(len, decode_text);
    assert_int_equal(decode_text(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD), 0);
    assert_int_equal(text_out.code, 3);
    assert_string_equal(text_out.text, "no, because");
}

static void a_text_too_long_is_cut(void **state)
{
    char text[2 * TB_RELAY_TEXT_MAX];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    size_t len = tb_relay_text_put(frame, sizeof frame, TB_RELAY_BYE, 0, text);
    assert_int_equal(decode_text(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD), 0);
    assert_int_equal(strlen(text_out.text), TB_RELAY_TEXT_MAX - 1);
}

/* --- RECORDS ---------------------------------------------------------------------------------- */

/* A frame of `count` records of `len` bytes each; its length. */
static size_t put_records(uint32_t count, uint32_t len)
{
    static uint8_t data[65536];
    size_t at = tb_relay_records_begin(frame, 5000);

    for (uint32_t i = 0; i < count; i++) {
        memset(data, (int) i, len);
        struct tb_relay_record r = {data, len, len + i, 5000 + i};
        size_t n = tb_relay_record_put(frame + at, sizeof frame - at, 5000, &r);
        assert_int_equal(n, TB_RELAY_RECORD_HEAD + len);
        at += n;
    }
    tb_relay_records_end(frame, at);
    return at;
}

/* All records of a payload: their number, or the error. */
static int count_records(const uint8_t *data, size_t len)
{
    struct tb_relay_reader reader;
    struct tb_relay_record r;
    int count = 0, rc = tb_relay_reader_init(&reader, data, len);

    while (rc == 0 && (rc = tb_relay_reader_next(&reader, &r)) == 1) {
        count++;
        rc = 0;
    }
    return rc < 0 ? rc : count;
}

static void records_are_read_as_written(void **state)
{
    size_t len = put_records(3, 40);
    uint8_t *payload = payload_of(len, TB_RELAY_RECORDS);
    struct tb_relay_reader reader;
    struct tb_relay_record r;

    assert_int_equal(tb_relay_reader_init(&reader, payload, len - TB_RELAY_HEAD), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(tb_relay_reader_next(&reader, &r), 1);
        assert_int_equal(r.len, 40);
        assert_int_equal(r.wire_len, 40 + i);
        assert_int_equal(r.real_us, 5000 + i);
        assert_int_equal(r.data[39], i);
    }
    assert_int_equal(tb_relay_reader_next(&reader, &r), 0);
    free(payload);
}

static void a_record_of_64_kb_fits(void **state)
{
    size_t len = put_records(1, 65535);

    assert_int_equal(count_records(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD), 1);
    assert_true(len - TB_RELAY_HEAD <= TB_RELAY_PAYLOAD_MAX);
}

static void cut_records_are_refused(void **state)
{
    size_t len = put_records(3, 40) - TB_RELAY_HEAD;

    for (size_t n = 0; n < len; n++) {
        uint8_t *copy = exact_copy(frame + TB_RELAY_HEAD, n);
        bool at_border = n >= 8 && (n - 8) % (TB_RELAY_RECORD_HEAD + 40) == 0;
        int rc = count_records(copy, n);
        assert_int_equal(rc, at_border ? (int) (n - 8) / (TB_RELAY_RECORD_HEAD + 40) : -EBADMSG);
        free(copy);
    }
}

static void records_with_impossible_lengths_are_refused(void **state)
{
    size_t len = put_records(1, 40) - TB_RELAY_HEAD;
    uint8_t *wire_len = frame + TB_RELAY_HEAD + TB_RELAY_RECORDS_HEAD;

    tb_put_be32(wire_len, 39);
    assert_int_equal(count_records(frame + TB_RELAY_HEAD, len), -EBADMSG);
    tb_put_be32(wire_len, TB_RELAY_WIRE_MAX);
    assert_int_equal(count_records(frame + TB_RELAY_HEAD, len), 1);
    tb_put_be32(wire_len, TB_RELAY_WIRE_MAX + 1);
    assert_int_equal(count_records(frame + TB_RELAY_HEAD, len), -EBADMSG);
    tb_put_be32(wire_len + 4, UINT32_MAX);
    assert_int_equal(count_records(frame + TB_RELAY_HEAD, len), -EBADMSG);
}

static void times_before_the_frame_s_are_the_frame_s(void **state)
{
    struct tb_relay_record r = {(const uint8_t *) "x", 1, 1, 100};
    struct tb_relay_reader reader;
    size_t at = tb_relay_records_begin(frame, 200);

    at += tb_relay_record_put(frame + at, sizeof frame - at, 200, &r);
    assert_int_equal(tb_relay_reader_init(&reader, frame + TB_RELAY_HEAD, at - TB_RELAY_HEAD), 0);
    assert_int_equal(tb_relay_reader_next(&reader, &r), 1);
    assert_int_equal(r.real_us, 200);
}

/* --- the rest --------------------------------------------------------------------------------- */

static struct tb_relay_ping ping_out;
static struct tb_relay_drops drops_out;
static struct tb_relay_watch watch_out;
static struct tb_relay_seen seen_out;

static int decode_ping(const uint8_t *data, size_t len)
{
    return tb_relay_ping_get(data, len, &ping_out);
}

static int decode_drops(const uint8_t *data, size_t len)
{
    return tb_relay_drops_get(data, len, &drops_out);
}

static int decode_watch(const uint8_t *data, size_t len)
{
    return tb_relay_watch_get(data, len, &watch_out);
}

static int decode_seen(const uint8_t *data, size_t len)
{
    return tb_relay_seen_get(data, len, &seen_out);
}

static void pings_and_drops_are_read_as_written(void **state)
{
    struct tb_relay_ping ping = {UINT64_MAX - 1, 0x1122334455667788};
    struct tb_relay_drops drops = {7, UINT64_C(1) << 40};
    size_t len = tb_relay_ping_put(frame, sizeof frame, TB_RELAY_PONG, &ping);

    free(payload_of(len, TB_RELAY_PONG));
    expect_exact_length(len, decode_ping);
    decode_ping(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD);
    assert_memory_equal(&ping, &ping_out, sizeof ping);

    len = tb_relay_drops_put(frame, sizeof frame, &drops);
    free(payload_of(len, TB_RELAY_DROPS));
    expect_exact_length(len, decode_drops);
    decode_drops(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD);
    assert_memory_equal(&drops, &drops_out, sizeof drops);
}

static void sessions_are_read_as_written(void **state)
{
    static struct tb_endpoint in[TB_RELAY_SESSIONS_MAX + 1], out[TB_RELAY_SESSIONS_MAX];

    for (uint32_t i = 0; i < TB_RELAY_SESSIONS_MAX; i++)
        in[i] = (struct tb_endpoint){tb_addr_plus(addr("10.0.0.0"), i), (uint16_t) i};
    size_t len =
        tb_relay_sessions_put(frame, sizeof frame, TB_RELAY_REGISTER, in, TB_RELAY_SESSIONS_MAX);
    uint8_t *payload = payload_of(len, TB_RELAY_REGISTER);
    assert_int_equal(tb_relay_sessions_get(payload, len - TB_RELAY_HEAD, out),
                     TB_RELAY_SESSIONS_MAX);
    for (uint32_t i = 0; i < TB_RELAY_SESSIONS_MAX; i++) {
        assert_true(tb_addr_eq(&in[i].addr, &out[i].addr));
        assert_int_equal(in[i].port, out[i].port);
    }
    for (size_t cut = 1; cut < TB_RELAY_SESSION_BYTES; cut++)
        assert_int_equal(tb_relay_sessions_get(payload, len - TB_RELAY_HEAD - cut, out), -EBADMSG);
    free(payload);
    assert_int_equal(tb_relay_sessions_put(frame, sizeof frame, TB_RELAY_REGISTER, in,
                                           TB_RELAY_SESSIONS_MAX + 1),
                     0);
}

static void more_sessions_than_a_frame_may_hold_are_refused(void **state)
{
    static uint8_t payload[(TB_RELAY_SESSIONS_MAX + 1) * TB_RELAY_SESSION_BYTES];
    static struct tb_endpoint out[TB_RELAY_SESSIONS_MAX];

    assert_int_equal(tb_relay_sessions_get(payload, sizeof payload, out), -EBADMSG);
}

static void watches_and_sightings_are_read_as_written(void **state)
{
    struct tb_relay_watch watch = {addr("198.18.0.1")};
    struct tb_relay_seen seen = {.flags = TB_RELAY_SEEN_REDIRECT,
                                 .src = addr("10.0.0.1"),
                                 .dst = addr("fd00::1"),
                                 .sport = 80,
                                 .dport = 1234,
                                 .tcp_flags = 0x12,
                                 .proto = 6,
                                 .device = "eth0"};
    size_t len = tb_relay_watch_put(frame, sizeof frame, &watch);

    free(payload_of(len, TB_RELAY_WATCH));
    expect_exact_length(len, decode_watch);
    decode_watch(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD);
    assert_true(tb_addr_eq(&watch.client, &watch_out.client));

    len = tb_relay_seen_put(frame, sizeof frame, &seen);
    free(payload_of(len, TB_RELAY_SEEN));
    expect_exact_length(len, decode_seen);
    decode_seen(frame + TB_RELAY_HEAD, len - TB_RELAY_HEAD);
    assert_int_equal(seen_out.flags, seen.flags);
    assert_true(tb_addr_eq(&seen.src, &seen_out.src) && tb_addr_eq(&seen.dst, &seen_out.dst));
    assert_true(seen_out.sport == 80 && seen_out.dport == 1234 && seen_out.tcp_flags == 0x12 &&
                seen_out.proto == 6);
    assert_string_equal(seen_out.device, "eth0");
}

static void nothing_is_written_beyond_the_room(void **state)
{
    struct tb_relay_welcome welcome = {.program = "p", .devices = "d", .filter = "f"};
    struct tb_relay_seen seen = {.device = "eth0"};

    for (size_t room = 0; room < 64; room++) {
        uint8_t *out = exact_copy(frame, room);
        assert_int_equal(tb_relay_hello_put(out, room, a_hello()), 0);
        assert_true(tb_relay_welcome_put(out, room, &welcome) <= room);
        assert_true(tb_relay_text_put(out, room, TB_RELAY_BYE, 0, "bye") <= room);
        assert_true(tb_relay_seen_put(out, room, &seen) <= room);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_lies_as_documented),
        cmocka_unit_test(a_head_is_waited_for),
        cmocka_unit_test(strange_heads_are_refused),
        cmocka_unit_test(lengths_are_bounded_by_type),
        cmocka_unit_test(a_hello_is_read_as_written),
        cmocka_unit_test(the_first_version_of_a_hello_ends_with_the_ranges),
        cmocka_unit_test(the_longest_hello_fits_a_frame),
        cmocka_unit_test(a_hello_of_another_version_is_told_from_garbage),
        cmocka_unit_test(a_hello_with_impossible_numbers_is_refused),
        cmocka_unit_test(a_range_stays_within_the_last_32_bits),
        cmocka_unit_test(unprintable_bytes_of_a_text_never_reach_the_log),
        cmocka_unit_test(a_welcome_is_read_as_written),
        cmocka_unit_test(a_refusal_is_read_as_written),
        cmocka_unit_test(a_text_too_long_is_cut),
        cmocka_unit_test(records_are_read_as_written),
        cmocka_unit_test(a_record_of_64_kb_fits),
        cmocka_unit_test(cut_records_are_refused),
        cmocka_unit_test(records_with_impossible_lengths_are_refused),
        cmocka_unit_test(times_before_the_frame_s_are_the_frame_s),
        cmocka_unit_test(pings_and_drops_are_read_as_written),
        cmocka_unit_test(sessions_are_read_as_written),
        cmocka_unit_test(more_sessions_than_a_frame_may_hold_are_refused),
        cmocka_unit_test(watches_and_sightings_are_read_as_written),
        cmocka_unit_test(nothing_is_written_beyond_the_room),
    };
    return cmocka_run_group_tests_name("relay/frame", tests, NULL, NULL);
}
