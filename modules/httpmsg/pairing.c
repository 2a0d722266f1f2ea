/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pairing of captured requests and responses, see pairing.h. Where the capture lacks server bytes
 * so that responses can no longer be framed, the next request tells that those before it had been
 * answered.
 */
#include "pairing.h"

#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 64 << 10 /* so much of an upload is sent without waiting for the rest */ };

static void give_up(struct tb_http_pairing *s, struct tb_learn *l)
{
    if (!s->over)
        s->host->learn_opaque(l);
    s->over = true;
}

/* --- outstanding requests -------------------------------------------------------------------- */

static void push(struct tb_http_pairing *s, struct tb_learn *l, struct tb_http_pending p)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 8;
        struct tb_http_pending *more = realloc(s->pending, room * sizeof *more);
        if (!more) {
            give_up(s, l);
            return;
        }
        /* the part that had wrapped round goes behind the rest */
        memcpy(more + s->room, more, s->first * sizeof *more);
        s->pending = more;
        s->room = room;
    }
    s->pending[(s->first + s->count++) % s->room] = p;
}

static struct tb_http_pending *oldest(struct tb_http_pairing *s)
{
    return s->count ? &s->pending[s->first] : NULL;
}

/* The oldest outstanding response ends at server offset `end`; `note`: what it was. */
static void answer(struct tb_http_pairing *s, struct tb_learn *l, uint64_t end, uint64_t note)
{
    struct tb_http_pending *p = oldest(s);
    if (note)
        s->host->learn_note(l, p->index, p->note | note);
    s->host->learn_response(l, end);
    if (s->ops->answered)
        s->ops->answered(s, p->index, p->note | note);
    s->first = (s->first + 1) % s->room;
    s->count--;
}

/* --- client stream ---------------------------------------------------------------------------- */

static uint64_t request_note(struct tb_http_pairing *s)
{
    const struct tb_http_message *m = &s->request;
    uint64_t own = s->ops->request_note ? s->ops->request_note(s) : 0;
    return own | m->method | (m->flags & TB_HTTP_UPGRADE ? TB_HTTP_NOTE_UPGRADE : 0u);
}

/* Cut at client_at. */
static void cut(struct tb_http_pairing *s, struct tb_learn *l, unsigned flags, uint64_t note)
{
    struct tb_http_pending p = {.note = note};
    p.index = s->host->learn_cut(l, s->client_at, flags, note);
    s->cut_at = s->client_at;
    if (s->ops->cut)
        s->ops->cut(s, p.index, note);
    if (!(flags & TB_CUT_NO_RESPONSE))
        push(s, l, p);
    if (s->early && s->count)
        answer(s, l, s->early_end, s->early_note);
    s->early = false;
}

/* All of the request that has come, the first of it or more. */
static void cut_so_far(struct tb_http_pairing *s, struct tb_learn *l)
{
    if (!s->part_cut) {
        cut(s, l, s->body_refused ? TB_CUT_NO_RESPONSE : 0, request_note(s));
    } else {
        s->host->learn_cut(l, s->client_at, TB_CUT_MORE, request_note(s));
        s->cut_at = s->client_at;
    }
    s->part_cut = true;
}

static void cut_request(struct tb_http_pairing *s, struct tb_learn *l)
{
    cut_so_far(s, l);
    s->body_only = s->body_refused = s->part_cut = false;
    tb_http_begin_request(&s->request, false);
}

static void cut_expect_head(struct tb_http_pairing *s, struct tb_learn *l)
{
    cut(s, l, TB_CUT_PART, request_note(s) | TB_HTTP_NOTE_EXPECTS);
    s->head_waits = false;
    s->body_only = true;
}

/* Hosts before this function cannot tell; then such a response is not waited for. */
static bool server_closed(const struct tb_http_pairing *s, struct tb_learn *l)
{
    const struct tb_host *h = s->host;
    return h->size > offsetof(struct tb_host, learn_server_closed) && h->learn_server_closed &&
           h->learn_server_closed(l);
}

/* The responses whose end was lost had ended when their client went on. */
static void resynchronise(struct tb_http_pairing *s, struct tb_learn *l)
{
    if (s->head_waits)
        cut_expect_head(s, l);
    while (s->count)
        answer(s, l, s->server_at, 0);
    s->lost = s->reading = false;
}

size_t tb_http_pairing_client(struct tb_http_pairing *s, struct tb_learn *l, const uint8_t *bytes,
                              size_t len)
{
    size_t at = 0;
    if (s->lost && (s->head_waits || !tb_http_begun(&s->request)))
        resynchronise(s, l);
    s->head_waits = false;
    while (!s->over) {
        size_t used;
        enum tb_http_event event = tb_http_feed(&s->request, bytes + at, len - at, &used);
        if (s->ops->request_bytes)
            s->ops->request_bytes(s, bytes + at, used);
        at += used;
        s->client_at += used;
        switch (event) {
        case TB_HTTP_MORE:
            if (s->in_parts && tb_http_in_body(&s->request) &&
                s->client_at - s->cut_at >= PART_BYTES)
                cut_so_far(s, l);
            return at;
        case TB_HTTP_BAD:
            give_up(s, l);
            return at;
        case TB_HTTP_HEAD_END:
            s->head_waits =
                (s->request.flags & TB_HTTP_EXPECTS) && tb_http_in_body(&s->request) && at == len;
            break;
        case TB_HTTP_DONE:
            cut_request(s, l);
            break;
        }
    }
    return at;
}

