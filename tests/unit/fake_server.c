/* SPDX-License-Identifier: BSD-2-Clause */
/* A little TCP server in memory. See fake_server.h. Offsets count a side's bytes from 0. */
#include "fake_server.h"
#include "packet/frame.h"
#include "packet/wire.h"

enum { RTO_US = 250000, IN_FLIGHT = 16 };

void fake_server_init(struct fake_server *s)
{
    memset(s, 0, sizeof *s);
    s->mss = 1400;
    s->window = 60000;
    s->largest = 1400;
}

void fake_server_fini(struct fake_server *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        free(s->conn[i]->in);
        free(s->conn[i]->have);
        free(s->conn[i]);
    }
}

/* --- sending ---------------------------------------------------------------------------------- */

static void emit(struct fake_server *s, const struct tb_frame_spec *spec, const uint8_t *payload,
                 uint32_t len)
{
    static uint8_t packet[2048];
    struct tb_frame f;

    tb_frame_build(&f, spec, payload, len);
    uint32_t total = tb_frame_flatten(&f, packet, sizeof packet);
    assert_true(total > 0);
    s->emit(s->ctx, packet, total);
}

static uint32_t put_options(const struct fake_server *s, const struct fake_conn *c, bool syn,
                            uint8_t *o)
{
    uint32_t n = 0;

    if (syn) {
        const uint8_t mss[] = {2, 4, (uint8_t) (s->mss >> 8), (uint8_t) s->mss};
        memcpy(o, mss, 4);
        n = 4;
        if (c->syn.wscale >= 0) {
            memcpy(o + n, (const uint8_t[]){1, 3, 3, 0}, 4);
            n += 4;
        }
        if (c->syn.sack_permitted) {
            memcpy(o + n, (const uint8_t[]){1, 1, 4, 2}, 4);
            n += 4;
        }
    }
    if (c->syn.has_ts) {
        memcpy(o + n, (const uint8_t[]){1, 1, 8, 10}, 4);
        tb_put_be32(o + n + 4, (uint32_t) (s->now_us / 1000) + 1);
        tb_put_be32(o + n + 8, c->ts_recent);
        n += 12;
    }
    return n;
}

static void segment(struct fake_server *s, struct fake_conn *c, uint8_t flags, uint32_t offset,
                    uint32_t len)
{
    static uint8_t bytes[1500];
    uint8_t options[40];
    bool syn = flags & TB_TCP_SYN;

    for (uint32_t i = 0; i < len; i++)
        bytes[i] = fake_byte(offset + i);
    struct tb_frame_spec spec = {
        .src = &c->server,
        .dst = &c->client,
        .sport = c->server_port,
        .dport = c->client_port,
        .seq = syn ? c->isn : c->isn + 1 + offset,
        .ack = c->client_isn + 1 + c->in_order + c->client_closed,
        .window = (uint16_t) s->window,
        .flags = flags | TB_TCP_ACK,
        .options = options,
        .options_len = (uint8_t) put_options(s, c, syn, options),
    };
    emit(s, &spec, bytes, len);
}

static void acknowledge(struct fake_server *s, struct fake_conn *c)
{
    segment(s, c, 0, c->sent, 0);
}

static uint32_t end_of_stream(const struct fake_conn *c)
{
    return c->queued + c->fin_queued;
}

/* What is queued, as far as the client's window and our modest flight reach. */
static void push(struct fake_server *s, struct fake_conn *c)
{
    uint32_t mss = c->syn.mss && c->syn.mss < s->mss ? c->syn.mss : s->mss;
    uint32_t limit =
        c->acked + (c->client_window < IN_FLIGHT * mss ? c->client_window : IN_FLIGHT * mss);

    if (c->syn.has_ts)
        mss -= 12;
    while (c->established && !c->reset_by_client && !c->reset_by_server) {
        uint32_t len = c->sent < c->queued ? c->queued - c->sent : 0;
        if (len > mss)
            len = mss;
        if (c->sent + len > limit)
            len = limit > c->sent ? limit - c->sent : 0;
        bool fin = c->fin_queued && c->sent + len == c->queued;
        if (len == 0 && !fin)
            break;
        segment(s, c, fin ? TB_TCP_FIN | TB_TCP_PSH : TB_TCP_PSH, c->sent, len);
        c->sent += len + fin;
        if (c->rto_at_us == 0)
            c->rto_at_us = s->now_us + c->rto_us;
        if (fin)
            break;
    }
}

static void reset(struct fake_server *s, struct fake_conn *c)
{
    segment(s, c, TB_TCP_RST, c->sent, 0);
    c->reset_by_server = true;
    c->rto_at_us = 0;
}

