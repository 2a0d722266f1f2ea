/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the live sessions are copied; see live_share.h. */
#include "engine/live_share.h"

enum {
    ADMITTED_LEAST = 10, /* some are always asked, so that it is seen when there is time again */
    ADMITTED_STEP = 200, /* more per look while there is time */
    PATIENT_STEP = 20,   /* the same where only piles tell that there is none */
    SHED_PART = 16,      /* one in so many goes when there is none */
    OVER_FOR_LONG = 5    /* looks above max_cpu until running sessions go, too: a second */
};

static uint32_t place_of(const struct tb_addr *client, uint16_t port)
{
    return tb_steer_place(tb_addr_low32(client), port);
}

/* Places below it are wanted. */
static uint32_t wanted(const struct tb_live_share *s, uint64_t now_us)
{
    uint64_t run_us = now_us > s->begin_us ? now_us - s->begin_us : 0;
    uint32_t share = s->percent * (TB_STEER_PLACES / 100);

    return run_us >= s->ramp_us ? share : (uint32_t) (share * run_us / s->ramp_us);
}

static uint32_t allowed(const struct tb_live_share *s, uint64_t now_us)
{
    uint64_t most = (uint64_t) wanted(s, now_us) * s->admitted;

    return (uint32_t) ((most + TB_STEER_PLACES - 1) / TB_STEER_PLACES);
}

enum tb_live_share_answer tb_live_share_ask(const struct tb_live_share *s,
                                            const struct tb_addr *client, uint16_t port,
                                            uint64_t now_us)
{
    uint32_t place = place_of(client, port);

    if (place >= wanted(s, now_us))
        return TB_LIVE_SHARE_NOT_CHOSEN;
    return place < allowed(s, now_us) ? TB_LIVE_SHARE_TAKEN : TB_LIVE_SHARE_NO_TIME;
}

void tb_live_share_begin(struct tb_live_share *s, const struct tb_addr *client, uint16_t port)
{
    s->taken[tb_steer_group(place_of(client, port))]++;
}

void tb_live_share_end(struct tb_live_share *s, const struct tb_addr *client, uint16_t port)
{
    s->taken[tb_steer_group(place_of(client, port))]--;
}

bool tb_live_share_keeps(const struct tb_live_share *s, const struct tb_addr *client, uint16_t port,
                         uint64_t now_us)
{
    return place_of(client, port) < allowed(s, now_us);
}

static void admit(struct tb_live_share *s, double next)
{
    s->admitted = next > TB_STEER_PLACES  ? TB_STEER_PLACES
                  : next < ADMITTED_LEAST ? ADMITTED_LEAST
                                          : (uint32_t) next;
}

void tb_live_share_behind(struct tb_live_share *s)
{
    s->was_behind = true;
    uint32_t part = s->admitted / SHED_PART;
    admit(s, s->admitted - part);
}

bool tb_live_share_busy(struct tb_live_share *s, double share)
{
    bool was_behind = s->was_behind;
    double most = s->max_cpu;

    s->was_behind = false;
    s->over = most > 0 && share > most ? s->over + 1 : 0;
    if (s->over)
        admit(s, s->admitted * most / share);
    else if (!was_behind && (most <= 0 || share <= most * 0.9))
        admit(s, s->admitted + (most <= 0 ? PATIENT_STEP : ADMITTED_STEP));
    return s->over >= OVER_FOR_LONG;
}

uint32_t tb_live_share_look(struct tb_live_share *s, uint64_t now_us)
{
    uint32_t before = s->groups, most = allowed(s, now_us + 2 * TB_LIVE_SHARE_LOOK_US);

    s->groups = 0;
    for (uint32_t group = 0; group < TB_STEER_GROUPS; group++)
        if (s->taken[group] || tb_steer_group_first(group) < most)
            s->groups |= UINT32_C(1) << group;
    return s->groups | before;
}
