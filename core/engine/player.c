/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a session: connect, send each request when it is due, hand over to ending.c. What
 * comes back is response.c's; the schedule is pacing.h's.
 */
#include "engine/worker.h"

#include <stdlib.h>
#include <string.h>

/* Go on to the user's next address pair, if it has several. Nobody answers for the old one any
 * more, so what is still open there is reset; and the numbers of the record are the old one's. */
static void take_next_pair(struct tb_worker *w, struct tb_user *u)
{
    uint32_t owner = u->tcp.owner;
    uint32_t next = tb_plan_next_generation(w->config->plan, owner, u->generation);
    struct tb_tcp_path path;

    if (next == u->generation)
        return;
    if (u->tcp.state != TB_TCP_CLOSED && u->tcp.state != TB_TCP_TIME_WAIT) {
        tb_user_path(w, u, &path);
        tb_tcp_abort(&w->tcp, &u->tcp, &path);
    }
    tb_tcp_release(&w->tcp, &u->tcp);
    u->tcp = (struct tb_tcp){.owner = owner};
    u->generation = (uint8_t) next;
}

void tb_player_start(struct tb_worker *w, struct tb_user *u, uint64_t late_us)
{
    const struct tb_module *m = tb_user_module(w, u);
    struct tb_tcp_path path;
    struct tb_tcp_syn syn = tb_worker_syn(w, u);
    uint64_t *timer = tb_worker_module_due(w, u);

    /* The play before may have ended in this very turn: its last ACK is still to go out. */
    tb_user_path(w, u, &path);
    tb_tcp_output(&w->tcp, &u->tcp, &path, &syn);
    w->half_closed -= u->tcp.state != TB_TCP_CLOSED && u->tcp.state != TB_TCP_TIME_WAIT;
    if (u->plays++ > 0 && !w->live)
        take_next_pair(w, u);
    u->sent = NULL;
    u->responses = 0;
    bool is_reconnect = u->flags & TB_USER_AGAIN;
    u->flags &= TB_USER_DIRTY;
    u->due_us = TB_NEVER;
    u->phase = TB_PHASE_CONNECTING;
    w->stats.started++;
    w->stats.reconnects += is_reconnect;
    w->stats.requests_planned += tb_user_script(w, u)->requests;
    w->stats.open++;
    if (w->stats.open > w->stats.peak)
        w->stats.peak = w->stats.open;
    if (w->first_syn_us == 0)
        w->first_syn_us = w->tcp.now_us;
    tb_user_path(w, u, &path);
    if (tb_tcp_open(&w->tcp, &u->tcp, &path, &syn) < 0) {
        tb_verdict_set(w, u, TB_VERDICT_ABORTED);
        return;
    }
    if (m->needs_payload)
        u->tcp.flags |= TB_TCP_WANTS_DATA;
    struct tb_busy *b = tb_user_busy(w, u);
    b->start_us = w->tcp.now_us;
    b->late_us = late_us;
    b->give_up_us = w->tcp.now_us + w->config->timeout_us;
    tb_worker_touch(w, u);
    if (timer) {
        if (!is_reconnect)
            memset(timer + 1, 0, m->session_size);
        *timer = TB_NEVER;
    }
    if (m->session_start && m->session_start(tb_worker_session(w, u)) != 0)
        tb_verdict_set(w, u, TB_VERDICT_MODULE);
}

/* --- requests -----------------------------------------------------------------------------------
 */

/* The request's bytes in one piece: in place when they are, else copied to the worker's scratch. */
static const uint8_t *contiguous(struct tb_worker *w, const struct tb_request *r)
{
    struct tb_run run = tb_request_run(r);
    const uint8_t *piece = NULL;
    uint32_t n = tb_run_next(&run, &piece), at = 0;

    if (n == r->len)
        return piece;
    if (w->scratch_bytes < r->len) {
        uint8_t *more = realloc(w->scratch, r->len);
        if (!more)
            return NULL;
        w->scratch = more;
        w->scratch_bytes = r->len;
    }
    for (; n > 0; n = tb_run_next(&run, &piece)) {
        memcpy(w->scratch + at, piece, n);
        at += n;
    }
    return w->scratch;
}

