/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The watcher: every segment at the client's network card, both ways. From what was received it
 * follows what the next segment must say; anything else fails the seed. sent.c looks at what the
 * client sends.
 */
#include "watch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sent.h"

enum { DELAYED_ACK_US = 40000, TICK_US = 64, RESETS_PER_S = 1000, RANGES_KEPT = 8 };

void sim_fail(struct sim *s, const struct conn *c, const char *fmt, ...)
{
    char words[400];
    va_list ap;

    if (s->failed)
        return;
    s->failed = true;
    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    int n = snprintf(s->why, sizeof s->why, "at %.6f s: %s",
                     (double) (s->now_us - s->begin_us) / 1e6, words);
    char addr[TB_ADDR_TEXT] = "";
    if (c && n < (int) sizeof s->why)
        snprintf(s->why + n, sizeof s->why - (size_t) n,
                 " [%s user %u play %u port %u, session %u, module %u, end %d, fault %d]",
                 tb_addr_format(&c->slot->path.src, addr), c->slot->user, c->play,
                 c->slot->path.sport, c->t->script.number, c->t->script.module, (int) c->t->end,
                 (int) c->b.fault);
}

/* --- a play begins ---------------------------------------------------------------------------- */

static void check_start(const struct sim *s, const struct conn *c, uint32_t user)
{
    const struct tb_pacing_input *p = &s->pacing_input;

    if (s->config.open_loop || c->play > 1 || p->topology)
        return;
    /* With a ramp the rate grows linearly to its full value. */
    double at_s = user / p->rate, ramp_starts = p->rate * p->ramp_s / 2;
    if (p->ramp_s > 0)
        at_s = user < ramp_starts ? __builtin_sqrt(2 * user * p->ramp_s / p->rate)
                                  : p->ramp_s + (user - ramp_starts) / p->rate;
    double late_us = (double) (s->now_us - s->begin_us) - at_s * 1e6;
    if (late_us < -2 || late_us > 100)
        sim_fail((struct sim *) s, c, "starts %.0f us beside its schedule", late_us);
}

struct conn *watch_start(struct sim *s, struct tb_worker *w, struct tb_user *u)
{
    struct conn *c = calloc(1, sizeof *c);
    struct tb_tcp_path path;

    if (!c)
        abort();
    tb_user_path(w, u, &path);
    c->s = s;
    c->worker = w;
    c->user = u;
    c->slot = slot_find(s, tb_addr_low32(&path.src), path.sport);
    if (!c->slot || c->slot->user != u->tcp.owner) {
        fprintf(stderr, "a user is where the plan does not have it\n");
        abort();
    }
    c->t = &s->session[c->slot->user % s->sessions];
    c->play = u->plays;
    c->start_us = s->now_us;
    c->fin_at = c->ack_by_us = SIM_NONE;
    c->snd_scale = c->rcv_scale = -1;
    c->rtt_least = SIM_NONE;
    story_behave(s, c, &c->b);
    c->deaf_syns = c->b.fault == FAULT_DEAF_FIRST ? c->b.arg : 0;
    if (c->b.fault == FAULT_LEFTOVER && !c->slot->peer)
        peer_leave_over(s, c->slot, &c->b);
    c->older = s->conns;
    s->conns = c;
    c->before = c->slot->conn;
    c->slot->conn = c;
    s->plays++;
    check_start(s, c, c->slot->user);
    if (s->plan.generations > 1 && s->plan_input.workers == 1 && c->before &&
        c->before->play + 1 == c->play)
        sim_fail(s, c, "takes the same pair again");
    return c;
}

void watch_free_all(struct sim *s)
{
    while (s->conns) {
        struct conn *older = s->conns->older;
        free(s->conns);
        s->conns = older;
    }
}

/* --- what the client owes --------------------------------------------------------------------- */

static void look_at(struct conn *c)
{
    if (c->is_looked_at)
        return;
    c->is_looked_at = true;
    c->look_next = c->s->look;
    c->s->look = c;
}

static void owe_now(struct conn *c)
{
    c->ack_now = !c->fuzzy;
    look_at(c);
}

static void owe_soon(struct conn *c)
{
    if (c->ack_by_us == SIM_NONE && !c->fuzzy)
        c->ack_by_us = c->s->now_us + DELAYED_ACK_US + 3 * TICK_US;
}

