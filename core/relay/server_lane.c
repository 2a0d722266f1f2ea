/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packets' way through the server: a lane per capture thread. What a turn brings is gathered
 * per connection in buffers of the lane and leaves at the turn's end, so that a lone packet leaves
 * at once and many share a system call and a lock.
 */
#include "relay/server_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "io/backends.h"
#include "packet/view.h"
#include "packet/wire.h"
#include "relay/late.h"

enum {
    BATCHES = 32,                /* connections that are served without leaving in mid-turn */
    BATCH_LEAVES_BYTES = 1 << 15 /* a batch this long leaves before the turn's end */
};

/* Counted by one thread, read by others. */
typedef atomic_uint_fast64_t counter;

struct batch {
    struct tb_server_conn *conn; /* NULL: free */
    uint32_t len, records;
    uint64_t base_us;
    uint8_t frame[TB_RELAY_HEAD + TB_RELAY_PAYLOAD_MAX];
};

struct tb_relay_lane {
    struct tb_relay_server *server;
    uint32_t used;                /* batches[0 .. used) belong to a connection */
    uint8_t of[TB_SERVER_PLACES]; /* a connection's batch, from 1; 0: none */
    struct batch *batches;
    struct tb_late *late; /* NULL until somebody registers sessions */
    counter packets, bytes, records, frames, unrouted, dropped;
    char apart[64]; /* from the next lane's counters */
};

