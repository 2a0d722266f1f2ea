/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/server: its dialogue with clients over real sockets, and whose packets go
 * where.
 */
#include "unit.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "packet/view.h"
#include "packet/wire.h"
#include "relay_server_rig.h"

/* What one test may use; the peers are large. */
struct world {
    struct rrig rig;
    struct rrig_peer a, b, c;
    struct tb_relay_hello hello;
    struct tb_relay_server_figures figures;
};

static struct world *w;

static int set_up(void **state)
{
    w = calloc(1, sizeof *w);
    assert_non_null(w);
    rrig_init(&w->rig);
    return 0;
}

static int tear_down(void **state)
{
    rrig_close(&w->rig);
    free(w);
    return 0;
}

static const struct tb_relay_server_figures *figures(void)
{
    tb_relay_server_figures(w->rig.server, &w->figures);
    return &w->figures;
}

/* A client with one range becomes welcome. */
static void join(struct rrig_peer *p, uint8_t run, const char *first, uint64_t count,
                 uint32_t flags)
{
    rrig_hello(&w->hello, run);
    w->hello.flags = flags;
    if (first)
        rrig_add_range(&w->hello, first, count);
    rrig_join(&w->rig, p, &w->hello);
}

/* The next frame holds one record, which `out` gets. */
static void expect_record(struct rrig_peer *p, struct tb_relay_record *out)
{
    struct tb_relay_reader reader;
    struct tb_relay_record more;

    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_RECORDS);
    assert_int_equal(tb_relay_reader_init(&reader, p->payload, p->payload_len), 0);
    assert_int_equal(tb_relay_reader_next(&reader, out), 1);
    assert_int_equal(tb_relay_reader_next(&reader, &more), 0);
}

/* … for this client port. */
static void expect_record_to(struct rrig_peer *p, uint16_t port)
{
    struct tb_relay_record r;
    struct tb_segment seg;

    expect_record(p, &r);
    assert_int_equal(tb_segment_parse(r.data, r.len, &seg), 0);
    assert_int_equal(seg.dport, port);
}

static void expect_refused(struct rrig_peer *p, uint16_t code, const char *word)
{
    struct tb_relay_text text;

    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_REFUSED);
    assert_int_equal(tb_relay_text_get(p->payload, p->payload_len, &text), 0);
    assert_int_equal(text.code, code);
    assert_non_null(strstr(text.text, word));
    assert_int_equal(rrig_frame(&w->rig, p), 0);
}

/* Send a frame of a control type to the server. */
static void send_sessions(struct rrig_peer *p, uint8_t type, const char *addr, uint16_t port)
{
    struct tb_endpoint session = {.port = port};
    uint8_t frame[64];

    assert_int_equal(tb_addr_parse(addr, &session.addr), 0);
    rrig_send(&w->rig, p, frame, tb_relay_sessions_put(frame, sizeof frame, type, &session, 1));
}

/* The server says that the session just registered is another client's. */
static void expect_taken(struct rrig_peer *p, uint16_t port)
{
    static struct tb_endpoint taken[TB_RELAY_SESSIONS_MAX];

    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_TAKEN);
    assert_int_equal(tb_relay_sessions_get(p->payload, p->payload_len, taken), 1);
    assert_int_equal(taken[0].port, port);
}

/* The server has taken all that was sent before: it answers in order. */
static void ping(struct rrig_peer *p)
{
    struct tb_relay_ping out = {.client_us = 77}, in;
    uint8_t frame[64];

    rrig_send(&w->rig, p, frame, tb_relay_ping_put(frame, sizeof frame, TB_RELAY_PING, &out));
    assert_int_equal(rrig_frame(&w->rig, p), TB_RELAY_PONG);
    assert_int_equal(tb_relay_ping_get(p->payload, p->payload_len, &in), 0);
    assert_int_equal(in.client_us, 77);
    assert_true(in.real_us > 0);
}

/* --- hello ------------------------------------------------------------------------------------ */

static void a_hello_is_answered_with_what_the_server_is(void **state)
{
    struct tb_relay_welcome welcome;

    w->rig.options.welcome.flags = TB_RELAY_FORWARDS_V4;
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    assert_int_equal(tb_relay_welcome_get(w->a.payload, w->a.payload_len, &welcome), 0);
    assert_string_equal(welcome.program, "intercept test");
    assert_string_equal(welcome.devices, "eth0");
    assert_int_equal(welcome.flags, TB_RELAY_FORWARDS_V4);
    assert_true(welcome.real_us > 0);
    assert_int_equal(figures()->clients, 1);
    assert_int_equal(figures()->connections, 1);
    rrig_disconnect(&w->a);
}

static void the_wish_of_all_clients_is_told(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    join(&w->b, 2, "198.18.1.0", 256, TB_RELAY_WANT_PAYLOAD | TB_RELAY_WANT_REGISTER);
    assert_int_equal(w->rig.wanted_count, 1); /* neighbours are joined */
    assert_int_equal(w->rig.wanted[0].count, 512);
    assert_true(w->rig.wanted_payload);
    assert_true(w->rig.wanted_registers);
    rrig_disconnect(&w->b);
    while (figures()->clients == 2)
        rrig_turn(&w->rig);
    assert_int_equal(w->rig.wanted[0].count, 256);
    assert_false(w->rig.wanted_payload);
    assert_false(w->rig.wanted_registers);
    rrig_disconnect(&w->a);
}

static void join_with_targets(struct rrig_peer *p, uint8_t run, uint32_t count)
{
    rrig_hello(&w->hello, run);
    w->hello.flags = TB_RELAY_WANT_REGISTER;
    w->hello.target_count = count;
    for (uint32_t i = 0; i < count; i++)
        w->hello.target[i] = (struct tb_endpoint){.port = (uint16_t) (80 + i)};
    rrig_join(&w->rig, p, &w->hello);
}

