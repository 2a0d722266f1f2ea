/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a session as the capture shows it: who closes first, after which progress of the
 * response, after what time; FIN or RST. See struct tb_script_end.
 */
#include "engine/worker.h"

/* Has everything come that the client had when it ended the captured session? */
static bool is_progress_made(const struct tb_worker *w, const struct tb_user *u)
{
    const struct tb_script *s = tb_user_script(w, u);
    const struct tb_busy *b = tb_user_busy(w, u);
    uint32_t want = s->end.client != TB_END_NONE ? s->end.waits_for : s->responses;

    if (!b || (u->flags & TB_USER_SERVER_FIN))
        return true;
    if (tb_user_module(w, u)->holds)
        return b->awaited == 0;
    if (u->responses < want && b->awaited > 0)
        return false;
    return u->responses != want || s->end.client == TB_END_NONE || !b->first_pending ||
           b->response_bytes + b->held_bytes >= s->end.bytes;
}

/* The module's and the user's wish to stay. */
static bool is_to_be_held(struct tb_worker *w, struct tb_user *u)
{
    const struct tb_module *m = tb_user_module(w, u);

    if ((u->flags & TB_USER_HELD) || (u->flags & TB_USER_SERVER_FIN))
        return false;
    u->flags |= TB_USER_HELD;
    bool module_holds = m->request && m->request(tb_worker_session(w, u), NULL) == TB_REQUEST_HOLD;
    if (u->phase != TB_PHASE_ENDING || (!module_holds && w->config->hold_us == 0))
        return false;
    u->phase = TB_PHASE_HOLDING;
    u->due_us = w->config->hold_us ? w->tcp.now_us + w->config->hold_us : TB_NEVER;
    if (m->holds && w->stop != TB_STOP_NONE)
        tb_ending_leave(w, u, false);
    return true;
}

static void plan_end(struct tb_worker *w, struct tb_user *u)
{
    const struct tb_script_end *e = &tb_user_script(w, u)->end;
    uint64_t now = w->tcp.now_us;

    u->flags |= TB_USER_END_DUE;
    if (tb_user_module(w, u)->holds)
        u->due_us = now; /* the captured end is not played */
    else if (e->server != TB_END_NONE && (e->server_first || e->client == TB_END_NONE) &&
             !(u->flags & TB_USER_SERVER_FIN))
        u->due_us = now + w->config->close_wait_us; /* the server closes first */
    else if (e->client != TB_END_NONE)
        u->due_us = now + tb_pacing_scale_us(w->config->pacing, e->delay_us);
    else
        u->due_us = now;
}

/* Both sides have closed, or ours is acknowledged and the server had its time. */
static void advance_closing(struct tb_worker *w, struct tb_user *u)
{
    const struct tb_busy *b = tb_user_busy(w, u);
    uint8_t state = u->tcp.state;

    if (b && b->awaited > 0)
        return;
    if (state == TB_TCP_CLOSED || state == TB_TCP_TIME_WAIT)
        tb_verdict_set(w, u, TB_VERDICT_COMPLETED);
    else if ((u->tcp.flags & TB_TCP_FIN_ACKED) && u->due_us == TB_NEVER)
        u->due_us = w->tcp.now_us + w->config->close_wait_us;
}

static void reset_when_acked(struct tb_worker *w, struct tb_user *u)
{
    struct tb_tcp_path path;

    if (!tb_tcp_is_acked(&w->tcp, &u->tcp))
        return;
    tb_user_path(w, u, &path);
    tb_tcp_abort(&w->tcp, &u->tcp, &path);
    tb_verdict_set(w, u, TB_VERDICT_COMPLETED);
}

