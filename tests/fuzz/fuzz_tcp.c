/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the client against a hostile server: a whole worker plays hand-made scripts, and
 * the input is what the server and the network do, one action after the other. Whatever that is:
 * what the client sends are the script's bytes and few packets, and once the server has fallen
 * silent, every session ends in one verdict, nothing is held any more and the worker is done.
 */
#include "worker_rig.h"

#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "check.h"
#include "engine/modules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const struct tb_module tb_module_entry; /* of http */

enum { PEERS = 16, TURN_PACKETS = 4096, SILENCE_US = 120000000, TURNS_MAX = 20000 };

/* A client connection as the server knows it. */
struct peer {
    struct tb_segment last;      /* of the client's; addresses and ports */
    uint32_t iss, end, irs, nxt; /* client: ISN, highest sent; server: ISN, next to send */
    bool seen, plain;            /* plain: its bytes are those of the stream */
};

struct server {
    struct wrig *r;
    struct tb_cursor in;
    struct peer peers[PEERS];
    uint32_t turn_packets;
};

static int counter(const struct tb_host *host, const char *name)
{
    (void) host;
    (void) name;
    return 0;
}

static void __attribute__((format(printf, 2, 3))) be_silent(int level, const char *fmt, ...)
{
    (void) level;
    (void) fmt;
}

/* Sessions of every kind: see the flags of each. */
static void make_scripts(struct wrig *r)
{
    static const uint32_t two[] = {100, 3000}, one[] = {500}, three[] = {10, 20, 30};
    struct wrig_script *m;

    wrig_add(r, two, 2, 1000);
    m = wrig_add(r, one, 1, 5000); /* half-close: FIN right behind the request */
    m->script.end.waits_for = 0;
    m = wrig_add(r, three, 3, 50); /* pipelined, ends with RST */
    for (uint32_t i = 0; i < 3; i++)
        m->requests[i].waits_for = 0;
    m->script.end.client = TB_END_RST;
    m = wrig_add(r, NULL, 0, 0); /* the server speaks, the server closes */
    m->script.has_greeting = true;
    m->script.greeting_bytes = 30;
    m->script.responses = m->script.end.waits_for = 1;
    m->script.end.server_first = true;
    m = wrig_add(r, two, 2, 2000); /* aborted download */
    m->requests[1].flags = TB_REQ_BYTES;
    m->script.responses = m->script.end.waits_for = 1;
    m->script.end.bytes = 500;
    m->script.end.client = TB_END_RST;
    m->script.end.server = TB_END_NONE;
    m = wrig_add(r, one, 1, 100); /* the server resets */
    m->script.end.client = TB_END_NONE;
    m->script.end.server = TB_END_RST;
    m->script.syn = (struct tb_syn){.mss = 0, .wscale = -1};
    m = wrig_add(r, two, 2, 0); /* http */
    m->script.module = 1;
    m->requests[0].flags = m->requests[1].flags = TB_REQ_ANSWERED;
    m->requests[0].note = (uint64_t) 200 << 16;
    m->requests[1].note = (uint64_t) 404 << 16 | 1;
}

static struct wrig *start(uint8_t how)
{
    static struct tb_host host;
    static struct tb_module http;
    struct wrig *r = wrig_new();
    char why[256];

    if (!http.name) {
        host = (struct tb_host){
            .abi = TB_MODULE_ABI, .size = sizeof host, .log = be_silent, .counter = counter};
        tb_host_play_functions(&host);
        http = tb_module_entry;
        json_t *none = json_object();
        CHECK(http.configure(&host, none, why, sizeof why) == 0);
        json_decref(none);
    }
    r->config.modules[1].ops = &http;
    r->config.module_count = 2;
    r->config.plays = 1 + (how & 1);
    r->config.open_loop = how & 2;
    r->config.hold_us = how & 4 ? 300000 : 0;
    r->config.duration_us = how & 8 ? 2000000 : 0;
    r->io->caps.gso_max = how & 16 ? 20000 : 0;
    make_scripts(r);
    wrig_start(r, how & 32 ? 4 : r->session_count, 1000);
    return r;
}

/* --- what the client sends ----------------------------------------------------------------------
 */

static struct peer *peer_of(struct server *s, const struct tb_segment *seg)
{
    struct peer *p = &s->peers[(seg->sport * 31u + tb_addr_low32(&seg->src)) % PEERS];

    if (!p->seen || p->last.sport != seg->sport || !tb_addr_eq(&p->last.src, &seg->src)) {
        memset(p, 0, sizeof *p);
        p->seen = true;
    }
    p->last = *seg;
    p->last.payload = NULL;
    return p;
}

