/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection of the server, from its first byte to its last: TLS handshake, hello, frames. Runs
 * in the control thread, called by the event loop. A connection that ends is only marked and taken
 * out of every table; tb_server_conn_reap() frees it outside of its own handlers.
 */
#include "relay/server_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/event.h>
#include "base/clock.h"

enum {
    READS_PER_EVENT = 16, /* then others have their turn */
    INPUT_FIRST_BYTES = 512,
    INPUT_MAX_BYTES = TB_RELAY_HEAD + TB_RELAY_CONTROL_MAX
};

/* --- sending ---------------------------------------------------------------------------------- */

int tb_server_conn_send(struct tb_server_conn *c, const uint8_t *frame, uint32_t len,
                        uint32_t records)
{
    int rc = tb_stream_send(&c->stream, frame, len, records);

    if (rc == 0 || rc == -ENOBUFS || atomic_exchange(&c->flagged, true))
        return rc;
    if (!atomic_exchange(&c->server->kicked, true)) {
        uint64_t one = 1;
        (void) !write(c->server->kick_fd, &one, sizeof one);
    }
    return rc;
}

void tb_server_conn_tell_drops(struct tb_server_conn *c)
{
    struct tb_relay_drops now = {.records = tb_stream_dropped(&c->stream),
                                 .capture = c->server->capture_drops};
    uint8_t frame[64];

    if (c->state != TB_CONN_RUNNING ||
        (now.records == c->told.records && now.capture == c->told.capture))
        return;
    size_t len = tb_relay_drops_put(frame, sizeof frame, &now);
    if (tb_server_conn_send(c, frame, (uint32_t) len, 0) >= 0)
        c->told = now;
}

void tb_server_conn_drain(struct tb_server_conn *c)
{
    int rc = tb_stream_drain(&c->stream);

    if (rc < 0) {
        tb_server_conn_drop(c, strerror(-rc));
        return;
    }
    if (rc == TB_STREAM_WAITS) {
        event_add(c->writable, NULL);
        return;
    }
    event_del(c->writable);
    tb_server_conn_tell_drops(c);
}

/* --- the end ---------------------------------------------------------------------------------- */

void tb_server_conn_drop(struct tb_server_conn *c, const char *why)
{
    struct tb_relay_server *s = c->server;

    if (c->state == TB_CONN_DEAD)
        return;
    if (c->state == TB_CONN_RUNNING)
        tb_server_clients_leave(c, why);
    else
        s->waiting--;
    c->state = TB_CONN_DEAD;
    s->conns[c->place] = NULL;
    if (c->readable)
        event_del(c->readable);
    if (c->writable)
        event_del(c->writable);
    tb_stream_fini(&c->stream);
    c->next_dead = s->dead;
    s->dead = c;
    event_active(s->reap, EV_TIMEOUT, 0);
}

void tb_server_conn_reap(struct tb_relay_server *s)
{
    while (s->dead) {
        struct tb_server_conn *c = s->dead;
        s->dead = c->next_dead;
        if (c->readable)
            event_free(c->readable);
        if (c->writable)
            event_free(c->writable);
        free(c->input.data);
        free(c);
    }
}

void tb_server_conn_reject(struct tb_server_conn *c, enum tb_server_line line, const char *why)
{
    tb_log_limited(&c->server->limit[line], TB_LOG_WARN, "channel: %s: %s; closed", c->peer, why);
    atomic_fetch_add(&c->server->rejected, 1);
    tb_server_conn_drop(c, why);
}

/* Say no, and leave the other end a moment to read it: closing at once could destroy the words. */
static void refuse(struct tb_server_conn *c, int code, const char *text)
{
    uint8_t frame[TB_RELAY_HEAD + 4 + TB_RELAY_TEXT_MAX];
    size_t len = tb_relay_text_put(frame, sizeof frame, TB_RELAY_REFUSED, (uint16_t) code, text);

    tb_log_limited(&c->server->limit[TB_LINE_REFUSED], TB_LOG_WARN, "channel: %s: refused: %s",
                   c->peer, text);
    atomic_fetch_add(&c->server->refused, 1);
    if (c->state == TB_CONN_RUNNING) {
        tb_server_clients_leave(c, text);
        c->server->waiting++;
    }
    c->state = TB_CONN_ENDING;
    c->since_us = c->heard_us;
    (void) tb_server_conn_send(c, frame, (uint32_t) len, 0);
    (void) shutdown(c->stream.fd, SHUT_WR);
}

/* --- frames ----------------------------------------------------------------------------------- */

static void welcome(struct tb_server_conn *c)
{
    uint8_t frame[2048];
    struct tb_relay_welcome w = c->server->options.welcome;

    w.version = c->server->hello.version;
    w.real_us = tb_clock_real_us();
    size_t len = tb_relay_welcome_put(frame, sizeof frame, &w);
    (void) tb_server_conn_send(c, frame, (uint32_t) len, 0);
}