void tb_ending_advance(struct tb_worker *w, struct tb_user *u)
{
    if (u->flags & TB_USER_RST_WHEN_ACKED) {
        reset_when_acked(w, u);
        return;
    }
    if (u->phase == TB_PHASE_CLOSING) {
        advance_closing(w, u);
        return;
    }
    if (u->phase != TB_PHASE_ENDING)
        return;
    bool was_waiting = u->flags & TB_USER_END_DUE;
    if (was_waiting) {
        /* The time is set; only the server's FIN, if that is waited for, changes it. */
        const struct tb_script_end *e = &tb_user_script(w, u)->end;
        bool waits_for_fin =
            e->server != TB_END_NONE && (e->server_first || e->client == TB_END_NONE);
        if (!waits_for_fin || !(u->flags & TB_USER_SERVER_FIN) || (u->flags & TB_USER_FIN_SEEN))
            return;
    } else if (!is_progress_made(w, u)) {
        struct tb_busy *b = tb_user_busy(w, u);
        if (b->give_up_us == 0 && !tb_pending_at(w, b->first_pending)->is_patient)
            b->give_up_us = w->tcp.now_us + w->config->timeout_us;
        return;
    } else {
        struct tb_busy *b = tb_user_busy(w, u);
        if (b && b->awaited == 0)
            b->give_up_us = 0; /* what comes now is our own time */
        if (is_to_be_held(w, u) || u->phase != TB_PHASE_ENDING)
            return;
    }
    if (u->flags & TB_USER_SERVER_FIN)
        u->flags |= TB_USER_FIN_SEEN;
    plan_end(w, u);
    if (u->due_us <= w->tcp.now_us) {
        u->due_us = TB_NEVER;
        tb_ending_due(w, u);
    }
}

void tb_ending_due(struct tb_worker *w, struct tb_user *u)
{
    const struct tb_script_end *e = &tb_user_script(w, u)->end;

    if (u->phase == TB_PHASE_CLOSING) { /* the server does not close: leave it to its own */
        tb_verdict_set(w, u, TB_VERDICT_COMPLETED);
        return;
    }
    if (e->client == TB_END_RST && !tb_user_module(w, u)->holds) {
        u->flags |= TB_USER_RST_WHEN_ACKED;
        reset_when_acked(w, u);
        return;
    }
    u->phase = TB_PHASE_CLOSING;
    struct tb_busy *b = tb_user_busy(w, u);
    if (b && b->awaited == 0)
        b->give_up_us = 0;
    if (tb_tcp_close(&w->tcp, &u->tcp) < 0)
        tb_verdict_set(w, u, TB_VERDICT_ABORTED);
}

void tb_ending_leave(struct tb_worker *w, struct tb_user *u, bool lost)
{
    if (u->phase < TB_PHASE_PLAYING || u->phase == TB_PHASE_CLOSING)
        return;
    u->flags |= lost ? TB_USER_LOST : TB_USER_LEFT;
    u->due_us = TB_NEVER;
    u->phase = TB_PHASE_ENDING;
    tb_response_drop(w, u);
    tb_worker_touch(w, u);
    tb_ending_due(w, u);
}

static void refuse_data(struct tb_worker *w, struct tb_user *u)
{
    struct tb_tcp_path path;

    tb_user_path(w, u, &path);
    tb_tcp_abort(&w->tcp, &u->tcp, &path);
}

bool tb_ending_refuses_data(struct tb_worker *w, struct tb_user *u)
{
    bool holds = tb_user_module(w, u)->holds;

    if (u->phase == TB_PHASE_IDLE) {
        if (holds && w->half_closed > 0) {
            w->half_closed--;
            refuse_data(w, u);
        }
        return true;
    }
    if (u->phase != TB_PHASE_CLOSING || !tb_user_script(w, u)->end.client_rst || holds ||
        !tb_tcp_is_acked(&w->tcp, &u->tcp))
        return false;
    refuse_data(w, u);
    tb_verdict_set(w, u, TB_VERDICT_COMPLETED);
    return true;
}

bool tb_ending_is_as_captured(const struct tb_worker *w, const struct tb_user *u, bool reset)
{
    const struct tb_script_end *e = &tb_user_script(w, u)->end;

    if (u->phase == TB_PHASE_CONNECTING || u->responses < e->server_responses)
        return false;
    /* A FIN stands for a captured RST too: which of them comes depends on what the server has not
     * read yet. */
    return e->server == TB_END_RST || (!reset && e->server_fin);
}
