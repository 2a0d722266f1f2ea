/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose is a packet? Two tables for relay/server: address ranges, sorted, searched by halving; and
 * sessions (address and port), hashed. Both map to numbers the server gives. No locks: the server
 * sees to it that nobody reads what it changes.
 */
#ifndef TB_RELAY_ROUTE_H
#define TB_RELAY_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/addr.h"
#include "relay/frame.h"

#define TB_ROUTE_NOBODY UINT32_MAX

/* --- ranges ----------------------------------------------------------------------------------- */

/* Addresses `first` to `last` of the last 64 bits, whose first 64 bits are `high`. */
struct tb_route_span {
    uint64_t high, first, last;
    uint32_t owner;
};

/* Sorted; no two spans overlap. Zeroes are an empty table. */
struct tb_route_table {
    struct tb_route_span *spans;
    uint32_t count;
};

void tb_route_fini(struct tb_route_table *t);
/* Add ranges of `owner`, which may overlap each other but (tb_route_overlap()) nobody else's.
 * 0 or -ENOMEM, then nothing was added. */
int tb_route_add(struct tb_route_table *t, const struct tb_relay_range *ranges, uint32_t count,
                 uint32_t owner);
void tb_route_remove(struct tb_route_table *t, uint32_t owner);
/* The owner of an address that is in one of the ranges; the range's index goes to `which`. */
uint32_t tb_route_overlap(const struct tb_route_table *t, const struct tb_relay_range *ranges,
                          uint32_t count, uint32_t *which);
uint32_t tb_route_find(const struct tb_route_table *t, const struct tb_addr *addr);
/* All ranges, neighbours joined whosever they are, into out[t->count]; their number. */
uint32_t tb_route_ranges(const struct tb_route_table *t, struct tb_relay_range *out);

/* --- sessions --------------------------------------------------------------------------------- */

/* Open addressing with linear probing; at most half full. Zeroes are an empty table. */
struct tb_sessions {
    struct tb_session_slot *slots;
    uint32_t places; /* a power of two, or 0 */
    uint32_t count;
    uint8_t key[16]; /* of the hash: addresses come from strangers */
};

void tb_sessions_fini(struct tb_sessions *s);
/* Is there room for `more` sessions? Otherwise tb_sessions_copy() first. */
bool tb_sessions_has_room(const struct tb_sessions *s, uint32_t more);
/* A copy in `out` with room for `more`. 0 or -ENOMEM. */
int tb_sessions_copy(const struct tb_sessions *s, uint32_t more, struct tb_sessions *out);
/* There must be room. 0, or -EEXIST when it is somebody else's (it stays so). `owner` < 65535. */
int tb_sessions_put(struct tb_sessions *s, const struct tb_endpoint *session, uint32_t owner);
/* -ENOENT when it is not there or not the owner's. */
int tb_sessions_remove(struct tb_sessions *s, const struct tb_endpoint *session, uint32_t owner);
void tb_sessions_remove_all(struct tb_sessions *s, uint32_t owner);
uint32_t tb_sessions_find(const struct tb_sessions *s, const struct tb_addr *addr, uint16_t port);

#endif
