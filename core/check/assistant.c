/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections to intercept servers for a check; see assistant.h. One thread, a handful of frames:
 * each step waits for its socket with poll().
 */
#include "check/assistant.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { BUF_BYTES = 2 * (TB_RELAY_HEAD + TB_RELAY_PAYLOAD_MAX), HELLO_ROOM = 4096 };

/* --- bytes ------------------------------------------------------------------------------------ */

static int wait_ready(int fd, short events, uint64_t until_us)
{
    struct pollfd p = {.fd = fd, .events = events};
    uint64_t now_us = tb_clock_mono_us();

    if (now_us >= until_us)
        return -ETIMEDOUT;
    int n = poll(&p, 1, (int) ((until_us - now_us + 999) / 1000));
    return n > 0 || (n < 0 && errno == EINTR) ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

static ssize_t stream_read(struct tb_assistant *a, void *data, size_t room)
{
    if (a->tls)
        return tb_tls_read(a->tls, data, room);
    ssize_t n = recv(a->fd, data, room, 0);
    return n < 0 ? -errno : n;
}

static ssize_t stream_write(struct tb_assistant *a, const void *data, size_t len)
{
    if (a->tls)
        return tb_tls_write(a->tls, data, len);
    ssize_t n = send(a->fd, data, len, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static short awaited(const struct tb_assistant *a, short otherwise)
{
    if (!a->tls)
        return otherwise;
    return tb_tls_wants_write(a->tls) ? POLLOUT : POLLIN;
}

static int write_all(struct tb_assistant *a, const uint8_t *data, size_t len, uint64_t until_us)
{
    while (len) {
        ssize_t n = stream_write(a, data, len);
        if (n > 0) {
            data += n;
            len -= (size_t) n;
            continue;
        }
        int rc = n == -EAGAIN ? wait_ready(a->fd, awaited(a, POLLOUT), until_us) : (int) n;
        if (rc)
            return rc;
    }
    return 0;
}

/* More bytes into the buffer: 0, -EAGAIN when there are none now, or how the connection ended. */
static int fill(struct tb_assistant *a)
{
    memmove(a->buf, a->buf + a->begin, a->end - a->begin);
    a->end -= a->begin;
    a->begin = 0;
    ssize_t n = stream_read(a, a->buf + a->end, BUF_BYTES - a->end);
    if (n == 0)
        return -ECONNRESET;
    if (n < 0)
        return (int) n;
    a->end += (uint32_t) n;
    return 0;
}

/* The next whole frame of what is in the buffer: 1; 0: not yet; -EBADMSG. */
static int next_frame(struct tb_assistant *a, struct tb_relay_head *head, const uint8_t **payload)
{
    int rc = tb_relay_head_get(a->buf + a->begin, a->end - a->begin, head);

    if (rc)
        return rc == -EAGAIN ? 0 : rc;
    if (a->end - a->begin < TB_RELAY_HEAD + head->len)
        return 0;
    *payload = a->buf + a->begin + TB_RELAY_HEAD;
    a->begin += TB_RELAY_HEAD + head->len;
    return 1;
}

/* --- greeting --------------------------------------------------------------------------------- */

static int connect_to(struct tb_assistant *a, uint64_t until_us)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(a->at.port)};
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->at.port)};
    bool v4 = tb_addr_is_v4(&a->at.addr);
    int error = 0;
    socklen_t len = sizeof error;

    a->fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd < 0)
        return -errno;
    memcpy(&sin.sin_addr, a->at.addr.b + 12, 4);
    memcpy(&sin6.sin6_addr, a->at.addr.b, 16);
    int rc = v4 ? connect(a->fd, (const struct sockaddr *) &sin, sizeof sin)
                : connect(a->fd, (const struct sockaddr *) &sin6, sizeof sin6);
    if (rc == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    rc = wait_ready(a->fd, POLLOUT, until_us);
    if (!rc && getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len))
        rc = -errno;
    return rc ? rc : -error;
}

static int encrypt(struct tb_assistant *a, struct tb_tls_context *context, uint64_t until_us)
{
    int rc = tb_tls_new(context, a->fd, &a->tls);

    while (!rc && (rc = tb_tls_handshake(a->tls)) == -EAGAIN)
        rc = wait_ready(a->fd, awaited(a, POLLIN), until_us);
    return rc;
}

