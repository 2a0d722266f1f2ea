/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the client end of the intercept channel: a connection whose server does what the
 * input says, well-formed frames and raw bytes in any order and in pieces of any size, while time
 * passes and, if the input wants, sessions come and go. Whatever comes: packets handed up are bytes
 * that were received, seen not later than now; a connection that is over is over; and what is
 * registered in the end is what the owner has.
 */
#include <string.h>
#include <sys/socket.h>
#include "base/cursor.h"
#include "base/log.h"
#include "check.h"
#include "relay_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 2048, PACKETS_MAX = 8192, SESSIONS = 4096 };

/* The owner's sessions, by port; and the server's, as far as the frames say. */
static bool owned[SESSIONS], known[SESSIONS];

static bool next_owned(void *ctx, uint64_t *cursor, struct tb_endpoint *out)
{
    (void) ctx;
    while (*cursor < SESSIONS && !owned[*cursor])
        ++*cursor;
    *out = (struct tb_endpoint){.port = (uint16_t) *cursor};
    return (*cursor)++ < SESSIONS;
}

/* Some sessions come or go, and the turn ends. */
static void change_sessions(struct relay_rig *r, struct tb_cursor *in)
{
    uint8_t what = tb_cursor_u8(in);
    uint32_t first = tb_cursor_be16(in), count = (uint32_t) 1 << what % 12;

    for (uint32_t i = first; i < first + count; i++) {
        struct tb_endpoint s = {.port = (uint16_t) (i % SESSIONS)};
        if (owned[s.port] == (what >= 128))
            continue;
        owned[s.port] = !owned[s.port];
        if (what >= 128)
            tb_relay_link_register(&r->link, &s);
        else
            tb_relay_link_unregister(&r->link, &s);
    }
    if (what & 64)
        tb_relay_link_say_sessions(&r->link, r->now_us);
}

/* What the server knows after these bytes of a connection. */
static void learn(const uint8_t *data, size_t len)
{
    static struct tb_endpoint sessions[TB_RELAY_SESSIONS_MAX];
    struct tb_relay_head head;

    memset(known, 0, sizeof known);
    for (size_t at = 0; at < len; at += TB_RELAY_HEAD + head.len) {
        CHECK(tb_relay_head_get(data + at, len - at, &head) == 0);
        CHECK(head.len <= len - at - TB_RELAY_HEAD);
        if (head.type != TB_RELAY_REGISTER && head.type != TB_RELAY_UNREGISTER)
            continue;
        int count = tb_relay_sessions_get(data + at + TB_RELAY_HEAD, head.len, sessions);
        CHECK(count >= 0);
        if (count == 0)
            memset(known, 0, sizeof known);
        for (int i = 0; i < count; i++)
            known[sessions[i].port % SESSIONS] = head.type == TB_RELAY_REGISTER;
    }
}

/* Let the link say all that it has to, and read it with what it said before. */
static void expect_sessions_are_known(struct relay_rig *r)
{
    static uint8_t said[1 << 22];
    size_t len = 0;
    ssize_t n;

    do {
        tb_relay_link_say_sessions(&r->link, r->now_us);
        CHECK(r->link.state == TB_RELAY_LINK_RUNNING);
        while ((n = recv(r->server, said + len, sizeof said - len, MSG_DONTWAIT)) > 0)
            len += (size_t) n;
        CHECK(len < sizeof said);
    } while (r->link.out_len > 0 || tb_relay_gather_has_more(r->link.gather));
    learn(said, len);
    CHECK(memcmp(known, owned, sizeof known) == 0);
}

static void append_raw(struct relay_rig *r, struct tb_cursor *in)
{
    size_t n = tb_cursor_u8(in), left = tb_cursor_left(in);

    n = n < left ? n : left;
    const uint8_t *bytes = tb_cursor_bytes(in, n);
    if (n > 0)
        memcpy(r->frames + r->len, bytes, n);
    r->len += n;
}

