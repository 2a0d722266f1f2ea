/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet filter programs, run by the kernel itself (run_filter.h). */
#include "unit.h"
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>
#include "io/steer.h"
#include "packet/frame.h"
#include "run_filter.h"

enum { ROOM = 2048, WORKERS = 7 };

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;
    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

/* A packet from a server to `dst`, with `payload_len` bytes behind its headers. */
static uint32_t packet_to(const char *dst, uint16_t port, uint32_t payload_len, uint8_t out[ROOM])
{
    static const uint8_t payload[1024];
    struct tb_addr to = addr(dst), from = addr(tb_addr_is_v4(&to) ? "198.18.0.2" : "fd00:18::2");
    struct tb_frame_spec spec = {
        .src = &from, .dst = &to, .sport = 80, .dport = port, .flags = TB_TCP_ACK};
    struct tb_frame f;
    tb_frame_build(&f, &spec, payload, payload_len);
    return tb_frame_flatten(&f, out, ROOM);
}

/* The same with 8 bytes of IP options. */
static uint32_t add_ip_options(uint8_t packet[ROOM], uint32_t len)
{
    memmove(packet + 28, packet + 20, len - 20);
    memset(packet + 20, 1, 8);
    packet[0] = 0x47;
    packet[3] = (uint8_t) (packet[3] + 8); /* total length; far from a carry here */
    return len + 8;
}

static const struct {
    const char *dst;
    uint16_t port;
} flows[] = {{"198.19.0.1", 1024},    {"198.19.0.1", 1025},     {"198.19.255.255", 65535},
             {"10.0.0.0", 1},         {"fd00:19::1", 1024},     {"fd00:19::ffff:ffff", 65535},
             {"fd00:19::1:0", 40000}, {"198.19.100.77", 33333}, {"2001:db8::7", 50000}};
enum { FLOWS = sizeof flows / sizeof flows[0] };

static uint32_t worker_of(size_t flow)
{
    struct tb_addr a = addr(flows[flow].dst);
    return tb_steer_worker(tb_addr_low32(&a), flows[flow].port, WORKERS);
}

static void classic_program_agrees_with_steer_worker(void **state)
{
    (void) state;
    struct sock_filter program[TB_STEER_CBPF_MAX];
    uint32_t len = tb_steer_cbpf(WORKERS, program), seen = 0;
    for (size_t i = 0; i < FLOWS; i++) {
        uint8_t packet[ROOM];
        uint32_t n = packet_to(flows[i].dst, flows[i].port, 10, packet);
        assert_int_equal(run_classic(program, len, packet, n), worker_of(i));
        seen |= 1u << worker_of(i);
    }
    assert_true(seen & (seen - 1)); /* more than one worker, or this proves nothing */
}

static void classic_program_skips_ip_options(void **state)
{
    (void) state;
    struct sock_filter program[TB_STEER_CBPF_MAX];
    uint32_t len = tb_steer_cbpf(WORKERS, program);
    for (size_t i = 0; i < 4; i++) {
        uint8_t packet[ROOM];
        uint32_t n = add_ip_options(packet, packet_to(flows[i].dst, flows[i].port, 10, packet));
        assert_int_equal(run_classic(program, len, packet, n), worker_of(i));
    }
}

static void ebpf_program_agrees_with_steer_worker(void **state)
{
    (void) state;
    struct bpf_insn program[TB_STEER_EBPF_MAX];
    struct tb_err err;
    int fd = tb_steer_load(program, tb_steer_ebpf(WORKERS, program), &err);
    if (fd < 0)
        skip(); /* loading needs CAP_BPF; tests/system/io_tun.py checks it too */
    int sockets[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets), 0);
    assert_int_equal(setsockopt(sockets[1], SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof fd), 0);
    for (size_t i = 0; i < FLOWS; i++) {
        uint8_t packet[ROOM];
        uint32_t n = packet_to(flows[i].dst, flows[i].port, 10, packet);
        assert_int_equal(run_attached(sockets, packet, n), worker_of(i));
        if (packet[0] == 0x45) {
            n = add_ip_options(packet, n);
            assert_int_equal(run_attached(sockets, packet, n), worker_of(i));
        }
    }
    close(sockets[0]);
    close(sockets[1]);
    close(fd);
}

static bool accepts(const struct tb_io_range *ranges, uint32_t count, struct aside aside,
                    const uint8_t *packet, uint32_t len)
{
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    int n = tb_steer_filter(ranges, count, TB_STEER_WHOLE, program);
    assert_true(n > 0);
    uint32_t result = run_filter(program, (uint32_t) n, aside, packet, len);
    free(program);
    assert_true(result == 0 || result == len); /* all of it or nothing */
    return result != 0;
}

