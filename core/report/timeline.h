/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened second by second, for the report. Its memory is taken at the start and does not
 * grow: in runs that last longer than it has rows, each comes to stand for two seconds, then four.
 * Filled by the program's own thread.
 */
#ifndef TB_REPORT_TIMELINE_H
#define TB_REPORT_TIMELINE_H

#include <stdint.h>

enum { TB_TIMELINE_ROWS = 4096 /* seconds: a good hour */ };

struct tb_timeline_row {
    double t_s; /* end of the interval, from the first SYN */
    /* open: at the end; p99_us: the worst second's; the others: within the interval */
    uint64_t open, started, requests, responses, failed, p99_us;
};

struct tb_timeline {
    struct tb_timeline_row *rows; /* [TB_TIMELINE_ROWS] */
    uint32_t count;
    uint32_t each_s;   /* what a row stands for */
    uint32_t gathered; /* seconds in the last row */
};

/* 0 or -ENOMEM. */
int tb_timeline_init(struct tb_timeline *t);
void tb_timeline_fini(struct tb_timeline *t);
/* One more second has passed. */
void tb_timeline_add(struct tb_timeline *t, const struct tb_timeline_row *second);

#endif
