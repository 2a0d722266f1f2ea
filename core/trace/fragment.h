/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reassembly of IP fragments (RFC 791 §3.2, RFC 8200 §4.5), bounded in number and size. Used by
 * load.c before the TCP header is looked at. The first copy of a byte is kept.
 */
#ifndef TB_TRACE_FRAGMENT_H
#define TB_TRACE_FRAGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/view.h"

enum {
    TB_FRAGMENT_DATAGRAMS = 128, /* under reassembly at a time; the oldest gives way */
    TB_FRAGMENT_MAX = 65536,     /* bytes of one */
    TB_FRAGMENT_TIMEOUT_S = 30
};

struct tb_fragment_datagram {
    struct tb_addr src, dst;
    uint32_t id;
    uint64_t begin_us;
    uint64_t used;  /* order of arrival, 0: free */
    uint32_t total; /* payload bytes, 0: the last fragment has not come */
    uint32_t units; /* 8-byte units that have come */
    uint32_t whole; /* bytes present from the start on: less than total when cut by snaplen */
    uint32_t room;
    uint8_t *data;
    uint64_t have[TB_FRAGMENT_MAX / 8 / 64]; /* a bit for each unit */
};

struct tb_fragments {
    struct tb_fragment_datagram at[TB_FRAGMENT_DATAGRAMS];
    uint64_t arrivals;
    uint64_t dropped; /* datagrams given up */
};

/* Zeroed is empty. */
void tb_fragments_fini(struct tb_fragments *f);

/* Add fragment `ip`. True: its datagram is complete, *ip becomes the whole (pointing to memory
 * valid until the next call). */
bool tb_fragments_add(struct tb_fragments *f, struct tb_ip *ip, uint64_t time_us);

#endif
