/* SPDX-License-Identifier: BSD-2-Clause */
/* What the client sends: every segment held against what it has received. See watch.c. */
#include "sent.h"

#include <string.h>

enum {
    RTO_FIRST_US = 1000000,
    RTO_LOST_SYN_US = 3000000,
    RTO_LEAST_US = 200000,
    RTO_MOST_US = 60000000,
    SLACK_US = 1000,
    TICK_US = 64,
    BEHIND_US = 10000 /* timers wait that long while received packets wait unread */
};

static uint64_t longest_rto_us(const struct conn *c)
{
    uint64_t most = c->rtt_most ? 5 * c->rtt_most + RTO_LEAST_US : RTO_FIRST_US;

    if (c->rto_us) {
        most = 2 * c->rto_us;
    } else if (c->syns > 1 || c->again) { /* perhaps nothing could be timed yet (Karn) */
        uint64_t syn = 5 * (c->open_us - c->start_us) + RTO_LOST_SYN_US;
        uint64_t untimed = c->syns > 1 ? syn : 0;
        most = 2 * (most > untimed ? most : untimed);
        if (c->ts && most < 5 * c->silence_us) /* an echo may be of the copy before */
            most = 5 * c->silence_us + RTO_LEAST_US;
    }
    if (!c->rto_us && c->max == c->edge && c->flight_us >= c->edge_us + RTO_LEAST_US)
        most *= 2; /* sent when waiting for a larger window had timed out */
    if (c->has_probed && !c->rto_us)
        most *= 4;
    return (most < RTO_MOST_US ? most : RTO_MOST_US) + SLACK_US + BEHIND_US;
}

static uint64_t shortest_rto_us(const struct conn *c)
{
    uint64_t least = c->rtt_least == SIM_NONE ? RTO_FIRST_US : RTO_LEAST_US + c->rtt_least / 2;

    if (c->again || c->syns > 1 || c->ts) /* what was timed is not sure */
        least = RTO_LEAST_US;

    if (c->rto_us)
        least = 2 * (c->rto_us > BEHIND_US ? c->rto_us - BEHIND_US : 0);
    least = least < RTO_MOST_US ? least : RTO_MOST_US;
    return least > SLACK_US ? least - SLACK_US : 0;
}

/* Of the client's bytes: those of requests that have begun to be sent, and are thus queued. */
static uint64_t known_end(const struct conn *c)
{
    uint64_t end = c->max;

    for (uint32_t i = 0; i < c->t->count && c->begun_us[i]; i++)
        if (c->t->req[i].wire_to > end)
            end = c->t->req[i].wire_to;
    return end;
}

void sent_check_timer(struct conn *c)
{
    uint64_t since = c->base_us > c->rescue_us ? c->base_us : c->rescue_us;
    uint64_t waited = c->s->now_us - since;
    bool waits = c->max > c->una || (c->edge == c->una && known_end(c) > c->una);

    if (waits && !c->fuzzy && !c->is_timer_unsure && !c->rst && !c->rst_sent &&
        c->verdict == TB_VERDICT_NONE && waited > longest_rto_us(c) &&
        waited < c->s->config.timeout_us)
        sim_fail(c->s, c, "nothing retransmitted or probed for %llu us, longest timeout %llu us",
                 (unsigned long long) waited, (unsigned long long) longest_rto_us(c));
}

uint64_t sent_initial_window(const struct conn *c)
{
    uint64_t most = 2u * c->mss > 14600 ? 2u * c->mss : 14600;

    return 10u * c->mss < most ? 10u * c->mss : most;
}

/* What fits the window and the initial congestion window goes out at once. */
void sent_check_window_used(struct conn *c)
{
    uint64_t end = known_end(c), right = c->una + sent_initial_window(c);

    if (!c->s->weather.clean || !c->open || c->again || c->syns > 1 || c->rst || c->rst_sent ||
        c->verdict != TB_VERDICT_NONE || end <= c->max || c->b.fault == FAULT_SHRINK)
        return;
    if (right > c->edge)
        right = c->edge;
    uint64_t left = right > c->max ? right - c->max : 0;
    bool worth = left >= c->mss || (left >= end - c->max && end == c->t->wire_len) ||
                 left >= (c->wnd_most + 1) / 2;
    if (left > 0 && worth && (left >= c->mss || c->max == c->una))
        sim_fail(c->s, c, "%llu bytes of the window left unused, %llu are due",
                 (unsigned long long) left, (unsigned long long) (end - c->max));
}

