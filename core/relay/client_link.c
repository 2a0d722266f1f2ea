/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to an intercept server; see client_link.h. Whatever the server sends goes through
 * the decoders of frame.h; what they refuse, or what does not belong where it comes, ends the
 * connection, which is made again after a pause that grows.
 */
#include "relay/client_link.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_BYTES = 512 * 1024, /* a read brings many records, behind the beginning of a long frame */
    OUT_BYTES = 64 * 1024, /* a HELLO with all it may hold; registered sessions */
    OUT_KEPT_BYTES = 1024, /* of these for PINGs */
    SAY_ROUNDS = 8,        /* buffers of sessions in one turn */
    BURST_PINGS = 8,       /* at the start, each as the last one is answered: for the clock */
    BURST_US = 50000,      /* a run does not wait for them any longer */
    PROVEN_US = 2000000,   /* one that lived so long begins anew with the shortest pause */
    QUIET_US = 1000000,    /* between two lines about one server */
    QUIET_RETRY_US = 10000000
};

_Static_assert(IN_BYTES >= 2 * (TB_RELAY_HEAD + TB_RELAY_PAYLOAD_MAX), "a frame always fits");

/* --- ends ------------------------------------------------------------------------------------- */

static void disconnect(struct tb_relay_link *l)
{
    tb_tls_free(l->tls);
    l->tls = NULL;
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->begin = l->end = l->frame_end = l->out_len = 0;
    l->more = false;
    if (l->gather)
        tb_relay_gather_forget(l->gather);
    l->state = TB_RELAY_LINK_DOWN;
}

static void fail(struct tb_relay_link *l, uint64_t now_us, enum tb_relay_link_why why,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The connection is over, or was never made: it is tried again after a pause. */
static void fail(struct tb_relay_link *l, uint64_t now_us, enum tb_relay_link_why why,
                 const char *fmt, ...)
{
    bool ran = l->state == TB_RELAY_LINK_RUNNING;
    va_list args;

    va_start(args, fmt);
    vsnprintf(l->words.text, sizeof l->words.text, fmt, args);
    va_end(args);
    l->why = why;
    disconnect(l);
    if (ran) {
        l->losses++;
        atomic_fetch_sub(&l->peer->running, 1);
        tb_relay_peer_lost(l->peer, now_us, l->words.text);
        if (now_us - l->up_us >= PROVEN_US)
            l->backoff_us = TB_RELAY_LINK_BACKOFF_MIN_US;
    } else {
        tb_relay_peer_no_luck(l->peer, now_us, l->words.text);
    }
    /* Many clients of a server that comes back are not to come all at once. */
    l->due_us = now_us + l->backoff_us / 2 + tb_rng_below(&l->rng, l->backoff_us);
    l->backoff_us *= 2;
    if (l->backoff_us > TB_RELAY_LINK_BACKOFF_MAX_US)
        l->backoff_us = TB_RELAY_LINK_BACKOFF_MAX_US;
}

static void fail_on_nonsense(struct tb_relay_link *l, uint64_t now_us)
{
    if (l->state == TB_RELAY_LINK_RUNNING)
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "it sent what is no frame of the channel");
    else
        fail(l, now_us, TB_RELAY_LINK_TURNED,
             "it does not speak the channel's protocol: either another program listens there, or "
             "this intercept wants a key (--psk-file)");
}

/* A read, a write or a handshake failed. */
static void fail_on_error(struct tb_relay_link *l, uint64_t now_us, int error)
{
    if (error == -EACCES)
        fail(l, now_us, TB_RELAY_LINK_REFUSED, "its key is another one than that of --psk-file");
    else if (error == -EPROTO)
        fail(l, now_us, TB_RELAY_LINK_TURNED,
             "it does not encrypt as we do: is its intercept started with --psk-file?");
    else if (l->state == TB_RELAY_LINK_RUNNING)
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "%s",
             error == -ECONNRESET ? "it closed the connection" : strerror(-error));
    else if (error == -ECONNRESET || error == -EPIPE)
        fail(l, now_us, TB_RELAY_LINK_TURNED,
             "it closed the connection without a word: is this host on its --allow list, and do "
             "both ends have --psk-file, or none?");
    else
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "%s", strerror(-error));
}

/* --- out -------------------------------------------------------------------------------------- */

