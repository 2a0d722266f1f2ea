/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of intercept that decide something: rewriting addresses, filters, pace, what a watcher
 * is told, and the words about the figures. Filters are run by the kernel itself (run_filter.h).
 */
#include "unit.h"
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include "intercept/figures.h"
#include "intercept/filter.h"
#include "io/pace.h"
#include "intercept/readdress.h"
#include "intercept/watch.h"
#include "packet/checksum.h"
#include "packet/frame.h"
#include "run_filter.h"

enum { ROOM = 2048 };

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;
    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

/* A whole packet, port 80 to 1024. */
static uint32_t packet(const char *src, const char *dst, uint32_t payload_len, uint8_t out[ROOM])
{
    static const uint8_t payload[1024] = {1, 2, 3};
    struct tb_addr from = addr(src), to = addr(dst);
    struct tb_frame_spec spec = {
        .src = &from, .dst = &to, .sport = 80, .dport = 1024, .flags = TB_TCP_ACK};
    struct tb_frame f;
    tb_frame_build(&f, &spec, payload, payload_len);
    return tb_frame_flatten(&f, out, ROOM);
}

/* --- -D ----------------------------------------------------------------------------------------
 */

static const struct {
    const char *seen, *meant, *client;
} pairs[] = {{"172.17.0.2", "10.0.0.5", "198.19.0.1"},
             {"172.17.0.2", "255.255.255.254", "198.19.0.1"},
             {"fd00::2", "fd00:18::5", "fd00:19::1"}};

static bool v4_header_holds(const uint8_t *p)
{
    return p[0] >> 4 == 6 || tb_checksum_fold(tb_checksum_add(0, p, 20)) == 0xffff;
}

static void readdress_keeps_checksums_right(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct tb_readdress r = {addr(pairs[i].seen), addr(pairs[i].meant)};
        uint8_t p[ROOM];
        uint32_t len = packet(pairs[i].seen, pairs[i].client, 101, p);
        struct tb_ip ip;
        assert_true(tb_readdress_packet(&r, 1, p, len, false));
        assert_int_equal(tb_ip_parse(p, len, &ip), 0);
        assert_true(tb_addr_eq(&ip.src, &r.meant));
        assert_true(tb_segment_checksum_ok(&ip));
        assert_true(v4_header_holds(p));
    }
}

/* One that never left the machine holds the sum of its pseudo-header, and must go on doing so. */
static void readdress_keeps_unfinished_checksums_unfinished(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct tb_readdress r = {addr(pairs[i].seen), addr(pairs[i].meant)};
        struct tb_addr client = addr(pairs[i].client);
        uint8_t p[ROOM];
        uint32_t len = packet(pairs[i].seen, pairs[i].client, 101, p);
        struct tb_ip ip;
        assert_int_equal(tb_ip_parse(p, len, &ip), 0);
        uint32_t tcp_len = ip.payload_len;
        uint8_t *at = p + (ip.payload - p) + 16;
        uint16_t sum = tb_checksum_fold(tb_checksum_pseudo(&r.seen, &client, tcp_len));
        memcpy(at, &sum, 2);
        assert_true(tb_readdress_packet(&r, 1, p, len, true));
        sum = tb_checksum_fold(tb_checksum_pseudo(&r.meant, &client, tcp_len));
        assert_memory_equal(at, &sum, 2);
    }
}

static void readdress_works_on_packets_cut_behind_their_headers(void **state)
{
    (void) state;
    struct tb_readdress r = {addr("172.17.0.2"), addr("10.0.0.5")};
    uint8_t whole[ROOM], cut[ROOM];
    uint32_t len = packet("172.17.0.2", "198.19.0.1", 700, whole);
    memcpy(cut, whole, len);
    assert_true(tb_readdress_packet(&r, 1, whole, len, false));
    assert_true(tb_readdress_packet(&r, 1, cut, 256, false));
    assert_memory_equal(cut, whole, len);
}

static void readdress_takes_a_mapped_source_for_ipv6(void **state)
{
    (void) state;
    struct tb_readdress r = {addr("172.17.0.2"), addr("10.0.0.5")};
    uint8_t p[ROOM];
    uint32_t len = packet("fd00::2", "fd00:19::1", 10, p);
    struct tb_ip ip;
    memcpy(p + 8, r.seen.b, 16);
    assert_true(tb_readdress_packet(&r, 1, p, len, false));
    assert_int_equal(tb_ip_parse(p, len, &ip), 0);
    assert_true(tb_addr_eq(&ip.src, &r.meant));
}

