/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a session: the one place that gives a verdict. Called by player, ending and response.
 */
#include "engine/worker.h"

/* May the server still be sending, for as long as it likes? */
static bool is_streaming(const struct tb_worker *w, const struct tb_user *u)
{
    const struct tb_busy *b = tb_user_busy(w, u);

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

    if (verdict == TB_VERDICT_COMPLETED && !streaming) {
        w->half_closed += c->state != TB_TCP_CLOSED && c->state != TB_TCP_TIME_WAIT;
        return;
    }
    if (c->state != TB_TCP_CLOSED && c->state != TB_TCP_TIME_WAIT) {
        struct tb_tcp_path path;
        tb_user_path(w, u, &path);
        tb_tcp_abort(&w->tcp, c, &path);
    }
}

void tb_verdict_set(struct tb_worker *w, struct tb_user *u, enum tb_verdict verdict)
{
    const struct tb_module *m = tb_user_module(w, u);
    int64_t again_us = -1;

    if (u->phase == TB_PHASE_IDLE)
        return;
    w->stats.verdicts[verdict]++;
    w->stats.open--;
    w->stats.mismatched_sessions +=
        verdict == TB_VERDICT_COMPLETED && (u->flags & TB_USER_MISMATCHED);
    w->last_end_us = w->tcp.now_us;
    close_connection(w, u, verdict);
    u->phase = TB_PHASE_IDLE;
    u->due_us = TB_NEVER;
    uint64_t *timer = tb_worker_module_due(w, u);
    if (timer)
        *timer = TB_NEVER;
    if (m->session_end)
        again_us = m->session_end(tb_worker_session(w, u), verdict);
    tb_worker_play_over(w, u, again_us);
    tb_worker_touch(w, u);
}