/* The socket, or TLS over it: bytes moved, 0 at the end, or -errno. */
static ssize_t transmit(struct tb_relay_link *l, const void *data, size_t len)
{
    if (l->tls)
        return tb_tls_write(l->tls, data, len);
    ssize_t n = send(l->fd, data, len, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static ssize_t receive(struct tb_relay_link *l, void *data, size_t room)
{
    if (l->tls)
        return tb_tls_read(l->tls, data, room);
    ssize_t n = recv(l->fd, data, room, 0);
    return n < 0 ? -errno : n;
}

/* False: the connection failed. */
static bool flush(struct tb_relay_link *l, uint64_t now_us)
{
    while (l->out_len > 0) {
        ssize_t n = transmit(l, l->out, l->out_len);
        if (n == -EAGAIN || n == -EINTR)
            return true;
        if (n < 0) {
            fail_on_error(l, now_us, (int) n);
            return false;
        }
        l->out_len -= (size_t) n;
        memmove(l->out, l->out + n, l->out_len);
    }
    return true;
}

static void ping(struct tb_relay_link *l, uint64_t now_us)
{
    struct tb_relay_ping p = {.client_us = now_us};

    /* Without room the server reads nothing: its silence will tell. */
    l->out_len += tb_relay_ping_put(l->out + l->out_len, OUT_BYTES - l->out_len, TB_RELAY_PING, &p);
    l->pings++;
    l->due_us = now_us + TB_RELAY_LINK_PING_US;
    flush(l, now_us);
}

/* --- sessions --------------------------------------------------------------------------------- */

static size_t room_for_sessions(const struct tb_relay_link *l)
{
    size_t used = l->out_len + OUT_KEPT_BYTES;

    return used < OUT_BYTES ? OUT_BYTES - used : 0;
}

bool tb_relay_link_register(struct tb_relay_link *l, const struct tb_endpoint *session)
{
    struct tb_relay_gather *g = l->gather;

    if (l->state != TB_RELAY_LINK_RUNNING)
        return false; /* it will be said with all the others */
    l->out_len += tb_relay_gather_come(g, session, l->out + l->out_len, room_for_sessions(l));
    return !g->walks && l->out_len == 0;
}

bool tb_relay_link_unregister(struct tb_relay_link *l, const struct tb_endpoint *session)
{
    struct tb_relay_gather *g = l->gather;

    if (l->state != TB_RELAY_LINK_RUNNING)
        return false;
    l->out_len += tb_relay_gather_go(g, session, l->out + l->out_len, room_for_sessions(l));
    return !g->walks && l->out_len == 0;
}

void tb_relay_link_say_sessions(struct tb_relay_link *l, uint64_t now_us)
{
    struct tb_relay_gather *g = l->gather;

    for (int i = 0; i < SAY_ROUNDS && l->state == TB_RELAY_LINK_RUNNING; i++) {
        l->out_len += tb_relay_gather_write(g, l->out + l->out_len, room_for_sessions(l));
        if (!flush(l, now_us) || l->out_len > 0 || !tb_relay_gather_has_more(g))
            return;
    }
}

/* --- connecting ------------------------------------------------------------------------------- */

static void greet(struct tb_relay_link *l, uint64_t now_us)
{
    struct tb_relay_hello *hello = malloc(sizeof *hello);

    if (!hello) {
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "out of memory");
        return;
    }
    *hello = l->shared->hello;
    hello->connection = l->index;
    l->out_len = tb_relay_hello_put(l->out, OUT_BYTES, hello);
    free(hello);
    l->state = TB_RELAY_LINK_GREETING;
    l->hello_us = now_us;
    flush(l, now_us);
}

static void shake(struct tb_relay_link *l, uint64_t now_us)
{
    int rc = tb_tls_handshake(l->tls);

    if (rc == 0)
        greet(l, now_us);
    else if (rc != -EAGAIN)
        fail_on_error(l, now_us, rc);
}

static void connected(struct tb_relay_link *l, uint64_t now_us)
{
    int one = 1;

    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* PINGs tell the time */
    if (!l->shared->tls) {
        greet(l, now_us);
    } else if (tb_tls_new(l->shared->tls, l->fd, &l->tls) < 0) {
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "out of memory");
    } else {
        l->state = TB_RELAY_LINK_SHAKING;
        shake(l, now_us);
    }
}

void tb_relay_link_adopt(struct tb_relay_link *l, int fd, uint64_t now_us)
{
    l->fd = fd;
    l->due_us = now_us + TB_RELAY_LINK_GREET_US;
    l->heard_us = now_us;
    l->clock = (struct tb_relay_clock){0};
    l->drops = (struct tb_relay_drops){0};
    l->pings = l->pongs = 0;
    connected(l, now_us);
}

