/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/server: its dialogue with clients over real sockets, from HELLO to BYE. */
#include "relay_server_world.h"

#include <sys/stat.h>
#include <unistd.h>
#include "packet/wire.h"

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
