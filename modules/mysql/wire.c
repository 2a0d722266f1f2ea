/* SPDX-License-Identifier: BSD-2-Clause */
/* See wire.h. */
#include "wire.h"

#include <string.h>

enum { ROOM_KEPT = 64 << 10 };

const uint8_t *tb_mysql_in_bytes(struct tb_mysql_in *in, uint64_t n)
{
    if (tb_mysql_in_left(in) < n) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *p = in->at;
    in->at += n;
    return p;
}

uint64_t tb_mysql_in_number(struct tb_mysql_in *in, unsigned bytes)
{
    const uint8_t *p = tb_mysql_in_bytes(in, bytes);
    uint64_t value = 0;

    for (unsigned i = bytes; p && i-- > 0;)
        value = value << 8 | p[i];
    return value;
}

uint64_t tb_mysql_in_lenenc(struct tb_mysql_in *in)
{
    uint8_t first = (uint8_t) tb_mysql_in_number(in, 1);

    switch (first) {
    case 0xfc:
        return tb_mysql_in_number(in, 2);
    case 0xfd:
        return tb_mysql_in_number(in, 3);
    case 0xfe:
        return tb_mysql_in_number(in, 8);
    case 0xfb:
    case 0xff:
        in->failed = true; /* NULL, or an error packet: no length */
        return 0;
    }
    return first;
}

const char *tb_mysql_in_text(struct tb_mysql_in *in, size_t *len)
{
    const uint8_t *begin = in->at;
    size_t left = tb_mysql_in_left(in);
    const uint8_t *nul = left ? memchr(begin, 0, left) : NULL;

    *len = nul ? (size_t) (nul - begin) : left;
    in->at = nul ? nul + 1 : in->end;
    return (const char *) begin;
}

const uint8_t *tb_mysql_in_string(struct tb_mysql_in *in, size_t *len)
{
    uint64_t n = tb_mysql_in_lenenc(in);
    const uint8_t *p = tb_mysql_in_bytes(in, n);

    *len = p ? (size_t) n : 0;
    return p;
}

/* --- building -------------------------------------------------------------------------------- */

static uint8_t *more(struct tb_mysql_out *out, size_t len)
{
    if (out->failed)
        return NULL;
    if (len > out->room - out->len) {
        size_t room = out->room ? out->room * 2 : 128;
        while (room < out->len + len)
            room *= 2;
        uint8_t *data = tb_mysql_memory(out->data, room);
        if (!data) {
            out->failed = true;
            return NULL;
        }
        out->data = data;
        out->room = room;
    }
    uint8_t *p = out->data + out->len;
    out->len += len;
    return p;
}

void tb_mysql_out_bytes(struct tb_mysql_out *out, const void *data, size_t len)
{
    uint8_t *p = len > 0 ? more(out, len) : NULL;

    if (p)
        memcpy(p, data, len);
}

void tb_mysql_out_number(struct tb_mysql_out *out, uint64_t value, unsigned bytes)
{
    uint8_t *p = more(out, bytes);

    for (unsigned i = 0; p && i < bytes; i++, value >>= 8)
        p[i] = (uint8_t) value;
}

void tb_mysql_out_lenenc(struct tb_mysql_out *out, uint64_t value)
{
    unsigned bytes = value <= 0xffff ? 2 : value <= 0xffffff ? 3 : 8;

    if (value < 0xfb) {
        tb_mysql_out_number(out, value, 1);
        return;
    }
    tb_mysql_out_number(out, bytes == 2 ? 0xfc : bytes == 3 ? 0xfd : 0xfe, 1);
    tb_mysql_out_number(out, value, bytes);
}

void tb_mysql_out_zeros(struct tb_mysql_out *out, size_t len)
{
    uint8_t *p = more(out, len);

    if (p)
        memset(p, 0, len);
}

void tb_mysql_out_text(struct tb_mysql_out *out, const char *text, size_t len)
{
    tb_mysql_out_bytes(out, text, len);
    tb_mysql_out_number(out, 0, 1);
}

void tb_mysql_out_packets(struct tb_mysql_out *out, uint8_t seq, const void *payload, size_t len)
{
    const uint8_t *p = payload;
    size_t n;

    do { /* a payload of a multiple of the largest packet ends in an empty one */
        n = len < TB_MYSQL_PACKET_MAX ? len : TB_MYSQL_PACKET_MAX;
        tb_mysql_out_number(out, n, 3);
        tb_mysql_out_number(out, seq++, 1);
        tb_mysql_out_bytes(out, p, n);
        p = n ? p + n : p;
        len -= n;
    } while (n == TB_MYSQL_PACKET_MAX);
}

void tb_mysql_out_empty(struct tb_mysql_out *out)
{
    out->len = 0;
    if (out->room > ROOM_KEPT)
        tb_mysql_out_fini(out);
}

void tb_mysql_out_fini(struct tb_mysql_out *out)
{
    tb_mysql_free(out->data);
    *out = (struct tb_mysql_out){0};
}
