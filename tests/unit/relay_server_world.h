/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of relay/server share: a server and up to three clients, made anew for every test,
 * and what a client may expect to hear.
 */
#ifndef TB_RELAY_SERVER_WORLD_H
#define TB_RELAY_SERVER_WORLD_H

#include "unit.h"

#include <stdio.h>
#include "packet/view.h"
#include "relay_server_rig.h"

/* What one test may use; the peers are large. */
struct world {
    struct rrig rig;
    struct rrig_peer a, b, c;
    struct tb_relay_hello hello;
    struct tb_relay_server_figures figures;
};

static struct world *w;

static inline int set_up(void **state)
{
    w = calloc(1, sizeof *w);
    assert_non_null(w);
    rrig_init(&w->rig);
    return 0;
}

static inline int tear_down(void **state)
{
    rrig_close(&w->rig);
    free(w);
    return 0;
}

static inline const struct tb_relay_server_figures *figures(void)
{
    tb_relay_server_figures(w->rig.server, &w->figures);
    return &w->figures;
}

/* A client with one range becomes welcome. */
static inline void join(struct rrig_peer *p, uint8_t run, const char *first, uint64_t count,
                        uint32_t flags)
{
    rrig_hello(&w->hello, run);
    w->hello.flags = flags;
    if (first)
        rrig_add_range(&w->hello, first, count);
    rrig_join(&w->rig, p, &w->hello);
}

/* The next frame holds one record, which `out` gets. */
static inline void expect_record(struct rrig_peer *p, struct tb_relay_record *out)
{
    struct tb_relay_reader reader;
    struct tb_relay_record more;

    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_RECORDS);
    assert_int_equal(tb_relay_reader_init(&reader, p->payload, p->payload_len), 0);
    assert_int_equal(tb_relay_reader_next(&reader, out), 1);
    assert_int_equal(tb_relay_reader_next(&reader, &more), 0);
}

/* … for this client port. */
static inline void expect_record_to(struct rrig_peer *p, uint16_t port)
{
    struct tb_relay_record r;
    struct tb_segment seg;

    expect_record(p, &r);
    assert_int_equal(tb_segment_parse(r.data, r.len, &seg), 0);
    assert_int_equal(seg.dport, port);
}

static inline void expect_refused(struct rrig_peer *p, uint16_t code, const char *word)
{
    struct tb_relay_text text;

    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_REFUSED);
    assert_int_equal(tb_relay_text_get(p->payload, p->payload_len, &text), 0);
    assert_int_equal(text.code, code);
    assert_non_null(strstr(text.text, word));
    assert_int_equal(rrig_frame(&w->rig, p), 0);
}

/* Send a frame of a control type to the server. */
static inline void send_sessions(struct rrig_peer *p, uint8_t type, const char *addr, uint16_t port)
{
    struct tb_endpoint session = {.port = port};
    uint8_t frame[64];

    assert_int_equal(tb_addr_parse(addr, &session.addr), 0);
    rrig_send(&w->rig, p, frame, tb_relay_sessions_put(frame, sizeof frame, type, &session, 1));
}

/* The server says that the session just registered is another client's. */
static inline void expect_taken(struct rrig_peer *p, uint16_t port)
{
    static struct tb_endpoint taken[TB_RELAY_SESSIONS_MAX];

    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_TAKEN);
    assert_int_equal(tb_relay_sessions_get(p->payload, p->payload_len, taken), 1);
    assert_int_equal(taken[0].port, port);
}

/* Hand in `count` packets to 198.18.0.1 in one turn of lane 0. */
static inline void one_turn(uint32_t count, uint32_t payload_len)
{
    struct tb_relay_lane *lane = tb_relay_server_lane(w->rig.server, 0);
    static uint8_t packet[70000];
    uint32_t len = rrig_packet(packet, sizeof packet, "198.18.0.1", 1, payload_len);

    tb_relay_lane_begin(lane);
    for (uint32_t i = 0; i < count; i++)
        tb_relay_lane_packet(lane, packet, len, len, 1000 + i);
    tb_relay_lane_end(lane);
}

/* Records of the next frame. */
static inline uint32_t count_records(struct rrig_peer *p)
{
    struct tb_relay_reader reader;
    struct tb_relay_record r;
    uint32_t count = 0;

    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_RECORDS);
    assert_int_equal(tb_relay_reader_init(&reader, p->payload, p->payload_len), 0);
    while (tb_relay_reader_next(&reader, &r) == 1) {
        assert_true(r.real_us >= 1000);
        count++;
    }
    return count;
}

/* The server has taken all that was sent before: it answers in order. */
static inline void ping(struct rrig_peer *p)
{
    struct tb_relay_ping out = {.client_us = 77}, in;
    uint8_t frame[64];

    rrig_send(&w->rig, p, frame, tb_relay_ping_put(frame, sizeof frame, TB_RELAY_PING, &out));
    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_PONG);
    assert_int_equal(tb_relay_ping_get(p->payload, p->payload_len, &in), 0);
    assert_int_equal(in.client_us, 77);
    assert_true(in.real_us > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
