/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workload E: the engine alone, one worker without kernel or network, against a stateless responder
 * in memory that writes its answers straight into the receive buffers. Time is virtual: a turn
 * every 128 µs, and think times chosen so that about 200 requests are due in each, whatever the
 * number of users; so every request goes through the timing wheel, and idle users stay idle.
 *
 *     bench/engine -u 1000000 --requests 5000000
 *
 * Prints CPU time per packet (in + out). The responder's own share, measured by running it alone,
 * is subtracted. Memory per idle user is the growth of the RSS from before the plan is made until
 * all users are connected and have been answered, by the number of users.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "engine/worker.h"
#include "packet/wire.h"

enum {
    TURN_US = 128,
    DUE_PER_TURN = 200,
    REQUEST_BYTES = 100,
    SLOTS = 8192, /* answers not read yet; a power of two */
    HEAD_BYTES = 20 + 20 + 12,
    SYN_HEAD_BYTES = 20 + 20 + 20
};

/* --- the responder ---------------------------------------------------------------------------- */

struct responder {
    struct tb_io io;
    uint8_t *slots; /* each SLOT_BYTES, the payload of a response written once and for all */
    uint32_t lens[SLOTS];
    uint32_t slot_bytes, response_bytes;
    uint32_t written, read;
};

static uint32_t responder_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct responder *r = (struct responder *) io;
    uint32_t n = r->written - r->read;

    if (n > max)
        n = max;
    for (uint32_t i = 0; i < n; i++, r->read++) {
        uint32_t slot = r->read % SLOTS;
        packets[i] = (struct tb_packet){.data = r->slots + (size_t) slot * r->slot_bytes,
                                        .len = r->lens[slot]};
    }
    return n;
}

/* Everything the answer needs is in the frame: the client's ACK is where the server stands. */
static void answer(struct responder *r, const struct tb_frame *f)
{
    const uint8_t *ip = f->head, *tcp = f->head + 20;
    uint8_t flags = tcp[13];
    bool syn = flags & TB_TCP_SYN, fin = flags & TB_TCP_FIN;

    if ((flags & TB_TCP_RST) || !(syn || fin || f->payload_len))
        return;
    if (r->written - r->read == SLOTS) {
        fprintf(stderr, "engine: more than %d answers wait\n", SLOTS);
        exit(1);
    }
    uint32_t slot = r->written++ % SLOTS, payload = f->payload_len ? r->response_bytes : 0;
    uint8_t *out = r->slots + (size_t) slot * r->slot_bytes;
    uint32_t head = syn ? SYN_HEAD_BYTES : HEAD_BYTES;
    uint8_t *t = out + 20;

    r->lens[slot] = head + payload;
    tb_put_be16(out + 2, head + payload);
    memcpy(out + 12, ip + 16, 4);
    memcpy(out + 16, ip + 12, 4);
    memcpy(t, tcp + 2, 2);
    memcpy(t + 2, tcp, 2);
    memcpy(t + 4, tcp + 8, 4);
    tb_put_be32(t + 8, tb_get_be32(tcp + 4) + f->payload_len + syn + fin);
    t[13] = (uint8_t) (TB_TCP_ACK | (syn ? TB_TCP_SYN : TB_TCP_PSH) | (fin ? TB_TCP_FIN : 0));
    t[12] = (uint8_t) ((head - 20) / 4 << 4);
    if (syn) /* MSS 1460, window scale 7 in front of the timestamps */
        memcpy(t + 20, (const uint8_t[]){2, 4, 5, 0xb4, 1, 3, 3, 7}, 8);
    uint8_t *ts = t + head - 20 - 12;
    memcpy(ts, (const uint8_t[]){1, 1, 8, 10, 0, 0, 0, 1}, 8);
    memcpy(ts + 8, ts + 4, 4);
}

static void responder_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        answer((struct responder *) io, &frames[i]);
}

static void responder_wait(struct tb_io *io, uint64_t timeout_us)
{
    (void) io;
    (void) timeout_us;
}

static void responder_close(struct tb_io *io)
{
    free(((struct responder *) io)->slots);
}