static void on_hello(struct tb_server_conn *c, const uint8_t *data, uint32_t len)
{
    struct tb_relay_hello *hello = &c->server->hello;
    struct tb_err why;
    int rc = tb_relay_hello_get(data, len, hello);

    if (rc == -EPROTONOSUPPORT) {
        (void) tb_err_set(&why, rc,
                          "it speaks version %u of the channel, this end up to version %d; "
                          "run the same release on both hosts",
                          hello->version, TB_RELAY_VERSION);
        refuse(c, TB_RELAY_REFUSED_VERSION, why.text);
        return;
    }
    if (rc < 0) {
        tb_server_conn_reject(c, TB_LINE_GARBAGE, "its hello is malformed");
        return;
    }
    rc = tb_server_clients_join(c, &why);
    if (rc > 0)
        refuse(c, rc, why.text);
    else
        welcome(c);
}

static void on_ping(struct tb_server_conn *c, const struct tb_relay_ping *ping)
{
    uint8_t frame[64];
    struct tb_relay_ping pong = {.client_us = ping->client_us, .real_us = tb_clock_real_us()};
    size_t len = tb_relay_ping_put(frame, sizeof frame, TB_RELAY_PONG, &pong);

    /* A client that does not read its answers gets no more of them. */
    (void) tb_server_conn_send(c, frame, (uint32_t) len, 0);
}

static int on_sessions(struct tb_server_conn *c, uint8_t type, const uint8_t *data, uint32_t len)
{
    struct tb_err why;
    int count = tb_relay_sessions_get(data, len, c->server->sessions_in);

    if (count < 0 || !(c->client->flags & TB_RELAY_WANT_REGISTER))
        return -EBADMSG;
    if (type == TB_RELAY_UNREGISTER) {
        tb_server_clients_unregister(c, (uint32_t) count);
        return 0;
    }
    int rc = tb_server_clients_register(c, (uint32_t) count, &why);
    if (rc > 0)
        refuse(c, rc, why.text);
    return 0;
}

static int on_watch(struct tb_server_conn *c, const uint8_t *data, uint32_t len)
{
    const struct tb_relay_server_options *o = &c->server->options;
    struct tb_relay_watch watch;

    if (tb_relay_watch_get(data, len, &watch) < 0 || !(c->client->flags & TB_RELAY_WANT_WATCH))
        return -EBADMSG;
    if (o->watch && c->watches++ < TB_SERVER_WATCHES)
        o->watch(o->ctx, &watch.client, c->watcher);
    return 0;
}

static void on_bye(struct tb_server_conn *c, const struct tb_relay_text *bye)
{
    char why[TB_RELAY_TEXT_MAX + 8];

    (void) snprintf(why, sizeof why, "bye: %s", bye->text);
    tb_server_conn_drop(c, why);
}

