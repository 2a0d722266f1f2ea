/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Responses: which request they belong to, when they are complete, whether they are as captured.
 * A module frames them, or they are counted in bytes with silence as the second sign.
 */
#include "engine/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool counts_bytes(const struct tb_worker *w, const struct tb_user *u,
                         const struct tb_request *r)
{
    if (!tb_user_module(w, u)->response)
        return true;
    if (!r)
        return tb_user_script(w, u)->greeting_in_bytes;
    return r->flags & TB_REQ_BYTES;
}

/* When waiting for what is awaited ends, from now on. */
static uint64_t give_up_at(const struct tb_worker *w, const struct tb_busy *b)
{
    const struct tb_pending *p = tb_pending_at(w, b->first_pending);

    return b->awaited == 0 || (p && p->is_patient) ? 0 : w->tcp.now_us + w->config->timeout_us;
}

/* Does the capture show the response complete? Of a live session it may show it later. */
static bool is_answered(const struct tb_worker *w, const struct tb_user *u,
                        const struct tb_request *r)
{
    if (r)
        return r->flags & TB_REQ_ANSWERED;
    return !w->live || tb_user_script(w, u)->has_greeting;
}

/* Live: from when the online server has answered it is waited for. */
static void await_if_known(struct tb_worker *w, struct tb_user *u, struct tb_busy *b,
                           struct tb_pending *p)
{
    if (p->is_answered || !is_answered(w, u, p->request))
        return;
    p->is_answered = true;
    if (!p->request)
        p->in_bytes = counts_bytes(w, u, NULL);
    if (b->awaited++ == 0)
        b->give_up_us = give_up_at(w, b);
}

/* Live: the request goes on with the one that is pending, and the answer will be noted here. */
static bool goes_on(struct tb_worker *w, struct tb_user *u, struct tb_busy *b,
                    const struct tb_request *r)
{
    struct tb_pending *last = tb_pending_at(w, b->last_pending);

    if (!w->live || !r || !(r->flags & TB_REQ_CONTINUED) || !last || !last->request ||
        last->request->index != r->index)
        return false;
    last->request = r;
    last->sent_us = w->tcp.now_us;
    await_if_known(w, u, b, last);
    return true;
}

int tb_response_expect(struct tb_worker *w, struct tb_user *u, const struct tb_request *r,
                       uint64_t due_us)
{
    struct tb_busy *b = (struct tb_busy *) tb_tcp_need_busy(&w->tcp, &u->tcp);

    if (b && goes_on(w, u, b, r))
        return 0;
    uint32_t handle = b ? tb_pool_take(&w->pendings) : 0;

    if (!handle)
        return -ENOMEM;
    struct tb_pending *p = tb_pending_at(w, handle);
    *p = (struct tb_pending){
        .request = r,
        .sent_us = w->tcp.now_us,
        .due_us = due_us,
        .is_answered = is_answered(w, u, r),
        .in_bytes = counts_bytes(w, u, r),
        .is_patient = r && w->session.is_patient,
    };
    if (b->last_pending)
        tb_pending_at(w, b->last_pending)->next = handle;
    else
        b->first_pending = handle;
    b->last_pending = handle;
    if (p->is_answered && b->awaited++ == 0)
        b->give_up_us = give_up_at(w, b);
    return 0;
}

static void pop(struct tb_worker *w, struct tb_busy *b)
{
    uint32_t handle = b->first_pending;
    struct tb_pending *p = tb_pending_at(w, handle);

    b->first_pending = p->next;
    if (!p->next)
        b->last_pending = 0;
    b->awaited -= p->is_answered;
    b->response_bytes = 0;
    b->quiet_us = 0;
    b->give_up_us = give_up_at(w, b);
    tb_pool_give(&w->pendings, handle);
}

void tb_response_drop(struct tb_worker *w, struct tb_user *u)
{
    struct tb_busy *b = tb_user_busy(w, u);

    while (b && b->first_pending)
        pop(w, b);
}

static void pop_held(struct tb_worker *w, struct tb_busy *b)
{
    uint32_t handle = b->first_held;
    struct tb_held *h = tb_pool_at(&w->held, handle);

    b->first_held = h->next;
    if (!h->next)
        b->last_held = 0;
    b->held_bytes -= h->len + h->without_data;
    b->held_count--;
    tb_pool_give(&w->held, handle);
}

void tb_response_forget(struct tb_worker *w, struct tb_busy *b)
{
    while (b->first_pending)
        pop(w, b);
    if (b->module_busy)
        tb_pool_give(&w->module_busy, b->module_busy);
    b->module_busy = 0;
    while (b->first_held)
        pop_held(w, b);
}

