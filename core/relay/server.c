/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server end of the intercept channel: its life, listening and the clock; see server.h and
 * server_parts.h. Who may come in is decided here, before anything is read; what it says is
 * server_conn.c's business.
 */
#include "relay/server_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/event.h>
#include "base/clock.h"

enum {
    ACCEPTS_PER_EVENT = 16, /* so that hellos are read while a crowd comes */
    TICK_US = 500 * 1000,
    RESUME_US = 100 * 1000, /* pause of listening without descriptors or memory */
    HELLO_US = 5000000,
    ENDING_US = 1000000,
    SILENCE_US = 10000000,
    BUFFER_BYTES = 4 << 20,
    BUFFER_LEAST_BYTES = 256 << 10, /* the longest frame, and one waiting before it */
    BUFFERS_BYTES = 96 << 20,       /* of all connections; beyond it each has the least */
    BACKLOG = 4096
};

static struct timeval interval(uint64_t us)
{
    return (struct timeval){.tv_sec = (time_t) (us / 1000000), .tv_usec = (long) (us % 1000000)};
}

/* --- letting in ------------------------------------------------------------------------------- */

static bool matches(const struct tb_relay_allow *a, const struct tb_addr *addr)
{
    uint32_t bytes = a->bits / 8, rest = a->bits % 8;

    if (memcmp(a->addr.b, addr->b, bytes) != 0)
        return false;
    return rest == 0 || (a->addr.b[bytes] ^ addr->b[bytes]) >> (8 - rest) == 0;
}

static bool is_allowed(const struct tb_relay_server *s, const struct tb_addr *addr)
{
    for (uint32_t i = 0; i < s->options.allow_count; i++)
        if (matches(&s->allow[i], addr))
            return true;
    return s->options.allow_count == 0;
}

/* Too many wait without a hello: the oldest of the address that has most goes. So a crowd from one
 * host hinders itself only. */
static void evict_one(struct tb_relay_server *s)
{
    struct tb_server_conn *waiting[TB_SERVER_PLACES], *victim = NULL;
    uint32_t count = 0, most = 0;

    for (uint32_t i = 0; i < TB_SERVER_PLACES; i++)
        if (s->conns[i] && s->conns[i]->state != TB_CONN_RUNNING)
            waiting[count++] = s->conns[i];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t same = 0;
        for (uint32_t j = 0; j < count; j++)
            same += tb_addr_eq(&waiting[i]->addr, &waiting[j]->addr);
        if (same > most || (same == most && waiting[i]->watcher < victim->watcher)) {
            victim = waiting[i];
            most = same;
        }
    }
    tb_server_conn_reject(victim, TB_LINE_CROWD, "too many connections wait without a hello");
}

static void peer_of(const struct sockaddr_storage *ss, struct tb_endpoint *out)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;

    memcpy(&in4, ss, sizeof in4);
    memcpy(&in6, ss, sizeof in6);
    if (ss->ss_family == AF_INET) {
        out->addr = tb_addr_v4((const uint8_t *) &in4.sin_addr);
        out->port = ntohs(in4.sin_port);
    } else {
        out->addr = tb_addr_v6((const uint8_t *) &in6.sin6_addr);
        out->port = ntohs(in6.sin6_port);
    }
}

static void let_in(struct tb_relay_server *s, int fd, const struct tb_endpoint *peer)
{
    char text[TB_ENDPOINT_TEXT];
    int one = 1;

    if (!is_allowed(s, &peer->addr)) {
        tb_log_limited(&s->limit[TB_LINE_NOT_ALLOWED], TB_LOG_WARN,
                       "channel: %s: not in the --allow list; closed",
                       tb_endpoint_format(peer, text));
        atomic_fetch_add(&s->rejected, 1);
        (void) close(fd);
        return;
    }
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (s->waiting >= TB_SERVER_WAITING)
        evict_one(s);
    if (tb_server_conn_new(s, fd, &peer->addr, peer->port, tb_clock_mono_us()) < 0)
        tb_log_limited(&s->limit[TB_LINE_ACCEPT], TB_LOG_WARN, "channel: %s: no memory; closed",
                       tb_endpoint_format(peer, text));
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct tb_relay_server *s = arg;

    for (int i = 0; i < 2; i++)
        if (s->listener[i])
            event_add(s->listener[i], NULL);
}

