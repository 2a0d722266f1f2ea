/* SPDX-License-Identifier: BSD-2-Clause */
/* Made-up TCP sessions, packet by packet: cut, lost, repeated, overlapping, late, in fragments. */
#include <stdlib.h>
#include <string.h>
#include "model.h"
#include "packet/view.h"

enum { STREAM_MAX = 200000, HEADERS = 120, SHUFFLE_US = 20000 };

const char *const model_reason[FATE_KINDS] = {
    "", "no_syn", "unanswered", "refused", "no_transfer", "hole", "truncated"};

/* A session while its packets are made. */
struct talk {
    struct model *m;
    struct model_session *s;
    uint64_t now_us;
    uint64_t nxt[2], acked[2]; /* sent; received by the other side */
    bool lost_one, cut_one;
};

/* What a segment is: numbers are offsets, 0 the SYN's. */
struct piece {
    unsigned dir; /* 0: client */
    uint8_t flags;
    uint64_t seq, ack;
    uint32_t len;
};

/* --- packets ---------------------------------------------------------------------------------- */

static void put(uint8_t *p, uint32_t v, unsigned n)
{
    while (n-- > 0) {
        p[n] = (uint8_t) v;
        v >>= 8;
    }
}

static struct model_packet *add_packet(struct talk *k, uint32_t len)
{
    struct model *m = k->m;

    if (m->packets == m->room) {
        m->room = m->room ? 2 * m->room : 512;
        m->packet = realloc(m->packet, m->room * sizeof *m->packet);
    }
    struct model_packet *p = &m->packet[m->packets];
    *p = (struct model_packet){
        .time_us = k->now_us, .order = m->packets++, .len = len, .cut_to = len};
    p->data = calloc(1, len + 1);
    if (!m->packet || !p->data)
        abort();
    return p;
}

static uint32_t ip_header(const struct talk *k, unsigned dir, uint8_t *h, uint32_t payload,
                          uint32_t fragment, uint16_t id, bool options)
{
    const struct tb_addr *src = dir ? &k->s->server : &k->s->client;
    const struct tb_addr *dst = dir ? &k->s->client : &k->s->server;
    uint32_t ext = fragment || options ? 8 : 0;

    if (k->s->v6) {
        put(h, 6u << 28, 4);
        put(h + 4, payload + ext, 2);
        h[6] = ext ? (fragment ? 44 : 0) : 6;
        h[7] = 64;
        memcpy(h + 8, src->b, 16);
        memcpy(h + 24, dst->b, 16);
        if (ext) {
            h[40] = 6;
            if (fragment) {
                put(h + 42, fragment & 0xfff9, 2);
                put(h + 44, id, 4);
            } else {
                h[42] = 1; /* PadN */
                h[43] = 4;
            }
        }
        return 40 + ext;
    }
    uint32_t head = options ? 24 : 20;
    h[0] = (uint8_t) (0x40 | head / 4);
    put(h + 2, head + payload, 2);
    put(h + 4, id, 2);
    put(h + 6, fragment ? (fragment & 1 ? 0x2000u : 0) | (fragment >> 3) : 0x4000, 2);
    h[8] = 64;
    h[9] = 6;
    memcpy(h + 12, src->b + 12, 4);
    memcpy(h + 16, dst->b + 12, 4);
    if (options)
        memset(h + 20, 1, 4);
    return head;
}

static uint32_t tcp_header(const struct talk *k, const struct piece *g, uint8_t *t)
{
    const struct model_session *s = k->s;
    uint8_t *o = t + 20;

    put(t, g->dir ? s->sport : s->cport, 2);
    put(t + 2, g->dir ? s->cport : s->sport, 2);
    put(t + 4, s->isn[g->dir] + (uint32_t) g->seq, 4);
    if (g->flags & TB_TCP_ACK)
        put(t + 8, s->isn[!g->dir] + (uint32_t) g->ack, 4);
    t[13] = g->flags;
    put(t + 14, 60000, 2);
    if ((g->flags & TB_TCP_SYN) && s->syn.mss) {
        put(o, 0x0204u << 16 | s->syn.mss, 4);
        o += 4;
    }
    if ((g->flags & TB_TCP_SYN) && s->syn.wscale >= 0) {
        put(o, 0x01030300u | (uint8_t) s->syn.wscale, 4);
        o += 4;
    }
    if ((g->flags & TB_TCP_SYN) && s->syn.sack_permitted) {
        put(o, 0x04020101, 4);
        o += 4;
    }
    if (s->syn.timestamps) {
        put(o, 0x0101080a, 4);
        put(o + 4, (uint32_t) (k->now_us / 1000), 4);
        o += 12;
    }
    t[12] = (uint8_t) ((o - t) / 4 << 4);
    return (uint32_t) (o - t);
}