/* To what cannot be taken; to an empty segment that is no probe not at once. */
static void owe_refused(struct conn *c, int64_t from, int64_t len)
{
    if (len > 0 || from + 1 == (int64_t) c->rcv) {
        owe_now(c);
        return;
    }
    c->turn_slow++;
    owe_soon(c);
}

static bool is_over(const struct conn *c)
{
    bool both_closed = c->fin && c->fin_sent && c->una == c->max;

    return c->rst || c->rst_sent || c->refused || both_closed;
}

/* Of the server's FIN, the last thing that came. */
static bool owes_last_ack(const struct conn *c)
{
    return !c->rst && !c->rst_sent && !c->refused && !c->is_passive && c->t->end != END_ABANDON &&
           c->slot->conn == c;
}

/* Strays that came behind the end of their connection in the very turn look like any segment when
 * they are received: what was sent has to be counted. */
void watch_count_rst(struct sim *s)
{
    if (s->now_us / SEC != s->resets_us / SEC) {
        s->resets_us = s->now_us;
        s->resets = 0;
    }
    s->resets++;
}

static unsigned resets_of_now(const struct sim *s)
{
    return s->now_us / SEC == s->resets_us / SEC ? s->resets : 0;
}

void watch_turn_over(struct sim *s)
{
    while (s->look) {
        struct conn *c = s->look;
        s->look = c->look_next;
        c->is_looked_at = false;
        if (c->ack_now && (!is_over(c) || owes_last_ack(c)))
            sim_fail(s, c, "an ACK that was due at once did not come");
        if (c->must_retransmit && !is_over(c))
            sim_fail(s, c, "nothing sent again at the third duplicate ACK, or a partial one");
        if (c->again_owed && !c->rst_sent && c->slot->conn == c)
            sim_fail(s, c, "a FIN that came again in TIME-WAIT was not acknowledged");
        if (c->rst_owed && c->slot->conn == c && resets_of_now(s) < RESETS_PER_S)
            sim_fail(s, c, "a stray was not answered");
        c->ack_now = c->must_retransmit = c->rst_owed = c->again_owed = false;
        sent_check_window_used(c);
        cwnd_turn_over(c);
        judge_agrees(s, c);
    }
}

void watch_check_ack_time(struct conn *c)
{
    if (c->ack_by_us != SIM_NONE && c->s->now_us > c->ack_by_us && !is_over(c) &&
        c->verdict == TB_VERDICT_NONE)
        sim_fail(c->s, c, "an ACK is %llu us late",
                 (unsigned long long) (c->s->now_us - c->ack_by_us));
}

uint32_t watch_next_number(const struct conn *c)
{
    return c->iss + 1 + (uint32_t) c->max;
}

uint64_t watch_window_edge(const struct conn *c)
{
    uint64_t most = (uint64_t) 65535 << (c->rcv_scale > 0 ? c->rcv_scale : 0);

    return c->rcv + (most < 1 << 20 ? most : 1 << 20);
}

/* --- received --------------------------------------------------------------------------------- */

static void take_syn_ack(struct conn *c, const struct seg *g)
{
    const struct tb_syn *o = &c->t->script.syn;
    uint32_t headers = g->v6 ? 60 : 40, room = c->s->config.mtu - headers;
    uint64_t now = c->s->now_us;

    c->open = true;
    c->open_us = c->last_ack_us = now;
    c->irs = g->seq;
    c->ts = o->timestamps && g->has_ts;
    c->sack = o->sack_permitted && g->sack_ok;
    if (o->wscale >= 0 && g->wscale >= 0) {
        c->rcv_scale = o->wscale;
        c->snd_scale = g->wscale;
    }
    c->mss = g->mss ? g->mss : g->v6 ? 1220 : 536;
    if (c->mss > room)
        c->mss = room;
    if (c->ts)
        c->mss -= 12;
    c->ts_recent = g->tsval;
    c->edge = c->edge_most = c->wnd_most = g->window;
    c->wl1 = g->seq;
    if (c->syns == 1)
        c->rtt_least = c->rtt_most = now - c->syn_us;
    c->wnd = g->window;
    cwnd_open(c);
    owe_now(c);
}

/* An answer to an older connection. */
static void note_older(struct conn *c, uint32_t ack)
{
    if (c->recover_us != c->s->now_us)
        c->recover_count = 0;
    c->recovers = true;
    c->recover_us = c->s->now_us;
    if (c->recover_count < sizeof c->recover_seq / sizeof c->recover_seq[0])
        c->recover_seq[c->recover_count] = ack;
    c->recover_count++;
}