static int say_hello(struct tb_assistant *a, const struct tb_addr *clients, uint32_t count,
                     uint64_t until_us)
{
    struct tb_relay_hello *hello = calloc(1, sizeof *hello);
    uint8_t out[HELLO_ROOM];

    if (!hello)
        return -ENOMEM;
    hello->version = TB_RELAY_VERSION_FIRST;
    hello->flags = TB_RELAY_WANT_WATCH;
    hello->connections = 1;
    snprintf(hello->name, sizeof hello->name, "tcpburn --check %ld", (long) getpid());
    for (uint32_t i = 0; i < count && i < TB_ASSISTANT_CLIENTS_MAX; i++)
        hello->range[hello->range_count++] = (struct tb_relay_range){clients[i], 1};
    int rc = getrandom(hello->run, sizeof hello->run, 0) == sizeof hello->run ? 0 : -EIO;
    size_t len = tb_relay_hello_put(out, sizeof out, hello);
    free(hello);
    return rc ? rc : write_all(a, out, len, until_us);
}

/* A refusal in its words. */
static int refused(struct tb_assistant *a, const uint8_t *payload, uint32_t len)
{
    struct tb_relay_text text;

    if (tb_relay_text_get(payload, len, &text))
        return -EPROTO;
    snprintf(a->refusal, sizeof a->refusal, "%s", text.text);
    return text.code == TB_RELAY_REFUSED_VERSION ? -EPROTONOSUPPORT : -EPERM;
}

/* The next frame, waited for. 0 or -errno. */
static int await_frame(struct tb_assistant *a, struct tb_relay_head *head, const uint8_t **payload,
                       uint64_t until_us)
{
    for (;;) {
        int rc = next_frame(a, head, payload);
        if (rc)
            return rc == 1 ? 0 : -EPROTO;
        rc = fill(a);
        if (rc == -EAGAIN)
            rc = wait_ready(a->fd, awaited(a, POLLIN), until_us);
        /* Closed without a word: one end speaks TLS, the other does not, or it is no intercept. */
        if (rc == -ECONNRESET)
            return a->tls ? -EACCES : -EPROTO;
        if (rc)
            return rc;
    }
}

static int await_welcome(struct tb_assistant *a, uint64_t until_us)
{
    struct tb_relay_head head;
    const uint8_t *payload;

    int rc = await_frame(a, &head, &payload, until_us);
    if (rc)
        return rc;
    if (head.type == TB_RELAY_REFUSED)
        return refused(a, payload, head.len);
    if (head.type != TB_RELAY_WELCOME)
        return -EPROTO;
    rc = tb_relay_welcome_get(payload, head.len, &a->welcome);
    return rc == -EBADMSG ? -EPROTO : rc;
}

static void take_seen(struct tb_assistant *a, const uint8_t *payload, uint32_t len)
{
    struct tb_relay_seen seen;

    if (tb_relay_seen_get(payload, len, &seen) == 0 && a->seen_count < TB_ASSISTANT_SEEN_MAX)
        a->seen[a->seen_count++] = seen;
}

/* The server does one thing after the other: when it has answered, it watches. */
static int await_watching(struct tb_assistant *a, uint64_t until_us)
{
    struct tb_relay_head head = {0};
    const uint8_t *payload;
    uint8_t out[64];

    size_t len = tb_relay_ping_put(out, sizeof out, TB_RELAY_PING, &(struct tb_relay_ping){0});
    int rc = write_all(a, out, len, until_us);
    while (!rc && head.type != TB_RELAY_PONG) {
        rc = await_frame(a, &head, &payload, until_us);
        if (!rc && head.type == TB_RELAY_SEEN)
            take_seen(a, payload, head.len);
    }
    return rc;
}

static int ask_to_watch(struct tb_assistant *a, const struct tb_addr *clients, uint32_t count,
                        uint64_t until_us)
{
    uint8_t out[128];
    int rc = 0;

    for (uint32_t i = 0; i < count && !rc; i++) {
        size_t len =
            tb_relay_watch_put(out, sizeof out, &(struct tb_relay_watch){.client = clients[i]});
        rc = write_all(a, out, len, until_us);
    }
    return rc ? rc : await_watching(a, until_us);
}

static int greet(struct tb_assistant *a, struct tb_tls_context *context,
                 const struct tb_addr *clients, uint32_t count, uint64_t until_us)
{
    int rc = connect_to(a, until_us);

    if (!rc && context)
        rc = encrypt(a, context, until_us);
    if (!rc)
        rc = say_hello(a, clients, count, until_us);
    if (!rc || rc == -EPIPE || rc == -ECONNRESET) /* it may have refused us before the hello */
        rc = await_welcome(a, until_us);
    if (!rc)
        rc = ask_to_watch(a, clients, count, until_us);
    return rc;
}