/* --- opening ---------------------------------------------------------------------------------- */

static void check_syn_options(struct conn *c, const struct seg *g)
{
    const struct tb_syn *o = &c->t->script.syn;
    uint16_t mss = o->mss < c->s->config.mss ? o->mss : c->s->config.mss;
    uint32_t wnd = g->window;

    if (g->mss != mss || g->wscale != o->wscale || g->sack_ok != o->sack_permitted ||
        g->has_ts != o->timestamps || g->sacks || wnd < 60000)
        sim_fail(c->s, c, "SYN options are not the captured ones");
}

/* RFC 6528: above all numbers of the play before, acknowledged or not. */
static void check_isn(struct conn *c, uint32_t iss)
{
    const struct conn *last = c->before;

    if (last && last->syns > 0 && last->play + 1 == c->play &&
        (int32_t) (iss - (last->iss + 1 + (uint32_t) last->max)) <= 0)
        sim_fail(c->s, c, "a SYN at %u, the play before has sent up to %u", iss,
                 last->iss + 1 + (uint32_t) last->max);
}

static void sent_syn(struct conn *c, const struct seg *g)
{
    uint64_t now = c->s->now_us, gap = now - c->syn_us,
             due = (uint64_t) RTO_FIRST_US << c->syns >> 1;
    bool is_late = gap > due + SLACK_US && now > c->s->behind_us + BEHIND_US + SLACK_US;

    if (c->open || c->refused || c->rst_sent || g->len || (g->flags & TB_TCP_ACK))
        sim_fail(c->s, c, "a SYN out of place");
    check_syn_options(c, g);
    if (c->syns == 0) {
        c->iss = g->seq;
        check_isn(c, g->seq);
    } else if (g->seq != c->iss)
        sim_fail(c->s, c, "a SYN again with another number");
    else if (!c->recovers && (gap + SLACK_US < due || is_late) && due <= RTO_MOST_US)
        sim_fail(c->s, c, "SYN %u again after %llu us", c->syns, (unsigned long long) gap);
    if (c->syns == 0 && now != c->start_us)
        sim_fail(c->s, c, "the SYN is late");
    c->s->retransmitted += c->syns > 0;
    c->syns++;
    c->syn_us = now;
    c->last_tsval_out = g->tsval;
    if (c->syns > 60)
        sim_fail(c->s, c, "%u SYNs", c->syns);
}

/* --- every segment ---------------------------------------------------------------------------- */

static void check_options(struct conn *c, const struct seg *g)
{
    uint32_t window = (1u << 20) >> (c->rcv_scale > 0 ? c->rcv_scale : 0);

    if (g->has_ts != c->ts || g->mss || g->wscale >= 0 || g->sack_ok || (g->sacks && !c->sack))
        sim_fail(c->s, c, "options that were not agreed, or not kept");
    if (c->ts && (int32_t) (g->tsval - c->last_tsval_out) < 0)
        sim_fail(c->s, c, "timestamps go back");
    if (c->ts && g->tsecr != c->ts_recent && !c->fuzzy)
        sim_fail(c->s, c, "echoes timestamp %u, not %u", g->tsecr, c->ts_recent);
    c->last_tsval_out = g->tsval;
    if (g->window != (window < 65535 ? window : 65535))
        sim_fail(c->s, c, "announces a window of %u", g->window);
}

