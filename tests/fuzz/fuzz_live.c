/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of live traffic: the input is what passes by between some clients and a server, one
 * action after the other: any flags, numbers and lengths, cut packets, packets of nobody. A worker
 * plays what it makes of that against a target that answers politely. Whatever passes by: the
 * target gets the clients' bytes in their places and nothing else, and when all is over every
 * session has ended in one verdict and nothing is held any more.
 */
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "check.h"
#include "engine/worker.h"
#include "io/backends.h"
#include "packet/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONNS = 4, PAYLOAD_MAX = 4096, PACKET_MAX = 9000, TARGETS = 64, TURNS_MAX = 200000 };

/* A live connection: the numbers of both sides, from which packets stray as the input says. */
struct conn {
    uint32_t isn[2], next[2]; /* by direction: client, server */
};

/* A connection at the target. */
struct target {
    struct tb_addr client;
    uint16_t port;
    uint32_t isn, next; /* the client's; ours is 1 */
    bool used;
};

struct fuzz {
    struct tb_tap tap; /* first */
    struct tb_cursor in;
    struct conn conns[CONNS];
    uint8_t packet[PACKET_MAX];
    uint8_t payload[PAYLOAD_MAX];
    struct target targets[TARGETS];
    uint32_t target_count;
    bool is_broken; /* some header was: its bytes may belong anywhere */
    struct tb_io *io;
    struct tb_worker *w;
    uint64_t now_us;
};

static const uint64_t real_us = UINT64_C(1700000000000000);

static struct tb_addr addr_of(uint8_t last)
{
    const uint8_t b[4] = {198, 18, 5, last};

    return tb_addr_v4(b);
}

/* Byte i of every client's stream. */
static uint8_t byte_at(uint32_t i)
{
    return (uint8_t) (i % 251);
}

/* --- what passes by ----------------------------------------------------------------------------
 */

/* One packet of a connection, as the input wants it; its length. */
static uint32_t make_packet(struct fuzz *f)
{
    uint8_t who = tb_cursor_u8(&f->in), flags = tb_cursor_u8(&f->in);
    int8_t seq_off = (int8_t) tb_cursor_u8(&f->in), ack_off = (int8_t) tb_cursor_u8(&f->in);
    uint32_t len = tb_cursor_be16(&f->in) % PAYLOAD_MAX;
    struct conn *c = &f->conns[who % CONNS];
    unsigned dir = who >> 7;
    struct tb_addr client = addr_of((uint8_t) (who % CONNS)), server = addr_of(99);
    uint16_t port = (uint16_t) (2000 + who % CONNS);

    if (who & 0x40) /* usual numbers, no surprises */
        seq_off = ack_off = 0;
    if ((flags & TB_TCP_SYN) && !(who & 0x20)) {
        c->isn[dir] += 100000;
        c->next[dir] = c->isn[dir];
        len = 0;
    }
    uint32_t seq = flags & TB_TCP_SYN ? c->isn[dir] : c->next[dir] + (uint32_t) (seq_off * 7);
    uint32_t first = seq + ((flags & TB_TCP_SYN) != 0) - (c->isn[0] + 1);
    for (uint32_t i = 0; i < len; i++)
        f->payload[i] = dir == 0 ? byte_at(first + i) : 'r';
    if (dir == 0 && first > UINT32_MAX - PAYLOAD_MAX - 1000)
        len = 0; /* bytes before the first one would have to be different ones */
    struct tb_frame_spec spec = {
        .src = dir ? &server : &client,
        .dst = dir ? &client : &server,
        .sport = dir ? 80 : port,
        .dport = dir ? port : 80,
        .seq = seq,
        .ack = c->next[!dir] + (uint32_t) (ack_off * 7),
        .window = 65535,
        .flags = flags & 0x1f,
    };
    struct tb_frame frame;
    tb_frame_build(&frame, &spec, f->payload, len);
    uint32_t total = tb_frame_flatten(&frame, f->packet, sizeof f->packet);
    uint32_t end = seq + len + !!(flags & TB_TCP_SYN) + !!(flags & TB_TCP_FIN);
    if ((int32_t) (end - c->next[dir]) > 0)
        c->next[dir] = end;
    return total;
}

static uint32_t tap_recv(struct tb_tap *t, struct tb_tapped *out, uint32_t max, uint64_t now_us)
{
    struct fuzz *f = (struct fuzz *) t;

    if (max == 0 || f->in.failed || tb_cursor_left(&f->in) == 0) {
        t->is_over = true;
        return 0;
    }
    uint8_t kind = tb_cursor_u8(&f->in);
    if (kind & 1) /* let time pass */
        f->now_us += (uint64_t) kind * 997;
    uint32_t len = make_packet(f), cut = kind & 2 ? tb_cursor_u8(&f->in) : 0;
    if (kind & 4 && len > 0) /* a bit turns over in the headers */
        f->packet[tb_cursor_u8(&f->in) % 40] ^= (uint8_t) (1 << (kind >> 5));
    f->is_broken |= kind & 4;
    out[0] = (struct tb_tapped){
        .data = f->packet, .len = len > cut ? len - cut : len, .wire_len = len, .time_us = now_us};
    return 1;
}

static uint64_t tap_next_us(struct tb_tap *t)
{
    return t->is_over ? UINT64_MAX : 0;
}

static uint64_t tap_drops(struct tb_tap *t)
{
    (void) t;
    return 0;
}

static const struct tb_tap_ops tap_ops = {
    .recv = tap_recv, .next_us = tap_next_us, .drops = tap_drops};

