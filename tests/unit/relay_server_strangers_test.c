/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/server: whoever is no client of ours, or does not behave as one. */
#include "relay_server_world.h"

#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(garbage_is_closed_at_once),
        TEST(only_a_hello_may_come_first),
        TEST(frames_a_client_may_not_send_end_the_connection),
        TEST(half_a_hello_is_closed_after_its_time),
        TEST(a_client_that_falls_silent_is_closed_after_its_time),
        TEST(who_is_not_in_the_allow_list_is_closed_unheard),
        TEST(who_is_in_the_allow_list_may_come),
        TEST(a_crowd_without_hellos_keeps_nobody_out),
        TEST(a_client_that_does_not_read_costs_its_buffer_and_learns_of_drops),
        TEST(a_buffered_client_that_goes_gives_its_memory_back),
        TEST(drops_of_the_capture_are_told_to_everybody),
    };
    return cmocka_run_group_tests_name("relay/server: strangers", tests, NULL, NULL);
}
