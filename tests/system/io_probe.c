/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scripted TCP client on top of the packet I/O back-ends, for tests/system/io_*.sh: opens
 * connections to io_server.py, sends each the same bytes, reads the answer to its end, and checks
 * every byte and which worker each packet came to. Knows no retransmission: the paths under test do
 * not lose packets, and it keeps to the server's window.
 *
 * io_probe BACKEND key=value…   BACKEND: tun, link, raw (the latter two receive with capture)
 *   target=ADDR  port=N  client=ADDR  count=N (addresses)  flows=N  workers=N  bytes=N
 *   device=NAME (capture)  output=NAME (link)  dst_mac=xx:…  hold=1 (after opening: wait for EOF
 *   on standard input, then close)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "io/backends.h"
#include "packet/seq.h"

enum { WORKERS_MAX = 16, MSS = 1400, BATCH = 64, QUIET_US = 5000000, CHUNK = 60000 };

struct flow {
    struct tb_endpoint client;
    uint32_t snd_una, snd_nxt, rcv_nxt, iss;
    uint32_t window; /* the server's; never scaled, for we do not offer that */
    uint64_t received;
    bool established, fin_sent, done;
};

struct probe {
    const char *backend, *device, *output;
    struct tb_endpoint target;
    struct tb_io_range clients;
    uint32_t flows, workers;
    uint64_t bytes;
    uint8_t dst_mac[6];
    bool hold;
    struct tb_io *io[WORKERS_MAX];
    struct flow *flow;
    uint8_t *payload;
    uint64_t frames, long_frames; /* sent */
    uint64_t packets, super_packets, wrong_worker, wrong_bytes, resets;
};

/* Byte `i` of what is sent in either direction; io_server.py has the same. */
static uint8_t pattern(uint64_t i)
{
    return (uint8_t) (i * 7 + (i >> 8));
}

static int option(struct probe *p, const char *arg)
{
    char key[16], value[64];
    if (sscanf(arg, "%15[^=]=%63s", key, value) != 2)
        return -EINVAL;
    const char *text = strchr(arg, '=') + 1;
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(key, "target") == 0)
        return tb_addr_parse(value, &p->target.addr);
    if (strcmp(key, "client") == 0)
        return tb_addr_parse(value, &p->clients.first);
    if (strcmp(key, "dst_mac") == 0) {
        uint8_t *m = p->dst_mac;
        return sscanf(value, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m, m + 1, m + 2, m + 3, m + 4,
                      m + 5) == 6
                   ? 0
                   : -EINVAL;
    }
    if (strcmp(key, "port") == 0)
        p->target.port = (uint16_t) number;
    else if (strcmp(key, "count") == 0)
        p->clients.count = number;
    else if (strcmp(key, "flows") == 0)
        p->flows = (uint32_t) number;
    else if (strcmp(key, "workers") == 0)
        p->workers = (uint32_t) number;
    else if (strcmp(key, "bytes") == 0)
        p->bytes = number;
    else if (strcmp(key, "device") == 0)
        p->device = text;
    else if (strcmp(key, "output") == 0)
        p->output = text;
    else if (strcmp(key, "hold") == 0)
        p->hold = number;
    else
        return -EINVAL;
    return 0;
}

static int open_io(struct probe *p, struct tb_err *err)
{
    struct tb_io_setup s = {
        .clients = &p->clients,
        .client_count = 1,
        .targets = &p->target,
        .target_count = 1,
        .workers = p->workers,
        .mtu = 1500,
        .dst_macs = (const uint8_t(*)[6]) & p->dst_mac,
        .output_devices = &p->output,
        .output_device_count = p->output ? 1 : 0,
    };
    if (strcmp(p->backend, "tun") == 0)
        return tb_tun_open(&s, p->io, err);
    struct tb_io *tx[WORKERS_MAX] = {NULL}, *rx[WORKERS_MAX];
    int e = 0;
    for (uint32_t i = 0; i < p->workers && e == 0; i++) {
        bool raw = strcmp(p->backend, "raw") == 0;
        e = raw ? tb_raw_open(&s, &tx[i], err) : tb_link_open(&s, &tx[i], err);
    }
    if (e == 0)
        e = tb_capture_open(&s, p->device, rx, err);
    for (uint32_t i = 0; i < p->workers && e; i++)
        tb_io_close(tx[i]);
    for (uint32_t i = 0; i < p->workers && e == 0; i++)
        e = tb_io_join(tx[i], rx[i], &p->io[i], err);
    return e;
}

