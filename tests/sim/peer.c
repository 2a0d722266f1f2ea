/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The servers' TCP, written from the RFCs without looking at core/tcp: it holds the client to the
 * rules as a receiver can (bytes right and in order, window never exceeded, nothing acknowledged
 * that was not sent, one FIN) and is itself a plain sender with retransmission.
 */
#include "peer.h"
#include <stdlib.h>
#include <string.h>

enum { RTO_FIRST_US = 250000, RTO_MOST_US = 8000000, RTO_TRIES = 40 };

static uint8_t packet[20000];

/* --- out -------------------------------------------------------------------------------------- */

static uint32_t window_now(struct peer *p)
{
    uint64_t edge = p->rcv + app_room(p);
    uint32_t shift = p->rcv_scale > 0 ? (uint32_t) p->rcv_scale : 0;
    uint64_t most = (uint64_t) 65535 << shift;

    /* Not left of what was promised, unless that is the fault; not right of it by crumbs. */
    if (p->b.fault != FAULT_SHRINK && edge < p->edge)
        edge = p->edge;
    if (edge > p->edge && edge - p->edge < p->mss && edge - p->edge < p->b.buffer / 2)
        edge = p->edge;
    uint64_t w = edge > p->rcv ? edge - p->rcv : 0;
    w = w + (1u << shift) - 1; /* rounded up: it must not shrink */
    w = (w < most ? w : most) >> shift << shift;
    p->edge = p->rcv + w;
    if (p->edge > p->promised)
        p->promised = p->edge;
    return (uint32_t) (w >> shift);
}

static void put_sacks(struct peer *p, struct seg *g)
{
    if (!p->sack)
        return;
    unsigned most = p->ts ? 3 : 4;
    if (p->has_dsack) {
        g->sack[0][0] = p->dsack[0];
        g->sack[0][1] = p->dsack[1];
        g->sacks = 1;
    }
    for (unsigned i = p->ooo.n; i-- > 0 && g->sacks < most; g->sacks++) {
        g->sack[g->sacks][0] = p->irs + 1 + (uint32_t) p->ooo.r[i].from;
        g->sack[g->sacks][1] = p->irs + 1 + (uint32_t) p->ooo.r[i].to;
    }
    p->has_dsack = false;
}

static struct seg blank(const struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack)
{
    return (struct seg){.sport = p->slot->path.dport,
                        .dport = p->slot->path.sport,
                        .seq = seq,
                        .ack = ack,
                        .flags = flags,
                        .wscale = -1};
}

static void stamp(const struct peer *p, struct seg *g)
{
    g->has_ts = p->ts;
    g->tsval = p->ts_base + (uint32_t) ((p->s->now_us - p->s->begin_us) / MS);
    g->tsecr = p->ts_recent;
}

static void transmit(struct peer *p, const struct seg *g)
{
    const struct tb_tcp_path *path = &p->slot->path;
    uint32_t len = wire_build(packet, g, &path->dst, &path->src);

    bool bare = g->len == 0 && g->flags == TB_TCP_ACK;
    if (p->is_near)
        net_arrive(p->s, packet, len);
    for (unsigned n = p->is_near ? 0 : bare && p->b.stutters ? 4 : 1; n > 0; n--)
        net_send(p->s, 1, packet, len, bare);
}

/* Everything but the SYN. */
static void segment(struct peer *p, uint8_t flags, uint64_t offset, uint32_t len)
{
    static uint8_t bytes[20000];
    struct seg g = blank(p, flags, peer_seq_number(p, offset), peer_ack_number(p));

    g.window = (uint16_t) window_now(p);
    stamp(p, &g);
    if (len == 0 && !(flags & (TB_TCP_FIN | TB_TCP_RST)))
        put_sacks(p, &g);
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = reply_byte(p->t, offset + i);
    g.payload = bytes;
    g.len = len;
    transmit(p, &g);
    p->unacked = 0;
    p->ack_at = SIM_NONE;
}

void peer_raw(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    static const uint8_t junk[64] = {0xaa};
    struct seg g = blank(p, flags, seq, ack);

    g.window = (uint16_t) (flags == TB_TCP_ACK && len == 0 ? window_now(p) : 1);
    stamp(p, &g);
    g.payload = junk;
    g.len = len;
    transmit(p, &g);
}

void peer_ack(struct peer *p)
{
    segment(p, TB_TCP_ACK, p->max, 0);
}

