/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address ranges as routing and filters need them: merged, compared, and cut into prefixes.
 * Pure arithmetic, used by the back-ends when they are opened.
 */
#ifndef TB_IO_PREFIX_H
#define TB_IO_PREFIX_H

#include <stdbool.h>
#include <stdint.h>
#include "io/backends.h"
#include "packet/addr.h"

/* Addresses that share the first `bits` of 128; an IPv4 /24 has 120 (see addr.h). */
struct tb_prefix {
    struct tb_addr addr;
    uint8_t bits;
};

enum { TB_PREFIX_TEXT = TB_ADDR_TEXT + 4 };

/* Its length as people and the kernel count it: 0 … 32 for IPv4. */
static inline uint8_t tb_prefix_len(const struct tb_prefix *p)
{
    return tb_addr_is_v4(&p->addr) ? (uint8_t) (p->bits - 96) : p->bits;
}

/* "198.18.0.0/15"; returns buf. */
const char *tb_prefix_format(const struct tb_prefix *p, char buf[TB_PREFIX_TEXT]);

/* The range's last address. Ranges lie within the last 32 bits: one that would pass their end stops
 * there. */
struct tb_addr tb_range_last(const struct tb_io_range *r);

bool tb_range_contains(const struct tb_io_range *r, const struct tb_addr *a);
/* Do they share an address? Never true for different families. */
bool tb_range_overlaps(const struct tb_io_range *r, const struct tb_prefix *p);

/* Sorted copies of the ranges, with those that touch or overlap made one. At most `count` are
 * written to `out`; returns their number. */
uint32_t tb_ranges_merge(const struct tb_io_range *ranges, uint32_t count, struct tb_io_range *out);

/* The fewest prefixes that cover exactly the ranges, in `*out` (free() it). Their number, or
 * -ENOMEM. */
int tb_ranges_prefixes(const struct tb_io_range *ranges, uint32_t count, struct tb_prefix **out);

#endif
