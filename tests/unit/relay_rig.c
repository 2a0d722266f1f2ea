/* SPDX-License-Identifier: BSD-2-Clause */
/* See relay_rig.h. */
#include "relay_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "check.h"

static struct relay_rig *rig_new(uint16_t index, uint32_t flags)
{
    struct relay_rig *r = calloc(1, sizeof *r);
    struct tb_relay_shared *sh = calloc(1, sizeof *sh + sizeof sh->peer[0]);

    CHECK(r && sh);
    r->shared = sh;
    r->now_us = RELAY_RIG_START_US;
    r->server = -1;
    sh->hello.version = TB_RELAY_VERSION_FIRST;
    sh->hello.flags = flags;
    sh->hello.connections = 2;
    strcpy(sh->hello.name, "rig");
    sh->peer_count = 1;
    sh->peer[0].connections = 1;
    strcpy(sh->peer[0].name, "the server");
    /* Where nobody listens: a second connection is refused at once. */
    CHECK(tb_addr_parse("127.0.0.1", &sh->peer[0].endpoint.addr) == 0);
    sh->peer[0].endpoint.port = 1;
    CHECK(tb_relay_link_init(&r->link, sh, 0, index, &r->dropped) == 0);
    return r;
}

struct relay_rig *relay_rig_new(uint16_t index)
{
    struct relay_rig *r = rig_new(index, 0);

    relay_rig_connect(r);
    return r;
}

struct relay_rig *relay_rig_new_registering(tb_relay_walk_fn *walk, void *ctx)
{
    struct relay_rig *r = rig_new(0, TB_RELAY_WANT_REGISTER);

    r->link.gather->walk = walk;
    r->link.gather->ctx = ctx;
    r->link.gather->columns = 1;
    relay_rig_connect(r);
    return r;
}

void relay_rig_connect(struct relay_rig *r)
{
    int ends[2];

    if (r->server >= 0)
        close(r->server);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    r->server = ends[0];
    tb_relay_link_adopt(&r->link, ends[1], r->now_us);
}

void relay_rig_free(struct relay_rig *r)
{
    tb_relay_link_fini(&r->link);
    close(r->server);
    free(r->shared);
    free(r);
}

static void appended(struct relay_rig *r, size_t len)
{
    CHECK(len > 0);
    r->len += len;
}

void relay_rig_welcome(struct relay_rig *r)
{
    struct tb_relay_welcome w = {.version = TB_RELAY_VERSION_FIRST,
                                 .real_us = RELAY_RIG_REAL_US + r->now_us};

    strcpy(w.program, "rig");
    appended(r, tb_relay_welcome_put(r->frames + r->len, sizeof r->frames - r->len, &w));
}

void relay_rig_text(struct relay_rig *r, uint8_t type, uint16_t code, const char *text)
{
    appended(r, tb_relay_text_put(r->frames + r->len, sizeof r->frames - r->len, type, code, text));
}

void relay_rig_pong(struct relay_rig *r, uint64_t client_us)
{
    struct tb_relay_ping p = {.client_us = client_us, .real_us = RELAY_RIG_REAL_US + r->now_us};

    appended(r,
             tb_relay_ping_put(r->frames + r->len, sizeof r->frames - r->len, TB_RELAY_PONG, &p));
}

void relay_rig_drops(struct relay_rig *r, uint64_t records, uint64_t capture)
{
    struct tb_relay_drops d = {records, capture};

    appended(r, tb_relay_drops_put(r->frames + r->len, sizeof r->frames - r->len, &d));
}

void relay_rig_records(struct relay_rig *r, uint8_t first, unsigned count, uint64_t ago_us)
{
    uint64_t real_us = RELAY_RIG_REAL_US + r->now_us - ago_us;
    uint8_t *frame = r->frames + r->len;
    size_t len = tb_relay_records_begin(frame, real_us);

    for (unsigned i = 0; i < count; i++) {
        uint8_t byte = (uint8_t) (first + i);
        struct tb_relay_record rec = {&byte, 1, 1000, real_us};
        size_t n = tb_relay_record_put(frame + len, sizeof r->frames - r->len - len, real_us, &rec);
        CHECK(n > 0);
        len += n;
    }
    tb_relay_records_end(frame, len);
    appended(r, len);
}

void relay_rig_frame(struct relay_rig *r, uint8_t type, const void *payload, size_t len)
{
    CHECK(sizeof r->frames - r->len >= TB_RELAY_HEAD + len);
    tb_relay_head_put(r->frames + r->len, type, (uint32_t) len);
    if (len > 0)
        memcpy(r->frames + r->len + TB_RELAY_HEAD, payload, len);
    appended(r, TB_RELAY_HEAD + len);
}

void relay_rig_send(struct relay_rig *r, size_t from, size_t to)
{
    /* A link that has closed its end takes nothing: as with TCP, that is found out later. */
    ssize_t n = send(r->server, r->frames + from, to - from, MSG_NOSIGNAL);
    CHECK(n < 0 || n == (ssize_t) (to - from));
}

void relay_rig_deliver(struct relay_rig *r)
{
    relay_rig_send(r, 0, r->len);
    r->len = 0;
    tb_relay_link_drive(&r->link, r->now_us, true);
}

void relay_rig_wait(struct relay_rig *r, uint64_t us)
{
    r->now_us += us;
    tb_relay_link_drive(&r->link, r->now_us, false);
}

size_t relay_rig_take(struct relay_rig *r, char *out, size_t room)
{
    struct tb_packet p;
    size_t n = 0;

    while (n + 1 < room && tb_relay_link_next(&r->link, r->now_us, &p))
        out[n++] = (char) p.data[0];
    out[n] = 0;
    return n;
}

uint8_t relay_rig_sent(struct relay_rig *r, uint8_t *payload, size_t room, size_t *len)
{
    uint8_t bytes[TB_RELAY_HEAD];
    struct tb_relay_head head;

    if (recv(r->server, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
        return 0;
    CHECK(tb_relay_head_get(bytes, sizeof bytes, &head) == 0 && head.len <= room);
    if (head.len > 0)
        CHECK(recv(r->server, payload, head.len, MSG_DONTWAIT) == (ssize_t) head.len);
    *len = head.len;
    return head.type;
}
