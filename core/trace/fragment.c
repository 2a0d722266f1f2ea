/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See fragment.h. A datagram is a buffer and a bitmap of 8-byte units, the granularity of fragment
 * offsets.
 */
#include "trace/fragment.h"

#include <stdlib.h>
#include <string.h>

enum { UNIT = 8 };

void tb_fragments_fini(struct tb_fragments *f)
{
    for (uint32_t i = 0; i < TB_FRAGMENT_DATAGRAMS; i++)
        free(f->at[i].data);
    memset(f, 0, sizeof *f);
}

/* Make an entry free, or new for `ip`; it keeps its buffer. */
static void reset(struct tb_fragment_datagram *d)
{
    uint8_t *data = d->data;
    uint32_t room = d->room;
    memset(d, 0, sizeof *d);
    d->data = data;
    d->room = room;
}

/* The datagram of `ip`, begun when there is none. */
static struct tb_fragment_datagram *find(struct tb_fragments *f, const struct tb_ip *ip,
                                         uint64_t time_us)
{
    struct tb_fragment_datagram *oldest = &f->at[0];
    for (uint32_t i = 0; i < TB_FRAGMENT_DATAGRAMS; i++) {
        struct tb_fragment_datagram *d = &f->at[i];
        if (d->used != 0 && d->id == ip->id && tb_addr_eq(&d->src, &ip->src) &&
            tb_addr_eq(&d->dst, &ip->dst)) {
            if (time_us < d->begin_us + TB_FRAGMENT_TIMEOUT_S * UINT64_C(1000000))
                return d;
            oldest = d; /* an old one whose identification came up again */
            break;
        }
        if (d->used < oldest->used)
            oldest = d;
    }
    f->dropped += oldest->used != 0;
    reset(oldest);
    oldest->src = ip->src;
    oldest->dst = ip->dst;
    oldest->id = ip->id;
    oldest->begin_us = time_us;
    oldest->used = ++f->arrivals;
    return oldest;
}

static bool make_room(struct tb_fragment_datagram *d, uint32_t end)
{
    if (end <= d->room)
        return true;
    uint32_t room = d->room ? d->room : 2048;
    while (room < end)
        room *= 2;
    uint8_t *p = realloc(d->data, room);
    if (!p)
        return false;
    d->data = p;
    d->room = room;
    return true;
}

/* Copy what is new. Units that the capture cut off count as come, but end what is whole. */
static void copy_units(struct tb_fragment_datagram *d, const struct tb_ip *ip)
{
    uint32_t begin = ip->fragment_offset;
    if (ip->payload_len < ip->payload_claimed && begin + ip->payload_len < d->whole)
        d->whole = begin + ip->payload_len;
    for (uint32_t at = 0; at < ip->payload_claimed; at += UNIT) {
        uint32_t unit = (begin + at) / UNIT;
        uint64_t bit = UINT64_C(1) << (unit % 64);
        if (d->have[unit / 64] & bit)
            continue;
        d->have[unit / 64] |= bit;
        d->units++;
        uint32_t n = at < ip->payload_len ? ip->payload_len - at : 0;
        if (n > UNIT)
            n = UNIT;
        memcpy(d->data + begin + at, ip->payload + at, n);
        memset(d->data + begin + at + n, 0, UNIT - n);
    }
}

static bool is_complete(const struct tb_fragment_datagram *d)
{
    uint32_t units = (d->total + UNIT - 1) / UNIT;
    if (d->total == 0 || d->units < units)
        return false;
    for (uint32_t unit = 0; unit < units; unit++)
        if (!(d->have[unit / 64] & UINT64_C(1) << (unit % 64)))
            return false;
    return true;
}

bool tb_fragments_add(struct tb_fragments *f, struct tb_ip *ip, uint64_t time_us)
{
    uint32_t end = ip->fragment_offset + ip->payload_claimed;
    if (ip->fragment_offset % UNIT != 0 || ip->fragment_offset >= TB_FRAGMENT_MAX ||
        end > TB_FRAGMENT_MAX || ip->payload_claimed == 0 ||
        (ip->more_fragments && ip->payload_claimed % UNIT != 0))
        return false;
    struct tb_fragment_datagram *d = find(f, ip, time_us);
    if (d->units == 0)
        d->whole = TB_FRAGMENT_MAX;
    if (!make_room(d, (end + UNIT - 1) / UNIT * UNIT))
        return false;
    copy_units(d, ip);
    if (!ip->more_fragments && d->total == 0)
        d->total = end;
    if (!is_complete(d))
        return false;
    ip->payload = d->data;
    ip->payload_claimed = d->total;
    ip->payload_len = d->whole < d->total ? d->whole : d->total;
    ip->more_fragments = false;
    ip->fragment_offset = 0;
    d->used = 0;
    return true;
}