static void refuse(struct fake_server *s, const struct tb_segment *seg)
{
    uint32_t len = seg->payload_len + !!(seg->flags & TB_TCP_SYN) + !!(seg->flags & TB_TCP_FIN);
    bool has_ack = seg->flags & TB_TCP_ACK;
    struct tb_frame_spec spec = {
        .src = &seg->dst,
        .dst = &seg->src,
        .sport = seg->dport,
        .dport = seg->sport,
        .seq = has_ack ? seg->ack : 0,
        .ack = has_ack ? 0 : seg->seq + len,
        .flags = has_ack ? TB_TCP_RST : TB_TCP_RST | TB_TCP_ACK,
    };
    emit(s, &spec, NULL, 0);
}

/* --- the script ------------------------------------------------------------------------------- */

static bool is_over(const struct fake_conn *c)
{
    return c->reset_by_client || c->reset_by_server;
}

static void plan_step(struct fake_server *s, struct fake_conn *c)
{
    if (c->step_at_us != UINT64_MAX || is_over(c) || !c->established)
        return;
    if (c->step < c->script->count) {
        const struct fake_step *st = &c->script->step[c->step];
        if (c->in_order >= st->after && (c->client_closed || !st->after_fin))
            c->step_at_us = s->now_us + st->delay_us;
    } else if (c->client_closed && !c->fin_queued && !c->script->never_closes) {
        c->fin_queued = true;
    }
}

static void run_steps(struct fake_server *s, struct fake_conn *c)
{
    plan_step(s, c);
    while (c->step_at_us <= s->now_us && !is_over(c)) {
        const struct fake_step *st = &c->script->step[c->step++];
        c->step_at_us = UINT64_MAX;
        c->queued += st->reply;
        if (st->then == FAKE_CLOSE)
            c->fin_queued = true;
        if (st->then == FAKE_RESET) {
            push(s, c);
            reset(s, c);
            return;
        }
        plan_step(s, c);
    }
    push(s, c);
}

/* --- receiving -------------------------------------------------------------------------------- */

static struct fake_conn *find(const struct fake_server *s, const struct tb_segment *seg)
{
    for (uint32_t i = s->count; i-- > 0;) {
        struct fake_conn *c = s->conn[i];
        if (c->client_port == seg->sport && c->server_port == seg->dport &&
            tb_addr_eq(&c->client, &seg->src) && tb_addr_eq(&c->server, &seg->dst))
            return c;
    }
    return NULL;
}

static void accept_syn(struct fake_server *s, const struct tb_segment *seg)
{
    struct fake_conn *c = calloc(1, sizeof *c);

    assert_non_null(c);
    assert_true(s->count < FAKE_CONNS);
    s->conn[s->count++] = c;
    c->client = seg->src;
    c->server = seg->dst;
    c->client_port = seg->sport;
    c->server_port = seg->dport;
    c->client_isn = seg->seq;
    c->isn = 0xfffff000u + s->count * 7919; /* soon wraps */
    c->syn = seg->opt;
    c->ts_recent = seg->opt.tsval;
    c->client_window = seg->window;
    c->step_at_us = UINT64_MAX;
    c->rto_us = RTO_US;
    c->syn_us = s->now_us;
    c->script = s->choose(s->ctx, c);
    segment(s, c, TB_TCP_SYN, 0, 0);
    c->rto_at_us = s->now_us + c->rto_us;
}

/* A SYN where there is or was a connection. */
static void syn_again(struct fake_server *s, struct fake_conn *c, const struct tb_segment *seg)
{
    if (seg->seq == c->client_isn) {
        if (c->established)
            acknowledge(s, c);
        else
            segment(s, c, TB_TCP_SYN, 0, 0);
    } else if (is_over(c) || (c->client_closed && c->fin_acked)) {
        /* A server in TIME-WAIT would take only a greater number. */
        if (!is_over(c))
            assert_true((int32_t) (seg->seq - (c->client_isn + 1 + c->in_order)) > 0);
        accept_syn(s, seg);
    } else {
        acknowledge(s, c); /* RFC 5961: a challenge */
    }
}

static void keep(struct fake_server *s, struct fake_conn *c, uint32_t from, const uint8_t *data,
                 uint32_t len)
{
    assert_true(from + len <= c->in_order + s->window);
    if (c->has_client_fin)
        assert_true(from + len <= c->client_fin);
    if (from + len > c->room) {
        uint32_t room = 2 * (from + len);
        c->in = realloc(c->in, room);
        c->have = realloc(c->have, room);
        assert_true(c->in && c->have);
        memset(c->have + c->room, 0, room - c->room);
        c->room = room;
    }
    for (uint32_t i = from; i < from + len; i++) {
        if (c->have[i])
            assert_int_equal(c->in[i], data[i - from]); /* must not change when sent again */
        c->in[i] = data[i - from];
        c->have[i] = 1;
    }
    uint32_t before = c->in_order;
    while (c->in_order < c->room && c->have[c->in_order])
        c->in_order++;
    if (c->in_order > before && c->arrivals < FAKE_ARRIVALS) {
        c->arrival[c->arrivals].bytes = c->in_order;
        c->arrival[c->arrivals++].at_us = s->now_us;
    }
}

