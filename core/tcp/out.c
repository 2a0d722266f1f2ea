/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Output of a connection: what may be sent now, as frames in the worker's batch. Congestion control
 * is NewReno with SACK (RFC 5681, 6582, 6675); there is no Nagle delay, because a script already
 * says when its bytes are due.
 */
#include "tcp/tcp.h"

#include <string.h>
#include "packet/seq.h"

enum {
    OPTIONS_MAX = 40,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_WSCALE = 3,
    KIND_SACK_OK = 4,
    KIND_SACK = 5,
    KIND_TS = 8
};

static uint8_t *put_be16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t) (v >> 8);
    p[1] = (uint8_t) v;
    return p + 2;
}

static uint8_t *put_be32(uint8_t *p, uint32_t v)
{
    return put_be16(put_be16(p, v >> 16), v);
}

static uint8_t *put_kind(uint8_t *p, uint8_t kind, uint8_t len)
{
    p[0] = kind;
    p[1] = len;
    return p + 2;
}

/* RFC 7323 §3.2, laid out as its appendix A recommends; 1 ms a tick. */
static uint8_t *put_timestamps(uint8_t *p, const struct tb_tcp_env *env, const struct tb_tcp *c)
{
    p[0] = p[1] = KIND_NOP;
    p = put_kind(p + 2, KIND_TS, 10);
    p = put_be32(p, tb_tcp_ts_now(env, c));
    return put_be32(p, c->ts_recent);
}

/* RFC 2018 §4: the range that the latest segment belongs to comes first. */
static uint8_t *put_sack(uint8_t *p, const struct tb_tcp *c, const struct tb_tcp_busy *b,
                         unsigned room)
{
    unsigned n = 0, most = (room - 4) / 8;
    uint8_t *head = p;

    p += 4;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < b->ooo.count && n < most; i++) {
            const struct tb_tcp_range *r = &b->ooo.range[i];
            bool latest = r->from <= b->last_ooo && b->last_ooo < r->to;
            if (latest != (pass == 0))
                continue;
            p = put_be32(p, tb_seq_wrap(r->from, c->irs + 1));
            p = put_be32(p, tb_seq_wrap(r->to, c->irs + 1));
            n++;
        }
    }
    head[0] = head[1] = KIND_NOP;
    put_kind(head + 2, KIND_SACK, (uint8_t) (2 + 8 * n));
    return p;
}

static struct tb_frame *next_frame(struct tb_tcp_env *env)
{
    if (env->frame_count == env->frame_room)
        env->flush(env);
    return &env->frames[env->frame_count++];
}

/* One segment at stream offset `offset`; every one carries an ACK of everything received. */
static void emit(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                 uint8_t flags, uint64_t offset, const uint8_t *payload, uint32_t len)
{
    uint8_t options[OPTIONS_MAX], *end = options;
    const struct tb_tcp_busy *b = tb_tcp_busy(env, c);
    struct tb_frame *f = next_frame(env);

    if (c->flags & TB_TCP_USES_TS)
        end = put_timestamps(end, env, c);
    if (b && b->ooo.count && (c->flags & TB_TCP_USES_SACK) && len == 0)
        end = put_sack(end, c, b, (unsigned) (options + OPTIONS_MAX - end));
    struct tb_frame_spec spec = {
        .src = &path->src,
        .dst = &path->dst,
        .sport = path->sport,
        .dport = path->dport,
        .seq = tb_seq_wrap(offset, c->iss + 1),
        .ack = tb_seq_wrap(c->rcv_nxt, c->irs + 1),
        .window = (uint16_t) (tb_tcp_rcv_wnd(env, c) >> c->rcv_wscale),
        .flags = (uint8_t) (flags | TB_TCP_ACK),
        .options = options,
        .options_len = (uint8_t) (end - options),
    };
    tb_frame_build(f, &spec, payload, len);
    f->transfer = path->transfer;
    uint32_t packets = 1;
    if (len > c->mss) {
        f->gso_size = c->mss;
        packets = (len + c->mss - 1) / c->mss;
    }
    env->packets_sent += packets;
    c->flags &= (uint16_t) ~TB_TCP_ACK_NOW;
    c->ack_at = 0;
    c->unacked_bytes = 0;
}