/* Begin to connect; called again it says what became of it. 0, -EAGAIN or -errno. */
static int try_connect(const struct tb_relay_link *l)
{
    const struct tb_endpoint *e = &l->peer->endpoint;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htobe16(e->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htobe16(e->port)};
    bool is_v4 = tb_addr_is_v4(&e->addr);

    memcpy(&v4.sin_addr, e->addr.b + 12, 4);
    memcpy(&v6.sin6_addr, e->addr.b, 16);
    int rc = is_v4 ? connect(l->fd, (struct sockaddr *) &v4, sizeof v4)
                   : connect(l->fd, (struct sockaddr *) &v6, sizeof v6);
    if (rc == 0 || errno == EISCONN)
        return 0;
    return errno == EINPROGRESS || errno == EALREADY || errno == EINTR ? -EAGAIN : -errno;
}

static void carry_on_connecting(struct tb_relay_link *l, uint64_t now_us)
{
    int rc = try_connect(l);

    if (rc == 0)
        tb_relay_link_adopt(l, l->fd, now_us);
    else if (rc == -EPIPE || rc == -ECONNRESET) /* it was made, and is over already */
        fail_on_error(l, now_us, rc);
    else if (rc != -EAGAIN)
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "%s", strerror(-rc));
}

static void begin_to_connect(struct tb_relay_link *l, uint64_t now_us)
{
    int family = tb_addr_is_v4(&l->peer->endpoint.addr) ? AF_INET : AF_INET6;

    l->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "cannot make a socket: %s", strerror(errno));
        return;
    }
    l->state = TB_RELAY_LINK_CONNECTING;
    l->due_us = now_us + TB_RELAY_LINK_GREET_US;
    carry_on_connecting(l, now_us);
}

/* --- frames ----------------------------------------------------------------------------------- */

static bool take_welcome(struct tb_relay_link *l, uint64_t now_us, const uint8_t *data, size_t len)
{
    int rc = tb_relay_welcome_get(data, len, &l->welcome);

    if (rc == -EPROTONOSUPPORT)
        fail(l, now_us, TB_RELAY_LINK_REFUSED,
             "it speaks version %u of the channel's protocol, this program up to version %d: use "
             "the "
             "same release at both ends",
             l->welcome.version, TB_RELAY_VERSION);
    else if (rc < 0)
        fail_on_nonsense(l, now_us);
    if (rc < 0)
        return false;
    tb_relay_clock_sample(&l->clock, l->hello_us, now_us, l->welcome.real_us);
    l->state = TB_RELAY_LINK_RUNNING;
    l->up_us = l->due_us = now_us;
    if (l->gather)
        tb_relay_gather_restart(l->gather);
    if (atomic_fetch_add(&l->peer->running, 1) + 1 == l->peer->connections)
        tb_relay_peer_back(l->peer, now_us);
    return true;
}

static bool take_refusal(struct tb_relay_link *l, uint64_t now_us, const uint8_t *data, size_t len)
{
    struct tb_relay_text t;

    if (tb_relay_text_get(data, len, &t) < 0) {
        fail_on_nonsense(l, now_us);
        return false;
    }
    /* The others end when clients go: perhaps the last run of this host, just now. */
    bool for_good = t.code == TB_RELAY_REFUSED_VERSION || t.code == TB_RELAY_REFUSED_HELLO;
    fail(l, now_us, for_good ? TB_RELAY_LINK_REFUSED : TB_RELAY_LINK_TURNED, "it refuses us: %s",
         t.text);
    return false;
}

static bool take_bye(struct tb_relay_link *l, uint64_t now_us, const uint8_t *data, size_t len)
{
    struct tb_relay_text t;

    if (tb_relay_text_get(data, len, &t) < 0)
        fail_on_nonsense(l, now_us);
    else
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "it says goodbye: %s", t.text);
    return false;
}

static bool take_pong(struct tb_relay_link *l, uint64_t now_us, const uint8_t *data, size_t len)
{
    struct tb_relay_ping p;

    if (tb_relay_ping_get(data, len, &p) < 0 || p.client_us < l->hello_us || p.client_us > now_us) {
        fail_on_nonsense(l, now_us);
        return false;
    }
    tb_relay_clock_sample(&l->clock, p.client_us, now_us, p.real_us);
    l->pongs++;
    if (l->pings < BURST_PINGS)
        ping(l, now_us);
    return l->state == TB_RELAY_LINK_RUNNING;
}

static bool take_drops(struct tb_relay_link *l, uint64_t now_us, const uint8_t *data, size_t len)
{
    struct tb_relay_drops d;

    if (tb_relay_drops_get(data, len, &d) < 0 || d.records < l->drops.records ||
        d.capture < l->drops.capture) {
        fail_on_nonsense(l, now_us);
        return false;
    }
    *l->dropped += d.records - l->drops.records;
    if (l->index == 0) /* every connection is told the same number */
        *l->dropped += d.capture - l->drops.capture;
    l->drops = d;
    return true;
}

