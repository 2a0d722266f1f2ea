/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sink: an HTTP/1.x server that does as little as possible, the target of measurements and of the
 * system tests. Its counters are the oracle: what a load generator really achieved is what the sink
 * saw. One process listens per worker (SO_REUSEPORT); a parent waits for signals and adds up.
 *
 * Requests are framed by their blank line and Content-Length (chunked request bodies are not). One
 * that has a Sec-WebSocket-Key becomes a WebSocket (RFC 6455), whose pings and farewells are
 * answered. Needs nothing of the engine.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    IN_BYTES = 65536,
    OUT_BYTES = 262144,
    LINE_BYTES = 256, /* of a header line that came in pieces; what is longer is not looked at */
    ACCEPT_BYTES = 28,
    EVENTS = 512,
    ACCEPT_BATCH = 64, /* then the other connections get their turn */
    PUSH_SLICES = 64,  /* of a push interval, so that pushes do not come in one burst */
    BACKLOG = 65535
};

struct options {
    const char *address, *stats;
    uint16_t port;
    unsigned procs, body_bytes;
    bool hold;
    double push_s; /* 0: off */
};

/* Written by one worker, read by the parent. A cache line of its own each. */
struct counters {
    _Alignas(128) uint64_t accepted;
    uint64_t closed, resets, requests, bytes_in, bytes_out, bad, no_fd, pushes, pings;
};

/* A connection, indexed by its descriptor. */
struct conn {
    uint64_t body_left; /* of the request body, still to be skipped */
    char *unsent;       /* what the socket did not take; NULL nearly always */
    size_t unsent_len;
    uint16_t line_len; /* of `line` */
    bool open, in_head, http10, head_only, close, keep, streaming, closing, socket;
    char accept[ACCEPT_BYTES + 1]; /* the answer to Sec-WebSocket-Key; "": there was none */
    char line[LINE_BYTES]; /* the beginning of a line, or frame, whose end has not come yet */
};

struct worker {
    const struct options *o;
    struct counters *count;
    struct conn *conns;
    size_t conn_count;
    int listener, epoll, timer;
    bool listening; /* false while there are no descriptors left */
    unsigned slice;
    EVP_MD *sha1;
    EVP_MD_CTX *digest;
    char *answer_keep, *answer_close, *answer_stream; /* complete responses */
    size_t keep_len, close_len, stream_len, body_bytes;
    size_t out_len;
    char in[IN_BYTES], out[OUT_BYTES];
};

/* An event that carries its time, microseconds since 1970, as a chunk. */
#define PUSH_CHUNK "25\r\nevent: push\ndata: %016llu\n\r\n\r\n"

static void die(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- connections ---------------------------------------------------------------------------- */

static void watch(struct worker *w, int fd, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};

    if (epoll_ctl(w->epoll, op, fd, &ev) < 0)
        die("epoll_ctl");
}

static void conn_close(struct worker *w, int fd)
{
    struct conn *c = &w->conns[fd];

    free(c->unsent);
    c->unsent = NULL;
    c->open = false;
    close(fd);
    w->count->closed++;
    if (!w->listening) {
        watch(w, w->listener, EPOLL_CTL_MOD, EPOLLIN);
        w->listening = true;
    }
}

