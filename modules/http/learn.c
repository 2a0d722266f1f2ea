/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Learning a captured HTTP session: cuts the client's stream into requests, pairs them with the
 * responses in order, and notes of each what play.c needs to frame and judge the real response.
 * Called by the host with both streams in the order of capture.
 *
 * A request with "Expect: 100-continue" becomes two (head and body) only if its client waited: the
 * server spoke before the body began. Where the capture lacks server bytes so that responses can no
 * longer be framed, the next request tells that those before it had been answered.
 */
#include "http.h"

#include <stdlib.h>
#include <string.h>

/* A request cut whose response is not complete. */
struct pending {
    uint32_t index;
    uint64_t note;
};

struct learner {
    struct tb_http_message request, response; /* being read */
    uint64_t client_at, server_at;            /* stream offsets read up to */
    uint64_t cut_at;                          /* end of the last request cut */
    struct pending *pending;                  /* oldest at `first` */
    size_t first, count, room;
    uint64_t early_end, early_note; /* see `early` */
    bool reading;                   /* `response` has begun */
    bool head_waits;                /* `request` is at the end of an Expect head, nothing behind */
    bool body_only;                 /* `request` goes on behind such a head, which has been cut */
    bool body_refused;              /* a final status answered the head: nothing answers the body */
    bool early;                     /* a response was complete before `request` was */
    bool lost;                      /* the end of the current response is not known */
    bool was_lost;
    bool opaque; /* given up, or no HTTP any more */
};

static const struct tb_host *host(void)
{
    return tb_http_config.host;
}

static void give_up(struct learner *s, struct tb_learn *l)
{
    if (!s->opaque)
        host()->learn_opaque(l);
    s->opaque = true;
}

/* --- outstanding requests -------------------------------------------------------------------- */

static void push(struct learner *s, struct tb_learn *l, struct pending p)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 8;
        struct pending *more = realloc(s->pending, room * sizeof *more);
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

static struct pending *oldest(struct learner *s)
{
    return s->count ? &s->pending[s->first] : NULL;
}

/* The oldest outstanding response ends at server offset `end`; `note`: what it was. */
static void answer(struct learner *s, struct tb_learn *l, uint64_t end, uint64_t note)
{
    struct pending *p = oldest(s);
    if (note)
        host()->learn_note(l, p->index, p->note | note);
    host()->learn_response(l, end);
    s->first = (s->first + 1) % s->room;
    s->count--;
}

/* --- client stream ---------------------------------------------------------------------------- */

static uint64_t request_note(const struct tb_http_message *m)
{
    return m->method | (m->flags & TB_HTTP_UPGRADE ? TB_HTTP_NOTE_UPGRADE : 0u);
}

/* Cut at client_at. */
static void cut(struct learner *s, struct tb_learn *l, unsigned flags, uint64_t note)
{
    struct pending p = {.note = note};
    p.index = host()->learn_cut(l, s->client_at, flags, note);
    s->cut_at = s->client_at;
    if (!(flags & TB_CUT_NO_RESPONSE))
        push(s, l, p);
    if (s->early && s->count)
        answer(s, l, s->early_end, s->early_note);
    s->early = false;
}

static void cut_request(struct learner *s, struct tb_learn *l)
{
    cut(s, l, s->body_refused ? TB_CUT_NO_RESPONSE : 0, request_note(&s->request));
    s->body_only = s->body_refused = false;
    tb_http_begin_request(&s->request, false);
}

static void cut_expect_head(struct learner *s, struct tb_learn *l)
{
    cut(s, l, TB_CUT_PART, request_note(&s->request) | TB_HTTP_NOTE_EXPECTS);
    s->head_waits = false;
    s->body_only = true;
}

/* Hosts before this function cannot tell; then such a response is not waited for. */
static bool server_closed(struct tb_learn *l)
{
    const struct tb_host *h = host();
    return h->size > offsetof(struct tb_host, learn_server_closed) && h->learn_server_closed &&
           h->learn_server_closed(l);
}

/* The responses whose end was lost had ended when their client went on. */
static void resynchronise(struct learner *s, struct tb_learn *l)
{
    if (s->head_waits)
        cut_expect_head(s, l);
    while (s->count)
        answer(s, l, s->server_at, 0);
    s->lost = s->reading = false;
}