/* The first pending response is complete; its last byte came at `end_us`. */
static void complete(struct tb_worker *w, struct tb_user *u, uint64_t end_us, bool as_captured)
{
    struct tb_busy *b = tb_user_busy(w, u);
    const struct tb_pending *p = tb_pending_at(w, b->first_pending);

    if (p->request) {
        tb_histogram_add(&w->stats.response, end_us > p->sent_us ? end_us - p->sent_us : 0);
        tb_histogram_add(&w->stats.from_schedule, end_us > p->due_us ? end_us - p->due_us : 0);
        w->stats.requests_answered +=
            (p->is_answered || w->live) && !(p->request->flags & TB_REQ_PART);
        w->stats.live.unchecked += w->live && !p->is_answered;
    }
    if (!as_captured) {
        w->stats.requests_mismatched++;
        u->flags |= TB_USER_MISMATCHED;
    }
    u->responses++;
    pop(w, b);
}

static uint64_t captured_bytes(const struct tb_worker *w, const struct tb_user *u,
                               const struct tb_pending *p)
{
    return p->request ? p->request->response_bytes : tb_user_script(w, u)->greeting_bytes;
}

static void short_response(struct tb_worker *w, struct tb_user *u, const struct tb_pending *p,
                           uint64_t seen)
{
    struct tb_stats *st = &w->stats;

    if (st->example_count == TB_STATS_EXAMPLES)
        return;
    struct tb_mismatch *x = &st->examples[st->example_count++];
    x->session = tb_user_script(w, u)->number;
    x->request = p->request ? p->request->index : 0;
    snprintf(x->captured, sizeof x->captured, "%llu bytes",
             (unsigned long long) captured_bytes(w, u, p));
    snprintf(x->seen, sizeof x->seen, "%llu bytes", (unsigned long long) seen);
}

/* Bytes for a response that is counted; how many it took. */
static uint32_t count_bytes(struct tb_worker *w, struct tb_user *u, struct tb_busy *b,
                            const struct tb_pending *p, uint32_t len)
{
    if (w->live && !p->is_answered) { /* how many it will be is not known yet */
        b->response_bytes += len;
        return len;
    }
    uint64_t missing = captured_bytes(w, u, p) - b->response_bytes;
    uint32_t silence =
        p->request ? p->request->silence_us : tb_user_script(w, u)->greeting_silence_us;

    if (!p->is_answered || len < missing) {
        b->response_bytes += len;
        /* A server that paused in the capture may pause again. */
        b->quiet_us = w->tcp.now_us + w->config->quiet_us + silence;
        return len;
    }
    /* More than was captured and nothing else outstanding: it can only belong to this response. */
    bool alone = p->next == 0;
    complete(w, u, w->seen_us, true);
    return alone ? len : (uint32_t) missing;
}

/* Does the module's word end the session? */
static bool ends(struct tb_worker *w, struct tb_user *u, enum tb_response_status status)
{
    if (status == TB_RESPONSE_FATAL)
        tb_verdict_set(w, u, TB_VERDICT_MODULE);
    else if (status == TB_RESPONSE_LEAVE || status == TB_RESPONSE_LOST)
        tb_ending_leave(w, u, status == TB_RESPONSE_LOST);
    else
        return false;
    return true;
}

/* Bytes for a response that the module frames; how many it took. */
static uint32_t ask_module(struct tb_worker *w, struct tb_user *u, const uint8_t *data,
                           uint32_t len, unsigned flags)
{
    size_t used = len;
    struct tb_session *s = tb_worker_session(w, u);
    enum tb_response_status status = tb_user_module(w, u)->response(s, data, len, flags, &used);
    struct tb_busy *b = tb_user_busy(w, u);

    if (used > len || (used == 0 && status == TB_RESPONSE_MORE))
        used = len;
    if (u->phase == TB_PHASE_IDLE)
        return len;
    if (ends(w, u, status))
        return (uint32_t) used;
    if (b && b->first_pending && status != TB_RESPONSE_MORE)
        complete(w, u, w->seen_us, status != TB_RESPONSE_MISMATCH);
    else if (b)
        b->response_bytes += used;
    return (uint32_t) used;
}

static void begin(struct tb_worker *w, struct tb_busy *b, struct tb_pending *p)
{
    uint64_t now = w->tcp.now_us;

    b->last_data_us = now;
    if (b->give_up_us)
        b->give_up_us = now + w->config->timeout_us;
    if (p->is_begun)
        return;
    p->is_begun = true;
    if (p->request)
        tb_histogram_add(&w->stats.first_byte,
                         w->seen_us > p->sent_us ? w->seen_us - p->sent_us : 0);
}