static uint8_t server_byte(uint64_t i)
{
    return (uint8_t) (i * 7 + 3);
}

static void fill(const struct talk *k, const struct piece *g, uint8_t *out)
{
    for (uint32_t i = 0; i < g->len; i++) {
        uint64_t at = g->seq + i - 1; /* the first byte follows the SYN */
        if (g->flags & TB_TCP_SYN)
            at++;
        out[i] = g->dir == 0 && at < k->s->len ? k->s->bytes[at] : server_byte(at);
    }
}

/* The segment in two or three IP fragments, in any order. */
static void send_fragments(struct talk *k, unsigned dir, const uint8_t *tcp, uint32_t len)
{
    uint32_t cuts[4] = {0}, n = 2 + (uint32_t) tb_rng_below(&k->m->rng, 2), order[3] = {0, 1, 2};

    for (uint32_t i = 1; i < n; i++)
        cuts[i] = (len * i / n) & ~7u;
    cuts[n] = len;
    if (model_percent(k->m, 50)) {
        order[0] = n - 1;
        order[n - 1] = 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = cuts[order[i]], to = cuts[order[i] + 1];
        uint32_t field = from | (to < len);
        uint8_t head[60] = {0};
        uint32_t h = ip_header(k, dir, head, to - from, field, k->m->ip_id, false);
        struct model_packet *p = add_packet(k, h + to - from);
        memcpy(p->data, head, h);
        memcpy(p->data + h, tcp + from, to - from);
    }
    k->m->ip_id++;
}

static void send_piece(struct talk *k, const struct piece *g)
{
    uint8_t *tcp = calloc(1, HEADERS + g->len);

    if (!tcp)
        abort();
    uint32_t h = tcp_header(k, g, tcp);
    fill(k, g, tcp + h);
    uint32_t len = h + g->len;
    if (len >= 200 && len < 60000 && model_percent(k->m, 4) && !k->cut_one) {
        send_fragments(k, g->dir, tcp, len);
    } else {
        uint8_t head[60] = {0};
        uint32_t ip = ip_header(k, g->dir, head, len, 0, k->m->ip_id++, model_percent(k->m, 3));
        struct model_packet *p = add_packet(k, ip + len);
        memcpy(p->data, head, ip);
        memcpy(p->data + ip, tcp, len);
        if (p->len > 65000 || (g->len > 3000 && model_percent(k->m, 30)))
            put(p->data + (k->s->v6 ? 4 : 2), 0, 2); /* as TSO and BIG TCP leave it */
        if (k->cut_one && g->dir == 0 && g->len > 1) {
            k->lost_one = true;
            p->cut_to = p->len - (uint32_t) model_between(k->m, 1, g->len - 1);
        }
    }
    free(tcp);
    k->now_us += model_between(k->m, 1, 300);
}

static void say(struct talk *k, unsigned dir, uint8_t flags)
{
    struct piece g = {.dir = dir, .flags = flags, .seq = k->nxt[dir], .ack = k->nxt[!dir]};

    send_piece(k, &g);
    k->nxt[dir] += !!(flags & (TB_TCP_SYN | TB_TCP_FIN));
}

/* --- data ------------------------------------------------------------------------------------- */

static uint32_t segment_size(struct talk *k, uint32_t left)
{
    uint64_t kind = tb_rng_below(&k->m->rng, 10);
    uint64_t n = kind < 6   ? 1460
                 : kind < 8 ? model_between(k->m, 1, 1460)
                            : model_between(k->m, 1461, 61000);

    return n < left ? (uint32_t) n : left;
}

/* Bytes [from, to) once more, cut anew. */
static void repeat(struct talk *k, unsigned dir, uint64_t from, uint64_t to)
{
    uint64_t a = model_between(k->m, from, to - 1), b = model_between(k->m, a + 1, to);
    struct piece g = {.dir = dir, .flags = TB_TCP_ACK, .seq = a, .ack = k->nxt[!dir]};

    g.len = (uint32_t) (b - a < 30000 ? b - a : 30000);
    send_piece(k, &g);
}