static uint32_t worker_of(const struct probe *p, const struct tb_endpoint *client)
{
    return tb_steer_worker(tb_addr_low32(&client->addr), client->port, p->workers);
}

/* Sends `len` bytes from stream offset `offset` as one frame, cut at the MSS where the back-end
 * does not do that. */
static void send_data(struct probe *p, struct flow *f, uint8_t flags, uint64_t offset, uint32_t len)
{
    struct tb_io *io = p->io[worker_of(p, &f->client)];
    uint32_t most = io->caps.gso_max ? io->caps.gso_max : MSS;
    static const uint8_t syn_options[4] = {2, 4, MSS >> 8, MSS & 0xff};
    struct tb_frame frames[BATCH];
    uint32_t count = 0;
    do {
        uint32_t n = len < most ? len : most;
        struct tb_frame_spec spec = {
            .src = &f->client.addr,
            .dst = &p->target.addr,
            .sport = f->client.port,
            .dport = p->target.port,
            .seq = f->snd_nxt,
            .ack = f->rcv_nxt,
            .window = 65535,
            .flags = flags,
            .options = syn_options,
            .options_len = flags & TB_TCP_SYN ? sizeof syn_options : 0,
        };
        struct tb_frame *frame = &frames[count++];
        tb_frame_build(frame, &spec, n ? p->payload + offset : NULL, n);
        frame->gso_size = n > MSS ? MSS : 0;
        p->long_frames += n > MSS;
        if (!io->caps.checksum)
            tb_frame_fill_checksum(frame);
        offset += n;
        len -= n;
        f->snd_nxt += n + (flags & (TB_TCP_SYN | TB_TCP_FIN) ? 1 : 0);
    } while (len && count < BATCH);
    p->frames += count;
    tb_io_send(io, frames, count);
}

/* What the flow owes next: a piece of the payload when all before it is acknowledged, or a FIN. */
static void send_next(struct probe *p, struct flow *f)
{
    uint64_t sent = f->snd_nxt - f->iss - 1;
    if (f->snd_una != f->snd_nxt || f->fin_sent)
        return;
    uint64_t left = p->bytes - sent;
    uint32_t most = f->window < CHUNK ? f->window : CHUNK;
    if (left && most) {
        send_data(p, f, TB_TCP_ACK | TB_TCP_PSH, sent, left < most ? (uint32_t) left : most);
    } else if (left == 0) {
        f->fin_sent = true;
        send_data(p, f, TB_TCP_ACK | TB_TCP_FIN, 0, 0);
    }
}

static struct flow *flow_of(struct probe *p, const struct tb_segment *seg)
{
    for (uint32_t i = 0; i < p->flows; i++) {
        if (p->flow[i].client.port == seg->dport && tb_addr_eq(&p->flow[i].client.addr, &seg->dst))
            return &p->flow[i];
    }
    return NULL;
}

static void segment_in(struct probe *p, uint32_t worker, const struct tb_packet *packet)
{
    struct tb_segment seg;
    if (tb_segment_parse(packet->data, packet->len, &seg) != 0)
        return;
    struct flow *f = flow_of(p, &seg);
    if (!f || f->done)
        return;
    p->packets++;
    p->super_packets += packet->len > 1500;
    p->wrong_worker += worker_of(p, &f->client) != worker;
    if (seg.flags & TB_TCP_RST) {
        p->resets++;
        f->done = true;
        return;
    }
    if (seg.flags & TB_TCP_SYN) {
        f->rcv_nxt = seg.seq + 1;
        f->established = true;
    }
    if (seg.flags & TB_TCP_ACK) {
        f->snd_una = seg.ack;
        f->window = seg.window;
    }
    bool in_order = seg.seq == f->rcv_nxt && !(seg.flags & TB_TCP_SYN);
    for (uint32_t i = 0; i < seg.payload_len && in_order; i++)
        p->wrong_bytes += seg.payload[i] != pattern(f->received + i);
    if (in_order) {
        f->received += seg.payload_len;
        f->rcv_nxt += seg.payload_len + (seg.flags & TB_TCP_FIN ? 1 : 0);
    }
    if (seg.payload_len || (seg.flags & (TB_TCP_SYN | TB_TCP_FIN)))
        send_data(p, f, TB_TCP_ACK, 0, 0);
    f->done = in_order && (seg.flags & TB_TCP_FIN) && f->fin_sent;
    send_next(p, f);
}