static void targets_of_all_who_register_are_told_once(void **state)
{
    rrig_open(&w->rig, 1);
    join_with_targets(&w->a, 1, 2);
    assert_int_equal(w->rig.wanted_targets, 2);
    join_with_targets(&w->b, 2, 3);
    assert_int_equal(w->rig.wanted_targets, 3);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(w->rig.wanted_target[i].port, 80 + i);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void one_who_registers_without_targets_wants_packets_from_anywhere(void **state)
{
    rrig_open(&w->rig, 1);
    join_with_targets(&w->a, 1, 2);
    join_with_targets(&w->b, 2, 0);
    assert_true(w->rig.wanted_registers);
    assert_int_equal(w->rig.wanted_targets, 0);
    rrig_disconnect(&w->b);
    while (figures()->clients == 2)
        rrig_turn(&w->rig);
    assert_int_equal(w->rig.wanted_targets, 2);
    rrig_disconnect(&w->a);
}

static void a_client_is_answered_in_its_version(void **state)
{
    struct tb_relay_welcome welcome;

    rrig_open(&w->rig, 1);
    for (uint16_t version = TB_RELAY_VERSION_FIRST; version <= TB_RELAY_VERSION; version++) {
        rrig_hello(&w->hello, (uint8_t) version);
        w->hello.version = version;
        rrig_join(&w->rig, &w->a, &w->hello);
        assert_int_equal(tb_relay_welcome_get(w->a.payload, w->a.payload_len, &welcome), 0);
        assert_int_equal(welcome.version, version);
        rrig_disconnect(&w->a);
    }
}

static void a_hello_may_come_byte_by_byte(void **state)
{
    uint8_t frame[512];

    rrig_open(&w->rig, 1);
    rrig_hello(&w->hello, 1);
    rrig_add_range(&w->hello, "198.18.0.0", 1);
    rrig_connect(&w->rig, &w->a);
    size_t len = tb_relay_hello_put(frame, sizeof frame, &w->hello);
    for (size_t i = 0; i < len; i++)
        rrig_send(&w->rig, &w->a, frame + i, 1);
    assert_int_equal(rrig_frame(&w->rig, &w->a), TB_RELAY_WELCOME);
    rrig_disconnect(&w->a);
}

static void another_version_is_refused_in_words(void **state)
{
    uint8_t frame[512];

    rrig_open(&w->rig, 1);
    rrig_hello(&w->hello, 1);
    rrig_connect(&w->rig, &w->a);
    size_t len = tb_relay_hello_put(frame, sizeof frame, &w->hello);
    tb_put_be16(frame + TB_RELAY_HEAD + 4, TB_RELAY_VERSION + 1);
    rrig_send(&w->rig, &w->a, frame, len);
    expect_refused(&w->a, TB_RELAY_REFUSED_VERSION, "version 2");
    assert_int_equal(figures()->refused, 1);
    rrig_disconnect(&w->a);
}

static void ranges_of_another_run_are_refused_with_its_name(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    rrig_hello(&w->hello, 2);
    rrig_add_range(&w->hello, "198.18.0.255", 2);
    rrig_connect(&w->rig, &w->b);
    rrig_send_hello(&w->rig, &w->b, &w->hello);
    expect_refused(&w->b, TB_RELAY_REFUSED_OVERLAP, "client 1");
    rrig_lane_packet(&w->rig, "198.18.0.255", 5000, 0);
    expect_record_to(&w->a, 5000);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void ranges_are_free_again_when_their_client_is_gone(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    rrig_disconnect(&w->a);
    while (figures()->clients)
        rrig_turn(&w->rig);
    join(&w->b, 2, "198.18.0.0", 256, 0);
    rrig_disconnect(&w->b);
}

static void a_single_server_refuses_the_second_client_and_keeps_the_first(void **state)
{
    w->rig.options.single = true;
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 1, 0);
    rrig_hello(&w->hello, 2);
    rrig_connect(&w->rig, &w->b);
    rrig_send_hello(&w->rig, &w->b, &w->hello);
    expect_refused(&w->b, TB_RELAY_REFUSED_SINGLE, "client 1");
    ping(&w->a);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void a_client_that_wants_to_be_alone_refuses_and_is_refused(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, 0);
    rrig_hello(&w->hello, 2);
    w->hello.flags = TB_RELAY_WANT_SINGLE;
    rrig_connect(&w->rig, &w->b);
    rrig_send_hello(&w->rig, &w->b, &w->hello);
    expect_refused(&w->b, TB_RELAY_REFUSED_SINGLE, "client 1");
    rrig_disconnect(&w->a);
    while (figures()->clients)
        rrig_turn(&w->rig);
    rrig_join(&w->rig, &w->a, &w->hello);
    rrig_hello(&w->hello, 3);
    rrig_connect(&w->rig, &w->c);
    rrig_send_hello(&w->rig, &w->c, &w->hello);
    expect_refused(&w->c, TB_RELAY_REFUSED_SINGLE, "client 2");
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
    rrig_disconnect(&w->c);
}

static void connections_of_a_run_must_agree(void **state)
{
    rrig_open(&w->rig, 1);
    rrig_hello(&w->hello, 1);
    w->hello.connections = 2;
    rrig_join(&w->rig, &w->a, &w->hello);
    w->hello.connection = 1;
    rrig_add_range(&w->hello, "198.18.0.0", 1);
    rrig_connect(&w->rig, &w->b);
    rrig_send_hello(&w->rig, &w->b, &w->hello);
    expect_refused(&w->b, TB_RELAY_REFUSED_HELLO, "contradicts");
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void a_returning_connection_takes_its_place_back(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, TB_RELAY_WANT_SINGLE);
    rrig_join(&w->rig, &w->b, &w->hello);
    assert_int_equal(rrig_frame(&w->rig, &w->a), 0);
    assert_int_equal(figures()->connections, 1);
    assert_int_equal(figures()->clients, 1);
    rrig_lane_packet(&w->rig, "198.18.0.7", 5000, 0);
    expect_record_to(&w->b, 5000);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

/* --- strangers -------------------------------------------------------------------------------- */

static void garbage_is_closed_at_once(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, 0);
    rrig_connect(&w->rig, &w->b);
    rrig_send(&w->rig, &w->b, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_int_equal(rrig_frame(&w->rig, &w->b), 0);
    assert_int_equal(figures()->rejected, 1);
    ping(&w->a);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void only_a_hello_may_come_first(void **state)
{
    uint8_t head[TB_RELAY_HEAD];

    rrig_open(&w->rig, 1);
    for (uint8_t type = TB_RELAY_WELCOME; type <= TB_RELAY_BYE; type++) {
        rrig_connect(&w->rig, &w->a);
        tb_relay_head_put(head, type, 100); /* judged before its payload comes */
        rrig_send(&w->rig, &w->a, head, sizeof head);
        assert_int_equal(rrig_frame(&w->rig, &w->a), 0);
        rrig_disconnect(&w->a);
    }
    assert_int_equal(figures()->rejected, TB_RELAY_BYE - TB_RELAY_WELCOME + 1);
}

static void frames_a_client_may_not_send_end_the_connection(void **state)
{
    static const uint8_t types[] = {TB_RELAY_HELLO,   TB_RELAY_WELCOME,  TB_RELAY_RECORDS,
                                    TB_RELAY_PONG,    TB_RELAY_DROPS,    TB_RELAY_SEEN,
                                    TB_RELAY_REFUSED, TB_RELAY_REGISTER, TB_RELAY_WATCH};
    uint8_t head[TB_RELAY_HEAD];

    rrig_open(&w->rig, 1);
    for (size_t i = 0; i < sizeof types; i++) {
        join(&w->a, (uint8_t) i, NULL, 0, 0);
        tb_relay_head_put(head, types[i], 0);
        rrig_send(&w->rig, &w->a, head, sizeof head);
        assert_int_equal(rrig_frame(&w->rig, &w->a), 0);
        rrig_disconnect(&w->a);
    }
    assert_int_equal(figures()->clients, 0);
}

static void half_a_hello_is_closed_after_its_time(void **state)
{
    w->rig.options.hello_us = 1;
    rrig_open(&w->rig, 1);
    rrig_connect(&w->rig, &w->a);
    rrig_send(&w->rig, &w->a, "\0\0\0\x40\x01", 5);
    assert_int_equal(rrig_frame(&w->rig, &w->a), 0);
    assert_int_equal(figures()->rejected, 1);
    rrig_disconnect(&w->a);
}

static void a_client_that_falls_silent_is_closed_after_its_time(void **state)
{
    w->rig.options.silence_us = 1;
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 1, 0);
    assert_int_equal(rrig_frame(&w->rig, &w->a), 0);
    assert_int_equal(figures()->clients, 0);
    assert_int_equal(w->rig.wanted_count, 0);
    rrig_disconnect(&w->a);
}

static void who_is_not_in_the_allow_list_is_closed_unheard(void **state)
{
    struct tb_relay_allow allow[2] = {{.bits = 96 + 9}, {.bits = 128}};

    assert_int_equal(tb_addr_parse("127.128.0.0", &allow[0].addr), 0);
    assert_int_equal(tb_addr_parse("::1", &allow[1].addr), 0);
    w->rig.options.allow = allow;
    w->rig.options.allow_count = 2;
    rrig_open(&w->rig, 1);
    rrig_connect(&w->rig, &w->a);
    assert_int_equal(rrig_frame(&w->rig, &w->a), 0);
    assert_int_equal(figures()->rejected, 1);
    rrig_disconnect(&w->a);
}

static void who_is_in_the_allow_list_may_come(void **state)
{
    struct tb_relay_allow allow = {.bits = 96 + 9};

    assert_int_equal(tb_addr_parse("127.127.0.0", &allow.addr), 0);
    w->rig.options.allow = &allow;
    w->rig.options.allow_count = 1;
    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, 0);
    rrig_disconnect(&w->a);
}

static void a_crowd_without_hellos_keeps_nobody_out(void **state)
{
    enum { CROWD = 300 };
    static int fd[CROWD];
    uint32_t open = 0;

    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 1, 0);
    for (int i = 0; i < CROWD; i++) {
        rrig_connect(&w->rig, &w->b);
        fd[i] = w->b.fd;
    }
    join(&w->c, 2, "198.18.1.0", 1, 0);
    ping(&w->a);
    for (int i = 0; i < CROWD; i++) {
        char byte;
        open += recv(fd[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
        close(fd[i]);
    }
    assert_true(open > 0 && open <= 64);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->c);
}

/* --- routing ---------------------------------------------------------------------------------- */

static void packets_go_to_the_client_of_their_range_only(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    join(&w->b, 2, "fd18::100", 256, 0);
    rrig_lane_packet(&w->rig, "198.18.0.255", 1111, 0);
    rrig_lane_packet(&w->rig, "fd18::1ff", 2222, 0);
    rrig_lane_packet(&w->rig, "198.18.1.0", 3333, 0);
    rrig_lane_packet(&w->rig, "fd18::200", 3333, 0);
    expect_record_to(&w->a, 1111);
    expect_record_to(&w->b, 2222);
    assert_true(rrig_is_silent(&w->rig, &w->a));
    assert_true(rrig_is_silent(&w->rig, &w->b));
    assert_int_equal(figures()->packets, 4);
    assert_int_equal(figures()->records, 2);
    assert_int_equal(figures()->unrouted, 2);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void packets_go_to_the_connection_their_hash_names(void **state)
{
    struct rrig_peer *peers[2] = {&w->a, &w->b};
    struct tb_addr addr;

    rrig_open(&w->rig, 1);
    rrig_hello(&w->hello, 1);
    w->hello.connections = 2;
    rrig_add_range(&w->hello, "198.18.0.0", 256);
    for (uint16_t i = 0; i < 2; i++) {
        w->hello.connection = i;
        rrig_join(&w->rig, peers[i], &w->hello);
    }
    assert_int_equal(tb_addr_parse("198.18.0.9", &addr), 0);
    for (uint16_t port = 4000; port < 4020; port++) {
        rrig_lane_packet(&w->rig, "198.18.0.9", port, 0);
        /* io/backends.h says the formula */
        uint32_t h = tb_addr_low32(&addr) * 0x9E3779B1u + port * 0x85EBCA6Bu;
        expect_record_to(peers[(h >> 16) % 2], port);
    }
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void packets_for_a_connection_that_is_away_are_of_nobody(void **state)
{
    rrig_open(&w->rig, 1);
    rrig_hello(&w->hello, 1);
    w->hello.connections = 2;
    rrig_add_range(&w->hello, "198.18.0.0", 256);
    rrig_join(&w->rig, &w->a, &w->hello);
    for (uint16_t port = 0; port < 100; port++)
        rrig_lane_packet(&w->rig, "198.18.0.9", port, 0);
    assert_true(figures()->records > 0 && figures()->unrouted > 0);
    assert_int_equal(figures()->records + figures()->unrouted, 100);
    rrig_disconnect(&w->a);
}

static void registered_sessions_are_routed_until_they_are_unregistered(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, TB_RELAY_WANT_REGISTER);
    send_sessions(&w->a, TB_RELAY_REGISTER, "203.0.113.5", 4444);
    ping(&w->a);
    assert_int_equal(figures()->sessions, 1);
    rrig_lane_packet(&w->rig, "203.0.113.5", 4444, 0);
    rrig_lane_packet(&w->rig, "203.0.113.5", 4445, 0);
    expect_record_to(&w->a, 4444);
    send_sessions(&w->a, TB_RELAY_UNREGISTER, "203.0.113.5", 4444);
    ping(&w->a);
    rrig_lane_packet(&w->rig, "203.0.113.5", 4444, 0);
    assert_true(rrig_is_silent(&w->rig, &w->a));
    assert_int_equal(figures()->sessions, 0);
    assert_int_equal(figures()->unrouted, 2);
    rrig_disconnect(&w->a);
}

static void a_session_stays_with_who_registered_it_first(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, TB_RELAY_WANT_REGISTER);
    join(&w->b, 2, NULL, 0, TB_RELAY_WANT_REGISTER);
    send_sessions(&w->a, TB_RELAY_REGISTER, "203.0.113.5", 4444);
    ping(&w->a);
    send_sessions(&w->b, TB_RELAY_REGISTER, "203.0.113.5", 4444);
    expect_taken(&w->b, 4444);
    send_sessions(&w->b, TB_RELAY_UNREGISTER, "203.0.113.5", 4444);
    ping(&w->b);
    assert_int_equal(figures()->taken, 1);
    rrig_lane_packet(&w->rig, "203.0.113.5", 4444, 0);
    expect_record_to(&w->a, 4444);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void nobody_can_register_into_the_ranges_of_another(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    join(&w->b, 2, NULL, 0, TB_RELAY_WANT_REGISTER);
    send_sessions(&w->b, TB_RELAY_REGISTER, "198.18.0.5", 4444);
    expect_taken(&w->b, 4444);
    rrig_lane_packet(&w->rig, "198.18.0.5", 4444, 0);
    expect_record_to(&w->a, 4444);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void a_check_does_not_keep_a_session_from_being_registered(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "203.0.113.5", 1, TB_RELAY_WANT_WATCH);
    join(&w->b, 2, NULL, 0, TB_RELAY_WANT_REGISTER);
    send_sessions(&w->b, TB_RELAY_REGISTER, "203.0.113.5", 4444);
    ping(&w->b);
    rrig_lane_packet(&w->rig, "203.0.113.5", 4444, 0);
    expect_record_to(&w->b, 4444);
    rrig_lane_packet(&w->rig, "203.0.113.5", 4445, 0);
    expect_record_to(&w->a, 4445);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void a_registered_session_comes_on_the_connection_that_registered_it(void **state)
{
    rrig_open(&w->rig, 1);
    rrig_hello(&w->hello, 1);
    w->hello.flags = TB_RELAY_WANT_REGISTER;
    w->hello.connections = 2;
    rrig_join(&w->rig, &w->a, &w->hello);
    w->hello.connection = 1;
    rrig_join(&w->rig, &w->b, &w->hello);
    for (uint16_t port = 1; port <= 8; port++)
        send_sessions(port % 2 ? &w->b : &w->a, TB_RELAY_REGISTER, "203.0.113.5", port);
    ping(&w->a);
    ping(&w->b);
    for (uint16_t port = 1; port <= 8; port++)
        rrig_lane_packet(&w->rig, "203.0.113.5", port, 0);
    for (uint16_t port = 1; port <= 8; port++)
        expect_record_to(port % 2 ? &w->b : &w->a, port);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void unregistering_none_unregisters_all_of_the_connection(void **state)
{
    uint8_t frame[TB_RELAY_HEAD];

    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, TB_RELAY_WANT_REGISTER);
    join(&w->b, 2, NULL, 0, TB_RELAY_WANT_REGISTER);
    for (uint16_t port = 1; port <= 8; port++)
        send_sessions(port == 8 ? &w->b : &w->a, TB_RELAY_REGISTER, "203.0.113.5", port);
    rrig_send(&w->rig, &w->a, frame,
              tb_relay_sessions_put(frame, sizeof frame, TB_RELAY_UNREGISTER, NULL, 0));
    ping(&w->a);
    ping(&w->b);
    assert_int_equal(figures()->sessions, 1);
    rrig_lane_packet(&w->rig, "203.0.113.5", 8, 0);
    expect_record_to(&w->b, 8);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

/* The target answers a SYN of 203.0.113.5: `flags`, on lane `lane`, `ago_us` before now. */
static void answer(uint32_t lane, uint16_t port, uint8_t flags, uint64_t ago_us)
{
    struct tb_relay_lane *l = tb_relay_server_lane(w->rig.server, lane);
    uint8_t packet[64];
    uint32_t len = rrig_packet(packet, sizeof packet, "203.0.113.5", port, 0);

    packet[33] = flags;
    tb_relay_lane_begin(l);
    tb_relay_lane_packet(l, packet, len, len, tb_clock_real_us() - ago_us);
    tb_relay_lane_end(l);
}

static void an_answer_that_overtakes_its_registration_is_passed_on_with_it(void **state)
{
    rrig_open(&w->rig, 2);
    join(&w->a, 1, NULL, 0, TB_RELAY_WANT_REGISTER);
    answer(0, 1, TB_TCP_SYN | TB_TCP_ACK, 0);
    answer(1, 2, TB_TCP_RST, 0);
    assert_int_equal(figures()->unrouted, 2);
    send_sessions(&w->a, TB_RELAY_REGISTER, "203.0.113.5", 2);
    expect_record_to(&w->a, 2);
    send_sessions(&w->a, TB_RELAY_REGISTER, "203.0.113.5", 1);
    expect_record_to(&w->a, 1);
    assert_int_equal(figures()->late, 2);
    /* once, and from now on directly */
    send_sessions(&w->a, TB_RELAY_REGISTER, "203.0.113.5", 1);
    ping(&w->a);
    answer(0, 1, TB_TCP_SYN | TB_TCP_ACK, 0);
    expect_record_to(&w->a, 1);
    rrig_disconnect(&w->a);
}

static void only_answers_to_syns_wait_for_a_registration_and_not_for_long(void **state)
{
    rrig_open(&w->rig, 1);
    answer(0, 1, TB_TCP_SYN | TB_TCP_ACK, 0); /* nobody registers yet */
    join(&w->a, 1, NULL, 0, TB_RELAY_WANT_REGISTER);
    answer(0, 2, TB_TCP_ACK, 0);
    answer(0, 3, TB_TCP_SYN, 0);
    answer(0, 4, TB_TCP_SYN | TB_TCP_ACK, 1100000);
    for (uint16_t port = 1; port <= 4; port++)
        send_sessions(&w->a, TB_RELAY_REGISTER, "203.0.113.5", port);
    ping(&w->a);
    assert_true(rrig_is_silent(&w->rig, &w->a));
    assert_int_equal(figures()->late, 0);
    rrig_disconnect(&w->a);
}

static void an_early_answer_is_not_for_who_comes_second(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, TB_RELAY_WANT_REGISTER);
    join(&w->b, 2, NULL, 0, TB_RELAY_WANT_REGISTER);
    answer(0, 1, TB_TCP_SYN | TB_TCP_ACK, 0);
    send_sessions(&w->a, TB_RELAY_REGISTER, "203.0.113.5", 1);
    expect_record_to(&w->a, 1);
    send_sessions(&w->b, TB_RELAY_REGISTER, "203.0.113.5", 1);
    expect_taken(&w->b, 1);
    ping(&w->b);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void sessions_end_with_their_connection(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, TB_RELAY_WANT_REGISTER);
    send_sessions(&w->a, TB_RELAY_REGISTER, "203.0.113.5", 4444);
    ping(&w->a);
    rrig_disconnect(&w->a);
    while (figures()->clients)
        rrig_turn(&w->rig);
    assert_int_equal(figures()->sessions, 0);
    rrig_lane_packet(&w->rig, "203.0.113.5", 4444, 0);
    assert_int_equal(figures()->unrouted, 1);
}

/* --- records ---------------------------------------------------------------------------------- */

static void records_are_cut_behind_the_tcp_header(void **state)
{
    struct tb_relay_record r;

    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    rrig_lane_packet(&w->rig, "198.18.0.1", 1, 1000);
    expect_record(&w->a, &r);
    assert_int_equal(r.len, 40);
    assert_int_equal(r.wire_len, 1040);
    assert_int_equal(r.real_us, 1000000);
    rrig_disconnect(&w->a);
}

static void ipv6_records_are_cut_behind_the_tcp_header_too(void **state)
{
    struct tb_relay_record r;

    rrig_open(&w->rig, 1);
    join(&w->a, 1, "fd18::", 256, 0);
    rrig_lane_packet(&w->rig, "fd18::1", 1, 1000);
    expect_record(&w->a, &r);
    assert_int_equal(r.len, 60);
    assert_int_equal(r.wire_len, 1060);
    rrig_disconnect(&w->a);
}

static void whole_packets_come_when_payload_is_wanted(void **state)
{
    struct tb_relay_record r;
    uint8_t packet[2048];

    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, TB_RELAY_WANT_PAYLOAD);
    rrig_lane_packet(&w->rig, "198.18.0.1", 1, 1000);
    expect_record(&w->a, &r);
    uint32_t len = rrig_packet(packet, sizeof packet, "198.18.0.1", 1, 1000);
    assert_int_equal(r.len, len);
    assert_memory_equal(r.data, packet, len);
    rrig_disconnect(&w->a);
}

static void padding_of_short_ethernet_frames_is_left_out(void **state)
{
    struct tb_relay_lane *lane;
    struct tb_relay_record r;
    uint8_t packet[64] = {0};

    rrig_open(&w->rig, 1);
    lane = tb_relay_server_lane(w->rig.server, 0);
    join(&w->a, 1, "198.18.0.0", 256, TB_RELAY_WANT_PAYLOAD);
    assert_int_equal(rrig_packet(packet, sizeof packet, "198.18.0.1", 1, 0), 40);
    tb_relay_lane_begin(lane);
    tb_relay_lane_packet(lane, packet, 46, 46, 5);
    tb_relay_lane_end(lane);
    expect_record(&w->a, &r);
    assert_int_equal(r.len, 40);
    assert_int_equal(r.wire_len, 40);
    rrig_disconnect(&w->a);
}

static void a_packet_without_total_length_keeps_the_capture_s(void **state)
{
    struct tb_relay_record r;

    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    rrig_lane_packet(&w->rig, "198.18.0.1", 1, 200000); /* its total length is written as 0 */
    expect_record(&w->a, &r);
    assert_int_equal(r.len, 40);
    assert_int_equal(r.wire_len, 200040);
    rrig_disconnect(&w->a);
}

static void a_packet_too_long_for_a_frame_is_cut(void **state)
{
    struct tb_relay_record r;

    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, TB_RELAY_WANT_PAYLOAD);
    rrig_lane_packet(&w->rig, "198.18.0.1", 1, 200000);
    expect_record(&w->a, &r);
    assert_int_equal(r.len, TB_RELAY_PAYLOAD_MAX - TB_RELAY_RECORDS_HEAD - TB_RELAY_RECORD_HEAD);
    assert_int_equal(r.wire_len, 200040);
    rrig_disconnect(&w->a);
}

static void what_is_no_whole_tcp_packet_is_of_nobody(void **state)
{
    struct tb_relay_lane *lane;
    uint8_t packet[64];

    rrig_open(&w->rig, 1);
    lane = tb_relay_server_lane(w->rig.server, 0);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    rrig_packet(packet, sizeof packet, "198.18.0.1", 1, 0);
    tb_relay_lane_begin(lane);
    for (uint32_t len = 0; len < 40; len++)
        tb_relay_lane_packet(lane, packet, len, 40, 5);
    packet[9] = 17; /* UDP */
    tb_relay_lane_packet(lane, packet, 40, 40, 5);
    packet[9] = 6;
    packet[6] = 0x20; /* more fragments */
    tb_relay_lane_packet(lane, packet, 40, 40, 5);
    tb_relay_lane_end(lane);
    assert_true(rrig_is_silent(&w->rig, &w->a));
    assert_int_equal(figures()->unrouted, 42);
    rrig_disconnect(&w->a);
}

/* Hand in `count` packets to 198.18.0.1 in one turn of lane 0. */
static void one_turn(uint32_t count, uint32_t payload_len)
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
static uint32_t count_records(struct rrig_peer *p)
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

static void packets_of_one_turn_share_a_frame(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    one_turn(50, 0);
    assert_int_equal(count_records(&w->a), 50);
    assert_int_equal(figures()->frames, 1);
    rrig_disconnect(&w->a);
}

static void a_frame_holds_no_more_records_than_asked_for(void **state)
{
    w->rig.options.batch_max = 8;
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    one_turn(20, 0);
    assert_int_equal(count_records(&w->a), 8);
    assert_int_equal(count_records(&w->a), 8);
    assert_int_equal(count_records(&w->a), 4);
    rrig_disconnect(&w->a);
}

static void more_clients_than_batches_are_all_served(void **state)
{
    enum { CLIENTS = 70 };
    static struct rrig_peer peers[CLIENTS];
    struct tb_relay_lane *lane;
    uint8_t packet[64];
    char first[32];

    rrig_open(&w->rig, 1);
    lane = tb_relay_server_lane(w->rig.server, 0);
    for (uint8_t i = 0; i < CLIENTS; i++) {
        snprintf(first, sizeof first, "198.18.%u.0", i);
        join(&peers[i], i, first, 256, 0);
    }
    tb_relay_lane_begin(lane);
    for (int round = 0; round < 2; round++)
        for (uint8_t i = 0; i < CLIENTS; i++) {
            snprintf(first, sizeof first, "198.18.%u.5", i);
            uint32_t len = rrig_packet(packet, sizeof packet, first, i, 0);
            tb_relay_lane_packet(lane, packet, len, len, 1);
        }
    tb_relay_lane_end(lane);
    for (uint8_t i = 0; i < CLIENTS; i++) {
        expect_record_to(&peers[i], i);
        expect_record_to(&peers[i], i);
        rrig_disconnect(&peers[i]);
    }
}

/* --- slow readers ----------------------------------------------------------------------------- */

static void a_client_that_does_not_read_costs_its_buffer_and_learns_of_drops(void **state)
{
    struct tb_relay_drops drops = {0};
    uint64_t records = 0;

    w->rig.options.buffer_bytes = 1 << 20;
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, TB_RELAY_WANT_PAYLOAD);
    join(&w->b, 2, "198.18.1.0", 256, 0);
    for (int i = 0; i < 400 || figures()->dropped == 0; i++)
        one_turn(1, 60000);
    assert_true(figures()->buffered_bytes <= (1 << 20) + 64 * 1024);
    uint64_t passed = figures()->records, dropped = figures()->dropped;
    rrig_lane_packet(&w->rig, "198.18.1.1", 9, 0);
    expect_record_to(&w->b, 9);

    while (records < passed || drops.records < dropped) {
        uint8_t type = rrig_frame(&w->rig, &w->a);
        assert_true(type == TB_RELAY_RECORDS || type == TB_RELAY_DROPS);
        if (type == TB_RELAY_RECORDS)
            records++;
        else
            assert_int_equal(tb_relay_drops_get(w->a.payload, w->a.payload_len, &drops), 0);
    }
    assert_int_equal(records, passed);
    assert_int_equal(drops.records, dropped);
    assert_int_equal(figures()->buffered_bytes, 0);
    one_turn(1, 0);
    expect_record_to(&w->a, 1);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void a_buffered_client_that_goes_gives_its_memory_back(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, TB_RELAY_WANT_PAYLOAD);
    while (figures()->buffered_bytes < 1 << 20)
        one_turn(10, 60000);
    rrig_disconnect(&w->a);
    while (figures()->clients)
        rrig_turn(&w->rig);
    assert_int_equal(figures()->buffered_bytes, 0);
    one_turn(1, 0);
}