static int responder_init(struct responder *r, uint32_t response_bytes)
{
    static const struct tb_io_ops ops = {.name = "responder",
                                         .recv = responder_recv,
                                         .send = responder_send,
                                         .wait = responder_wait,
                                         .close = responder_close};

    memset(r, 0, sizeof *r);
    r->io.ops = &ops;
    r->io.caps.checksum = true;
    r->response_bytes = response_bytes;
    r->slot_bytes = (SYN_HEAD_BYTES + response_bytes + 63) & ~63u;
    r->slots = calloc(SLOTS, r->slot_bytes);
    if (!r->slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint8_t *ip = r->slots + (size_t) i * r->slot_bytes;
        ip[0] = 0x45;
        ip[8] = 64;
        ip[9] = TB_PROTO_TCP;
        tb_put_be16(ip + 20 + 14, 65535); /* window */
    }
    return 0;
}

/* CPU nanoseconds of the responder for `requests` requests: each sent and its answer received. */
static uint64_t responder_alone_ns(uint32_t response_bytes, uint64_t requests,
                                   const struct tb_tcp_path *path)
{
    static const uint8_t options[12], payload[REQUEST_BYTES];
    static struct tb_frame frames[TB_WORKER_BATCH];
    static struct tb_packet packets[TB_WORKER_BATCH];
    struct responder r;
    struct tb_frame_spec spec = {.src = &path->src,
                                 .dst = &path->dst,
                                 .sport = path->sport,
                                 .dport = path->dport,
                                 .flags = TB_TCP_ACK | TB_TCP_PSH,
                                 .options = options,
                                 .options_len = sizeof options};

    if (responder_init(&r, response_bytes) < 0)
        return 0;
    for (uint32_t i = 0; i < TB_WORKER_BATCH; i++)
        tb_frame_build(&frames[i], &spec, payload, sizeof payload);
    uint64_t begin = tb_clock_cpu_us();
    for (uint64_t n = 0; n < requests; n += TB_WORKER_BATCH) {
        tb_io_send(&r.io, frames, TB_WORKER_BATCH);
        tb_io_recv(&r.io, packets, TB_WORKER_BATCH);
    }
    uint64_t ns = (tb_clock_cpu_us() - begin) * 1000;
    tb_io_close(&r.io);
    return ns;
}

/* --- the engine ------------------------------------------------------------------------------- */

/* A session of one request that follows itself for ever: keep-alive without end. */
struct endless {
    struct tb_script script;
    struct tb_request request;
    struct tb_chunk *chunk;
};

static int make_script(struct endless *e, uint32_t users, uint32_t response_bytes)
{
    e->chunk = calloc(1, sizeof *e->chunk + REQUEST_BYTES);
    if (!e->chunk)
        return -ENOMEM;
    e->chunk->len = e->chunk->room = REQUEST_BYTES;
    e->request = (struct tb_request){
        .chunk = e->chunk,
        .len = REQUEST_BYTES,
        .think_us = (uint64_t) users * TURN_US / DUE_PER_TURN,
        .response_bytes = response_bytes,
        .waits_for = UINT32_MAX, /* all that are awaited */
        .flags = TB_REQ_ANSWERED | TB_REQ_BYTES,
    };
    atomic_init(&e->request.next, &e->request);
    e->script.syn =
        (struct tb_syn){.mss = 1460, .wscale = 7, .sack_permitted = true, .timestamps = true};
    e->script.requests = 1;
    e->script.responses = 1;
    atomic_init(&e->script.first, &e->request);
    atomic_init(&e->script.complete, true);
    return 0;
}

static uint64_t rss_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f) {
        if (fscanf(f, "%lu %lu", &size, &resident) != 2)
            resident = 0;
        fclose(f);
    }
    return (uint64_t) resident * (uint64_t) sysconf(_SC_PAGESIZE);
}

static void turn_until_answered(struct tb_worker *w, uint64_t *now_us, uint64_t requests)
{
    while (w->stats.requests_answered < requests) {
        *now_us += TURN_US;
        while (tb_worker_tick(w, *now_us, *now_us))
            ;
    }
}

static uint64_t packets_of(const struct tb_worker *w)
{
    return w->tcp.packets_sent + w->stats.packets_received;
}

