/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client end of the intercept channel; see client.h. An instance sleeps for its connections
 * (client_link.c), hands up what they read, and with several servers leaves out what another one
 * brought already (client_once.c).
 */
#include "relay/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "io/backend.h"
#include "relay/client_link.h"
#include "relay/client_once.h"

enum {
    TURNED_PATIENCE_US = 1000000, /* for an earlier run to be forgotten */
    GLANCE_US = 10000             /* how often links are looked at while they get ready */
};

struct client_io {
    struct tb_io io; /* first: see struct tb_io */
    struct tb_relay_shared *shared;
    struct tb_relay_once *once; /* NULL with one server */
    uint64_t duplicates;
    int wake_fd;
    bool polled;          /* `polls` tell which sockets are ready; else any may be */
    uint32_t turn;        /* which link comes first */
    uint32_t links;       /* room for them all is allocated, so many are initialised */
    struct pollfd *polls; /* of the links, then wake_fd, then also_fd */
    struct tb_relay_link link[];
};

/* --- the run ---------------------------------------------------------------------------------- */

static void drive(struct client_io *c, uint64_t now_us)
{
    for (uint32_t i = 0; i < c->links; i++)
        tb_relay_link_drive(&c->link[i], now_us,
                            !c->polled || c->polls[i].revents || c->link[i].more);
    c->polled = false;
}

/* Packets of one link, from packets[count] on; the new count. */
static uint32_t hand_out(struct client_io *c, struct tb_relay_link *l, uint64_t now_us,
                         struct tb_packet *packets, uint32_t count, uint32_t max)
{
    while (count < max && tb_relay_link_next(l, now_us, &packets[count])) {
        const struct tb_packet *p = &packets[count];
        uint32_t server = (uint32_t) (l->peer - c->shared->peer);
        if (c->once && !tb_relay_once_is_new(c->once, server, p->data, p->len, p->wire_len, now_us))
            c->duplicates++;
        else
            count++;
    }
    return count;
}

static uint32_t client_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct client_io *c = (struct client_io *) io;
    uint64_t now_us = tb_clock_mono_us();
    uint32_t count = 0;

    drive(c, now_us);
    c->turn++;
    for (uint32_t i = 0; i < c->links; i++)
        count = hand_out(c, &c->link[(c->turn + i) % c->links], now_us, packets, count, max);
    io->counters.received += count;
    return count;
}

static void client_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    (void) frames;
    io->counters.other_errors += count; /* receives only: tb_io_join() adds a sender */
}

/* What the links of an instance wait for, and until when (at the latest `until_us`). */
static uint64_t prepare_sleep(const struct client_io *c, uint64_t now_us, uint64_t until_us,
                              struct pollfd *polls)
{
    for (uint32_t i = 0; i < c->links; i++) {
        const struct tb_relay_link *l = &c->link[i];
        if (tb_relay_link_has_more(l))
            until_us = now_us;
        if (l->due_us < until_us)
            until_us = l->due_us;
        polls[i] = (struct pollfd){.fd = l->fd, .events = tb_relay_link_events(l)};
    }
    return until_us;
}

/* True when `polls` are filled in. */
static bool sleep_until(uint64_t now_us, uint64_t until_us, struct pollfd *polls, uint32_t count)
{
    if (until_us <= now_us)
        return false;
    uint64_t us = until_us - now_us;
    struct timespec ts = {(time_t) (us / 1000000), (long) (us % 1000000) * 1000};
    return ppoll(polls, count, until_us == UINT64_MAX ? NULL : &ts, NULL) >= 0;
}