static bool take_taken(struct tb_relay_link *l, uint64_t now_us, const uint8_t *data, size_t len)
{
    struct tb_endpoint sessions[TB_RELAY_SESSIONS_MAX];
    int count = l->gather ? tb_relay_sessions_get(data, len, sessions) : -EBADMSG;

    if (count < 0) {
        fail_on_nonsense(l, now_us);
        return false;
    }
    l->taken += (uint32_t) count;
    if (count > 0)
        tb_relay_peer_taken(l->peer, now_us, (uint32_t) count, &sessions[0]);
    return true;
}

/* False: the connection is over. */
static bool take_control(struct tb_relay_link *l, uint64_t now_us, uint8_t type,
                         const uint8_t *data, size_t len)
{
    bool running = l->state == TB_RELAY_LINK_RUNNING;

    if (type == TB_RELAY_BYE)
        return take_bye(l, now_us, data, len);
    if (type == TB_RELAY_WELCOME && !running)
        return take_welcome(l, now_us, data, len);
    if (type == TB_RELAY_REFUSED)
        return take_refusal(l, now_us, data, len);
    if (type == TB_RELAY_PONG && running)
        return take_pong(l, now_us, data, len);
    if (type == TB_RELAY_DROPS && running)
        return take_drops(l, now_us, data, len);
    if (type == TB_RELAY_TAKEN && running)
        return take_taken(l, now_us, data, len);
    fail_on_nonsense(l, now_us);
    return false;
}

/* Is a whole frame at `begin`? -EAGAIN: not yet; -EBADMSG. */
static int look_at_frame(const struct tb_relay_link *l, struct tb_relay_head *head)
{
    size_t left = l->end - l->begin;
    int rc = tb_relay_head_get(l->in + l->begin, left, head);

    return rc == 0 && left - TB_RELAY_HEAD < head->len ? -EAGAIN : rc;
}

/* Take frames up to the next one with records. True: there is one, and `reader` is in it. */
static bool enter_records(struct tb_relay_link *l, uint64_t now_us)
{
    struct tb_relay_head head;
    int rc;

    while (l->state >= TB_RELAY_LINK_GREETING && (rc = look_at_frame(l, &head)) != -EAGAIN) {
        const uint8_t *data = l->in + l->begin + TB_RELAY_HEAD;
        bool records = rc == 0 && head.type == TB_RELAY_RECORDS;
        if (rc < 0 || (records && (l->state != TB_RELAY_LINK_RUNNING ||
                                   tb_relay_reader_init(&l->reader, data, head.len) < 0))) {
            fail_on_nonsense(l, now_us);
            return false;
        }
        if (records) {
            l->frame_end = l->begin + TB_RELAY_HEAD + head.len;
            return true;
        }
        if (!take_control(l, now_us, head.type, data, head.len))
            return false;
        l->begin += TB_RELAY_HEAD + head.len;
    }
    return false;
}

bool tb_relay_link_next(struct tb_relay_link *l, uint64_t now_us, struct tb_packet *out)
{
    struct tb_relay_record r;

    while (l->frame_end > 0 || enter_records(l, now_us)) {
        int rc = tb_relay_reader_next(&l->reader, &r);
        if (rc > 0) {
            *out = (struct tb_packet){
                .data = r.data,
                .len = r.len,
                .wire_len = r.wire_len,
                .time_us = tb_relay_clock_to_mono(&l->clock, r.real_us, now_us),
            };
            return true;
        }
        l->begin = l->frame_end;
        l->frame_end = 0;
        if (rc < 0)
            fail_on_nonsense(l, now_us);
    }
    return false;
}

/* --- in --------------------------------------------------------------------------------------- */

static bool has_frames(const struct tb_relay_link *l)
{
    struct tb_relay_head head;

    return l->frame_end > 0 || look_at_frame(l, &head) != -EAGAIN;
}

bool tb_relay_link_has_more(const struct tb_relay_link *l)
{
    bool says = l->gather && l->state == TB_RELAY_LINK_RUNNING && l->out_len == 0 &&
                tb_relay_gather_has_more(l->gather);

    return l->more || has_frames(l) || says;
}

bool tb_relay_link_is_ready(const struct tb_relay_link *l, uint64_t now_us)
{
    return l->state == TB_RELAY_LINK_RUNNING &&
           (l->pongs >= BURST_PINGS || now_us - l->up_us >= BURST_US);
}