static void client_data(struct learner *s, struct tb_learn *l, const uint8_t *bytes, size_t len)
{
    if (s->lost && (s->head_waits || !tb_http_begun(&s->request)))
        resynchronise(s, l);
    s->head_waits = false;
    for (size_t at = 0; !s->opaque;) {
        size_t used;
        enum tb_http_event event = tb_http_feed(&s->request, bytes + at, len - at, &used);
        at += used;
        s->client_at += used;
        switch (event) {
        case TB_HTTP_MORE:
            return;
        case TB_HTTP_BAD:
            give_up(s, l);
            return;
        case TB_HTTP_HEAD_END:
            s->head_waits =
                (s->request.flags & TB_HTTP_EXPECTS) && tb_http_in_body(&s->request) && at == len;
            break;
        case TB_HTTP_DONE:
            cut_request(s, l);
            break;
        }
    }
}

/* --- server stream ---------------------------------------------------------------------------- */

static void begin_response(struct learner *s)
{
    const struct pending *p = oldest(s);
    uint8_t method = p ? (uint8_t) tb_http_note_method(p->note) : s->request.method;
    tb_http_begin_response(&s->response, (enum tb_http_method) method, tb_http_config.digest);
    s->reading = true;
}

static uint64_t response_note(const struct tb_http_message *m)
{
    uint64_t note = (uint64_t) m->status << TB_HTTP_NOTE_STATUS_SHIFT;
    if ((m->flags & TB_HTTP_DIGEST) && !(m->flags & TB_HTTP_DIGEST_LOST))
        note |= TB_HTTP_NOTE_HAS_DIGEST | (uint64_t) m->digest << TB_HTTP_NOTE_DIGEST_SHIFT;
    return note;
}

/* `response` is complete at server_at. */
static void response_done(struct learner *s, struct tb_learn *l)
{
    bool is_continue = s->response.status == 100;
    s->reading = false;
    if (tb_http_interim(&s->response) && !is_continue)
        return;
    if (s->head_waits && !s->count)
        cut_expect_head(s, l);

    const struct pending *p = oldest(s);
    bool expects = p && (p->note & TB_HTTP_NOTE_EXPECTS);
    if (is_continue && !expects)
        return;
    if (p) {
        answer(s, l, s->server_at, response_note(&s->response));
        s->body_refused = expects && !is_continue;
        if (tb_http_ends_http(&s->response))
            give_up(s, l);
    } else if (tb_http_begun(&s->request) && !s->early) {
        s->early = true;
        s->early_end = s->server_at;
        s->early_note = response_note(&s->response);
    } /* else nobody asked: a 408 before the server closes, for example */
}

static void server_data(struct learner *s, struct tb_learn *l, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len && !s->opaque && !s->lost;) {
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
}

static void server_gap(struct learner *s, struct tb_learn *l, uint64_t len)
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

/* --- hooks ------------------------------------------------------------------------------------ */

void *tb_http_learn_begin(struct tb_learn *l)
{
    struct learner *s = calloc(1, sizeof *s);
    if (!s) {
        host()->learn_opaque(l);
        return NULL;
    }
    tb_http_begin_request(&s->request, false);
    return s;
}

void tb_http_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                        const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    struct learner *s = state;
    if (!s || s->opaque || len == 0)
        return;
    if (dir == TB_CLIENT_BYTES) {
        if (bytes)
            client_data(s, l, bytes, (size_t) len);
        else
            give_up(s, l);
        return;
    }
    if (bytes && !s->lost)
        server_data(s, l, bytes, (size_t) len);
    else if (!bytes && !s->lost)
        server_gap(s, l, len);
    s->server_at = offset + len;
}

void tb_http_learn_end(struct tb_learn *l, void *state, bool used)
{
    struct learner *s = state;
    if (!s)
        return;
    if (used && !s->opaque) {
        if (s->lost)
            resynchronise(s, l);
        else if (s->reading && tb_http_until_close(&s->response) && server_closed(l))
            response_done(s, l);
        bool begun = s->body_only || tb_http_begun(&s->request);
        if (s->client_at > s->cut_at && !s->opaque) /* a request cut short, or stray empty lines */
            cut(s, l, begun && !s->body_refused ? 0 : TB_CUT_NO_RESPONSE,
                request_note(&s->request));
    }
    free(s->pending);
    free(s);
}