static void take_ack(struct fake_server *s, struct fake_conn *c, const struct tb_segment *seg)
{
    uint32_t ack = seg->ack - (c->isn + 1);
    uint32_t shift = c->syn.wscale > 0 ? (uint32_t) c->syn.wscale : 0;

    assert_true((int32_t) ack <= (int32_t) end_of_stream(c)); /* never what was not sent */
    c->client_window = (uint32_t) seg->window << shift;
    if (!c->established) {
        c->established = true;
        c->rto_at_us = 0;
        c->rto_us = RTO_US;
    }
    if (ack <= c->acked || (int32_t) ack < 0)
        return;
    c->acked = ack;
    if (c->sent < ack)
        c->sent = ack;
    c->rto_us = RTO_US;
    c->rto_at_us = c->acked < c->sent ? s->now_us + c->rto_us : 0;
    if (c->fin_queued && c->acked == end_of_stream(c))
        c->fin_acked = true;
}

static void input_conn(struct fake_server *s, struct fake_conn *c, const struct tb_segment *seg)
{
    uint32_t from = seg->seq - (c->client_isn + 1);
    bool news = seg->payload_len > 0 || (seg->flags & TB_TCP_FIN);

    if (seg->flags & TB_TCP_RST) {
        if (from == c->in_order + c->client_closed && !is_over(c)) {
            c->reset_by_client = true;
            c->rst_us = s->now_us;
            c->rto_at_us = 0;
        } else if (!is_over(c)) {
            acknowledge(s, c);
        }
        return;
    }
    if (is_over(c)) {
        s->strays++;
        refuse(s, seg);
        return;
    }
    assert_true(seg->flags & TB_TCP_ACK);
    assert_true(seg->payload_len <= s->largest);
    assert_int_equal(seg->opt.has_ts, c->syn.has_ts);
    if (seg->opt.has_ts && (int32_t) (seg->opt.tsval - c->ts_recent) > 0)
        c->ts_recent = seg->opt.tsval;
    c->acks_seen += !news;
    take_ack(s, c, seg);
    if (seg->payload_len > 0)
        keep(s, c, from, seg->payload, seg->payload_len);
    if (seg->flags & TB_TCP_FIN) {
        if (c->has_client_fin)
            assert_int_equal(c->client_fin, from + seg->payload_len);
        c->has_client_fin = true;
        c->client_fin = from + seg->payload_len;
    }
    if (c->has_client_fin && !c->client_closed && c->in_order == c->client_fin) {
        c->client_closed = true;
        c->fin_us = s->now_us;
    }
    bool probe = !news && from != c->in_order + c->client_closed;
    if (news || probe)
        acknowledge(s, c);
    run_steps(s, c);
}

void fake_server_input(struct fake_server *s, const uint8_t *packet, uint32_t len, uint64_t now_us)
{
    struct tb_ip ip;
    struct tb_segment seg;

    s->now_us = now_us;
    assert_int_equal(tb_ip_parse(packet, len, &ip), 0);
    assert_true(tb_segment_checksum_ok(&ip));
    assert_int_equal(tb_segment_parse(packet, len, &seg), 0);
    if (s->is_deaf)
        return;
    struct fake_conn *c = find(s, &seg);
    if ((seg.flags & TB_TCP_SYN) && s->refuses)
        refuse(s, &seg);
    else if (seg.flags & TB_TCP_SYN && !c)
        accept_syn(s, &seg);
    else if (seg.flags & TB_TCP_SYN)
        syn_again(s, c, &seg);
    else if (c)
        input_conn(s, c, &seg);
    else if (seg.flags & TB_TCP_RST)
        s->rsts++;
    else {
        s->strays++;
        refuse(s, &seg);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static void retransmit(struct fake_server *s, struct fake_conn *c)
{
    c->rto_at_us = 0;
    if (c->rto_us > 16 * RTO_US)
        return; /* it gives up */
    c->rto_us *= 2;
    if (!c->established) {
        segment(s, c, TB_TCP_SYN, 0, 0);
        c->rto_at_us = s->now_us + c->rto_us;
        return;
    }
    c->sent = c->acked;
    push(s, c);
}

void fake_server_run(struct fake_server *s, uint64_t now_us)
{
    s->now_us = now_us;
    for (uint32_t i = 0; i < s->count; i++) {
        struct fake_conn *c = s->conn[i];
        if (c->step_at_us <= now_us)
            run_steps(s, c);
        if (c->rto_at_us && c->rto_at_us <= now_us && !is_over(c))
            retransmit(s, c);
    }
}

uint64_t fake_server_next_us(const struct fake_server *s)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < s->count; i++) {
        const struct fake_conn *c = s->conn[i];
        if (is_over(c))
            continue;
        if (c->step_at_us < next)
            next = c->step_at_us;
        if (c->rto_at_us && c->rto_at_us < next)
            next = c->rto_at_us;
    }
    return next;
}
