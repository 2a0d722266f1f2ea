/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log-linear histogram of 64-bit values (microseconds everywhere here): 64 buckets per power of
 * two, so a percentile is right within 1.6 %. Recording is a few instructions, merging is adding;
 * one writer, no locks. About 15 KB: values of 2^36 µs (19 h) and more fall in the last bucket.
 */
#ifndef TB_BASE_HISTOGRAM_H
#define TB_BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    TB_HISTOGRAM_SUB_BITS = 6,
    TB_HISTOGRAM_MAX_BITS = 36,
    TB_HISTOGRAM_BUCKETS = (TB_HISTOGRAM_MAX_BITS - TB_HISTOGRAM_SUB_BITS + 1)
                           << TB_HISTOGRAM_SUB_BITS
};

/* All zero is an empty histogram. `min` is meaningful only when count > 0. */
struct tb_histogram {
    uint64_t count, sum, min, max;
    uint64_t bucket[TB_HISTOGRAM_BUCKETS];
};

/* The bucket a value falls in. Values below 64 have a bucket each. */
static inline unsigned tb_histogram_index(uint64_t value)
{
    if (value < (1u << TB_HISTOGRAM_SUB_BITS))
        return (unsigned) value;
    unsigned top = 63u - (unsigned) __builtin_clzll(value);
    if (top >= TB_HISTOGRAM_MAX_BITS)
        return TB_HISTOGRAM_BUCKETS - 1;
    unsigned shift = top - TB_HISTOGRAM_SUB_BITS;
    return ((shift + 1) << TB_HISTOGRAM_SUB_BITS) +
           (unsigned) ((value >> shift) & ((1u << TB_HISTOGRAM_SUB_BITS) - 1));
}

/* The largest value that falls in bucket `index`. */
uint64_t tb_histogram_upper(unsigned index);

static inline void tb_histogram_add(struct tb_histogram *h, uint64_t value)
{
    if (h->count++ == 0 || value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->sum += value;
    h->bucket[tb_histogram_index(value)]++;
}

void tb_histogram_merge(struct tb_histogram *into, const struct tb_histogram *from);

/* `into` becomes what was recorded between the two snapshots of one histogram (later minus
 * earlier); its min and max are bucket bounds, because exact ones are not known. */
void tb_histogram_diff(struct tb_histogram *into, const struct tb_histogram *later,
                       const struct tb_histogram *earlier);

/* The value at or below which `fraction` (0…1) of the recorded values lie; 0 when empty. Never
 * above max nor below min. */
uint64_t tb_histogram_quantile(const struct tb_histogram *h, double fraction);

#endif