/* Nothing can be accepted now; the event loop would spin. */
static void pause_listening(struct tb_relay_server *s, int error)
{
    struct timeval pause = interval(RESUME_US);

    tb_log_limited(&s->limit[TB_LINE_ACCEPT], TB_LOG_WARN, "channel: cannot accept connections: %s",
                   strerror(error));
    for (int i = 0; i < 2; i++)
        if (s->listener[i])
            event_del(s->listener[i]);
    event_add(s->resume, &pause);
}

static void on_connection(evutil_socket_t listener, short what, void *arg)
{
    struct tb_relay_server *s = arg;

    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        struct sockaddr_storage ss = {0};
        socklen_t len = sizeof ss;
        struct tb_endpoint peer;
        int fd = accept4(listener, (struct sockaddr *) &ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN)
            break;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            pause_listening(s, errno);
            break;
        }
        if (fd < 0)
            continue; /* it went before we came */
        peer_of(&ss, &peer);
        let_in(s, fd, &peer);
    }
    tb_server_conn_reap(s);
}

/* --- clock, kicks ----------------------------------------------------------------------------- */

static void check_time(struct tb_server_conn *c, uint64_t now_us)
{
    const struct tb_relay_server_options *o = &c->server->options;

    switch (c->state) {
    case TB_CONN_HANDSHAKE:
    case TB_CONN_HELLO:
        if (now_us - c->since_us > o->hello_us)
            tb_server_conn_reject(c, TB_LINE_NO_HELLO, "it said no hello in time");
        break;
    case TB_CONN_ENDING:
        if (now_us - c->since_us > ENDING_US)
            tb_server_conn_drop(c, "refused");
        break;
    case TB_CONN_RUNNING:
        if (now_us - c->heard_us > o->silence_us)
            tb_server_conn_drop(c, "nothing was heard of it");
        else
            tb_server_conn_tell_drops(c);
        break;
    case TB_CONN_DEAD:
        break;
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct tb_relay_server *s = arg;
    uint64_t now_us = tb_clock_mono_us();

    for (uint32_t i = 0; i < TB_SERVER_PLACES; i++)
        if (s->conns[i])
            check_time(s->conns[i], now_us);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    struct tb_relay_server *s = arg;
    uint64_t count;

    (void) !read(s->kick_fd, &count, sizeof count);
    (void) atomic_exchange(&s->kicked, false);
    for (uint32_t i = 0; i < TB_SERVER_PLACES; i++)
        if (s->conns[i] && atomic_exchange(&s->conns[i]->flagged, false))
            tb_server_conn_drain(s->conns[i]);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
    tb_server_conn_reap(arg);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* A listening socket; -errno. */
static int listen_on(const struct tb_addr *addr, uint16_t port)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool v4 = tb_addr_is_v4(addr);
    int one = 1, fd;

    memcpy(&in4.sin_addr, addr->b + 12, 4);
    memcpy(&in6.sin6_addr, addr->b, 16);
    fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!v4)
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, v4 ? (struct sockaddr *) &in4 : (struct sockaddr *) &in6,
             v4 ? sizeof in4 : sizeof in6) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int error = errno;
        (void) close(fd);
        return -error;
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    struct tb_endpoint e;

    if (getsockname(fd, (struct sockaddr *) &ss, &len) < 0)
        return 0;
    peer_of(&ss, &e);
    return e.port;
}

static int explain_listen(int rc, const char *where, uint16_t port, struct tb_err *err)
{
    const char *hint = rc == -EADDRINUSE      ? "; is another intercept running? See: ss -tlnp"
                       : rc == -EADDRNOTAVAIL ? "; -b wants an address of this host (ip address)"
                       : rc == -EACCES        ? "; ports below 1024 need root: use -p"
                                              : "";
    return tb_err_set(err, rc, "cannot listen on %s port %u: %s%s", where, port, strerror(-rc),
                      hint);
}

