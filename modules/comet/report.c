/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the comet module counts, for "module" in the report. Counters are the host's; the latency of
 * pushes and the sessions lost per minute are kept per worker and added up at the end.
 */
#include "comet.h"

#include <stdlib.h>

static const char *const names[TB_COMET_COUNTERS] = {
    [TB_COUNT_PUSHES] = "pushes",
    [TB_COUNT_PUSH_BYTES] = "push_bytes",
    [TB_COUNT_EVENTS] = "events",
    [TB_COUNT_EVENT_COMMENTS] = "event_comments",
    [TB_COUNT_POLLS_ANSWERED] = "polls_answered",
    [TB_COUNT_POLLS_EMPTY] = "polls_empty",
    [TB_COUNT_POLLS_REPEATED] = "polls_repeated",
    [TB_COUNT_BODY_PARTS] = "body_parts",
    [TB_COUNT_WS_UPGRADES] = "ws_upgrades",
    [TB_COUNT_WS_MESSAGES] = "ws_messages",
    [TB_COUNT_WS_TEXT] = "ws_text",
    [TB_COUNT_WS_BINARY] = "ws_binary",
    [TB_COUNT_WS_CONTINUATION] = "ws_continuation",
    [TB_COUNT_WS_PING] = "ws_ping",
    [TB_COUNT_WS_PONG] = "ws_pong",
    [TB_COUNT_WS_CLOSE] = "ws_close",
    [TB_COUNT_WS_BAD] = "ws_bad",
    [TB_COUNT_PONGS_SENT] = "pongs_sent",
    [TB_COUNT_HEARTBEATS_SENT] = "heartbeats_sent",
    [TB_COUNT_NOT_HTTP] = "not_http",
    [TB_COUNT_SESSIONS_HELD] = "sessions_held",
    [TB_COUNT_SESSIONS_LOST] = "sessions_lost",
    [TB_COUNT_SESSIONS_BACK] = "sessions_back",
};
static int counters[TB_COMET_COUNTERS]; /* written by configure() only */

void tb_comet_report_begin(const struct tb_host *host)
{
    for (unsigned i = 0; i < TB_COMET_COUNTERS; i++)
        counters[i] = host->counter(host, names[i]);
}

void tb_comet_count(struct tb_session *s, enum tb_comet_counter counter, uint64_t n)
{
    tb_comet_host()->count(s, counters[counter], n);
}

void tb_comet_count_start(struct tb_session *s)
{
    struct tb_comet_worker *w = tb_comet_host()->worker_state(s);
    if (w && w->begin_us == 0)
        w->begin_us = tb_comet_host()->now_us(s);
}

void tb_comet_count_lost(struct tb_session *s)
{
    struct tb_comet_worker *w = tb_comet_host()->worker_state(s);
    tb_comet_count(s, TB_COUNT_SESSIONS_LOST, 1);
    if (!w)
        return;
    uint64_t minute = (tb_comet_host()->now_us(s) - w->begin_us) / 60000000;
    w->lost[minute < TB_COMET_MINUTES ? minute : TB_COMET_MINUTES - 1]++;
}

void tb_comet_count_push(struct tb_session *s, uint64_t sent_us)
{
    tb_comet_count(s, TB_COUNT_PUSHES, 1);
    struct tb_comet_worker *w = sent_us ? tb_comet_host()->worker_state(s) : NULL;
    if (!w)
        return;
    if (!w->latency)
        w->latency = tb_comet_host()->latency_new();
    uint64_t now = tb_comet_host()->real_us(s);
    tb_comet_host()->latency_add(w->latency, now > sent_us ? now - sent_us : 0);
}

static json_t *lost_per_minute(void *const *workers, uint32_t count)
{
    json_t *minutes = json_array();
    size_t last = 0;
    for (size_t m = 0; m < TB_COMET_MINUTES; m++) {
        json_int_t lost = 0;
        for (uint32_t i = 0; i < count; i++)
            lost += ((const struct tb_comet_worker *) workers[i])->lost[m];
        json_array_append_new(minutes, json_integer(lost));
        if (lost > 0)
            last = m + 1;
    }
    while (json_array_size(minutes) > last)
        json_array_remove(minutes, json_array_size(minutes) - 1);
    return minutes;
}

json_t *tb_comet_report(void *const *workers, uint32_t count)
{
    json_t *report = json_object();
    json_t *latency = NULL;
    struct tb_latency **all = calloc(count ? count : 1, sizeof(struct tb_latency *));
    for (uint32_t i = 0; all && i < count; i++)
        all[i] = ((const struct tb_comet_worker *) workers[i])->latency;
    if (all)
        latency = tb_comet_host()->latency_json(all, count);
    free(all);
    json_object_set_new(report, "push_latency_us", latency ? latency : json_null());
    json_object_set_new(report, "lost_per_minute", lost_per_minute(workers, count));
    return report;
}

void tb_comet_unload(void *const *workers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        tb_comet_host()->latency_free(((const struct tb_comet_worker *) workers[i])->latency);
}
