/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verdicts: is each the one that follows from what reached the client's network card and from what
 * the server did? And the end of a seed: one verdict each, figures that agree, nothing held.
 */
#include "sent.h"

enum { SLACK_US = 1000, HOURS_AFTER = 48 };

static unsigned bit(enum tb_verdict v)
{
    return 1u << v;
}

/* --- what this server's doings must lead to, when the network mends its losses -----------------
 */

static unsigned expected_of_short(const struct conn *c)
{
    bool bytes = c->t->script.module == MODULE_BYTES;

    /* Where bytes are counted, silence ends it soon. */
    return (bytes && c->s->weather.clean ? 0 : bit(TB_VERDICT_RESPONSE_TIMEOUT)) |
           bit(TB_VERDICT_CLOSED_EARLY) | bit(TB_VERDICT_RESET) |
           (bytes ? bit(TB_VERDICT_COMPLETED) : 0);
}

/* Would a server whose buffer is filled once in a round trip need more than a quarter of the time?
 * It may be filled by half. */
static bool is_window_slow(const struct conn *c)
{
    const struct weather *w = &c->s->weather;
    uint64_t turn_us = 2 * (w->one_way_us + w->jitter_us) + 45 * MS; /* with a delayed ACK */

    return c->t->wire_len / c->b.buffer * turn_us > c->s->config.timeout_us / 4;
}

static unsigned expected(const struct conn *c)
{
    bool bytes = c->t->script.module == MODULE_BYTES;
    bool last = c->b.step + 1 == c->t->count;

    switch (c->b.fault) {
    case FAULT_DEAF:
        return bit(TB_VERDICT_CONNECT_TIMEOUT);
    case FAULT_REFUSE:
        return bit(TB_VERDICT_REFUSED);
    case FAULT_SILENT:
    case FAULT_GONE:
    case FAULT_NEVER_READS:
        return bit(TB_VERDICT_RESPONSE_TIMEOUT);
    case FAULT_CLOSE_EARLY:
        return bit(TB_VERDICT_CLOSED_EARLY);
    case FAULT_CLOSE_WITHIN:
        return (bytes ? bit(TB_VERDICT_COMPLETED) : 0) |
               (bytes && last ? 0 : bit(TB_VERDICT_CLOSED_EARLY));
    case FAULT_RESET:
    case FAULT_RESET_WITHIN:
        return bit(TB_VERDICT_RESET) |
               (c->s->weather.clean ? 0 : bit(TB_VERDICT_RESPONSE_TIMEOUT)); /* a lost RST */
    case FAULT_RESTART:
        return bit(TB_VERDICT_RESET) | bit(TB_VERDICT_RESPONSE_TIMEOUT);
    case FAULT_SLOW_READ:
    case FAULT_TINY_WINDOW:
    case FAULT_SHRINK: /* so slow that the time may not suffice */
        return bit(TB_VERDICT_COMPLETED) | bit(TB_VERDICT_RESPONSE_TIMEOUT);
    case FAULT_SHORT:
        return expected_of_short(c);
    case FAULT_NO_READ:
        if (is_window_slow(c))
            return bit(TB_VERDICT_COMPLETED) | bit(TB_VERDICT_RESPONSE_TIMEOUT);
        /* fall through */
    default:
        if (c->b.reneges && !c->s->weather.clean)
            return bit(TB_VERDICT_COMPLETED) | bit(TB_VERDICT_RESPONSE_TIMEOUT);
        /* a RST may overtake, or outlive, what was lost before it */
        return bit(TB_VERDICT_COMPLETED) |
               (c->t->end == END_SERVER_RST && !c->s->weather.clean ? bit(TB_VERDICT_RESET) : 0);
    }
}

/* --- each verdict by itself --------------------------------------------------------------------
 */

static uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool judge_was_quiet(const struct conn *c)
{
    uint64_t now = c->s->now_us, quiet = c->s->config.quiet_us;

    return c->t->script.module == MODULE_BYTES &&
           (c->data_gap_us >= quiet || (c->last_data_us && now - c->last_data_us >= quiet));
}

static bool all_answered(const struct conn *c)
{
    uint32_t want = c->t->replies;

    if (c->t->end == END_ABANDON)
        want -= (uint32_t) c->t->req[c->t->count - 1].r.response_bytes;
    return c->rcv - c->fin >= want;
}