/* On one address, or on all of both families as far as the host has them. */
static int open_listeners(struct tb_relay_server *s, struct tb_err *err)
{
    const struct tb_relay_server_options *o = &s->options;
    static const uint8_t zeroes[16];
    struct tb_addr first = tb_addr_v4(zeroes), any6 = tb_addr_v6(zeroes);

    if (o->address && tb_addr_parse(o->address, &first) < 0)
        return tb_err_set(err, -EINVAL, "-b %s: not an IP address", o->address);
    s->listen_fd[0] = listen_on(&first, o->port);
    if (s->listen_fd[0] < 0)
        return explain_listen(s->listen_fd[0], o->address ? o->address : "0.0.0.0", o->port, err);
    s->port = port_of(s->listen_fd[0]);
    if (o->address)
        return 0;
    s->listen_fd[1] = listen_on(&any6, s->port);
    if (s->listen_fd[1] < 0 && s->listen_fd[1] != -EAFNOSUPPORT &&
        s->listen_fd[1] != -EADDRNOTAVAIL)
        return explain_listen(s->listen_fd[1], "[::]", s->port, err);
    return 0;
}

static bool is_loopback(const char *address)
{
    struct tb_addr a;

    return address && tb_addr_parse(address, &a) == 0 &&
           (tb_addr_is_v4(&a) ? a.b[12] == 127 : tb_addr_low32(&a) == 1 && !a.b[0]);
}

static void say_where(const struct tb_relay_server *s)
{
    const struct tb_relay_server_options *o = &s->options;

    tb_log(TB_LOG_INFO, "channel: listening on %s port %u%s",
           o->address ? o->address : "all addresses", s->port, s->tls ? ", TLS with a key" : "");
    if (!s->tls && !is_loopback(o->address))
        tb_log(TB_LOG_WARN,
               "channel: no --psk-file: %s may connect, and whoever sits on the way can read and "
               "change what is passed on; make a key for both ends (openssl rand -hex 32), or "
               "listen on 127.0.0.1 (-b)",
               o->allow_count ? "every host of the --allow list"
                              : "every host that reaches this one");
}

static int copy_options(struct tb_relay_server *s, const struct tb_relay_server_options *options)
{
    struct tb_relay_server_options *o = &s->options;

    *o = *options;
    s->allow = calloc(o->allow_count + 1, sizeof *s->allow);
    if (!s->allow)
        return -ENOMEM;
    if (o->allow_count)
        memcpy(s->allow, o->allow, o->allow_count * sizeof *s->allow);
    o->allow = s->allow;
    o->hello_us = o->hello_us ? o->hello_us : HELLO_US;
    o->silence_us = o->silence_us ? o->silence_us : SILENCE_US;
    s->memory.each_bytes = o->buffer_bytes ? o->buffer_bytes : BUFFER_BYTES;
    if (s->memory.each_bytes < BUFFER_LEAST_BYTES)
        s->memory.each_bytes = BUFFER_LEAST_BYTES;
    s->memory.all_bytes = BUFFERS_BYTES;
    s->memory.each_small_bytes = BUFFER_LEAST_BYTES;
    return 0;
}

static void init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    /* Busy lanes overlap: by default they would keep the control thread out for ever. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

static int open_events(struct tb_relay_server *s)
{
    struct timeval tick = interval(TICK_US);

    s->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->kick_fd < 0)
        return -errno;
    s->kick = event_new(s->base, s->kick_fd, EV_READ | EV_PERSIST, on_kick, s);
    s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
    s->resume = event_new(s->base, -1, 0, on_resume, s);
    s->reap = event_new(s->base, -1, 0, on_reap, s);
    if (!s->kick || !s->tick || !s->resume || !s->reap || event_add(s->kick, NULL) < 0 ||
        event_add(s->tick, &tick) < 0)
        return -ENOMEM;
    for (int i = 0; i < 2; i++) {
        if (s->listen_fd[i] < 0)
            continue;
        s->listener[i] =
            event_new(s->base, s->listen_fd[i], EV_READ | EV_PERSIST, on_connection, s);
        if (!s->listener[i] || event_add(s->listener[i], NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

int tb_relay_server_open(struct event_base *base, const struct tb_relay_server_options *options,
                         uint32_t lanes, struct tb_relay_server **out, struct tb_err *err)
{
    struct tb_relay_server *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return tb_err_set(err, -ENOMEM, "no memory for the channel");
    s->base = base;
    s->listen_fd[0] = s->listen_fd[1] = s->kick_fd = -1;
    init_lock(&s->turn);
    rc = copy_options(s, options);
    if (rc == 0)
        rc = tb_server_lanes_new(s, lanes);
    if (rc < 0)
        (void) tb_err_set(err, rc, "no memory for the channel");
    if (rc == 0 && options->psk_file)
        rc = tb_tls_context_new(TB_TLS_SERVER, options->psk_file, &s->tls, err);
    if (rc == 0)
        rc = open_listeners(s, err);
    if (rc == 0) {
        rc = open_events(s);
        if (rc < 0)
            (void) tb_err_set(err, rc, "cannot watch the channel's sockets: %s", strerror(-rc));
    }
    if (rc < 0) {
        tb_relay_server_close(s);
        return rc;
    }
    say_where(s);
    s->options.address = s->options.psk_file = NULL;
    *out = s;
    return 0;
}

/* --- closing ---------------------------------------------------------------------------------- */