static void readdress_leaves_others_alone(void **state)
{
    (void) state;
    struct tb_readdress r[] = {{addr("172.17.0.3"), addr("10.0.0.5")},
                               {addr("fd00::3"), addr("fd00::5")}};
    static const char *const from[] = {"172.17.0.2", "fd00::2"};
    for (int i = 0; i < 2; i++) {
        uint8_t p[ROOM], before[ROOM];
        uint32_t len = packet(from[i], i ? "fd00:19::1" : "198.19.0.1", 10, p);
        memcpy(before, p, len);
        assert_false(tb_readdress_packet(r, 2, p, len, false));
        assert_memory_equal(before, p, len);
    }
}

static void readdress_survives_any_length(void **state)
{
    (void) state;
    struct tb_readdress r = {addr("172.17.0.2"), addr("10.0.0.5")};
    uint8_t p[ROOM];
    uint32_t len = packet("172.17.0.2", "198.19.0.1", 10, p);
    for (uint32_t n = 0; n <= len; n++) {
        uint8_t *copy = exact_copy(p, n);
        tb_readdress_packet(&r, 1, copy, n, false);
        free(copy);
    }
}

/* --- filters -----------------------------------------------------------------------------------
 */

static struct tb_intercept_filter *new_filter(const char *text)
{
    struct tb_intercept_filter *f = calloc(1, sizeof *f);
    struct tb_err err;
    assert_non_null(f);
    assert_int_equal(tb_intercept_filter_init(f, text, &err), 0);
    return f;
}

static void free_filter(struct tb_intercept_filter *f)
{
    tb_intercept_filter_fini(f);
    free(f);
}

/* Bytes the kernel would hand over of a packet of 1000 bytes payload. */
static uint32_t passed(const struct tb_intercept_filter *f, uint32_t type, const char *src,
                       const char *dst)
{
    uint8_t p[ROOM];
    uint32_t len = packet(src, dst, 1000, p);
    struct aside aside = {.packet_type = type, .protocol = p[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6};
    return f->len ? run_filter(f->program, f->len, aside, p, len) : 0;
}

static void want(struct tb_intercept_filter *f, const struct tb_relay_range *ranges, uint32_t count,
                 bool payload)
{
    struct tb_relay_wish wish = {.ranges = ranges, .range_count = count, .payload = payload};

    tb_intercept_filter_want(f, &wish);
}

static void nothing_passes_without_clients(void **state)
{
    (void) state;
    struct tb_intercept_filter *f = new_filter(NULL);
    want(f, NULL, 0, false);
    assert_int_equal(f->len, 0);
    free_filter(f);
    f = new_filter("tcp");
    want(f, NULL, 0, true);
    assert_int_equal(f->len, 0);
    free_filter(f);
}

static void clients_get_their_ranges_and_headers_only(void **state)
{
    (void) state;
    struct tb_relay_range ranges[] = {{addr("198.19.0.0"), 256}, {addr("fd00:19::"), 16}};
    struct tb_intercept_filter *f = new_filter(NULL);
    want(f, ranges, 2, false);
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "198.19.0.9"), TB_STEER_HEADERS);
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "198.19.1.9"), 0);
    assert_int_equal(passed(f, PACKET_HOST, "fd00:18::2", "fd00:19::9"), TB_STEER_HEADERS);
    assert_int_equal(passed(f, PACKET_OUTGOING, "198.18.0.2", "198.19.0.9"), 0);
    free_filter(f);
}

static void payload_comes_when_wanted(void **state)
{
    (void) state;
    struct tb_relay_range range = {addr("198.19.0.0"), 256};
    struct tb_intercept_filter *f = new_filter(NULL);
    want(f, &range, 1, true);
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "198.19.0.9"), 1040);
    free_filter(f);
}

static void sessions_without_targets_need_all_tcp(void **state)
{
    (void) state;
    struct tb_relay_range range = {addr("198.19.0.0"), 256};
    struct tb_relay_wish wish = {.ranges = &range, .range_count = 1, .registers = true};
    struct tb_intercept_filter *f = new_filter(NULL);
    tb_intercept_filter_want(f, &wish);
    assert_true(f->all_tcp);
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "203.0.113.1"), TB_STEER_HEADERS);
    free_filter(f);
}

