/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing scripts (draft.h, draft_feed.h): cutting the client's bytes into requests, and working
 * out think times and waits. Called by reassembly.c and flow.c, and by learners. Where the bytes
 * are kept is in draft_memory.c, how sessions end in draft_end.c.
 */
#include "trace/draft_feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SESSION_ROOM = 1024,
    OWN_PAUSE_US = 3000,     /* a pause of the client inside a run that is worth repeating */
    STEP_BACK_US = 60000000, /* a larger one is the capturing host's clock being set */
    MARKS_MAX = 4096,        /* arrivals remembered of bytes not yet cut */
    REQUEST_MAX = 1 << 30    /* bytes of one record; more of them follow as continued */
};

/* Packets that overtook each other do not turn time back. */
static uint64_t advance_time(const struct tb_draft *d, uint64_t time_us)
{
    uint64_t last_us = d->client_us > d->server_us ? d->client_us : d->server_us;
    if (time_us < last_us && last_us - time_us < STEP_BACK_US)
        return last_us;
    return time_us;
}

/* --- cutting requests ---------------------------------------------------------------------- */

static struct tb_draft_mark mark_now(const struct tb_draft *d, uint64_t offset, uint64_t time_us)
{
    return (struct tb_draft_mark){offset, time_us, d->response_us, d->script->responses};
}

/* What the request counts its think time from, and how long that was. */
static void set_think(const struct tb_draft *d, struct tb_request *r,
                      const struct tb_draft_mark *first)
{
    bool follows_response = !d->last || first->responses > d->last->waits_for;
    r->waits_for = first->responses;
    if (d->shared->live) {
        r->think_us = first->time_us > d->client_us ? first->time_us : d->client_us;
    } else if (follows_response && !(r->flags & TB_REQ_CONTINUED)) {
        r->think_us = tb_draft_distance(first->response_us, first->time_us);
    } else {
        r->flags |= TB_REQ_PIPELINED;
        r->think_us = tb_draft_distance(d->request_us, first->time_us);
    }
}

/* Append a request of the next `len` bytes, whose first came at `first`. */
static struct tb_request *add_request(struct tb_draft *d, const struct tb_draft_mark *first,
                                      uint32_t len, uint16_t flags, uint64_t note)
{
    struct tb_script *s = d->script;
    struct tb_request *r = tb_draft_take(d->shared, &d->shared->requests, sizeof *r);
    if (!r)
        return NULL;
    r->chunk = d->cut_chunk;
    r->chunk_offset = d->cut_at;
    r->len = len;
    r->flags = flags;
    r->note = note;
    set_think(d, r, first);
    r->index = flags & TB_REQ_CONTINUED ? d->last->index : d->index++;
    s->requests += !(flags & (TB_REQ_CONTINUED | TB_REQ_PART));
    tb_draft_pass(d, len);
    d->request_us = first->time_us;
    atomic_store_explicit(d->last ? &d->last->next : &s->first, r, memory_order_release);
    d->last = r;
    return r;
}

/* Remember when the `offset` and following bytes came, to be cut later. */
static void push_mark(struct tb_draft *d, struct tb_draft_mark mark)
{
    struct tb_draft_marks *m = d->marks;
    if (mark.offset == d->cut) {
        d->first = mark;
        return;
    }
    if (m && m->count - m->head >= MARKS_MAX)
        return; /* these bytes count as come with those before */
    if (!m || m->count == m->room) {
        uint32_t room = m ? m->room * 2 : 16;
        struct tb_draft_marks *p = realloc(m, sizeof *p + room * sizeof p->at[0]);
        if (!p) {
            d->shared->out_of_memory = true;
            return;
        }
        if (!m)
            p->head = p->count = 0;
        p->room = room;
        d->marks = m = p;
    }
    m->at[m->count++] = mark;
}