static void count(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

int tb_server_lanes_new(struct tb_relay_server *s, uint32_t lanes)
{
    s->lanes = calloc(lanes, sizeof *s->lanes);
    if (!s->lanes)
        return -ENOMEM;
    s->lane_count = lanes;
    for (uint32_t i = 0; i < lanes; i++) {
        s->lanes[i].server = s;
        /* Mostly untouched, and then not there: the kernel gives pages when they are used. */
        s->lanes[i].batches = calloc(BATCHES, sizeof(struct batch));
        if (!s->lanes[i].batches)
            return -ENOMEM;
    }
    return 0;
}

void tb_server_lanes_free(struct tb_relay_server *s)
{
    for (uint32_t i = 0; i < s->lane_count; i++) {
        free(s->lanes[i].batches);
        tb_late_free(s->lanes[i].late);
    }
    free(s->lanes);
}

void tb_server_lanes_figures(const struct tb_relay_server *s, struct tb_relay_server_figures *out)
{
    for (uint32_t i = 0; i < s->lane_count; i++) {
        struct tb_relay_lane *l = &s->lanes[i];
        out->packets += atomic_load_explicit(&l->packets, memory_order_relaxed);
        out->bytes += atomic_load_explicit(&l->bytes, memory_order_relaxed);
        out->records += atomic_load_explicit(&l->records, memory_order_relaxed);
        out->frames += atomic_load_explicit(&l->frames, memory_order_relaxed);
        out->unrouted += atomic_load_explicit(&l->unrouted, memory_order_relaxed);
        out->dropped += atomic_load_explicit(&l->dropped, memory_order_relaxed);
    }
}

struct tb_relay_lane *tb_relay_server_lane(struct tb_relay_server *s, uint32_t i)
{
    return &s->lanes[i];
}

/* --- batches ---------------------------------------------------------------------------------- */

static void leave(struct tb_relay_lane *lane, struct batch *b)
{
    if (b->records == 0)
        return;
    tb_relay_records_end(b->frame, b->len);
    if (tb_server_conn_send(b->conn, b->frame, b->len, b->records) >= 0) {
        count(&lane->frames, 1);
        count(&lane->records, b->records);
    } else {
        count(&lane->dropped, b->records);
    }
    b->records = 0;
}

static void all_leave(struct tb_relay_lane *lane)
{
    for (uint32_t i = 0; i < lane->used; i++) {
        struct batch *b = &lane->batches[i];
        leave(lane, b);
        lane->of[b->conn->place] = 0;
    }
    lane->used = 0;
}

static struct batch *batch_of(struct tb_relay_lane *lane, struct tb_server_conn *conn)
{
    uint8_t *of = &lane->of[conn->place];

    if (*of)
        return &lane->batches[*of - 1];
    if (lane->used == BATCHES)
        all_leave(lane);
    struct batch *b = &lane->batches[lane->used++];
    *of = (uint8_t) lane->used;
    b->conn = conn;
    b->records = 0;
    return b;
}

static void add(struct tb_relay_lane *lane, struct tb_server_conn *conn,
                const struct tb_relay_record *r)
{
    struct batch *b = batch_of(lane, conn);

    if (b->records && b->len + TB_RELAY_RECORD_HEAD + r->len > sizeof b->frame)
        leave(lane, b);
    if (b->records == 0) {
        b->base_us = r->real_us;
        b->len = (uint32_t) tb_relay_records_begin(b->frame, r->real_us);
    }
    b->len +=
        (uint32_t) tb_relay_record_put(b->frame + b->len, sizeof b->frame - b->len, b->base_us, r);
    b->records++;
    if (b->len >= BATCH_LEAVES_BYTES || b->records == lane->server->options.batch_max)
        leave(lane, b);
}

/* --- packets ---------------------------------------------------------------------------------- */

/* The connection that wants packets to this client address and port, if it is there. */
static struct tb_server_conn *whose(const struct tb_relay_server *s, const struct tb_addr *addr,
                                    uint16_t port)
{
    uint32_t owner = tb_sessions_find(&s->sessions, addr, port);

    if (owner != TB_ROUTE_NOBODY)
        return s->conns[owner];
    owner = tb_route_find(&s->routes, addr);
    if (owner == TB_ROUTE_NOBODY)
        return NULL;
    const struct tb_server_client *client = s->clients[owner];
    return client->conn[tb_steer_worker(tb_addr_low32(addr), port, client->connections)];
}

/* A total length of 0 (segments yet to be cut, BIG TCP) leaves it to the capture to know. */
static bool knows_its_length(const uint8_t *data)
{
    return tb_get_be16(data + (data[0] >> 4 == 4 ? 2 : 4)) != 0;
}

/* What is passed on of a packet: without link-layer padding, and without payload unless wanted. */
static struct tb_relay_record record_of(const uint8_t *data, const struct tb_segment *seg,
                                        uint32_t wire_len, bool payload)
{
    enum { LONGEST = TB_RELAY_PAYLOAD_MAX - TB_RELAY_RECORDS_HEAD - TB_RELAY_RECORD_HEAD };
    uint32_t head = (uint32_t) (seg->payload - data);
    uint32_t len = payload ? head + seg->payload_len : head;
    uint64_t wire = wire_len; /* a jumbo packet may claim 4 GB */

    if (knows_its_length(data) || wire < head + seg->payload_len)
        wire = (uint64_t) head + seg->payload_claimed;
    return (struct tb_relay_record){
        .data = data,
        .len = len < LONGEST ? len : LONGEST,
        .wire_len = wire < TB_RELAY_WIRE_MAX ? (uint32_t) wire : TB_RELAY_WIRE_MAX,
    };
}

/* The target's answer to a SYN, which may be here before the registration of its session. */
static bool may_be_early(const struct tb_segment *seg)
{
    uint8_t opens = TB_TCP_SYN | TB_TCP_ACK;

    return (seg->flags & TB_TCP_RST) || (seg->flags & opens) == opens;
}

static void take_unrouted(struct tb_relay_lane *lane, const uint8_t *data,
                          const struct tb_segment *seg, uint32_t wire_len, uint64_t real_us)
{
    struct tb_endpoint session = {seg->dst, seg->dport};

    if (!lane->late || !may_be_early(seg))
        return;
    struct tb_relay_record r = record_of(data, seg, wire_len, false);
    r.real_us = real_us;
    tb_late_put(lane->late, &session, &r);
}

void tb_relay_lane_begin(struct tb_relay_lane *lane)
{
    pthread_rwlock_rdlock(&lane->server->turn);
}

void tb_relay_lane_packet(struct tb_relay_lane *lane, const uint8_t *data, uint32_t len,
                          uint32_t wire_len, uint64_t real_us)
{
    struct tb_server_conn *conn = NULL;
    struct tb_segment seg;

    count(&lane->packets, 1);
    count(&lane->bytes, len);
    bool parsed = tb_segment_parse(data, len, &seg) == 0;
    if (parsed)
        conn = whose(lane->server, &seg.dst, seg.dport);
    if (!conn) {
        count(&lane->unrouted, 1);
        if (parsed)
            take_unrouted(lane, data, &seg, wire_len, real_us);
        return;
    }
    struct tb_relay_record r =
        record_of(data, &seg, wire_len, conn->client->flags & TB_RELAY_WANT_PAYLOAD);
    r.real_us = real_us;
    add(lane, conn, &r);
}

void tb_relay_lane_end(struct tb_relay_lane *lane)
{
    all_leave(lane);
    pthread_rwlock_unlock(&lane->server->turn);
}

/* --- late registrations ----------------------------------------------------------------------- */

int tb_server_lanes_keep_late(struct tb_relay_server *s)
{
    int rc = 0;

    pthread_rwlock_wrlock(&s->turn);
    for (uint32_t i = 0; i < s->lane_count; i++) {
        struct tb_relay_lane *lane = &s->lanes[i];
        if (!lane->late && !(lane->late = tb_late_new()))
            rc = -ENOMEM;
    }
    pthread_rwlock_unlock(&s->turn);
    return rc;
}

void tb_server_lanes_take_late(struct tb_relay_server *s, const struct tb_endpoint *session,
                               struct tb_server_late *out)
{
    struct tb_relay_record found[TB_LATE_OF_SESSION];

    for (uint32_t i = 0; i < s->lane_count; i++) {
        struct tb_late *late = s->lanes[i].late;
        uint32_t count = late ? tb_late_take(late, session, out->since_us, found) : 0;
        for (uint32_t k = 0; k < count; k++) {
            size_t len = tb_relay_record_put(out->frame + out->len, sizeof out->frame - out->len,
                                             out->since_us, &found[k]);
            out->len += (uint32_t) len;
            out->records += len > 0;
        }
    }
}