static void check_sack(struct conn *c, const struct seg *g)
{
    if (!c->sack || c->fuzzy || c->fin)
        return;
    if (c->ooo.n > 0 && g->len == 0 && g->sacks == 0)
        sim_fail(c->s, c, "no SACK for bytes out of order");
    for (unsigned i = 0; i < g->sacks; i++) {
        uint64_t from = c->rcv + (g->sack[i][0] - (c->irs + 1 + (uint32_t) c->rcv));
        uint64_t to = c->rcv + (g->sack[i][1] - (c->irs + 1 + (uint32_t) c->rcv));
        bool right = false;
        for (unsigned k = 0; k < c->ooo.n; k++)
            right |= c->ooo.r[k].from == from && c->ooo.r[k].to == to;
        if (!right)
            sim_fail(c->s, c, "SACK %llu-%llu is not what came", (unsigned long long) from,
                     (unsigned long long) to);
        if (i == 0 && (c->latest_ooo < from || c->latest_ooo >= to) && c->latest_ooo > c->rcv)
            sim_fail(c->s, c, "the first SACK block is not the latest");
    }
}

/* Answers to empty segments that cannot be taken are no faster than delayed ACKs. */
static void check_not_hasty(const struct conn *c, const struct seg *g)
{
    bool is_due = c->ack_by_us == SIM_NONE || c->s->now_us + 3 * TICK_US >= c->ack_by_us ||
                  c->open_us == c->s->now_us; /* the SYN-ACK's */
    bool is_bare = g->len == 0 && !(g->flags & TB_TCP_FIN) && g->seq == watch_next_number(c);

    if (is_bare && c->heard_us == c->s->now_us && c->turn_slow > 0 &&
        c->turn_slow == c->turn_heard && !is_due && !c->fuzzy)
        sim_fail(c->s, c, "an ACK at once of an empty segment");
}

static void check_ack(struct conn *c, const struct seg *g)
{
    uint64_t ack =
        c->rcv + (uint64_t) (int64_t) (int32_t) (g->ack - (c->irs + 1 + (uint32_t) c->rcv));

    if (!(g->flags & TB_TCP_ACK))
        sim_fail(c->s, c, "a segment without ACK");
    if ((ack != c->rcv && !c->fuzzy) || ack < c->last_ack_out)
        sim_fail(c->s, c, "acknowledges %lld; %llu came, %llu were acknowledged", (long long) ack,
                 (unsigned long long) c->rcv, (unsigned long long) c->last_ack_out);
    if (c->ack_by_us != SIM_NONE)
        watch_check_ack_time(c);
    check_not_hasty(c, g);
    c->last_ack_out = ack;
    c->unacked = 0;
    c->ack_by_us = SIM_NONE;
    c->ack_now = c->again_owed = false;
}

/* --- data ------------------------------------------------------------------------------------- */

static const struct sim_request *request_before(const struct conn *c, uint32_t i, uint64_t *done_us)
{
    uint32_t responses = c->t->greeting ? 1 : 0;
    const struct sim_request *q = &c->t->req[i];

    *done_us = c->open_us;
    if (q->r.waits_for > 0 && responses == q->r.waits_for)
        *done_us = c->done_us[SIM_REQUESTS];
    for (uint32_t k = 0; k < i && responses < q->r.waits_for; k++) {
        responses += (c->t->req[k].r.flags & TB_REQ_ANSWERED) != 0;
        if (responses == q->r.waits_for)
            *done_us = c->done_us[k];
    }
    return q;
}

static uint64_t think_us(const struct conn *c, uint32_t i)
{
    double speed = c->s->pacing_input.accelerate;

    return speed > 0 ? (uint64_t) ((double) c->t->req[i].r.think_us / speed) : 0;
}

/* Where the bytes end that are queued in the same turn as request `i`, which is due at `due_us`:
 * too many of them for a small window wait together (RFC 9293 §3.8.6.2.1). */
static uint64_t end_queued_with(const struct conn *c, uint32_t i, uint64_t due_us)
{
    uint64_t at_us = due_us, done_us;

    for (; i + 1 < c->t->count; i++) {
        request_before(c, i + 1, &done_us);
        at_us = (done_us > at_us ? done_us : at_us) + think_us(c, i + 1);
        if (done_us == 0 || at_us > due_us + 2 * TICK_US)
            break;
    }
    return c->t->req[i].wire_to;
}

