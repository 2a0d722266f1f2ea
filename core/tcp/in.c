/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Input of a connection: one received segment, checked in the order of RFC 9293 §3.10.7 with the
 * blind-attack rules of RFC 5961.
 */
#include "tcp/tcp.h"

#include <stdlib.h>
#include <string.h>
#include "packet/seq.h"

enum {
    DELAYED_ACK_US = 40000, /* RFC 1122 allows 500 ms; 40 ms is what the captured clients do */
    CHALLENGES_PER_S = 100,
    HALF_OPEN_RETRIES = 8,
    DUPACKS_TO_RECOVER = 3,
    RTO_AFTER_LOST_SYN_US = 3000000 /* RFC 6298 §5.7 */
};

void tb_tcp_challenge(struct tb_tcp_env *env, struct tb_tcp *c)
{
    uint64_t second = env->now_us / 1000000;

    if (second != env->challenge_second) {
        env->challenge_second = second;
        env->challenges = 0;
    }
    if (env->challenges++ < CHALLENGES_PER_S)
        c->flags |= TB_TCP_ACK_NOW;
}

/* --- before the handshake is over ------------------------------------------------------------- */

static void take_options(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                         const struct tb_segment *seg)
{
    uint32_t headers = tb_addr_is_v4(&path->dst) ? 40 : 60;
    uint32_t least = headers == 40 ? 536 : 1220; /* RFC 9293 §3.7.1 */
    uint32_t mss = seg->opt.mss ? seg->opt.mss : least;
    uint32_t room = env->mtu > headers + 24 ? env->mtu - headers : 24; /* of an MTU of 68 */

    if (mss < 64) /* a hostile MSS must not make a packet of every byte */
        mss = 64;
    if (mss > room)
        mss = room;
    if (!seg->opt.has_ts)
        c->flags &= (uint16_t) ~TB_TCP_USES_TS;
    if (c->flags & TB_TCP_USES_TS) {
        c->ts_recent = seg->opt.tsval;
        mss -= 12;
    }
    c->mss = (uint16_t) mss;
    if (!seg->opt.sack_permitted)
        c->flags &= (uint16_t) ~TB_TCP_USES_SACK;
    if (seg->opt.wscale < 0 || !(c->flags & TB_TCP_USES_WSCALE))
        c->rcv_wscale = 0;
    else
        c->snd_wscale = (uint8_t) (seg->opt.wscale > 14 ? 14 : seg->opt.wscale) & 15;
}

/* Does the time stamp echoed say that `seg` answers what was sent again at `sent_us`, not an
 * earlier copy (RFC 7323 §4, RFC 3522 §2)? Then the round trip is known in spite of Karn. */
static bool answers_repetition(const struct tb_tcp_env *env, const struct tb_tcp *c,
                               const struct tb_segment *seg, uint64_t sent_us)
{
    uint32_t now = tb_tcp_ts_now(env, c);
    uint32_t sent = (uint32_t) ((env->real_us - (env->now_us - sent_us)) / 1000) + c->ts_offset;

    return (c->flags & TB_TCP_USES_TS) && seg->opt.has_ts && tb_seq_leq(sent, seg->opt.tsecr) &&
           tb_seq_leq(seg->opt.tsecr, now);
}