static bool accepts_dst(const struct tb_io_range *ranges, uint32_t count, const char *dst)
{
    uint8_t packet[ROOM];
    uint32_t len = packet_to(dst, 1024, 100, packet);
    struct aside in = {.packet_type = PACKET_HOST,
                       .protocol = packet[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6};
    return accepts(ranges, count, in, packet, len);
}

static void filter_accepts_only_the_client_ranges(void **state)
{
    (void) state;
    struct tb_io_range ranges[] = {{addr("198.19.0.10"), 11},
                                   {addr("10.0.0.0"), 1 << 16},
                                   {addr("fd00:19::10"), 16},
                                   {addr("fd00:20:0:1::"), 1ull << 32}};
    static const struct {
        const char *dst;
        bool in;
    } cases[] = {
        {"198.19.0.9", false},  {"198.19.0.10", true},      {"198.19.0.20", true},
        {"198.19.0.21", false}, {"10.0.0.0", true},         {"10.0.255.255", true},
        {"10.1.0.0", false},    {"9.255.255.255", false},   {"255.255.255.255", false},
        {"fd00:19::f", false},  {"fd00:19::10", true},      {"fd00:19::1f", true},
        {"fd00:19::20", false}, {"fd00:20:0:1::", true},    {"fd00:20:0:1::ffff:ffff", true},
        {"fd00:20::1", false},  {"fd00:20:0:1:1::", false}, {"fd01:19::10", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(accepts_dst(ranges, 4, cases[i].dst), cases[i].in);
}

static void filter_drops_what_this_host_sent(void **state)
{
    (void) state;
    struct tb_io_range r = {addr("198.19.0.0"), 256};
    uint8_t packet[ROOM];
    uint32_t len = packet_to("198.19.0.1", 1024, 100, packet);
    assert_true(accepts(
        &r, 1, (struct aside){.packet_type = PACKET_OTHERHOST, .protocol = ETH_P_IP}, packet, len));
    assert_false(accepts(
        &r, 1, (struct aside){.packet_type = PACKET_OUTGOING, .protocol = ETH_P_IP}, packet, len));
}

static void filter_drops_other_protocols_and_fragments(void **state)
{
    (void) state;
    struct tb_io_range ranges[] = {{addr("198.19.0.0"), 256}, {addr("fd00:19::"), 256}};
    struct aside v4 = {.packet_type = PACKET_HOST, .protocol = ETH_P_IP},
                 v6 = {.packet_type = PACKET_HOST, .protocol = ETH_P_IPV6};
    uint8_t packet[ROOM];
    uint32_t len = packet_to("198.19.0.1", 1024, 100, packet);
    assert_false(accepts(
        ranges, 2, (struct aside){.packet_type = PACKET_HOST, .protocol = ETH_P_ARP}, packet, len));
    packet[6] = 0x20; /* more fragments */
    assert_false(accepts(ranges, 2, v4, packet, len));
    packet[6] = 0x40; /* do not fragment */
    assert_true(accepts(ranges, 2, v4, packet, len));
    packet[9] = 17; /* UDP */
    assert_false(accepts(ranges, 2, v4, packet, len));
    len = packet_to("fd00:19::1", 1024, 100, packet);
    assert_true(accepts(ranges, 2, v6, packet, len));
    packet[6] = 58; /* ICMPv6 */
    assert_false(accepts(ranges, 2, v6, packet, len));
}

static void filter_cuts_where_headers_are_enough(void **state)
{
    (void) state;
    struct tb_io_range ranges[] = {{addr("198.19.0.0"), 256}, {addr("fd00:19::"), 256}};
    static const char *const dst[] = {"198.19.0.1", "fd00:19::1"};
    struct aside aside[] = {{.packet_type = PACKET_HOST, .protocol = ETH_P_IP},
                            {.packet_type = PACKET_HOST, .protocol = ETH_P_IPV6}};
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    for (int i = 0; i < 2; i++) {
        uint8_t packet[ROOM];
        uint32_t len = packet_to(dst[i], 1024, 1000, packet);
        uint32_t n = (uint32_t) tb_steer_filter(ranges, 2, TB_STEER_HEADERS, program);
        assert_int_equal(run_filter(program, n, aside[i], packet, len), TB_STEER_HEADERS);
        assert_int_equal(run_filter(program, n, aside[i], packet, 100), 100);
    }
    free(program);
}

static void filter_for_everybody_passes_tcp_alone(void **state)
{
    (void) state;
    static const char *const dst[] = {"203.0.113.9", "2001:db8::9"};
    struct aside aside[] = {{.packet_type = PACKET_HOST, .protocol = ETH_P_IP},
                            {.packet_type = PACKET_HOST, .protocol = ETH_P_IPV6}};
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    for (int i = 0; i < 2; i++) {
        uint8_t packet[ROOM];
        uint32_t len = packet_to(dst[i], 1024, 100, packet);
        uint32_t n = (uint32_t) tb_steer_filter_tcp(TB_STEER_WHOLE, program);
        assert_int_equal(run_filter(program, n, aside[i], packet, len), len);
        struct aside sent = {.packet_type = PACKET_OUTGOING, .protocol = aside[i].protocol};
        assert_int_equal(run_filter(program, n, sent, packet, len), 0);
        packet[i ? 6 : 9] = 17; /* UDP */
        assert_int_equal(run_filter(program, n, aside[i], packet, len), 0);
    }
    free(program);
}

static void filter_tells_many_ranges_apart(void **state)
{
    (void) state;
    enum { MANY = 600, NETWORKS = 3 };
    struct tb_io_range *ranges = calloc(MANY, sizeof *ranges);
    static const char *const networks[NETWORKS] = {"198.19.0.0", "fd00:19::", "fd00:19:0:1::"};
    for (uint32_t i = 0; i < MANY; i++) { /* every second address, mixed */
        struct tb_addr first = addr(networks[i % NETWORKS]);
        ranges[i] = (struct tb_io_range){tb_addr_plus(first, 2 * (i / NETWORKS)), 1};
    }
    static const struct {
        const char *dst;
        bool in;
    } cases[] = {
        {"198.19.0.0", true},      {"198.19.1.142", true},      {"198.19.1.141", false},
        {"198.19.1.144", false},   {"fd00:19::", true},         {"fd00:19::18e", true},
        {"fd00:19::18f", false},   {"fd00:19::190", false},     {"fd00:19:0:1::18e", true},
        {"fd00:19:0:1::1", false}, {"fd00:19:0:2::18e", false}, {"fd00:19:1::", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(accepts_dst(ranges, MANY, cases[i].dst), cases[i].in);
    free(ranges);
}

static void filter_lets_pass_what_comes_from_a_source_wherever_it_goes(void **state)
{
    (void) state;
    struct tb_io_range range = {addr("198.19.0.0"), 256};
    static const char *const dst[] = {"203.0.113.1", "2001:db8::1", "198.19.0.1"};
    /* Packets come from 198.18.0.2 and fd00:18::2, port 80. */
    const struct tb_endpoint sources[] = {{addr("198.18.0.1"), 80},   {addr("fd00:18::1"), 80},
                                          {addr("198.18.0.2"), 79},   {addr("198.18.0.2"), 80},
                                          {addr("fd00:18:1::2"), 80}, {addr("fd00:18::2"), 80}};
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    for (size_t i = 0; i < sizeof dst / sizeof *dst; i++) {
        uint8_t packet[ROOM];
        uint32_t len = packet_to(dst[i], 1024, 10, packet);
        bool v4 = packet[0] >> 4 == 4;
        struct aside in = {.packet_type = PACKET_HOST, .protocol = v4 ? ETH_P_IP : ETH_P_IPV6};
        for (uint32_t count = 0; count <= 6; count++) {
            uint32_t n =
                (uint32_t) tb_steer_filter_from(&range, 1, sources, count, TB_STEER_WHOLE, program);
            bool passes = i == 2 || count >= (v4 ? 4 : 6);
            assert_int_equal(run_filter(program, n, in, packet, len), passes ? len : 0);
            if (v4) { /* the ports are found behind IP options */
                uint8_t longer[ROOM];
                memcpy(longer, packet, len);
                uint32_t longer_len = add_ip_options(longer, len);
                assert_int_equal(run_filter(program, n, in, longer, longer_len),
                                 passes ? longer_len : 0);
            }
        }
    }
    free(program);
}

static void filter_refuses_what_is_too_long_for_the_kernel(void **state)
{
    (void) state;
    enum { MANY = 2000 };
    struct tb_io_range *ranges = calloc(MANY, sizeof *ranges);
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    struct tb_addr first = addr("fd00:19::");
    for (uint32_t i = 0; i < MANY; i++)
        ranges[i] = (struct tb_io_range){tb_addr_plus(first, 2 * i), 1};
    assert_int_equal(tb_steer_filter(ranges, MANY, TB_STEER_WHOLE, program), -E2BIG);
    free(program);
    free(ranges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_program_agrees_with_steer_worker),
        cmocka_unit_test(classic_program_skips_ip_options),
        cmocka_unit_test(ebpf_program_agrees_with_steer_worker),
        cmocka_unit_test(filter_accepts_only_the_client_ranges),
        cmocka_unit_test(filter_drops_what_this_host_sent),
        cmocka_unit_test(filter_drops_other_protocols_and_fragments),
        cmocka_unit_test(filter_cuts_where_headers_are_enough),
        cmocka_unit_test(filter_for_everybody_passes_tcp_alone),
        cmocka_unit_test(filter_tells_many_ranges_apart),
        cmocka_unit_test(filter_lets_pass_what_comes_from_a_source_wherever_it_goes),
        cmocka_unit_test(filter_refuses_what_is_too_long_for_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
