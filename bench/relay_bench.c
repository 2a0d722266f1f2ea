/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the intercept channel's server costs: one lane hands in answers of a target (66 bytes of
 * headers each) in turns of PER_TURN packets, a client reads and decodes them over loopback. Prints
 * CPU of the lane's thread per packet and the delay from capture to decoding.
 *
 * relay_bench [-r SESSIONS] [-n NEW] PACKETS_PER_SECOND PER_TURN [SECONDS [CONNECTIONS [PSK_FILE]]]
 * (0: as fast as it goes). -r: the packets are of so many registered sessions, not of a range; -n:
 * so many more are registered each second, in frames every millisecond, and unregistered a second
 * later.
 */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/histogram.h"
#include "base/log.h"
#include "base/rng.h"
#include "packet/wire.h"
#include "relay_server_rig.h"

enum { CONNECTIONS_MAX = 64, FLOWS = 256, PORTS = 1000, V4_DST = 16, V4_DPORT = 22, SAY_US = 1000 };

struct bench {
    struct rrig rig;
    struct rrig_peer peer[CONNECTIONS_MAX];
    struct tb_tls_context *tls;
    uint32_t connections, per_turn;
    uint32_t sessions, new_per_s;  /* registered for good; that come and go */
    uint64_t came, went, begin_us; /* of those that come and go */
    uint64_t rate, seconds, received;
    struct tb_histogram delay_us;
    atomic_bool done;
    double lane_cpu_s, client_cpu_s, control_cpu_s, lane_s;
    uint64_t sent;
};

static struct bench b;

static double thread_cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void *control(void *arg)
{
    event_base_loop(b.rig.base, EVLOOP_NO_EXIT_ON_EMPTY);
    b.control_cpu_s = thread_cpu();
    return NULL;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    if (atomic_load(&b.done))
        event_base_loopbreak(b.rig.base);
}

/* Client addresses from 11.0.0.0 on. */
static struct tb_endpoint session(uint64_t i)
{
    static const uint8_t first[4] = {11};

    return (struct tb_endpoint){tb_addr_plus(tb_addr_v4(first), (uint32_t) (i / PORTS)),
                                (uint16_t) (2000 + i % PORTS)};
}

/* The next packet: of the flows in turn, or of any registered session. */
static const uint8_t *next_packet(uint8_t packet[FLOWS][64])
{
    static struct tb_rng rng = {1};
    static uint32_t flow;

    if (b.sessions == 0)
        return packet[flow++ % FLOWS];
    struct tb_endpoint s = session(tb_rng_below(&rng, b.sessions));
    memcpy(packet[0] + V4_DST, s.addr.b + 12, 4);
    tb_put_be16(packet[0] + V4_DPORT, s.port);
    return packet[0];
}

static void *lane(void *arg)
{
    struct tb_relay_lane *l = tb_relay_server_lane(b.rig.server, 0);
    static uint8_t packet[FLOWS][64];
    uint32_t len = 0;

    for (uint16_t i = 0; i < FLOWS; i++)
        len = rrig_packet(packet[i], sizeof packet[i], "198.18.0.1", (uint16_t) (2000 + i), 0);
    uint64_t begin_us = tb_clock_mono_us(), end_us = begin_us + b.seconds * 1000000, now_us;
    double cpu = thread_cpu();
    while ((now_us = tb_clock_mono_us()) < end_us) {
        if (b.rate && b.sent * 1000000 > (now_us - begin_us) * b.rate) {
            struct timespec pause = {.tv_nsec = 20000};
            double before = thread_cpu();
            nanosleep(&pause, NULL);
            cpu += thread_cpu() - before; /* waiting is the ring's cost, not the lane's */
            continue;
        }
        uint64_t real_us = tb_clock_real_us();
        tb_relay_lane_begin(l);
        for (uint32_t i = 0; i < b.per_turn; i++)
            tb_relay_lane_packet(l, next_packet(packet), len, len, real_us);
        tb_relay_lane_end(l);
        b.sent += b.per_turn;
    }
    b.lane_cpu_s = thread_cpu() - cpu;
    b.lane_s = (double) (tb_clock_mono_us() - begin_us) / 1e6;
    return NULL;
}

