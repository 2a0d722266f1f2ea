/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulated network: what is on its way (a heap by time), what befalls it, the packet I/O that
 * workers are given, and the packet trace of a failed seed.
 */
#include <stdlib.h>
#include <string.h>
#include "sim.h"

/* --- events ----------------------------------------------------------------------------------- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void net_push(struct sim *s, uint64_t at_us, int kind, void *what)
{
    if (s->heap_count == s->heap_room) {
        s->heap_room = s->heap_room ? 2 * s->heap_room : 256;
        s->heap = realloc(s->heap, s->heap_room * sizeof *s->heap);
        if (!s->heap)
            abort();
    }
    struct event e = {at_us, s->order++, kind, what};
    uint32_t i = s->heap_count++;
    for (; i > 0 && before(&e, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = e;
}

bool net_pop(struct sim *s, uint64_t now_us, struct event *out)
{
    if (s->heap_count == 0 || s->heap[0].at_us > now_us)
        return false;
    *out = s->heap[0];
    struct event last = s->heap[--s->heap_count];
    uint32_t i = 0, child;
    while ((child = 2 * i + 1) < s->heap_count) {
        if (child + 1 < s->heap_count && before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!before(&s->heap[child], &last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return true;
}

/* --- the way ---------------------------------------------------------------------------------- */

static bool is_dark(const struct sim *s, unsigned way)
{
    const struct weather *w = &s->weather;

    return s->now_us >= w->dark_us[0] && s->now_us < w->dark_us[1] && (w->dark_ways & 1u << way);
}

static bool is_lost(struct sim *s, unsigned way, bool bare_ack)
{
    const struct weather *w = &s->weather;

    if (is_dark(s, way))
        return true;
    if (s->burst_left[way] > 0) {
        s->burst_left[way]--;
        return true;
    }
    if (chance(&s->rng, w->burst[way]))
        s->burst_left[way] = (uint32_t) between(&s->rng, 1, 2 * w->burst_len);
    return chance(&s->rng, w->loss[way]) || (bare_ack && way == 1 && chance(&s->rng, w->ack_loss));
}

static uint64_t arrival_us(struct sim *s, unsigned way)
{
    const struct weather *w = &s->weather;
    uint64_t at = s->now_us + w->one_way_us + tb_rng_below(&s->rng, w->jitter_us + 1);

    if (w->fifo && at < s->last_at_us[way])
        at = s->last_at_us[way];
    s->last_at_us[way] = at;
    if (chance(&s->rng, w->late))
        at += between(&s->rng, 1, 2 * w->one_way_us + 3 * MS);
    return at;
}

static void carry(struct sim *s, unsigned way, const uint8_t *data, uint32_t len, bool harm)
{
    struct packet *p = malloc(sizeof *p + len);

    if (!p)
        abort();
    p->len = len;
    memcpy(p->data, data, len);
    if (harm) {
        uint32_t head = data[0] >> 4 == 6 ? 40 : 20;
        p->data[head + tb_rng_below(&s->rng, len - head)] ^=
            (uint8_t) (1u << tb_rng_below(&s->rng, 8));
    }
    net_push(s, arrival_us(s, way), way == 0 ? EV_TO_SERVER : EV_TO_CLIENT, p);
}

void net_arrive(struct sim *s, const uint8_t *data, uint32_t len)
{
    struct packet *p = malloc(sizeof *p + len);

    if (!p)
        abort();
    p->len = len;
    memcpy(p->data, data, len);
    net_trace(s, data, len);
    net_push(s, s->now_us, EV_TO_CLIENT, p);
}

void net_send(struct sim *s, unsigned way, const uint8_t *data, uint32_t len, bool bare_ack)
{
    const struct weather *w = &s->weather;
    bool harm = chance(&s->rng, w->corrupt);

    net_trace(s, data, len);
    if (is_lost(s, way, bare_ack) || (harm && way == 1))
        return; /* a client's network card drops what is damaged; servers look for themselves */
    if (way == 0 && len > w->mtu) {
        sim_fail(s, NULL, "a packet of %u bytes on a path for %u", len, w->mtu);
        return;
    }
    if (way == 1 && len > 60 && chance(&s->rng, w->cut_off)) {
        carry(s, way, data, len - 1 - (uint32_t) tb_rng_below(&s->rng, 20), false);
        return;
    }
    carry(s, way, data, len, harm);
    if (chance(&s->rng, w->twice))
        carry(s, way, data, len, false);
}

/* --- packet I/O ------------------------------------------------------------------------------- */