static void judge_completed(struct sim *s, struct conn *c)
{
    const struct sim_session *t = c->t;
    bool excused = c->fuzzy || judge_was_quiet(c) || c->b.fault == FAULT_SHORT ||
                   c->b.fault == FAULT_CLOSE_WITHIN;
    bool reset_in_turn = c->rst && (t->end == END_SERVER_RST || c->fin || all_answered(c));

    if (!c->open)
        sim_fail(s, c, "completed without a connection");
    if (!all_answered(c) && !excused)
        sim_fail(s, c, "completed with %llu of %u bytes", (unsigned long long) c->rcv, t->replies);
    if (c->rst && !reset_in_turn && !excused)
        sim_fail(s, c, "completed in spite of a RST");
    if (c->rst || (c->fuzzy && t->end == END_SERVER_RST)) /* a RST nobody saw at its place */
        return;
    if (!c->fuzzy && (c->una < t->wire_len || c->max < t->wire_len))
        sim_fail(s, c, "completed, but only %llu bytes of %u acknowledged",
                 (unsigned long long) c->una, t->wire_len);
    if (peer_in_order(c->peer) != t->wire_len)
        sim_fail(s, c, "completed, but the server has %llu bytes of %u",
                 (unsigned long long) peer_in_order(c->peer), t->wire_len);
    if (t->end == END_CLIENT_RST && !c->fin && c->b.fault != FAULT_NO_CLOSE) {
        if (c->fin_sent && !c->rst_sent)
            sim_fail(s, c, "closed by a FIN, not a RST");
    } else if (!c->fin_sent && !c->fuzzy && t->end != END_ABANDON && t->end != END_CLIENT_RST) {
        sim_fail(s, c, "completed without a FIN");
    }
    if (c->fin_sent && !c->fin && !c->fuzzy && t->end != END_CLIENT_RST && t->end != END_ABANDON &&
        s->now_us + SLACK_US < c->last_ack_us + s->config.close_wait_us)
        sim_fail(s, c, "completed %llu us after its FIN, without the server's",
                 (unsigned long long) (s->now_us - c->last_ack_us));
    if (c->fin_sent && !peer_has_fin(c->peer) && !c->rst_sent)
        sim_fail(s, c, "completed, but the server has no FIN");
}

static void judge_timeout(struct sim *s, struct conn *c)
{
    uint64_t begun = c->open_us, limit = s->config.timeout_us;

    uint64_t begun_at_most = c->open_us;
    bool known = true;
    for (uint32_t i = 0; i < c->t->count; i++) /* the first that is not answered */
        if ((c->t->req[i].r.flags & TB_REQ_ANSWERED) && !c->done_us[i]) {
            begun = latest(begun, c->least_us[i]);
            begun_at_most = latest(c->open_us, c->begun_us[i]);
            known = c->begun_us[i] != 0; /* else the window held it back */
            break;
        }
    uint64_t heard = latest(c->last_data_us, begun), acked = latest(c->last_ack_us, c->flight_us);
    uint64_t waited = s->now_us - heard, since_ack = s->now_us - acked;
    bool awaits = c->rcv - c->fin < c->t->replies || c->b.fault == FAULT_SHORT ||
                  c->b.fault == FAULT_TWICE || judge_was_quiet(c);
    bool unacked = c->una < c->max || c->edge <= c->una;

    sent_check_timer(c);
    if (!c->open)
        sim_fail(s, c, "a response timeout without a connection");
    if (known && !c->fuzzy && !(awaits && waited + 10 * SLACK_US >= limit) &&
        !(unacked && since_ack + SLACK_US >= limit))
        sim_fail(s, c, "a response timeout %llu us after the last byte, %llu after the last ACK",
                 (unsigned long long) waited, (unsigned long long) since_ack);
    if (c->b.fault == FAULT_SHORT || judge_was_quiet(c))
        limit += s->config.quiet_us + SEC;
    waited = s->now_us - latest(c->last_data_us, begun_at_most);
    if (known && !c->fuzzy && waited > limit + SLACK_US && since_ack > limit + SLACK_US)
        sim_fail(s, c, "a response timeout only after %llu us", (unsigned long long) waited);
    if (c->rst)
        sim_fail(s, c, "a response timeout in spite of a RST");
}