/* --- what they bring -------------------------------------------------------------------------- */

static uint32_t take_records(const uint8_t *payload, uint32_t len, struct tb_packet *packets,
                             uint32_t max)
{
    struct tb_relay_reader reader;
    struct tb_relay_record record;
    uint32_t count = 0;

    if (tb_relay_reader_init(&reader, payload, len))
        return 0;
    while (count < max && tb_relay_reader_next(&reader, &record) == 1)
        packets[count++] =
            (struct tb_packet){.data = record.data, .len = record.len, .wire_len = record.wire_len};
    return count;
}

/* Frames of one server; packets stay in its buffer, so that nothing is read while some are out. */
static uint32_t receive(struct tb_assistant *a, struct tb_packet *packets, uint32_t max)
{
    struct tb_relay_head head;
    const uint8_t *payload;
    uint32_t count = 0;
    int rc;

    if (a->error || a->closed)
        return 0;
    do
        rc = fill(a);
    while (!rc && a->end < BUF_BYTES);
    a->closed = rc && rc != -EAGAIN;
    while ((rc = next_frame(a, &head, &payload)) == 1) {
        if (head.type == TB_RELAY_SEEN)
            take_seen(a, payload, head.len);
        else if (head.type == TB_RELAY_RECORDS)
            count += take_records(payload, head.len, packets + count, max - count);
    }
    a->closed |= rc < 0;
    return count;
}

static uint32_t assistants_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct tb_assistants *a = (struct tb_assistants *) io;
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->count; i++)
        count += receive(&a->item[i], packets + count, max - count);
    return count;
}

static void assistants_wait(struct tb_io *io, uint64_t timeout_us)
{
    struct tb_assistants *a = (struct tb_assistants *) io;
    struct pollfd p[TB_ASSISTANTS_MAX];
    nfds_t n = 0;

    for (uint32_t i = 0; i < a->count; i++)
        if (!a->item[i].error && !a->item[i].closed)
            p[n++] = (struct pollfd){.fd = a->item[i].fd, .events = POLLIN};
    poll(p, n, (int) (timeout_us / 1000) + 1);
}

void tb_assistants_listen(struct tb_assistants *a, uint64_t timeout_us)
{
    uint64_t until_us = tb_clock_mono_us() + timeout_us;
    struct tb_packet packets[64];

    for (;;) {
        assistants_recv(&a->io, packets, sizeof packets / sizeof *packets);
        uint64_t now_us = tb_clock_mono_us();
        if (now_us >= until_us)
            return;
        assistants_wait(&a->io, until_us - now_us);
    }
}

/* --- all of them ------------------------------------------------------------------------------ */

/* Closing is the caller's, who owns the struct: tb_io_close() of a joined instance comes here. */
static void assistants_io_close(struct tb_io *io)
{
    (void) io;
}

static const struct tb_io_ops assistants_ops = {.name = "assistants",
                                                .recv = assistants_recv,
                                                .wait = assistants_wait,
                                                .close = assistants_io_close};

int tb_assistants_open(struct tb_assistants *a, const char *psk_file, const struct tb_addr *clients,
                       uint32_t client_count, uint64_t patience_us, struct tb_err *err)
{
    a->io.ops = &assistants_ops;
    a->opened = true;
    for (uint32_t i = 0; i < a->count; i++)
        a->item[i].fd = -1;
    int rc = psk_file ? tb_tls_context_new(TB_TLS_CLIENT, psk_file, &a->tls, err) : 0;
    for (uint32_t i = 0; i < a->count && !rc; i++) {
        struct tb_assistant *item = &a->item[i];
        item->buf = malloc(BUF_BYTES);
        if (!item->buf)
            return tb_err_set(err, -ENOMEM, "out of memory");
        item->error = greet(item, a->tls, clients, client_count, tb_clock_mono_us() + patience_us);
    }
    return rc;
}

void tb_assistants_close(struct tb_assistants *a)
{
    for (uint32_t i = 0; a->opened && i < a->count; i++) {
        struct tb_assistant *item = &a->item[i];
        tb_tls_free(item->tls);
        if (item->fd >= 0)
            close(item->fd);
        free(item->buf);
    }
    tb_tls_context_free(a->tls);
    a->opened = false;
    a->tls = NULL;
}