/* After a cut: the mark that tells when the byte at d->cut came. */
static void move_marks(struct tb_draft *d)
{
    struct tb_draft_marks *m = d->marks;
    if (!m)
        return;
    while (m->head < m->count && m->at[m->head].offset <= d->cut)
        d->first = m->at[m->head++];
    if (m->head == m->count) {
        free(m);
        d->marks = NULL;
    }
}

/* Cut off the bytes before `end`; a very long request becomes several records. */
static struct tb_request *cut(struct tb_draft *d, uint64_t end, uint16_t flags, uint64_t note)
{
    struct tb_request *r = NULL;
    do {
        uint64_t len = end - d->cut;
        if (len > REQUEST_MAX)
            len = REQUEST_MAX;
        r = add_request(d, &d->first, (uint32_t) len, flags | (r ? TB_REQ_CONTINUED : 0), note);
        move_marks(d);
    } while (r && d->cut < end);
    return r;
}

void tb_draft_cut_rest(struct tb_draft *d, uint16_t flags)
{
    cut(d, d->script->client_bytes, flags, 0);
}

/* --- responses ------------------------------------------------------------------------------ */

static void count_response(struct tb_draft *d, uint64_t end)
{
    d->response_begin = end;
    d->response_us = d->server_us;
    d->silence_us = 0;
    d->script->responses++;
}

static void answer(struct tb_draft *d, struct tb_request *r, uint64_t bytes)
{
    r->response_bytes = bytes;
    r->silence_us = d->silence_us;
    r->flags |= TB_REQ_ANSWERED;
}

static void greet(struct tb_script *s, uint64_t bytes, uint32_t silence_us)
{
    s->has_greeting = true;
    s->greeting_bytes += bytes;
    if (silence_us > s->greeting_silence_us)
        s->greeting_silence_us = silence_us;
}

/* Opaque streams: the server's bytes so far are a whole response. Bytes that it sends unasked
 * behind a response framed by a learner belong to no request. */
void tb_draft_end_run(struct tb_draft *d)
{
    struct tb_script *s = d->script;
    uint64_t bytes = d->server_bytes - d->response_begin;
    if (d->run) {
        answer(d, d->last, bytes);
        count_response(d, d->server_bytes);
    } else if (!d->last) {
        greet(s, bytes, d->silence_us);
        s->greeting_in_bytes = true;
        count_response(d, d->server_bytes);
    } else {
        d->response_begin = d->server_bytes;
        d->silence_us = 0;
    }
    d->run = false;
}

/* The end of the session was told before this response: it was complete by then when the end of
 * the connection is what completed it. */
static void correct_ends(struct tb_draft *d)
{
    struct tb_script_end *e = &d->script->end;
    if (e->server != TB_END_NONE)
        e->server_responses++;
    if (e->client != TB_END_NONE && e->server_first) {
        e->waits_for++;
        e->bytes = 0;
    }
}

static struct tb_request *next_awaited(struct tb_request *r)
{
    do
        r = tb_script_next(r);
    while (r && (r->flags & TB_REQ_NO_RESPONSE));
    for (struct tb_request *next; r && (next = tb_script_next(r)) != NULL; r = next)
        if (next->index != r->index)
            break;
    return r;
}

void tb_draft_response(struct tb_draft *d, uint64_t end)
{
    if (d->opaque || d->rejected)
        return;
    if (end > d->server_bytes)
        end = d->server_bytes;
    if (end < d->response_begin)
        end = d->response_begin;
    uint64_t bytes = end - d->response_begin;
    if (d->awaited) {
        answer(d, d->awaited, bytes);
        d->answered = d->awaited;
        d->awaited = next_awaited(d->awaited);
        count_response(d, end);
        if (d->closing)
            correct_ends(d);
    } else if (d->script->client_bytes > d->cut && d->early_end == 0 && end > 0) {
        d->early_end = end; /* answers the request that is being sent */
    } else if (!d->last && d->script->client_bytes == 0) {
        bool more = d->script->has_greeting;
        greet(d->script, bytes, d->silence_us);
        count_response(d, end);
        d->script->responses -= more;
    } else {
        d->response_begin = end; /* answers nothing */
        d->silence_us = 0;
    }
}

