/* SPDX-License-Identifier: BSD-2-Clause */
/* What modules may call while a session is played (include/module.h, struct tb_host). */
#include "engine/modules.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/worker.h"

static void host_count(struct tb_session *s, int counter, uint64_t n)
{
    if (counter >= 0 && counter < TB_STATS_MODULE_COUNTERS)
        s->worker->stats.module[counter] += n;
}

static uint64_t host_now_us(const struct tb_session *s)
{
    return s->worker->tcp.now_us;
}

static uint64_t host_session_note(const struct tb_session *s)
{
    return tb_user_script(s->worker, s->user)->note;
}

static uint32_t host_session_number(const struct tb_session *s)
{
    return tb_user_script(s->worker, s->user)->number;
}

static void *host_session_state(struct tb_session *s)
{
    uint64_t *due = tb_worker_module_due(s->worker, s->user);

    return due && tb_user_module(s->worker, s->user)->session_size ? due + 1 : NULL;
}

static void *host_busy_state(struct tb_session *s)
{
    struct tb_worker *w = s->worker;
    struct tb_busy *b = (struct tb_busy *) tb_tcp_need_busy(&w->tcp, &s->user->tcp);

    if (!b || tb_user_module(w, s->user)->busy_size == 0)
        return NULL;
    if (!b->module_busy)
        b->module_busy = tb_pool_take(&w->module_busy);
    return b->module_busy ? tb_pool_at(&w->module_busy, b->module_busy) : NULL;
}

static bool host_awaited(const struct tb_session *s, struct tb_request_info *out)
{
    const struct tb_busy *b = tb_user_busy(s->worker, s->user);
    const struct tb_pending *p = b ? tb_pending_at(s->worker, b->first_pending) : NULL;

    if (!p || !p->request)
        return false;
    *out = (struct tb_request_info){.index = p->request->index,
                                    .note = p->request->note,
                                    .len = p->request->len,
                                    .due_us = p->due_us};
    return true;
}

static int host_send(struct tb_session *s, const void *data, size_t len)
{
    if (len > UINT32_MAX)
        return -EMSGSIZE;
    tb_worker_touch(s->worker, s->user);
    return tb_tcp_send_copy(&s->worker->tcp, &s->user->tcp, data, (uint32_t) len);
}

static int host_send_captured(struct tb_session *s, size_t offset, size_t len)
{
    const struct tb_request *r = s->request;

    if (!r || offset > r->len || len > r->len - offset)
        return -ERANGE;
    struct tb_run run = tb_request_run(r);
    const uint8_t *piece;
    uint32_t n;
    while (len > 0 && (n = tb_run_next(&run, &piece)) > 0) {
        if (offset >= n) {
            offset -= n;
            continue;
        }
        uint32_t take = n - (uint32_t) offset;
        if (take > len)
            take = (uint32_t) len;
        int rc = tb_tcp_send(&s->worker->tcp, &s->user->tcp, piece + offset, take);
        if (rc < 0)
            return rc;
        offset = 0;
        len -= take;
    }
    return 0;
}

static int host_send_kept(struct tb_session *s, const void *data, size_t len)
{
    if (len > UINT32_MAX)
        return -EMSGSIZE;
    tb_worker_touch(s->worker, s->user);
    return tb_tcp_send(&s->worker->tcp, &s->user->tcp, data, (uint32_t) len);
}

static void *host_worker_state(const struct tb_session *s)
{
    void *const *workers = s->worker->config->modules[s->module].workers;

    return workers ? workers[s->worker->index] : NULL;
}

static uint64_t host_awaited_sent_us(const struct tb_session *s)
{
    const struct tb_busy *b = tb_user_busy(s->worker, s->user);
    const struct tb_pending *p = b ? tb_pending_at(s->worker, b->first_pending) : NULL;

    return p ? p->sent_us : 0;
}

static struct tb_latency *host_latency_new(void)
{
    return calloc(1, sizeof(struct tb_histogram));
}

static struct tb_histogram *histogram_of(struct tb_latency *h)
{
    return (struct tb_histogram *) (void *) h;
}

static void host_latency_free(struct tb_latency *h)
{
    free(h);
}

static void host_latency_add(struct tb_latency *h, uint64_t us)
{
    if (h)
        tb_histogram_add(histogram_of(h), us);
}

static json_t *host_latency_json(struct tb_latency *const *h, size_t count)
{
    struct tb_histogram *sum = calloc(1, sizeof *sum);

    if (!sum)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (h[i])
            tb_histogram_merge(sum, histogram_of(h[i]));
    json_t *json = tb_stats_histogram_json(sum);
    free(sum);
    return json;
}

static uint64_t host_real_us(const struct tb_session *s)
{
    const struct tb_worker *w = s->worker;

    return w->tcp.real_us - (w->tcp.now_us - w->seen_us);
}