/* One side sends `len` bytes: in order, but some segments come later, again, or not at all. */
static void send_bytes(struct talk *k, unsigned dir, uint32_t len)
{
    uint64_t begin = k->nxt[dir], end = begin + len;
    struct piece late[8];
    uint32_t lates = 0;

    while (k->nxt[dir] < end) {
        struct piece g = {.dir = dir, .flags = TB_TCP_ACK, .seq = k->nxt[dir], .ack = k->nxt[!dir]};
        g.len = segment_size(k, (uint32_t) (end - k->nxt[dir]));
        k->nxt[dir] += g.len;
        if (k->nxt[dir] == end)
            g.flags |= TB_TCP_PSH;
        bool is_lost = dir == 0 && k->s->fate == FATE_HOLE && !k->lost_one && g.len > 1;
        if (is_lost)
            k->lost_one = true; /* it was never captured */
        else if (lates < 8 && model_percent(k->m, 6))
            late[lates++] = g; /* lost in the network, sent again */
        else
            send_piece(k, &g);
        if (model_percent(k->m, 4) && k->s->fate != FATE_HOLE && !k->cut_one)
            repeat(k, dir, begin, k->nxt[dir]);
        if (model_percent(k->m, 20) && lates == 0)
            say(k, !dir, TB_TCP_ACK);
    }
    for (uint32_t i = 0; i < lates; i++) {
        k->now_us += 1000;
        send_piece(k, &late[i]);
    }
    say(k, !dir, TB_TCP_ACK);
}

/* --- sessions --------------------------------------------------------------------------------- */

static void handshake(struct talk *k)
{
    bool syn = k->s->fate != FATE_NO_SYN, capture_synack = model_percent(k->m, 90);

    if (!syn) {
        k->nxt[0] = k->nxt[1] = 1;
        return;
    }
    say(k, 0, TB_TCP_SYN);
    if (model_percent(k->m, 10)) {
        k->nxt[0] = 0;
        k->now_us += 1000000;
        say(k, 0, TB_TCP_SYN);
    }
    if (capture_synack)
        say(k, 1, TB_TCP_SYN | TB_TCP_ACK);
    else
        k->nxt[1] = 1;
    if (!capture_synack || model_percent(k->m, 90))
        say(k, 0, TB_TCP_ACK);
}

static void finish(struct talk *k)
{
    struct model_session *s = k->s;
    unsigned first = (unsigned) tb_rng_below(&k->m->rng, 2);

    switch (tb_rng_below(&k->m->rng, 5)) {
    case 0:
        return;
    case 1:
        s->end[first] = TB_END_RST;
        say(k, first, TB_TCP_RST | TB_TCP_ACK);
        return;
    default:
        s->end[0] = s->end[1] = TB_END_FIN;
        say(k, first, TB_TCP_FIN | TB_TCP_ACK);
        if (model_percent(k->m, 50))
            say(k, !first, TB_TCP_ACK);
        say(k, !first, TB_TCP_FIN | TB_TCP_ACK);
        say(k, first, TB_TCP_ACK);
    }
}

static void converse(struct talk *k)
{
    uint32_t rounds = (uint32_t) model_between(k->m, 1, 5), left = k->s->len;

    if (model_percent(k->m, 15))
        send_bytes(k, 1, (uint32_t) model_between(k->m, 1, 3000)); /* the server speaks first */
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t n = i + 1 == rounds ? left : (uint32_t) tb_rng_below(&k->m->rng, left + 1);
        k->cut_one = k->s->fate == FATE_TRUNCATED && i + 1 == rounds;
        if (n > 0)
            send_bytes(k, 0, n);
        k->cut_one = false;
        left -= n;
        k->now_us += model_between(k->m, 0, 100000);
        if (model_percent(k->m, 90))
            send_bytes(k, 1, (uint32_t) model_between(k->m, 1, 20000));
        if (model_percent(k->m, 5)) { /* a keep-alive probe */
            struct piece g = {
                .dir = 1, .flags = TB_TCP_ACK, .seq = k->nxt[1] - 1, .ack = k->nxt[0]};
            send_piece(k, &g);
        }
    }
}

static void play(struct talk *k)
{
    struct model_session *s = k->s;

    switch (s->fate) {
    case FATE_UNANSWERED:
        for (uint64_t n = model_between(k->m, 1, 3); n > 0; n--, k->now_us += 1000000) {
            k->nxt[0] = 0;
            say(k, 0, TB_TCP_SYN);
        }
        return;
    case FATE_REFUSED:
        say(k, 0, TB_TCP_SYN);
        k->nxt[1] = 0;
        s->isn[1] = 0;
        say(k, 1, TB_TCP_RST | TB_TCP_ACK);
        return;
    default:
        handshake(k);
        converse(k);
        if (s->fate == FATE_HOLE) /* what shows that it was there */
            send_bytes(k, 1, 100);
        finish(k);
    }
}

