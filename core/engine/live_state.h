/* SPDX-License-Identifier: BSD-2-Clause */
/* What live.c (sessions) and live_limits.c (how many of them) share. */
#ifndef TB_ENGINE_LIVE_STATE_H
#define TB_ENGINE_LIVE_STATE_H

#include "engine/live.h"
#include "engine/live_pair.h"
#include "engine/live_share.h"
#include "engine/worker.h"
#include "trace/fragment.h"

struct tb_live {
    const struct tb_live_config *config;
    struct tb_worker *w;
    struct tb_tap *tap;
    struct tb_flows flows;
    struct tb_trace trace; /* counts only */
    struct tb_fragments fragments;
    struct tb_follower follower;
    struct tb_live_user *users;
    struct tb_live_pairs pairs;
    struct tb_script *nobody; /* per transfer: what an empty slot plays */
    uint32_t *free;           /* ring of free slots, the one freed last at its end */
    uint32_t free_first, free_count;
    uint32_t fresh;          /* slots from here on were never used */
    uint32_t oldest, newest; /* taken slots in the order of their beginning */
    uint64_t look_us;
    struct tb_live_share share;
    uint64_t share_look_us, keep_up_us; /* not before */
    uint32_t backlog;                   /* of the tap, at the last look */
    bool sheds; /* there may be sessions beyond the share that are to be given up */
    bool is_over;
};

static inline struct tb_user *tb_live_slot_user(const struct tb_live *l, uint32_t slot)
{
    return &l->w->users[slot];
}

/* Bytes of all that is held for sessions, as -m counts them. */
uint64_t tb_live_memory(const struct tb_live *l);
/* Give up the oldest sessions that are not played up to now; then the oldest of all. */
void tb_live_keep_memory(struct tb_live *l);
/* More passes by than is played in time: some sessions are given up, before packets of all of them
 * are missed. Now and then. */
void tb_live_keep_up(struct tb_live *l);

#endif
