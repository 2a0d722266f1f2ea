/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets read and written by the simulator itself, so that core/packet is tested too. */
#include <string.h>
#include "sim.h"

static uint32_t be(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;

    while (n-- > 0)
        v = v << 8 | *p++;
    return v;
}

static void put(uint8_t *p, uint32_t v, unsigned n)
{
    while (n-- > 0) {
        p[n] = (uint8_t) v;
        v >>= 8;
    }
}

static uint32_t sum16(uint32_t sum, const uint8_t *p, uint32_t len)
{
    uint64_t wide = sum;

    for (; len >= 4; p += 4, len -= 4)
        wide += (uint32_t) (p[0] << 8 | p[1]) + (uint32_t) (p[2] << 8 | p[3]);
    if (len >= 2) {
        wide += (uint32_t) (p[0] << 8 | p[1]);
        p += 2;
        len -= 2;
    }
    if (len)
        wide += (uint32_t) p[0] << 8;
    while (wide >> 16)
        wide = (wide & 0xffff) + (wide >> 16);
    return (uint32_t) wide;
}

/* Folded sum of pseudo-header and segment: 0xffff when the checksum is right. */
static uint32_t tcp_sum(const uint8_t *p, uint32_t len)
{
    bool v6 = p[0] >> 4 == 6;
    uint32_t head = v6 ? 40 : 20, tcp = len - head;

    return sum16(sum16(6 + tcp, p + (v6 ? 8 : 12), v6 ? 32 : 8), p + head, tcp);
}

void wire_seal(uint8_t *p, uint32_t len)
{
    bool v6 = p[0] >> 4 == 6;
    uint8_t *t = p + (v6 ? 40 : 20);

    if (!v6) {
        put(p + 10, 0, 2);
        put(p + 10, ~sum16(0, p, 20), 2);
    }
    put(t + 16, 0, 2);
    put(t + 16, ~tcp_sum(p, len), 2);
}

static bool parse_option(struct seg *s, uint8_t kind, const uint8_t *o, unsigned len)
{
    switch (kind) {
    case 2:
        s->mss = (uint16_t) be(o, 2);
        return len == 2;
    case 3:
        s->wscale = (int8_t) o[0];
        return len == 1;
    case 4:
        s->sack_ok = true;
        return len == 0;
    case 5:
        for (; len >= 8 && s->sacks < 4; o += 8, len -= 8, s->sacks++) {
            s->sack[s->sacks][0] = be(o, 4);
            s->sack[s->sacks][1] = be(o + 4, 4);
        }
        return len == 0 && s->sacks > 0;
    case 8:
        s->has_ts = true;
        s->tsval = be(o, 4);
        s->tsecr = be(o + 4, 4);
        return len == 8;
    default:
        return false;
    }
}

/* False for anything that a decent client would not send. */
static bool parse_options(struct seg *s, const uint8_t *o, uint32_t len)
{
    while (len > 0 && o[0] != 0) {
        if (o[0] == 1) {
            o++;
            len--;
            continue;
        }
        if (len < 2 || o[1] < 2 || o[1] > len || !parse_option(s, o[0], o + 2, o[1] - 2u))
            return false;
        len -= o[1];
        o += o[1];
    }
    return true;
}

bool wire_parse(const uint8_t *p, uint32_t len, struct seg *s)
{
    if (len < 40)
        return false;
    bool v6 = p[0] >> 4 == 6;
    uint32_t head = v6 ? 40 : 20;

    memset(s, 0, sizeof *s);
    s->v6 = v6;
    s->wscale = -1;
    if ((!v6 && (p[0] != 0x45 || be(p + 2, 2) != len || p[9] != 6)) ||
        (v6 && (len < 60 || be(p + 4, 2) != len - 40 || p[6] != 6)))
        return false;
    s->src = be(p + (v6 ? 20 : 12), 4);
    s->dst = be(p + (v6 ? 36 : 16), 4);
    const uint8_t *t = p + head;
    uint32_t tcp_head = (t[12] >> 4) * 4u;
    if (tcp_head < 20 || head + tcp_head > len || !parse_options(s, t + 20, tcp_head - 20))
        return false;
    s->sport = (uint16_t) be(t, 2);
    s->dport = (uint16_t) be(t + 2, 2);
    s->seq = be(t + 4, 4);
    s->ack = be(t + 8, 4);
    s->flags = t[13];
    s->window = (uint16_t) be(t + 14, 2);
    s->payload = t + tcp_head;
    s->len = len - head - tcp_head;
    s->ip_bytes = len;
    s->checksum_ok = tcp_sum(p, len) == 0xffff && (v6 || sum16(0, p, 20) == 0xffff);
    return true;
}

