/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pace: live HTTP clients at a fixed rate, for bench/tcpcopy: over connections that stay (a request
 * is sent when it is due, on the next connection that awaits nothing), or each over one of its own.
 * One thread, ordinary sockets. With a pause, it looks at what is due and what has come so rarely,
 * which costs less, but is in the latencies; 0: responses are read as they come. Prints its
 * counters and the latencies as a line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 512,
    IN_BYTES = 65536,
    CONNECTIONS_MAX = 20000,
    TURN_US = 200,           /* between looks at what is due */
    LATENCY_MAX_US = 1 << 20 /* all above counts as that */
};

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

struct conn {
    int fd; /* -1: not open */
    bool connecting, waiting;
    uint64_t sent_us;
};

static struct {
    struct sockaddr_in server;
    uint32_t first_source; /* host order; sources follow one another */
    unsigned sources, next_source, connections, next;
    double rate;
    uint64_t length_us;
    long pause_us;
    bool is_short;
    int epoll;
    struct conn conns[CONNECTIONS_MAX];
    uint64_t sent, answered, errors, late; /* late: not a connection was free when it was due */
    uint32_t latency[LATENCY_MAX_US + 1];  /* of answers, by microseconds since sending */
} p;

static const char keep_request[] = "GET /index.html HTTP/1.1\r\nHost: online\r\n"
                                   "User-Agent: pace\r\nAccept: */*\r\n\r\n";
static const char short_request[] = "GET /index.html HTTP/1.1\r\nHost: online\r\n"
                                    "User-Agent: pace\r\nConnection: close\r\n\r\n";

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "pace: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void watch(struct conn *c, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};

    if (epoll_ctl(p.epoll, op, c->fd, &ev) < 0)
        die("epoll_ctl");
}

static void conn_close(struct conn *c)
{
    close(c->fd);
    c->fd = -1;
    c->connecting = c->waiting = false;
}

static void conn_failed(struct conn *c)
{
    p.errors++;
    conn_close(c);
}

static void conn_open(struct conn *c)
{
    struct sockaddr_in source = {.sin_family = AF_INET};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    source.sin_addr.s_addr = htonl(p.first_source + p.next_source++ % p.sources);
    setsockopt(c->fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *) &source, sizeof source) < 0)
        die("bind");
    c->connecting = true;
    if (connect(c->fd, (struct sockaddr *) &p.server, sizeof p.server) < 0 &&
        errno != EINPROGRESS) {
        conn_failed(c);
        return;
    }
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void conn_send(struct conn *c)
{
    const char *request = p.is_short ? short_request : keep_request;
    size_t len = p.is_short ? sizeof short_request - 1 : sizeof keep_request - 1;

    c->sent_us = now_us();
    if (send(c->fd, request, len, MSG_NOSIGNAL) != (ssize_t) len) {
        conn_failed(c);
        return;
    }
    c->waiting = true;
    p.sent++;
}

static void conn_writable(struct conn *c)
{
    int error = 0;
    socklen_t len = sizeof error;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        conn_failed(c);
        return;
    }
    c->connecting = false;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    if (p.is_short)
        conn_send(c);
}

/* The bench's server answers in one small segment: what comes is a whole response. */
static void conn_readable(struct conn *c)
{
    static char in[IN_BYTES];
    ssize_t n = recv(c->fd, in, sizeof in, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && c->waiting) {
        uint64_t took = now_us() - c->sent_us;
        p.latency[took < LATENCY_MAX_US ? took : LATENCY_MAX_US]++;
        p.answered++;
        c->waiting = false;
        return;
    }
    if (n == 0 && p.is_short && !c->waiting)
        conn_close(c);
    else
        conn_failed(c);
}

/* A connection for the next request; NULL: all are busy. */
static struct conn *conn_free(void)
{
    for (unsigned i = 0; i < p.connections; i++) {
        struct conn *c = &p.conns[p.next];
        p.next = (p.next + 1) % p.connections;
        if (p.is_short ? c->fd < 0 : c->fd >= 0 && !c->connecting && !c->waiting)
            return c;
    }
    return NULL;
}

static void turn(long wait_us)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = {0, wait_us * 1000};
    int n = epoll_pwait2(p.epoll, events, EVENTS, &wait, NULL);

    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->fd < 0)
            continue;
        if (c->connecting)
            conn_writable(c);
        else
            conn_readable(c);
    }
}

static void connect_all(void)
{
    for (unsigned i = 0; i < p.connections; i++) {
        conn_open(&p.conns[i]);
        turn(0);
    }
    for (unsigned i = 0; i < p.connections; i++)
        while (p.conns[i].connecting)
            turn(TURN_US);
}

static void run(void)
{
    uint64_t begin = now_us(), requests = 0;

    for (uint64_t now = begin; now < begin + p.length_us; now = now_us()) {
        uint64_t due = (uint64_t) ((double) (now - begin) * p.rate / 1e6);
        for (; requests < due; requests++) {
            struct conn *c = conn_free();
            if (!c) {
                p.late += due - requests;
                requests = due;
                break;
            }
            if (p.is_short)
                conn_open(c);
            else
                conn_send(c);
        }
        if (p.pause_us > 0)
            nanosleep(&(struct timespec){0, p.pause_us * 1000}, NULL);
        turn(p.pause_us > 0 ? 0 : TURN_US);
    }
    for (uint64_t end = now_us() + 2000000; p.answered + p.errors < p.sent && now_us() < end;)
        turn(TURN_US);
}

static unsigned percentile(double share)
{
    uint64_t before = 0;

    for (unsigned us = 0; us < LATENCY_MAX_US; us++) {
        before += p.latency[us];
        if ((double) before >= share * (double) p.answered)
            return us;
    }
    return LATENCY_MAX_US;
}

int main(int argc, char **argv)
{
    if (argc != 10) {
        fprintf(stderr, "usage: pace keep|short ADDRESS PORT FIRST_SOURCE SOURCES CONNECTIONS "
                        "REQUESTS_PER_S SECONDS PAUSE_US\n");
        return 1;
    }
    p.is_short = strcmp(argv[1], "short") == 0;
    p.server.sin_family = AF_INET;
    p.server.sin_port = htons((uint16_t) atoi(argv[3]));
    struct in_addr source;
    if (inet_pton(AF_INET, argv[2], &p.server.sin_addr) != 1 ||
        inet_pton(AF_INET, argv[4], &source) != 1) {
        fprintf(stderr, "pace: not an address\n");
        return 1;
    }
    p.first_source = ntohl(source.s_addr);
    p.sources = (unsigned) atoi(argv[5]);
    p.connections = (unsigned) atoi(argv[6]);
    p.rate = atof(argv[7]);
    p.length_us = (uint64_t) (atof(argv[8]) * 1e6);
    p.pause_us = atol(argv[9]);
    if (!p.sources || !p.connections || p.connections > CONNECTIONS_MAX) {
        fprintf(stderr, "pace: 1 to %d connections, and a source\n", CONNECTIONS_MAX);
        return 1;
    }
    p.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < p.connections; i++)
        p.conns[i].fd = -1;
    if (!p.is_short)
        connect_all();
    run();
    printf("{\"sent\": %llu, \"answered\": %llu, \"errors\": %llu, \"late\": %llu, "
           "\"latency_us\": {\"p50\": %u, \"p90\": %u, \"p99\": %u}}\n",
           (unsigned long long) p.sent, (unsigned long long) p.answered,
           (unsigned long long) p.errors, (unsigned long long) p.late, percentile(0.5),
           percentile(0.9), percentile(0.99));
    return p.errors > 0;
}