static uint32_t io_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct sim_io *m = (struct sim_io *) io;
    uint32_t n = 0;

    for (struct packet *p; (p = m->lent) != NULL;) {
        m->lent = p->next;
        free(p);
    }
    while (n < max && m->first) {
        struct packet *p = m->first;
        m->first = p->next;
        watch_received(m->sim, p->data, p->len);
        packets[n++] = (struct tb_packet){.data = p->data, .len = p->len};
        p->next = m->lent;
        m->lent = p;
    }
    if (!m->first)
        m->end = &m->first;
    if (n == max)
        m->sim->behind_us = m->sim->now_us;
    io->counters.received += n;
    return n;
}

static void put_be(uint8_t *p, uint32_t v, unsigned n)
{
    while (n-- > 0) {
        p[n] = (uint8_t) v;
        v >>= 8;
    }
}

/* One packet of a frame: the payload from `at`, of `len` bytes. */
static void send_piece(struct sim *s, const struct tb_frame *f, uint32_t at, uint32_t len)
{
    static uint8_t packet[70000];
    uint8_t *tcp = packet + f->ip_len;
    uint32_t total = f->head_len + len;

    memcpy(packet, f->head, f->head_len);
    if (len)
        memcpy(packet + f->head_len, f->payload + at, len);
    if (f->ip_len == 40)
        put_be(packet + 4, total - 40, 2);
    else
        put_be(packet + 2, total, 2);
    uint32_t seq =
        (uint32_t) tcp[4] << 24 | (uint32_t) tcp[5] << 16 | (uint32_t) tcp[6] << 8 | tcp[7];
    put_be(tcp + 4, seq + at, 4);
    if (at + len < f->payload_len)
        tcp[13] &= (uint8_t) ~(TB_TCP_FIN | TB_TCP_PSH);
    wire_seal(packet, total);
    watch_sent(s, packet, total);
    net_send(s, 0, packet, total, false);
}

static void send_whole(struct sim *s, const struct tb_frame *f)
{
    static uint8_t packet[70000];
    uint32_t len = tb_frame_flatten(f, packet, sizeof packet);

    watch_sent(s, packet, len);
    net_send(s, 0, packet, len, false);
}

/* As a device with checksum and segmentation offload: also checks what it is given. */
static void io_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct sim *s = ((struct sim_io *) io)->sim;

    for (uint32_t i = 0; i < count; i++) {
        const struct tb_frame *f = &frames[i];
        uint32_t step = f->gso_size ? f->gso_size : f->payload_len, at = 0;
        if (f->payload_len > step || f->payload_len > (s->gso_max ? s->gso_max : 65535)) {
            if (!f->gso_size || f->payload_len > s->gso_max)
                sim_fail(s, NULL, "a frame of %u bytes, gso size %u", f->payload_len, f->gso_size);
        }
        if (f->payload_len <= step) { /* its checksum completed as back-ends do */
            send_whole(s, f);
            io->counters.sent++;
            continue;
        }
        do {
            uint32_t len = f->payload_len - at < step ? f->payload_len - at : step;
            send_piece(s, f, at, len);
            at += len;
        } while (at < f->payload_len);
        io->counters.sent++;
    }
}

static void io_wait(struct tb_io *io, uint64_t timeout_us)
{
    (void) io;
    (void) timeout_us;
}

static void io_close(struct tb_io *io)
{
    (void) io;
}

void net_open(struct sim *s, struct sim_io *m, uint32_t gso_max)
{
    static const struct tb_io_ops ops = {
        .name = "sim", .recv = io_recv, .send = io_send, .wait = io_wait, .close = io_close};

    *m = (struct sim_io){.io = {.ops = &ops, .caps = {.gso_max = gso_max, .checksum = true}},
                         .sim = s};
    m->end = &m->first;
}

void net_close(struct sim_io *m)
{
    *m->end = m->lent;
    for (struct packet *p; (p = m->first) != NULL;) {
        m->first = p->next;
        free(p);
    }
    m->lent = NULL;
    m->end = &m->first;
}

struct slot *slot_find(const struct sim *s, uint32_t addr, uint16_t port)
{
    for (uint32_t h = addr * 0x9E3779B1u + port * 40503u;; h++) {
        uint32_t i = s->slot_of[h & s->slot_mask];
        if (i == 0)
            return NULL;
        const struct tb_tcp_path *p = &s->slot[i - 1].path;
        if (tb_addr_low32(&p->src) == addr && p->sport == port)
            return &s->slot[i - 1];
    }
}

/* --- trace ------------------------------------------------------------------------------------ */

void net_trace(struct sim *s, const uint8_t *data, uint32_t len)
{
    if (!s->trace)
        return;
    uint64_t t = s->now_us - s->begin_us;
    uint32_t head[4] = {(uint32_t) (t / SEC), (uint32_t) (t % SEC), len, len};
    fwrite(head, 1, sizeof head, s->trace);
    fwrite(data, 1, len, s->trace);
}
