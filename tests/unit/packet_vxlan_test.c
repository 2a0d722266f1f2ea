/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of packet/vxlan: where the mirrored packet begins, and what is none. */
#include "packet_build.h"
#include "packet/vxlan.h"

enum { UDP = 17, TCP = 6, INNER = 20 };

/* UDP and VXLAN headers before an Ethernet frame. */
static void put_vxlan(struct packet *p, uint16_t port, uint8_t flags)
{
    PUT(p, 0xc0, 0, (uint8_t) (port >> 8), (uint8_t) port, 0, 0, 0, 0);
    PUT(p, flags, 0, 0, 0, 0, 0, 42, 0);
    put_fill(p, 0xee, 12);
}

static void put_inner(struct packet *p)
{
    PUT(p, 8, 0);
    put_ipv4(p, TCP, 0);
}

static struct packet mirrored(uint16_t port, uint8_t flags)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, UDP, 8 + 8 + 14 + INNER);
    put_vxlan(&p, port, flags);
    put_inner(&p);
    return p;
}

static int offset_of(const struct packet *p, uint32_t len)
{
    uint8_t *exact = exact_copy(p->b, len);
    int at = tb_vxlan_ip_offset(exact, len, TB_VXLAN_PORT);
    free(exact);
    return at;
}

static void the_inner_packet_is_found_and_nothing_of_a_cut_one(void **state)
{
    (void) state;
    struct packet p = mirrored(TB_VXLAN_PORT, 8);
    for (uint32_t len = 0; len <= p.len; len++)
        assert_int_equal(offset_of(&p, len), len > 50 ? 50 : -1);
}

static void over_ipv6_too(void **state)
{
    (void) state;
    struct packet p = {.len = 0};
    put_ipv6(&p, UDP, 8 + 8 + 14 + INNER);
    put_vxlan(&p, TB_VXLAN_PORT, 8);
    put_inner(&p);
    assert_int_equal(offset_of(&p, p.len), 70);
}

static void vlan_tags_of_the_mirrored_frame_are_skipped(void **state)
{
    (void) state;
    struct packet p = {.len = 0};
    put_ipv4(&p, UDP, 8 + 8 + 14 + 8 + INNER);
    put_vxlan(&p, TB_VXLAN_PORT, 8);
    PUT(&p, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 9);
    put_inner(&p);
    assert_int_equal(offset_of(&p, p.len), 58);
}

static void other_ports_and_packets_without_a_network_are_none(void **state)
{
    (void) state;
    struct packet p = mirrored(TB_VXLAN_PORT + 1, 8);
    assert_int_equal(offset_of(&p, p.len), -1);
    p = mirrored(TB_VXLAN_PORT, 0);
    assert_int_equal(offset_of(&p, p.len), -1);
}

static void other_protocols_and_fragments_are_none(void **state)
{
    (void) state;
    struct packet p = mirrored(TB_VXLAN_PORT, 8);
    p.b[9] = TCP;
    assert_int_equal(offset_of(&p, p.len), -1);
    p.b[9] = UDP;
    p.b[6] = 0x20; /* more fragments */
    assert_int_equal(offset_of(&p, p.len), -1);
    p.b[6] = 0;
    p.b[7] = 1; /* offset */
    assert_int_equal(offset_of(&p, p.len), -1);
}

static void mirrored_frames_without_ip_are_none(void **state)
{
    (void) state;
    struct packet p = mirrored(TB_VXLAN_PORT, 8);
    p.b[49] = 6; /* ARP */
    assert_int_equal(offset_of(&p, p.len), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_inner_packet_is_found_and_nothing_of_a_cut_one),
        cmocka_unit_test(over_ipv6_too),
        cmocka_unit_test(vlan_tags_of_the_mirrored_frame_are_skipped),
        cmocka_unit_test(other_ports_and_packets_without_a_network_are_none),
        cmocka_unit_test(other_protocols_and_fragments_are_none),
        cmocka_unit_test(mirrored_frames_without_ip_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
