/* SPDX-License-Identifier: BSD-2-Clause */
/* See timeline.h. */
#include "report/timeline.h"

#include <errno.h>
#include <stdlib.h>

int tb_timeline_init(struct tb_timeline *t)
{
    *t = (struct tb_timeline){.each_s = 1};
    t->rows = malloc(TB_TIMELINE_ROWS * sizeof *t->rows);
    if (!t->rows)
        return -ENOMEM;
    /* Written, so that it really is there: whoever watches a long run sees memory that stays. */
    for (uint32_t i = 0; i < TB_TIMELINE_ROWS; i++)
        t->rows[i] = (struct tb_timeline_row){.t_s = -1};
    return 0;
}

void tb_timeline_fini(struct tb_timeline *t)
{
    free(t->rows);
    t->rows = NULL;
}

static void join(struct tb_timeline_row *row, const struct tb_timeline_row *next)
{
    row->t_s = next->t_s;
    row->open = next->open;
    row->started += next->started;
    row->requests += next->requests;
    row->responses += next->responses;
    row->failed += next->failed;
    if (next->p99_us > row->p99_us)
        row->p99_us = next->p99_us;
}

/* Two rows become one. */
static void halve(struct tb_timeline *t)
{
    for (uint32_t i = 0; i < t->count / 2; i++) {
        struct tb_timeline_row both = t->rows[2 * i];
        join(&both, &t->rows[2 * i + 1]);
        t->rows[i] = both;
    }
    t->count /= 2;
    t->each_s *= 2;
    t->gathered = t->each_s;
}

void tb_timeline_add(struct tb_timeline *t, const struct tb_timeline_row *second)
{
    if (t->count > 0 && t->gathered < t->each_s) {
        join(&t->rows[t->count - 1], second);
        t->gathered++;
        return;
    }
    if (t->count == TB_TIMELINE_ROWS)
        halve(t);
    t->rows[t->count++] = *second;
    t->gathered = 1;
}
