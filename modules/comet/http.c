/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pushes over HTTP: events of an event stream, parts of a body that does not end, answers to polls;
 * and reading responses that the host does not follow because the capture does not show their end.
 * Called from play.c.
 */
#include "comet.h"
#include "stamp.h"

#include <string.h>

void tb_comet_push_bytes(struct tb_session *s, struct tb_comet_push *push, const uint8_t *data,
                         size_t len)
{
    if (push->sent_us == 0)
        push->sent_us = tb_stamp_find(data, len, tb_comet_host()->real_us(s));
}

/* A part of the body, or a line of it, is a push. */
static void part_done(struct tb_session *s, struct tb_comet_push *push)
{
    tb_comet_count(s, TB_COUNT_BODY_PARTS, 1);
    tb_comet_count_push(s, push->sent_us);
    push->sent_us = 0;
}

/* An empty line of an event stream: what came before it is an event if it had data. */
static void event_done(struct tb_session *s, struct tb_comet_push *push)
{
    if (push->has_data) {
        tb_comet_count(s, TB_COUNT_EVENTS, 1);
        tb_comet_count_push(s, push->sent_us);
    }
    *push = (struct tb_comet_push){.has_body = true};
}

/* Lines of an event stream (HTML, server-sent events §9.2.6), ended by LF or CR LF. */
static void event_bytes(struct tb_session *s, struct tb_comet_push *push, const uint8_t *p,
                        size_t len)
{
    static const char data[] = "data";
    enum { DATA = sizeof data - 1, OTHER = DATA + 1 };
    for (size_t at = 0; at < len;) {
        if (!push->in_line && p[at] == '\r') {
            at++;
            continue;
        }
        if (!push->in_line && p[at] == '\n') {
            event_done(s, push);
            at++;
            continue;
        }
        if (!push->in_line && p[at] == ':') {
            tb_comet_count(s, TB_COUNT_EVENT_COMMENTS, 1);
            push->match = OTHER;
        }
        push->in_line = true;
        while (push->match < DATA && at < len && p[at] == (uint8_t) data[push->match]) {
            push->match++;
            at++;
        }
        if (at == len)
            return;
        if (push->match == DATA && (p[at] == ':' || p[at] == '\n' || p[at] == '\r'))
            push->has_data = true;
        push->match = OTHER;
        const uint8_t *lf = memchr(p + at, '\n', len - at);
        size_t n = lf ? (size_t) (lf - p) - at : len - at;
        tb_comet_push_bytes(s, push, p + at, n);
        at += n + (lf != NULL);
        if (lf) {
            push->in_line = false;
            push->match = 0;
        }
    }
}

static void line_bytes(struct tb_session *s, struct tb_comet_push *push, const uint8_t *p,
                       size_t len)
{
    for (size_t at = 0; at < len;) {
        const uint8_t *lf = memchr(p + at, '\n', len - at);
        size_t n = lf ? (size_t) (lf - p) - at : len - at;
        for (size_t i = 0; i < n && !push->in_line; i++)
            push->in_line = p[at + i] != '\r'; /* else it is an empty line so far */
        tb_comet_push_bytes(s, push, p + at, n);
        at += n + (lf != NULL);
        if (lf && push->in_line)
            part_done(s, push);
        if (lf)
            push->in_line = false;
    }
}

void tb_comet_body_bytes(void *ctx, const struct tb_http_message *m, const uint8_t *data,
                         size_t len, bool part_end)
{
    struct tb_comet_body *b = ctx;
    bool by_line = tb_comet_config.by_line || !(m->flags & TB_HTTP_CHUNKED);
    if (m->status / 100 != 2 || (b->is_other && !(m->flags & TB_HTTP_EVENTS)))
        return;
    b->push->has_body |= len > 0;
    tb_comet_count(b->session, TB_COUNT_PUSH_BYTES, len);
    if (m->flags & TB_HTTP_EVENTS) {
        event_bytes(b->session, b->push, data, len);
    } else if (b->is_poll) {
        tb_comet_push_bytes(b->session, b->push, data, len);
    } else if (by_line) {
        line_bytes(b->session, b->push, data, len);
    } else {
        tb_comet_push_bytes(b->session, b->push, data, len);
        if (part_end)
            part_done(b->session, b->push);
    }
}

