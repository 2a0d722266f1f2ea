/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers of a connection: retransmission with back-off (RFC 6298), persist (RFC 9293 §3.8.6.1),
 * delayed ACK. Also the round-trip estimate they rest on.
 */
#include "tcp/tcp.h"

/* RFC 6298 asks for a minimum of 1 s; every system in use takes about 200 ms, which is what the
 * captured clients did. */
enum { RTO_MIN_US = 200000, RTO_INITIAL_US = 1000000, RTO_MAX_US = 60000000, BACKOFF_MAX = 12 };
/* How long a retransmission waits for packets that have come but were not read yet. */
enum { BEHIND_US = 10000 };

void tb_tcp_rtt_sample(struct tb_tcp *c, uint64_t rtt_us)
{
    uint32_t r = rtt_us > RTO_MAX_US ? RTO_MAX_US : (uint32_t) rtt_us;

    if (r == 0)
        r = 1;
    if (c->srtt_us == 0) {
        c->srtt_us = r;
        c->rttvar_us = r / 2;
        return;
    }
    uint32_t delta = r > c->srtt_us ? r - c->srtt_us : c->srtt_us - r;
    c->rttvar_us = (uint32_t) ((3 * (uint64_t) c->rttvar_us + delta) / 4);
    c->srtt_us = (uint32_t) ((7 * (uint64_t) c->srtt_us + r) / 8); /* both at least 1 */
}

uint64_t tb_tcp_rto_us(const struct tb_tcp *c, unsigned backoff)
{
    uint64_t rto = RTO_INITIAL_US;

    if (c->srtt_us) {
        uint64_t slack = 4 * (uint64_t) c->rttvar_us;
        rto = c->srtt_us + (slack > RTO_MIN_US ? slack : RTO_MIN_US);
    } else if (c->rttvar_us) {
        rto = c->rttvar_us;
    }
    rto <<= backoff < BACKOFF_MAX ? backoff : BACKOFF_MAX;
    return rto < RTO_MAX_US ? rto : RTO_MAX_US;
}

/* RFC 5681 §3.1 (4): half of what is in flight, at least two segments. */
static uint32_t half_flight(const struct tb_tcp *c, const struct tb_tcp_busy *b)
{
    uint64_t flight = b->snd_max - c->snd_una;
    uint64_t half = flight / 2, least = 2u * c->mss;

    return (uint32_t) (half > least ? (half < UINT32_MAX ? half : UINT32_MAX) : least);
}

static unsigned retransmission_due(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b)
{
    if (env->now_us - b->progress_us >= env->timeout_us)
        return TB_TCP_EV_DEAD;
    if (b->backoff < BACKOFF_MAX)
        b->backoff++;
    b->rtt_end = 0; /* Karn: no sample from retransmitted data */
    if (c->state == TB_TCP_SYN_SENT) {
        c->flags |= TB_TCP_SYN_DUE;
        return 0;
    }
    /* The window is closed (maybe over data in flight) or too small to be worth using at once. A
     * FIN alone is its own probe. */
    if (b->snd_max == c->snd_una || (c->snd_wnd == 0 && b->snd_end > c->snd_una)) {
        c->flags |= TB_TCP_PROBE;
        return 0;
    }
    /* Go back to the first unacknowledged byte with one segment; what was SACKed may have been
     * dropped by now (RFC 2018 §8). */
    if (!(b->snd_nxt < b->snd_max)) /* RFC 5681: only the first time for the same loss */
        b->ssthresh = half_flight(c, b);
    b->cwnd = c->mss;
    b->recover = b->snd_max;
    b->snd_nxt = c->snd_una;
    b->cursor_span = b->first_span;
    b->sacked.count = 0;
    b->dupacks = 0;
    c->flags &= (uint16_t) ~(TB_TCP_RECOVERY | TB_TCP_RTX_FIRST);
    return 0;
}

unsigned tb_tcp_timer(struct tb_tcp_env *env, struct tb_tcp *c)
{
    unsigned events = 0;

    if (tb_tcp_tick_due(env, c->ack_at)) {
        c->ack_at = 0;
        c->flags |= TB_TCP_ACK_NOW;
    }
    if (tb_tcp_tick_due(env, c->rtx_at)) {
        struct tb_tcp_busy *b = tb_tcp_busy(env, c);
        c->rtx_at = 0;
        if (b && env->is_behind && env->now_us - b->progress_us < env->timeout_us)
            c->rtx_at = tb_tcp_tick_in(env, BEHIND_US);
        else if (b)
            events = retransmission_due(env, c, b);
    }
    return events;
}