static void take_records(const uint8_t *payload, size_t len)
{
    struct tb_relay_reader reader;
    struct tb_relay_record r;
    uint64_t now_us = tb_clock_real_us();

    if (tb_relay_reader_init(&reader, payload, len) < 0)
        return;
    while (tb_relay_reader_next(&reader, &r) == 1) {
        b.received++;
        tb_histogram_add(&b.delay_us, now_us - r.real_us);
    }
}

static void read_peer(struct rrig_peer *p)
{
    struct tb_relay_head head;
    uint32_t at = 0;
    ssize_t n;

    do {
        size_t room = sizeof p->input - p->len;
        n = p->tls ? tb_tls_read(p->tls, p->input + p->len, room)
                   : recv(p->fd, p->input + p->len, room, MSG_DONTWAIT);
        p->len += n > 0 ? (uint32_t) n : 0;
        for (at = 0; tb_relay_head_get(p->input + at, p->len - at, &head) == 0 &&
                     p->len - at >= TB_RELAY_HEAD + head.len;
             at += TB_RELAY_HEAD + head.len)
            if (head.type == TB_RELAY_RECORDS)
                take_records(p->input + at + TB_RELAY_HEAD, head.len);
        memmove(p->input, p->input + at, p->len - at);
        p->len -= at;
    } while (n > 0);
}

/* Registers sessions `from` to `to`, or unregisters them, on the first connection. */
static void say_sessions(uint8_t type, uint64_t from, uint64_t to)
{
    static struct tb_endpoint list[TB_RELAY_SESSIONS_MAX];
    static uint8_t frame[TB_RELAY_HEAD + TB_RELAY_CONTROL_MAX];

    while (from < to) {
        uint32_t count = 0;
        while (count < TB_RELAY_SESSIONS_MAX && from < to)
            list[count++] = session(from++);
        size_t len = tb_relay_sessions_put(frame, sizeof frame, type, list, count);
        if (send(b.peer[0].fd, frame, len, MSG_NOSIGNAL) != (ssize_t) len)
            abort();
    }
}

static void change_sessions(uint64_t now_us)
{
    uint64_t due = (now_us - b.begin_us) * b.new_per_s / 1000000;
    uint64_t over = due > b.new_per_s ? due - b.new_per_s : 0;

    say_sessions(TB_RELAY_UNREGISTER, b.sessions + b.went, b.sessions + over);
    say_sessions(TB_RELAY_REGISTER, b.sessions + b.came, b.sessions + due);
    b.went = over;
    b.came = due;
}

static void *client(void *arg)
{
    struct pollfd fds[CONNECTIONS_MAX];

    for (uint32_t i = 0; i < b.connections; i++)
        fds[i] = (struct pollfd){.fd = b.peer[i].fd, .events = POLLIN};
    uint64_t said_us = b.begin_us = tb_clock_mono_us();
    while (!atomic_load(&b.done)) {
        (void) poll(fds, b.connections, b.new_per_s ? 1 : 100);
        uint64_t now_us = tb_clock_mono_us();
        if (b.new_per_s && now_us - said_us >= SAY_US) {
            change_sessions(now_us);
            said_us = now_us;
        }
        for (uint32_t i = 0; i < b.connections; i++)
            if (fds[i].revents)
                read_peer(&b.peer[i]);
    }
    b.client_cpu_s = thread_cpu();
    return NULL;
}

