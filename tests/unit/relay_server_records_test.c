/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/server: what becomes of a packet that somebody gets. */
#include "relay_server_world.h"

#include "packet/wire.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests_name("relay/server: records", tests, NULL, NULL);
}
