/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numbers of captured sessions: by the time of their SYN, in the order of the files where that
 * is the same. Called once, when loading ends.
 */
#include <stdlib.h>

#include "trace/draft_feed.h"

/* Until now `number` is the place in the files, so equal times keep their order. */
static int compare(const void *left, const void *right)
{
    const struct tb_script *a = *(struct tb_script *const *) left;
    const struct tb_script *b = *(struct tb_script *const *) right;
    if (a->start_us != b->start_us)
        return a->start_us < b->start_us ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

void tb_trace_order(struct tb_trace *t)
{
    uint32_t count = 0;
    bool sorted = true;
    for (uint32_t i = 0; i < t->session_count; i++) {
        struct tb_script *s = t->sessions[i];
        if (!s)
            continue;
        if (count > 0 && s->start_us < t->sessions[count - 1]->start_us)
            sorted = false;
        t->sessions[count++] = s;
    }
    t->session_count = count;
    if (!sorted)
        qsort(t->sessions, count, sizeof *t->sessions, compare);
    for (uint32_t i = 0; i < count; i++)
        t->sessions[i]->number = i;
    struct tb_script **p = realloc(t->sessions, (count ? count : 1) * sizeof *p);
    if (p) {
        t->sessions = p;
        t->session_room = count ? count : 1;
    }
}