static void conn_accept(struct worker *w)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE) {
                w->count->no_fd++;
                watch(w, w->listener, EPOLL_CTL_MOD, 0); /* until one is closed: do not spin */
                w->listening = false;
            }
            return;
        }
        if ((size_t) fd >= w->conn_count) {
            close(fd);
            continue;
        }
        struct conn *c = &w->conns[fd];
        c->open = true;
        c->body_left = 0;
        c->line_len = 0;
        c->in_head = c->streaming = c->closing = c->socket = false;
        w->count->accepted++;
        watch(w, fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* Send what is in w->out. False: the connection is gone. */
static bool flush(struct worker *w, int fd)
{
    struct conn *c = &w->conns[fd];
    size_t len = w->out_len;

    w->out_len = 0;
    if (len == 0)
        return true;
    ssize_t n = send(fd, w->out, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        w->count->resets++;
        conn_close(w, fd);
        return false;
    }
    if (n < 0)
        n = 0;
    w->count->bytes_out += (uint64_t) n;
    if ((size_t) n < len) {
        size_t left = len - (size_t) n;
        char *p = realloc(c->unsent, c->unsent_len + left);
        if (!p)
            die("out of memory");
        memcpy(p + c->unsent_len, w->out + n, left);
        if (!c->unsent)
            watch(w, fd, EPOLL_CTL_MOD, EPOLLOUT); /* no more requests until it is out */
        c->unsent = p;
        c->unsent_len += left;
    }
    return true;
}

static bool put(struct worker *w, int fd, const char *data, size_t len)
{
    struct conn *c = &w->conns[fd];

    if (w->out_len + len > OUT_BYTES && !flush(w, fd))
        return false;
    memcpy(w->out + w->out_len, data, len);
    w->out_len += len;
    if (c->unsent)
        return flush(w, fd); /* behind what still waits */
    return true;
}

/* The socket takes bytes again. */
static void conn_writable(struct worker *w, int fd)
{
    struct conn *c = &w->conns[fd];
    ssize_t n = send(fd, c->unsent, c->unsent_len, MSG_NOSIGNAL);

    if (n < 0) {
        if (errno == EAGAIN)
            return;
        w->count->resets++;
        conn_close(w, fd);
        return;
    }
    w->count->bytes_out += (uint64_t) n;
    c->unsent_len -= (size_t) n;
    memmove(c->unsent, c->unsent + n, c->unsent_len);
    if (c->unsent_len > 0)
        return;
    free(c->unsent);
    c->unsent = NULL;
    if (c->closing)
        conn_close(w, fd);
    else
        watch(w, fd, EPOLL_CTL_MOD, EPOLLIN);
}

/* --- requests ------------------------------------------------------------------------------- */

/* What proves that the server has understood (RFC 6455 §4.2.2). */
static void socket_accept(struct worker *w, struct conn *c, const char *key, size_t len)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[LINE_BYTES + sizeof guid], digest[SHA_DIGEST_LENGTH];

    memcpy(text, key, len);
    memcpy(text + len, guid, sizeof guid - 1);
    if (!EVP_DigestInit_ex2(w->digest, w->sha1, NULL) ||
        !EVP_DigestUpdate(w->digest, text, len + sizeof guid - 1) ||
        !EVP_DigestFinal_ex(w->digest, digest, NULL))
        die("SHA1");
    EVP_EncodeBlock((unsigned char *) c->accept, digest, sizeof digest);
}

static bool answer_socket(struct worker *w, int fd)
{
    char head[160];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     w->conns[fd].accept);

    w->conns[fd].socket = true;
    return put(w, fd, head, (size_t) n);
}

/* A request is complete: answer it. False: nothing more is to be read from the connection. */
static bool answer(struct worker *w, int fd)
{
    struct conn *c = &w->conns[fd];
    bool keep = c->http10 ? c->keep : !c->close;

    w->count->requests++;
    if (w->o->hold)
        return true;
    if (c->accept[0])
        return answer_socket(w, fd);
    if (w->timer >= 0) {
        bool first = !c->streaming;
        c->streaming = true;
        return !first || put(w, fd, w->answer_stream, w->stream_len);
    }
    if (!put(w, fd, keep ? w->answer_keep : w->answer_close,
             (keep ? w->keep_len : w->close_len) - (c->head_only ? w->body_bytes : 0)))
        return false;
    c->closing = !keep;
    return keep;
}

/* One line of a head, without its line end. */
static void head_line(struct worker *w, struct conn *c, const char *line, size_t len)
{
    if (!c->in_head) { /* the request line */
        c->in_head = true;
        c->head_only = len > 5 && memcmp(line, "HEAD ", 5) == 0;
        c->http10 = len > 8 && memcmp(line + len - 8, "HTTP/1.0", 8) == 0;
        if (!memchr(line, ' ', len))
            w->count->bad++;
        c->keep = c->close = false;
        c->accept[0] = '\0';
        c->body_left = 0;
    } else if (len > 15 && strncasecmp(line, "Content-Length:", 15) == 0) {
        for (size_t i = 15; i < len; i++)
            if (line[i] >= '0' && line[i] <= '9' && c->body_left < UINT64_MAX / 16)
                c->body_left = c->body_left * 10 + (uint64_t) (line[i] - '0');
    } else if (len > 19 && len < LINE_BYTES && strncasecmp(line, "Sec-WebSocket-Key: ", 19) == 0) {
        socket_accept(w, c, line + 19, len - 19);
    } else if (len > 11 && strncasecmp(line, "Connection:", 11) == 0) {
        const char *v = line + 11, *end = line + len;
        while (v < end && *v == ' ')
            v++;
        c->close = end - v >= 5 && strncasecmp(v, "close", 5) == 0;
        c->keep = end - v >= 10 && strncasecmp(v, "keep-alive", 10) == 0;
    }
}

/* --- WebSockets ----------------------------------------------------------------------------- */

/* How much of a frame of the client is gathered in `line`: its head, and what a control frame
 * carries; as far as its first bytes tell. */