static void received_before_open(struct conn *c, const struct seg *g)
{
    bool acks = g->flags & TB_TCP_ACK, acked = acks && g->ack == c->iss + 1;

    if (acks && !acked)
        note_older(c, g->ack);
    if ((g->flags & (TB_TCP_SYN | TB_TCP_ACK | TB_TCP_RST)) == TB_TCP_SYN)
        c->called_us = c->s->now_us;
    if (g->flags & TB_TCP_RST)
        c->refused |= acked;
    else if ((g->flags & TB_TCP_SYN) && acked)
        take_syn_ack(c, g);
}

static void take_rtt(struct conn *c)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < c->segs; i++) {
        uint64_t rtt = c->s->now_us - c->seg_us[i];
        if (c->seg_end[i] > c->una) {
            c->seg_from[kept] = c->seg_from[i];
            c->seg_end[kept] = c->seg_end[i];
            c->seg_us[kept] = c->seg_us[i];
            c->seg_again[kept++] = c->seg_again[i];
            continue;
        }
        if (rtt > c->rtt_most)
            c->rtt_most = rtt;
        if (!c->seg_again[i] && rtt < c->rtt_least)
            c->rtt_least = rtt;
    }
    c->segs = kept;
}

/* The round trip that the echoed time stamp tells the client: perhaps of a much older segment. */
static void take_echo(struct conn *c, const struct seg *g)
{
    uint32_t ts_now = c->last_tsval_out + (uint32_t) ((c->s->now_us - c->last_out_us) / MS);
    uint64_t rtt = (uint64_t) (ts_now - g->tsecr + 2) * MS;

    if (c->ts && g->has_ts && rtt < 60 * SEC && rtt > c->rtt_most)
        c->rtt_most = rtt;
}

static void take_new_ack(struct conn *c, uint64_t ack)
{
    uint64_t now = c->s->now_us, acked = ack - c->una;

    sent_check_timer(c);
    if (now - c->last_ack_us > c->silence_us)
        c->silence_us = now - c->last_ack_us;
    c->una = ack;
    ranges_trim(&c->sacked, ack);
    take_rtt(c);
    c->last_ack_us = c->base_us = now;
    c->rto_us = 0;
    c->has_probed = c->is_timer_unsure = false;
    c->dupacks = 0;
    c->must_retransmit = false;
    cwnd_acked(c, ack, acked);
    if (c->in_recovery || ack < c->timeout_upto)
        c->hint_us = now;
    if (c->una >= c->recover)
        c->in_recovery = false;
}

static void take_duplicate(struct conn *c, uint32_t mss, bool more_sacked)
{
    uint64_t above = 0;

    c->dupacks++;
    for (unsigned i = 0; i < c->sacked.n; i++)
        above += c->sacked.r[i].to - c->sacked.r[i].from;
    if (c->in_recovery)
        c->hint_us = c->s->now_us;
    if (c->dupacks >= 3 || (more_sacked && above > 2u * mss)) {
        c->must_retransmit |= !c->fuzzy && c->again == 0 && c->dupacks == 3 && !c->in_recovery;
        c->in_recovery = true;
        c->recover = c->max;
        c->hint_us = c->s->now_us;
        look_at(c);
    }
}

static bool take_sacks(struct conn *c, const struct seg *g, int64_t ack)
{
    bool more = false;

    if (ranges_have(&c->sacked, (uint64_t) ack, (uint64_t) ack + 1)) /* thrown away (RFC 2018 §8) */
        c->sacked.n = 0;

    for (unsigned i = 0; i < g->sacks && c->sack; i++) {
        int64_t from =
            (int64_t) c->una + (int32_t) (g->sack[i][0] - (c->iss + 1 + (uint32_t) c->una));
        int64_t to =
            (int64_t) c->una + (int32_t) (g->sack[i][1] - (c->iss + 1 + (uint32_t) c->una));
        if (from <= ack || to <= from || to > (int64_t) c->max)
            continue;
        if (!ranges_have(&c->sacked, (uint64_t) from, (uint64_t) to)) {
            ranges_add(&c->sacked, (uint64_t) from, (uint64_t) to);
            more = true;
        }
        c->many_sacked |= c->sacked.n >= RANGES_KEPT;
    }
    return more;
}