/* --- server stream ---------------------------------------------------------------------------- */

static void begin_response(struct tb_http_pairing *s)
{
    const struct tb_http_pending *p = oldest(s);
    uint8_t method = p ? (uint8_t) tb_http_note_method(p->note) : s->request.method;
    tb_http_begin_response(&s->response, (enum tb_http_method) method, s->digest);
    if (s->watch)
        tb_http_watch(&s->response);
    s->reading = true;
}

static uint64_t response_note(const struct tb_http_pairing *s)
{
    return (uint64_t) s->response.status << TB_HTTP_NOTE_STATUS_SHIFT |
           (s->ops->response_note ? s->ops->response_note(s) : 0);
}

/* HTTP is over on this connection: the module goes on with what follows, or nobody does. */
static void end_http(struct tb_http_pairing *s, struct tb_learn *l)
{
    if (!s->ops->upgraded || !s->ops->upgraded(s, l))
        give_up(s, l);
    s->over = true;
}

/* `response` is complete at server_at. */
static void response_done(struct tb_http_pairing *s, struct tb_learn *l)
{
    bool is_continue = s->response.status == 100;
    s->reading = false;
    if (tb_http_interim(&s->response) && !is_continue)
        return;
    if (s->head_waits && !s->count)
        cut_expect_head(s, l);

    const struct tb_http_pending *p = oldest(s);
    bool expects = p && (p->note & TB_HTTP_NOTE_EXPECTS);
    if (is_continue && !expects)
        return;
    if (p) {
        answer(s, l, s->server_at, response_note(s));
        s->body_refused = expects && !is_continue;
        if (tb_http_ends_http(&s->response))
            end_http(s, l);
    } else if (tb_http_begun(&s->request) && !s->early) {
        s->early = true;
        s->early_end = s->server_at;
        s->early_note = response_note(s);
    } /* else nobody asked: a 408 before the server closes, for example */
}

static size_t server_data(struct tb_http_pairing *s, struct tb_learn *l, const uint8_t *bytes,
                          size_t len)
{
    size_t at = 0;
    while (at < len && !s->over && !s->lost) {
        if (!s->reading)
            begin_response(s);
        enum tb_http_event event;
        do {
            size_t used;
            event = tb_http_feed(&s->response, bytes + at, len - at, &used);
            at += used;
            s->server_at += used;
        } while (event == TB_HTTP_HEAD_END);
        if (event == TB_HTTP_DONE)
            response_done(s, l);
        else if (event == TB_HTTP_BAD && s->was_lost)
            s->lost = true; /* more of what we lost, rather than no HTTP */
        else if (event == TB_HTTP_BAD)
            give_up(s, l);
    }
    return at;
}

static void server_gap(struct tb_http_pairing *s, struct tb_learn *l, uint64_t len)
{
    if (!s->reading || !tb_http_skip(&s->response, len)) {
        s->lost = s->was_lost = true;
        return;
    }
    s->server_at += len;
    size_t used;
    if (tb_http_feed(&s->response, NULL, 0, &used) == TB_HTTP_DONE)
        response_done(s, l);
}

/* --- for the module --------------------------------------------------------------------------- */

void tb_http_pairing_init(struct tb_http_pairing *s, const struct tb_host *host,
                          const struct tb_http_pairing_ops *ops, bool digest)
{
    *s = (struct tb_http_pairing){.host = host, .ops = ops, .digest = digest};
    tb_http_begin_request(&s->request, false);
}

size_t tb_http_pairing_server(struct tb_http_pairing *s, struct tb_learn *l, uint64_t offset,
                              const uint8_t *bytes, uint64_t len)
{
    size_t used = 0;
    if (bytes && !s->lost)
        used = server_data(s, l, bytes, (size_t) len);
    else if (!bytes && !s->lost)
        server_gap(s, l, len);
    s->server_at = offset + len;
    return used;
}

void tb_http_pairing_end(struct tb_http_pairing *s, struct tb_learn *l)
{
    if (s->over)
        return;
    if (s->lost)
        resynchronise(s, l);
    else if (s->reading && tb_http_until_close(&s->response) && server_closed(s, l) &&
             !(s->response.flags & TB_HTTP_EVENTS)) /* an event stream was only cut off */
        response_done(s, l);
    bool begun = s->body_only || tb_http_begun(&s->request);
    if (s->client_at > s->cut_at && !s->over && s->part_cut)
        cut_so_far(s, l);
    else if (s->client_at > s->cut_at && !s->over) /* a request cut short, or stray empty lines */
        cut(s, l, begun && !s->body_refused ? 0 : TB_CUT_NO_RESPONSE, request_note(s));
}

void tb_http_pairing_fini(struct tb_http_pairing *s)
{
    free(s->pending);
}