/* The first byte of a request goes out: not before it is due, and in clear weather not later. */
static void check_due(struct conn *c, uint32_t i)
{
    uint64_t done_us, now = c->s->now_us;
    request_before(c, i, &done_us);
    uint64_t think = think_us(c, i);
    bool odd = c->b.fault == FAULT_TWICE || c->b.fault == FAULT_SHORT || c->fin ||
               judge_was_quiet(c) || c->fuzzy || (c->s->config.open_loop && i == 0);

    c->begun_us[i] = now;
    if (odd)
        return;
    if (done_us == 0) {
        sim_fail(c->s, c, "request %u goes out before what it waits for", i);
        return;
    }
    c->least_us[i] = done_us;
    if (i > 0 && c->least_us[i - 1] > done_us)
        c->least_us[i] = c->least_us[i - 1];
    c->least_us[i] += think;
    if (now + 2 + i < c->least_us[i])
        sim_fail(c->s, c, "request %u goes out %llu us early", i,
                 (unsigned long long) (c->least_us[i] - now));
    if (i > 0 && c->begun_us[i - 1] > done_us)
        done_us = c->begun_us[i - 1];
    if (c->t->script.module == MODULE_REWRITER)
        think += 6 * MS;
    uint64_t len = end_queued_with(c, i, done_us + think) - c->max; /* a tail may wait before it */
    uint64_t room = c->edge - c->una;
    bool was_free = c->max == c->una && c->edge > c->una && (room >= len || room >= c->mss) &&
                    c->edge_us < done_us + think && c->last_ack_us < done_us + think;
    if (c->s->weather.clean && was_free && now > done_us + think + 400)
        sim_fail(c->s, c, "request %u goes out %llu us late", i,
                 (unsigned long long) (now - done_us - think));
}

static void check_bytes(struct conn *c, const struct seg *g, uint64_t from)
{
    bool fin = g->flags & TB_TCP_FIN;
    uint64_t to = from + g->len;
    const struct sim_session *t = c->t;

    if (g->len > c->mss)
        sim_fail(c->s, c, "a segment of %u bytes, MSS %u", g->len, c->mss);
    if (from < c->una)
        sim_fail(c->s, c, "sends %llu again, acknowledged up to %llu", (unsigned long long) from,
                 (unsigned long long) c->una);
    if (from > c->max)
        sim_fail(c->s, c, "leaves out %llu to %llu", (unsigned long long) c->max,
                 (unsigned long long) from);
    if (to > t->wire_len)
        sim_fail(c->s, c, "sends up to %llu of %u", (unsigned long long) to, t->wire_len);
    else if (g->len && memcmp(g->payload, t->wire + from, g->len) != 0)
        sim_fail(c->s, c, "wrong bytes at %llu", (unsigned long long) from);
    if (g->len && to == t->wire_len && !(g->flags & TB_TCP_PSH)) /* RFC 9293 §3.9.1.2 */
        sim_fail(c->s, c, "the last bytes are not pushed");
    if (fin && to != t->wire_len)
        sim_fail(c->s, c, "a FIN behind %llu of %u", (unsigned long long) to, t->wire_len);
    if (c->fin_sent && to > c->max - 1)
        sim_fail(c->s, c, "bytes behind the FIN");
    if (c->s->weather.clean && g->len && g->len < c->mss && to > c->max && to < t->wire_len &&
        to != c->edge) {
        bool whole = false;
        for (uint32_t i = 0; i < t->count; i++)
            whole |= t->req[i].wire_to == to;
        if (!whole && t->script.module != MODULE_REWRITER)
            sim_fail(c->s, c, "a crumb of %u bytes up to %llu", g->len, (unsigned long long) to);
    }
}

/* SACK recovery repeats holes: each from its beginning or from where the last repetition ended, and
 * nothing that was reported; but the first segment is repeated whole. */
