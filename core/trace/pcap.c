/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of the classic format (draft-ietf-opsawg-pcap), microseconds or nanoseconds, either byte
 * order. Behind capture.h. A damaged record header is followed by a search for the next place where
 * two records in a row make sense.
 */
#include <string.h>

#include "trace/capture.h"

enum { FILE_HEAD = 24, RECORD_HEAD = 16 };
/* A record found by searching is of the same capture: within a day of the last one. */
enum { SEARCH_SECONDS = 86400 };

struct record_head {
    uint32_t seconds, fraction, len, original;
};

static struct record_head parse_head(const struct tb_capture *c, const uint8_t *data)
{
    struct tb_cursor cur = tb_cursor_init(data, RECORD_HEAD);
    struct record_head h;
    h.seconds = tb_capture_u32(c, &cur);
    h.fraction = tb_capture_u32(c, &cur);
    h.len = tb_capture_u32(c, &cur);
    h.original = tb_capture_u32(c, &cur);
    return h;
}

static bool is_possible(const struct tb_capture *c, const struct record_head *h)
{
    return h->len <= TB_RECORD_MAX && h->fraction < (c->nanoseconds ? 1000000000u : 1000000u);
}

static bool is_likely(const struct tb_capture *c, const struct record_head *h)
{
    if (!is_possible(c, h) || h->len == 0 || h->original < h->len || h->original > TB_RECORD_MAX)
        return false;
    if (c->records == 0)
        return true;
    int64_t distance = (int64_t) h->seconds - (int64_t) (c->last_us / 1000000);
    return distance >= -SEARCH_SECONDS && distance <= SEARCH_SECONDS;
}

/* Is there a record at data[0, avail) that ends with the file or is followed by another one? */
static bool is_record(const struct tb_capture *c, const uint8_t *data, size_t avail, bool whole)
{
    struct record_head h = parse_head(c, data);
    if (!is_likely(c, &h))
        return false;
    size_t behind = RECORD_HEAD + (size_t) h.len;
    if (avail < behind + RECORD_HEAD)
        return whole && avail == behind;
    h = parse_head(c, data + behind);
    return is_likely(c, &h);
}

/* Move to the next record after damage; false when there is none. */
static bool search(struct tb_capture *c)
{
    enum { SPAN = TB_RECORD_MAX + 2 * RECORD_HEAD };
    const uint8_t *data;
    tb_reader_consume(&c->reader, 1);
    for (;;) {
        size_t avail = tb_reader_fill(&c->reader, TB_READER_PEEK_MAX, &data);
        bool whole = c->reader.at_end;
        size_t last = whole ? avail : avail - SPAN;
        size_t at = 0;
        while (at < last && avail - at >= RECORD_HEAD) {
            if (is_record(c, data + at, avail - at, whole)) {
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

/* A head that is odd in itself and leads to nonsense is damage; one that merely leads to nonsense
 * is followed by damage. */
static bool leads_on(struct tb_capture *c, const struct record_head *h)
{
    const uint8_t *data;
    size_t behind = RECORD_HEAD + (size_t) h->len;
    if (is_likely(c, h) ||
        tb_reader_peek(&c->reader, behind + RECORD_HEAD, &data) < behind + RECORD_HEAD)
        return true;
    struct record_head next = parse_head(c, data + behind);
    return is_possible(c, &next);
}

static bool pcap_next(struct tb_capture *c, struct tb_record *r)
{
    for (;;) {
        const uint8_t *data;
        size_t avail = tb_reader_peek(&c->reader, RECORD_HEAD, &data);
        if (avail < RECORD_HEAD) {
            c->cut_short = avail > 0;
            return false;
        }
        struct record_head h = parse_head(c, data);
        if (is_possible(c, &h) && leads_on(c, &h)) {
            size_t len = RECORD_HEAD + (size_t) h.len;
            if (tb_reader_peek(&c->reader, len, &data) >= len) {
                r->len = h.len;
                r->original = h.original < h.len ? h.len : h.original;
                r->time_us = (uint64_t) h.seconds * 1000000 +
                             (c->nanoseconds ? h.fraction / 1000 : h.fraction);
                r->linktype = c->linktype;
                r->data = data + RECORD_HEAD;
                c->last_us = r->time_us;
                c->records++;
                tb_reader_consume(&c->reader, len);
                return true;
            }
        }
        if (!search(c)) {
            c->cut_short = true;
            return false;
        }
    }
}

bool tb_pcap_begin(struct tb_capture *c)
{
    enum { MAGIC_US = 0xa1b2c3d4, MAGIC_NS = 0xa1b23c4d };
    const uint8_t *data;
    if (tb_reader_peek(&c->reader, FILE_HEAD, &data) < FILE_HEAD)
        return false;
    struct tb_cursor cur = tb_cursor_init(data, FILE_HEAD);
    uint32_t magic = tb_cursor_le32(&cur);
    c->big_endian = magic == __builtin_bswap32(MAGIC_US) || magic == __builtin_bswap32(MAGIC_NS);
    if (c->big_endian)
        magic = __builtin_bswap32(magic);
    if (magic != MAGIC_US && magic != MAGIC_NS)
        return false;
    c->nanoseconds = magic == MAGIC_NS;
    tb_cursor_skip(&cur, 16); /* version, two unused fields, snapshot length */
    /* The upper bits tell of frame check sequences, which lie behind the IP packet anyway. */
    c->linktype = tb_capture_u32(c, &cur) & 0xffff;
    tb_reader_consume(&c->reader, FILE_HEAD);
    c->next = pcap_next;
    return true;
}
