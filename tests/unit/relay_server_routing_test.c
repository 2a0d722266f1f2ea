/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/server: whose packets go where, by ranges and by registered sessions. */
#include "relay_server_world.h"

#include "base/clock.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests_name("relay/server: routing", tests, NULL, NULL);
}