/* False: the segment is to be dropped. */
static bool take_ack(struct conn *c, const struct seg *g)
{
    int64_t ack = (int64_t) c->una + (int32_t) (g->ack - (c->iss + 1 + (uint32_t) c->una));
    uint64_t window = (uint64_t) g->window << (c->snd_scale > 0 ? c->snd_scale : 0);
    uint64_t edge_before = c->edge;

    uint32_t oldest = 65535u << (c->snd_scale > 0 ? c->snd_scale : 0);
    if (ack > (int64_t) c->max || ack < (int64_t) c->una - oldest)
        return false;
    bool is_new = ack > (int64_t) c->una;
    bool more_sacked = take_sacks(c, g, is_new ? ack : (int64_t) c->una);
    bool shut = c->edge == c->una;
    if (is_new) {
        take_new_ack(c, (uint64_t) ack);
        take_echo(c, g);
    }
    if (ack >= (int64_t) c->una) {
        uint64_t edge = (uint64_t) ack + window;
        bool plain = g->len == 0 && !(g->flags & TB_TCP_FIN) && window > 0 && edge == edge_before;
        if (c->max > c->una && (c->sack ? more_sacked : !is_new && plain))
            take_duplicate(c, c->mss, more_sacked);
        if (edge > c->edge_most)
            c->edge_most = edge;
        if (window > c->wnd_most)
            c->wnd_most = window;
        if (is_new || (int32_t) (g->seq - c->wl1) >= 0) {
            if (edge != c->edge)
                c->edge_us = c->s->now_us;
            c->edge = edge;
            c->wnd = window;
            c->wl1 = g->seq;
        }
        if (shut && c->edge > c->una) { /* the window opens */
            sent_check_timer(c);
            c->last_ack_us = c->base_us = c->s->now_us;
            c->rto_us = 0;
            c->has_probed = false;
        }
    }
    look_at(c);
    return true;
}

static void bytes_came(struct conn *c)
{
    uint64_t now = c->s->now_us, gap = now - c->last_data_us;

    if (c->last_data_us && gap > c->data_gap_us)
        c->data_gap_us = gap;
    c->last_data_us = now;
    if (c->t->greeting && c->rcv >= c->t->greeting && !c->done_us[SIM_REQUESTS])
        c->done_us[SIM_REQUESTS] = now;
    for (uint32_t i = 0; i < c->t->count; i++)
        if (c->t->req[i].r.response_bytes && !c->done_us[i] && c->rcv >= c->t->req[i].reply_to)
            c->done_us[i] = now;
}

static void take_in_order(struct conn *c, uint64_t to, uint32_t len)
{
    bool gap_filled = c->ooo.n > 0;
    uint64_t before = c->rcv;

    c->rcv = ranges_join(&c->ooo, to);
    if (c->ooo.n == 0)
        c->ooo_segments = 0;
    c->s->bytes_in += c->rcv - before;
    c->unacked += len;
    if (gap_filled || c->unacked >= 2u * (c->mss > 1460 ? c->mss : 1460))
        owe_now(c);
    else if (c->ack_by_us == SIM_NONE)
        c->ack_by_us = c->s->now_us + DELAYED_ACK_US + 3 * TICK_US;
    bytes_came(c);
}

/* Behind `edge` nothing is taken. */
static void take_text(struct conn *c, const struct seg *g, uint64_t from, uint64_t edge)
{
    uint64_t to = from + g->len < edge ? from + g->len : edge;

    if (c->turn_us != c->s->now_us)
        c->turn_segments = 0;
    c->turn_us = c->s->now_us;
    c->turn_segments += g->len > 0;
    if (c->fin) {
        if (g->len > 0 || (g->flags & TB_TCP_FIN))
            owe_now(c);
        return;
    }
    if ((g->flags & TB_TCP_FIN) && c->fin_at == SIM_NONE)
        c->fin_at = to;
    if (g->len > 0 && (int64_t) to > (int64_t) c->rcv) {
        if ((int64_t) from > (int64_t) c->rcv) {
            owe_now(c);
            if (!ranges_have(&c->ooo, from, to)) {
                c->latest_ooo = from;
                c->ooo_segments++;
                ranges_add(&c->ooo, from, to);
            }
            if (c->ooo.n > 7 || c->ooo_segments > 50 || c->ooo.n == SIM_RANGES)
                c->fuzzy = c->s->refuses_data = true;
        } else {
            take_in_order(c, to, (uint32_t) (to - c->rcv));
        }
    } else if (g->len > 0) {
        owe_now(c);
    }
    if (g->flags & TB_TCP_FIN)
        owe_now(c);
    if (c->fin_at == c->rcv && !c->fin) {
        c->fin = true;
        c->fin_us = c->s->now_us;
        c->rcv++;
        owe_now(c);
    }
}