static void judge_refused_or_not(struct sim *s, struct conn *c, enum tb_verdict v)
{
    uint64_t waited = s->now_us - c->start_us;

    if (v == TB_VERDICT_REFUSED && !c->refused)
        sim_fail(s, c, "refused by nobody");
    if (v != TB_VERDICT_REFUSED && c->refused)
        sim_fail(s, c, "was refused, verdict %d", v);
    if (v != TB_VERDICT_CONNECT_TIMEOUT)
        return;
    if (c->open)
        sim_fail(s, c, "a connect timeout of an open connection");
    if (waited + SLACK_US < s->config.timeout_us || waited > s->config.timeout_us + SLACK_US)
        sim_fail(s, c, "a connect timeout after %llu us", (unsigned long long) waited);
}

static void judge_closed_early(struct sim *s, struct conn *c)
{
    bool all_sent = c->una >= c->t->wire_len;

    if (!c->fin)
        sim_fail(s, c, "closed early, without the server's FIN");
    else if (c->fin_us != s->now_us && !c->fuzzy)
        sim_fail(s, c, "closed early %llu us after the FIN",
                 (unsigned long long) (s->now_us - c->fin_us));
    if (all_answered(c) && all_sent && !judge_was_quiet(c) && c->b.fault != FAULT_SHORT &&
        c->b.fault != FAULT_TWICE)
        sim_fail(s, c, "closed early after everything was answered");
}

static void judge_reset(struct sim *s, struct conn *c)
{
    bool all_sent = c->una >= c->t->wire_len;

    if (!c->rst || c->rst_us != s->now_us)
        sim_fail(s, c, "reset by nobody");
    if (c->t->end == END_SERVER_RST && all_answered(c) && c->t->script.responses > 0 && all_sent &&
        !judge_was_quiet(c) && c->b.fault != FAULT_SHORT)
        sim_fail(s, c, "reset as captured is a failure");
    if (all_answered(c) && all_sent && c->una == c->max && !judge_was_quiet(c) &&
        c->b.fault != FAULT_SHORT && c->t->end != END_ABANDON)
        sim_fail(s, c, "reset after everything was answered and acknowledged is a failure");
}

static void judge_stop(struct sim *s, struct conn *c, enum tb_verdict v)
{
    uint64_t cut_us = s->begin_us + s->config.duration_us + s->config.grace_us;

    if (v == TB_VERDICT_CUT &&
        (s->config.duration_us == 0 || s->now_us < cut_us || s->now_us > cut_us + SLACK_US))
        sim_fail(s, c, "cut at a wrong time");
    if (v == TB_VERDICT_ABORTED && (s->abort_us == 0 || s->now_us < s->abort_us))
        sim_fail(s, c, "aborted by nobody");
}

/* How the connection is left: what failed leaves nothing open on the server. */
static void judge_rest(struct sim *s, struct conn *c, enum tb_verdict v)
{
    bool by_us = v != TB_VERDICT_COMPLETED && v != TB_VERDICT_RESET && v != TB_VERDICT_REFUSED;
    bool both_closed = c->fin && c->fin_sent && c->una == c->max;

    c->must_reset = by_us && !both_closed && !c->rst && c->syns > 0;
    c->next_verdict = s->look_ended;
    s->look_ended = c;
}

/* Losses may make timeouts so long that the time does not suffice. */
static bool is_expected(const struct conn *c, enum tb_verdict v)
{
    uint64_t waits_us = c->max > c->una ? c->s->now_us - c->base_us : 0; /* for the next */
    bool mostly_waited =
        !c->s->weather.clean && c->timeouts_us + waits_us > c->s->config.timeout_us / 2;

    return (expected(c) & bit(v)) || (v == TB_VERDICT_RESPONSE_TIMEOUT && mostly_waited);
}

void judge_verdict(struct sim *s, struct conn *c, enum tb_verdict v)
{
    bool stopped = v == TB_VERDICT_CUT || v == TB_VERDICT_ABORTED;

    if (c->verdict != TB_VERDICT_NONE) {
        sim_fail(s, c, "a second verdict, %d after %d", v, c->verdict);
        return;
    }
    s->ended++;
    if (c->turn_us == s->now_us && c->turn_segments > 0)
        s->refuses_data = true; /* those behind the one that decided may not have been taken */
    s->verdicts[v]++;
    judge_refused_or_not(s, c, v);
    if (v == TB_VERDICT_COMPLETED)
        judge_completed(s, c);
    if (v == TB_VERDICT_RESPONSE_TIMEOUT)
        judge_timeout(s, c);
    if (v == TB_VERDICT_CLOSED_EARLY)
        judge_closed_early(s, c);
    if (v == TB_VERDICT_RESET)
        judge_reset(s, c);
    if (v == TB_VERDICT_MODULE || v == TB_VERDICT_NONE)
        sim_fail(s, c, "verdict %d, which nobody gave", v);
    judge_stop(s, c, v);
    judge_rest(s, c, v);
    if (s->weather.gentle && !stopped && !is_expected(c, v) && !judge_was_quiet(c) &&
        s->config.timeout_us > 2 * SEC)
        sim_fail(s, c, "verdict %d, expected was one of %#x", v, expected(c));
    c->verdict = v;
    c->end_us = s->now_us;
}

