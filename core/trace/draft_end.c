/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a session ends, and what its script becomes when nothing follows. Beside draft.c; called by
 * flow.c.
 */
#include <stdlib.h>

#include "trace/draft_feed.h"

static uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void end_client(struct tb_draft *d, enum tb_end kind, uint64_t seen, uint64_t time_us)
{
    struct tb_script_end *e = &d->script->end;
    if (e->client == TB_END_FIN && kind == TB_END_RST && d->server_bytes > d->response_begin)
        e->client_rst = true;
    if (e->client != TB_END_NONE)
        return;
    e->client = kind;
    e->waits_for = d->script->responses;
    if (seen > d->server_bytes)
        seen = d->server_bytes;
    e->bytes = seen > d->response_begin ? seen - d->response_begin : 0;
    e->server_first = e->server != TB_END_NONE && d->server_end_us <= time_us;
    uint64_t base_us = latest(d->client_us, d->server_us);
    base_us = latest(base_us, d->response_us);
    if (e->server_first)
        base_us = latest(base_us, d->server_end_us);
    e->delay_us = tb_draft_distance(base_us, time_us);
    /* Live: its player may half-close now; what the server does is told later. */
    if (d->shared->live && d->cut == d->script->client_bytes)
        atomic_store_explicit(&d->script->complete, true, memory_order_release);
}

static void end_server(struct tb_draft *d, enum tb_end kind, uint64_t time_us)
{
    struct tb_script_end *e = &d->script->end;
    if (e->server == TB_END_NONE) {
        bool ends_response =
            d->opaque && d->server_bytes > d->response_begin && (d->run || !d->last);
        e->server_responses = d->script->responses + ends_response;
        d->server_end_us = time_us;
    }
    if (kind == TB_END_FIN)
        e->server_fin = true;
    e->server = (uint8_t) kind;
}

void tb_draft_end(struct tb_draft *d, enum tb_dir dir, enum tb_end kind, uint64_t seen,
                  uint64_t time_us)
{
    if (d->rejected)
        return;
    if (dir == TB_FROM_CLIENT)
        end_client(d, kind, seen, time_us);
    else
        end_server(d, kind, time_us);
}

void tb_draft_forget_end(struct tb_draft *d)
{
    d->script->end = (struct tb_script_end){0};
}

/* Opaque streams: the response in progress when the session ended. When the client reset before it
 * had received all of it, it is none; when it closed its half before, all of it belongs to it. */
static void end_last_run(struct tb_draft *d)
{
    struct tb_script_end *e = &d->script->end;
    uint64_t bytes = d->server_bytes - d->response_begin;
    if (bytes == 0)
        return;
    bool reset = e->client == TB_END_RST || e->client_rst;
    if (reset && bytes > e->bytes) {
        if (d->run)
            d->last->response_bytes = bytes;
        return;
    }
    bool was_complete = e->client != TB_END_NONE && bytes == e->bytes;
    tb_draft_end_run(d);
    if (was_complete) {
        e->waits_for = d->script->responses;
        e->bytes = 0;
    }
}

static void finish_script(struct tb_draft *d)
{
    struct tb_script *s = d->script;
    struct tb_trace *t = d->shared->trace;
    if (d->opaque)
        end_last_run(d);
    else if (s->client_bytes > d->cut)
        tb_draft_cut_rest(d, 0); /* cut off by the end of the session */
    if (d->tail && !d->shared->live) {
        struct tb_chunk *c = d->tail;
        tb_arena_trim(&t->bytes, c, sizeof *c + c->room, sizeof *c + c->len);
    }
    t->requests += s->requests;
    t->client_bytes += s->client_bytes;
    atomic_store_explicit(&s->complete, true, memory_order_release);
}

/* Give the records of an unused session back. */
static void drop_script(struct tb_draft *d)
{
    struct tb_trace *t = d->shared->trace;
    struct tb_request *r = tb_script_first(d->script);
    if (d->shared->live) {
        if (!r)
            tb_draft_give_chunks(d->shared, d->cut_chunk);
        return; /* its follower frees it */
    }
    while (r) {
        struct tb_request *next = tb_script_next(r);
        tb_draft_give(&d->shared->requests, r);
        r = next;
    }
    t->sessions[d->script->number] = NULL;
    while (t->session_count > 0 && !t->sessions[t->session_count - 1])
        t->session_count--;
    tb_draft_give(&d->shared->scripts, d->script);
}

const char *tb_draft_close(struct tb_draft *d, const char *skip)
{
    const struct tb_learner *learner = d->shared->learner;
    d->closing = true;
    if (learner && learner->end)
        learner->end(learner->ctx, d->state, d, d->shared->live || (!skip && !d->rejected));
    if (!skip && d->rejected)
        skip = d->shared->trace->skipped[d->rejected - 1].reason;
    if (skip) {
        tb_trace_skip(d->shared->trace, skip);
        drop_script(d);
    } else {
        finish_script(d);
    }
    free(d->marks);
    *d = (struct tb_draft){0};
    return skip;
}
