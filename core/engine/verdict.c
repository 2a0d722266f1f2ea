/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a session: the one place that gives a verdict. Called by player, ending and response.
 */
#include "engine/worker.h"

/* May the server still be sending, for as long as it likes? */
static bool is_streaming(const struct tb_worker *w, const struct tb_user *u)
{
    const struct tb_busy *b = tb_user_busy(w, u);

    if (tb_user_module(w, u)->holds)
        return false; /* it has closed for good, see tb_ending_refuses_data() */
    return (b && b->first_pending) ||
           (u->sent && !(u->sent->flags & (TB_REQ_ANSWERED | TB_REQ_NO_RESPONSE)) &&
            (u->sent->response_bytes > 0 || !(u->sent->flags & TB_REQ_BYTES)));
}

/* Completed ones leave their connection as it is: closed, in TIME-WAIT, or waiting for a server
 * that takes its time; the record goes on answering. Others must leave nothing open on the target.
 */
static void close_connection(struct tb_worker *w, struct tb_user *u, enum tb_verdict verdict)
{
    struct tb_tcp *c = &u->tcp;
    bool streaming = is_streaming(w, u);

    if ((verdict == TB_VERDICT_COMPLETED || verdict == TB_VERDICT_HELD) && !streaming) {
        w->half_closed += c->state != TB_TCP_CLOSED && c->state != TB_TCP_TIME_WAIT;
        return;
    }
    if (c->state != TB_TCP_CLOSED && c->state != TB_TCP_TIME_WAIT) {
        struct tb_tcp_path path;
        tb_user_path(w, u, &path);
        tb_tcp_abort(&w->tcp, c, &path);
    }
}

/* Of a session that is there to stay: has the client held it, or has the server ended it? How the
 * connection came to its end once that was settled does not matter. */
static enum tb_verdict as_held(const struct tb_user *u, enum tb_verdict verdict)
{
    bool cut = verdict == TB_VERDICT_CUT, reset = verdict == TB_VERDICT_RESET;
    bool settled =
        cut || reset || verdict == TB_VERDICT_COMPLETED || verdict == TB_VERDICT_RESPONSE_TIMEOUT;

    if (settled && (u->flags & TB_USER_LOST))
        return TB_VERDICT_SERVER_CLOSED;
    if ((settled && (u->flags & TB_USER_LEFT)) || (cut && u->phase == TB_PHASE_HOLDING))
        return TB_VERDICT_HELD;
    if (reset || verdict == TB_VERDICT_CLOSED_EARLY)
        return TB_VERDICT_SERVER_CLOSED;
    return verdict;
}

void tb_verdict_set(struct tb_worker *w, struct tb_user *u, enum tb_verdict verdict)
{
    const struct tb_module *m = tb_user_module(w, u);
    int64_t again_us = -1;

    if (u->phase == TB_PHASE_IDLE)
        return;
    if (m->holds)
        verdict = as_held(u, verdict);
    w->stats.verdicts[verdict]++;
    w->stats.open--;
    w->stats.mismatched_sessions +=
        (verdict == TB_VERDICT_COMPLETED || verdict == TB_VERDICT_HELD) &&
        (u->flags & TB_USER_MISMATCHED);
    w->last_end_us = w->tcp.now_us;
    close_connection(w, u, verdict);
    u->phase = TB_PHASE_IDLE;
    u->due_us = TB_NEVER;
    uint64_t *timer = tb_worker_module_due(w, u);
    if (timer)
        *timer = TB_NEVER;
    if (m->session_end)
        again_us = m->session_end(tb_worker_session(w, u), verdict);
    if (w->live)
        tb_live_play_over(w->live, u, verdict);
    tb_worker_play_over(w, u, again_us);
    tb_worker_touch(w, u);
}