static void measure(struct tb_worker *w, uint32_t users, uint64_t requests, uint64_t rss_before,
                    uint32_t response_bytes)
{
    uint64_t now_us = w->begin_us;
    struct tb_tcp_path path;

    /* Everybody has connected and been answered once, on the average twice. */
    turn_until_answered(w, &now_us, 2 * (uint64_t) users);
    uint64_t rss = rss_bytes(), answered = w->stats.requests_answered, packets = packets_of(w);
    uint64_t begin_us = tb_clock_cpu_us();
    turn_until_answered(w, &now_us, answered + requests);
    uint64_t cpu_ns = (tb_clock_cpu_us() - begin_us) * 1000;
    packets = packets_of(w) - packets;
    requests = w->stats.requests_answered - answered;
    tb_plan_path(w->config->plan, 0, 0, &path);
    uint64_t own_ns = responder_alone_ns(response_bytes, requests, &path);

    printf("%" PRIu32 " users, %" PRIu64 " requests of %d bytes, responses of %" PRIu32
           " bytes, %" PRIu64 " packets in + out\n",
           users, requests, REQUEST_BYTES, response_bytes, packets);
    printf("%.1f ns per packet (%.1f measured, less %.1f of the responder alone)\n",
           (double) (cpu_ns > own_ns ? cpu_ns - own_ns : 0) / (double) packets,
           (double) cpu_ns / (double) packets, (double) own_ns / (double) packets);
    printf("%.1f bytes per idle user\n", (double) (rss - rss_before) / users);
    if (w->stats.established != users || w->tcp.retransmitted > 0)
        printf("(%" PRIu64 " connected, %" PRIu64 " retransmissions)\n", w->stats.established,
               w->tcp.retransmitted);
}

static int run(uint32_t users, uint64_t requests, uint32_t response_bytes, struct tb_err *err)
{
    static const uint8_t first[4] = {198, 19, 0, 1}, server[4] = {198, 18, 0, 2};
    static const struct tb_module generic = {.name = "generic"};
    struct tb_plan_range clients = {tb_addr_v4(first), 65000};
    struct tb_endpoint target = {tb_addr_v4(server), 80};
    struct endless e;
    struct tb_script *scripts[] = {&e.script};
    struct tb_plan plan = {0};
    struct tb_pacing pacing = {0};
    struct responder r = {0};
    struct tb_worker *w = calloc(1, sizeof *w);
    int rc = -ENOMEM;

    memset(&e, 0, sizeof e);
    if (!w || responder_init(&r, response_bytes) < 0 ||
        make_script(&e, users, response_bytes) < 0) {
        tb_err_set(err, rc, "out of memory");
        goto out;
    }
    uint64_t rss_before = rss_bytes();
    struct tb_plan_input in = {.sessions = scripts,
                               .session_count = 1,
                               .targets = &target,
                               .target_count = 1,
                               .clients = &clients,
                               .client_count = 1,
                               .users = users};
    if ((rc = tb_plan_init(&plan, &in, err)) < 0)
        goto out;
    tb_pacing_init(
        &pacing, &(struct tb_pacing_input){.rate = DUE_PER_TURN * 1e6 / TURN_US, .accelerate = 1});
    struct tb_engine_config config = {
        .plan = &plan,
        .pacing = &pacing,
        .modules = {{&generic}},
        .module_count = 1,
        .plays = 1,
        .timeout_us = 120000000,
        .quiet_us = 200000,
        .close_wait_us = 1000000,
        .mtu = 1500,
        .mss = 1460,
    };
    if ((rc = tb_worker_init(w, &config, &r.io, 0, 1000000, err)) == 0)
        measure(w, users, requests, rss_before, response_bytes);
    tb_worker_fini(w);
out:
    tb_plan_fini(&plan);
    tb_pacing_fini(&pacing);
    free(r.slots);
    free(e.chunk);
    free(w);
    return rc;
}

/* --- options ---------------------------------------------------------------------------------- */

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
    char *end;

    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || n < least || n > most) {
        fprintf(stderr, "engine: %s is no number from %" PRIu64 " to %" PRIu64 "\n", text, least,
                most);
        exit(1);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"users", required_argument, NULL, 'u'},
                                            {"requests", required_argument, NULL, 'r'},
                                            {"response", required_argument, NULL, 'b'},
                                            {NULL, 0, NULL, 0}};
    uint64_t users = 100000, requests = 2000000, response = 200;
    struct tb_err err = {""};
    int c;

    while ((c = getopt_long(argc, argv, "u:", options, NULL)) != -1) {
        if (c == 'u')
            users = number(optarg, 1, 20000000);
        else if (c == 'r')
            requests = number(optarg, 1, UINT32_MAX);
        else if (c == 'b')
            response = number(optarg, 1, 1400);
        else {
            fprintf(stderr, "usage: engine [-u USERS] [--requests N] [--response BYTES]\n");
            return 1;
        }
    }
    if (run((uint32_t) users, requests, (uint32_t) response, &err) < 0) {
        fprintf(stderr, "engine: %s\n", err.text);
        return 1;
    }
    return 0;
}