/* What the client sent and nobody read would turn our end into a reset, which could overtake the
 * words. */
static void say_bye(struct tb_server_conn *c)
{
    uint8_t frame[128], rest[4096];
    size_t len = tb_relay_text_put(frame, sizeof frame, TB_RELAY_BYE, 0, "intercept ends");

    (void) tb_stream_send(&c->stream, frame, (uint32_t) len, 0);
    (void) shutdown(c->stream.fd, SHUT_WR);
    while (recv(c->stream.fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ;
}

static void free_event(struct event *e)
{
    if (e)
        event_free(e);
}

void tb_relay_server_close(struct tb_relay_server *s)
{
    if (!s)
        return;
    s->options.wanted = NULL;
    for (uint32_t i = 0; i < TB_SERVER_PLACES; i++) {
        struct tb_server_conn *c = s->conns[i];
        if (c && c->state == TB_CONN_RUNNING)
            say_bye(c);
        if (c)
            tb_server_conn_drop(c, "intercept ends");
    }
    tb_server_conn_reap(s);
    for (int i = 0; i < 2; i++) {
        free_event(s->listener[i]);
        if (s->listen_fd[i] >= 0)
            (void) close(s->listen_fd[i]);
    }
    free_event(s->kick);
    free_event(s->tick);
    free_event(s->resume);
    free_event(s->reap);
    if (s->kick_fd >= 0)
        (void) close(s->kick_fd);
    tb_server_lanes_free(s);
    tb_route_fini(&s->routes);
    tb_sessions_fini(&s->sessions);
    tb_tls_context_free(s->tls);
    pthread_rwlock_destroy(&s->turn);
    free(s->allow);
    free(s);
}

/* --- the rest --------------------------------------------------------------------------------- */

uint16_t tb_relay_server_port(const struct tb_relay_server *s)
{
    return s->port;
}

void tb_relay_server_seen(struct tb_relay_server *s, uint64_t watcher,
                          const struct tb_relay_seen *seen)
{
    uint8_t frame[256];
    size_t len = tb_relay_seen_put(frame, sizeof frame, seen);

    for (uint32_t i = 0; i < TB_SERVER_PLACES; i++) {
        struct tb_server_conn *c = s->conns[i];
        if (c && c->watcher == watcher && c->state == TB_CONN_RUNNING)
            (void) tb_server_conn_send(c, frame, (uint32_t) len, 0);
    }
}

void tb_relay_server_capture_drops(struct tb_relay_server *s, uint64_t drops)
{
    s->capture_drops = drops;
}

void tb_relay_server_figures(struct tb_relay_server *s, struct tb_relay_server_figures *out)
{
    *out = (struct tb_relay_server_figures){
        .clients = atomic_load(&s->client_count),
        .connections = atomic_load(&s->conn_count),
        .sessions = atomic_load(&s->session_count),
        .late = atomic_load(&s->late_count),
        .taken = atomic_load(&s->taken_count),
        .refused = atomic_load(&s->refused),
        .rejected = atomic_load(&s->rejected),
        .buffered_bytes = atomic_load(&s->memory.used),
    };
    tb_server_lanes_figures(s, out);
}