static void look(struct server *s)
{
    struct tb_segment seg;

    for (s->turn_packets = 0; wrig_take(s->r, &seg); s->turn_packets++) {
        struct peer *p = peer_of(s, &seg);
        uint32_t end = seg.seq + seg.payload_len + !!(seg.flags & (TB_TCP_SYN | TB_TCP_FIN));
        CHECK(s->turn_packets < TURN_PACKETS);
        if (seg.flags & TB_TCP_SYN) {
            p->iss = seg.seq;
            p->end = end;
            p->plain = true;
        }
        uint32_t offset = seg.seq - p->iss - 1;
        for (uint32_t i = 0; p->plain && i < seg.payload_len; i++)
            CHECK(seg.payload[i] == wrig_stream_byte(offset + i));
        if ((int32_t) (end - p->end) > 0)
            p->end = end;
    }
}

static void turn(struct server *s, uint64_t us)
{
    wrig_tick(s->r, us);
    look(s);
}

/* --- what the server does -----------------------------------------------------------------------
 */

static uint8_t u8(struct server *s)
{
    return tb_cursor_u8(&s->in);
}

static struct peer *choose(struct server *s)
{
    unsigned n = u8(s) % PEERS;

    for (unsigned i = 0; i < PEERS; i++)
        if (s->peers[(n + i) % PEERS].seen)
            return &s->peers[(n + i) % PEERS];
    return NULL;
}

/* Options: well-formed ones, or bytes. */
static uint8_t options(struct server *s, const struct peer *p, uint8_t what, uint8_t *out)
{
    uint8_t n = 0;

    if (what & 1) {
        uint8_t mss[] = {2, 4, u8(s), u8(s)};
        memcpy(out + n, mss, 4);
        n += 4;
    }
    if (what & 2) {
        uint8_t rest[] = {4, 2, 3, 3, u8(s), 1, 1, 1};
        memcpy(out + n, rest, 8);
        n += 8;
    }
    if (what & 4) {
        uint32_t v = (uint32_t) (s->r->now_us / 1000) + (what & 8 ? (uint32_t) (int8_t) u8(s) : 0);
        uint8_t ts[] = {
            1, 1, 8, 10, (uint8_t) (v >> 24), (uint8_t) (v >> 16), (uint8_t) (v >> 8), (uint8_t) v};
        memcpy(out + n, ts, 8);
        memset(out + n + 8, 0, 4);
        n += 12;
    }
    if (what & 16) {
        uint32_t left = p->iss + u8(s) * 64u, right = left + u8(s) * 16u;
        uint8_t sack[] = {1,
                          1,
                          5,
                          10,
                          (uint8_t) (left >> 24),
                          (uint8_t) (left >> 16),
                          (uint8_t) (left >> 8),
                          (uint8_t) left,
                          (uint8_t) (right >> 24),
                          (uint8_t) (right >> 16),
                          (uint8_t) (right >> 8),
                          (uint8_t) right};
        memcpy(out + n, sack, 12);
        n += 12;
    }
    if (what & 32 && n <= 36)
        for (unsigned i = 0; i < 4; i++)
            out[n++] = u8(s);
    return n;
}