static void unasked(struct tb_worker *w, struct tb_user *u, const uint8_t *data, uint32_t len)
{
    const struct tb_module *m = tb_user_module(w, u);
    size_t used = len;

    if (m->response)
        ends(w, u, m->response(tb_worker_session(w, u), data, len, TB_RESPONSE_UNASKED, &used));
}

/* --- live: waiting for the online server's answer ------------------------------------------------
 */

/* Does what is held still have something to wait for? */
static bool is_awaited_online(const struct tb_worker *w, const struct tb_user *u,
                              const struct tb_busy *b)
{
    const struct tb_pending *p = tb_pending_at(w, b->first_pending);

    return p && !p->in_bytes && !p->is_answered && !p->is_begun && tb_user_goes_on(w, u);
}

bool tb_response_waits(const struct tb_worker *w, const struct tb_user *u)
{
    const struct tb_busy *b = tb_user_busy(w, u);
    const struct tb_pending *p = b ? tb_pending_at(w, b->first_pending) : NULL;

    return p && (b->first_held || !p->is_answered) && tb_user_goes_on(w, u);
}

/* Are these bytes to wait? Those of a response that a module judges by the online one, until that
 * is complete; and all behind them. */
static bool is_to_be_held(const struct tb_worker *w, const struct tb_user *u)
{
    const struct tb_busy *b = tb_user_busy(w, u);

    return b && b->held_count < TB_HELD_MAX && (b->first_held || is_awaited_online(w, u, b));
}

/* A piece with room, the last one or a new one. */
static struct tb_held *held_room(struct tb_worker *w, struct tb_busy *b)
{
    struct tb_held *last = b->last_held ? tb_pool_at(&w->held, b->last_held) : NULL;

    if (last && last->len < TB_HELD_BYTES && last->seen_us == w->seen_us)
        return last;
    uint32_t handle = tb_pool_take(&w->held);
    if (!handle)
        return NULL;
    if (last)
        last->next = handle;
    else
        b->first_held = handle;
    b->last_held = handle;
    b->held_count++;
    struct tb_held *h = tb_pool_at(&w->held, handle);
    h->seen_us = w->seen_us;
    return h;
}

/* How many of the bytes are held now. */
static uint32_t hold(struct tb_worker *w, struct tb_user *u, const uint8_t *data, uint32_t len)
{
    uint32_t held = 0;

    while (held < len && is_to_be_held(w, u)) {
        struct tb_busy *b = tb_user_busy(w, u);
        struct tb_held *h = held_room(w, b);
        uint32_t n = data ? TB_HELD_BYTES - (h ? h->len : 0) : len;
        if (!h)
            break;
        if (n > len - held)
            n = len - held;
        if (data) {
            memcpy(h->data + h->len, data + held, n);
            h->len += n;
        } else {
            h->without_data += n;
        }
        b->held_bytes += n;
        held += n;
    }
    return held;
}

static void take_data(struct tb_worker *w, struct tb_user *u, const uint8_t *data, uint32_t len);

static void release(struct tb_worker *w, struct tb_user *u, bool all)
{
    uint64_t seen_us = w->seen_us;
    struct tb_busy *b;

    while (u->phase != TB_PHASE_IDLE && (b = tb_user_busy(w, u)) != NULL && b->first_held &&
           (all || !is_awaited_online(w, u, b))) {
        struct tb_held piece = *(struct tb_held *) tb_pool_at(&w->held, b->first_held);
        pop_held(w, b);
        w->seen_us = piece.seen_us;
        if (piece.len)
            take_data(w, u, piece.data, piece.len);
        if (piece.without_data)
            take_data(w, u, NULL, piece.without_data);
    }
    w->seen_us = seen_us;
}

void tb_response_release(struct tb_worker *w, struct tb_user *u)
{
    release(w, u, true);
}

/* Bytes counted before the number was known: is the first response complete by now? What is more
 * than that belongs to the next. */
static void recount(struct tb_worker *w, struct tb_user *u)
{
    struct tb_busy *b = tb_user_busy(w, u);
    const struct tb_pending *p;

    while (b && (p = tb_pending_at(w, b->first_pending)) != NULL && p->in_bytes && p->is_answered) {
        uint64_t want = captured_bytes(w, u, p), have = b->response_bytes;
        if (have < want) {
            if (have > 0)
                b->quiet_us = w->tcp.now_us + w->config->quiet_us;
            return;
        }
        complete(w, u, b->last_data_us, true);
        const struct tb_pending *next = tb_pending_at(w, b->first_pending);
        if (next && next->in_bytes)
            b->response_bytes = have - want;
    }
}