static void check_hole(struct conn *c, uint64_t from, uint64_t to)
{
    bool begins = from == c->again_upto;

    if (from == c->una || c->many_sacked || c->b.reneges || c->fuzzy)
        return;
    for (unsigned i = 0; i < c->sacked.n; i++) {
        begins |= from == c->sacked.r[i].to;
        if (from < c->sacked.r[i].to && to > c->sacked.r[i].from)
            sim_fail(c->s, c, "sends %llu to %llu again, in spite of a SACK",
                     (unsigned long long) from, (unsigned long long) to);
    }
    if (!begins)
        sim_fail(c->s, c, "sends %llu again, within a hole", (unsigned long long) from);
}

/* Is there a reason to send this again? */
static void check_again(struct conn *c, uint64_t from, uint64_t to)
{
    uint64_t now = c->s->now_us, waited = now - c->base_us;
    enum fault f = c->b.fault;
    bool harmless = f == FAULT_GONE || f == FAULT_SHRINK || f == FAULT_RESTART ||
                    f == FAULT_LEFTOVER || f == FAULT_DEAF_FIRST || c->recovers ||
                    f == FAULT_RESET || f == FAULT_RESET_WITHIN || c->play > 1 ||
                    c->t->end == END_SERVER_RST;

    c->again++;
    c->s->retransmitted++;
    c->must_retransmit = false;
    if (c->s->weather.clean && !harmless)
        sim_fail(c->s, c, "a needless retransmission of %llu", (unsigned long long) from);
    if (from == c->una && c->hint_us != now)
        sent_check_timer(c);
    bool is_timeout = from == c->una && waited >= shortest_rto_us(c);
    bool by_sack =
        c->in_recovery && c->sacked.n > 0 && !is_timeout;   /* RFC 6675: as the pipe allows */
    bool goes_on = from > c->una && from < c->timeout_upto; /* behind a timeout */
    if (from == c->una) {
        c->rescue_us = now;
        if (c->is_timer_unsure) /* perhaps this is the timeout */
            c->timeout_upto = c->max;
    }
    if (c->is_timer_unsure || c->b.reneges || c->fuzzy)
        cwnd_forget(c);
    bool by_ack = c->hint_us == now || c->b.reneges || (c->in_recovery && c->sacked.n > 0);
    if (is_timeout && (by_ack || c->is_timer_unsure)) { /* which of them was it? */
        c->is_timer_unsure = true;
        cwnd_forget(c);
        c->timeout_us = c->base_us = now;
        c->timeout_upto = c->max;
        c->timeouts_us += waited;
        c->rto_us = 0;
        return;
    }
    if (from == c->una && (c->hint_us == now || by_sack)) /* perhaps it had no room for a report */
        cwnd_fast_retransmit(c);
    if (by_sack && !goes_on) {
        check_hole(c, from, to);
        cwnd_repeat(c, from, to);
    }
    if (c->hint_us == now || c->timeout_us == now || by_sack || goes_on || c->is_timer_unsure)
        return;
    if (!is_timeout && (c->fuzzy || c->b.reneges)) /* what the client knows is not sure */
        return;
    if (waited < shortest_rto_us(c))
        sim_fail(c->s, c, "sends %llu again after %llu us without reason",
                 (unsigned long long) from, (unsigned long long) waited);
    if (from != c->una)
        sim_fail(c->s, c, "a timeout sends %llu, not %llu", (unsigned long long) from,
                 (unsigned long long) c->una);
    sent_check_timer(c);
    cwnd_timeout(c, c->una >= c->timeout_upto);
    c->timeout_us = c->base_us = now;
    memset(c->seg_again, true, sizeof c->seg_again);
    c->rto_us = waited;
    c->timeouts_us += waited;
    c->timeout_upto = c->max;
    c->dupacks = 0;
    c->sacked.n = 0;
}

static void note_sent(struct conn *c, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < c->segs; i++)
        if (from < c->seg_end[i] && to > c->seg_from[i])
            c->seg_again[i] = true;
    if (to > c->max && c->segs < 16) {
        c->seg_from[c->segs] = from;
        c->seg_end[c->segs] = to;
        c->seg_us[c->segs] = c->s->now_us;
        c->seg_again[c->segs++] = from < c->max;
    }
}

