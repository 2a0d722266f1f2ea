/* SPDX-License-Identifier: BSD-2-Clause */
/* The schedule of session starts. See pacing.h. */
#include "engine/pacing.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sessions captured within topology_s of the one before keep their distance from it (scaled like
 * think times); the others start one tick of the rate later. */
static int init_topology(struct tb_pacing *p, const struct tb_pacing_input *in)
{
    double at_us = 0, step_us = 1e6 / p->rate;

    p->session_us = malloc((in->session_count + 1) * sizeof *p->session_us);
    if (!p->session_us)
        return -ENOMEM;
    for (uint32_t s = 0; s < in->session_count; s++) {
        if (s > 0) {
            uint64_t gap = in->sessions[s]->start_us - in->sessions[s - 1]->start_us;
            bool near = (double) gap <= in->topology_s * 1e6;
            at_us += near ? (double) gap * p->slowdown : step_us;
        }
        p->session_us[s] = (uint64_t) at_us;
    }
    p->session_count = in->session_count;
    p->users = in->users ? in->users : in->session_count;
    p->round_us = (uint64_t) (at_us + step_us);
    return 0;
}

int tb_pacing_init(struct tb_pacing *p, const struct tb_pacing_input *in)
{
    memset(p, 0, sizeof *p);
    p->rate = in->rate;
    p->ramp_us = in->ramp_s * 1e6;
    p->slowdown = in->accelerate > 0 ? 1.0 / in->accelerate : 0;
    return in->topology ? init_topology(p, in) : 0;
}

void tb_pacing_fini(struct tb_pacing *p)
{
    free(p->session_us);
    p->session_us = NULL;
}

uint64_t tb_pacing_start_us(const struct tb_pacing *p, uint64_t k)
{
    if (p->session_us) {
        /* Every loop of all users begins a round of its own. */
        uint64_t rounds = (p->users + p->session_count - 1) / p->session_count;
        uint64_t user = k % p->users;
        return (k / p->users * rounds + user / p->session_count) * p->round_us +
               p->session_us[user % p->session_count];
    }
    /* During the ramp the rate grows as rate·t/ramp, so k = rate·t²/(2·ramp). */
    double in_ramp = p->rate * p->ramp_us / 2e6;
    if ((double) k < in_ramp)
        return (uint64_t) sqrt(2e6 * (double) k * p->ramp_us / p->rate);
    return (uint64_t) (p->ramp_us + ((double) k - in_ramp) * 1e6 / p->rate);
}