/* --- the target --------------------------------------------------------------------------------
 */

static struct target *target_of(struct fuzz *f, const struct tb_segment *seg)
{
    for (uint32_t i = 0; i < TARGETS; i++)
        if (f->targets[i].used && f->targets[i].port == seg->sport &&
            tb_addr_eq(&f->targets[i].client, &seg->src))
            return &f->targets[i];
    struct target *t = &f->targets[f->target_count++ % TARGETS];
    *t = (struct target){.client = seg->src, .port = seg->sport, .used = true};
    return t;
}

static void answer(struct fuzz *f, const struct tb_segment *seg, uint8_t flags, uint32_t seq,
                   uint32_t ack)
{
    static uint8_t packet[100];
    struct tb_frame_spec spec = {.src = &seg->dst,
                                 .dst = &seg->src,
                                 .sport = seg->dport,
                                 .dport = seg->sport,
                                 .seq = seq,
                                 .ack = ack,
                                 .window = 65535,
                                 .flags = flags};
    struct tb_frame frame;

    tb_frame_build(&frame, &spec, NULL, 0);
    uint32_t len = tb_frame_flatten(&frame, packet, sizeof packet);
    CHECK(tb_mem_inject(f->io, packet, len) == 0);
}

static void take_at_target(struct fuzz *f, const struct tb_segment *seg)
{
    struct target *t = target_of(f, seg);

    CHECK(seg->dport == 7); /* never to the online server or its clients */
    if (seg->flags & TB_TCP_RST)
        return;
    if (seg->flags & TB_TCP_SYN) {
        t->isn = seg->seq;
        t->next = seg->seq + 1;
        answer(f, seg, TB_TCP_SYN | TB_TCP_ACK, 1, t->next);
        return;
    }
    uint32_t first = seg->seq - (t->isn + 1);
    for (uint32_t i = 0; i < seg->payload_len; i++)
        CHECK(f->is_broken || seg->payload[i] == byte_at(first + i));
    uint32_t end = seg->seq + seg->payload_len + !!(seg->flags & TB_TCP_FIN);
    if ((int32_t) (end - t->next) > 0 && (int32_t) (seg->seq - t->next) <= 0)
        t->next = end;
    if (seg->flags & TB_TCP_FIN)
        answer(f, seg, TB_TCP_FIN | TB_TCP_ACK, 2, t->next);
    else if (seg->payload_len)
        answer(f, seg, TB_TCP_ACK, 2, t->next);
}

/* --- a run --------------------------------------------------------------------------------------
 */

static void turn(struct fuzz *f)
{
    static uint8_t packet[70000];
    struct tb_segment seg;
    uint32_t len;

    tb_worker_tick(f->w, f->now_us, real_us + f->now_us);
    while ((len = tb_mem_take(f->io, packet, sizeof packet)) > 0) {
        CHECK(tb_segment_parse(packet, len, &seg) == 0);
        take_at_target(f, &seg);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tb_module plain = {.name = "generic"};
    const struct tb_service service = {.any_addr = true, .port = 80};
    const struct tb_endpoint target = {addr_of(200), 7};
    const struct tb_pacing_input pacing_input = {.rate = 1};
    struct fuzz *f = calloc(1, sizeof *f);
    struct tb_pacing pacing;
    struct tb_plan plan;
    struct tb_err err = {""};

    CHECK(f);
    f->tap = (struct tb_tap){.ops = &tap_ops, .fd = -1};
    f->in = tb_cursor_init(data, size);
    f->now_us = 1000000;
    uint8_t how = tb_cursor_u8(&f->in);
    struct tb_tap *taps[1] = {&f->tap};
    struct tb_live_config live = {.taps = taps,
                                  .services = &service,
                                  .service_count = 1,
                                  .replicas = 1 + (how & 1),
                                  .percent = 100,
                                  .no_wait = how & 2,
                                  .idle_us = how & 4 ? 500000 : 0,
                                  .memory_bytes = how & 8 ? 30000 : 1 << 20,
                                  .users = how & 16 ? 4 : 64};
    struct tb_engine_config config = {.plan = &plan,
                                      .pacing = &pacing,
                                      .modules = {{&plain}},
                                      .module_count = 1,
                                      .timeout_us = 2000000,
                                      .quiet_us = 200000,
                                      .close_wait_us = 500000,
                                      .mtu = 1500,
                                      .mss = 1460,
                                      .live = &live};
    CHECK(tb_plan_init_live(&plan, &target, 1, 1) == 0);
    CHECK(tb_pacing_init(&pacing, &pacing_input) == 0);
    CHECK(tb_mem_open(&f->io, 0) == 0);
    f->w = calloc(1, sizeof *f->w);
    CHECK(f->w && tb_worker_init(f->w, &config, f->io, 0, f->now_us, &err) == 0);
    uint32_t turns = 0;
    while (!tb_worker_is_done(f->w)) {
        uint64_t next = tb_worker_next_us(f->w);
        f->now_us = next > f->now_us && next != UINT64_MAX ? next : f->now_us + 1;
        turn(f);
        CHECK(++turns < TURNS_MAX);
    }
    CHECK(f->w->stats.open == 0 && tb_stats_ended(&f->w->stats) == f->w->stats.started);
    CHECK(f->w->pendings.in_use == 0 && f->w->held.in_use == 0);
    CHECK(tb_live_script_bytes(f->w->live) == 0);
    tb_worker_fini(f->w);
    free(f->w);
    tb_io_close(f->io);
    tb_plan_fini(&plan);
    tb_pacing_fini(&pacing);
    free(f);
    return 0;
}