static unsigned input_syn_sent(struct tb_tcp_env *env, struct tb_tcp *c,
                               const struct tb_tcp_path *path, const struct tb_segment *seg)
{
    struct tb_tcp_busy *b = tb_tcp_busy(env, c);
    bool acked = (seg->flags & TB_TCP_ACK) && seg->ack == c->iss + 1;

    if ((seg->flags & TB_TCP_ACK) && !acked) {
        /* The server still holds an older connection (half-open recovery, RFC 9293 §3.5.1): reset
         * that with the number it expects, then try again at once. */
        if (!(seg->flags & TB_TCP_RST)) {
            tb_tcp_refuse(env, seg, 0, path->transfer);
            if (b->probes < HALF_OPEN_RETRIES) {
                b->probes++;
                c->flags |= TB_TCP_SYN_DUE;
            }
        }
        return 0;
    }
    if (seg->flags & TB_TCP_RST) {
        if (!acked)
            return 0;
        c->state = TB_TCP_CLOSED;
        tb_tcp_release(env, c);
        return TB_TCP_EV_REFUSED;
    }
    if (!(seg->flags & TB_TCP_SYN))
        return 0;
    if (!acked) { /* simultaneous open: a server does not call its clients */
        /* Below what a server that has our SYN expects: where somebody forged this segment, the RST
         * must not hit the connection that is about to open. */
        tb_tcp_refuse(env, seg, c->iss, path->transfer);
        return 0;
    }
    c->irs = seg->seq;
    c->rcv_nxt = 0;
    take_options(env, c, path, seg);
    c->snd_wnd = seg->window;
    c->snd_wl1 = seg->seq;
    b->wnd_max = c->snd_wnd;
    if (b->syn_retries == 1 || answers_repetition(env, c, seg, b->rtt_at_us))
        tb_tcp_rtt_sample(c, env->now_us - b->rtt_at_us);
    else
        c->rttvar_us = RTO_AFTER_LOST_SYN_US;
    /* One segment where the SYN was lost (RFC 5681 §3.1): more than once, as Linux has it, since
     * the first repetition after 1 s is often in vain (RFC 6298 §2.1). */
    b->cwnd = b->backoff > 1 ? c->mss : tb_tcp_initial_window(c->mss);
    b->backoff = 0;
    b->probes = 0;
    b->rtt_end = 0;
    b->progress_us = env->now_us;
    c->rtx_at = 0;
    c->state = TB_TCP_ESTABLISHED;
    c->flags = (c->flags & (uint16_t) ~TB_TCP_SYN_DUE) | TB_TCP_ACK_NOW;
    return TB_TCP_EV_CONNECTED;
}

/* --- acknowledgements ---------------------------------------------------------------------------
 */

static void free_spans(struct tb_tcp_env *env, struct tb_tcp_busy *b, uint64_t acked)
{
    while (b->first_span) {
        struct tb_tcp_span *s = tb_pool_at(&env->spans, b->first_span);
        if (s->from + s->len > acked)
            return;
        uint32_t next = s->next;
        if (b->cursor_span == b->first_span)
            b->cursor_span = next;
        tb_tcp_span_give(env, b->first_span);
        b->first_span = next;
        if (!next)
            b->last_span = 0;
    }
}

/* Grow the window (RFC 5681 §3.1, RFC 3465 §2), only while it was what held us back (RFC 7661's
 * concern). */
static void grow_cwnd(const struct tb_tcp *c, struct tb_tcp_busy *b, uint64_t acked)
{
    uint64_t flight = b->snd_max - c->snd_una + acked;

    if (flight + c->mss < b->cwnd / 2 || b->cwnd > (1u << 30))
        return;
    /* Behind an RTO an ACK may be of much that had arrived before: no reason to send a burst. */
    bool is_after_rto = c->snd_una - acked < b->recover;
    uint32_t most = (is_after_rto ? 1u : 2u) * c->mss;
    if (b->cwnd < b->ssthresh)
        b->cwnd += (uint32_t) (acked < most ? acked : most);
    else
        b->cwnd += (uint32_t) ((uint64_t) c->mss * (acked < b->cwnd ? acked : b->cwnd) / b->cwnd);
}

static void leave_or_go_on_recovery(struct tb_tcp *c, struct tb_tcp_busy *b, uint64_t acked)
{
    if (c->snd_una >= b->recover) { /* with what a partial ACK of this very turn has asked for */
        c->flags &= (uint16_t) ~(TB_TCP_RECOVERY | TB_TCP_RTX_FIRST);
        b->cwnd = b->ssthresh;
        return;
    }
    if (b->sacked.count) /* send_holes() goes on */
        return;
    c->flags |= TB_TCP_RTX_FIRST; /* partial ACK, RFC 6582 §3.2 step 5 */
    b->cwnd = b->cwnd > acked ? b->cwnd - (uint32_t) acked : 0;
    if (acked >= c->mss || b->cwnd < c->mss)
        b->cwnd += c->mss;
}