static void drops_of_the_capture_are_told_to_everybody(void **state)
{
    struct tb_relay_drops drops;

    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    tb_relay_server_capture_drops(w->rig.server, 17);
    assert_int_equal(rrig_frame(&w->rig, &w->a), TB_RELAY_DROPS);
    assert_int_equal(tb_relay_drops_get(w->a.payload, w->a.payload_len, &drops), 0);
    assert_int_equal(drops.capture, 17);
    assert_int_equal(drops.records, 0);
    rrig_disconnect(&w->a);
}

/* --- --check ---------------------------------------------------------------------------------- */

static void a_watcher_asks_and_is_told(void **state)
{
    struct tb_relay_seen seen = {.flags = TB_RELAY_SEEN_OUTGOING, .device = "eth0"}, got;
    struct tb_relay_watch watch;
    uint8_t frame[64];

    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, TB_RELAY_WANT_WATCH);
    join(&w->b, 2, NULL, 0, TB_RELAY_WANT_WATCH);
    assert_int_equal(tb_addr_parse("198.18.0.1", &watch.client), 0);
    rrig_send(&w->rig, &w->a, frame, tb_relay_watch_put(frame, sizeof frame, &watch));
    while (w->rig.watches == 0)
        rrig_turn(&w->rig);
    assert_true(tb_addr_eq(&w->rig.watched, &watch.client));
    tb_relay_server_seen(w->rig.server, w->rig.watcher, &seen);
    assert_int_equal(rrig_frame(&w->rig, &w->a), TB_RELAY_SEEN);
    assert_int_equal(tb_relay_seen_get(w->a.payload, w->a.payload_len, &got), 0);
    assert_string_equal(got.device, "eth0");
    assert_true(rrig_is_silent(&w->rig, &w->b));
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
    while (figures()->clients)
        rrig_turn(&w->rig);
    tb_relay_server_seen(w->rig.server, w->rig.watcher, &seen); /* it is gone: nothing happens */
}