static uint64_t host_hold_us(const struct tb_session *s)
{
    return s->worker->config->hold_us;
}

static uint64_t host_run_left_us(const struct tb_session *s)
{
    const struct tb_worker *w = s->worker;
    uint64_t end = w->begin_us + w->config->duration_us;

    if (w->config->duration_us == 0)
        return UINT64_MAX;
    return end > w->tcp.now_us ? end - w->tcp.now_us : 0;
}

static uint64_t host_scale_us(const struct tb_session *s, uint64_t captured_us)
{
    return tb_pacing_scale_us(s->worker->config->pacing, captured_us);
}

static int host_send_request(struct tb_session *s, uint32_t index)
{
    struct tb_worker *w = s->worker;
    const struct tb_request *r = tb_script_first(tb_user_script(w, s->user));
    const uint8_t *piece;
    uint32_t n;

    while (r && r->index < index)
        r = tb_script_next(r);
    if (!r || r->index != index)
        return -ERANGE;
    tb_worker_touch(w, s->user);
    for (; r && r->index == index; r = tb_script_next(r)) {
        struct tb_run run = tb_request_run(r);
        while ((n = tb_run_next(&run, &piece)) > 0) {
            int rc = tb_tcp_send(&w->tcp, &s->user->tcp, piece, n);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static void host_keep_busy(struct tb_session *s, bool keep)
{
    struct tb_busy *b = tb_user_busy(s->worker, s->user);

    if (b)
        b->module_keeps = keep && b->module_busy;
    tb_worker_touch(s->worker, s->user);
}

static void host_no_timeout(struct tb_session *s)
{
    s->is_patient = true;
}

static void host_set_timer(struct tb_session *s, uint64_t us)
{
    uint64_t *due = tb_worker_module_due(s->worker, s->user);

    if (!due)
        return;
    *due = us == UINT64_MAX ? TB_NEVER : s->worker->tcp.now_us + us;
    tb_worker_touch(s->worker, s->user);
}

static void host_mismatch(struct tb_session *s, const char *captured, const char *seen)
{
    struct tb_stats *st = &s->worker->stats;
    struct tb_request_info info = {0};

    if (st->example_count == TB_STATS_EXAMPLES)
        return;
    host_awaited(s, &info);
    struct tb_mismatch *x = &st->examples[st->example_count++];
    x->session = host_session_number(s);
    x->request = info.index;
    snprintf(x->captured, sizeof x->captured, "%s", captured ? captured : "");
    snprintf(x->seen, sizeof x->seen, "%s", seen ? seen : "");
}

static void host_fail_reason(struct tb_session *s, const char *reason)
{
    struct tb_stats *st = &s->worker->stats;
    uint32_t most = sizeof st->reasons / sizeof st->reasons[0];

    for (uint32_t i = 0; i < st->reason_count; i++)
        if (strncmp(st->reasons[i], reason, sizeof st->reasons[i] - 1) == 0)
            return;
    if (st->reason_count < most)
        snprintf(st->reasons[st->reason_count++], sizeof st->reasons[0], "%s", reason);
}

/* By thread: hooks of a worker's live sessions are called from its own, and forget_request() does
 * not say whose request it was. */
static _Thread_local int64_t memory_bytes;

static void *host_memory(void *old, size_t bytes)
{
    int64_t before = (int64_t) malloc_usable_size(old);
    void *p = bytes ? realloc(old, bytes) : NULL;

    if (bytes == 0)
        free(old);
    if (p || bytes == 0)
        memory_bytes += (int64_t) malloc_usable_size(p) - before;
    return p;
}

uint64_t tb_host_memory_bytes(void)
{
    return memory_bytes > 0 ? (uint64_t) memory_bytes : 0;
}

void tb_host_play_functions(struct tb_host *h)
{
    h->count = host_count;
    h->now_us = host_now_us;
    h->session_note = host_session_note;
    h->session_number = host_session_number;
    h->session_state = host_session_state;
    h->busy_state = host_busy_state;
    h->awaited = host_awaited;
    h->send = host_send;
    h->send_captured = host_send_captured;
    h->set_timer = host_set_timer;
    h->mismatch = host_mismatch;
    h->fail_reason = host_fail_reason;
    h->worker_state = host_worker_state;
    h->awaited_sent_us = host_awaited_sent_us;
    h->send_kept = host_send_kept;
    h->latency_new = host_latency_new;
    h->latency_free = host_latency_free;
    h->latency_add = host_latency_add;
    h->latency_json = host_latency_json;
    h->real_us = host_real_us;
    h->hold_us = host_hold_us;
    h->run_left_us = host_run_left_us;
    h->scale_us = host_scale_us;
    h->send_request = host_send_request;
    h->keep_busy = host_keep_busy;
    h->no_timeout = host_no_timeout;
    h->memory = host_memory;
}
