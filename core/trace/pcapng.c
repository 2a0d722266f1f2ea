/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of pcapng files (draft-ietf-opsawg-pcapng): several sections of either byte order,
 * interfaces of different link types and clocks; enhanced, simple and old packet blocks. Behind
 * capture.h. Block types we do not need are passed over.
 */
#include <stdlib.h>
#include <string.h>

#include "trace/capture.h"

enum block_type {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 2, /* obsolete */
    BLOCK_SIMPLE = 3,
    BLOCK_STATISTICS = 5,
    BLOCK_ENHANCED = 6
};

enum {
    BLOCK_HEAD = 8,   /* type and total length; the total length is repeated at the end */
    BLOCK_FRAME = 12, /* both */
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    OPTION_TSRESOL = 9,
    OPTION_TSOFFSET = 14,
    /* The longest block with a packet in it, options included. */
    PACKET_BLOCK_MAX = TB_RECORD_MAX + 2048
};

/* Raw time of a packet to microseconds since 1970. */
static uint64_t to_us(const struct tb_capture_if *itf, uint64_t raw)
{
    unsigned exponent = itf->resolution & 0x7f;
    unsigned __int128 us = 0;
    if (itf->resolution & 0x80) {
        us = exponent > 63 ? 0 : ((unsigned __int128) raw * 1000000) >> exponent;
    } else if (exponent <= 6) {
        us = raw;
        for (unsigned i = exponent; i < 6; i++)
            us *= 10;
    } else if (exponent <= 25) {
        us = raw;
        for (unsigned i = 6; i < exponent; i++)
            us /= 10;
    }
    __int128 shifted = (__int128) us + (__int128) itf->offset_s * 1000000;
    if (shifted < 0)
        return 0;
    return shifted > INT64_MAX ? (uint64_t) INT64_MAX : (uint64_t) shifted;
}

/* Forget the interfaces of the section before, and take over the new one's byte order. */
static bool begin_section(struct tb_capture *c, struct tb_cursor body)
{
    uint32_t magic = tb_cursor_le32(&body);
    if (magic != BYTE_ORDER_MAGIC && magic != __builtin_bswap32(BYTE_ORDER_MAGIC))
        return false;
    c->big_endian = magic != BYTE_ORDER_MAGIC;
    c->interface_count = 0;
    return true;
}

static void read_interface_options(const struct tb_capture *c, struct tb_cursor *body,
                                   struct tb_capture_if *itf)
{
    while (tb_cursor_left(body) >= 4) {
        uint16_t code = tb_capture_u16(c, body);
        uint16_t len = tb_capture_u16(c, body);
        const uint8_t *value = tb_cursor_bytes(body, len);
        if (code == 0 || !value)
            return;
        struct tb_cursor cur = tb_cursor_init(value, len);
        if (code == OPTION_TSRESOL && len >= 1)
            itf->resolution = tb_cursor_u8(&cur);
        if (code == OPTION_TSOFFSET && len >= 8) {
            uint32_t first = tb_capture_u32(c, &cur), second = tb_capture_u32(c, &cur);
            itf->offset_s = (int64_t) (c->big_endian ? (uint64_t) first << 32 | second
                                                     : (uint64_t) second << 32 | first);
        }
        tb_cursor_skip(body, (4 - (len & 3)) & 3);
    }
}

static void add_interface(struct tb_capture *c, struct tb_cursor body)
{
    struct tb_capture_if itf = {.resolution = 6};
    itf.linktype = tb_capture_u16(c, &body);
    tb_cursor_skip(&body, 2);
    itf.snaplen = tb_capture_u32(c, &body);
    read_interface_options(c, &body, &itf);
    if (c->interface_count == TB_CAPTURE_INTERFACES)
        return;
    if (c->interface_count == c->interface_room) {
        uint32_t room = c->interface_room ? c->interface_room * 2 : 8;
        struct tb_capture_if *p = realloc(c->interfaces, room * sizeof *p);
        if (!p) {
            c->out_of_memory = true;
            return;
        }
        c->interfaces = p;
        c->interface_room = room;
    }
    c->interfaces[c->interface_count++] = itf;
}

