/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that are over, or of no interest, remembered so that their last packets are not taken
 * for new ones: a bounded number, the one seen least recently gives way. Used by flow.c.
 */
#ifndef TB_TRACE_ENDED_H
#define TB_TRACE_ENDED_H

#include <stdbool.h>
#include <stdint.h>
#include "base/pool.h"
#include "trace/table.h"

enum { TB_ENDED_MAX = 65536 };

struct tb_ended {
    struct tb_flow_key key;
    uint32_t newer, older; /* handles */
    uint32_t isn;          /* of the client */
    uint8_t client;        /* which endpoint of the key */
    bool has_isn;          /* its SYN was seen */
};

struct tb_ended_list {
    struct tb_pool pool;
    struct tb_table *table; /* shared with the flows */
    uint32_t newest, oldest;
};

void tb_ended_init(struct tb_ended_list *l, struct tb_table *table);
void tb_ended_fini(struct tb_ended_list *l);

/* References in the table: flows are even, ended connections odd. */
static inline bool tb_ended_is_ref(uint32_t ref)
{
    return ref & 1;
}
static inline struct tb_ended *tb_ended_at(const struct tb_ended_list *l, uint32_t ref)
{
    return tb_pool_at(&l->pool, ref >> 1);
}

/* Remember a connection that is not in the table; `e` without its links is copied. 0 or -ENOMEM. */
int tb_ended_add(struct tb_ended_list *l, uint32_t hash, const struct tb_ended *e);
/* It was seen again. */
void tb_ended_touch(struct tb_ended_list *l, uint32_t ref);
void tb_ended_remove(struct tb_ended_list *l, uint32_t hash, uint32_t ref);

#endif