static void fin_was_acked(struct tb_tcp *c)
{
    c->flags |= TB_TCP_FIN_ACKED;
    if (c->state == TB_TCP_FIN_WAIT_1)
        c->state = TB_TCP_FIN_WAIT_2;
    else if (c->state == TB_TCP_CLOSING)
        c->state = TB_TCP_TIME_WAIT;
    else if (c->state == TB_TCP_LAST_ACK)
        c->state = TB_TCP_CLOSED;
}

/* A doubled RTO stays until a round trip is known again (RFC 6298 §5, at its end). What doubled it
 * further ends with the first progress: else losing one segment in three would mean minutes. */
static void take_rtt(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b, uint64_t to,
                     const struct tb_segment *seg)
{
    bool is_repetition = b->rtx_us && to >= b->rtx_end;

    if (b->rtt_end && to >= b->rtt_end) {
        tb_tcp_rtt_sample(c, env->now_us - b->rtt_at_us);
        b->rtt_end = 0;
        b->backoff = 0;
    } else if (is_repetition && answers_repetition(env, c, seg, b->rtx_us)) {
        tb_tcp_rtt_sample(c, env->now_us - b->rtx_us);
        b->backoff = 0;
    } else {
        b->backoff = b->backoff > 0;
    }
    if (is_repetition)
        b->rtx_us = 0;
}

static void new_ack(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b, uint64_t to,
                    const struct tb_segment *seg)
{
    uint64_t acked = to - c->snd_una;

    take_rtt(env, c, b, to, seg);
    free_spans(env, b, to);
    c->snd_una = to;
    if (b->snd_nxt < to)
        b->snd_nxt = to;
    tb_tcp_ranges_trim(&b->sacked, to);
    b->dupacks = 0;
    b->progress_us = env->now_us;
    if (c->flags & TB_TCP_RECOVERY)
        leave_or_go_on_recovery(c, b, acked);
    else
        grow_cwnd(c, b, acked);
    c->rtx_at = b->snd_max > to ? tb_tcp_tick_in(env, tb_tcp_rto_us(c, b->backoff)) : 0;
    if ((c->flags & TB_TCP_FIN_SENT) && to == b->snd_end + 1)
        fin_was_acked(c);
}

static void enter_recovery(struct tb_tcp *c, struct tb_tcp_busy *b)
{
    /* RFC 5681 §3.2 (2): without what limited transmit has sent. Nor without what ACKs of this very
     * turn have taken away: nothing could be sent in its place yet. Without SACK, ACKs that the
     * network has doubled can have let out more than the window allows, which must not widen it. */
    uint64_t flight = !b->sacked.count && b->cwnd < b->flight ? b->cwnd : b->flight;
    uint64_t half = flight / 2, least = 2u * c->mss;

    b->ssthresh = (uint32_t) (half > least ? half : least);
    b->cwnd = b->ssthresh + (b->sacked.count ? 0 : DUPACKS_TO_RECOVER * c->mss);
    b->recover = b->snd_max;
    b->rtx_next = c->snd_una;
    c->flags |= TB_TCP_RECOVERY | TB_TCP_RTX_FIRST;
}

/* An ACK that acknowledges nothing new while data is in flight (RFC 5681 §2). */
static void duplicate_ack(struct tb_tcp *c, struct tb_tcp_busy *b, bool sacked_more)
{
    if (b->dupacks < UINT8_MAX)
        b->dupacks++;
    if (c->flags & TB_TCP_RECOVERY) {
        if (!b->sacked.count)
            b->cwnd += c->mss;
        return;
    }
    /* Not again for losses that an RTO is already mending (RFC 6582 §3.2 step 2). */
    if (b->snd_nxt < b->snd_max || c->snd_una < b->recover)
        return;
    uint64_t above = tb_tcp_ranges_covered(&b->sacked, c->snd_una, b->snd_max);
    if (b->dupacks >= DUPACKS_TO_RECOVER ||
        (sacked_more && above > (uint64_t) (DUPACKS_TO_RECOVER - 1) * c->mss))
        enter_recovery(c, b);
}

/* RFC 2018 §8: an ACK up to bytes that were reported tells that the server has thrown them away.
 * Then nothing that it reported is sure; what an RTO is repeating begins anew. */