static size_t frame_need(const struct conn *c)
{
    const uint8_t *h = (const uint8_t *) c->line;

    if (c->line_len < 2)
        return 2;
    unsigned length = h[1] & 0x7f;
    size_t head = length == 127 ? 14 : length == 126 ? 8 : 6;
    return h[0] & 8 ? 6 + length : head;
}

/* What is in `line` is complete. False: nothing more is to be read. */
static bool frame_done(struct worker *w, int fd)
{
    enum { CLOSE = 8, PING = 9 };
    struct conn *c = &w->conns[fd];
    uint8_t *h = (uint8_t *) c->line, opcode = h[0] & 15, length = h[1] & 0x7f;

    if (!(h[1] & 0x80) || (opcode >= CLOSE && length > 125)) { /* not masked, or absurd */
        w->count->bad++;
        c->closing = true;
    } else if (opcode == PING || opcode == CLOSE) {
        w->count->pings += opcode == PING;
        c->closing = opcode == CLOSE;
        for (unsigned i = 0; i < length; i++)
            h[6 + i] ^= h[2 + i % 4];
        h[4] = opcode == PING ? 0x8a : 0x88;
        h[5] = length;
        if (!put(w, fd, c->line + 4, 2 + length))
            return false;
    } else if (opcode < CLOSE) {
        c->body_left = length < 126 ? length : 0;
        for (unsigned i = 2; length >= 126 && i < (length == 126 ? 4 : 10); i++)
            c->body_left = c->body_left << 8 | h[i];
    }
    return !c->closing;
}

/* Bytes of a WebSocket, in order. False: read no more of it. */
static bool take_frames(struct worker *w, int fd, const char *p, size_t len)
{
    struct conn *c = &w->conns[fd];

    while (len > 0) {
        uint64_t skip = len < c->body_left ? len : c->body_left;
        c->body_left -= skip;
        p += skip;
        len -= skip;
        while (len > 0 && c->body_left == 0 && c->line_len < frame_need(c)) {
            c->line[c->line_len++] = *p++;
            len--;
        }
        if (c->body_left > 0 || c->line_len < frame_need(c))
            return true;
        if (!frame_done(w, fd))
            return false;
        c->line_len = 0;
    }
    return true;
}

/* --- bytes ---------------------------------------------------------------------------------- */

/* Bytes of the connection, in order. False: read no more of it. */
static bool take(struct worker *w, int fd, const char *p, size_t len)
{
    struct conn *c = &w->conns[fd];
    const char *end = p + len;

    while (p < end) {
        if (c->socket)
            return take_frames(w, fd, p, (size_t) (end - p));
        if (!c->in_head && c->body_left > 0) {
            uint64_t skip =
                (uint64_t) (end - p) < c->body_left ? (uint64_t) (end - p) : c->body_left;
            c->body_left -= skip;
            p += skip;
            if (c->body_left == 0 && !answer(w, fd))
                return false;
            continue;
        }
        const char *nl = memchr(p, '\n', (size_t) (end - p));
        const char *line = p;
        size_t n = (size_t) ((nl ? nl : end) - p);
        if (!nl || c->line_len > 0) { /* in pieces: gather it */
            size_t room = LINE_BYTES - c->line_len, part = n < room ? n : room;
            memcpy(c->line + c->line_len, p, part);
            c->line_len = (uint16_t) (c->line_len + part);
            if (!nl)
                return true;
            line = c->line;
            n = c->line_len;
            c->line_len = 0;
        }
        p = nl + 1;
        if (n > 0 && line[n - 1] == '\r')
            n--;
        if (n > 0) {
            head_line(w, c, line, n);
        } else if (c->in_head) {
            c->in_head = false;
            if (c->body_left == 0 && !answer(w, fd))
                return false;
        } /* else: an empty line before a request is allowed (RFC 9112, 2.2) */
    }
    return true;
}

static void conn_readable(struct worker *w, int fd)
{
    struct conn *c = &w->conns[fd];
    ssize_t n = recv(fd, w->in, IN_BYTES, 0);

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            w->count->resets++;
        conn_close(w, fd);
        return;
    }
    w->count->bytes_in += (uint64_t) n;
    w->out_len = 0;
    take(w, fd, w->in, (size_t) n);
    if (!c->open || !flush(w, fd))
        return;
    if (c->closing && !c->unsent)
        conn_close(w, fd);
}