static void make_address(struct model *m, struct model_session *s, uint32_t n)
{
    s->v6 = model_percent(m, 30);
    tb_addr_parse(s->v6 ? "2001:2::2" : "198.18.0.2", &s->server);
    tb_addr_parse(s->v6 ? "2001:2:0:1::1" : "198.19.0.1", &s->client);
    s->client = tb_addr_plus(s->client, (uint32_t) tb_rng_below(&m->rng, 4));
    s->cport = (uint16_t) (40000 + n);
    s->sport = s->fate == FATE_NO_TRANSFER ? MODEL_OTHER_PORT : MODEL_PORT;
}

static void make_session(struct model *m, uint32_t n)
{
    struct model_session *s = &m->session[n];

    s->fate = model_percent(m, 60) ? FATE_PLAYED : (enum fate) tb_rng_below(&m->rng, FATE_KINDS);
    make_address(m, s, n);
    s->len = (uint32_t) (model_percent(m, 70) ? model_between(m, 2, 5000)
                                              : model_between(m, 2, STREAM_MAX));
    s->start_us = UINT64_C(1600000000000000) + model_between(m, 0, 3000000);
    bool again = n > 0 && model_percent(m, 20);
    if (again) { /* the port of another session, once that is over */
        const struct model_session *o = &m->session[n - 1];
        s->client = o->client;
        s->server = o->server;
        s->v6 = o->v6;
        s->cport = o->cport;
        s->sport = o->sport;
        s->start_us = o->start_us + 100000000;
        bool known = s->sport == MODEL_PORT;
        if (!known)
            s->fate = FATE_NO_TRANSFER;
        else if (s->fate == FATE_NO_SYN || s->fate == FATE_NO_TRANSFER)
            s->fate = FATE_PLAYED; /* its packets would be the other's */
    }
    for (unsigned d = 0; d < 2; d++)
        s->isn[d] = (uint32_t) (model_percent(m, 50) ? tb_rng_next(&m->rng)
                                                     : -model_between(m, 1, s->len + 2));
    s->syn = (struct tb_syn){.mss = (uint16_t) (model_percent(m, 90) ? 1460 : 0),
                             .wscale = (int8_t) (model_percent(m, 70) ? 7 : -1),
                             .sack_permitted = model_percent(m, 70),
                             .timestamps = model_percent(m, 50)};
    s->bytes = malloc(s->len);
    if (!s->bytes)
        abort();
    for (uint32_t i = 0; i < s->len; i++)
        s->bytes[i] = (uint8_t) (tb_rng_next(&m->rng) >> 40);
    struct talk k = {.m = m, .s = s, .now_us = s->start_us};
    play(&k);
    if ((s->fate == FATE_HOLE || s->fate == FATE_TRUNCATED) && !k.lost_one)
        s->fate = FATE_PLAYED; /* there was nothing to lose */
}

static int by_order(const void *a, const void *b)
{
    const struct model_packet *x = a, *y = b;

    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct model_packet *x = a, *y = b;

    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? -1 : 1;
    return by_order(a, b);
}

static bool is_syn(const struct model_packet *p)
{
    uint32_t head = p->data[0] >> 4 == 6 ? 40 : (p->data[0] & 15) * 4u;
    bool plain = p->data[0] >> 4 == 4 || p->data[6] == 6;

    return !plain || (p->len > head + 13 && (p->data[head + 13] & TB_TCP_SYN));
}

void model_make(struct model *m)
{
    m->sessions = (uint32_t) model_between(m, 2, MODEL_SESSIONS);
    for (uint32_t i = 0; i < m->sessions; i++)
        make_session(m, i);
    qsort(m->packet, m->packets, sizeof *m->packet, by_time);
    m->shuffled = model_percent(m, 30);
    for (uint32_t i = 0; i < m->packets; i++) {
        m->packet[i].order = 8 * (uint64_t) i;
        if (!m->shuffled || is_syn(&m->packet[i]) || model_percent(m, 90))
            continue;
        uint64_t places = model_between(m, 1, 5);
        while (places > 0 && (i + places >= m->packets ||
                              m->packet[i + places].time_us > m->packet[i].time_us + SHUFFLE_US))
            places--;
        m->packet[i].order += places ? 8 * places + 1 : 0;
    }
    qsort(m->packet, m->packets, sizeof *m->packet, by_order);
}

void model_free(struct model *m)
{
    for (uint32_t i = 0; i < m->packets; i++)
        free(m->packet[i].data);
    free(m->packet);
    for (uint32_t i = 0; i < m->sessions; i++)
        free(m->session[i].bytes);
}