static void registered_sessions_come_from_their_targets_alone(void **state)
{
    (void) state;
    struct tb_relay_range range = {addr("198.19.0.0"), 256};
    struct tb_endpoint targets[] = {{addr("198.18.0.2"), 80}, {addr("fd00:18::2"), 80}};
    struct tb_relay_wish wish = {.ranges = &range,
                                 .range_count = 1,
                                 .registers = true,
                                 .targets = targets,
                                 .target_count = 2};
    struct tb_intercept_filter *f = new_filter(NULL);
    tb_intercept_filter_want(f, &wish);
    assert_false(f->all_tcp);
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "203.0.113.1"), TB_STEER_HEADERS);
    assert_int_equal(passed(f, PACKET_HOST, "fd00:18::2", "2001:db8::1"), TB_STEER_HEADERS);
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.3", "203.0.113.1"), 0);
    assert_int_equal(passed(f, PACKET_HOST, "fd00:18::3", "2001:db8::1"), 0);
    assert_int_equal(passed(f, PACKET_OUTGOING, "198.18.0.2", "203.0.113.1"), 0);
    /* another client's range is not forgotten */
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.3", "198.19.0.9"), TB_STEER_HEADERS);
    targets[0].port = 81;
    tb_intercept_filter_want(f, &wish);
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "203.0.113.1"), 0);
    free_filter(f);
}

static void a_target_in_a_container_is_captured_under_its_inner_address(void **state)
{
    (void) state;
    struct tb_readdress docker = {addr("172.17.0.2"), addr("198.18.0.2")};
    struct tb_endpoint target = {addr("198.18.0.2"), 80};
    struct tb_relay_wish wish = {.registers = true, .targets = &target, .target_count = 1};
    struct tb_intercept_filter *f = new_filter(NULL);
    f->docker = &docker;
    f->docker_count = 1;
    tb_intercept_filter_want(f, &wish);
    assert_int_equal(passed(f, PACKET_HOST, "172.17.0.2", "203.0.113.1"), TB_STEER_HEADERS);
    assert_int_equal(passed(f, PACKET_HOST, "172.17.0.3", "203.0.113.1"), 0);
    free_filter(f);
}

static void too_many_ranges_become_all_tcp(void **state)
{
    (void) state;
    enum { MANY = 2000 };
    struct tb_relay_range *ranges = calloc(MANY, sizeof *ranges);
    for (uint32_t i = 0; i < MANY; i++)
        ranges[i] = (struct tb_relay_range){tb_addr_plus(addr("198.19.0.0"), 2 * i), 1};
    struct tb_intercept_filter *f = new_filter(NULL);
    want(f, ranges, MANY, true);
    assert_true(f->all_tcp);
    assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "198.19.0.1"), 1040);
    free_filter(f);
    free(ranges);
}

static void widening_keeps_what_is_wanted_of_a_packet(void **state)
{
    (void) state;
    struct tb_relay_range range = {addr("198.19.0.0"), 256};
    struct tb_intercept_filter *f = new_filter(NULL);
    for (int payload = 0; payload < 2; payload++) {
        want(f, &range, 1, payload);
        tb_intercept_filter_widen(f);
        assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "203.0.113.1"),
                         payload ? 1040 : TB_STEER_HEADERS);
    }
    free_filter(f);
}

static void filter_given_rules_and_is_cut_as_wanted(void **state)
{
    (void) state;
    struct tb_relay_range range = {addr("198.19.0.0"), 256};
    struct tb_intercept_filter *f = new_filter("tcp and src host 198.18.0.2");
    for (int payload = 0; payload < 2; payload++) {
        want(f, &range, 1, payload);
        assert_int_equal(passed(f, PACKET_HOST, "198.18.0.2", "198.19.0.9"),
                         payload ? 1040 : TB_STEER_HEADERS);
        assert_int_equal(passed(f, PACKET_HOST, "198.18.0.7", "198.19.0.9"), 0);
        assert_int_equal(passed(f, PACKET_OUTGOING, "198.18.0.2", "198.19.0.9"), 0);
    }
    free_filter(f);
}

static void filter_for_ipv6_works(void **state)
{
    (void) state;
    struct tb_relay_range range = {addr("fd00:19::"), 256};
    struct tb_intercept_filter *f = new_filter("tcp src port 80");
    want(f, &range, 1, false);
    assert_int_equal(passed(f, PACKET_HOST, "fd00:18::2", "fd00:19::9"), TB_STEER_HEADERS);
    free_filter(f);
    f = new_filter("tcp src port 81");
    want(f, &range, 1, false);
    assert_int_equal(passed(f, PACKET_HOST, "fd00:18::2", "fd00:19::9"), 0);
    free_filter(f);
}