/* The FIN of a client that closes first: after the last response, and the captured time behind. */
static void check_fin_due(struct conn *c)
{
    const struct sim_session *t = c->t;
    double speed = c->s->pacing_input.accelerate;
    uint64_t done_us = c->open_us, now = c->s->now_us, wait;
    bool odd = judge_was_quiet(c) || c->fuzzy || c->fin || c->b.fault != FAULT_NONE ||
               c->s->config.hold_us || t->script.module == MODULE_REWRITER;

    if (t->end == END_SERVER_FIN && !odd && c->last_data_us &&
        now + 2 < c->last_data_us + c->s->config.close_wait_us)
        sim_fail(c->s, c, "a FIN before the server's, %llu us after its last byte",
                 (unsigned long long) (now - c->last_data_us));
    if (t->end != END_CLIENT_FIN || odd)
        return;
    if (c->rcv < t->replies) {
        sim_fail(c->s, c, "a FIN before the last response");
        return;
    }
    if (t->replies)
        done_us = c->last_data_us;
    uint64_t late_us = done_us;
    if (t->count && c->least_us[t->count - 1] > done_us)
        done_us = c->least_us[t->count - 1];
    if (t->count && c->begun_us[t->count - 1] > late_us)
        late_us = c->begun_us[t->count - 1];
    wait = speed > 0 ? (uint64_t) ((double) t->script.end.delay_us / speed) : 0;
    if (now + 2 < done_us + wait)
        sim_fail(c->s, c, "a FIN %llu us early", (unsigned long long) (done_us + wait - now));
    if (c->s->weather.clean && c->last_ack_us <= late_us + wait && now > late_us + wait + 400)
        sim_fail(c->s, c, "a FIN %llu us late", (unsigned long long) (now - late_us - wait));
}

static void sent_data(struct conn *c, const struct seg *g, uint64_t from)
{
    uint64_t to = from + g->len, end = to + !!(g->flags & TB_TCP_FIN);
    uint64_t edge = c->s->weather.fifo && c->b.fault != FAULT_SHRINK ? c->edge : c->edge_most;

    check_bytes(c, g, from);
    if (to > c->max && to > edge && !c->fuzzy)
        sim_fail(c->s, c, "sends up to %llu, the window ends at %llu", (unsigned long long) to,
                 (unsigned long long) edge);
    /* Slow start: an initial window, and as much more as was acknowledged (RFC 3465). */
    uint64_t most = sent_initial_window(c) + c->una + 3u * c->mss;
    if (to > c->max && c->again == 0 && !c->fuzzy && to - c->una > most)
        sim_fail(c->s, c, "%llu bytes in flight, slow start allows %llu",
                 (unsigned long long) (to - c->una), (unsigned long long) most);
    for (uint32_t i = 0; i < c->t->count; i++)
        if (c->t->req[i].wire_from >= c->max && c->t->req[i].wire_from < to && !c->begun_us[i])
            check_due(c, i);
    if (from < c->max)
        check_again(c, from, to);
    else if (c->max == c->una) {
        c->base_us = c->flight_us = c->s->now_us;
        c->ssthresh = UINT32_MAX; /* forgotten by an idle client */
    }
    if (g->len > 0) /* a FIN alone needs no window */
        cwnd_check(c, to);
    if (from < c->max)
        c->again_upto = to;
    note_sent(c, from, end);
    if (to > c->max)
        c->s->bytes_out += to - c->max;
    if ((g->flags & TB_TCP_FIN) && !c->fin_sent) {
        check_fin_due(c);
        c->fin_sent = true;
        c->is_passive = c->fin;
    }
    if (end > c->max)
        c->max = end;
}

