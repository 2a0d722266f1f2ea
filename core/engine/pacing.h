/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When sessions start and requests are due: the one place that turns captured times and the rate
 * options into a schedule. Immutable; every worker computes the same one.
 *
 * Arrival k (k = 0, 1, …) is user k mod U for the (k / U)-th time. Without --topology it starts
 * when a clock of `rate` per second (ramping up linearly) has counted to k.
 */
#ifndef TB_ENGINE_PACING_H
#define TB_ENGINE_PACING_H

#include <stdbool.h>
#include <stdint.h>
#include "trace/script.h"

struct tb_pacing {
    double rate;     /* arrivals per second, > 0 */
    double ramp_us;  /* until the full rate is reached; 0: at once */
    double slowdown; /* captured times are multiplied by this: 1 / accelerate, 0: none */
    /* --topology: where each session starts within a round of all sessions, or NULL */
    uint64_t *session_us;
    uint32_t session_count;
    uint64_t users;
    uint64_t round_us;
};

struct tb_pacing_input {
    double rate, ramp_s;
    double accelerate; /* 0: no think times */
    bool topology;
    double topology_s;
    struct tb_script *const *sessions;
    uint32_t session_count;
    uint64_t users; /* 0: one per session */
};

/* 0 or -ENOMEM. */
int tb_pacing_init(struct tb_pacing *p, const struct tb_pacing_input *in);
void tb_pacing_fini(struct tb_pacing *p);

/* Microseconds from the start of the run at which arrival k is due; grows with k. */
uint64_t tb_pacing_start_us(const struct tb_pacing *p, uint64_t k);

/* A captured duration as it is to be played. */
static inline uint64_t tb_pacing_scale_us(const struct tb_pacing *p, uint64_t captured_us)
{
    if (p->slowdown == 1.0)
        return captured_us;
    return (uint64_t) ((double) captured_us * p->slowdown);
}

#endif
