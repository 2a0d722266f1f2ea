/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of packet/linktype: where the IP header begins, for each link type, and where none. */
#include "packet_build.h"
#include "packet/linktype.h"

enum { NUL = 0, ETHER = 1, LOOP = 108, SLL = 113, IPV4 = 228, IPV6 = 229, SLL2 = 276 };

static void put_version(struct packet *p, unsigned version)
{
    PUT(p, (uint8_t) (version << 4));
}

/* The offset found, after checking that every shorter piece of the frame has none. */
static int offset_of(uint32_t linktype, const struct packet *p)
{
    int offset = tb_linktype_ip_offset(linktype, p->b, p->len);
    for (uint32_t len = 0; len < p->len; len++) {
        uint8_t *cut = exact_copy(p->b, len);
        int found = tb_linktype_ip_offset(linktype, cut, len);
        free(cut);
        assert_int_equal(found, offset >= 0 && len > (uint32_t) offset ? offset : -1);
    }
    return offset;
}

static struct packet ether(uint16_t type)
{
    struct packet p = {.len = 0};
    put_fill(&p, 0xaa, 12);
    PUT(&p, (uint8_t) (type >> 8), (uint8_t) type);
    return p;
}

static void ethernet_carries_ipv4_and_ipv6(void **state)
{
    struct packet p = ether(0x0800);
    put_version(&p, 4);
    assert_int_equal(offset_of(ETHER, &p), 14);
    p = ether(0x86dd);
    put_version(&p, 6);
    assert_int_equal(offset_of(ETHER, &p), 14);
}

static void up_to_four_vlan_tags_are_skipped(void **state)
{
    static const uint16_t kinds[] = {0x8100, 0x88a8, 0x9100, 0x9200};
    for (size_t k = 0; k < 4; k++)
        for (int tags = 1; tags <= 5; tags++) {
            struct packet p = ether(kinds[k]);
            for (int i = 1; i < tags; i++)
                PUT(&p, 0, 7, 0x81, 0);
            PUT(&p, 0, 7, 0x86, 0xdd);
            put_version(&p, 6);
            assert_int_equal(offset_of(ETHER, &p), tags <= 4 ? 14 + 4 * tags : -1);
        }
}

static void other_ethernet_frames_have_none(void **state)
{
    static const uint16_t types[] = {0x0806, 0x8864, 0x8847, 0x05dc, 0};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct packet p = ether(types[i]);
        put_version(&p, 4);
        assert_int_equal(offset_of(ETHER, &p), -1);
    }
    struct packet contradiction = ether(0x0800);
    put_version(&contradiction, 6);
    assert_int_equal(offset_of(ETHER, &contradiction), -1);
}

static void linux_cooked_v1_with_and_without_vlan(void **state)
{
    struct packet p = {.len = 0};
    put_fill(&p, 0, 14);
    PUT(&p, 8, 0);
    put_version(&p, 4);
    assert_int_equal(offset_of(SLL, &p), 16);
    p.len = 14;
    PUT(&p, 0x81, 0, 0, 5, 0x86, 0xdd);
    put_version(&p, 6);
    assert_int_equal(offset_of(SLL, &p), 20);
}

static void linux_cooked_v2_with_and_without_vlan(void **state)
{
    struct packet p = {.len = 0};
    PUT(&p, 0x86, 0xdd);
    put_fill(&p, 0, 18);
    put_version(&p, 6);
    assert_int_equal(offset_of(SLL2, &p), 20);
    p.len = 0;
    PUT(&p, 0x81, 0);
    put_fill(&p, 0, 18);
    PUT(&p, 0, 5, 8, 0);
    put_version(&p, 4);
    assert_int_equal(offset_of(SLL2, &p), 24);
}

static void raw_ip_is_told_by_its_version(void **state)
{
    static const uint32_t raw[] = {101, 12, 14};
    for (unsigned version = 0; version < 16; version++) {
        struct packet p = {.len = 0};
        put_version(&p, version);
        bool ip = version == 4 || version == 6;
        for (int i = 0; i < 3; i++)
            assert_int_equal(offset_of(raw[i], &p), ip ? 0 : -1);
        assert_int_equal(offset_of(IPV4, &p), version == 4 ? 0 : -1);
        assert_int_equal(offset_of(IPV6, &p), version == 6 ? 0 : -1);
    }
}

static void bsd_loopback_has_the_family_in_either_byte_order(void **state)
{
    static const uint8_t v6_families[] = {10, 24, 28, 30};
    struct packet p = {.len = 0};
    PUT(&p, 2, 0, 0, 0, 0x45);
    assert_int_equal(offset_of(NUL, &p), 4);
    p.len = 0;
    PUT(&p, 0, 0, 0, 2, 0x45);
    assert_int_equal(offset_of(NUL, &p), 4);
    assert_int_equal(offset_of(LOOP, &p), 4);
    for (int i = 0; i < 4; i++) {
        p.len = 0;
        PUT(&p, v6_families[i], 0, 0, 0, 0x60);
        assert_int_equal(offset_of(NUL, &p), 4);
        p.len = 0;
        PUT(&p, 0, 0, 0, v6_families[i], 0x60);
        assert_int_equal(offset_of(LOOP, &p), 4);
    }
    p.len = 0;
    PUT(&p, 7, 0, 0, 0, 0x45);
    assert_int_equal(offset_of(NUL, &p), -1);
}

static void known_types_have_names_and_others_their_number(void **state)
{
    static const uint32_t types[] = {NUL, ETHER, 12, 14, 101, LOOP, SLL, IPV4, IPV6, SLL2};
    char buf[32];
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_true(tb_linktype_known(types[i]));
        assert_null(strstr(tb_linktype_name(types[i], buf), "linktype"));
    }
    assert_false(tb_linktype_known(999));
    assert_string_equal(tb_linktype_name(999, buf), "linktype 999");
    assert_string_equal(tb_linktype_name(ETHER, buf), "Ethernet");
    struct packet p = {.len = 0};
    put_version(&p, 4);
    assert_int_equal(offset_of(999, &p), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ethernet_carries_ipv4_and_ipv6),
        cmocka_unit_test(up_to_four_vlan_tags_are_skipped),
        cmocka_unit_test(other_ethernet_frames_have_none),
        cmocka_unit_test(linux_cooked_v1_with_and_without_vlan),
        cmocka_unit_test(linux_cooked_v2_with_and_without_vlan),
        cmocka_unit_test(raw_ip_is_told_by_its_version),
        cmocka_unit_test(bsd_loopback_has_the_family_in_either_byte_order),
        cmocka_unit_test(known_types_have_names_and_others_their_number),
    };
    return cmocka_run_group_tests_name("packet/linktype", tests, NULL, NULL);
}
