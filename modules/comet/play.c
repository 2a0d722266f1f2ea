/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a comet session: requests go out as captured but for what must be fresh (keys,
 * answers to pings); behind the last one the session is held, with heartbeats and polls as the
 * client had them, until its time is over or the server ends it; then it may be reconnected. Called
 * by the host from the worker that owns the session.
 */
#include "comet.h"

#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_HOLD_US = 60000000, /* without --hold, hold_s and --duration */
    TROUBLE_PAUSE_US = 1000000, /* before a poll that follows an error */
    REACTION_US = 3000000       /* the longest wait for messages that a frame may depend on */
};

static const struct tb_host *host(void)
{
    return tb_comet_config.host;
}

static struct tb_comet_session_note note_of(const struct tb_session *s)
{
    return tb_comet_note_unpack(host()->session_note(s));
}

/* --- time ------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a != 0 && a < b ? a : b;
}

static void arm(struct tb_session *s, const struct tb_comet_session *c)
{
    uint64_t now = host()->now_us(s), at = earlier(c->wait_us, UINT64_MAX);
    if (c->flags & TB_COMET_IS_HELD)
        at = earlier(c->next_us, earlier(c->hold_end_us, at));
    host()->set_timer(s, at == UINT64_MAX ? UINT64_MAX : at > now ? at - now : 0);
}

static void wait_no_longer(struct tb_session *s, struct tb_comet_session *c)
{
    if (c->wait_us == 0)
        return;
    c->wait_us = 0;
    arm(s, c);
}

/* How long sessions are held: the command line, the module's option, the run, a minute. */
static uint64_t hold_us(struct tb_session *s)
{
    uint64_t us = host()->hold_us(s);
    if (us != 0)
        return us;
    if (tb_comet_config.has_hold)
        return tb_comet_config.hold_us;
    us = host()->run_left_us(s);
    return us != UINT64_MAX ? us : DEFAULT_HOLD_US;
}

static uint64_t after(uint64_t now, uint64_t us)
{
    return us == UINT64_MAX ? UINT64_MAX : now + us;
}

/* Between two heartbeats or polls; 0: there are none. */
static uint64_t interval_us(struct tb_session *s, const struct tb_comet_session_note *note)
{
    if (note->kind == TB_COMET_SOCKET)
        return tb_comet_config.has_heartbeat        ? tb_comet_config.heartbeat_us
               : note->repeated != TB_COMET_NOTHING ? note->interval_us
                                                    : 0;
    return host()->scale_us(s, note->interval_us);
}

/* --- requests --------------------------------------------------------------------------------- */

/* A poll of the script may wait for its answer, and a stream last, as long as the session would be
 * held. */
static void limit_wait(struct tb_session *s, struct tb_comet_session *c)
{
    uint64_t hold = hold_us(s);
    if (hold == UINT64_MAX || c->wait_us != 0)
        return;
    c->wait_us = host()->now_us(s) + hold;
    arm(s, c);
}

static enum tb_request_action upgrade(struct tb_session *s, const struct tb_request_info *r)
{
    uint32_t accept = 0;
    if (!tb_comet_send_upgrade(s, r, &accept))
        return TB_REQUEST_SEND;
    struct tb_comet_open *o = host()->busy_state(s);
    if (o)
        o->accept = accept;
    return TB_REQUEST_REPLACED;
}

/* The script is over. */
static enum tb_request_action hold(struct tb_session *s, struct tb_comet_session *c)
{
    struct tb_comet_session_note note = note_of(s);
    uint64_t now = host()->now_us(s), interval = interval_us(s, &note);
    if ((c->flags & TB_COMET_CLOSES) && c->reading == TB_COMET_READS_HEAD)
        return TB_REQUEST_SEND;
    wait_no_longer(s, c); /* the hold limits that of the last poll from now on */
    if (c->hold_end_us == 0)
        c->hold_end_us = after(now, hold_us(s));
    c->flags |= TB_COMET_IS_HELD;
    tb_comet_count(s, TB_COUNT_SESSIONS_HELD, 1);
    /* What the capture shows unanswered is awaited now; an answered poll is followed by another. */
    if (note.kind == TB_COMET_SOCKET && interval != 0 && c->next_us == 0)
        c->next_us = now + interval;
    arm(s, c);
    return TB_REQUEST_HOLD;
}

/* A frame that may depend on what the server said before it waits for that. */
static bool waits_for_server(struct tb_session *s, struct tb_comet_session *c, uint64_t note)
{
    uint64_t now = host()->now_us(s);
    if (!(note & TB_COMET_NOTE_REACTS) || c->hurried ||
        c->messages >= note >> TB_COMET_NOTE_MESSAGES_SHIFT)
        return false;
    if (c->wait_us == 0) {
        c->wait_us = now + REACTION_US;
        arm(s, c);
    }
    c->hurried = c->wait_us <= now;
    return !c->hurried;
}

