/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mysqlsink: a MySQL server that does as little as possible, the target of bench/run's workload M.
 * Every log-in succeeds, every PREPARE gets an id, every statement yields one row. Its counters, a
 * line of JSON for each SIGUSR1 and at the end, are what is measured. One process, one epoll loop;
 * needs nothing of the engine.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_BYTES = 1 << 20, HEADER = 4, EVENTS = 512, CONNS = 20000, OUT_BYTES = 1 << 16 };
enum { QUIT = 1, PREPARE = 0x16, SEND_LONG_DATA = 0x18, CLOSE = 0x19 };

/* A connection, indexed by its descriptor. */
struct conn {
    uint32_t skip; /* of a long packet whose rest is of no interest */
    uint32_t statements;
    uint8_t part[64]; /* the beginning of a packet whose rest has not come */
    uint32_t part_len;
    bool logged_in;
};

static struct conn conns[CONNS];
static uint64_t accepted, closed, logins, commands;
static uint8_t out[OUT_BYTES];
static size_t out_len;

static void put(uint8_t seq, const void *payload, uint32_t len)
{
    if (len + HEADER > sizeof out - out_len)
        return;
    out[out_len] = (uint8_t) len;
    out[out_len + 1] = (uint8_t) (len >> 8);
    out[out_len + 2] = (uint8_t) (len >> 16);
    out[out_len + 3] = seq;
    memcpy(out + out_len + HEADER, payload, len);
    out_len += HEADER + len;
}

static void greet(void)
{
    /* Version, thread, nonce, and the capabilities of a server of the 5.6 kind. */
    static const uint8_t head[] = "\12"
                                  "5.6.0-sink\0"
                                  "\1\0\0\0"
                                  "12345678\0"
                                  "\xff\xf7"
                                  "\41"
                                  "\2\0"
                                  "\x0f\x80"
                                  "\25"
                                  "\0\0\0\0\0\0\0\0\0\0"
                                  "901234567890";
    put(0, head, sizeof head);
}

static void put_ok(uint8_t seq)
{
    put(seq, "\0\0\0\2\0\0", 7);
}

static void put_eof(uint8_t seq)
{
    put(seq, "\xfe\0\0\2", 5);
}

static void put_definition(uint8_t seq)
{
    static const uint8_t definition[] = "\3def\2db\1t\1t\1c\1c\14\41\0\170\0\0\0\375\0\0\0\0";
    put(seq, definition, sizeof definition);
}

static void put_row(void)
{
    put(1, "\1", 1);
    put_definition(2);
    put_eof(3);
    put(4, "\0\0\54forty-four characters of text, as sysbench has", 47);
    put_eof(5);
}

static void put_prepared(struct conn *c, const uint8_t *text, uint32_t len)
{
    uint8_t payload[12] = {0}, params = 0;
    uint32_t id = ++c->statements;

    for (uint32_t i = 0; i < len; i++)
        params = (uint8_t) (params + (text[i] == '?'));
    memcpy(payload + 1, &id, 4);
    payload[7] = params;
    put(1, payload, sizeof payload);
    for (uint8_t i = 0; i < params; i++)
        put_definition((uint8_t) (2 + i));
    if (params)
        put_eof((uint8_t) (2 + params));
}

/* A packet of the client; false: it is leaving. */
static bool answer(struct conn *c, const uint8_t *payload, uint32_t len, uint8_t seq)
{
    if (!c->logged_in) {
        c->logged_in = true;
        logins++;
        put_ok((uint8_t) (seq + 1));
        return true;
    }
    commands++;
    switch (len ? payload[0] : 0) {
    case QUIT:
        return false;
    case PREPARE:
        put_prepared(c, payload, len);
        break;
    case SEND_LONG_DATA:
    case CLOSE:
        break;
    case 3:
    case 0x17:
        put_row();
        break;
    default:
        put_ok(1);
    }
    return true;
}

/* Bytes of a connection; packets that are cut are kept as far as their first bytes. */
static bool take(struct conn *c, uint8_t *in, uint32_t len)
{
    uint32_t at = 0;

    while (at < len) {
        if (c->skip) {
            uint32_t n = c->skip < len - at ? c->skip : len - at;
            c->skip -= n;
            at += n;
            continue;
        }
        uint32_t left = len - at;
        uint32_t size = left < HEADER ? 0 : in[at] | in[at + 1] << 8 | (uint32_t) in[at + 2] << 16;
        if (left >= HEADER && left >= HEADER + size) {
            if (!answer(c, in + at + HEADER, size, in[at + 3]))
                return false;
            at += HEADER + size;
        } else if (left >= sizeof c->part) { /* long: what it begins with is enough */
            if (!answer(c, in + at + HEADER, left - HEADER, in[at + 3]))
                return false;
            c->skip = size + HEADER - left;
            at = len;
        } else {
            memcpy(c->part, in + at, left);
            c->part_len = left;
            at = len;
        }
    }
    return true;
}

static bool serve(int fd)
{
    static uint8_t in[IN_BYTES + 64];
    struct conn *c = &conns[fd];

    memcpy(in, c->part, c->part_len);
    ssize_t n = recv(fd, in + c->part_len, IN_BYTES, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0;
    uint32_t len = c->part_len + (uint32_t) n;
    c->part_len = 0;
    out_len = 0;
    bool stays = take(c, in, len);
    return send(fd, out, out_len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) out_len && stays;
}

static void counters(void)
{
    struct rusage u;
    struct timespec now;

    getrusage(RUSAGE_SELF, &u);
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("{\"time_s\": %ld.%06ld, \"accepted\": %llu, \"open\": %llu, \"logins\": %llu, "
           "\"requests\": %llu}\n",
           (long) now.tv_sec, now.tv_nsec / 1000, (unsigned long long) accepted,
           (unsigned long long) (accepted - closed), (unsigned long long) logins,
           (unsigned long long) commands);
    fflush(stdout);
}

static int listen_at(const char *address, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *) &a, sizeof a) < 0 || listen(fd, 65535) < 0) {
        perror("mysqlsink");
        exit(1);
    }
    return fd;
}

static void accept_all(int listener, int epoll)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= CONNS || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
            close(fd);
            continue;
        }
        conns[fd] = (struct conn){0};
        accepted++;
        out_len = 0;
        greet();
        if (send(fd, out, out_len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            perror("greeting");
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS], e = {.events = EPOLLIN};
    sigset_t set;

    if (argc != 3) {
        fprintf(stderr, "usage: mysqlsink ADDRESS PORT\n");
        return 1;
    }
    struct rlimit files = {CONNS, CONNS};
    setrlimit(RLIMIT_NOFILE, &files);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int epoll = epoll_create1(0), signals = signalfd(-1, &set, 0);
    int listener = listen_at(argv[1], (uint16_t) atoi(argv[2]));
    e.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    e.data.fd = signals;
    epoll_ctl(epoll, EPOLL_CTL_ADD, signals, &e);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            struct signalfd_siginfo info;
            if (fd == listener) {
                accept_all(listener, epoll);
            } else if (fd == signals) {
                if (read(signals, &info, sizeof info) != sizeof info)
                    return 1;
                counters();
                if (info.ssi_signo == SIGTERM)
                    return 0;
            } else if (!serve(fd)) {
                close(fd);
                closed++;
            }
        }
    }
}