static void forget_reneged(const struct tb_tcp *c, struct tb_tcp_busy *b, uint64_t ack)
{
    if (tb_tcp_ranges_covered(&b->sacked, ack, ack + 1) == 0)
        return;
    b->sacked.count = 0;
    if (!(c->flags & TB_TCP_RECOVERY) && ack < b->recover)
        b->snd_nxt = ack;
}

/* Take over SACK blocks that make sense; D-SACKs (up to `floor`, what is acknowledged) and nonsense
 * change nothing. One that begins there was true once, before the server threw the bytes away. */
static bool take_sack(const struct tb_tcp *c, struct tb_tcp_busy *b, const struct tb_segment *seg,
                      int64_t floor)
{
    uint64_t before = tb_tcp_ranges_covered(&b->sacked, c->snd_una, b->snd_max);

    for (unsigned i = 0; i < seg->opt.sack_count; i++) {
        int64_t from = tb_seq_unwrap(seg->opt.sack[i].left, c->iss + 1, c->snd_una);
        int64_t to = tb_seq_unwrap(seg->opt.sack[i].right, c->iss + 1, c->snd_una);
        if (from <= floor || to <= from || to > (int64_t) b->snd_max)
            continue;
        tb_tcp_ranges_add(&b->sacked, (uint64_t) from, (uint64_t) to);
    }
    return tb_tcp_ranges_covered(&b->sacked, c->snd_una, b->snd_max) > before;
}

static void take_window(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b,
                        const struct tb_segment *seg, bool ack_is_new)
{
    uint32_t window = (uint32_t) seg->window << c->snd_wscale;

    /* RFC 9293 §3.10.7.4: not from segments older than the one that set it last. */
    if (!ack_is_new && tb_seq_lt(seg->seq, c->snd_wl1))
        return;
    if (b && c->snd_wnd == 0 && window > 0) {
        b->backoff = 0;
        b->progress_us = env->now_us;
        c->rtx_at = 0; /* was the persist timer */
    }
    if (b && window > b->wnd_max)
        b->wnd_max = window;
    c->snd_wnd = window;
    c->snd_wl1 = seg->seq;
}

/* Does this ACK say that a segment arrived out of order? With SACK it is the blocks that tell,
 * whatever else it says (RFC 6675 §2); without it has to change nothing at all (RFC 5681 §2). */
static bool is_repeated_ack(const struct tb_tcp *c, const struct tb_segment *seg, bool is_new,
                            bool sacked_more)
{
    uint32_t window = (uint32_t) seg->window << c->snd_wscale;

    if (c->flags & TB_TCP_USES_SACK)
        return sacked_more;
    return !is_new && seg->payload_len == 0 && !(seg->flags & TB_TCP_FIN) && window == c->snd_wnd &&
           window > 0;
}

/* The ACK field. False: the segment must be dropped. */
static bool take_ack(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_segment *seg,
                     unsigned *events)
{
    struct tb_tcp_busy *b = tb_tcp_busy(env, c);
    int64_t ack = tb_seq_unwrap(seg->ack, c->iss + 1, c->snd_una);
    uint64_t snd_max = b ? b->snd_max : c->snd_una;

    /* RFC 5961 §5: acknowledging what was never sent, or older than any window of the peer. */
    if (ack > (int64_t) snd_max || ack < (int64_t) c->snd_una - (65535 << c->snd_wscale)) {
        tb_tcp_challenge(env, c);
        return false;
    }
    bool is_new = ack > (int64_t) c->snd_una;
    bool sacked_more = false;
    if (b && is_new)
        forget_reneged(c, b, (uint64_t) ack);
    if (b && seg->opt.sack_count && (c->flags & TB_TCP_USES_SACK))
        sacked_more = take_sack(c, b, seg, is_new ? ack : (int64_t) c->snd_una);
    if (is_new) {
        new_ack(env, c, b, (uint64_t) ack, seg);
        *events |= TB_TCP_EV_ACKED;
    }
    if (b && ack == (int64_t) c->snd_una && snd_max > c->snd_una &&
        is_repeated_ack(c, seg, is_new, sacked_more)) {
        duplicate_ack(c, b, sacked_more);
    }
    if (ack >= (int64_t) c->snd_una)
        take_window(env, c, b, seg, is_new);
    return true;
}