/* Read what is there, unless what was read before is still being taken. */
static void take_in(struct tb_relay_link *l, uint64_t now_us)
{
    l->more = true;
    if (has_frames(l))
        return;
    l->end -= l->begin;
    memmove(l->in, l->in + l->begin, l->end);
    l->begin = 0;
    while (l->more && l->end < IN_BYTES) {
        size_t room = IN_BYTES - l->end;
        ssize_t n = receive(l, l->in + l->end, room);
        if (n <= 0 && n != -EAGAIN && n != -EINTR) {
            fail_on_error(l, now_us, n == 0 ? -ECONNRESET : (int) n);
            return;
        }
        /* What a socket gives short of what was asked was all; of TLS it was one record. */
        l->more = n > 0 && ((size_t) n == room || l->tls);
        if (n > 0) {
            l->end += (size_t) n;
            l->heard_us = now_us;
        }
    }
}

/* --- the machine ------------------------------------------------------------------------------ */

static bool is_silent(const struct tb_relay_link *l, uint64_t now_us)
{
    return now_us - l->heard_us >= TB_RELAY_LINK_SILENCE_US && !has_frames(l);
}

/* RUNNING: is the server still there, and does it know that we are? */
static void keep_alive(struct tb_relay_link *l, uint64_t now_us)
{
    if (is_silent(l, now_us))
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "nothing came from it for %d s",
             TB_RELAY_LINK_SILENCE_US / 1000000);
    else if (now_us >= l->due_us)
        ping(l, now_us);
}

void tb_relay_link_drive(struct tb_relay_link *l, uint64_t now_us, bool ready)
{
    if (l->state == TB_RELAY_LINK_DOWN && now_us >= l->due_us)
        begin_to_connect(l, now_us);
    else if (l->state == TB_RELAY_LINK_CONNECTING && ready)
        carry_on_connecting(l, now_us);
    else if (l->state == TB_RELAY_LINK_SHAKING && ready)
        shake(l, now_us);
    /* After we were stopped for long the socket may have what looks like silence: read first. */
    else if (l->state >= TB_RELAY_LINK_GREETING && flush(l, now_us) &&
             (ready || is_silent(l, now_us)))
        take_in(l, now_us);

    if (l->state >= TB_RELAY_LINK_GREETING && l->frame_end == 0)
        enter_records(l, now_us);
    if (l->state == TB_RELAY_LINK_RUNNING)
        keep_alive(l, now_us);
    else if (l->state != TB_RELAY_LINK_DOWN && now_us >= l->due_us)
        fail(l, now_us, TB_RELAY_LINK_ABSENT, "it does not answer");
}

short tb_relay_link_events(const struct tb_relay_link *l)
{
    switch (l->state) {
    case TB_RELAY_LINK_DOWN:
        return 0;
    case TB_RELAY_LINK_CONNECTING:
        return POLLOUT;
    case TB_RELAY_LINK_SHAKING:
        return tb_tls_wants_write(l->tls) ? POLLOUT : POLLIN;
    default:
        return (short) (POLLIN | (l->out_len > 0 ? POLLOUT : 0));
    }
}

int tb_relay_link_init(struct tb_relay_link *l, struct tb_relay_shared *shared, uint32_t peer,
                       uint16_t index, uint64_t *dropped)
{
    *l = (struct tb_relay_link){
        .shared = shared,
        .peer = &shared->peer[peer],
        .index = index,
        .fd = -1,
        .backoff_us = TB_RELAY_LINK_BACKOFF_MIN_US,
        .in = malloc(IN_BYTES),
        .out = malloc(OUT_BYTES),
    };
    l->dropped = dropped;
    memcpy(&l->rng.state, shared->hello.run, sizeof l->rng.state);
    l->rng.state += (uint64_t) peer << 32 | index;
    bool registers = shared->hello.flags & TB_RELAY_WANT_REGISTER;
    if (registers)
        l->gather = calloc(1, sizeof *l->gather);
    return l->in && l->out && (l->gather || !registers) ? 0 : -ENOMEM;
}

void tb_relay_link_fini(struct tb_relay_link *l)
{
    if (l->state == TB_RELAY_LINK_RUNNING) {
        uint8_t *bye = l->out + l->out_len;
        l->out_len += tb_relay_text_put(bye, OUT_BYTES - l->out_len, TB_RELAY_BYE, 0, "the end");
        transmit(l, l->out, l->out_len); /* if it cannot be sent at once, closing says it too */
        if (l->tls)
            tb_tls_shutdown(l->tls);
        atomic_fetch_sub(&l->peer->running, 1);
    }
    disconnect(l);
    free(l->in);
    free(l->out);
    free(l->gather);
    l->in = l->out = NULL;
    l->gather = NULL;
}