void tb_comet_poll_answered(struct tb_session *s, const struct tb_http_message *m,
                            struct tb_comet_push *push)
{
    if (m->flags & TB_HTTP_EVENTS)
        return;
    bool says = m->status / 100 == 2 && push->has_body;
    tb_comet_count(s, says ? TB_COUNT_POLLS_ANSWERED : TB_COUNT_POLLS_EMPTY, 1);
    if (says)
        tb_comet_count_push(s, push->sent_us);
}

/* --- responses the host does not follow ------------------------------------------------------- */

/* Go on where nothing is half read. */
static void resume(const struct tb_comet_session *c, struct tb_comet_open *o)
{
    struct tb_http_message *m = &o->http.response;
    if (o->http.begun || c->reading == TB_COMET_READS_HEAD)
        return;
    tb_http_resume(m, c->reading == TB_COMET_READS_CHUNKS);
    if (c->flags & TB_COMET_EVENTS)
        m->flags |= TB_HTTP_EVENTS;
    o->http.begun = true;
}

static void response_done(struct tb_session *s, struct tb_comet_session *c, struct tb_comet_open *o,
                          bool is_poll)
{
    const struct tb_http_message *m = &o->http.response;
    if (is_poll)
        tb_comet_poll_answered(s, m, &o->push);
    if (tb_http_closes(m))
        c->flags |= TB_COMET_CLOSES;
    else
        tb_comet_poll_again(s, c, m->status);
    c->reading = TB_COMET_READS_HEAD;
    c->flags &= (uint8_t) ~TB_COMET_EVENTS;
    o->http = (struct tb_http_reading){0};
    o->push = (struct tb_comet_push){0};
}

/* Where nothing is half read, forget all but what resume() needs. */
static void rest(struct tb_comet_session *c, struct tb_comet_open *o, bool is_poll)
{
    const struct tb_http_message *m = &o->http.response;
    if (!o->http.begun)
        return;
    if (tb_http_until_close(m))
        c->reading = TB_COMET_READS_TO_CLOSE;
    else if (tb_http_between_chunks(m))
        c->reading = TB_COMET_READS_CHUNKS;
    else
        return;
    if (m->flags & TB_HTTP_EVENTS)
        c->flags |= TB_COMET_EVENTS;
    if (tb_http_closes(m))
        c->flags |= TB_COMET_CLOSES;
    bool within_push = o->push.in_line || o->push.has_data || o->push.sent_us != 0;
    bool pushes = m->status / 100 == 2; /* as resume() takes for granted */
    if (pushes && !within_push && (!is_poll || (c->flags & TB_COMET_EVENTS)))
        o->http.begun = false;
}

enum tb_response_status tb_comet_read_http(struct tb_session *s, struct tb_comet_session *c,
                                           struct tb_comet_open *o, const uint8_t *data, size_t len)
{
    struct tb_comet_session_note note = tb_comet_note_unpack(tb_comet_host()->session_note(s));
    struct tb_comet_body body = {
        .session = s, .push = &o->push, .is_poll = note.kind == TB_COMET_POLL};
    struct tb_http_sink sink = {tb_comet_body_bytes, &body};
    const struct tb_http_reading_how how = {.watch = true, .sink = &sink};
    resume(c, o);
    while (len > 0) {
        size_t used;
        enum tb_http_event event = tb_http_read(&o->http, 0, &how, data, len, &used);
        if (event == TB_HTTP_BAD) {
            tb_comet_count(s, TB_COUNT_NOT_HTTP, 1);
            c->reading = TB_COMET_READS_NOTHING;
            o->http = (struct tb_http_reading){0};
            return TB_RESPONSE_MORE;
        }
        if (event == TB_HTTP_DONE)
            response_done(s, c, o, body.is_poll);
        data += used;
        len -= used;
    }
    rest(c, o, body.is_poll);
    return TB_RESPONSE_MORE;
}