/* --- data
 * ------------------------------------------------------------------------------------------ */

static void ack_later(const struct tb_tcp_env *env, struct tb_tcp *c)
{
    if (c->ack_at == 0)
        c->ack_at = tb_tcp_tick_in(env, DELAYED_ACK_US);
}

static void deliver(struct tb_tcp_env *env, struct tb_tcp *c, const uint8_t *data, uint64_t len)
{
    c->rcv_nxt += len;
    env->bytes_received += len;
    env->deliver(env, c, c->flags & TB_TCP_WANTS_DATA ? data : NULL, (uint32_t) len);
}

/* Keep a copy of bytes received out of order; false when there is no room for them. */
static bool keep_block(struct tb_tcp_env *env, struct tb_tcp_busy *b, uint64_t from,
                       const uint8_t *data, uint32_t len)
{
    uint32_t *link = &b->first_block;

    while (*link && ((struct tb_tcp_block *) tb_pool_at(&env->blocks, *link))->from <= from)
        link = &((struct tb_tcp_block *) tb_pool_at(&env->blocks, *link))->next;
    while (len > 0) {
        uint32_t n = len < TB_TCP_BLOCK_BYTES ? len : TB_TCP_BLOCK_BYTES;
        uint32_t h = tb_pool_take(&env->blocks);
        if (!h)
            return false;
        struct tb_tcp_block *k = tb_pool_at(&env->blocks, h);
        k->from = from;
        k->len = n;
        memcpy(k->data, data, n);
        k->next = *link;
        *link = h;
        link = &k->next;
        b->block_count++;
        from += n;
        data += n;
        len -= n;
    }
    return true;
}

static void keep_out_of_order(struct tb_tcp_env *env, struct tb_tcp *c, uint64_t from,
                              const uint8_t *data, uint32_t len)
{
    struct tb_tcp_busy *b = tb_tcp_need_busy(env, c);

    c->flags |= TB_TCP_ACK_NOW;
    if (!b || tb_tcp_ranges_covered(&b->ooo, from, from + len) == len)
        return;
    if (c->flags & TB_TCP_WANTS_DATA) {
        uint32_t blocks = (len + TB_TCP_BLOCK_BYTES - 1) / TB_TCP_BLOCK_BYTES;
        struct tb_tcp_ranges after = b->ooo;
        if (b->block_count + blocks > TB_TCP_BLOCKS_MAX ||
            !tb_tcp_ranges_add(&after, from, from + len) || !keep_block(env, b, from, data, len))
            return;
        b->ooo = after;
    } else if (!tb_tcp_ranges_add(&b->ooo, from, from + len)) {
        return;
    }
    b->last_ooo = from;
}

static void give_first_block(struct tb_tcp_env *env, struct tb_tcp_busy *b)
{
    uint32_t h = b->first_block;

    b->first_block = ((struct tb_tcp_block *) tb_pool_at(&env->blocks, h))->next;
    b->block_count--;
    tb_pool_give(&env->blocks, h);
}

/* Hand up what the latest in-order bytes have joined up with. */
static void deliver_kept(struct tb_tcp_env *env, struct tb_tcp *c)
{
    struct tb_tcp_busy *b;

    while (c->state != TB_TCP_CLOSED && (b = tb_tcp_busy(env, c)) != NULL && b->ooo.count > 0 &&
           b->ooo.range[0].from <= c->rcv_nxt) {
        uint64_t end = b->ooo.range[0].to;
        if (!(c->flags & TB_TCP_WANTS_DATA)) {
            tb_tcp_ranges_trim(&b->ooo, end);
            if (end > c->rcv_nxt)
                deliver(env, c, NULL, end - c->rcv_nxt);
            continue;
        }
        uint32_t h = b->first_block;
        struct tb_tcp_block *k = h ? tb_pool_at(&env->blocks, h) : NULL;
        if (!k || k->from > c->rcv_nxt) {
            tb_tcp_ranges_trim(&b->ooo, c->rcv_nxt);
            break;
        }
        b->first_block = k->next;
        b->block_count--;
        uint64_t stop = k->from + k->len;
        tb_tcp_ranges_trim(&b->ooo, stop > c->rcv_nxt ? stop : c->rcv_nxt);
        if (stop > c->rcv_nxt)
            deliver(env, c, k->data + (c->rcv_nxt - k->from), stop - c->rcv_nxt);
        tb_pool_give(&env->blocks, h);
        c->flags |= TB_TCP_ACK_NOW; /* a gap was filled: tell at once (RFC 5681 §4.2) */
    }
    /* Left over: pieces that lay within others. */
    while ((b = tb_tcp_busy(env, c)) != NULL && b->ooo.count == 0 && b->first_block)
        give_first_block(env, b);
}