static void a_watcher_shares_ranges_and_gets_no_records_of_them(void **state)
{
    w->rig.options.single = true;
    rrig_open(&w->rig, 1);
    join(&w->a, 1, "198.18.0.0", 256, 0);
    join(&w->b, 2, "198.18.0.0", 256, TB_RELAY_WANT_WATCH);
    rrig_lane_packet(&w->rig, "198.18.0.1", 5, 0);
    expect_record_to(&w->a, 5);
    assert_true(rrig_is_silent(&w->rig, &w->b));
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

static void a_watcher_gets_records_of_free_ranges_until_a_client_comes(void **state)
{
    rrig_open(&w->rig, 1);
    join(&w->b, 2, "198.18.0.0", 256, TB_RELAY_WANT_WATCH);
    rrig_lane_packet(&w->rig, "198.18.0.1", 5, 0);
    expect_record_to(&w->b, 5);
    join(&w->a, 1, "198.18.0.0", 256, TB_RELAY_WANT_SINGLE);
    rrig_lane_packet(&w->rig, "198.18.0.1", 6, 0);
    expect_record_to(&w->a, 6);
    assert_true(rrig_is_silent(&w->rig, &w->b));
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
}

/* --- the end, TLS ----------------------------------------------------------------------------- */

static void a_client_s_bye_ends_its_connection(void **state)
{
    uint8_t frame[64];

    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, 0);
    rrig_send(&w->rig, &w->a, frame,
              tb_relay_text_put(frame, sizeof frame, TB_RELAY_BYE, 0, "done"));
    assert_int_equal(rrig_frame(&w->rig, &w->a), 0);
    assert_int_equal(figures()->clients, 0);
    rrig_disconnect(&w->a);
}