/* --- for the learner ------------------------------------------------------------------------ */

/* Is the response to `r` outstanding? */
static bool is_awaited(const struct tb_draft *d, const struct tb_request *r)
{
    return d->awaited && d->awaited->index <= r->index && !(r->flags & TB_REQ_NO_RESPONSE);
}

uint32_t tb_draft_cut(struct tb_draft *d, uint64_t end, uint16_t flags, uint64_t note)
{
    bool goes_on = (flags & TB_REQ_CONTINUED) && d->last;
    uint32_t number = d->index - goes_on;
    if (d->opaque || d->rejected || end <= d->cut || end > d->script->client_bytes)
        return d->index > 0 ? d->index - 1 : 0;
    if (!goes_on)
        flags &= (uint16_t) ~TB_REQ_CONTINUED;
    else if (!is_awaited(d, d->last)) /* answered before it was complete */
        flags |= TB_REQ_NO_RESPONSE;
    struct tb_request *r =
        cut(d, end, flags & (TB_REQ_NO_RESPONSE | TB_REQ_PART | TB_REQ_CONTINUED), note);
    if (!r || (flags & TB_REQ_NO_RESPONSE))
        return number;
    if (!d->awaited || d->awaited->index == r->index)
        d->awaited = r;
    if (d->early_end != 0) {
        uint64_t early = d->early_end;
        d->early_end = 0;
        tb_draft_response(d, early);
    }
    return number;
}

void tb_draft_set_note(struct tb_draft *d, uint32_t number, uint64_t note)
{
    if (d->last && d->last->index == number) {
        d->last->note = note;
        return;
    }
    struct tb_request *r = d->answered;
    if (!r || r->index > number)
        r = tb_script_first(d->script);
    while (r && r->index != number)
        r = tb_script_next(r);
    for (; r && r->index == number; r = tb_script_next(r))
        r->note = note;
}

void tb_draft_set_session_note(struct tb_draft *d, uint64_t note)
{
    d->script->note = note;
}

void tb_draft_opaque(struct tb_draft *d)
{
    if (d->opaque || d->rejected)
        return;
    d->opaque = true;
    /* A request without its response yet: what comes from now on is that. */
    if (d->awaited && d->awaited == d->last) {
        d->last->flags |= TB_REQ_BYTES;
        d->run = true;
    }
    d->awaited = NULL;
    if (d->script->client_bytes > d->cut) {
        if (d->run && d->server_bytes > d->response_begin)
            tb_draft_end_run(d);
        tb_draft_cut_rest(d, TB_REQ_BYTES);
        d->run = true;
    }
}

void tb_draft_reject(struct tb_draft *d, const char *reason)
{
    if (!d->rejected)
        d->rejected = (uint8_t) (tb_trace_skip_index(d->shared->trace, reason) + 1);
}

struct tb_script *tb_draft_script(struct tb_draft *d)
{
    return d->script;
}

bool tb_draft_is_live(const struct tb_draft *d)
{
    return d->shared->live;
}

/* --- being fed ------------------------------------------------------------------------------ */

static bool learns(const struct tb_draft *d)
{
    return !d->opaque && !d->rejected && d->shared->learner->data;
}

bool tb_draft_wants_payload(const struct tb_draft *d)
{
    return learns(d);
}

static int add_session(struct tb_trace *t, struct tb_script *s)
{
    if (t->session_count == t->session_room) {
        uint32_t room = t->session_room ? t->session_room * 2 : SESSION_ROOM;
        struct tb_script **p = realloc(t->sessions, (size_t) room * sizeof *p);
        if (!p)
            return -ENOMEM;
        t->sessions = p;
        t->session_room = room;
    }
    s->number = t->session_count++;
    t->sessions[s->number] = s;
    return 0;
}