/* A bare segment of a connection that is not synchronized, or of none. */
static void emit_bare(struct tb_tcp_env *env, const struct tb_tcp_path *path, uint8_t flags,
                      uint32_t seq, uint32_t ack, uint16_t window, const uint8_t *options,
                      uint8_t options_len)
{
    struct tb_frame *f = next_frame(env);
    struct tb_frame_spec spec = {.src = &path->src,
                                 .dst = &path->dst,
                                 .sport = path->sport,
                                 .dport = path->dport,
                                 .seq = seq,
                                 .ack = ack,
                                 .window = window,
                                 .flags = flags,
                                 .options = options,
                                 .options_len = options_len};
    tb_frame_build(f, &spec, NULL, 0);
    f->transfer = path->transfer;
    env->packets_sent++;
}

static void send_syn(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                     const struct tb_tcp_syn *syn)
{
    uint8_t options[OPTIONS_MAX], *p = options;
    struct tb_tcp_busy *b = tb_tcp_busy(env, c);

    if (syn->mss)
        p = put_be16(put_kind(p, KIND_MSS, 4), syn->mss);
    if (syn->sack) {
        p[0] = p[1] = KIND_NOP;
        p = put_kind(p + 2, KIND_SACK_OK, 2);
    }
    if (syn->ts)
        p = put_timestamps(p, env, c);
    if (syn->wscale >= 0) {
        *p++ = KIND_NOP;
        p = put_kind(p, KIND_WSCALE, 3);
        *p++ = (uint8_t) (syn->wscale > 14 ? 14 : syn->wscale);
        c->rcv_wscale = (uint8_t) (syn->wscale > 14 ? 14 : syn->wscale) & 15;
    }
    uint16_t window = (uint16_t) (env->rcv_wnd < 65535 ? env->rcv_wnd : 65535); /* never scaled */
    emit_bare(env, path, TB_TCP_SYN, c->iss, 0, window, options, (uint8_t) (p - options));
    if (b->syn_retries > 0 || b->probes > 0)
        env->retransmitted++;
    b->rtt_at_us = env->now_us;
    if (b->syn_retries < UINT8_MAX)
        b->syn_retries++;
    c->flags &= (uint16_t) ~TB_TCP_SYN_DUE;
    c->rtx_at = tb_tcp_tick_in(env, tb_tcp_rto_us(c, b->backoff));
}

/* The span that holds `offset`, which is below snd_end. */
static const struct tb_tcp_span *span_at(const struct tb_tcp_env *env, struct tb_tcp_busy *b,
                                         uint64_t offset)
{
    uint32_t h = b->cursor_span ? b->cursor_span : b->first_span;
    const struct tb_tcp_span *s = tb_pool_at(&env->spans, h);

    if (s->from > offset) {
        h = b->first_span;
        s = tb_pool_at(&env->spans, h);
    }
    while (s->from + s->len <= offset) {
        h = s->next;
        s = tb_pool_at(&env->spans, h);
    }
    b->cursor_span = h;
    return s;
}

static void fin_was_sent(struct tb_tcp *c)
{
    c->flags |= TB_TCP_FIN_SENT;
    if (c->state == TB_TCP_ESTABLISHED)
        c->state = TB_TCP_FIN_WAIT_1;
    else if (c->state == TB_TCP_CLOSE_WAIT)
        c->state = TB_TCP_LAST_ACK;
}

/* Payload of at most `most` bytes at `offset`: in place when one span holds as much as a segment,
 * else put together from several, so that requests do not go out in crumbs. */
static const uint8_t *payload_at(struct tb_tcp_env *env, const struct tb_tcp *c,
                                 struct tb_tcp_busy *b, uint64_t offset, uint64_t most,
                                 uint32_t *len)
{
    const struct tb_tcp_span *s = span_at(env, b, offset);
    uint64_t here = s->from + s->len - offset;
    const uint8_t *in_place = s->data + (offset - s->from);

    if (here >= most || !s->next) {
        *len = (uint32_t) (here < most ? here : most);
        return in_place;
    }
    if (here >= c->mss) { /* whole segments; what is left of the span goes out with the next one */
        *len = (uint32_t) (here - here % c->mss);
        return in_place;
    }
    uint32_t want = (uint32_t) (most < c->mss ? most : c->mss), have = 0;
    /* Not later, when the frame is taken: emptying the batch empties what we gather here too. */
    if (env->gather_room - env->gather_used < want || env->frame_count == env->frame_room)
        env->flush(env);
    uint8_t *out = env->gather + env->gather_used;
    while (have < want) {
        uint64_t n = s->from + s->len - (offset + have);
        if (n > want - have)
            n = want - have;
        memcpy(out + have, s->data + (offset + have - s->from), n);
        have += (uint32_t) n;
        if (!s->next)
            break;
        s = tb_pool_at(&env->spans, s->next);
    }
    env->gather_used += have;
    *len = have;
    return out;
}