static void a_closing_server_says_bye(void **state)
{
    uint8_t got[256], frame[64];
    struct tb_relay_head head;

    rrig_open(&w->rig, 1);
    join(&w->a, 1, NULL, 0, 0);
    struct tb_relay_ping p = {.client_us = 1};
    size_t len = tb_relay_ping_put(frame, sizeof frame, TB_RELAY_PING, &p);
    assert_int_equal(send(w->a.fd, frame, len, 0), (ssize_t) len); /* unread when it closes */
    tb_relay_server_close(w->rig.server);
    w->rig.server = NULL;
    ssize_t n = recv(w->a.fd, got, sizeof got, MSG_WAITALL);
    assert_int_equal(tb_relay_head_get(got, (size_t) n, &head), 0);
    assert_int_equal(head.type, TB_RELAY_BYE);
    assert_int_equal(n, TB_RELAY_HEAD + head.len);
    rrig_disconnect(&w->a);
}

static void a_taken_port_is_an_error_with_words(void **state)
{
    struct tb_relay_server *second;
    struct tb_err err;

    rrig_open(&w->rig, 1);
    w->rig.options.port = tb_relay_server_port(w->rig.server);
    assert_int_equal(tb_relay_server_open(w->rig.base, &w->rig.options, 1, &second, &err),
                     -EADDRINUSE);
    assert_non_null(strstr(err.text, "ss -tlnp"));
}