void judge_turn_over(struct sim *s)
{
    while (s->look_ended) {
        struct conn *c = s->look_ended;
        s->look_ended = c->next_verdict;
        if (c->must_reset && !c->rst_sent)
            sim_fail(s, c, "verdict %d leaves the connection open", c->verdict);
    }
}

void judge_agrees(struct sim *s, const struct conn *c)
{
    const struct tb_tcp *t = &c->user->tcp;

    if (!c->open || c->rst || c->rst_sent || c->fuzzy || c->verdict != TB_VERDICT_NONE ||
        c->slot->conn != c || c->user->generation != c->slot->generation)
        return;
    if (t->snd_una != c->una || t->rcv_nxt != c->rcv)
        sim_fail(s, c, "acknowledged %llu, received %llu; the engine has %llu and %llu",
                 (unsigned long long) c->una, (unsigned long long) c->rcv,
                 (unsigned long long) t->snd_una, (unsigned long long) t->rcv_nxt);
    if (t->snd_wnd != c->wnd)
        sim_fail(s, c, "the server's window is %llu, the engine has %u",
                 (unsigned long long) c->wnd, t->snd_wnd);
    if (c->max > c->una && t->rtx_at == 0)
        sim_fail(s, c, "bytes in flight, but no timer runs");
    if (c->ack_by_us != SIM_NONE && t->ack_at == 0)
        sim_fail(s, c, "a delayed ACK, but no timer runs");
}

static bool is_idle(const struct conn *c)
{
    bool open = c->open && !c->rst && !c->rst_sent && c->verdict == TB_VERDICT_NONE;

    if (!open || c->una != c->max || c->ooo.n || c->fuzzy || c->b.fault != FAULT_NONE ||
        c->t->end == END_ABANDON || (c->t->greeting && !c->done_us[SIM_REQUESTS]))
        return false;
    for (uint32_t i = 0; i < c->t->count; i++)
        if (c->begun_us[i] && (c->t->req[i].wire_to > c->una || c->rcv < c->t->req[i].reply_to))
            return false;
    return true;
}

void judge_idle(struct sim *s)
{
    for (struct conn *c = s->conns; c; c = c->older)
        if (is_idle(c) && c->user->tcp.busy)
            sim_fail(s, c, "an idle user holds its extension");
}

/* --- the end of a seed -------------------------------------------------------------------------
 */

static void same(struct sim *s, const char *what, uint64_t engine, uint64_t wire)
{
    if (engine != wire)
        sim_fail(s, NULL, "%s: the engine says %llu, the wire %llu", what,
                 (unsigned long long) engine, (unsigned long long) wire);
}

static void judge_figures(struct sim *s)
{
    uint64_t sent = 0, again = 0, out = 0, in = 0, started = 0, received = 0, bad = 0;
    uint64_t verdicts[TB_VERDICT_COUNT] = {0}, mismatched = 0, planned = 0, done = 0, gone = 0;

    for (uint32_t i = 0; i < s->plan_input.workers; i++) {
        const struct tb_worker *w = s->worker[i];
        sent += w->tcp.packets_sent;
        again += w->tcp.retransmitted;
        out += w->tcp.bytes_sent;
        in += w->tcp.bytes_received;
        started += w->stats.started;
        received += w->stats.packets_received;
        bad += w->stats.bad_packets;
        mismatched += w->stats.mismatched_sessions + w->stats.requests_mismatched;
        planned += w->stats.requests_planned;
        gone += w->stats.requests_sent;
        done += w->stats.connect.count;
        for (unsigned v = 0; v < TB_VERDICT_COUNT; v++)
            verdicts[v] += w->stats.verdicts[v];
        same(s, "open sessions", w->stats.open, 0);
    }
    same(s, "packets sent", sent, s->packets_out);
    same(s, "retransmitted", again, s->retransmitted);
    same(s, "bytes sent", out, s->bytes_out);
    if (!s->refuses_data)
        same(s, "bytes received", in, s->bytes_in);
    same(s, "sessions started", started, s->plays);
    same(s, "packets received", received, s->packets_in);
    if (bad > s->bad_in) /* those of no connection are not counted */
        same(s, "bad packets", bad, s->bad_in);
    same(s, "sessions ended", s->ended, s->plays);
    for (unsigned v = 0; v < TB_VERDICT_COUNT; v++)
        same(s, "verdicts of a kind", verdicts[v], s->verdicts[v]);
    uint64_t opened = 0;
    for (const struct conn *c = s->conns; c; c = c->older)
        opened += c->open;
    same(s, "connect times", done, opened);
    if (s->weather.clean && s->faulty == 0 && s->config.duration_us == 0 && s->abort_us == 0) {
        same(s, "mismatches", mismatched, 0);
        same(s, "requests sent", gone, planned);
        same(s, "completed", verdicts[TB_VERDICT_COMPLETED], s->plays);
    }
}

