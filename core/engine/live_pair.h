/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client addresses and ports of live sessions: which a session may have, and whose they are.
 * Used by live.c only; as plan.c is for planned users. No two sessions ever have the same pair and
 * target: where the captured port is taken (a replica, or a session that is still being played),
 * another port of the same address is.
 */
#ifndef TB_ENGINE_LIVE_PAIR_H
#define TB_ENGINE_LIVE_PAIR_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/addr.h"
#include "trace/script.h"
#include "trace/table.h"

struct tb_live_config;
struct tb_live_user;

struct tb_live_pair {
    struct tb_addr addr;
    uint16_t port;
};

struct tb_live_pairs {
    const struct tb_live_config *config;
    const struct tb_live_user *users; /* the keys are theirs */
    struct tb_table table;
    uint64_t next[2]; /* of the client ranges of a family: the pair to try next */
};

/* 0 or -ENOMEM; fini in either case. */
int tb_live_pairs_init(struct tb_live_pairs *p, const struct tb_live_config *config,
                       const struct tb_live_user *users);
void tb_live_pairs_fini(struct tb_live_pairs *p);

/* The `nth` pair, from 0, that a session may have; false when there are no more to try. */
bool tb_live_pairs_try(struct tb_live_pairs *p, const struct tb_script *s,
                       const struct tb_endpoint *target, uint32_t nth, struct tb_live_pair *out);

/* The slot with this pair and target, or TB_LIVE_NOBODY. */
uint32_t tb_live_pairs_find(const struct tb_live_pairs *p, const struct tb_flow_key *key);
/* By the key of the slot, which must not change in between. 0 or -ENOMEM. */
int tb_live_pairs_add(struct tb_live_pairs *p, uint32_t slot);
void tb_live_pairs_remove(struct tb_live_pairs *p, uint32_t slot);

#endif
