/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a trace keeps beside its scripts: sessions not used by reason, warnings, and the memory to
 * be freed. Called by the loader, by drafts, and by whoever plays the trace.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/draft_feed.h"

uint32_t tb_trace_skip_index(struct tb_trace *t, const char *reason)
{
    for (uint32_t i = 0; i < t->skip_count; i++)
        if (strncmp(t->skipped[i].reason, reason, TB_SKIP_REASON_LEN - 1) == 0)
            return i;
    if (t->skip_count == TB_SKIP_MAX)
        return TB_SKIP_MAX - 1; /* "other" */
    uint32_t i = t->skip_count++;
    if (t->skip_count == TB_SKIP_MAX)
        reason = "other";
    snprintf(t->skipped[i].reason, TB_SKIP_REASON_LEN, "%s", reason);
    return i;
}

void tb_trace_skip(struct tb_trace *t, const char *reason)
{
    t->skipped[tb_trace_skip_index(t, reason)].sessions++;
}

void tb_trace_warn(struct tb_trace *t, const char *fmt, ...)
{
    size_t used = strlen(t->warning);
    if (used > 0 && used + 3 < sizeof t->warning)
        used += (size_t) snprintf(t->warning + used, sizeof t->warning - used, "; ");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->warning + used, sizeof t->warning - used, fmt, ap);
    va_end(ap);
}

void tb_trace_free(struct tb_trace *t)
{
    free(t->sessions);
    t->sessions = NULL;
    t->session_count = t->session_room = 0;
    tb_arena_fini(&t->bytes);
    tb_arena_fini(&t->records);
}