static const uint8_t *payload(struct server *s, uint32_t len, uint8_t kind)
{
    static const char *const http[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n"};
    static uint8_t bytes[4096];

    for (uint32_t i = 0; i < len; i++)
        bytes[i] = i < 8 && kind == 3 ? u8(s) : (uint8_t) i;
    if (kind < 3)
        memcpy(bytes, http[kind], strlen(http[kind]) < len ? strlen(http[kind]) : len);
    return bytes;
}

/* A segment to a client: numbers as they should be, moved by what the input says. */
static void segment(struct server *s)
{
    struct peer *p = choose(s);
    uint8_t what = u8(s), option_bits = u8(s), opt[60];
    if (!p)
        return;
    uint32_t len = what & 1 ? u8(s) * 16u : 0;
    uint8_t flags = what & 2 ? u8(s) : TB_TCP_ACK;
    int32_t seq_off = what & 4 ? (int16_t) (u8(s) << 8 | u8(s)) : 0;
    int32_t ack_off = what & 8 ? (int16_t) (u8(s) << 8 | u8(s)) : 0;
    uint16_t window = what & 16 ? (uint16_t) (u8(s) << 8 | u8(s)) : 65535;
    unsigned copies = what & 32 ? 1u + u8(s) % 64 : 1;

    struct wrig_answer a = {.flags = flags,
                            .seq = p->nxt + (uint32_t) seq_off,
                            .ack = p->end + (uint32_t) ack_off,
                            .window = window,
                            .len = len};
    a.options = opt;
    a.options_len = options(s, p, option_bits & 63, opt);
    if (a.options_len > 40)
        a.options_len = 40;
    a.payload = payload(s, len, option_bits >> 6);
    for (unsigned i = 0; i < copies; i++)
        wrig_give(s->r, &p->last, &a);
    if (!(what & 4))
        p->nxt += len + !!(flags & TB_TCP_FIN) + !!(flags & TB_TCP_SYN);
}

static void syn_ack(struct server *s)
{
    struct peer *p = choose(s);
    uint8_t what = u8(s), opt[60];

    if (!p)
        return;
    p->irs = (uint32_t) u8(s) << 24;
    p->nxt = p->irs + 1;
    struct wrig_answer a = {.flags = TB_TCP_SYN | TB_TCP_ACK,
                            .seq = p->irs,
                            .ack = p->iss + 1,
                            .window = what & 64 ? u8(s) : 65535,
                            .options = opt};
    a.options_len = options(s, p, what & 7, opt);
    wrig_give(s->r, &p->last, &a);
}

/* The server does as it should with every client. */
static void behave(struct server *s, bool fin)
{
    for (unsigned i = 0; i < PEERS; i++) {
        struct peer *p = &s->peers[i];
        uint8_t opt[60];
        bool is_new = p->seen && p->nxt == 0;
        if (!p->seen)
            continue;
        if (is_new)
            p->nxt = 5000;
        bool ts = p->last.opt.has_ts;
        struct wrig_answer a = {.flags = TB_TCP_ACK, .seq = p->nxt, .ack = p->end, .window = 60000};
        a.options = opt;
        a.options_len = options(s, p, ts ? 4 : 0, opt);
        if (is_new) {
            a.flags |= TB_TCP_SYN;
            p->nxt++;
        } else {
            a.len = 1000;
            a.payload = payload(s, a.len, 0);
            a.flags |= fin ? TB_TCP_FIN : 0;
            p->nxt += a.len + fin;
        }
        wrig_give(s->r, &p->last, &a);
    }
}

/* Bytes that may be a packet, to an address of a client or not. */
static void garbage(struct server *s)
{
    uint8_t bytes[64], n = u8(s) % sizeof bytes;

    for (uint8_t i = 0; i < n; i++)
        bytes[i] = u8(s);
    const struct peer *p = choose(s);
    if (p && n >= 20) { /* as far as there is a header, let it be to us */
        bytes[0] = 0x45;
        bytes[2] = 0;
        bytes[3] = n;
        bytes[9] = TB_PROTO_TCP;
        memcpy(bytes + 12, p->last.dst.b + 12, 4);
        memcpy(bytes + 16, p->last.src.b + 12, 4);
    }
    tb_mem_inject(s->r->io, bytes, n);
}

static void act(struct server *s)
{
    static const uint32_t waits_us[] = {0, 64, 1000, 40000, 200000, 1000000, 3000000, 10000000};
    uint8_t what = u8(s);

    switch (what % 8) {
    case 0:
        syn_ack(s);
        break;
    case 1:
    case 2:
        segment(s);
        break;
    case 3:
        behave(s, what & 128);
        break;
    case 4:
        garbage(s);
        break;
    case 5:
        turn(s, waits_us[what >> 5]);
        break;
    case 6: { /* to the next deadline */
        uint64_t next = tb_worker_next_us(s->r->w);
        turn(s, next != UINT64_MAX && next > s->r->now_us ? next - s->r->now_us : 0);
        break;
    }
    default:
        if (what == 255)
            tb_worker_stop(s->r->w, TB_STOP_STARTING + u8(s) % 3);
        turn(s, 0);
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void fall_silent(struct server *s)
{
    struct wrig *r = s->r;
    uint64_t until = r->now_us + SILENCE_US;

    turn(s, 0);
    for (uint32_t turns = 0; !tb_worker_is_done(r->w); turns++) {
        uint64_t next = tb_worker_next_us(r->w);
        CHECK(next <= until);
        CHECK(turns < TURNS_MAX);
        turn(s, next > r->now_us ? next - r->now_us : 0);
    }
    const struct tb_stats *st = &r->w->stats;
    CHECK(st->open == 0);
    CHECK(tb_stats_ended(st) == st->started);
    CHECK(st->verdicts[TB_VERDICT_NONE] == 0);
    CHECK(st->requests_answered <= st->requests_sent);
    CHECK(r->w->half_closed == 0);
    CHECK(r->w->tcp.busy.in_use == 0);
    CHECK(r->w->tcp.spans.in_use == 0);
    CHECK(r->w->tcp.blocks.in_use == 0);
    CHECK(r->w->pendings.in_use == 0);
    CHECK(r->w->module_busy.in_use == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 4096)
        return 0;
    struct server s = {.r = start(data[0]), .in = tb_cursor_init(data + 1, size - 1)};
    turn(&s, 0);
    turn(&s, 10000);
    for (unsigned n = 0; tb_cursor_left(&s.in) > 0 && n < 400; n++)
        act(&s);
    fall_silent(&s);
    wrig_free(s.r);
    return 0;
}