static void join_all(void)
{
    static struct tb_relay_hello hello;

    rrig_hello(&hello, 1);
    if (b.sessions)
        hello.flags = TB_RELAY_WANT_REGISTER;
    else
        rrig_add_range(&hello, "198.18.0.0", 256);
    hello.connections = (uint16_t) b.connections;
    for (uint16_t i = 0; i < b.connections; i++) {
        struct rrig_peer *p = &b.peer[i];
        hello.connection = i;
        rrig_connect(&b.rig, p);
        if (b.tls && tb_tls_new(b.tls, p->fd, &p->tls) < 0)
            abort();
        while (p->tls && tb_tls_handshake(p->tls) != 0)
            rrig_turn(&b.rig);
        rrig_send_hello(&b.rig, p, &hello);
        if (rrig_frame(&b.rig, p) != TB_RELAY_WELCOME)
            abort();
        p->len = p->taken = 0;
    }
    for (uint64_t at = 0; at < b.sessions; at += TB_RELAY_SESSIONS_MAX) {
        uint64_t end = at + TB_RELAY_SESSIONS_MAX;
        say_sessions(TB_RELAY_REGISTER, at, end < b.sessions ? end : b.sessions);
        rrig_turn(&b.rig);
    }
}

static void print_sessions(const struct tb_relay_server_figures *f)
{
    if (b.sessions)
        printf("%u registered sessions, %u more each second: control %.1f us each; registered at "
               "the end %llu\n",
               b.sessions, b.new_per_s, b.came ? b.control_cpu_s * 1e6 / (double) b.came : 0,
               (unsigned long long) f->sessions);
}

int main(int argc, char **argv)
{
    pthread_t id[3];
    struct tb_relay_server_figures f;
    struct tb_err err;
    int option;

    while ((option = getopt(argc, argv, "r:n:")) != -1)
        if (option == 'r')
            b.sessions = (uint32_t) atoi(optarg);
        else if (option == 'n')
            b.new_per_s = (uint32_t) atoi(optarg);
    argc -= optind - 1;
    argv += optind - 1;
    if (argc < 3) {
        fprintf(stderr, "usage: relay_bench [-r SESSIONS] [-n NEW] PACKETS_PER_SECOND PER_TURN "
                        "[SECONDS [CONNECTIONS [PSK_FILE]]]\n");
        return 1;
    }
    tb_log_set_level(TB_LOG_ERROR);
    rrig_init(&b.rig);
    b.rate = strtoull(argv[1], NULL, 10);
    b.per_turn = (uint32_t) atoi(argv[2]);
    b.seconds = argc > 3 ? strtoull(argv[3], NULL, 10) : 2;
    b.connections = argc > 4 ? (uint32_t) atoi(argv[4]) % (CONNECTIONS_MAX + 1) : 1;
    b.rig.options.psk_file = argc > 5 ? argv[5] : NULL;
    b.rig.options.silence_us = UINT64_MAX;
    if (argc > 5 && tb_tls_context_new(TB_TLS_CLIENT, argv[5], &b.tls, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    rrig_open(&b.rig, 1);
    join_all();
    struct event *stop = event_new(b.rig.base, -1, EV_PERSIST, on_stop, NULL);
    event_add(stop, &(struct timeval){.tv_usec = 50000});

    pthread_create(&id[0], NULL, control, NULL);
    pthread_create(&id[1], NULL, client, NULL);
    pthread_create(&id[2], NULL, lane, NULL);
    pthread_join(id[2], NULL);
    usleep(200000); /* what waits arrives */
    atomic_store(&b.done, true);
    pthread_join(id[0], NULL);
    pthread_join(id[1], NULL);

    tb_relay_server_figures(b.rig.server, &f);
    printf("%.0f packets/s, %u per turn, %u connections%s: lane %.0f ns/packet, client %.0f ns; "
           "records per frame %.1f, dropped %llu, lost %lld; delay us p50 %llu p99 %llu\n",
           (double) b.sent / b.lane_s, b.per_turn, b.connections, b.tls ? ", TLS" : "",
           b.lane_cpu_s * 1e9 / (double) b.sent, b.client_cpu_s * 1e9 / (double) b.sent,
           (double) f.records / (double) f.frames, (unsigned long long) f.dropped,
           (long long) (f.records - b.received),
           (unsigned long long) tb_histogram_quantile(&b.delay_us, 0.5),
           (unsigned long long) tb_histogram_quantile(&b.delay_us, 0.99));
    print_sessions(&f);
    event_free(stop);
    rrig_close(&b.rig);
    return f.records != b.received;
}