static void filters_about_the_link_layer_are_refused_with_the_reason(void **state)
{
    (void) state;
    static const char *const bad[] = {"ether host 02:00:5e:10:00:01", "vlan 7", "tcp and and"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tb_intercept_filter *f = calloc(1, sizeof *f);
        struct tb_err err;
        assert_int_equal(tb_intercept_filter_init(f, bad[i], &err), -EINVAL);
        assert_non_null(strstr(err.text, bad[i]));
        assert_non_null(strstr(err.text, "IP header on"));
        free_filter(f);
    }
}

/* --- pace --------------------------------------------------------------------------------------
 */

static void pace_waits_to_be_woken_while_little_comes(void **state)
{
    (void) state;
    struct tb_pace p = {0};
    for (uint64_t us = 1000; us < 100000; us += 1000) /* a thousand in a second */
        assert_false(tb_pace_turn(&p, us, 1));
}

static void pace_pauses_while_much_comes_and_not_after(void **state)
{
    (void) state;
    struct tb_pace p = {0};
    uint64_t us = 0;
    bool pauses = false;
    for (; us < 50000; us += 100) /* a hundred thousand in a second */
        pauses = tb_pace_turn(&p, us, 10);
    assert_true(pauses);
    assert_false(tb_pace_turn(&p, us, 0)); /* nothing came: be woken by what comes next */
    for (uint64_t end = us + 50000; us < end; us += 1000)
        pauses = tb_pace_turn(&p, us, 1);
    assert_false(pauses);
}

/* --- watch -------------------------------------------------------------------------------------
 */

enum { CAPTURED_DEVICE = 1, OTHER_DEVICE = 77 };

static const struct tb_devices devices = {
    .count = 1, .device = {{.name = "lo", .index = CAPTURED_DEVICE, .up = true}}};

static bool look(const char *filter, const char *client, uint32_t device, uint8_t type,
                 const uint8_t *p, uint32_t len, struct tb_relay_seen *seen)
{
    struct tb_intercept_filter *f = new_filter(filter);
    struct tb_intercept_watch_options o = {.devices = &devices, .filter = f};
    struct tb_addr a = addr(client);
    bool is = tb_intercept_watch_look(&o, &a, device, type, p, len, len, seen);
    free_filter(f);
    return is;
}

static void watch_tells_what_is_captured(void **state)
{
    (void) state;
    struct tb_relay_seen seen;
    uint8_t p[ROOM];
    uint32_t len = packet("198.18.0.2", "198.19.0.1", 0, p);
    assert_true(look(NULL, "198.19.0.1", CAPTURED_DEVICE, PACKET_HOST, p, len, &seen));
    assert_int_equal(seen.flags, TB_RELAY_SEEN_CAPTURED);
    assert_int_equal(seen.sport, 80);
    assert_int_equal(seen.dport, 1024);
    assert_int_equal(seen.tcp_flags, TB_TCP_ACK);
    assert_int_equal(seen.proto, TB_PROTO_TCP);
    assert_true(look(NULL, "198.18.0.2", CAPTURED_DEVICE, PACKET_HOST, p, len, &seen));
    assert_false(look(NULL, "198.19.0.2", CAPTURED_DEVICE, PACKET_HOST, p, len, &seen));
}

static void watch_tells_what_device_and_filter_miss(void **state)
{
    (void) state;
    struct tb_relay_seen seen;
    uint8_t p[ROOM];
    uint32_t len = packet("198.18.0.2", "198.19.0.1", 0, p);
    assert_true(look(NULL, "198.19.0.1", OTHER_DEVICE, PACKET_HOST, p, len, &seen));
    assert_int_equal(seen.flags, 0);
    assert_true(look("port 81", "198.19.0.1", CAPTURED_DEVICE, PACKET_HOST, p, len, &seen));
    assert_int_equal(seen.flags, 0);
}

static void watch_tells_what_is_sent_on(void **state)
{
    (void) state;
    struct tb_relay_seen seen;
    uint8_t p[ROOM];
    uint32_t len = packet("198.18.0.2", "198.19.0.1", 0, p);
    assert_true(look(NULL, "198.19.0.1", CAPTURED_DEVICE, PACKET_OUTGOING, p, len, &seen));
    assert_int_equal(seen.flags, TB_RELAY_SEEN_OUTGOING);
}