/* The connection stands. */
static void is_up(struct tb_session *s, struct tb_comet_session *c)
{
    if (c->flags & TB_COMET_IS_UP)
        return;
    if (c->flags & TB_COMET_WAS_UP)
        tb_comet_count(s, TB_COUNT_SESSIONS_BACK, 1);
    c->flags |= TB_COMET_IS_UP | TB_COMET_WAS_UP;
}

enum tb_request_action tb_comet_request(struct tb_session *s, const struct tb_request_info *r)
{
    struct tb_comet_session *c = host()->session_state(s);
    is_up(s, c);
    if (!r)
        return hold(s, c);
    if (r->note & (TB_COMET_NOTE_ANSWER | TB_COMET_NOTE_CLOSE))
        return TB_REQUEST_SKIP;
    if (r->note & TB_COMET_NOTE_SOCKET)
        return upgrade(s, r);
    if (r->note & TB_COMET_NOTE_POLL) {
        host()->no_timeout(s);
        limit_wait(s, c);
    }
    if (r->note & TB_COMET_NOTE_FRAME) {
        if (waits_for_server(s, c, r->note))
            return TB_REQUEST_WAIT;
        wait_no_longer(s, c);
        struct tb_comet_session_note note = note_of(s);
        uint64_t interval = interval_us(s, &note);
        if (r->index == note.repeated && interval != 0)
            c->next_us = host()->now_us(s) + interval;
    }
    return TB_REQUEST_SEND;
}

void tb_comet_poll_again(struct tb_session *s, struct tb_comet_session *c, unsigned status)
{
    struct tb_comet_session_note note = note_of(s);
    if (note.repeated == TB_COMET_NOTHING || note.kind == TB_COMET_SOCKET)
        return;
    uint64_t pause = interval_us(s, &note);
    if (status >= 400 && pause < TROUBLE_PAUSE_US)
        pause = TROUBLE_PAUSE_US;
    c->next_us = host()->now_us(s) + (pause ? pause : 1);
    if (c->flags & TB_COMET_IS_HELD)
        arm(s, c);
}

/* --- responses of the script ------------------------------------------------------------------ */

static enum tb_response_status mismatch(struct tb_session *s, unsigned captured, const char *seen)
{
    char text[16];
    snprintf(text, sizeof text, "%u", captured);
    host()->mismatch(s, captured ? text : "unknown", seen);
    return TB_RESPONSE_MISMATCH;
}

/* The response to the upgrade request: without a WebSocket the session makes no sense. */
static enum tb_response_status upgraded(struct tb_session *s, struct tb_comet_session *c,
                                        const struct tb_comet_open *o)
{
    char why[64];
    if (o->http.response.status != 101) {
        snprintf(why, sizeof why, "no WebSocket: the server answered %u", o->http.response.status);
        host()->fail_reason(s, why);
        return TB_RESPONSE_FATAL;
    }
    if (o->accept != 0 && o->http.response.accept != o->accept) {
        host()->fail_reason(s, "no WebSocket: Sec-WebSocket-Accept is wrong");
        return TB_RESPONSE_FATAL;
    }
    tb_comet_count(s, TB_COUNT_WS_UPGRADES, 1);
    c->reading = TB_COMET_READS_FRAMES;
    return TB_RESPONSE_COMPLETE;
}

/* An awaited response is complete. */
static enum tb_response_status judge(struct tb_session *s, struct tb_comet_session *c,
                                     struct tb_comet_open *o, uint64_t note)
{
    const struct tb_http_message *m = &o->http.response;
    unsigned captured = tb_http_note_status(note);
    wait_no_longer(s, c);
    if (note & TB_COMET_NOTE_SOCKET)
        return upgraded(s, c, o);
    if (tb_http_closes(m))
        c->flags |= TB_COMET_CLOSES;
    if (note & TB_COMET_NOTE_POLL)
        tb_comet_poll_answered(s, m, &o->push);
    struct tb_comet_session_note session = note_of(s);
    struct tb_request_info r;
    if (host()->awaited(s, &r) && r.index == session.repeated) /* the script's last one */
        tb_comet_poll_again(s, c, m->status);
    if (captured && captured / 100 != m->status / 100u) {
        char seen[16];
        snprintf(seen, sizeof seen, "%u", m->status);
        return mismatch(s, captured, seen);
    }
    return TB_RESPONSE_COMPLETE;
}

