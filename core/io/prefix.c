/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address ranges and prefixes; see prefix.h.
 */
#include "io/prefix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const char *tb_prefix_format(const struct tb_prefix *p, char buf[TB_PREFIX_TEXT])
{
    char text[TB_ADDR_TEXT];
    snprintf(buf, TB_PREFIX_TEXT, "%s/%u", tb_addr_format(&p->addr, text), tb_prefix_len(p));
    return buf;
}

static int addr_cmp(const struct tb_addr *a, const struct tb_addr *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

struct tb_addr tb_range_last(const struct tb_io_range *r)
{
    uint64_t low = tb_addr_low32(&r->first);
    uint64_t last = low + r->count - 1;
    if (last > UINT32_MAX)
        last = UINT32_MAX;
    return tb_addr_plus(r->first, (uint32_t) (last - low));
}

static struct tb_addr prefix_last(const struct tb_prefix *p)
{
    struct tb_addr last = p->addr;
    for (unsigned bit = p->bits; bit < 128; bit++)
        last.b[bit / 8] |= (uint8_t) (0x80 >> bit % 8);
    return last;
}

bool tb_range_contains(const struct tb_io_range *r, const struct tb_addr *a)
{
    struct tb_addr last = tb_range_last(r);
    return r->count && addr_cmp(&r->first, a) <= 0 && addr_cmp(a, &last) <= 0;
}

bool tb_range_overlaps(const struct tb_io_range *r, const struct tb_prefix *p)
{
    if (r->count == 0 || tb_addr_is_v4(&r->first) != tb_addr_is_v4(&p->addr))
        return false;
    struct tb_addr range_last = tb_range_last(r), last = prefix_last(p);
    return addr_cmp(&r->first, &last) <= 0 && addr_cmp(&p->addr, &range_last) <= 0;
}

static int range_cmp(const void *a, const void *b)
{
    return addr_cmp(&((const struct tb_io_range *) a)->first,
                    &((const struct tb_io_range *) b)->first);
}

uint32_t tb_ranges_merge(const struct tb_io_range *ranges, uint32_t count, struct tb_io_range *out)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (ranges[i].count)
            out[used++] = ranges[i];
    }
    qsort(out, used, sizeof *out, range_cmp);
    uint32_t n = 0;
    for (uint32_t i = 0; i < used; i++) {
        struct tb_io_range *before = n ? &out[n - 1] : NULL;
        uint64_t low = tb_addr_low32(&out[i].first);
        struct tb_addr last = tb_range_last(&out[i]);
        uint64_t end = (uint64_t) tb_addr_low32(&last) + 1;
        if (!before || memcmp(before->first.b, out[i].first.b, 12) != 0 ||
            low > (uint64_t) tb_addr_low32(&before->first) + before->count) {
            out[n++] = (struct tb_io_range){out[i].first, end - low};
            continue;
        }
        uint64_t joined = end - tb_addr_low32(&before->first);
        if (joined > before->count)
            before->count = joined;
    }
    return n;
}

/* Cut the largest aligned block off the beginning of a range that is not empty. */
static struct tb_prefix range_cut(struct tb_io_range *left)
{
    uint32_t low = tb_addr_low32(&left->first);
    unsigned host_bits = 0;
    while (host_bits < 32 && !(low >> host_bits & 1) && left->count >> (host_bits + 1))
        host_bits++;
    struct tb_prefix p = {left->first, (uint8_t) (128 - host_bits)};
    uint64_t size = (uint64_t) 1 << host_bits;
    left->first = tb_addr_plus(left->first, (uint32_t) size);
    left->count -= size;
    return p;
}

int tb_ranges_prefixes(const struct tb_io_range *ranges, uint32_t count, struct tb_prefix **out)
{
    enum { MOST_PER_RANGE = 62 }; /* 1 … 2^32 - 2, one of each size up and down */
    struct tb_io_range *merged = calloc(count + 1, sizeof *merged);
    struct tb_prefix *prefixes = calloc((size_t) count * MOST_PER_RANGE + 1, sizeof *prefixes);
    if (!merged || !prefixes) {
        free(merged);
        free(prefixes);
        return -ENOMEM;
    }
    uint32_t ranges_left = tb_ranges_merge(ranges, count, merged);
    int n = 0;
    for (uint32_t i = 0; i < ranges_left; i++) {
        while (merged[i].count)
            prefixes[n++] = range_cut(&merged[i]);
    }
    free(merged);
    *out = prefixes;
    return n;
}