/* A slice of the streaming connections gets an event. */
static void push(struct worker *w)
{
    uint64_t ticks;

    char chunk[64];
    struct timespec now;

    if (read(w->timer, &ticks, sizeof ticks) != sizeof ticks)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    int len = snprintf(chunk, sizeof chunk, PUSH_CHUNK,
                       (unsigned long long) now.tv_sec * 1000000 +
                           (unsigned long long) now.tv_nsec / 1000);
    for (size_t fd = w->slice; fd < w->conn_count; fd += PUSH_SLICES) {
        struct conn *c = &w->conns[fd];
        if (!c->open || !c->streaming || c->unsent)
            continue;
        w->out_len = 0;
        if (put(w, (int) fd, chunk, (size_t) len) && flush(w, (int) fd))
            w->count->pushes++;
    }
    w->slice = (w->slice + 1) % PUSH_SLICES;
}

/* --- workers -------------------------------------------------------------------------------- */

static size_t make_answer(char **out, const char *connection, unsigned body_bytes)
{
    char head[160];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\nServer: sink\r\nContent-Type: text/plain\r\n"
                     "Content-Length: %u\r\nConnection: %s\r\n\r\n",
                     body_bytes, connection);

    *out = malloc((size_t) n + body_bytes);
    if (!*out)
        die("out of memory");
    memcpy(*out, head, (size_t) n);
    memset(*out + n, 'x', body_bytes);
    return (size_t) n + body_bytes;
}

static void worker_init(struct worker *w, const struct options *o, int listener,
                        struct counters *count)
{
    static const char stream[] = "HTTP/1.1 200 OK\r\nServer: sink\r\n"
                                 "Content-Type: text/event-stream\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n";
    struct rlimit files;

    w->o = o;
    w->listener = listener;
    w->count = count;
    w->body_bytes = o->body_bytes;
    w->keep_len = make_answer(&w->answer_keep, "keep-alive", o->body_bytes);
    w->close_len = make_answer(&w->answer_close, "close", o->body_bytes);
    w->answer_stream = strdup(stream);
    w->stream_len = sizeof stream - 1;
    getrlimit(RLIMIT_NOFILE, &files);
    w->conn_count = files.rlim_cur;
    w->conns = mmap(NULL, w->conn_count * sizeof *w->conns, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL); /* once: finding it takes longer than using it */
    w->digest = EVP_MD_CTX_new();
    if (w->conns == MAP_FAILED || w->epoll < 0 || !w->answer_stream || !w->sha1 || !w->digest)
        die("cannot start a worker");
    watch(w, listener, EPOLL_CTL_ADD, EPOLLIN);
    w->listening = true;
    w->timer = -1;
    if (o->push_s > 0) {
        long ns = (long) (o->push_s / PUSH_SLICES * 1e9);
        struct timespec t = {ns / 1000000000, ns % 1000000000};
        struct itimerspec it = {t, t};
        w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (w->timer < 0 || timerfd_settime(w->timer, 0, &it, NULL) < 0)
            die("timerfd");
        watch(w, w->timer, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static _Noreturn void worker_run(struct worker *w)
{
    static struct epoll_event events[EVENTS];

    for (;;) {
        int n = epoll_wait(w->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == w->listener)
                conn_accept(w);
            else if (fd == w->timer)
                push(w);
            else if (!w->conns[fd].open)
                continue;
            else if (w->conns[fd].unsent)
                conn_writable(w, fd);
            else
                conn_readable(w, fd);
        }
    }
}

/* --- the parent ----------------------------------------------------------------------------- */

static int listen_on(const struct options *o)
{
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *) &ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) &ss;
    socklen_t len = sizeof *in4;
    int one = 1, zero = 0;