/* No livelock: packets are bounded by bytes and by the timers of lost ones. */
static void judge_packets(struct sim *s)
{
    for (struct conn *c = s->conns; c; c = c->older) {
        uint64_t pieces = (c->max + c->rcv) / 500 + c->t->count * 4 + c->packets_in;
        if (c->packets_out > 60 + 4 * pieces + 2 * c->probes + 4 * c->again)
            sim_fail(s, c, "%llu packets for %llu bytes out, %llu in",
                     (unsigned long long) c->packets_out, (unsigned long long) c->max,
                     (unsigned long long) c->rcv);
    }
}

static void judge_memory(struct sim *s, const struct tb_worker *w)
{
    same(s, "armed timers", w->wheel.armed, 0);
    same(s, "extensions held", w->tcp.busy.in_use, 0);
    same(s, "spans held", w->tcp.spans.in_use, 0);
    same(s, "copies held", w->tcp.copies.in_use, 0);
    same(s, "blocks held", w->tcp.blocks.in_use, 0);
    same(s, "pending responses held", w->pendings.in_use, 0);
    same(s, "module states held", w->module_busy.in_use, 0);
    same(s, "half-closed", w->half_closed, 0);
    if (w->stats.pacing_error.max > 500 && !s->config.open_loop)
        sim_fail(s, NULL, "a request was sent %llu us late",
                 (unsigned long long) w->stats.pacing_error.max);
}

/* When every connection is closed on both sides, the run does not stay for long. */
static void judge_linger(struct sim *s)
{
    uint64_t last_us = 0;
    bool open = s->plan_input.workers > 1; /* each stays for its own sessions */

    for (const struct conn *c = s->conns; c; c = c->older)
        last_us = latest(last_us, c->end_us);
    for (const struct conn *c = s->conns; c; c = c->older) {
        bool both = c->fin && !c->fuzzy && c->fin_sent && c->una == c->max;
        bool by_then = (both && latest(c->fin_us, c->last_ack_us) <= last_us) ||
                       (c->rst && c->rst_us <= last_us) ||
                       (c->rst_sent && c->rst_sent_us <= last_us);
        open |= c->verdict == TB_VERDICT_COMPLETED && !by_then;
    }
    if (!open && s->now_us > last_us + 600 * MS && s->config.duration_us == 0 && s->abort_us == 0)
        sim_fail(s, NULL, "the run ends %llu us after the last session",
                 (unsigned long long) (s->now_us - last_us));
}

void judge_end(struct sim *s)
{
    uint64_t plays = s->users / s->plan_input.shards * s->config.plays;

    judge_linger(s);
    judge_figures(s);
    judge_packets(s);
    if (s->config.duration_us == 0 && s->abort_us == 0 && s->plan_input.shards == 1)
        same(s, "plays", s->plays, plays);
    uint64_t sent = s->packets_out;
    for (unsigned hour = 0; hour < HOURS_AFTER; hour++) {
        s->now_us += 3600 * SEC;
        for (uint32_t i = 0; i < s->plan_input.workers; i++)
            while (tb_worker_tick(s->worker[i], s->now_us, s->real_us))
                ;
    }
    same(s, "packets sent after the end", s->packets_out - sent, 0);
    for (uint32_t i = 0; i < s->plan_input.workers; i++)
        judge_memory(s, s->worker[i]);
}