/* Send up to `most` bytes at `offset`; a FIN rides on the last ones. Returns the sequence space
 * used. */
static uint64_t send_at(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b,
                        const struct tb_tcp_path *path, uint64_t offset, uint64_t most)
{
    const uint8_t *payload = NULL;
    uint32_t len = 0;
    uint8_t flags = 0;

    if (offset < b->snd_end)
        payload = payload_at(env, c, b, offset, most, &len);
    if (offset + len == b->snd_end) {
        flags |= TB_TCP_PSH;
        if (c->flags & TB_TCP_FIN_QUEUED) {
            flags |= TB_TCP_FIN;
            fin_was_sent(c);
        }
    }
    if (len == 0)
        flags &= (uint8_t) ~TB_TCP_PSH;
    emit(env, c, path, flags, offset, payload, len);
    uint64_t end = offset + len + (flags & TB_TCP_FIN ? 1 : 0);
    if (b->snd_max == c->snd_una) { /* nothing was in flight: it may have waited for a window */
        c->rtx_at = 0;
        b->progress_us = env->now_us; /* patience is for data sent, not queued (RFC 5482 §2) */
    }
    if (offset < b->snd_max) {
        env->retransmitted++;
        b->rtx_us = env->now_us;
        b->rtx_end = end;
        if (offset < b->rtt_end)
            b->rtt_end = 0; /* Karn: its ACK may be of either copy */
    } else if (b->rtt_end == 0) {
        b->rtt_end = end;
        b->rtt_at_us = env->now_us;
    }
    if (end > b->snd_max) {
        uint64_t data_end = offset + len;
        if (data_end > b->snd_max)
            env->bytes_sent += data_end - b->snd_max;
        b->snd_max = end;
    }
    return end - offset;
}

/* How much may be sent of `len` bytes at snd_nxt, 0 to wait: whole segments while more is to come
 * (sender's silly window avoidance, RFC 9293 §3.8.6.2.1), or half of the largest window, or, when
 * the override timer says so (TB_TCP_PROBE), whatever fits. */
static uint64_t sendable(const struct tb_tcp_env *env, const struct tb_tcp *c,
                         const struct tb_tcp_busy *b, uint64_t len, bool limited)
{
    uint64_t most = env->gso_max > c->mss ? env->gso_max - env->gso_max % c->mss : c->mss;

    if (b->snd_nxt < b->snd_max)
        most = c->mss;
    if (len > most)
        return most;
    if (!limited)
        return len;
    if (len >= c->mss)
        return len - len % c->mss;
    if (b->snd_nxt > c->snd_una)
        return 0;
    bool is_worth_it = len >= b->wnd_max / 2 || b->snd_nxt < b->snd_max;
    return is_worth_it || (c->flags & TB_TCP_PROBE) ? len : 0;
}

static uint64_t highest_sacked(const struct tb_tcp *c, const struct tb_tcp_busy *b)
{
    return b->sacked.count ? b->sacked.range[b->sacked.count - 1].to : c->snd_una;
}

/* RFC 6675 §4 IsLost(): what is not SACKed below this is lost, because more than two segments'
 * bytes, or three separate runs, are SACKed above it. */
static uint64_t lost_below(const struct tb_tcp *c, const struct tb_tcp_busy *b)
{
    uint64_t above = 0;

    for (uint32_t i = b->sacked.count; i-- > 0;) {
        above += b->sacked.range[i].to - b->sacked.range[i].from;
        if (above > 2u * c->mss || b->sacked.count - i >= 3)
            return b->sacked.range[i].from;
    }
    return c->snd_una;
}

static uint64_t not_sacked(const struct tb_tcp_busy *b, uint64_t from, uint64_t to)
{
    return to > from ? to - from - tb_tcp_ranges_covered(&b->sacked, from, to) : 0;
}

/* RFC 6675 §4 "pipe": what is thought to be on its way, during SACK recovery: what is not lost, and
 * what was sent again. */
