/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash table from connection (both endpoints, in either direction) to a 32-bit reference. Open
 * addressing with linear probing, 8 bytes a slot, grows; deletion leaves nothing behind. The keys
 * stay with their owner. Used by flow.c.
 */
#ifndef TB_TRACE_TABLE_H
#define TB_TRACE_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/addr.h"

/* The endpoints of a connection, the lesser one first. */
struct tb_flow_key {
    struct tb_addr addr[2];
    uint16_t port[2];
};

struct tb_table_slot {
    uint32_t hash;
    uint32_t ref; /* 0: empty */
};

struct tb_table {
    struct tb_table_slot *slots;
    uint32_t mask, used;
    uint8_t seed[16]; /* so that nobody can build a capture of collisions */
    void *owner;
    const struct tb_flow_key *(*key_of)(const void *owner, uint32_t ref);
};

/* 0 or -ENOMEM. */
int tb_table_init(struct tb_table *t, void *owner,
                  const struct tb_flow_key *(*key_of)(const void *owner, uint32_t ref));
void tb_table_fini(struct tb_table *t);

/* Fill `key`; returns which of its endpoints the source is. */
int tb_flow_key_set(struct tb_flow_key *key, const struct tb_addr *src, uint16_t sport,
                    const struct tb_addr *dst, uint16_t dport);

uint32_t tb_table_hash(const struct tb_table *t, const struct tb_flow_key *key);
/* The reference of `key`, or 0. */
uint32_t tb_table_find(const struct tb_table *t, const struct tb_flow_key *key, uint32_t hash);
/* `key` must not be there. 0 or -ENOMEM. */
int tb_table_add(struct tb_table *t, uint32_t hash, uint32_t ref);
void tb_table_remove(struct tb_table *t, uint32_t hash, uint32_t ref);

#endif
