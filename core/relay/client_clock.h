/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clock of an intercept server against ours, from the exchanges of a connection: each bounds
 * how far the two are apart, and what recent ones agree on is the estimate. Used by one connection
 * (client_link.c); knows no clock itself.
 */
#ifndef TB_RELAY_CLIENT_CLOCK_H
#define TB_RELAY_CLIENT_CLOCK_H

#include <stdint.h>

enum { TB_RELAY_CLOCK_SAMPLES = 16 };

/* All zero: nothing known yet. Offsets are the server's real time minus our monotonic time. */
struct tb_relay_clock {
    struct {
        int64_t low, high; /* the offset was between these … */
        uint64_t at_us;    /* … at this time of ours */
    } sample[TB_RELAY_CLOCK_SAMPLES];
    uint32_t count; /* samples ever taken; the newest is at (count - 1) % SAMPLES */
    int64_t offset_us;
    uint64_t error_us; /* the offset may be off by that much */
};

/* What we sent at `sent_us` was answered when the server's clock said `real_us`; the answer was
 * here at `now_us`. Absurd values are ignored. */
void tb_relay_clock_sample(struct tb_relay_clock *c, uint64_t sent_us, uint64_t now_us,
                           uint64_t real_us);

/* The server's `real_us` in our clock: never later than `now_us`, and `now_us` itself when nothing
 * is known or the result would be absurdly early. */
uint64_t tb_relay_clock_to_mono(const struct tb_relay_clock *c, uint64_t real_us, uint64_t now_us);

#endif