static void send_syn_ack(struct peer *p)
{
    struct seg g = blank(p, TB_TCP_SYN | TB_TCP_ACK, p->iss, p->irs + 1);

    g.mss = p->b.mss;
    g.wscale = (int8_t) p->rcv_scale;
    g.sack_ok = p->sack;
    stamp(p, &g);
    uint64_t room = app_room(p);
    g.window = (uint16_t) (room < 65535 ? room : 65535);
    p->edge = g.window;
    if (p->promised < p->edge)
        p->promised = p->edge;
    transmit(p, &g);
}

void peer_reset(struct peer *p)
{
    segment(p, TB_TCP_RST | TB_TCP_ACK, p->max, 0);
    p->state = PEER_CLOSED;
    p->was_reset = true;
}

static void send_at(struct peer *p, uint64_t offset, uint32_t most)
{
    uint64_t left = p->queued > offset ? p->queued - offset : 0;
    uint32_t len = left < most ? (uint32_t) left : most;
    bool fin = p->fin_queued && offset + len == p->queued && (len == 0 || !p->b.lone_fin);
    uint8_t flags = TB_TCP_ACK;

    if (len && offset + len == p->queued)
        flags |= TB_TCP_PSH;
    if (fin)
        flags |= TB_TCP_FIN;
    segment(p, flags, offset, len);
    if (offset + len + fin > p->max)
        p->max = offset + len + fin;
    if (p->nxt < offset + len + fin)
        p->nxt = offset + len + fin;
    if (p->rto_at == SIM_NONE)
        p->rto_at = p->s->now_us + p->rto_us;
}

void peer_push(struct peer *p)
{
    uint64_t flight = (uint64_t) p->b.flight * p->mss;
    uint64_t limit = p->una + (p->wnd < flight ? p->wnd : flight);

    while (p->state == PEER_OPEN && !p->is_gone && p->nxt < peer_end(p)) {
        uint32_t most = p->b.fault == FAULT_CRUMBS ? 1 + (uint32_t) tb_rng_below(&p->s->rng, 9)
                                                   : p->mss * p->b.merge;
        if (p->nxt < p->queued && p->nxt >= limit)
            return;
        if (p->nxt < p->queued && limit - p->nxt < most)
            most = (uint32_t) (limit - p->nxt);
        send_at(p, p->nxt, most);
    }
}

/* --- in --------------------------------------------------------------------------------------- */

static void take_ack(struct peer *p, const struct seg *g)
{
    uint64_t ack = p->una + (uint64_t) (int64_t) (int32_t) (g->ack - peer_seq_number(p, p->una));

    if ((int64_t) ack > (int64_t) p->max) {
        if (!p->slot->conn->before && !p->is_leftover) /* else it may be of the one before */
            sim_fail(p->s, p->slot->conn, "server: acknowledges %lld, sent were %llu",
                     (long long) ack, (unsigned long long) p->max);
        return;
    }
    uint32_t wnd = (uint32_t) g->window << (p->snd_scale > 0 ? p->snd_scale : 0);
    if ((int64_t) ack < (int64_t) p->una)
        return;
    if (ack == p->una) {
        bool dup = g->len == 0 && p->max > p->una && wnd == p->wnd && !(g->flags & TB_TCP_FIN);
        if (dup && ++p->dupacks == 3 && p->rescued <= p->una) {
            p->rescued = p->max;
            send_at(p, p->una, p->mss);
        }
    } else {
        p->una = ack;
        p->syns = 0;
        p->dupacks = 0;
        p->rto_us = RTO_FIRST_US + 3 * p->s->weather.one_way_us;
        p->rto_at = p->max > p->una ? p->s->now_us + p->rto_us : SIM_NONE;
        if (p->nxt < p->una)
            p->nxt = p->una;
        if (p->rescued > p->una)
            send_at(p, p->una, p->mss);
    }
    p->wnd = wnd;
}

static void check_bytes(struct peer *p, const struct seg *g, uint64_t from)
{
    if (from + g->len > p->promised)
        sim_fail(p->s, p->slot->conn,
                 "server: bytes up to %llu, the window was promised up to %llu",
                 (unsigned long long) from + g->len, (unsigned long long) p->promised);
    else if (from + g->len > p->t->wire_len)
        sim_fail(p->s, p->slot->conn, "server: bytes up to %llu of a stream of %u",
                 (unsigned long long) from + g->len, p->t->wire_len);
    else if (memcmp(g->payload, p->t->wire + from, g->len) != 0)
        sim_fail(p->s, p->slot->conn, "server: wrong bytes at %llu", (unsigned long long) from);
}

