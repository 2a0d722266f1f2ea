/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workload E: the engine alone, without kernel or network, each worker against a stateless
 * responder in memory that writes its answers straight into the receive buffers. Time is virtual: a
 * turn every 128 µs, and think times chosen so that about 200 requests are due in each, whatever
 * the number of users; so every request goes through the timing wheel, and idle users stay idle.
 * Users play 251 captured sessions that think from half as long to half as long again, so that
 * what is due in a turn lies anywhere in memory, as in a real run. With --sessions 1 they come
 * round in the order in which they lie there, and the processor foresees everything.
 *
 *     bench/engine -u 1000000 --requests 5000000 --workers 2
 *
 * Prints CPU time per packet (in + out), of each worker's own thread. The responder's own share,
 * measured by running it alone, is subtracted. Memory per idle user is the growth of the RSS from
 * before the plan is made until all users are connected and have been answered, by the number of
 * users. With several workers, also their packets per second of real time, all at once.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "engine/worker.h"
#include "packet/wire.h"

enum {
    TURN_US = 128,
    DUE_PER_TURN = 200,
    REQUEST_BYTES = 100,
    SESSIONS_MAX = 1009,
    WORKERS_MAX = 16,
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

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
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
    uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t n = 0; n < requests; n += TB_WORKER_BATCH) {
        tb_io_send(&r.io, frames, TB_WORKER_BATCH);
        tb_io_recv(&r.io, packets, TB_WORKER_BATCH);
    }
    uint64_t ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
    tb_io_close(&r.io);
    return ns;
}

/* --- the engine ------------------------------------------------------------------------------- */

/* Sessions of one request that follows itself for ever: keep-alive without end. */
struct endless {
    struct tb_chunk *chunk;
    struct tb_script scripts[SESSIONS_MAX], *all[SESSIONS_MAX];
    struct tb_request requests[SESSIONS_MAX];
};

struct options {
    uint32_t users, workers, sessions, response_bytes;
    uint64_t requests;
};

static int make_scripts(struct endless *e, const struct options *o)
{
    uint64_t think_us = (uint64_t) o->users * TURN_US / DUE_PER_TURN / o->workers;

    e->chunk = calloc(1, sizeof *e->chunk + REQUEST_BYTES);
    if (!e->chunk)
        return -ENOMEM;
    e->chunk->len = e->chunk->room = REQUEST_BYTES;
    for (uint32_t i = 0; i < o->sessions; i++) {
        struct tb_script *s = e->all[i] = &e->scripts[i];
        struct tb_request *r = &e->requests[i];
        *r = (struct tb_request){
            .chunk = e->chunk,
            .len = REQUEST_BYTES,
            .think_us = think_us / 2 + think_us * (2 * i + 1) / (2 * o->sessions),
            .response_bytes = o->response_bytes,
            .waits_for = UINT32_MAX, /* all that are awaited */
            .flags = TB_REQ_ANSWERED | TB_REQ_BYTES,
        };
        atomic_init(&r->next, r);
        s->syn =
            (struct tb_syn){.mss = 1460, .wscale = 7, .sack_permitted = true, .timestamps = true};
        s->requests = s->responses = 1;
        atomic_init(&s->first, r);
        atomic_init(&s->complete, true);
    }
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

/* A worker, its responder, the thread that runs both, and what was measured of it. */
struct lane {
    struct tb_worker *worker;
    struct responder responder;
    pthread_t thread;
    pthread_barrier_t *together;
    uint32_t response_bytes;
    uint64_t requests; /* to be answered within the measurement; then: that were */
    uint64_t rss, packets, cpu_ns, wall_ns, own_ns;
};

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

static void *run_lane(void *arg)
{
    struct lane *l = arg;
    struct tb_worker *w = l->worker;
    uint64_t now_us = w->begin_us;
    struct tb_tcp_path path;

    /* Everybody has connected and been answered once, on the average twice. */
    turn_until_answered(w, &now_us, 2 * (uint64_t) w->user_count);
    l->rss = rss_bytes();
    pthread_barrier_wait(l->together);
    uint64_t answered = w->stats.requests_answered, packets = packets_of(w);
    uint64_t cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID), wall_ns = now_ns(CLOCK_MONOTONIC);
    turn_until_answered(w, &now_us, answered + l->requests);
    l->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    l->wall_ns = now_ns(CLOCK_MONOTONIC) - wall_ns;
    l->packets = packets_of(w) - packets;
    l->requests = w->stats.requests_answered - answered;
    pthread_barrier_wait(l->together);
    tb_plan_path(w->config->plan, 0, 0, &path);
    l->own_ns = responder_alone_ns(l->response_bytes, l->requests, &path);
    return NULL;
}