/* A frame as it should be, or of any type with a payload of the input's. */
static void append_frame(struct relay_rig *r, uint8_t what, struct tb_cursor *in)
{
    uint8_t payload[64];

    switch (what % 8) {
    case 0:
        relay_rig_welcome(r);
        break;
    case 1:
        relay_rig_text(r, what & 8 ? TB_RELAY_BYE : TB_RELAY_REFUSED, tb_cursor_u8(in) % 8, "x");
        break;
    case 2:
        relay_rig_pong(r, r->now_us - tb_cursor_be16(in));
        break;
    case 3:
        relay_rig_drops(r, tb_cursor_u8(in), tb_cursor_u8(in));
        break;
    case 4:
    case 5:
        relay_rig_records(r, 'a', tb_cursor_u8(in) % 16, tb_cursor_be16(in));
        break;
    default:
        for (size_t i = 0; i < sizeof payload; i++)
            payload[i] = tb_cursor_u8(in);
        relay_rig_frame(r, what >> 4, payload, tb_cursor_u8(in) % sizeof payload);
    }
    if (what & 128 && r->len > 0) /* with a byte changed */
        r->frames[tb_cursor_be16(in) % r->len] ^= tb_cursor_u8(in);
}

static void take(struct relay_rig *r, unsigned max)
{
    struct tb_packet p;
    unsigned sum = 0, n = 0;

    for (; n < max && tb_relay_link_next(&r->link, r->now_us, &p); n++) {
        CHECK(p.time_us <= r->now_us && p.len <= p.wire_len);
        for (uint32_t i = 0; i < p.len; i++)
            sum += p.data[i]; /* a sanitizer sees one outside of what was received */
    }
    CHECK(n < PACKETS_MAX && sum < UINT32_MAX);
}

static void check(const struct relay_rig *r)
{
    const struct tb_relay_link *l = &r->link;

    CHECK(l->begin <= l->end && l->frame_end <= l->end);
    CHECK(r->shared->peer[0].running == (l->state == TB_RELAY_LINK_RUNNING));
    if (l->state == TB_RELAY_LINK_DOWN)
        CHECK(l->fd < 0 && l->end == 0 && l->frame_end == 0 && l->words.text[0]);
}

static void act(struct relay_rig *r, struct tb_cursor *in)
{
    uint8_t what = tb_cursor_u8(in);

    if (what < 64 && r->len < 2048) {
        append_raw(r, in);
    } else if (what < 160 && r->len < 2048) {
        append_frame(r, tb_cursor_u8(in), in);
    } else if (what < 224) { /* send some of it, or all */
        size_t n = what < 192 ? r->len : tb_cursor_be16(in) % (r->len + 1);
        relay_rig_send(r, 0, n);
        memmove(r->frames, r->frames + n, r->len -= n);
        tb_relay_link_drive(&r->link, r->now_us, true);
    } else if (what < 240) {
        take(r, what < 232 ? PACKETS_MAX : tb_cursor_u8(in) % 4);
    } else if (what < 248 && r->link.gather) {
        change_sessions(r, in);
    } else {
        relay_rig_wait(r, (uint64_t) tb_cursor_be16(in) << what % 16);
    }
}

static struct relay_rig *rig_of(uint8_t first)
{
    memset(owned, 0, sizeof owned);
    return first & 2 ? relay_rig_new_registering(next_owned, NULL) : relay_rig_new(first & 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tb_cursor in = tb_cursor_init(data, size);

    if (size > INPUT_MAX)
        return 0;
    tb_log_set_level(TB_LOG_ERROR);
    struct relay_rig *r = rig_of(tb_cursor_u8(&in));
    while (tb_cursor_left(&in) > 0) {
        act(r, &in);
        check(r);
        if (r->link.state < TB_RELAY_LINK_GREETING) /* not to a real connect() */
            relay_rig_connect(r);
    }
    take(r, PACKETS_MAX);
    if (r->link.gather && r->link.state == TB_RELAY_LINK_RUNNING)
        expect_sessions_are_known(r);
    relay_rig_free(r);
    return 0;
}