    if (inet_pton(AF_INET, o->address, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(o->port);
    } else if (inet_pton(AF_INET6, o->address, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(o->port);
        len = sizeof *in6;
    } else {
        fprintf(stderr, "sink: %s is not an address\n", o->address);
        exit(1);
    }
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (ss.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, (struct sockaddr *) &ss, len) < 0 || listen(fd, BACKLOG) < 0)
        die(o->address);
    return fd;
}

static void raise_file_limit(void)
{
    struct rlimit files = {1048576, 1048576};

    if (setrlimit(RLIMIT_NOFILE, &files) == 0)
        return;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static void print_counters(const struct options *o, const struct counters *per_worker)
{
    struct counters sum = {0};
    struct timespec now;
    FILE *f = o->stats ? fopen(o->stats, "a") : stdout;

    if (!f)
        die(o->stats);
    for (unsigned i = 0; i < o->procs; i++) {
        const struct counters *c = &per_worker[i];
        sum.accepted += c->accepted;
        sum.closed += c->closed;
        sum.resets += c->resets;
        sum.requests += c->requests;
        sum.bytes_in += c->bytes_in;
        sum.bytes_out += c->bytes_out;
        sum.bad += c->bad;
        sum.no_fd += c->no_fd;
        sum.pushes += c->pushes;
        sum.pings += c->pings;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    fprintf(f,
            "{\"t_s\": %.6f, \"accepted\": %llu, \"open\": %lld, \"resets\": %llu, "
            "\"requests\": %llu, \"bytes_in\": %llu, \"bytes_out\": %llu, \"bad\": %llu, "
            "\"no_fd\": %llu, \"pushes\": %llu, \"pings\": %llu}\n",
            (double) now.tv_sec + (double) now.tv_nsec / 1e9, (unsigned long long) sum.accepted,
            (long long) (sum.accepted - sum.closed), (unsigned long long) sum.resets,
            (unsigned long long) sum.requests, (unsigned long long) sum.bytes_in,
            (unsigned long long) sum.bytes_out, (unsigned long long) sum.bad,
            (unsigned long long) sum.no_fd, (unsigned long long) sum.pushes,
            (unsigned long long) sum.pings);
    if (o->stats)
        fclose(f);
    else
        fflush(f);
}

static double number(const char *text, double min, double max, const char *option)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || *end || !(v >= min && v <= max)) {
        fprintf(stderr, "sink: %s %s: expected a number from %g to %g\n", option, text, min, max);
        exit(1);
    }
    return v;
}

static void options_parse(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {{"address", required_argument, NULL, 'a'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"procs", required_argument, NULL, 'n'},
                                          {"body", required_argument, NULL, 'b'},
                                          {"hold", no_argument, NULL, 'H'},
                                          {"push", required_argument, NULL, 'P'},
                                          {"stats", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;

    *o = (struct options){.address = "127.0.0.1", .port = 8080, .procs = 1, .body_bytes = 64};
    while ((c = getopt_long(argc, argv, "a:p:n:b:HP:s:h", longs, NULL)) != -1) {
        switch (c) {
        case 'a':
            o->address = optarg;
            break;
        case 'p':
            o->port = (uint16_t) number(optarg, 1, 65535, "--port");
            break;
        case 'n':
            o->procs = (unsigned) number(optarg, 1, 1024, "--procs");
            break;
        case 'b':
            o->body_bytes = (unsigned) number(optarg, 0, 65536, "--body");
            break;
        case 'H':
            o->hold = true;
            break;
        case 'P':
            o->push_s = number(optarg, 0.01, 86400, "--push");
            break;
        case 's':
            o->stats = optarg;
            break;
        default:
            printf("usage: sink [-a ADDRESS] [-p PORT] [-n PROCESSES] [-b BODY-BYTES]\n"
                   "            [--hold] [--push SECONDS] [-s STATS-FILE]\n\n"
                   "Answers every HTTP request with a small 200. --hold never answers; --push\n"
                   "answers with an event stream that gets an event each SECONDS. WebSockets are\n"
                   "accepted, their pings answered. Counters are\n"
                   "printed as one line of JSON at SIGUSR1 and at the end (SIGTERM, SIGINT).\n");
            exit(c == 'h' ? 0 : 1);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sink: unexpected argument %s\n", argv[optind]);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static struct worker worker; /* of a child: each gets its copy */
    struct options o;
    const struct sigaction dead_only = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
    sigset_t set;
    int sig, listeners[1024];
    pid_t children[1024];

    options_parse(&o, argc, argv);
    raise_file_limit();
    struct counters *count = mmap(NULL, o.procs * sizeof *count, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (count == MAP_FAILED)
        die("mmap");
    for (unsigned i = 0; i < o.procs; i++)
        listeners[i] = listen_on(&o);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGCHLD, &dead_only, NULL); /* a worker that is stopped goes on later */
    for (unsigned i = 0; i < o.procs; i++) {
        children[i] = fork();
        if (children[i] < 0)
            die("fork");
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (unsigned k = 0; k < o.procs; k++)
                if (k != i)
                    close(listeners[k]);
            worker_init(&worker, &o, listeners[i], &count[i]);
            worker_run(&worker);
        }
    }
    for (unsigned i = 0; i < o.procs; i++)
        close(listeners[i]);
    fprintf(stderr, "sink: listening on %s port %u\n", o.address, o.port);
    while (sigwait(&set, &sig) == 0 && sig == SIGUSR1)
        print_counters(&o, count);
    for (unsigned i = 0; i < o.procs; i++)
        kill(children[i], SIGKILL);
    for (unsigned i = 0; i < o.procs; i++)
        waitpid(children[i], NULL, 0);
    print_counters(&o, count);
    return sig == SIGCHLD; /* a worker died */
}
