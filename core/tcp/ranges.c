/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A few disjoint byte ranges in ascending order: what the peer has selectively acknowledged, and
 * what arrived out of order. Small fixed arrays: connections in recovery are few and short.
 */
#include "tcp/tcp.h"

#include <string.h>

bool tb_tcp_ranges_add(struct tb_tcp_ranges *r, uint64_t from, uint64_t to)
{
    uint32_t i = 0, j;

    while (i < r->count && r->range[i].to < from)
        i++;
    for (j = i; j < r->count && r->range[j].from <= to; j++) {
        if (r->range[j].from < from)
            from = r->range[j].from;
        if (r->range[j].to > to)
            to = r->range[j].to;
    }
    if (i == j) { /* touches none: make room */
        if (r->count == TB_TCP_RANGES)
            return false;
        memmove(&r->range[i + 1], &r->range[i], (r->count - i) * sizeof r->range[0]);
        r->count++;
    } else if (j - i > 1) {
        memmove(&r->range[i + 1], &r->range[j], (r->count - j) * sizeof r->range[0]);
        r->count -= j - i - 1;
    }
    r->range[i] = (struct tb_tcp_range){from, to};
    return true;
}

void tb_tcp_ranges_trim(struct tb_tcp_ranges *r, uint64_t offset)
{
    uint32_t i = 0;

    while (i < r->count && r->range[i].to <= offset)
        i++;
    memmove(&r->range[0], &r->range[i], (r->count - i) * sizeof r->range[0]);
    r->count -= i;
    if (r->count > 0 && r->range[0].from < offset)
        r->range[0].from = offset;
}

uint64_t tb_tcp_ranges_covered(const struct tb_tcp_ranges *r, uint64_t from, uint64_t to)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < r->count; i++) {
        uint64_t a = r->range[i].from > from ? r->range[i].from : from;
        uint64_t b = r->range[i].to < to ? r->range[i].to : to;
        if (a < b)
            sum += b - a;
    }
    return sum;
}

uint64_t tb_tcp_ranges_gap(const struct tb_tcp_ranges *r, uint64_t from, uint64_t *gap_end)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (from < r->range[i].from) {
            *gap_end = r->range[i].from;
            return from;
        }
        if (from < r->range[i].to)
            from = r->range[i].to;
    }
    *gap_end = UINT64_MAX;
    return from;
}