void tb_response_known(struct tb_worker *w, struct tb_user *u)
{
    struct tb_busy *b = tb_user_busy(w, u);

    for (uint32_t i = b ? b->first_pending : 0; i; i = tb_pending_at(w, i)->next)
        await_if_known(w, u, b, tb_pending_at(w, i));
    recount(w, u);
    release(w, u, false);
}

void tb_response_no_greeting(struct tb_worker *w, struct tb_user *u)
{
    struct tb_busy *b = tb_user_busy(w, u);
    const struct tb_pending *p = b ? tb_pending_at(w, b->first_pending) : NULL;

    if (!p || p->request || p->is_answered)
        return;
    pop(w, b);
    tb_response_release(w, u);
}

/* --- bytes ---------------------------------------------------------------------------------------
 */

void tb_response_data(struct tb_worker *w, struct tb_user *u, const uint8_t *data, uint32_t len)
{
    uint32_t held = w->live ? hold(w, u, data, len) : 0;

    if (held == len) {
        u->tcp.flags |= TB_TCP_ACK_NOW;
        return;
    }
    if (w->live)
        tb_response_release(w, u); /* there is no room for more */
    take_data(w, u, data ? data + held : NULL, len - held);
}

/* Bytes of responses, in order, to whom they belong. */
static void take_data(struct tb_worker *w, struct tb_user *u, const uint8_t *data, uint32_t len)
{
    while (len > 0 && u->phase != TB_PHASE_IDLE) {
        struct tb_busy *b = tb_user_busy(w, u);
        struct tb_pending *p = b ? tb_pending_at(w, b->first_pending) : NULL;
        uint32_t used;
        if (!p) {
            unasked(w, u, data, len);
            break;
        }
        begin(w, b, p);
        if (p->in_bytes)
            used = count_bytes(w, u, b, p, len);
        else
            used = ask_module(w, u, data, len, 0);
        if (data)
            data += used;
        len -= used;
    }
    struct tb_busy *b = tb_user_busy(w, u);
    if (b && b->first_pending && tb_pending_at(w, b->first_pending)->is_begun)
        u->tcp.flags |= TB_TCP_ACK_NOW; /* no request to ride on: let the server go on */
    if (u->phase != TB_PHASE_IDLE)
        tb_player_advance(w, u);
}

void tb_response_quiet(struct tb_worker *w, struct tb_user *u)
{
    struct tb_busy *b = tb_user_busy(w, u);
    const struct tb_pending *p = tb_pending_at(w, b->first_pending);

    b->quiet_us = 0;
    if (!p || !p->in_bytes)
        return;
    if (!p->is_answered) { /* as much as will come before the captured end */
        pop(w, b);
    } else {
        short_response(w, u, p, b->response_bytes);
        complete(w, u, b->last_data_us, false);
    }
    tb_player_advance(w, u);
}

void tb_response_closed(struct tb_worker *w, struct tb_user *u)
{
    struct tb_busy *b;

    while (u->phase != TB_PHASE_IDLE && (b = tb_user_busy(w, u)) != NULL && b->first_pending) {
        const struct tb_pending *p = tb_pending_at(w, b->first_pending);
        uint32_t before = b->first_pending;
        if (!p->in_bytes)
            ask_module(w, u, NULL, 0, TB_RESPONSE_CLOSED);
        else if (p->is_answered && b->response_bytes > 0) {
            short_response(w, u, p, b->response_bytes);
            complete(w, u, b->last_data_us, false);
        }
        b = tb_user_busy(w, u);
        if (u->phase == TB_PHASE_IDLE || !b || b->first_pending != before)
            continue;
        /* It will never be complete. */
        if (p->is_answered)
            tb_verdict_set(w, u, TB_VERDICT_CLOSED_EARLY);
        else
            pop(w, b);
    }
}

void tb_response_status(struct tb_worker *w, struct tb_user *u, enum tb_response_status status)
{
    struct tb_busy *b = tb_user_busy(w, u);

    if (u->phase == TB_PHASE_IDLE)
        return;
    if (ends(w, u, status))
        return;
    if (status != TB_RESPONSE_MORE && b && b->first_pending)
        complete(w, u, w->tcp.now_us, status != TB_RESPONSE_MISMATCH);
    if (u->phase != TB_PHASE_IDLE)
        tb_player_advance(w, u);
}