static void print(const struct lane *lanes, const struct tb_plan *plan, uint64_t rss_before)
{
    uint64_t requests = 0, packets = 0, cpu_ns = 0, own_ns = 0, rss = 0;
    uint64_t established = 0, retransmitted = 0;
    double rate = 0;

    for (uint32_t i = 0; i < plan->workers; i++) {
        const struct lane *l = &lanes[i];
        requests += l->requests;
        packets += l->packets;
        cpu_ns += l->cpu_ns;
        own_ns += l->own_ns;
        rate += (double) l->packets * 1e3 / (double) l->wall_ns;
        rss = l->rss > rss ? l->rss : rss;
        established += l->worker->stats.established;
        retransmitted += l->worker->tcp.retransmitted;
    }
    printf("%" PRIu32 " users, %" PRIu64 " requests of %d bytes, responses of %" PRIu32
           " bytes, %" PRIu64 " packets in + out\n",
           plan->users, requests, REQUEST_BYTES, lanes->response_bytes, packets);
    printf("%.1f ns per packet (%.1f measured, less %.1f of the responder alone)\n",
           (double) (cpu_ns > own_ns ? cpu_ns - own_ns : 0) / (double) packets,
           (double) cpu_ns / (double) packets, (double) own_ns / (double) packets);
    printf("%.1f bytes per idle user\n", (double) (rss - rss_before) / plan->users);
    if (plan->workers > 1)
        printf("%.2f million packets/s, %" PRIu32 " workers at once\n", rate, plan->workers);
    if (established != plan->users || retransmitted > 0)
        printf("(%" PRIu64 " connected, %" PRIu64 " retransmissions)\n", established,
               retransmitted);
}

/* Make the workers and run them, each in a thread. */
static int run_lanes(struct lane *lanes, const struct tb_engine_config *config,
                     const struct options *o, struct tb_err *err)
{
    pthread_barrier_t together;
    int rc = 0;

    pthread_barrier_init(&together, NULL, o->workers);
    for (uint32_t i = 0; i < o->workers && rc == 0; i++) {
        struct lane *l = &lanes[i];
        l->together = &together;
        l->response_bytes = o->response_bytes;
        l->requests = o->requests / o->workers;
        l->worker = calloc(1, sizeof *l->worker);
        if (!l->worker)
            return tb_err_set(err, -ENOMEM, "out of memory");
        rc = tb_worker_init(l->worker, config, &l->responder.io, i, 1000000, err);
    }
    for (uint32_t i = 0; i < o->workers && rc == 0; i++)
        rc = -pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < o->workers; i++)
        pthread_join(lanes[i].thread, NULL);
    pthread_barrier_destroy(&together);
    return 0;
}

static int run(const struct options *o, struct tb_err *err)
{
    static const uint8_t first[4] = {198, 19, 0, 1}, server[4] = {198, 18, 0, 2};
    static const struct tb_module generic = {.name = "generic"};
    static struct lane lanes[WORKERS_MAX];
    static struct endless e;
    struct tb_plan_range clients = {tb_addr_v4(first), 65000};
    struct tb_endpoint target = {tb_addr_v4(server), 80};
    struct tb_plan plan = {0};
    struct tb_pacing pacing = {0};

    bool have_memory = make_scripts(&e, o) == 0;
    for (uint32_t i = 0; i < o->workers && have_memory; i++)
        have_memory = responder_init(&lanes[i].responder, o->response_bytes) == 0;
    if (!have_memory)
        return tb_err_set(err, -ENOMEM, "out of memory");
    uint64_t rss_before = rss_bytes();
    struct tb_plan_input in = {.sessions = e.all,
                               .session_count = o->sessions,
                               .targets = &target,
                               .target_count = 1,
                               .clients = &clients,
                               .client_count = 1,
                               .users = o->users,
                               .workers = o->workers};
    int rc = tb_plan_init(&plan, &in, err);
    tb_pacing_init(&pacing,
                   &(struct tb_pacing_input){.rate = DUE_PER_TURN * o->workers * 1e6 / TURN_US,
                                             .accelerate = 1});
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
    if (rc == 0 && (rc = run_lanes(lanes, &config, o, err)) == 0)
        print(lanes, &plan, rss_before);
    for (uint32_t i = 0; i < o->workers && lanes[i].worker; i++) {
        tb_worker_fini(lanes[i].worker);
        free(lanes[i].worker);
        free(lanes[i].responder.slots);
    }
    tb_plan_fini(&plan);
    tb_pacing_fini(&pacing);
    free(e.chunk);
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
    static const struct option longs[] = {
        {"users", required_argument, NULL, 'u'},    {"requests", required_argument, NULL, 'r'},
        {"response", required_argument, NULL, 'b'}, {"sessions", required_argument, NULL, 's'},
        {"workers", required_argument, NULL, 'w'},  {NULL, 0, NULL, 0}};
    struct options o = {
        .users = 100000, .workers = 1, .sessions = 251, .response_bytes = 200, .requests = 2000000};
    struct tb_err err = {""};
    int c;

    while ((c = getopt_long(argc, argv, "u:", longs, NULL)) != -1) {
        if (c == 'u')
            o.users = (uint32_t) number(optarg, 1, 20000000);
        else if (c == 'r')
            o.requests = number(optarg, 1, UINT32_MAX);
        else if (c == 'b')
            o.response_bytes = (uint32_t) number(optarg, 1, 1400);
        else if (c == 's')
            o.sessions = (uint32_t) number(optarg, 1, SESSIONS_MAX);
        else if (c == 'w')
            o.workers = (uint32_t) number(optarg, 1, WORKERS_MAX);
        else {
            fprintf(stderr, "usage: engine [-u USERS] [--requests N] [--response BYTES] "
                            "[--sessions N] [--workers N]\n");
            return 1;
        }
    }
    if (run(&o, &err) < 0) {
        fprintf(stderr, "engine: %s\n", err.text);
        return 1;
    }
    return 0;
}
