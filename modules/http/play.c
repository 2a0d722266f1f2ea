/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Playing HTTP: reads the real server's responses and compares them with what the capture showed.
 * Called by the host from the worker that owns the session. The only memory is the message being
 * read, in the busy state: an idle session needs none.
 */
#include "http.h"

#include <stdio.h>
#include <string.h>

static const struct tb_host *host(void)
{
    return tb_http_config.host;
}

static bool accepted(unsigned captured, unsigned seen)
{
    const struct tb_http_config *c = &tb_http_config;
    for (unsigned i = 0; i < c->accept_count; i++) {
        if (c->accept[i].captured == captured && c->accept[i].seen == seen)
            return true;
    }
    return false;
}

static bool status_as_captured(unsigned captured, unsigned seen)
{
    switch (tb_http_config.check) {
    case TB_HTTP_CHECK_CLASS:
        return captured / 100 == seen / 100 || accepted(captured, seen);
    case TB_HTTP_CHECK_STATUS:
        return captured == seen || accepted(captured, seen);
    case TB_HTTP_CHECK_NONE:
        break;
    }
    return true;
}

static bool body_as_captured(uint64_t note, const struct tb_http_message *m)
{
    bool comparable = tb_http_config.digest && (note & TB_HTTP_NOTE_HAS_DIGEST) &&
                      tb_http_note_status(note) == m->status;
    return !comparable || tb_http_note_digest(note) == m->digest;
}

static void count_status(struct tb_session *s, unsigned status)
{
    unsigned class = status / 100 - 1;
    if (class < TB_HTTP_CLASSES)
        host()->count(s, tb_http_config.status_counter[class], 1);
}

/* The response `m` is complete: is it right? */
static enum tb_response_status judge(struct tb_session *s, uint64_t note,
                                     const struct tb_http_message *m)
{
    unsigned status = tb_http_note_status(note);
    char captured[32], seen[32];
    count_status(s, m->status);
    if (status && !status_as_captured(status, m->status)) {
        snprintf(captured, sizeof captured, "%u", status);
        snprintf(seen, sizeof seen, "%u", m->status);
        host()->mismatch(s, captured, seen);
        return TB_RESPONSE_MISMATCH;
    }
    if (!body_as_captured(note, m)) {
        snprintf(captured, sizeof captured, "%u, body %08x", status, tb_http_note_digest(note));
        snprintf(seen, sizeof seen, "%u, body %08x", m->status, m->digest);
        host()->mismatch(s, captured, seen);
        return TB_RESPONSE_MISMATCH;
    }
    return tb_http_ends_http(m) ? TB_RESPONSE_OPAQUE : TB_RESPONSE_COMPLETE;
}

static enum tb_response_status finish(struct tb_session *s, uint64_t note,
                                      struct tb_http_reading *busy)
{
    enum tb_response_status result = judge(s, note, &busy->response);
    *busy = (struct tb_http_reading){0};
    return result;
}

static void status_text(char *out, size_t len, uint64_t note)
{
    unsigned status = tb_http_note_status(note);
    if (status)
        snprintf(out, len, "%u", status);
    else
        snprintf(out, len, "unknown");
}

/* No way to tell where such a response ends: what has come counts as it, what follows is consumed
 * as unasked, or is wrong for the next request as well. */
static enum tb_response_status not_http(struct tb_session *s, uint64_t note,
                                        struct tb_http_reading *busy)
{
    char captured[8], seen[32] = "not HTTP";
    status_text(captured, sizeof captured, note);
    if (busy->response.status >= 100)
        snprintf(seen, sizeof seen, "%u, broken framing", busy->response.status);
    host()->count(s, tb_http_config.not_http_counter, 1);
    host()->mismatch(s, captured, seen);
    *busy = (struct tb_http_reading){0};
    return TB_RESPONSE_MISMATCH;
}

enum tb_response_status tb_http_response(struct tb_session *s, const uint8_t *data, size_t len,
                                         unsigned flags, size_t *used)
{
    struct tb_request_info req;
    struct tb_http_reading *busy;
    *used = len;
    if ((flags & TB_RESPONSE_UNASKED) || !host()->awaited(s, &req) ||
        (busy = host()->busy_state(s)) == NULL)
        return TB_RESPONSE_MORE;
    if (flags & TB_RESPONSE_CLOSED) {
        bool complete = busy->begun && tb_http_until_close(&busy->response);
        return complete ? finish(s, req.note, busy) : TB_RESPONSE_MORE;
    }
    const struct tb_http_reading_how how = {.digest = tb_http_config.digest};
    switch (tb_http_read(busy, req.note, &how, data, len, used)) {
    case TB_HTTP_DONE:
        return finish(s, req.note, busy);
    case TB_HTTP_BAD:
        *used = len;
        return not_http(s, req.note, busy);
    default:
        return TB_RESPONSE_MORE;
    }
}
