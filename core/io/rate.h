/* SPDX-License-Identifier: BSD-2-Clause */
/* Does much come just now? Packets counted over windows, for pace.h and glance.h. */
#ifndef TB_IO_RATE_H
#define TB_IO_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum { TB_RATE_WINDOW_US = 5000 };

struct tb_rate {
    uint64_t window_us; /* when it began */
    uint32_t packets;   /* since then */
    bool busy;          /* by the window before */
};

/* `packets` have come; it is busy from `busy_per_s` a second on. */
static inline void tb_rate_count(struct tb_rate *r, uint64_t now_us, uint32_t packets,
                                 uint32_t busy_per_s)
{
    uint64_t gone_us = now_us - r->window_us;

    r->packets += packets;
    if (gone_us < TB_RATE_WINDOW_US)
        return;
    r->busy = (uint64_t) r->packets * 1000000 / gone_us >= busy_per_s;
    r->packets = 0;
    r->window_us = now_us;
}

#endif
