/* SPDX-License-Identifier: BSD-2-Clause */
/* Small seeded generator (SplitMix64) for every random choice of a run: one seed, one run. */
#ifndef TB_BASE_RNG_H
#define TB_BASE_RNG_H

#include <stdint.h>

struct tb_rng {
    uint64_t state;
};

static inline uint64_t tb_rng_next(struct tb_rng *r)
{
    uint64_t z = (r->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Uniform in [0, n), n > 0. */
static inline uint64_t tb_rng_below(struct tb_rng *r, uint64_t n)
{
    return (uint64_t) (((unsigned __int128) tb_rng_next(r) * n) >> 64);
}

#endif