static void watch_knows_what_icmp_says_about_the_client(void **state)
{
    (void) state;
    struct tb_relay_seen seen;
    uint8_t quoted[ROOM],
        p[ROOM] = {0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 198, 18, 0, 3, 198, 18, 0, 2};
    packet("198.18.0.2", "198.19.0.1", 0, quoted);
    p[20] = 5; /* redirect */
    memcpy(p + 28, quoted, 28);
    assert_true(look(NULL, "198.19.0.1", OTHER_DEVICE, PACKET_OUTGOING, p, 56, &seen));
    assert_int_equal(seen.flags, TB_RELAY_SEEN_REDIRECT | TB_RELAY_SEEN_OUTGOING);
    assert_int_equal(seen.proto, 1);
    assert_false(look(NULL, "198.19.0.9", OTHER_DEVICE, PACKET_OUTGOING, p, 56, &seen));
    p[20] = 3; /* unreachable */
    assert_true(look(NULL, "198.19.0.1", OTHER_DEVICE, PACKET_OUTGOING, p, 56, &seen));
    assert_int_equal(seen.flags, TB_RELAY_SEEN_UNREACHABLE | TB_RELAY_SEEN_OUTGOING);
    p[20] = 0; /* an echo's answer */
    assert_false(look(NULL, "198.19.0.1", OTHER_DEVICE, PACKET_OUTGOING, p, 56, &seen));
}

/* --- figures -----------------------------------------------------------------------------------
 */

static void statistics_are_told_only_when_something_changed(void **state)
{
    (void) state;
    struct tb_intercept_figures a = {.devices = &devices}, b = a;
    char line[512];
    b.cpu_us = 1000; /* passes in any case */
    assert_false(tb_figures_line(&a, &b, 5000000, line, sizeof line));
    b.server.packets = 50000;
    b.server.records = 49000;
    b.dropped[0] = 7;
    assert_true(tb_figures_line(&a, &b, 5000000, line, sizeof line));
    assert_non_null(strstr(line, "50000 packets (10000/s), 49000 passed on"));
    assert_non_null(strstr(line, "dropped: 7 in rings"));
}

static void devices_are_listed_as_far_as_there_is_room(void **state)
{
    (void) state;
    struct tb_devices d = {.count = 3,
                           .device = {{.name = "eth0"}, {.name = "eth1"}, {.name = "enp3s0f0"}}};
    char room[64];
    assert_string_equal(tb_devices_format(&d, room, sizeof room), "eth0,eth1,enp3s0f0");
    assert_string_equal(tb_devices_format(&d, room, 16), "eth0,eth1,...");
}

static void device_that_is_not_there_is_told(void **state)
{
    (void) state;
    char name[] = "nosuch0", *names[] = {name};
    struct tb_devices d;
    struct tb_err err;
    assert_int_equal(tb_devices_choose(&d, names, 1, &err), -ENODEV);
    assert_non_null(strstr(err.text, "nosuch0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readdress_keeps_checksums_right),
        cmocka_unit_test(readdress_keeps_unfinished_checksums_unfinished),
        cmocka_unit_test(readdress_works_on_packets_cut_behind_their_headers),
        cmocka_unit_test(readdress_takes_a_mapped_source_for_ipv6),
        cmocka_unit_test(readdress_leaves_others_alone),
        cmocka_unit_test(readdress_survives_any_length),
        cmocka_unit_test(nothing_passes_without_clients),
        cmocka_unit_test(clients_get_their_ranges_and_headers_only),
        cmocka_unit_test(payload_comes_when_wanted),
        cmocka_unit_test(sessions_without_targets_need_all_tcp),
        cmocka_unit_test(registered_sessions_come_from_their_targets_alone),
        cmocka_unit_test(a_target_in_a_container_is_captured_under_its_inner_address),
        cmocka_unit_test(too_many_ranges_become_all_tcp),
        cmocka_unit_test(widening_keeps_what_is_wanted_of_a_packet),
        cmocka_unit_test(filter_given_rules_and_is_cut_as_wanted),
        cmocka_unit_test(filter_for_ipv6_works),
        cmocka_unit_test(filters_about_the_link_layer_are_refused_with_the_reason),
        cmocka_unit_test(pace_waits_to_be_woken_while_little_comes),
        cmocka_unit_test(pace_pauses_while_much_comes_and_not_after),
        cmocka_unit_test(watch_tells_what_is_captured),
        cmocka_unit_test(watch_tells_what_device_and_filter_miss),
        cmocka_unit_test(watch_tells_what_is_sent_on),
        cmocka_unit_test(watch_knows_what_icmp_says_about_the_client),
        cmocka_unit_test(statistics_are_told_only_when_something_changed),
        cmocka_unit_test(devices_are_listed_as_far_as_there_is_room),
        cmocka_unit_test(device_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