/* The client's bytes and FIN; true when something is to be acknowledged at once. */
static bool take_text(struct peer *p, const struct seg *g, int64_t from)
{
    bool fin = g->flags & TB_TCP_FIN, at_once = false;
    uint64_t to = (uint64_t) (from + g->len);

    if (from < 0) /* a bit of it is of an older connection */
        return true;
    if (fin) {
        if (p->fin_at != SIM_NONE && p->fin_at != to)
            sim_fail(p->s, p->slot->conn, "server: a FIN at %llu and one at %llu",
                     (unsigned long long) p->fin_at, (unsigned long long) to);
        p->fin_at = to;
    }
    if (g->len > 0)
        check_bytes(p, g, (uint64_t) from);
    if (g->len > 0 && p->fin_at != SIM_NONE && to > p->fin_at)
        sim_fail(p->s, p->slot->conn, "server: bytes behind the FIN");
    if (to > p->edge && g->len > 0) { /* a window taken back */
        to = p->edge;
        at_once = true;
    }
    if (p->b.reneges && p->ooo.n > 0 && (uint64_t) from == p->rcv && tb_rng_below(&p->s->rng, 2))
        p->ooo.n = 0;
    if (to > p->rcv && to > (uint64_t) from) {
        if ((uint64_t) from > p->rcv) {
            at_once = true;
            ranges_add(&p->ooo, (uint64_t) from, to);
        } else {
            at_once |= p->ooo.n > 0;
            p->rcv = ranges_join(&p->ooo, to);
        }
    }
    if (!p->has_fin && p->fin_at == p->rcv) {
        p->has_fin = at_once = true;
    }
    return at_once || fin;
}

static void refuse(struct sim *s, const struct slot *slot, const struct seg *g)
{
    bool acks = g->flags & TB_TCP_ACK;
    uint32_t len = g->len + !!(g->flags & TB_TCP_SYN) + !!(g->flags & TB_TCP_FIN);
    struct seg r = {.sport = g->dport,
                    .dport = g->sport,
                    .seq = acks ? g->ack : 0,
                    .ack = acks ? 0 : g->seq + len,
                    .flags = acks ? TB_TCP_RST : TB_TCP_RST | TB_TCP_ACK,
                    .wscale = -1};

    if (!(g->flags & TB_TCP_RST))
        net_send(s, 1, packet, wire_build(packet, &r, &slot->path.dst, &slot->path.src), false);
}

static void schedule(struct peer *p)
{
    uint64_t at = app_next_us(p);

    if (p->state == PEER_CLOSED || p->is_gone)
        return;
    if (p->rto_at < at)
        at = p->rto_at;
    if (p->ack_at < at)
        at = p->ack_at;
    if (at != SIM_NONE && at < p->wake_at) {
        p->wake_at = at;
        net_push(p->s, at, EV_PEER, p);
    }
}

static void accept_options(struct peer *p, const struct seg *g)
{
    p->irs = g->seq;
    p->ts = g->has_ts && p->b.ts;
    p->sack = g->sack_ok && p->b.sack;
    p->rcv_scale = g->wscale >= 0 ? p->b.wscale : -1;
    p->snd_scale = p->rcv_scale >= 0 ? g->wscale : -1;
    p->mss = g->mss ? g->mss : 536;
    if (p->b.mss && p->mss > p->b.mss)
        p->mss = p->b.mss;
    if (p->mss + 40u + 20u * g->v6 > p->s->weather.mtu)
        p->mss = p->s->weather.mtu - 40 - 20 * g->v6;
    if (p->ts)
        p->mss -= 12;
    p->ts_recent = g->tsval;
    p->wnd = g->window;
}

static struct peer *new_peer(struct sim *s, struct slot *slot, const struct behaviour *b)
{
    struct peer *p = calloc(1, sizeof *p);

