/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How large the client's congestion window can be at most (RFC 5681, 6582): grown by what was
 * acknowledged, halved by losses, one segment behind a timeout, not grown by idling. Where it is
 * not sure why something was sent again the window is not known any more, and nothing is asked.
 * watch.c and sent.c say what happens.
 */
#include "sent.h"

static uint32_t half_of(const struct conn *c, uint64_t flight)
{
    uint64_t least = 2u * c->mss;

    return (uint32_t) (flight / 2 > least ? flight / 2 : least);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void cwnd_open(struct conn *c)
{
    /* RFC 5681 §3.1; one lost SYN is forgiven, as Linux does. */
    c->cwnd = c->syns > 2 && !c->recovers ? c->mss : sent_initial_window(c);
    c->ssthresh = UINT32_MAX;
}

void cwnd_acked(struct conn *c, uint64_t to, uint64_t acked)
{
    uint64_t growth = lesser(acked, 2u * c->mss);

    if (c->cwnd == CWND_UNKNOWN)
        return;
    if (c->halved_upto && to >= c->halved_upto) { /* recovery is over */
        c->cwnd = c->ssthresh + c->grown;
        c->halved_upto = 0;
        return;
    }
    if (c->halved_upto) {
        c->grown += lesser(acked, c->mss);
        c->must_retransmit |= !c->sack && !c->fuzzy; /* RFC 6582 §3.2 step 5 */
        return;
    }
    /* The client's may still be below, and jump as far beyond. */
    if (c->cwnd >= c->ssthresh)
        growth = c->mss * lesser(acked, c->cwnd) / c->cwnd + 1;
    if (c->cwnd >= c->ssthresh && c->cwnd + growth < c->ssthresh + 2u * c->mss)
        growth = c->ssthresh + 2u * c->mss - c->cwnd;
    c->cwnd += growth;
}

void cwnd_fast_retransmit(struct conn *c)
{
    if (c->halved_upto || c->una < c->timeout_upto || c->cwnd == CWND_UNKNOWN)
        return;
    c->ssthresh = half_of(c, c->flight_bytes);
    c->halved_upto = c->max;
    c->grown = 0;
    c->repeated.n = 0;
    c->forgot_repeated = false;
}

static uint64_t not_sacked(const struct conn *c, uint64_t from, uint64_t to)
{
    uint64_t sum = to - from;

    for (unsigned i = 0; i < c->sacked.n; i++) {
        uint64_t a = c->sacked.r[i].from > from ? c->sacked.r[i].from : from;
        uint64_t b = lesser(c->sacked.r[i].to, to);
        sum -= a < b ? b - a : 0;
    }
    return sum;
}

/* RFC 6675 §5 (C): of what is on its way this is only a part, and that has to fit already. */
void cwnd_repeat(struct conn *c, uint64_t from, uint64_t to)
{
    uint64_t sum = 0;

    if (c->cwnd == CWND_UNKNOWN || !c->halved_upto || !c->sack || c->fuzzy)
        return;
    ranges_trim(&c->repeated, c->una);
    c->forgot_repeated |= !ranges_add(&c->repeated, from, to);
    for (unsigned i = 0; i < c->repeated.n; i++)
        sum += not_sacked(c, c->repeated.r[i].from, c->repeated.r[i].to);
    if (!c->forgot_repeated && sum > c->ssthresh + 2u * c->mss)
        sim_fail(c->s, c,
                 "%llu bytes sent again in recovery, the congestion window is at most %llu",
                 (unsigned long long) sum, (unsigned long long) c->ssthresh);
}

void cwnd_timeout(struct conn *c, bool is_first)
{
    if (c->cwnd == CWND_UNKNOWN)
        return;
    if (is_first)
        c->ssthresh = half_of(c, c->max - c->una);
    c->halved_upto = 0;
    c->cwnd = c->mss;
}

void cwnd_forget(struct conn *c)
{
    c->cwnd = CWND_UNKNOWN;
}

/* Since the first duplicate ACK it counts without what limited transmit may have sent. */
static void note_flight(struct conn *c, uint64_t now)
{
    if (c->dupacks == 0)
        c->flight_bytes = now;
    else if (c->flight_bytes + 2u * c->mss < now)
        c->flight_bytes = now - 2u * c->mss;
}

/* Beyond it: what limited transmit may send (RFC 3042), and a FIN. */
void cwnd_check(struct conn *c, uint64_t to)
{
    if (c->cwnd == CWND_UNKNOWN || c->fuzzy)
        return;
    if (!c->halved_upto && to - c->una > c->cwnd + 2u * c->mss + 1)
        sim_fail(c->s, c, "%llu bytes in flight, the congestion window is at most %llu",
                 (unsigned long long) (to - c->una), (unsigned long long) c->cwnd);
    note_flight(c, (c->max > to ? c->max : to) - c->una);
}

void cwnd_turn_over(struct conn *c)
{
    if (c->flight_bytes > c->max - c->una)
        c->flight_bytes = c->max - c->una;
    note_flight(c, c->max - c->una);
}
