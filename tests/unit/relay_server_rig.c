/* SPDX-License-Identifier: BSD-2-Clause */
/* See relay_server_rig.h. */
#include "relay_server_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "packet/frame.h"

/* Patience with the kernel, far beyond what it needs. */
enum { WAITS_MAX = 20000 };

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "relay_server_rig: %s: %s\n", what, strerror(errno));
    abort();
}

static void on_wanted(void *ctx, const struct tb_relay_wish *wish)
{
    struct rrig *r = ctx;

    r->wanted_calls++;
    r->wanted_count = wish->range_count;
    r->wanted_registers = wish->registers;
    r->wanted_payload = wish->payload;
    r->wanted_targets = wish->target_count;
    for (uint32_t i = 0; i < wish->range_count && i < RRIG_WANTED; i++)
        r->wanted[i] = wish->ranges[i];
    for (uint32_t i = 0; i < wish->target_count && i < RRIG_WANTED; i++)
        r->wanted_target[i] = wish->targets[i];
}

static void on_watch(void *ctx, const struct tb_addr *client, uint64_t watcher)
{
    struct rrig *r = ctx;

    r->watches++;
    r->watched = *client;
    r->watcher = watcher;
}

void rrig_init(struct rrig *r)
{
    *r = (struct rrig){.options = {.address = "127.0.0.1",
                                   .welcome = {.program = "intercept test", .devices = "eth0"},
                                   .wanted = on_wanted,
                                   .watch = on_watch}};
}

void rrig_open(struct rrig *r, uint32_t lanes)
{
    struct tb_err err = {0};

    r->options.ctx = r;
    r->base = event_base_new();
    must(r->base != NULL, "event_base_new");
    int rc = tb_relay_server_open(r->base, &r->options, lanes, &r->server, &err);
    must(rc == 0, err.text);
}

void rrig_close(struct rrig *r)
{
    tb_relay_server_close(r->server);
    event_base_free(r->base);
}

void rrig_turn(struct rrig *r)
{
    must(event_base_loop(r->base, EVLOOP_NONBLOCK) >= 0, "event_base_loop");
}

void rrig_dial(const struct rrig *r, struct rrig_peer *p)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(tb_relay_server_port(r->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    p->tls = NULL;
    p->len = p->taken = 0;
    must(p->fd >= 0 && connect(p->fd, (struct sockaddr *) &to, sizeof to) == 0, "connect");
}

void rrig_connect(struct rrig *r, struct rrig_peer *p)
{
    rrig_dial(r, p);
    rrig_turn(r);
}

void rrig_disconnect(struct rrig_peer *p)
{
    tb_tls_free(p->tls);
    close(p->fd);
}

void rrig_send(struct rrig *r, struct rrig_peer *p, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    for (int waits = 0; len > 0; waits++) {
        must(waits < WAITS_MAX, "send");
        ssize_t n = p->tls ? tb_tls_write(p->tls, at, len)
                           : send(p->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (!p->tls && n < 0 && errno != EAGAIN)
            return; /* the server closed: the test looks at what it said */
        if (n > 0) {
            at += n;
            len -= (size_t) n;
        }
        rrig_turn(r);
    }
}

/* More bytes: 1; none now: 0; the end: -1. */
static int take_more(struct rrig_peer *p)
{
    size_t room = sizeof p->input - p->len;

    must(room > 0, "input is full");
    ssize_t n = p->tls ? tb_tls_read(p->tls, p->input + p->len, room)
                       : recv(p->fd, p->input + p->len, room, MSG_DONTWAIT);
    if (n > 0)
        p->len += (uint32_t) n;
    return n > 0 ? 1 : (p->tls ? n == -EAGAIN : n < 0 && errno == EAGAIN) ? 0 : -1;
}

static bool has_frame(struct rrig_peer *p, struct tb_relay_head *head)
{
    int rc = tb_relay_head_get(p->input, p->len, head);

    must(rc == 0 || rc == -EAGAIN, "the server sent no frame");
    return rc == 0 && p->len >= TB_RELAY_HEAD + head->len;
}

uint8_t rrig_frame(struct rrig *r, struct rrig_peer *p)
{
    struct tb_relay_head head;

    memmove(p->input, p->input + p->taken, p->len - p->taken);
    p->len -= p->taken;
    p->taken = 0;
    for (int waits = 0; !has_frame(p, &head); waits++) {
        struct pollfd wait = {.fd = p->fd, .events = POLLIN};
        must(waits < WAITS_MAX, "no frame came");
        rrig_turn(r);
        int more = take_more(p);
        if (more < 0)
            return 0;
        if (more == 0)
            (void) poll(&wait, 1, 1);
    }
    p->payload = p->input + TB_RELAY_HEAD;
    p->payload_len = head.len;
    p->taken = TB_RELAY_HEAD + head.len;
    return head.type;
}

bool rrig_is_silent(struct rrig *r, struct rrig_peer *p)
{
    rrig_turn(r);
    return take_more(p) == 0 && p->len == p->taken;
}

void rrig_hello(struct tb_relay_hello *h, uint8_t run)
{
    *h = (struct tb_relay_hello){.version = TB_RELAY_VERSION, .connections = 1};
    memset(h->run, run, sizeof h->run);
    snprintf(h->name, sizeof h->name, "client %u", run);
}

void rrig_add_range(struct tb_relay_hello *h, const char *first, uint64_t count)
{
    struct tb_relay_range *range = &h->range[h->range_count++];

    must(tb_addr_parse(first, &range->first) == 0, first);
    range->count = count;
}

void rrig_send_hello(struct rrig *r, struct rrig_peer *p, const struct tb_relay_hello *h)
{
    static uint8_t frame[TB_RELAY_HEAD + TB_RELAY_CONTROL_MAX];
    size_t len = tb_relay_hello_put(frame, sizeof frame, h);

    must(len > 0, "hello");
    rrig_send(r, p, frame, len);
}

void rrig_join(struct rrig *r, struct rrig_peer *p, const struct tb_relay_hello *h)
{
    rrig_connect(r, p);
    rrig_send_hello(r, p, h);
    must(rrig_frame(r, p) == TB_RELAY_WELCOME, "not welcome");
}

uint32_t rrig_packet(uint8_t *out, uint32_t room, const char *client, uint16_t port,
                     uint32_t payload_len)
{
    static uint8_t payload[1 << 20];
    struct tb_addr dst, src;
    struct tb_frame frame;

    must(tb_addr_parse(client, &dst) == 0, client);
    must(tb_addr_parse(tb_addr_is_v4(&dst) ? "10.0.0.1" : "fd00::1", &src) == 0, "source");
    struct tb_frame_spec spec = {.src = &src,
                                 .dst = &dst,
                                 .sport = 80,
                                 .dport = port,
                                 .seq = 1000,
                                 .ack = 2000,
                                 .window = 500,
                                 .flags = TB_TCP_ACK};
    tb_frame_build(&frame, &spec, payload, payload_len);
    uint32_t len = tb_frame_flatten(&frame, out, room);
    must(len > 0, "packet");
    return len;
}

void rrig_lane_packet(struct rrig *r, const char *client, uint16_t port, uint32_t payload_len)
{
    static uint8_t packet[1 << 20];
    struct tb_relay_lane *lane = tb_relay_server_lane(r->server, 0);
    uint32_t len = rrig_packet(packet, sizeof packet, client, port, payload_len);

    tb_relay_lane_begin(lane);
    tb_relay_lane_packet(lane, packet, len, len, 1000000);
    tb_relay_lane_end(lane);
}
