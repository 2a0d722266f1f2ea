/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Histogram (base/histogram.h): what is done once per report. Recording is inline in the header.
 */
#include "base/histogram.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

static uint64_t lower(unsigned index)
{
    return index == 0 ? 0 : tb_histogram_upper(index - 1) + 1;
}

uint64_t tb_histogram_upper(unsigned index)
{
    if (index >= TB_HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    if (index < 1u << TB_HISTOGRAM_SUB_BITS)
        return index;
    unsigned shift = (index >> TB_HISTOGRAM_SUB_BITS) - 1;
    uint64_t sub = index & ((1u << TB_HISTOGRAM_SUB_BITS) - 1);
    return (((1u << TB_HISTOGRAM_SUB_BITS) + sub + 1) << shift) - 1;
}

void tb_histogram_merge(struct tb_histogram *into, const struct tb_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < TB_HISTOGRAM_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

void tb_histogram_diff(struct tb_histogram *into, const struct tb_histogram *later,
                       const struct tb_histogram *earlier)
{
    memset(into, 0, sizeof *into);
    into->sum = later->sum - earlier->sum;
    bool found = false;
    for (unsigned i = 0; i < TB_HISTOGRAM_BUCKETS; i++) {
        uint64_t n = later->bucket[i] - earlier->bucket[i];
        if (n == 0)
            continue;
        into->bucket[i] = n;
        into->count += n;
        if (!found)
            into->min = lower(i);
        into->max = tb_histogram_upper(i);
        found = true;
    }
    if (!found)
        return;
    /* The bounds of the whole are bounds of the part too. */
    if (into->min < later->min)
        into->min = later->min;
    if (into->max > later->max)
        into->max = later->max;
}

uint64_t tb_histogram_quantile(const struct tb_histogram *h, double fraction)
{
    if (h->count == 0)
        return 0;
    if (!(fraction > 0))
        return h->min;
    if (fraction >= 1)
        return h->max;
    uint64_t rank = (uint64_t) ceil(fraction * (double) h->count);
    uint64_t seen = 0;
    for (unsigned i = 0; i < TB_HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen < rank)
            continue;
        uint64_t value = tb_histogram_upper(i);
        if (value > h->max)
            return h->max;
        return value < h->min ? h->min : value;
    }
    return h->max;
}