    if (!p)
        abort();
    p->s = s;
    p->slot = slot;
    p->older = s->peers;
    s->peers = p;
    p->t = &s->session[slot->user % s->sessions];
    p->b = *b;
    p->iss = b->isn;
    p->ts_base = b->tsval;
    p->fin_at = p->ack_at = p->rto_at = p->wake_at = SIM_NONE;
    p->step_at = p->resume_at = p->keepalive_at = p->forge_at = p->shrink_at = SIM_NONE;
    p->rto_us = RTO_FIRST_US + 3 * s->weather.one_way_us;
    p->snd_scale = p->rcv_scale = -1;
    slot->peer = p;
    return p;
}

/* A SYN that this server takes. */
static void listen(struct sim *s, struct slot *slot, const struct seg *g)
{
    struct conn *c = slot->conn;

    if (!c || c->iss != g->seq) /* of a play that is over */
        return;
    struct behaviour b = c->b;
    if (b.fault == FAULT_DEAF || c->deaf_syns > 0) {
        c->deaf_syns -= c->deaf_syns > 0;
        return;
    }
    if (b.fault == FAULT_REFUSE) {
        refuse(s, slot, g);
        return;
    }
    const struct peer *old = slot->peer;
    if (old) /* numbers of one pair only grow (RFC 6528) */
        b.isn = old->iss + (uint32_t) old->max + (uint32_t) between(&s->rng, 3000000, 100000000);
    struct peer *p = new_peer(s, slot, &b);
    c->peer = p;
    accept_options(p, g);
    p->rto_at = s->now_us + p->rto_us;
    app_begin(p);
    send_syn_ack(p);
    schedule(p);
}

/* RFC 9293 §3.10.7.4 for TIME-WAIT, RFC 6191. */
static bool is_newer(const struct peer *p, const struct seg *g)
{
    return (int32_t) (g->seq - peer_ack_number(p)) > 0 ||
           (p->ts && g->has_ts && (int32_t) (g->tsval - p->ts_recent) > 0);
}

static void input_syn(struct sim *s, struct slot *slot, struct peer *p, const struct seg *g)
{
    if (p && p->state != PEER_CLOSED && g->seq == p->irs) {
        p->ts_recent = g->tsval;
        if (p->state == PEER_SYN_RCVD)
            send_syn_ack(p);
        else
            peer_ack(p);
        return;
    }
    bool both_closed =
        p && p->state == PEER_OPEN && p->has_fin && p->fin_queued && p->una == peer_end(p);
    const struct conn *before = slot->conn->before;
    bool natural = before && before->peer == p && s->plan.generations == 1 &&
                   g->seq == slot->conn->iss; /* else a belated one of an older play */
    if (both_closed && natural && !is_newer(p, g))
        sim_fail(s, slot->conn, "server in TIME-WAIT: a SYN that is not newer");
    if (p && p->state != PEER_CLOSED && !both_closed) {
        if (!p->is_gone)
            peer_ack(p); /* challenge */
        return;
    }
    listen(s, slot, g);
}

static void input_rst(struct peer *p, const struct seg *g)
{
    int32_t at = (int32_t) (g->seq - peer_ack_number(p));

    if (at == 0) {
        p->state = PEER_CLOSED;
        p->was_reset = true;
    } else if (at > 0 && at < 1 << 30) {
        peer_ack(p);
    }
}

/* The answer to a segment that cannot be taken. Not to every empty one: two sides that answer each
 * other's for ever are a storm. */
static void ack_refused(struct peer *p, const struct seg *g)
{
    bool empty = g->len == 0 && !(g->flags & TB_TCP_FIN);

    if (empty && p->refused_us && p->s->now_us - p->refused_us < 100 * MS)
        return;
    if (empty)
        p->refused_us = p->s->now_us;
    peer_ack(p);
}