/* The packet in a block of one of the three types; false when there is none. */
static bool read_packet(struct tb_capture *c, enum block_type type, struct tb_cursor body,
                        struct tb_record *r)
{
    uint32_t id = 0;
    uint64_t raw = 0;
    if (type == BLOCK_ENHANCED) {
        id = tb_capture_u32(c, &body);
    } else if (type == BLOCK_PACKET) {
        id = tb_capture_u16(c, &body);
        tb_cursor_skip(&body, 2); /* drops */
    }
    if (id >= c->interface_count)
        return false;
    const struct tb_capture_if *itf = &c->interfaces[id];
    if (type == BLOCK_SIMPLE) {
        r->original = tb_capture_u32(c, &body);
        r->len = (uint32_t) tb_cursor_left(&body); /* padded */
        if (r->len > r->original)
            r->len = r->original;
        if (itf->snaplen != 0 && r->len > itf->snaplen)
            r->len = itf->snaplen;
        r->time_us = c->last_us;
    } else {
        raw = (uint64_t) tb_capture_u32(c, &body) << 32;
        raw |= tb_capture_u32(c, &body);
        r->len = tb_capture_u32(c, &body);
        r->original = tb_capture_u32(c, &body);
        if (r->original < r->len)
            r->original = r->len;
        r->time_us = to_us(itf, raw);
    }
    r->data = tb_cursor_bytes(&body, r->len);
    r->linktype = itf->linktype;
    if (body.failed || r->len > TB_RECORD_MAX)
        return false;
    c->last_us = r->time_us;
    return true;
}

/* Total length of the block whose head is at `data`, or 0 when it cannot be one. */
static uint32_t block_len(const struct tb_capture *c, const uint8_t *data, uint32_t *type)
{
    struct tb_cursor cur = tb_cursor_init(data, BLOCK_HEAD + 4);
    *type = tb_capture_u32(c, &cur);
    uint32_t len = tb_capture_u32(c, &cur);
    if (*type == BLOCK_SECTION) { /* reads the same in both byte orders; its length does not */
        uint32_t magic = tb_cursor_le32(&cur);
        if (magic != BYTE_ORDER_MAGIC && magic != __builtin_bswap32(BYTE_ORDER_MAGIC))
            return 0;
        if ((magic != BYTE_ORDER_MAGIC) != c->big_endian)
            len = __builtin_bswap32(len);
    }
    return len < BLOCK_FRAME || len % 4 != 0 ? 0 : len;
}

/* Is a block of a known type at data[0, avail), its two lengths equal? */
static bool is_block(const struct tb_capture *c, const uint8_t *data, size_t avail)
{
    uint32_t type;
    uint32_t len = block_len(c, data, &type);
    if (len == 0 || len > avail)
        return false;
    if (type != BLOCK_SECTION && (type < BLOCK_INTERFACE || type > BLOCK_ENHANCED))
        return false;
    return memcmp(data + 4, data + len - 4, 4) == 0;
}

/* Move to the next block after damage; false when there is none. */
static bool search(struct tb_capture *c)
{
    const uint8_t *data;
    tb_reader_consume(&c->reader, 1);
    for (;;) {
        size_t avail = tb_reader_fill(&c->reader, TB_READER_PEEK_MAX, &data);
        bool whole = c->reader.at_end;
        size_t last = whole ? avail : avail - PACKET_BLOCK_MAX;
        size_t at = 0;
        while (at < last && avail - at >= BLOCK_FRAME) {
            if (is_block(c, data + at, avail - at)) {
                tb_reader_consume(&c->reader, at);
                c->damaged++;
                return true;
            }
            at++;
        }
        tb_reader_consume(&c->reader, at);
        if (whole)
            return false;
    }
}

/* Look at one whole block; true when it gave a packet. */
static bool take_block(struct tb_capture *c, uint32_t type, const uint8_t *data, uint32_t len,
                       struct tb_record *r)
{
    struct tb_cursor body = tb_cursor_init(data + BLOCK_HEAD, len - BLOCK_FRAME);
    switch (type) {
    case BLOCK_SECTION:
        begin_section(c, body);
        return false;
    case BLOCK_INTERFACE:
        add_interface(c, body);
        return false;
    case BLOCK_ENHANCED:
    case BLOCK_SIMPLE:
    case BLOCK_PACKET:
        if (read_packet(c, type, body, r))
            return true;
        c->damaged++;
        return false;
    default:
        return false;
    }
}

static bool pcapng_next(struct tb_capture *c, struct tb_record *r)
{
    for (;;) {
        const uint8_t *data;
        uint32_t type;
        size_t avail = tb_reader_peek(&c->reader, BLOCK_FRAME, &data);
        if (avail < BLOCK_FRAME) {
            c->cut_short = avail > 0;
            return false;
        }
        uint32_t len = block_len(c, data, &type);
        if (len != 0 && len <= PACKET_BLOCK_MAX && tb_reader_peek(&c->reader, len, &data) >= len &&
            memcmp(data + 4, data + len - 4, 4) == 0) {
            bool found = take_block(c, type, data, len, r);
            tb_reader_consume(&c->reader, len);
            if (found) {
                c->records++;
                return true;
            }
        } else if (!search(c)) {
            c->cut_short = true;
            return false;
        }
    }
}

bool tb_pcapng_begin(struct tb_capture *c)
{
    const uint8_t *data;
    uint32_t type;
    if (tb_reader_peek(&c->reader, BLOCK_FRAME, &data) < BLOCK_FRAME)
        return false;
    if (block_len(c, data, &type) == 0 || type != BLOCK_SECTION)
        return false;
    c->next = pcapng_next;
    return true;
}