static uint64_t pipe_bytes(const struct tb_tcp *c, const struct tb_tcp_busy *b)
{
    return not_sacked(b, lost_below(c, b), b->snd_max) + not_sacked(b, c->snd_una, b->rtx_next);
}

/* The right edge of what may be sent, by the peer's window and congestion control. */
static uint64_t send_limit(const struct tb_tcp *c, const struct tb_tcp_busy *b)
{
    uint64_t peer = c->snd_una + c->snd_wnd;
    uint64_t limit = c->snd_una + b->cwnd;

    if ((c->flags & TB_TCP_RECOVERY) && b->sacked.count) {
        uint64_t pipe = pipe_bytes(c, b);
        limit = b->snd_nxt + (b->cwnd > pipe ? b->cwnd - pipe : 0);
    } else if (b->snd_nxt >= b->snd_max && b->dupacks > 0 && b->dupacks < 3) {
        limit += (uint64_t) b->dupacks * c->mss; /* limited transmit, RFC 3042 */
    }
    return limit < peer ? limit : peer;
}

static bool send_queued(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b,
                        const struct tb_tcp_path *path)
{
    uint64_t limit = send_limit(c, b);
    bool sent = false;

    while (b->snd_nxt < b->snd_end) {
        uint64_t stop = b->snd_end, gap_end;
        if (b->snd_nxt < b->snd_max) { /* after an RTO: not what has been SACKed since */
            uint64_t gap = tb_tcp_ranges_gap(&b->sacked, b->snd_nxt, &gap_end);
            if (gap > b->snd_nxt) {
                b->snd_nxt = gap;
                continue;
            }
            if (gap_end < stop)
                stop = gap_end;
        }
        bool limited = limit < stop;
        if (limited)
            stop = limit;
        if (b->snd_nxt >= stop)
            break;
        uint64_t most = sendable(env, c, b, stop - b->snd_nxt, limited);
        if (most == 0)
            break;
        b->snd_nxt += send_at(env, c, b, path, b->snd_nxt, most);
        sent = true;
    }
    if ((c->flags & (TB_TCP_FIN_QUEUED | TB_TCP_FIN_ACKED)) == TB_TCP_FIN_QUEUED &&
        b->snd_nxt == b->snd_end) {
        b->snd_nxt += send_at(env, c, b, path, b->snd_nxt, 0);
        sent = true;
    }
    return sent;
}

/* SACK recovery: the holes below `high`, each once, as the pipe has room. */
static bool send_holes(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b,
                       const struct tb_tcp_path *path, uint64_t high)
{
    uint64_t gap_end;
    bool sent = false;

    if (b->rtx_next < c->snd_una)
        b->rtx_next = c->snd_una;
    while (pipe_bytes(c, b) + c->mss <= b->cwnd) {
        uint64_t hole = tb_tcp_ranges_gap(&b->sacked, b->rtx_next, &gap_end);
        if (hole >= high || gap_end == UINT64_MAX)
            break;
        uint64_t len = gap_end - hole;
        b->rtx_next = hole + send_at(env, c, b, path, hole, len < c->mss ? len : c->mss);
        sent = true;
    }
    return sent;
}

/* RFC 6675 §4 NextSeg(): during SACK recovery lost holes, then new data, then holes of doubt. */
static void send_by_sack(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b,
                         const struct tb_tcp_path *path)
{
    bool in_recovery = (c->flags & TB_TCP_RECOVERY) && b->sacked.count;

    if (in_recovery)
        send_holes(env, c, b, path, lost_below(c, b));
    if (!send_queued(env, c, b, path) && in_recovery)
        send_holes(env, c, b, path, highest_sacked(c, b));
}

static bool send_first(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b,
                       const struct tb_tcp_path *path)
{
    c->flags &= (uint16_t) ~TB_TCP_RTX_FIRST;
    if (c->snd_una >= b->snd_max)
        return false;
    uint64_t in_flight = b->snd_max - c->snd_una; /* not what the window may have no room for yet */
    uint64_t most = in_flight < c->mss ? in_flight : c->mss;
    uint64_t end = c->snd_una + send_at(env, c, b, path, c->snd_una, most);
    b->rtt_end = 0;
    if (b->rtx_next < end)
        b->rtx_next = end;
    return true;
}

/* A segment that the peer must answer with its present window: empty, and just below what it
 * expects (what Linux sends; it takes no sequence space, so the peer's answer moves nothing). */
