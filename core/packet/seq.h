/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequence number arithmetic (RFC 9293 §3.4): 32-bit numbers compared modulo 2^32. Nothing else
 * compares or moves sequence numbers.
 */
#ifndef TB_PACKET_SEQ_H
#define TB_PACKET_SEQ_H

#include <stdbool.h>
#include <stdint.h>

/* How far b lies behind a (negative: a is behind b); right while they are within 2^31. */
static inline int32_t tb_seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t) (a - b);
}
static inline bool tb_seq_lt(uint32_t a, uint32_t b)
{
    return tb_seq_diff(a, b) < 0;
}
static inline bool tb_seq_leq(uint32_t a, uint32_t b)
{
    return tb_seq_diff(a, b) <= 0;
}
static inline uint32_t tb_seq_add(uint32_t a, uint32_t n)
{
    return a + n;
}

/* The 64-bit stream position nearest to `near` whose low half, counted from `base`, is `seq`.
 * The one conversion between wire numbers and stream offsets: offset 0 is wire number `base`. */
static inline int64_t tb_seq_unwrap(uint32_t seq, uint32_t base, uint64_t near)
{
    return (int64_t) near + tb_seq_diff(seq - base, (uint32_t) near);
}
static inline uint32_t tb_seq_wrap(uint64_t offset, uint32_t base)
{
    return base + (uint32_t) offset;
}

#endif