static const char *write_key(const char *digits)
{
    static char path[64];

    snprintf(path, sizeof path, "/tmp/tb-psk-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, digits, strlen(digits)), (ssize_t) strlen(digits));
    close(fd);
    return path;
}

/* Connect `p` by TLS with this key: what the handshake ends with. */
static int shake_hands(struct rrig_peer *p, const char *digits, struct tb_tls_context **context)
{
    const char *path = write_key(digits);
    int rc = tb_tls_context_new(TB_TLS_CLIENT, path, context, NULL);

    unlink(path);
    assert_int_equal(rc, 0);
    rrig_connect(&w->rig, p);
    assert_int_equal(tb_tls_new(*context, p->fd, &p->tls), 0);
    while ((rc = tb_tls_handshake(p->tls)) == -EAGAIN)
        rrig_turn(&w->rig);
    return rc;
}

static void the_dialogue_works_through_tls(void **state)
{
    static const char key[] = "00112233445566778899aabbccddeeff";
    struct tb_tls_context *context;
    const char *path = write_key(key);
    uint32_t records = 0;

    w->rig.options.psk_file = path;
    rrig_open(&w->rig, 1);
    unlink(path);
    assert_int_equal(shake_hands(&w->a, key, &context), 0);
    rrig_hello(&w->hello, 1);
    w->hello.flags = TB_RELAY_WANT_PAYLOAD;
    rrig_add_range(&w->hello, "198.18.0.0", 256);
    rrig_send_hello(&w->rig, &w->a, &w->hello);
    assert_int_equal(rrig_frame(&w->rig, &w->a), TB_RELAY_WELCOME);
    ping(&w->a);
    while (figures()->buffered_bytes < 1 << 20) /* more than the sockets hold: it has to wait */
        one_turn(1, 60000);
    for (uint64_t sent = figures()->records; records < sent; records++)
        assert_int_equal(count_records(&w->a), 1);
    rrig_disconnect(&w->a);
    tb_tls_context_free(context);
}

static void a_wrong_key_and_no_tls_are_rejected(void **state)
{
    struct tb_tls_context *context;
    const char *path = write_key("00112233445566778899aabbccddeeff");

    w->rig.options.psk_file = path;
    rrig_open(&w->rig, 1);
    unlink(path);
    assert_int_equal(shake_hands(&w->a, "ffffffffffffffffffffffffffffffff", &context), -EACCES);
    rrig_hello(&w->hello, 1);
    rrig_connect(&w->rig, &w->b);
    rrig_send_hello(&w->rig, &w->b, &w->hello);
    while (figures()->rejected < 2)
        rrig_turn(&w->rig);
    assert_int_equal(figures()->connections, 0);
    rrig_disconnect(&w->a);
    rrig_disconnect(&w->b);
    tb_tls_context_free(context);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hello_is_answered_with_what_the_server_is),
        TEST(the_wish_of_all_clients_is_told),
        TEST(targets_of_all_who_register_are_told_once),
        TEST(one_who_registers_without_targets_wants_packets_from_anywhere),
        TEST(a_client_is_answered_in_its_version),
        TEST(a_hello_may_come_byte_by_byte),
        TEST(another_version_is_refused_in_words),
        TEST(ranges_of_another_run_are_refused_with_its_name),
        TEST(ranges_are_free_again_when_their_client_is_gone),
        TEST(a_single_server_refuses_the_second_client_and_keeps_the_first),
        TEST(a_client_that_wants_to_be_alone_refuses_and_is_refused),
        TEST(connections_of_a_run_must_agree),
        TEST(a_returning_connection_takes_its_place_back),
        TEST(garbage_is_closed_at_once),
        TEST(only_a_hello_may_come_first),
        TEST(frames_a_client_may_not_send_end_the_connection),
        TEST(half_a_hello_is_closed_after_its_time),
        TEST(a_client_that_falls_silent_is_closed_after_its_time),
        TEST(who_is_not_in_the_allow_list_is_closed_unheard),
        TEST(who_is_in_the_allow_list_may_come),
        TEST(a_crowd_without_hellos_keeps_nobody_out),
        TEST(packets_go_to_the_client_of_their_range_only),
        TEST(packets_go_to_the_connection_their_hash_names),
        TEST(packets_for_a_connection_that_is_away_are_of_nobody),
        TEST(registered_sessions_are_routed_until_they_are_unregistered),
        TEST(a_session_stays_with_who_registered_it_first),
        TEST(nobody_can_register_into_the_ranges_of_another),
        TEST(a_check_does_not_keep_a_session_from_being_registered),
        TEST(a_registered_session_comes_on_the_connection_that_registered_it),
        TEST(unregistering_none_unregisters_all_of_the_connection),
        TEST(an_answer_that_overtakes_its_registration_is_passed_on_with_it),
        TEST(only_answers_to_syns_wait_for_a_registration_and_not_for_long),
        TEST(an_early_answer_is_not_for_who_comes_second),
        TEST(sessions_end_with_their_connection),
        TEST(records_are_cut_behind_the_tcp_header),
        TEST(ipv6_records_are_cut_behind_the_tcp_header_too),
        TEST(whole_packets_come_when_payload_is_wanted),
        TEST(padding_of_short_ethernet_frames_is_left_out),
        TEST(a_packet_without_total_length_keeps_the_capture_s),
        TEST(a_packet_too_long_for_a_frame_is_cut),
        TEST(what_is_no_whole_tcp_packet_is_of_nobody),
        TEST(packets_of_one_turn_share_a_frame),
        TEST(a_frame_holds_no_more_records_than_asked_for),
        TEST(more_clients_than_batches_are_all_served),
        TEST(a_client_that_does_not_read_costs_its_buffer_and_learns_of_drops),
        TEST(a_buffered_client_that_goes_gives_its_memory_back),
        TEST(drops_of_the_capture_are_told_to_everybody),
        TEST(a_watcher_asks_and_is_told),
        TEST(a_watcher_shares_ranges_and_gets_no_records_of_them),
        TEST(a_watcher_gets_records_of_free_ranges_until_a_client_comes),
        TEST(a_client_s_bye_ends_its_connection),
        TEST(a_closing_server_says_bye),
        TEST(a_taken_port_is_an_error_with_words),
        TEST(the_dialogue_works_through_tls),
        TEST(a_wrong_key_and_no_tls_are_rejected),
    };
    return cmocka_run_group_tests_name("relay/server", tests, NULL, NULL);
}