/* A frame of a client. -EBADMSG: not what a client may send. */
static int on_frame(struct tb_server_conn *c, uint8_t type, const uint8_t *data, uint32_t len)
{
    struct tb_relay_ping ping;
    struct tb_relay_text bye;

    switch (type) {
    case TB_RELAY_PING:
        if (tb_relay_ping_get(data, len, &ping) < 0)
            return -EBADMSG;
        on_ping(c, &ping);
        return 0;
    case TB_RELAY_REGISTER:
    case TB_RELAY_UNREGISTER:
        return on_sessions(c, type, data, len);
    case TB_RELAY_WATCH:
        return on_watch(c, data, len);
    case TB_RELAY_BYE:
        if (tb_relay_text_get(data, len, &bye) < 0)
            return -EBADMSG;
        on_bye(c, &bye);
        return 0;
    default:
        return -EBADMSG;
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

/* What the first bytes of somebody who is no client of ours look like. */
static const char *explain_garbage(const struct tb_server_conn *c)
{
    if (c->state == TB_CONN_RUNNING)
        return "it sent what no client may send";
    if (!c->server->tls && c->input.len > 1 && c->input.data[0] == 0x16 && c->input.data[1] == 3)
        return "it speaks TLS, but this end has no --psk-file";
    return "not a client of this channel";
}

/* May the frame that begins here go on? Asked with its head, before its payload is waited for. */
static bool is_due(const struct tb_server_conn *c, const struct tb_relay_head *head)
{
    if (c->state == TB_CONN_HELLO)
        return head->type == TB_RELAY_HELLO;
    return head->type == TB_RELAY_PING || head->type == TB_RELAY_REGISTER ||
           head->type == TB_RELAY_UNREGISTER || head->type == TB_RELAY_WATCH ||
           head->type == TB_RELAY_BYE;
}

/* All whole frames that were read. */
static void take_frames(struct tb_server_conn *c)
{
    uint32_t at = 0;

    while (c->state == TB_CONN_HELLO || c->state == TB_CONN_RUNNING) {
        const uint8_t *data = c->input.data + at;
        uint32_t left = c->input.len - at;
        struct tb_relay_head head;
        int rc = tb_relay_head_get(data, left, &head);

        if (rc == -EAGAIN)
            break;
        if (rc < 0 || !is_due(c, &head)) {
            tb_server_conn_reject(c, TB_LINE_GARBAGE, explain_garbage(c));
            return;
        }
        if (left < TB_RELAY_HEAD + head.len)
            break;
        at += TB_RELAY_HEAD + head.len;
        if (c->state == TB_CONN_HELLO) {
            on_hello(c, data + TB_RELAY_HEAD, head.len);
        } else if (on_frame(c, head.type, data + TB_RELAY_HEAD, head.len) < 0) {
            tb_server_conn_reject(c, TB_LINE_GARBAGE, explain_garbage(c));
            return;
        }
    }
    if (c->state == TB_CONN_DEAD)
        return;
    if (c->state == TB_CONN_ENDING)
        at = c->input.len;
    memmove(c->input.data, c->input.data + at, c->input.len - at);
    c->input.len -= at;
}

/* Room for more, which grows only with what was really sent; 0 or -ENOMEM. */
static int make_room(struct tb_server_conn *c)
{
    uint32_t room = c->input.room ? 2 * c->input.room : INPUT_FIRST_BYTES;

    if (c->input.len == 0 && c->input.room > TB_SERVER_INPUT_KEPT) {
        free(c->input.data);
        c->input.data = NULL;
        room = INPUT_FIRST_BYTES;
    } else if (c->input.len < c->input.room) {
        return 0;
    }
    room = room < INPUT_MAX_BYTES ? room : INPUT_MAX_BYTES;
    uint8_t *data = realloc(c->input.data, room);
    if (!data)
        return -ENOMEM;
    c->input.data = data;
    c->input.room = room;
    return 0;
}

/* The other end closed, or the connection broke. */
static void lost(struct tb_server_conn *c, int rc)
{
    if (c->state == TB_CONN_HELLO)
        tb_server_conn_reject(c, TB_LINE_NO_HELLO, "it went without a hello");
    else
        tb_server_conn_drop(c, rc == 0 ? "it closed the connection" : strerror(-rc));
}

/* 1: there may be more; 0: not now. */
static int read_once(struct tb_server_conn *c)
{
    if (make_room(c) < 0) {
        tb_server_conn_drop(c, "no memory");
        return 0;
    }
    ssize_t n =
        tb_stream_read(&c->stream, c->input.data + c->input.len, c->input.room - c->input.len);
    if (n == -EAGAIN)
        return 0;
    if (n <= 0) {
        lost(c, (int) n);
        return 0;
    }
    c->input.len += (uint32_t) n;
    if (c->state != TB_CONN_ENDING)
        c->heard_us = tb_clock_mono_us();
    take_frames(c);
    return c->state != TB_CONN_DEAD;
}

static void shake_hands(struct tb_server_conn *c)
{
    int rc = tb_tls_handshake(c->stream.tls);

    if (rc == 0)
        c->state = TB_CONN_HELLO;
    if (rc == -EAGAIN && tb_tls_wants_write(c->stream.tls))
        event_add(c->writable, NULL);
    else
        event_del(c->writable);
    if (rc == 0 || rc == -EAGAIN)
        return;
    if (rc == -EACCES)
        tb_server_conn_reject(c, TB_LINE_KEY, "its key (--psk-file) is not ours");
    else if (rc == -EPROTO)
        tb_server_conn_reject(c, TB_LINE_TLS,
                              "it does not speak TLS with a key: no client, or one without "
                              "--psk-file");
    else
        tb_server_conn_reject(c, TB_LINE_NO_HELLO, "it went during the TLS handshake");
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct tb_server_conn *c = arg;
    int more = 1;

    if (c->state == TB_CONN_HANDSHAKE)
        shake_hands(c);
    if (c->state == TB_CONN_HANDSHAKE || c->state == TB_CONN_DEAD)
        return;
    for (int i = 0; i < READS_PER_EVENT && more; i++)
        more = read_once(c);
    /* TLS may hold bytes that the socket does not announce again. */
    if (more)
        event_active(c->readable, EV_READ, 0);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct tb_server_conn *c = arg;

    if (c->state == TB_CONN_HANDSHAKE)
        on_readable(fd, what, c);
    else
        tb_server_conn_drain(c);
}

int tb_server_conn_new(struct tb_relay_server *s, int fd, const struct tb_addr *addr, uint16_t port,
                       uint64_t now_us)
{
    struct tb_endpoint peer = {.addr = *addr, .port = port};
    struct tb_server_conn *c = calloc(1, sizeof *c);
    struct tb_tls *tls = NULL;
    uint32_t place = 0;

    if (!c || (s->tls && tb_tls_new(s->tls, fd, &tls) < 0)) {
        free(c);
        (void) close(fd);
        return -ENOMEM;
    }
    while (s->conns[place])
        place++;
    c->server = s;
    c->place = place;
    c->state = tls ? TB_CONN_HANDSHAKE : TB_CONN_HELLO;
    c->addr = *addr;
    tb_endpoint_format(&peer, c->peer);
    c->since_us = c->heard_us = now_us;
    c->watcher = ++s->watchers;
    tb_stream_init(&c->stream, &s->memory, fd, tls);
    s->conns[place] = c;
    s->waiting++;
    c->readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(s->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    if (!c->readable || !c->writable || event_add(c->readable, NULL) < 0) {
        tb_server_conn_drop(c, "no memory");
        return -ENOMEM;
    }
    return 0;
}