int tb_draft_begin(struct tb_draft *d, struct tb_drafting *shared, struct tb_addr client,
                   uint16_t client_port, uint16_t transfer)
{
    struct tb_script *s = tb_draft_take(shared, &shared->scripts, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->number = UINT32_MAX;
    if (!shared->live && add_session(shared->trace, s) < 0) {
        shared->out_of_memory = true;
        tb_draft_give(&shared->scripts, s);
        return -ENOMEM;
    }
    s->client = client;
    s->client_port = client_port;
    s->transfer = transfer;
    s->syn.wscale = -1;
    d->shared = shared;
    d->script = s;
    d->opaque = !shared->learner;
    if (shared->learner && shared->learner->begin)
        d->state = shared->learner->begin(shared->learner->ctx, d);
    return 0;
}

void tb_draft_set_start(struct tb_draft *d, uint64_t time_us, const struct tb_syn *syn)
{
    d->script->start_us = time_us;
    d->script->syn = *syn;
}

void tb_draft_handshake(struct tb_draft *d, uint64_t time_us)
{
    if (d->script->client_bytes == 0 && d->script->responses == 0)
        d->response_us = time_us;
}

/* Opaque streams: bytes after bytes of the server begin a request, others go on with the last. */
static void extend_run(struct tb_draft *d, uint64_t offset, uint32_t len, uint64_t time_us,
                       bool own_pause)
{
    if (d->server_bytes > d->response_begin)
        tb_draft_end_run(d);
    struct tb_draft_mark first = mark_now(d, offset, time_us);
    if (!d->run) {
        d->run = add_request(d, &first, len, TB_REQ_BYTES, 0) != NULL;
    } else if (d->shared->live || /* the request before may have been sent already */
               (own_pause && tb_draft_distance(d->client_us, time_us) >= OWN_PAUSE_US) ||
               len > REQUEST_MAX - d->last->len) {
        add_request(d, &first, len, TB_REQ_BYTES | TB_REQ_CONTINUED, 0);
    } else {
        d->last->len += len;
        tb_draft_pass(d, len);
    }
}

void tb_draft_client_bytes(struct tb_draft *d, const uint8_t *bytes, uint32_t len, uint64_t time_us,
                           bool own_pause)
{
    if (d->rejected || len == 0)
        return;
    uint64_t offset = d->script->client_bytes;
    time_us = advance_time(d, time_us);
    tb_draft_store(d, bytes, len);
    if (d->shared->out_of_memory)
        return;
    if (d->opaque) {
        extend_run(d, offset, len, time_us, own_pause);
        d->client_us = time_us;
        return;
    }
    push_mark(d, mark_now(d, offset, time_us));
    d->client_us = time_us;
    if (learns(d))
        d->shared->learner->data(d->shared->learner->ctx, d->state, d, TB_FROM_CLIENT, offset,
                                 bytes, len, time_us);
}

void tb_draft_server_bytes(struct tb_draft *d, const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    const struct tb_script_end *e = &d->script->end;
    if (d->rejected || len == 0)
        return;
    uint64_t offset = d->server_bytes;
    d->server_bytes += len;
    if (e->client == TB_END_RST || e->client_rst)
        return; /* on their way when the client was gone */
    time_us = advance_time(d, time_us);
    if (offset > d->response_begin) {
        uint64_t pause_us = tb_draft_distance(d->server_us, time_us);
        if (pause_us > UINT32_MAX)
            pause_us = UINT32_MAX;
        if (pause_us > d->silence_us)
            d->silence_us = (uint32_t) pause_us;
    }
    d->server_us = time_us;
    if (learns(d))
        d->shared->learner->data(d->shared->learner->ctx, d->state, d, TB_FROM_SERVER, offset,
                                 bytes, len, time_us);
}