static enum tb_response_status finish(struct tb_session *s, struct tb_comet_session *c,
                                      struct tb_comet_open *o, uint64_t note)
{
    enum tb_response_status status = judge(s, c, o, note);
    *o = (struct tb_comet_open){0};
    return status;
}

static enum tb_response_status awaited(struct tb_session *s, struct tb_comet_session *c,
                                       uint64_t note, const uint8_t *data, size_t len, size_t *used)
{
    struct tb_comet_open *o = host()->busy_state(s);
    if (!o)
        return TB_RESPONSE_MORE;
    bool is_poll = note & TB_COMET_NOTE_POLL;
    struct tb_comet_body body = {
        .session = s, .push = &o->push, .is_poll = is_poll, .is_other = !is_poll};
    struct tb_http_sink sink = {tb_comet_body_bytes, &body};
    const struct tb_http_reading_how how = {.watch = true, .sink = &sink};
    switch (tb_http_read(&o->http, note, &how, data, len, used)) {
    case TB_HTTP_DONE:
        return finish(s, c, o, note);
    case TB_HTTP_BAD:
        *used = len;
        tb_comet_count(s, TB_COUNT_NOT_HTTP, 1);
        *o = (struct tb_comet_open){0};
        return mismatch(s, tb_http_note_status(note), "not HTTP");
    default:
        if (o->http.response.flags & TB_HTTP_EVENTS) /* it may last, whatever the capture shows */
            limit_wait(s, c);
        return TB_RESPONSE_MORE;
    }
}

/* --- what the server pushes ------------------------------------------------------------------- */

static bool is_at_rest(const struct tb_comet_session *c, const struct tb_comet_open *o)
{
    if (c->reading == TB_COMET_READS_FRAMES)
        return !tb_ws_begun(&o->frame) && o->push.start_len == 0;
    return !o->http.begun;
}

/* Bytes that the host does not follow. A push that comes in one piece needs no memory. */
static enum tb_response_status listen(struct tb_session *s, struct tb_comet_session *c,
                                      const uint8_t *data, size_t len)
{
    struct tb_comet_open local = {0}, *o = &local;
    if (c->reading == TB_COMET_READS_NOTHING)
        return TB_RESPONSE_MORE;
    if (c->flags & TB_COMET_IS_OPEN)
        o = host()->busy_state(s);
    if (!o)
        return TB_RESPONSE_MORE;
    enum tb_response_status status = c->reading == TB_COMET_READS_FRAMES
                                         ? tb_comet_read_frames(s, c, o, data, len)
                                         : tb_comet_read_http(s, c, o, data, len);
    bool rests =
        c->reading == TB_COMET_READS_NOTHING || status != TB_RESPONSE_MORE || is_at_rest(c, o);
    if (rests && !(c->flags & TB_COMET_IS_OPEN))
        return status;
    if (rests) {
        *o = (struct tb_comet_open){0};
        c->flags &= (uint8_t) ~TB_COMET_IS_OPEN;
    } else if (o == &local) {
        struct tb_comet_open *kept = host()->busy_state(s);
        if (!kept)
            return TB_RESPONSE_MORE;
        *kept = local;
        c->flags |= TB_COMET_IS_OPEN;
    }
    host()->keep_busy(s, !rests);
    return status;
}

/* The server has closed with nothing awaited. */
static enum tb_response_status closed(struct tb_session *s, const struct tb_comet_session *c)
{
    /* An answer to a poll that the end of the connection completes. */
    if (c->reading == TB_COMET_READS_TO_CLOSE && (c->flags & TB_COMET_IS_OPEN) &&
        note_of(s).kind == TB_COMET_POLL && !(c->flags & TB_COMET_EVENTS)) {
        struct tb_comet_open *o = host()->busy_state(s);
        if (o)
            tb_comet_poll_answered(s, &o->http.response, &o->push);
        return TB_RESPONSE_COMPLETE;
    }
    /* It has said so: in a farewell, or in the last response (a poll of ours, or the script's,
     * which has no more to send then). */
    bool expected = c->reading == TB_COMET_READS_NOTHING ||
                    (c->reading == TB_COMET_READS_HEAD && (c->flags & TB_COMET_IS_HELD));
    return expected && (c->flags & TB_COMET_CLOSES) ? TB_RESPONSE_COMPLETE : TB_RESPONSE_MORE;
}