/* RFC 5961: an ACK, as long as there are few. */
static void owe_challenge(struct conn *c)
{
    struct sim *s = c->s;

    if (s->now_us / SEC != s->challenge_us / SEC) {
        s->challenge_us = s->now_us;
        s->challenges = 0;
    }
    if (s->challenges++ < 50)
        owe_now(c);
}

static void received_open(struct conn *c, const struct seg *g)
{
    int64_t from = (int64_t) c->rcv + (int32_t) (g->seq - (c->irs + 1 + (uint32_t) c->rcv));
    int64_t nxt = (int64_t) c->rcv, edge = (int64_t) watch_window_edge(c);
    int64_t len = (int64_t) g->len + !!(g->flags & TB_TCP_SYN) + !!(g->flags & TB_TCP_FIN);

    if (c->heard_us != c->s->now_us)
        c->turn_heard = c->turn_slow = 0;
    c->heard_us = c->s->now_us;
    c->turn_heard++;
    if (g->flags & TB_TCP_RST) {
        bool exact = from == nxt || (c->fuzzy && from <= nxt && from >= (int64_t) c->last_ack_out);
        if (exact && !is_over(c)) {
            c->rst = true;
            c->rst_us = c->s->now_us;
        } else if (!exact && from >= nxt && from < edge) {
            owe_challenge(c);
        }
        return;
    }
    if (c->ts && !g->has_ts)
        return;
    if (c->ts && (int32_t) (g->tsval - c->ts_recent) < 0) {
        owe_refused(c, from, len);
        return;
    }
    if (g->flags & TB_TCP_SYN) {
        if (g->seq == c->irs)
            owe_now(c);
        else
            owe_challenge(c);
        return;
    }
    if (len == 0 ? from < nxt || from >= edge : from >= edge || from + len <= nxt) {
        owe_refused(c, from, len);
        return;
    }
    if (!take_ack(c, g)) {
        owe_challenge(c);
        return;
    }
    if (c->ts && from + (int64_t) c->unacked <= nxt) /* RFC 7323: of the first unacknowledged */
        c->ts_recent = g->tsval;
    take_text(c, g, (uint64_t) from, (uint64_t) edge);
}

/* A segment of a connection that is over is answered by a RST, as long as there are few. Where it
 * is not known which bytes the client has taken, a RST may have been too old for it. */
static void note_stray(struct conn *c, const struct seg *g)
{
    if (c->fuzzy || (g->flags & TB_TCP_RST) || (c->rst_sent && c->rst_sent_us == c->s->now_us))
        return;
    c->rst_owed = true;
    look_at(c);
}

/* Only while the user has not gone on to another pair. */
static void owe_again(struct conn *c)
{
    if (c->user->generation != c->slot->generation || c->fuzzy || c->t->end == END_ABANDON)
        return;
    c->again_owed = true;
    look_at(c);
}

void watch_received(struct sim *s, const uint8_t *data, uint32_t len)
{
    struct seg g;

    s->packets_in++;
    if (!wire_parse(data, len, &g)) {
        s->bad_in++;
        return;
    }
    if (g.flags & TB_TCP_RST)
        watch_count_rst(s);
    struct slot *slot = slot_find(s, g.dst, g.dport);
    struct conn *c = slot ? slot->conn : NULL;
    if (!c)
        return;
    c->packets_in++;
    if (c->rst || c->rst_sent || c->refused) {
        note_stray(c, &g);
        return;
    }
    watch_check_ack_time(c);
    if (!c->open)
        received_before_open(c, &g);
    else if (!(c->fin && c->fin_sent && c->una == c->max))
        received_open(c, &g);
    else if (!c->is_passive && (g.len > 0 || (g.flags & TB_TCP_FIN)) && !(g.flags & TB_TCP_RST))
        owe_again(c);
}