static enum tb_request_action ask_module(struct tb_worker *w, struct tb_user *u,
                                         const struct tb_request *r, uint64_t due_us)
{
    const struct tb_module *m = tb_user_module(w, u);

    /* Of opaque streams a module that learns knows nothing. */
    if (!m->request || ((r->flags & TB_REQ_BYTES) && m->learn_data))
        return TB_REQUEST_SEND;
    struct tb_session *s = tb_worker_session(w, u);
    struct tb_request_info info = {.index = r->index,
                                   .note = r->note,
                                   .data = contiguous(w, r),
                                   .len = r->len,
                                   .due_us = due_us};
    if (!info.data && r->len > 0)
        return TB_REQUEST_FAIL;
    s->request = r;
    s->is_patient = false;
    s->request_data = info.data;
    enum tb_request_action action = m->request(s, &info);
    s->request = NULL;
    return action;
}

static void send_captured(struct tb_worker *w, struct tb_user *u, const struct tb_request *r)
{
    struct tb_run run = tb_request_run(r);
    const uint8_t *piece;
    uint32_t n;

    while ((n = tb_run_next(&run, &piece)) > 0) {
        if (tb_tcp_send(&w->tcp, &u->tcp, piece, n) < 0) {
            tb_verdict_set(w, u, TB_VERDICT_ABORTED);
            return;
        }
    }
}

/* Does something come back that has to be followed? Of a response that the capture does not show
 * complete, only how much of it came before the client's end. */
static bool has_response(const struct tb_worker *w, const struct tb_user *u,
                         const struct tb_request *r)
{
    const struct tb_script *s = tb_user_script(w, u);

    if ((r->flags & TB_REQ_NO_RESPONSE) || w->config->blind)
        return false;
    if (w->live)
        return true; /* it may still be answered */
    if (r->flags & TB_REQ_ANSWERED)
        return true;
    if (tb_user_module(w, u)->holds)
        return false;
    return s->end.client != TB_END_NONE && s->end.bytes > 0 && tb_script_complete(s) &&
           !tb_script_next(r);
}

/* The module waits for bytes that no response is pending for: not for ever, unless its own timer
 * watches over that. */
static void limit_wait(struct tb_worker *w, struct tb_user *u)
{
    const uint64_t *timer = tb_worker_module_due(w, u);
    struct tb_busy *b = (struct tb_busy *) tb_tcp_need_busy(&w->tcp, &u->tcp);

    if (!b)
        tb_verdict_set(w, u, TB_VERDICT_ABORTED);
    else if (b->awaited == 0)
        b->give_up_us = timer && *timer != TB_NEVER ? 0 : w->tcp.now_us + w->config->timeout_us;
}

static void send_request(struct tb_worker *w, struct tb_user *u, const struct tb_request *r,
                         uint64_t due_us)
{
    uint64_t now = w->tcp.now_us;

    if (w->live && !u->sent)
        tb_response_no_greeting(w, u);
    if (u->phase == TB_PHASE_IDLE)
        return;
    struct tb_busy *b = tb_user_busy(w, u);
    if (b && b->awaited == 0)
        b->give_up_us = 0; /* of a module that waited */

    u->flags &= (uint16_t) ~TB_USER_ASK_AGAIN;
    switch (ask_module(w, u, r, due_us)) {
    case TB_REQUEST_SEND:
        send_captured(w, u, r);
        break;
    case TB_REQUEST_REPLACED:
        break;
    case TB_REQUEST_SKIP:
        u->sent = r;
        u->responses += (r->flags & TB_REQ_ANSWERED) != 0;
        return;
    case TB_REQUEST_WAIT:
        u->flags |= TB_USER_ASK_AGAIN;
        limit_wait(w, u);
        return;
    case TB_REQUEST_FAIL:
    case TB_REQUEST_HOLD:
        tb_verdict_set(w, u, TB_VERDICT_MODULE);
        return;
    }
    if (u->phase == TB_PHASE_IDLE)
        return;
    u->sent = r;
    tb_histogram_add(&w->stats.pacing_error, now > due_us ? now - due_us : 0);
    w->stats.requests_sent += !(r->flags & (TB_REQ_CONTINUED | TB_REQ_PART));
    if (has_response(w, u, r) && tb_response_expect(w, u, r, due_us) < 0)
        tb_verdict_set(w, u, TB_VERDICT_ABORTED);
}