/* A segment without bytes: an ACK, or a probe of the window. */
static void sent_empty(struct conn *c, uint64_t from)
{
    uint64_t now = c->s->now_us, waited = now - c->base_us;

    if (from == c->max)
        return;
    if (from + 1 != c->una || c->edge > c->una || c->una >= c->t->wire_len) {
        sim_fail(c->s, c, "an ACK at %lld of %llu", (long long) from, (unsigned long long) c->max);
        return;
    }
    if (waited < shortest_rto_us(c) && c->max > 0)
        sim_fail(c->s, c, "a probe after %llu us", (unsigned long long) waited);
    if (c->has_probed) /* of the first one it is not known when waiting began */
        c->rto_us = waited;
    c->has_probed = true;
    c->base_us = now;
    c->probes++;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Is this the number of a RST that an older connection's segment, come in this turn, is due? */
static bool is_for_older(const struct conn *c, uint32_t seq)
{
    unsigned most = sizeof c->recover_seq / sizeof c->recover_seq[0];

    if (!c->recovers || c->recover_us != c->s->now_us)
        return false;
    for (unsigned i = 0; i < c->recover_count && i < most; i++)
        if (c->recover_seq[i] == seq)
            return true;
    return c->recover_count > most; /* nobody remembers all of them */
}

static void sent_rst(struct conn *c, const struct seg *g)
{
    c->rst_owed = false;
    if (c->rst_sent || c->refused || (g->seq == 0 && c->iss + 1 + (uint32_t) c->max != 0) ||
        (!(g->flags & TB_TCP_ACK) && is_for_older(c, g->seq)))
        return; /* of a stray, or of an older connection */
    if (c->called_us == c->s->now_us && (g->flags & TB_TCP_ACK) && g->seq == c->iss)
        return; /* to somebody who calls us; the server, if it has our SYN, does not take it */
    if (!c->open) {
        if (!c->recovers && g->seq != c->iss + 1)
            sim_fail(c->s, c, "a RST at another number than the SYN's");
        c->rst_sent |= !c->recovers || c->verdict != TB_VERDICT_NONE;
        return;
    }
    if (c->rst || c->rst_sent || (c->fin && c->fin_sent && c->una == c->max))
        return; /* of a stray */
    if ((g->flags & TB_TCP_ACK) && g->seq != c->iss + 1 + (uint32_t) c->max)
        sim_fail(c->s, c, "a RST at %u, not %u", g->seq, c->iss + 1 + (uint32_t) c->max);
    c->rst_sent = true;
    c->rst_sent_us = c->s->now_us;
}

void watch_sent(struct sim *s, const uint8_t *data, uint32_t len)
{
    struct seg g;

    s->packets_out++;
    if (!wire_parse(data, len, &g) || !g.checksum_ok) {
        sim_fail(s, NULL, "sends what is no TCP packet");
        return;
    }
    if (g.flags & TB_TCP_RST)
        watch_count_rst(s);
    struct slot *slot = slot_find(s, g.src, g.sport);
    struct conn *c = slot ? slot->conn : NULL;
    if (!c || g.dst != tb_addr_low32(&slot->path.dst) || g.dport != slot->path.dport) {
        sim_fail(s, NULL, "sends from port %u, where no user is", g.sport);
        return;
    }
    if (c->before && c->syns == 0 && !(g.flags & TB_TCP_SYN))
        c = c->before;
    c->packets_out++;
    if (g.flags & TB_TCP_SYN) {
        sent_syn(c, &g);
        return;
    }
    if (g.flags & TB_TCP_RST) {
        sent_rst(c, &g);
        return;
    }
    if (c->fuzzy)
        c->rst = false; /* it was not where the client was */
    if (!c->open || c->rst || c->rst_sent || c->refused) {
        sim_fail(s, c, "a segment of a connection that is not open");
        return;
    }
    int64_t from = (int64_t) c->una + (int32_t) (g.seq - (c->iss + 1 + (uint32_t) c->una));
    if (from < -1 || (from < 0 && g.len)) {
        sim_fail(s, c, "sends from %lld", (long long) from);
        return;
    }
    check_options(c, &g);
    check_sack(c, &g);
    check_ack(c, &g);
    if (g.len || (g.flags & TB_TCP_FIN))
        sent_data(c, &g, (uint64_t) from);
    else
        sent_empty(c, (uint64_t) from);
    c->last_out_us = s->now_us;
}