static bool send_probe(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path)
{
    c->flags &= (uint16_t) ~TB_TCP_PROBE;
    if (c->snd_wnd > 0)
        return false;
    emit(env, c, path, 0, c->snd_una - 1, NULL, 0);
    return true;
}

static void arm_retransmission(struct tb_tcp_env *env, struct tb_tcp *c,
                               const struct tb_tcp_busy *b)
{
    bool in_flight = b->snd_max > c->snd_una;
    bool is_waiting = b->snd_end > c->snd_una; /* for a window */

    if (c->rtx_at != 0 || !(in_flight || is_waiting))
        return;
    /* Not beyond the time at which the peer counts as dead. */
    uint64_t rto = tb_tcp_rto_us(c, b->backoff), patience = b->progress_us + env->timeout_us;
    if (env->now_us + rto > patience)
        rto = patience > env->now_us ? patience - env->now_us : 0;
    c->rtx_at = tb_tcp_tick_in(env, rto);
}

/* Since the first repeated ACK what limited transmit has sent, two segments at most, does not count
 * (RFC 5681 §3.2), nor what recovery's inflated window has; what was acknowledged does. */
static void note_flight(const struct tb_tcp *c, struct tb_tcp_busy *b)
{
    uint64_t now = b->snd_max - c->snd_una;
    uint64_t least = now > 2u * c->mss ? now - 2u * c->mss : 0;

    if (b->dupacks == 0 || b->flight > now)
        b->flight = now;
    else if (b->flight < least && !(c->flags & TB_TCP_RECOVERY))
        b->flight = least;
}

void tb_tcp_output(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                   const struct tb_tcp_syn *syn)
{
    struct tb_tcp_busy *b = tb_tcp_busy(env, c);

    if (c->state == TB_TCP_SYN_SENT) {
        if (c->flags & TB_TCP_SYN_DUE)
            send_syn(env, c, path, syn);
        return;
    }
    if (c->state == TB_TCP_CLOSED)
        return;
    if (b) {
        if (c->flags & TB_TCP_RTX_FIRST)
            send_first(env, c, b, path);
        send_by_sack(env, c, b, path);
        note_flight(c, b);
        if (c->flags & TB_TCP_PROBE)
            send_probe(env, c, path);
        arm_retransmission(env, c, b);
    }
    if (c->flags & TB_TCP_ACK_NOW)
        emit(env, c, path, 0, b ? b->snd_max : c->snd_una, NULL, 0);
}

void tb_tcp_abort(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path)
{
    struct tb_tcp_busy *b = tb_tcp_busy(env, c);

    if (c->state == TB_TCP_SYN_SENT) {
        if (b->syn_retries > 0)
            emit_bare(env, path, TB_TCP_RST, c->iss + 1, 0, 0, NULL, 0);
    } else if (c->state != TB_TCP_CLOSED) {
        uint64_t next = b ? b->snd_max : c->snd_una;

        /* A server's application gets to know of the connection by the handshake's ACK alone. */
        if (next == 0 && c->rcv_nxt == 0 && (c->flags & TB_TCP_ACK_NOW))
            emit(env, c, path, 0, next, NULL, 0);
        emit_bare(env, path, TB_TCP_RST | TB_TCP_ACK, tb_seq_wrap(next, c->iss + 1),
                  tb_seq_wrap(c->rcv_nxt, c->irs + 1), 0, NULL, 0);
    }
    c->state = TB_TCP_CLOSED;
    tb_tcp_release(env, c);
    c->ack_at = 0;
    c->flags &= (uint16_t) ~TB_TCP_ACK_NOW;
}

void tb_tcp_refuse(struct tb_tcp_env *env, const struct tb_segment *seg, uint32_t seq,
                   uint32_t transfer)
{
    struct tb_tcp_path back = {.src = seg->dst,
                               .dst = seg->src,
                               .sport = seg->dport,
                               .dport = seg->sport,
                               .transfer = transfer};

    if (seg->flags & TB_TCP_RST)
        return;
    if (seg->flags & TB_TCP_ACK) {
        emit_bare(env, &back, TB_TCP_RST, seg->ack, 0, 0, NULL, 0);
        return;
    }
    uint32_t len = seg->payload_len + !!(seg->flags & TB_TCP_SYN) + !!(seg->flags & TB_TCP_FIN);
    emit_bare(env, &back, TB_TCP_RST | TB_TCP_ACK, seq, tb_seq_add(seg->seq, len), 0, NULL, 0);
}
