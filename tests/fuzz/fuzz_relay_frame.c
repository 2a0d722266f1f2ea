/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of relay/frame: the input is what the other end of the intercept channel sends, frame
 * after frame. Decoded views must lie within their payload, and what was decoded must come out the
 * same when it is encoded and decoded again. Both directions: a type decides its decoder.
 */
#include <stdlib.h>
#include <string.h>

#include "relay/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = TB_RELAY_HEAD + TB_RELAY_PAYLOAD_MAX };

static uint8_t again[ROOM];

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* The frame in `again` is of this type; its payload's length. */
static size_t encoded(size_t len, uint8_t type)
{
    struct tb_relay_head head;

    check(len >= TB_RELAY_HEAD && tb_relay_head_get(again, len, &head) == 0);
    check(head.type == type && head.len == len - TB_RELAY_HEAD);
    return head.len;
}

static const uint8_t *payload(void)
{
    return again + TB_RELAY_HEAD;
}

static void hello(const uint8_t *data, size_t len)
{
    static struct tb_relay_hello a, b;

    if (tb_relay_hello_get(data, len, &a) < 0)
        return;
    size_t n = encoded(tb_relay_hello_put(again, ROOM, &a), TB_RELAY_HELLO);
    check(tb_relay_hello_get(payload(), n, &b) == 0);
    check(a.flags == b.flags && a.connection == b.connection && a.connections == b.connections);
    check(memcmp(a.run, b.run, sizeof a.run) == 0 && strcmp(a.name, b.name) == 0);
    check(a.version == b.version && a.target_count == b.target_count &&
          memcmp(a.target, b.target, a.target_count * sizeof *a.target) == 0);
    check(a.range_count == b.range_count &&
          memcmp(a.range, b.range, a.range_count * sizeof *a.range) == 0);
}

static void welcome(const uint8_t *data, size_t len)
{
    struct tb_relay_welcome a, b;

    if (tb_relay_welcome_get(data, len, &a) < 0)
        return;
    size_t n = encoded(tb_relay_welcome_put(again, ROOM, &a), TB_RELAY_WELCOME);
    check(tb_relay_welcome_get(payload(), n, &b) == 0);
    check(a.flags == b.flags && a.real_us == b.real_us && strcmp(a.program, b.program) == 0);
    check(strcmp(a.devices, b.devices) == 0 && strcmp(a.filter, b.filter) == 0);
}

static void text(const uint8_t *data, size_t len, uint8_t type)
{
    struct tb_relay_text a, b;

    if (tb_relay_text_get(data, len, &a) < 0)
        return;
    size_t n = encoded(tb_relay_text_put(again, ROOM, type, a.code, a.text), type);
    check(tb_relay_text_get(payload(), n, &b) == 0);
    check(a.code == b.code && strcmp(a.text, b.text) == 0);
}

static void records(const uint8_t *data, size_t len)
{
    struct tb_relay_reader reader;
    struct tb_relay_record r;
    const uint8_t *end = data;
    int rc;

    if (tb_relay_reader_init(&reader, data, len) < 0)
        return;
    size_t at = tb_relay_records_begin(again, reader.base_us);
    while ((rc = tb_relay_reader_next(&reader, &r)) == 1) {
        check(r.data >= end && r.data + r.len <= data + len && r.len <= r.wire_len);
        end = r.data + r.len;
        size_t n = tb_relay_record_put(again + at, ROOM - at, reader.base_us, &r);
        check(n == TB_RELAY_RECORD_HEAD + r.len);
        at += n;
    }
    if (rc < 0)
        return;
    tb_relay_records_end(again, at);
    check(encoded(at, TB_RELAY_RECORDS) == len);
    /* A time beyond 64 bits wraps; all others are as they were. */
    check(reader.base_us > UINT64_MAX - UINT32_MAX || memcmp(payload(), data, len) == 0);
}

static void sessions(const uint8_t *data, size_t len, uint8_t type)
{
    static struct tb_endpoint out[TB_RELAY_SESSIONS_MAX];
    int count = tb_relay_sessions_get(data, len, out);

    if (count < 0)
        return;
    size_t n = encoded(tb_relay_sessions_put(again, ROOM, type, out, (uint32_t) count), type);
    check(n == len && memcmp(payload(), data, len) == 0);
}

static void seen(const uint8_t *data, size_t len)
{
    struct tb_relay_seen a, b;

    if (tb_relay_seen_get(data, len, &a) < 0)
        return;
    size_t n = encoded(tb_relay_seen_put(again, ROOM, &a), TB_RELAY_SEEN);
    check(tb_relay_seen_get(payload(), n, &b) == 0);
    check(a.flags == b.flags && tb_addr_eq(&a.src, &b.src) && tb_addr_eq(&a.dst, &b.dst));
    check(a.sport == b.sport && a.dport == b.dport && strcmp(a.device, b.device) == 0);
}

/* Types whose payload is numbers only, which come out byte by byte. */
static void numbers(const uint8_t *data, size_t len, uint8_t type)
{
    struct tb_relay_ping ping;
    struct tb_relay_drops drops;
    struct tb_relay_watch watch;
    size_t n = 0;

    if (type == TB_RELAY_DROPS && tb_relay_drops_get(data, len, &drops) == 0)
        n = tb_relay_drops_put(again, ROOM, &drops);
    else if (type == TB_RELAY_WATCH && tb_relay_watch_get(data, len, &watch) == 0)
        n = tb_relay_watch_put(again, ROOM, &watch);
    else if ((type == TB_RELAY_PING || type == TB_RELAY_PONG) &&
             tb_relay_ping_get(data, len, &ping) == 0)
        n = tb_relay_ping_put(again, ROOM, type, &ping);
    if (n > 0)
        check(encoded(n, type) == len && memcmp(payload(), data, len) == 0);
}

static void frame(uint8_t type, const uint8_t *data, size_t len)
{
    switch (type) {
    case TB_RELAY_HELLO:
        hello(data, len);
        break;
    case TB_RELAY_WELCOME:
        welcome(data, len);
        break;
    case TB_RELAY_REFUSED:
    case TB_RELAY_BYE:
        text(data, len, type);
        break;
    case TB_RELAY_RECORDS:
        records(data, len);
        break;
    case TB_RELAY_REGISTER:
    case TB_RELAY_UNREGISTER:
    case TB_RELAY_TAKEN:
        sessions(data, len, type);
        break;
    case TB_RELAY_SEEN:
        seen(data, len);
        break;
    default:
        numbers(data, len, type);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tb_relay_head head;

    while (tb_relay_head_get(data, size, &head) == 0) {
        data += TB_RELAY_HEAD;
        size -= TB_RELAY_HEAD;
        /* The last one may be cut: its decoder must cope with what there is. */
        size_t len = head.len < size ? head.len : size;
        uint8_t *exact = malloc(len ? len : 1);
        check(exact != NULL);
        memcpy(exact, data, len);
        frame(head.type, exact, len);
        free(exact);
        data += len;
        size -= len;
    }
    return 0;
}