static void input_open(struct peer *p, const struct seg *g)
{
    int64_t from = (int64_t) p->rcv + (int32_t) (g->seq - (p->irs + 1 + (uint32_t) p->rcv));

    int64_t to = from + g->len + !!(g->flags & TB_TCP_FIN);
    if (p->ts && !g->has_ts) /* of a connection before this one */
        return;
    int64_t next = (int64_t) (p->rcv + p->has_fin);
    if (from > (int64_t) p->promised || to < next || (to == next && to > from)) {
        p->dsack[0] = g->seq;
        p->dsack[1] = g->seq + g->len;
        p->has_dsack = p->b.dsack && g->len > 0 && to > 0 && to <= next;
        ack_refused(p, g); /* old, a probe, or of an older connection */
        return;
    }
    if (g->has_ts && (int32_t) (g->tsval - p->ts_recent) < 0 && p->ts) {
        ack_refused(p, g);
        return;
    }
    if (p->ts && from <= (int64_t) (p->rcv + p->has_fin))
        p->ts_recent = g->tsval;
    if (p->state == PEER_SYN_RCVD &&
        g->ack != p->iss + 1) { /* RFC 9293 §3.10.7.4: not this one's */
        refuse(p->s, p->slot, g);
        return;
    }
    if (p->state == PEER_SYN_RCVD) {
        p->state = PEER_OPEN;
        p->rto_at = SIM_NONE;
        p->wnd = (uint32_t) g->window << (p->snd_scale > 0 ? p->snd_scale : 0);
    }
    if (p->state != PEER_OPEN)
        return;
    take_ack(p, g);
    bool text = g->len > 0 || (g->flags & TB_TCP_FIN);
    bool at_once = text && take_text(p, g, from);
    p->unacked += text;
    app_run(p);
    if (p->state != PEER_OPEN || p->is_gone)
        return;
    peer_push(p);
    if (at_once || p->unacked >= p->b.ack_every)
        peer_ack(p);
    else if (p->unacked && p->ack_at == SIM_NONE)
        p->ack_at = p->s->now_us + p->b.ack_us;
}

void peer_input(struct sim *s, const uint8_t *data, uint32_t len)
{
    struct seg g;

    if (!wire_parse(data, len, &g) || !g.checksum_ok)
        return; /* damaged on the way */
    struct slot *slot = slot_find(s, g.src, g.sport);
    if (!slot)
        return;
    struct peer *p = slot->peer;
    if (p && p->is_gone && (!(g.flags & TB_TCP_SYN) || g.seq == p->irs))
        return;
    if (p && p->is_gone) /* a new play finds the server back */
        p = slot->peer = NULL;
    if (g.flags & TB_TCP_RST) {
        if (p && p->state != PEER_CLOSED)
            input_rst(p, &g);
    } else if (g.flags & TB_TCP_SYN) {
        input_syn(s, slot, p, &g);
    } else if (!p || p->state == PEER_CLOSED) {
        refuse(s, slot, &g);
    } else {
        input_open(p, &g);
    }
    if (p)
        schedule(p);
}

/* --- time ------------------------------------------------------------------------------------- */

static void retransmit(struct peer *p)
{
    p->rto_us = 2 * p->rto_us < RTO_MOST_US ? 2 * p->rto_us : RTO_MOST_US;
    p->rto_at = SIM_NONE;
    if (p->state == PEER_SYN_RCVD) {
        if (p->syns++ < RTO_TRIES) {
            send_syn_ack(p);
            p->rto_at = p->s->now_us + p->rto_us;
        }
        return;
    }
    if (p->max > p->una && p->syns++ < RTO_TRIES) {
        p->rto_at = p->s->now_us + p->rto_us;
        p->nxt = p->una;
        send_at(p, p->una, p->mss);
    }
}

void peer_run(struct peer *p)
{
    uint64_t now = p->s->now_us;

    p->wake_at = SIM_NONE;
    if (p->state != PEER_CLOSED && !p->is_gone) {
        if (p->rto_at <= now)
            retransmit(p);
        app_run(p);
        if (p->state == PEER_OPEN && !p->is_gone) {
            peer_push(p);
            if (p->ack_at <= now)
                peer_ack(p);
        }
    }
    schedule(p);
}

void peer_leave_over(struct sim *s, struct slot *slot, const struct behaviour *b)
{
    struct peer *p = new_peer(s, slot, b);

    p->is_leftover = true;
    p->state = PEER_OPEN;
    p->irs = (uint32_t) tb_rng_next(&s->rng);
    p->una = p->nxt = p->max = p->queued = 100;
    p->rcv = p->read = p->edge = 50;
    p->step = p->t->count;
    p->is_over = true;
}

void peer_free_all(struct sim *s)
{
    while (s->peers) {
        struct peer *older = s->peers->older;
        free(s->peers);
        s->peers = older;
    }
}

uint64_t peer_in_order(const struct peer *p)
{
    return p ? p->rcv : 0;
}

bool peer_has_fin(const struct peer *p)
{
    return p && p->has_fin;
}

bool peer_was_reset(const struct peer *p)
{
    return p && p->was_reset;
}