static const struct tb_request *next_request(const struct tb_script *s, const struct tb_user *u)
{
    return u->sent ? tb_script_next(u->sent) : tb_script_first(s);
}

/* Have the responses come that the client had when it sent `r`? When nothing is outstanding or the
 * server has closed, no more will. */
static bool may_send(const struct tb_worker *w, const struct tb_user *u, const struct tb_request *r)
{
    const struct tb_busy *b = tb_user_busy(w, u);

    if (w->live && w->config->live->no_wait)
        return true;
    return u->responses >= r->waits_for || (u->flags & TB_USER_SERVER_FIN) || !b || b->awaited == 0;
}

/* Live requests are sent as soon as they are known and may be. False: not now, or the end. */
static bool send_live(struct tb_worker *w, struct tb_user *u, const struct tb_request *r)
{
    uint64_t now = w->tcp.now_us, real = w->tcp.real_us;
    uint64_t late_us = real > r->think_us ? real - r->think_us : 0;

    if ((u->flags & TB_USER_SERVER_FIN) && !tb_ending_is_as_captured(w, u, false)) {
        tb_verdict_set(w, u, TB_VERDICT_CLOSED_EARLY);
        return false;
    }
    if (late_us > now)
        late_us = now;
    send_request(w, u, r, now - late_us);
    if (u->sent == r)
        tb_histogram_add(&w->stats.live.delay, late_us);
    return !(u->flags & TB_USER_ASK_AGAIN);
}

void tb_player_advance(struct tb_worker *w, struct tb_user *u)
{
    const struct tb_script *s = tb_user_script(w, u);
    uint64_t now = w->tcp.now_us;

    while (u->phase == TB_PHASE_PLAYING && u->due_us == TB_NEVER) {
        bool complete = tb_script_complete(s);
        const struct tb_request *r = next_request(s, u);
        if (!r) {
            if (!complete)
                return; /* live traffic: more may come */
            u->phase = TB_PHASE_ENDING;
            break;
        }
        if (!may_send(w, u, r))
            return;
        if (w->live) {
            if (!send_live(w, u, r))
                return;
            continue;
        }
        uint64_t due = now + tb_pacing_scale_us(w->config->pacing, r->think_us);
        if (u->flags & TB_USER_ASK_AGAIN)
            due = now;
        struct tb_busy *b = tb_user_busy(w, u);
        if (!u->sent && b) /* catch up with the plan */
            due -= b->late_us;
        if (due > now) {
            u->due_us = due;
            return;
        }
        send_request(w, u, r, due);
        if (u->flags & TB_USER_ASK_AGAIN)
            return;
    }
    if (u->phase == TB_PHASE_ENDING || u->phase == TB_PHASE_CLOSING)
        tb_ending_advance(w, u);
}

/* --- events
 * ------------------------------------------------------------------------------------------ */

static void connected(struct tb_worker *w, struct tb_user *u)
{
    const struct tb_script *s = tb_user_script(w, u);
    struct tb_busy *b = tb_user_busy(w, u);

    w->stats.established++;
    tb_histogram_add(&w->stats.connect, w->seen_us > b->start_us ? w->seen_us - b->start_us : 0);
    b->give_up_us = 0;
    u->phase = TB_PHASE_PLAYING;
    if ((s->has_greeting || w->live) && !u->sent && !w->config->blind &&
        tb_response_expect(w, u, NULL, w->tcp.now_us) < 0) {
        tb_verdict_set(w, u, TB_VERDICT_ABORTED);
        return;
    }
    tb_player_advance(w, u);
}

