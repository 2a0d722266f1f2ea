/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the client end of the intercept channel: a connection whose server does what the
 * input says, well-formed frames and raw bytes in any order and in pieces of any size, while time
 * passes. Whatever comes: packets handed up are bytes that were received, seen not later than now,
 * and a connection that is over is over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "base/log.h"
#include "relay_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                    \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                   \
        }                                                              \
    } while (0)

enum { INPUT_MAX = 2048, PACKETS_MAX = 8192 };

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
    } else {
        relay_rig_wait(r, (uint64_t) tb_cursor_be16(in) << what % 16);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tb_cursor in = tb_cursor_init(data, size);

    if (size > INPUT_MAX)
        return 0;
    tb_log_set_level(TB_LOG_ERROR);
    struct relay_rig *r = relay_rig_new(tb_cursor_u8(&in) & 1);
    while (tb_cursor_left(&in) > 0) {
        act(r, &in);
        check(r);
        if (r->link.state < TB_RELAY_LINK_GREETING) /* not to a real connect() */
            relay_rig_connect(r);
    }
    take(r, PACKETS_MAX);
    relay_rig_free(r);
    return 0;
}