static void start_flows(struct probe *p)
{
    for (uint32_t i = 0; i < p->flows; i++) {
        struct flow *f = &p->flow[i];
        f->client.addr = tb_addr_plus(p->clients.first, (uint32_t) (i % p->clients.count));
        f->client.port = (uint16_t) (10000 + i);
        f->iss = f->snd_una = f->snd_nxt = (uint32_t) tb_clock_real_us() + i;
        send_data(p, f, TB_TCP_SYN, 0, 0);
    }
}

/* Until all flows are done or nothing has come for a while. */
static void run(struct probe *p)
{
    uint64_t last_us = tb_clock_mono_us();
    uint32_t left = p->flows;
    while (left && tb_clock_mono_us() - last_us < QUIET_US) {
        for (uint32_t w = 0; w < p->workers; w++) {
            struct tb_packet packets[BATCH];
            uint32_t n = tb_io_recv(p->io[w], packets, BATCH);
            for (uint32_t i = 0; i < n; i++)
                segment_in(p, w, &packets[i]);
            if (n)
                last_us = tb_clock_mono_us();
            else
                tb_io_wait(p->io[w], 500);
        }
        left = 0;
        for (uint32_t i = 0; i < p->flows; i++)
            left += !p->flow[i].done;
    }
}

static void report(struct probe *p)
{
    uint32_t established = 0, done = 0;
    uint64_t received = 0, sent = 0, dropped = 0, errors = 0;
    for (uint32_t i = 0; i < p->flows; i++) {
        established += p->flow[i].established;
        done += p->flow[i].done;
        received += p->flow[i].received;
    }
    for (uint32_t i = 0; i < p->workers; i++) {
        if (p->io[i]->ops->update)
            p->io[i]->ops->update(p->io[i]);
        struct tb_io_counters *c = &p->io[i]->counters;
        sent += c->sent;
        dropped += c->dropped;
        errors += c->enobufs + c->eperm + c->emsgsize + c->enetdown + c->other_errors;
    }
    printf("flows %u established %u done %u received %" PRIu64 " packets %" PRIu64 " super %" PRIu64
           " wrong_worker %" PRIu64 " wrong_bytes %" PRIu64 " resets %" PRIu64 " frames %" PRIu64
           " long %" PRIu64 " sent %" PRIu64 " dropped %" PRIu64 " errors %" PRIu64 "\n",
           p->flows, established, done, received, p->packets, p->super_packets, p->wrong_worker,
           p->wrong_bytes, p->resets, p->frames, p->long_frames, sent, dropped, errors);
}

int main(int argc, char **argv)
{
    struct probe p = {.flows = 1, .workers = 1, .clients.count = 1, .target.port = 8000};
    struct tb_err err = {""};
    if (argc < 2)
        return 1;
    p.backend = argv[1];
    for (int i = 2; i < argc; i++) {
        if (option(&p, argv[i]) != 0) {
            fprintf(stderr, "io_probe: what is %s?\n", argv[i]);
            return 1;
        }
    }
    int e = open_io(&p, &err);
    if (e) {
        printf("refused %s: %s\n", strerror(-e), err.text);
        return 3;
    }
    p.flow = calloc(p.flows + 1, sizeof *p.flow);
    p.payload = malloc(p.bytes + 1);
    if (!p.flow || !p.payload)
        return 1;
    for (uint64_t i = 0; i < p.bytes; i++)
        p.payload[i] = pattern(i);
    if (p.hold) {
        printf("open\n");
        fflush(stdout);
        char byte;
        while (read(STDIN_FILENO, &byte, 1) > 0)
            ;
    } else {
        start_flows(&p);
        run(&p);
        report(&p);
    }
    for (uint32_t i = 0; i < p.workers; i++)
        tb_io_close(p.io[i]);
    free(p.flow);
    free(p.payload);
    return 0;
}
