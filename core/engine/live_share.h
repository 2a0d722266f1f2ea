/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the live sessions are copied: the share that was asked for, or less while there is not
 * the time (max_cpu, or packets that pile up). By their client's place (io/backends.h), so that it
 * is always the same ones, and so that the kernel can leave out those whose packets nobody needs.
 * One per worker; used by live.c and live_limits.c.
 */
#ifndef TB_ENGINE_LIVE_SHARE_H
#define TB_ENGINE_LIVE_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include "io/backends.h"
#include "packet/addr.h"

struct tb_live_share {
    uint32_t percent;                /* of the sessions, 1 … 100 … */
    uint64_t ramp_us;                /* … reached after that … */
    uint64_t begin_us;               /* … from here on */
    double max_cpu;                  /* 1.0 is a core; 0: no limit */
    uint32_t admitted;               /* of the share, what there is time for; of TB_STEER_PLACES */
    bool was_behind;                 /* since the last tb_live_share_busy() */
    uint32_t over;                   /* of those in turn that told of more than max_cpu */
    uint32_t taken[TB_STEER_GROUPS]; /* sessions, by their client's group */
    uint32_t groups;                 /* that were open at the last look */
};

enum tb_live_share_answer {
    TB_LIVE_SHARE_TAKEN,
    TB_LIVE_SHARE_NOT_CHOSEN,
    TB_LIVE_SHARE_NO_TIME /* shed */
};

/* What is not named in `s` is zero. */
static inline void tb_live_share_init(struct tb_live_share *s)
{
    s->admitted = TB_STEER_PLACES;
}

/* What to do with a new session. */
enum tb_live_share_answer tb_live_share_ask(const struct tb_live_share *s,
                                            const struct tb_addr *client, uint16_t port,
                                            uint64_t now_us);

/* A session was taken, or needs no packets any more. */
void tb_live_share_begin(struct tb_live_share *s, const struct tb_addr *client, uint16_t port);
void tb_live_share_end(struct tb_live_share *s, const struct tb_addr *client, uint16_t port);

/* How busy the thread was of late (1.0: a core). True: leaving out new sessions has not been enough
 * for a while; running ones are to be held to the share, too, see tb_live_share_keeps(). */
bool tb_live_share_busy(struct tb_live_share *s, double share);
/* There was not the time to read what has passed: less is allowed from now on. */
void tb_live_share_behind(struct tb_live_share *s);
/* May a running session go on, by what is allowed now? */
bool tb_live_share_keeps(const struct tb_live_share *s, const struct tb_addr *client, uint16_t port,
                         uint64_t now_us);

enum { TB_LIVE_SHARE_LOOK_US = 200000 };

/* The groups of clients some of whose packets may be needed until the next look, which is to be
 * within TB_LIVE_SHARE_LOOK_US, and after each tb_live_share_busy(). Bit by bit, for
 * tb_tap_groups(). A group that is not needed any more is among them once more: there may be
 * sessions that were allowed, and whose server has not answered yet. */
uint32_t tb_live_share_look(struct tb_live_share *s, uint64_t now_us);

#endif