static uint8_t *put_options(uint8_t *o, const struct seg *s)
{
    if (s->mss) {
        memcpy(o, (const uint8_t[]){2, 4, (uint8_t) (s->mss >> 8), (uint8_t) s->mss}, 4);
        o += 4;
    }
    if (s->wscale >= 0) {
        memcpy(o, (const uint8_t[]){3, 3, (uint8_t) s->wscale, 1}, 4);
        o += 4;
    }
    if (s->sack_ok) {
        memcpy(o, (const uint8_t[]){4, 2, 1, 1}, 4);
        o += 4;
    }
    if (s->has_ts) {
        memcpy(o, (const uint8_t[]){1, 1, 8, 10}, 4);
        put(o + 4, s->tsval, 4);
        put(o + 8, s->tsecr, 4);
        o += 12;
    }
    if (s->sacks) {
        memcpy(o, (const uint8_t[]){1, 1, 5, (uint8_t) (2 + 8 * s->sacks)}, 4);
        o += 4;
        for (unsigned i = 0; i < s->sacks; i++, o += 8) {
            put(o, s->sack[i][0], 4);
            put(o + 4, s->sack[i][1], 4);
        }
    }
    return o;
}

uint32_t wire_build(uint8_t *p, const struct seg *s, const struct tb_addr *src,
                    const struct tb_addr *dst)
{
    bool v6 = !tb_addr_is_v4(src);
    uint8_t *t = p + (v6 ? 40 : 20);
    uint8_t *end = put_options(t + 20, s);
    uint32_t tcp_head = (uint32_t) (end - t);
    uint32_t len = (uint32_t) (t - p) + tcp_head + s->len;

    memset(p, 0, (size_t) (t - p) + 20);
    if (v6) {
        p[0] = 0x60;
        put(p + 4, len - 40, 2);
        p[6] = 6;
        p[7] = 63;
        memcpy(p + 8, src->b, 16);
        memcpy(p + 24, dst->b, 16);
    } else {
        p[0] = 0x45;
        put(p + 2, len, 2);
        p[8] = 63;
        p[9] = 6;
        memcpy(p + 12, src->b + 12, 4);
        memcpy(p + 16, dst->b + 12, 4);
    }
    put(t, s->sport, 2);
    put(t + 2, s->dport, 2);
    put(t + 4, s->seq, 4);
    put(t + 8, s->ack, 4);
    t[12] = (uint8_t) (tcp_head / 4 << 4);
    t[13] = s->flags;
    put(t + 14, s->window, 2);
    if (s->len)
        memcpy(end, s->payload, s->len);
    wire_seal(p, len);
    return len;
}

/* --- ranges ----------------------------------------------------------------------------------- */

bool ranges_add(struct ranges *set, uint64_t from, uint64_t to)
{
    unsigned kept = 0;
    struct ranges out = {0};
    bool placed = false;

    for (unsigned i = 0; i < set->n; i++) {
        if (set->r[i].to < from || set->r[i].from > to)
            continue;
        from = set->r[i].from < from ? set->r[i].from : from;
        to = set->r[i].to > to ? set->r[i].to : to;
    }
    for (unsigned i = 0; i <= set->n; i++) {
        if (!placed && (i == set->n || set->r[i].from > to)) {
            if (kept == SIM_RANGES)
                return false;
            out.r[kept].from = from;
            out.r[kept++].to = to;
            placed = true;
        }
        if (i == set->n || (set->r[i].from >= from && set->r[i].to <= to))
            continue;
        if (kept == SIM_RANGES)
            return false;
        out.r[kept++] = set->r[i];
    }
    memcpy(set->r, out.r, kept * sizeof out.r[0]);
    set->n = kept;
    return true;
}

bool ranges_have(const struct ranges *set, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < set->n; i++)
        if (set->r[i].from <= from && to <= set->r[i].to)
            return true;
    return false;
}

uint64_t ranges_join(struct ranges *set, uint64_t at)
{
    unsigned gone = 0;

    while (gone < set->n && set->r[gone].from <= at) {
        if (set->r[gone].to > at)
            at = set->r[gone].to;
        gone++;
    }
    memmove(set->r, set->r + gone, (set->n - gone) * sizeof set->r[0]);
    set->n -= gone;
    return at;
}

void ranges_trim(struct ranges *set, uint64_t at)
{
    unsigned gone = 0;

    while (gone < set->n && set->r[gone].to <= at)
        gone++;
    memmove(set->r, set->r + gone, (set->n - gone) * sizeof set->r[0]);
    set->n -= gone;
    if (set->n > 0 && set->r[0].from < at)
        set->r[0].from = at;
}