enum tb_response_status tb_comet_response(struct tb_session *s, const uint8_t *data, size_t len,
                                          unsigned flags, size_t *used)
{
    struct tb_comet_session *c = host()->session_state(s);
    struct tb_request_info req;
    bool asked = !(flags & TB_RESPONSE_UNASKED) && host()->awaited(s, &req);
    *used = len;
    if ((flags & TB_RESPONSE_CLOSED) && asked) {
        struct tb_comet_open *o = host()->busy_state(s);
        bool complete = o && o->http.begun && tb_http_until_close(&o->http.response);
        return complete ? finish(s, c, o, req.note) : TB_RESPONSE_MORE;
    }
    if (flags & TB_RESPONSE_CLOSED)
        return closed(s, c);
    if (len > 0)
        c->attempts = 0;
    return asked ? awaited(s, c, req.note, data, len, used) : listen(s, c, data, len);
}

/* --- timer ------------------------------------------------------------------------------------ */

/* The session's time is over. */
static enum tb_response_status leave(struct tb_session *s, const struct tb_comet_session *c)
{
    static const uint8_t normal[] = {1000 >> 8, 1000 & 0xff};
    if (c->reading == TB_COMET_READS_FRAMES)
        tb_comet_send_frame(s, TB_WS_CLOSE, normal, sizeof normal);
    return TB_RESPONSE_LEAVE;
}

/* Those that were missed while this machine stood still are not made up for: no client does that,
 * and the answers to hundreds of them at once would not find room. */
static void heartbeat(struct tb_session *s, struct tb_comet_session *c,
                      const struct tb_comet_session_note *note)
{
    uint64_t now = host()->now_us(s), interval = interval_us(s, note);
    if (note->repeated != TB_COMET_NOTHING)
        host()->send_request(s, note->repeated);
    else
        tb_comet_send_frame(s, TB_WS_PING, NULL, 0);
    tb_comet_count(s, TB_COUNT_HEARTBEATS_SENT, 1);
    c->next_us += interval;
    if (c->next_us <= now)
        c->next_us = now + interval;
}

enum tb_response_status tb_comet_timer(struct tb_session *s)
{
    struct tb_comet_session *c = host()->session_state(s);
    uint64_t now = host()->now_us(s);
    bool held = c->flags & TB_COMET_IS_HELD;
    if (c->wait_us != 0 && c->wait_us <= now && c->reading != TB_COMET_READS_FRAMES)
        return leave(s, c);
    if (held && c->hold_end_us <= now)
        return leave(s, c);
    if (held && c->next_us != 0 && c->next_us <= now) {
        struct tb_comet_session_note note = note_of(s);
        if (note.kind == TB_COMET_SOCKET) {
            heartbeat(s, c, &note);
        } else {
            host()->send_request(s, note.repeated);
            tb_comet_count(s, TB_COUNT_POLLS_REPEATED, 1);
            c->next_us = 0;
        }
    }
    if (held)
        arm(s, c);
    return TB_RESPONSE_MORE;
}

/* --- start and end ---------------------------------------------------------------------------- */

int tb_comet_session_start(struct tb_session *s)
{
    tb_comet_count_start(s);
    return 0;
}

/* Doubles from attempt to attempt; sessions that were lost together come back one by one. */
static uint64_t back_off_us(struct tb_session *s, unsigned attempts)
{
    const struct tb_comet_config *cfg = &tb_comet_config;
    uint64_t most = cfg->reconnect_first_us;
    while (attempts-- > 0 && most < cfg->reconnect_most_us)
        most *= 2;
    if (most > cfg->reconnect_most_us)
        most = cfg->reconnect_most_us;
    return most / 2 + tb_comet_random(s) % (most / 2 + 1);
}

int64_t tb_comet_session_end(struct tb_session *s, enum tb_verdict verdict)
{
    struct tb_comet_session *c = host()->session_state(s);
    bool was_up = c->flags & TB_COMET_WAS_UP;
    bool lost = (c->flags & TB_COMET_IS_UP) &&
                (verdict == TB_VERDICT_SERVER_CLOSED || verdict == TB_VERDICT_RESPONSE_TIMEOUT);
    bool no_answer = verdict == TB_VERDICT_REFUSED || verdict == TB_VERDICT_CONNECT_TIMEOUT ||
                     verdict == TB_VERDICT_SERVER_CLOSED ||
                     verdict == TB_VERDICT_RESPONSE_TIMEOUT || verdict == TB_VERDICT_MODULE;
    if (lost)
        tb_comet_count_lost(s);
    bool time_left = c->hold_end_us == 0 || c->hold_end_us > host()->now_us(s);
    if (!tb_comet_config.reconnects || !time_left || !was_up || !(lost || no_answer))
        return -1;
    uint64_t delay = back_off_us(s, c->attempts);
    *c = (struct tb_comet_session){
        .hold_end_us = c->hold_end_us,
        .flags = TB_COMET_WAS_UP,
        .attempts = c->attempts < UINT8_MAX ? (uint8_t) (c->attempts + 1) : UINT8_MAX,
    };
    return (int64_t) delay;
}