/* The server has closed a session that was to stay. The module may know that it had to. */
static void held_session_closed(struct tb_worker *w, struct tb_user *u)
{
    const struct tb_module *m = tb_user_module(w, u);
    const unsigned flags = TB_RESPONSE_CLOSED | TB_RESPONSE_UNASKED;
    size_t used = 0;

    if (u->phase == TB_PHASE_IDLE)
        return;
    if (u->phase == TB_PHASE_CLOSING) {
        tb_player_advance(w, u);
        return;
    }
    if (m->response &&
        m->response(tb_worker_session(w, u), NULL, 0, flags, &used) == TB_RESPONSE_COMPLETE) {
        u->due_us = TB_NEVER;
        tb_ending_due(w, u);
    } else {
        tb_ending_leave(w, u, true);
    }
}

static void server_closed(struct tb_worker *w, struct tb_user *u)
{
    if (tb_response_waits(w, u)) {
        u->flags |= TB_USER_FIN_WAITS;
        return;
    }
    u->flags |= TB_USER_SERVER_FIN;
    tb_response_closed(w, u);
    if (tb_user_module(w, u)->holds) {
        held_session_closed(w, u);
        return;
    }
    if (u->phase == TB_PHASE_HOLDING)
        u->phase = TB_PHASE_ENDING;
    if (u->phase == TB_PHASE_PLAYING && next_request(tb_user_script(w, u), u) &&
        !tb_ending_is_as_captured(w, u, false))
        tb_verdict_set(w, u, TB_VERDICT_CLOSED_EARLY);
    else
        tb_player_advance(w, u);
}

/* A play that is over: only the number of half-closed connections is of interest. */
static void idle_events(struct tb_worker *w, unsigned events)
{
    if ((events & (TB_TCP_EV_FIN | TB_TCP_EV_RESET)) && w->half_closed > 0)
        w->half_closed--;
}

void tb_player_events(struct tb_worker *w, struct tb_user *u, unsigned events)
{
    if (u->phase == TB_PHASE_IDLE) {
        idle_events(w, events);
        return;
    }
    if (w->live && (events & TB_TCP_EV_RESET))
        tb_response_release(w, u);
    if (events & TB_TCP_EV_REFUSED) {
        tb_verdict_set(w, u, TB_VERDICT_REFUSED);
    } else if (events & TB_TCP_EV_RESET) {
        /* Or it resets, in place of closing, a session that has got everything; or, having closed
         * as captured, because of bytes that were still on their way. */
        bool holds = tb_user_module(w, u)->holds;
        bool all_answered = u->responses >= tb_user_script(w, u)->responses;
        bool fine =
            (!holds && tb_ending_is_as_captured(w, u, true)) ||
            (!holds && (u->flags & TB_USER_SERVER_FIN) && tb_ending_is_as_captured(w, u, false)) ||
            (u->phase >= TB_PHASE_ENDING && all_answered && !(events & TB_TCP_EV_LOST));
        tb_verdict_set(w, u, fine ? TB_VERDICT_COMPLETED : TB_VERDICT_RESET);
    } else if (events & TB_TCP_EV_DEAD) {
        tb_verdict_set(w, u,
                       u->phase == TB_PHASE_CONNECTING ? TB_VERDICT_CONNECT_TIMEOUT
                                                       : TB_VERDICT_RESPONSE_TIMEOUT);
    } else {
        if (events & TB_TCP_EV_CONNECTED)
            connected(w, u);
        if (events & TB_TCP_EV_FIN)
            server_closed(w, u);
        else if ((events & TB_TCP_EV_ACKED) && u->phase >= TB_PHASE_ENDING)
            tb_ending_advance(w, u);
    }
}

/* --- live
 * ------------------------------------------------------------------------------------------ */