static void take_data(struct tb_tcp_env *env, struct tb_tcp *c, uint64_t from, const uint8_t *data,
                      uint32_t len)
{
    if (from < c->rcv_nxt) {
        uint32_t old = (uint32_t) (c->rcv_nxt - from);
        data = data ? data + old : NULL;
        len -= old;
        from = c->rcv_nxt;
    }
    if (from > c->rcv_nxt) {
        keep_out_of_order(env, c, from, data, len);
        return;
    }
    const struct tb_tcp_busy *b = tb_tcp_busy(env, c);
    bool gap_ahead = b && b->ooo.count > 0;
    uint32_t unacked = c->unacked_bytes + len, most = 2u * c->mss < 65535 ? 2u * c->mss : 65535;
    c->unacked_bytes = (uint16_t) (unacked < 65535 ? unacked : 65535);
    /* At least every second full segment (RFC 9293 §3.8.6.3). */
    if (gap_ahead || unacked >= most)
        c->flags |= TB_TCP_ACK_NOW;
    else
        ack_later(env, c);
    deliver(env, c, data, len);
    if (gap_ahead)
        deliver_kept(env, c);
}

static unsigned take_fin(struct tb_tcp *c)
{
    c->rcv_nxt++;
    c->flags |= TB_TCP_FIN_RECEIVED | TB_TCP_ACK_NOW;
    if (c->state == TB_TCP_ESTABLISHED)
        c->state = TB_TCP_CLOSE_WAIT;
    else if (c->state == TB_TCP_FIN_WAIT_1)
        c->state = TB_TCP_CLOSING;
    else if (c->state == TB_TCP_FIN_WAIT_2)
        c->state = TB_TCP_TIME_WAIT;
    return TB_TCP_EV_FIN;
}

/* Text and FIN of an acceptable segment at offset `from`. */
static unsigned take_text(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_segment *seg,
                          int64_t from)
{
    struct tb_tcp_busy *b;
    uint64_t edge = c->rcv_nxt + tb_tcp_rcv_wnd(env, c);
    uint32_t len = seg->payload_len;
    bool fin = (seg->flags & TB_TCP_FIN) != 0;
    uint64_t fin_at = (uint64_t) from + len;

    if (c->flags & TB_TCP_FIN_RECEIVED) {
        if (len > 0 || fin)
            c->flags |= TB_TCP_ACK_NOW;
        return 0;
    }
    if (fin && fin_at > edge)
        fin = false;
    if (len > 0 && (uint64_t) from < edge && fin_at > c->rcv_nxt)
        take_data(env, c, (uint64_t) from, seg->payload,
                  fin_at > edge ? (uint32_t) (edge - (uint64_t) from) : len);
    if (c->state == TB_TCP_CLOSED) /* deliver() ended it */
        return 0;
    b = tb_tcp_busy(env, c);
    if (b && b->fin_pending && b->fin_at < c->rcv_nxt)
        b->fin_pending = false; /* the server went on behind it: it was none */
    if (fin && fin_at > c->rcv_nxt && (b = tb_tcp_need_busy(env, c)) != NULL) {
        b->fin_pending = true;
        b->fin_at = fin_at;
        c->flags |= TB_TCP_ACK_NOW;
        return 0;
    }
    if ((fin && fin_at == c->rcv_nxt) || (b && b->fin_pending && b->fin_at == c->rcv_nxt)) {
        if (b)
            b->fin_pending = false;
        return take_fin(c);
    }
    return 0;
}