static void client_wait(struct tb_io *io, uint64_t timeout_us)
{
    struct client_io *c = (struct client_io *) io;
    uint64_t now_us = tb_clock_mono_us();
    uint64_t until_us = timeout_us < UINT64_MAX - now_us ? now_us + timeout_us : UINT64_MAX;
    struct pollfd *wake = &c->polls[c->links], *also = wake + 1;

    until_us = prepare_sleep(c, now_us, until_us, c->polls);
    *wake = (struct pollfd){.fd = c->wake_fd, .events = POLLIN};
    *also = tb_backend_also(io);
    c->polled = sleep_until(now_us, until_us, c->polls, c->links + 2);
    if (c->polled && wake->revents) {
        uint64_t wakes;
        ssize_t got = read(c->wake_fd, &wakes, sizeof wakes);
        (void) got; /* non-blocking */
    }
}

static void client_wake(struct tb_io *io)
{
    tb_backend_wake(((struct client_io *) io)->wake_fd);
}

static void shared_leave(struct tb_relay_shared *s)
{
    if (--s->users)
        return;
    tb_tls_context_free(s->tls);
    free(s);
}

static void client_close(struct tb_io *io)
{
    struct client_io *c = (struct client_io *) io;

    for (uint32_t i = 0; i < c->links; i++)
        tb_relay_link_fini(&c->link[i]);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    tb_relay_once_free(c->once);
    shared_leave(c->shared);
    free(c->polls);
    free(c);
}

static const struct tb_io_ops client_ops = {
    .name = "relay",
    .recv = client_recv,
    .send = client_send,
    .wait = client_wait,
    .wake = client_wake,
    .close = client_close,
};

void tb_relay_client_figures(const struct tb_io *io, struct tb_relay_client_figures *out)
{
    const struct client_io *c = (const struct client_io *) io;

    *out = (struct tb_relay_client_figures){.duplicates = c->duplicates, .connections = c->links};
    for (uint32_t i = 0; i < c->links; i++) {
        const struct tb_relay_link *l = &c->link[i];
        out->losses += l->losses;
        out->taken += l->taken;
        out->delayed += l->gather ? l->gather->delayed : 0;
        out->connected += l->state == TB_RELAY_LINK_RUNNING;
        if (l->clock.error_us > out->clock_error_us)
            out->clock_error_us = l->clock.error_us;
    }
}

/* --- registered sessions ---------------------------------------------------------------------- */

void tb_relay_client_walk(struct tb_io *io, tb_relay_walk_fn *walk, void *ctx)
{
    struct client_io *c = (struct client_io *) io;
    uint32_t columns = c->links / c->shared->peer_count;

    for (uint32_t i = 0; i < c->links; i++) {
        struct tb_relay_gather *g = c->link[i].gather;
        g->walk = walk;
        g->ctx = ctx;
        g->column = i % columns;
        g->columns = columns;
    }
}

/* Tell each server, by the one of our connections to it that speaks for the session. */
static int tell(struct tb_io *io, const struct tb_addr *client, uint16_t port,
                bool (*say)(struct tb_relay_link *l, const struct tb_endpoint *session))
{
    struct client_io *c = (struct client_io *) io;
    uint32_t columns = c->links / c->shared->peer_count;
    struct tb_endpoint session = {*client, port};
    bool heard = false;

    for (uint32_t i = tb_relay_gather_column(&session, columns); i < c->links; i += columns)
        heard |= say(&c->link[i], &session);
    return heard ? 0 : -EAGAIN;
}

int tb_relay_client_register(struct tb_io *io, const struct tb_addr *client, uint16_t port)
{
    return tell(io, client, port, tb_relay_link_register);
}

int tb_relay_client_unregister(struct tb_io *io, const struct tb_addr *client, uint16_t port)
{
    return tell(io, client, port, tb_relay_link_unregister);
}