/* The module may be chosen by what the client says first. */
static void follow_module(struct tb_worker *w, struct tb_user *u)
{
    struct tb_live_user *lu = &w->live_users[tb_user_index(w, u)];
    const struct tb_module *m = tb_user_module(w, u);

    if (lu->module == lu->script->module)
        return;
    lu->module = lu->script->module;
    if (m->needs_payload)
        u->tcp.flags |= TB_TCP_WANTS_DATA;
    if (m->session_start && m->session_start(tb_worker_session(w, u)) != 0)
        tb_verdict_set(w, u, TB_VERDICT_MODULE);
}

void tb_player_grown(struct tb_worker *w, struct tb_user *u)
{
    if (u->phase == TB_PHASE_IDLE)
        return;
    tb_worker_touch(w, u);
    follow_module(w, u);
    if (u->phase < TB_PHASE_PLAYING)
        return;
    tb_response_known(w, u);
    if (u->phase == TB_PHASE_IDLE)
        return;
    if ((u->flags & TB_USER_FIN_WAITS) && !tb_response_waits(w, u)) {
        u->flags &= (uint16_t) ~TB_USER_FIN_WAITS;
        server_closed(w, u);
    }
    if (u->phase != TB_PHASE_IDLE)
        tb_player_advance(w, u);
}

/* --- time
 * ------------------------------------------------------------------------------------------ */

uint64_t tb_player_deadline(const struct tb_worker *w, const struct tb_user *u)
{
    const struct tb_busy *b = tb_user_busy(w, u);
    const uint64_t *timer = tb_worker_module_due(w, u);
    /* Nothing is started any more once the run is to end. */
    uint64_t at = u->phase == TB_PHASE_IDLE && w->stop != TB_STOP_NONE ? TB_NEVER : u->due_us;

    if (timer && *timer < at)
        at = *timer;
    if (b && u->phase != TB_PHASE_IDLE) {
        if (b->give_up_us && b->give_up_us < at)
            at = b->give_up_us;
        if (b->quiet_us && b->quiet_us < at)
            at = b->quiet_us;
    }
    return at;
}

static void next_is_due(struct tb_worker *w, struct tb_user *u)
{
    uint64_t due = u->due_us;

    if (u->phase == TB_PHASE_IDLE) /* the next play: started when the user is settled */
        return;
    u->due_us = TB_NEVER;
    switch (u->phase) {
    case TB_PHASE_PLAYING:
        send_request(w, u, next_request(tb_user_script(w, u), u), due);
        if (u->flags & TB_USER_ASK_AGAIN)
            return;
        break;
    case TB_PHASE_HOLDING:
        if (tb_user_module(w, u)->holds) {
            tb_ending_leave(w, u, false);
            return;
        }
        u->phase = TB_PHASE_ENDING;
        break;
    default:
        tb_ending_due(w, u);
        return;
    }
    tb_player_advance(w, u);
}

void tb_player_timer(struct tb_worker *w, struct tb_user *u)
{
    struct tb_busy *b = tb_user_busy(w, u);
    uint64_t now = w->tcp.now_us, *timer = tb_worker_module_due(w, u);

    if (b && u->phase != TB_PHASE_IDLE && b->give_up_us && b->give_up_us <= now) {
        tb_verdict_set(w, u,
                       u->phase == TB_PHASE_CONNECTING ? TB_VERDICT_CONNECT_TIMEOUT
                                                       : TB_VERDICT_RESPONSE_TIMEOUT);
        return;
    }
    if (b && b->quiet_us && b->quiet_us <= now)
        tb_response_quiet(w, u);
    if (timer && *timer <= now) {
        *timer = TB_NEVER;
        if (tb_user_module(w, u)->timer && u->phase != TB_PHASE_IDLE)
            tb_response_status(w, u, tb_user_module(w, u)->timer(tb_worker_session(w, u)));
    }
    if (u->due_us <= now)
        next_is_due(w, u);
}