/* --- synchronized states
 * -------------------------------------------------------------------------- */

/* RFC 9293 §3.10.7.4 "first, check sequence number": something of it lies in the window. */
static bool is_acceptable(const struct tb_tcp_env *env, const struct tb_tcp *c, int64_t from,
                          uint32_t len)
{
    int64_t nxt = (int64_t) c->rcv_nxt, edge = nxt + tb_tcp_rcv_wnd(env, c);

    if (len == 0)
        return from >= nxt && from < edge;
    return from < edge && from + (int64_t) len > nxt;
}

/* RFC 9293 §3.10.7.4: what cannot be taken is answered with an ACK. An empty segment may itself be
 * such an answer: two sides that disagree would go on for ever, so that ours waits as a delayed ACK
 * does. Probes, just below what is expected, ask for one now. */
static void answer_unacceptable(struct tb_tcp_env *env, struct tb_tcp *c, int64_t from,
                                uint32_t len)
{
    if (len > 0 || from + 1 == (int64_t) c->rcv_nxt)
        c->flags |= TB_TCP_ACK_NOW;
    else
        ack_later(env, c);
}

static unsigned input_synchronized(struct tb_tcp_env *env, struct tb_tcp *c,
                                   const struct tb_segment *seg)
{
    int64_t from = tb_seq_unwrap(seg->seq, c->irs + 1, c->rcv_nxt);
    uint32_t len = seg->payload_len + !!(seg->flags & TB_TCP_SYN) + !!(seg->flags & TB_TCP_FIN);
    unsigned events = 0;

    if (seg->flags & TB_TCP_RST) { /* RFC 5961 §3.2 */
        if (from == (int64_t) c->rcv_nxt) {
            bool lost = !tb_tcp_is_acked(env, c);
            c->state = TB_TCP_CLOSED;
            tb_tcp_release(env, c);
            c->ack_at = 0;
            return TB_TCP_EV_RESET | (lost ? TB_TCP_EV_LOST : 0);
        }
        if (is_acceptable(env, c, from, 0))
            tb_tcp_challenge(env, c);
        return 0;
    }
    if (c->flags & TB_TCP_USES_TS) { /* RFC 7323 §5.3; §3.2: no option, no segment */
        if (!seg->opt.has_ts)
            return 0;
        if (tb_seq_lt(seg->opt.tsval, c->ts_recent)) {
            answer_unacceptable(env, c, from, len);
            return 0;
        }
    }
    if (seg->flags & TB_TCP_SYN) {
        /* The SYN-ACK again: our ACK of it was lost. Else RFC 5961 §4.2. */
        if (seg->seq == c->irs)
            c->flags |= TB_TCP_ACK_NOW;
        else
            tb_tcp_challenge(env, c);
        return 0;
    }
    if (!is_acceptable(env, c, from, len)) {
        answer_unacceptable(env, c, from, len);
        return 0;
    }
    if (!(seg->flags & TB_TCP_ACK))
        return 0;
    if (!take_ack(env, c, seg, &events))
        return 0;
    /* RFC 7323 §4.3: the time of the earliest segment that our next ACK will answer. Not of one
     * that RFC 5961 drops: a forged time would make honest segments old ones. */
    if ((c->flags & TB_TCP_USES_TS) && from + c->unacked_bytes <= (int64_t) c->rcv_nxt)
        c->ts_recent = seg->opt.tsval;
    if (c->state == TB_TCP_CLOSED) /* our FIN, the last thing missing, was acknowledged */
        return events;
    return events | take_text(env, c, seg, from);
}

unsigned tb_tcp_input(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                      const struct tb_segment *seg)
{
    switch (c->state) {
    case TB_TCP_CLOSED:
        return TB_TCP_EV_STRAY;
    case TB_TCP_SYN_SENT:
        return input_syn_sent(env, c, path, seg);
    case TB_TCP_TIME_WAIT:
        if (!(seg->flags & TB_TCP_RST) && (seg->payload_len > 0 || (seg->flags & TB_TCP_FIN)))
            c->flags |= TB_TCP_ACK_NOW; /* our last ACK was lost */
        return 0;
    default:
        return input_synchronized(env, c, seg);
    }
}