void tb_relay_client_flush(struct tb_io *io)
{
    struct client_io *c = (struct client_io *) io;
    uint64_t now_us = 0;

    for (uint32_t i = 0; i < c->links; i++) {
        struct tb_relay_link *l = &c->link[i];
        if (l->state != TB_RELAY_LINK_RUNNING || !tb_relay_gather_has_more(l->gather))
            continue;
        now_us = now_us ? now_us : tb_clock_mono_us();
        tb_relay_link_say_sessions(l, now_us);
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

static int fill_hello(struct tb_relay_hello *h, const struct tb_relay_client_setup *s,
                      uint32_t connections, struct tb_err *err)
{
    if (s->client_count > TB_RELAY_RANGES_MAX)
        return tb_err_set(err, -E2BIG,
                          "%u client ranges are too many for an intercept channel: give at most "
                          "%d, larger ones",
                          s->client_count, TB_RELAY_RANGES_MAX);
    if (connections > TB_RELAY_CONNECTIONS_MAX)
        return tb_err_set(err, -E2BIG, "%u workers are too many for an intercept channel (%d)",
                          s->workers, TB_RELAY_CONNECTIONS_MAX);
    h->flags = (s->payload ? TB_RELAY_WANT_PAYLOAD : 0u) | (s->single ? TB_RELAY_WANT_SINGLE : 0u) |
               (s->registers ? TB_RELAY_WANT_REGISTER : 0u);
    h->version = s->registers ? TB_RELAY_VERSION : TB_RELAY_VERSION_FIRST;
    h->connections = (uint16_t) connections;
    snprintf(h->name, sizeof h->name, "%s", s->name);
    h->range_count = s->client_count;
    for (uint32_t i = 0; i < s->client_count; i++)
        h->range[i] = (struct tb_relay_range){s->clients[i].first, s->clients[i].count};
    h->target_count = s->target_count > TB_RELAY_TARGETS_MAX ? 0 : s->target_count;
    for (uint32_t i = 0; i < h->target_count; i++)
        h->target[i] = s->targets[i];
    if (getrandom(h->run, sizeof h->run, 0) != (ssize_t) sizeof h->run)
        return tb_err_set(err, -EIO, "no random numbers from the kernel");
    return 0;
}

static int shared_new(const struct tb_relay_client_setup *s, uint32_t connections,
                      struct tb_relay_shared **out, struct tb_err *err)
{
    if (s->server_count == 0 || s->server_count > TB_RELAY_SERVERS_MAX)
        return tb_err_set(err, -E2BIG, "%u intercept servers: there may be 1 to %d",
                          s->server_count, TB_RELAY_SERVERS_MAX);
    struct tb_relay_shared *sh =
        calloc(1, sizeof *sh + s->server_count * sizeof(struct tb_relay_peer));
    if (!sh)
        return tb_err_set(err, -ENOMEM, "out of memory");
    int rc = fill_hello(&sh->hello, s, connections, err);
    if (rc == 0 && s->psk_file)
        rc = tb_tls_context_new(TB_TLS_CLIENT, s->psk_file, &sh->tls, err);
    if (rc < 0) {
        free(sh);
        return rc;
    }
    sh->users = 1; /* the caller, until all instances are open */
    sh->peer_count = s->server_count;
    for (uint32_t i = 0; i < s->server_count; i++) {
        struct tb_relay_peer *p = &sh->peer[i];
        p->endpoint = s->servers[i];
        p->connections = connections;
        tb_endpoint_format(&p->endpoint, p->name);
    }
    *out = sh;
    return 0;
}

/* The instance of `worker`, with every workers-th connection of each server. */
static int instance_new(struct tb_relay_shared *sh, uint32_t worker, uint32_t workers,
                        struct client_io **out)
{
    uint32_t each = sh->hello.connections / workers, links = each * sh->peer_count;
    struct client_io *c = calloc(1, sizeof *c + links * sizeof c->link[0]);
    int rc = 0;

    if (!c)
        return -ENOMEM;
    *out = c;
    c->io.ops = &client_ops;
    c->shared = sh;
    sh->users++;
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    c->polls = calloc(links + 2, sizeof *c->polls);
    if (sh->peer_count > 1 && !(c->once = tb_relay_once_new(sh->hello.run)))
        return -ENOMEM;
    if (c->wake_fd < 0 || !c->polls)
        return c->polls ? -errno : -ENOMEM;
    for (uint32_t i = 0; i < links && rc == 0; i++) {
        uint16_t index = (uint16_t) (worker + i % each * workers);
        rc = tb_relay_link_init(&c->link[c->links++], sh, i / each, index, &c->io.counters.dropped);
    }
    return rc;
}

/* Why the link keeps the run from beginning; 0: it may yet become something. */
static int verdict_on(const struct tb_relay_link *l, uint64_t waited_us, uint64_t patience_us,
                      struct tb_err *err)
{
    const char *name = l->peer->name;

    if (l->state == TB_RELAY_LINK_RUNNING)
        return 0;
    bool heard = l->words.text[0];
    bool turned = heard && l->why != TB_RELAY_LINK_ABSENT;
    if (turned && (l->why == TB_RELAY_LINK_REFUSED || waited_us >= TURNED_PATIENCE_US ||
                   waited_us >= patience_us))
        return tb_err_set(err, -EACCES, "intercept server %s cannot be used: %s", name,
                          l->words.text);
    if (waited_us < patience_us)
        return 0;
    return tb_err_set(err, -EHOSTUNREACH,
                      "no intercept server at %s: %s; start intercept there, and see that no "
                      "firewall closes port %u to this host",
                      name, heard ? l->words.text : "it does not answer", l->peer->endpoint.port);
}

/* Wait until all connections of all instances are ready. */
static int await_welcomes(struct tb_io **ios, uint32_t count, struct pollfd *polls,
                          uint64_t patience_us, struct tb_err *err)
{
    uint64_t begin_us = tb_clock_mono_us();

    for (;;) {
        uint64_t now_us = tb_clock_mono_us(), until_us = now_us + GLANCE_US;
        uint32_t links = 0, ready = 0;
        for (uint32_t w = 0; w < count; w++) {
            struct client_io *c = (struct client_io *) ios[w];
            drive(c, now_us);
            for (uint32_t i = 0; i < c->links; i++) {
                int rc = verdict_on(&c->link[i], now_us - begin_us, patience_us, err);
                if (rc < 0)
                    return rc;
                ready += tb_relay_link_is_ready(&c->link[i], now_us);
            }
            until_us = prepare_sleep(c, now_us, until_us, polls + links);
            links += c->links;
        }
        if (ready == links)
            return 0;
        sleep_until(now_us, until_us, polls, links);
    }
}

static void copy_welcomes(const struct client_io *c, struct tb_relay_welcome *welcomes)
{
    for (uint32_t i = 0; i < c->links; i++)
        welcomes[c->link[i].peer - c->shared->peer] = c->link[i].welcome;
}

int tb_relay_client_open(const struct tb_relay_client_setup *s, struct tb_io **out,
                         struct tb_relay_welcome *welcomes, struct tb_err *err)
{
    uint32_t each = s->channels > s->workers ? s->channels / s->workers : 1, opened = 0;
    struct tb_relay_shared *sh = NULL;
    int rc = shared_new(s, s->workers * each, &sh, err);

    if (!sh)
        return rc;
    struct pollfd *polls = calloc((size_t) s->workers * each * s->server_count, sizeof *polls);
    rc = polls ? 0 : -ENOMEM;
    while (opened < s->workers && rc == 0) {
        struct client_io *c = NULL;
        rc = instance_new(sh, opened, s->workers, &c);
        if (c)
            out[opened++] = &c->io;
    }
    if (rc < 0)
        tb_err_set(err, rc, "cannot prepare the intercept channel: %s", strerror(-rc));
    else
        rc = await_welcomes(out, opened, polls, s->patience_us, err);
    if (rc == 0 && welcomes)
        copy_welcomes((struct client_io *) out[0], welcomes);
    while (rc < 0 && opened)
        client_close(out[--opened]);
    shared_leave(sh);
    free(polls);
    return rc;
}
