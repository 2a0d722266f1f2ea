/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of packet/view, IP half: lengths that fit and lengths that lie, extension headers. */
#include "packet_build.h"
#include <errno.h>
#include "base/rng.h"
#include "packet/view.h"

enum { HOP = 0, TCP = 6, UDP = 17, ROUTING = 43, FRAGMENT = 44, ESP = 50, AUTH = 51, DSTOPTS = 60 };

/* Parse from an exact-size copy. The pointer in `ip` is turned into one into `p`. */
static int parse(const struct packet *p, uint32_t len, struct tb_ip *ip)
{
    uint8_t *copy = exact_copy(p->b, len);
    int ret = tb_ip_parse(copy, len, ip);
    if (ret == 0) {
        assert_in_range(ip->payload - copy, 0, len);
        assert_true(ip->payload_len <= len - (uint32_t) (ip->payload - copy));
        assert_true(ip->payload_len <= ip->payload_claimed);
        ip->payload = p->b + (ip->payload - copy);
    } else {
        assert_int_equal(ret, -EBADMSG);
    }
    free(copy);
    return ret;
}

static void ipv4_fields_are_read(void **state)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, UDP, 10);
    put_fill(&p, 'x', 10);
    struct tb_ip ip;
    assert_int_equal(parse(&p, p.len, &ip), 0);
    char buf[TB_ADDR_TEXT];
    assert_string_equal(tb_addr_format(&ip.src, buf), "10.0.0.1");
    assert_string_equal(tb_addr_format(&ip.dst, buf), "10.0.0.2");
    assert_int_equal(ip.proto, UDP);
    assert_int_equal(ip.id, 0x1234);
    assert_false(ip.more_fragments);
    assert_int_equal(ip.fragment_offset, 0);
    assert_ptr_equal(ip.payload, p.b + 20);
    assert_int_equal(ip.payload_len, 10);
    assert_int_equal(ip.payload_claimed, 10);
}

static void ethernet_padding_is_not_payload(void **state)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, TCP, 3);
    put_fill(&p, 0, 23);
    struct tb_ip ip;
    assert_int_equal(parse(&p, p.len, &ip), 0);
    assert_int_equal(ip.payload_len, 3);
    struct packet q = {.len = 0};
    put_ipv6(&q, TCP, 3);
    put_fill(&q, 0, 23);
    assert_int_equal(parse(&q, q.len, &ip), 0);
    assert_int_equal(ip.payload_len, 3);
}

static void a_cut_capture_claims_more_than_it_has(void **state)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, TCP, 1480);
    put_fill(&p, 0, 76);
    struct tb_ip ip;
    for (uint32_t len = 0; len <= p.len; len++) {
        assert_int_equal(parse(&p, len, &ip), len < 20 ? -EBADMSG : 0);
        if (len >= 20) {
            assert_int_equal(ip.payload_len, len - 20);
            assert_int_equal(ip.payload_claimed, 1480);
        }
    }
}

static void total_length_zero_means_all_that_was_captured(void **state)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, TCP, 0);
    p.b[2] = p.b[3] = 0;
    put_fill(&p, 'x', 300);
    struct tb_ip ip;
    assert_int_equal(parse(&p, p.len, &ip), 0);
    assert_int_equal(ip.payload_len, 300);
    assert_int_equal(ip.payload_claimed, 300);
    struct packet q = {.len = 0};
    put_ipv6(&q, TCP, 0);
    put_fill(&q, 'x', 300);
    assert_int_equal(parse(&q, q.len, &ip), 0);
    assert_int_equal(ip.payload_len, 300);
    assert_int_equal(ip.payload_claimed, 300);
}

static void ipv4_options_are_skipped(void **state)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, TCP, 40 + 5);
    p.b[0] = 0x4f;
    put_fill(&p, 1, 40);
    put_fill(&p, 'x', 5);
    struct tb_ip ip;
    for (uint32_t len = 0; len <= p.len; len++)
        assert_int_equal(parse(&p, len, &ip), len < 60 ? -EBADMSG : 0);
    assert_ptr_equal(ip.payload, p.b + 60);
    assert_int_equal(ip.payload_len, 5);
}

static void contradicting_ipv4_lengths_are_refused(void **state)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, TCP, 20);
    put_fill(&p, 0, 20);
    struct tb_ip ip;
    for (unsigned words = 0; words < 5; words++) {
        p.b[0] = (uint8_t) (0x40 | words);
        assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
    }
    p.b[0] = 0x46;
    for (unsigned total = 1; total < 24; total++) {
        tb_put_be16(p.b + 2, total);
        assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
    }
    tb_put_be16(p.b + 2, 24);
    assert_int_equal(parse(&p, p.len, &ip), 0);
    assert_int_equal(ip.payload_len, 0);
}

static void only_versions_4_and_6_are_ip(void **state)
{
    struct packet p = {.len = 0};
    put_fill(&p, 0, 60);
    struct tb_ip ip;
    for (unsigned version = 0; version < 16; version++) {
        p.b[0] = (uint8_t) (version << 4 | 5);
        p.b[6] = version == 6 ? 59 : 0; /* no next header; no fragment */
        assert_int_equal(parse(&p, p.len, &ip), version == 4 || version == 6 ? 0 : -EBADMSG);
    }
}

static void ipv4_fragments_tell_where_they_belong(void **state)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, TCP, 16);
    put_fill(&p, 'x', 16);
    tb_put_be16(p.b + 6, 0x2000 | 1480 / 8);
    struct tb_ip ip;
    struct tb_segment seg;
    assert_int_equal(parse(&p, p.len, &ip), 0);
    assert_true(ip.more_fragments);
    assert_int_equal(ip.fragment_offset, 1480);
    assert_int_equal(tb_segment_parse(p.b, p.len, &seg), -EBADMSG);
    assert_false(tb_segment_checksum_ok(&ip));

    tb_put_be16(p.b + 6, 0x1fff); /* 65528 + 16 bytes: more than a packet can have */
    assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
    tb_put_be16(p.b + 2, 20 + 13);
    tb_put_be16(p.b + 6, 185);
    assert_int_equal(parse(&p, p.len, &ip), 0);
    tb_put_be16(p.b + 6, 0x2000 | 185); /* 13 bytes, and more to come */
    assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
}

static void put_all_extensions(struct packet *p)
{
    PUT(p, ROUTING, 0, 5, 2, 0, 0, 1, 0);              /* hop by hop: router alert, PadN */
    PUT(p, DSTOPTS, 2, 0, 0);                          /* routing, 24 bytes */
    put_fill(p, 0, 20);                                /* … */
    PUT(p, AUTH, 0, 1, 4, 0, 0, 0, 0);                 /* destination options */
    PUT(p, FRAGMENT, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1); /* AH, 24 bytes */
    put_fill(p, 0xcc, 12);                             /* … its check value */
    PUT(p, TCP, 0, 0, 0, 0, 0, 0, 9);                  /* an atomic fragment */
}

static void ipv6_extension_headers_are_skipped(void **state)
{
    enum { EXTENSIONS = 8 + 24 + 8 + 24 + 8 };
    struct packet p = {.len = 0};
    put_ipv6(&p, HOP, EXTENSIONS + 20);
    put_all_extensions(&p);
    assert_int_equal(p.len, 40 + EXTENSIONS);
    put_tcp(&p, 0);
    struct tb_ip ip;
    for (uint32_t len = 0; len <= p.len; len++)
        assert_int_equal(parse(&p, len, &ip), len < 40 + EXTENSIONS ? -EBADMSG : 0);
    assert_int_equal(ip.proto, TCP);
    assert_ptr_equal(ip.payload, p.b + 40 + EXTENSIONS);
    assert_int_equal(ip.payload_len, 20);
    assert_false(ip.more_fragments);
    struct tb_segment seg;
    assert_int_equal(tb_segment_parse(p.b, p.len, &seg), 0);
    assert_int_equal(seg.seq, 0x01020304);
}

static void ipv6_extension_headers_beyond_the_payload_length_are_refused(void **state)
{
    struct packet p = {.len = 0};
    put_ipv6(&p, HOP, 1);
    put_all_extensions(&p);
    put_fill(&p, 0, 20);
    struct tb_ip ip;
    for (uint16_t claimed = 1; claimed < 72; claimed++) {
        tb_put_be16(p.b + 4, claimed);
        assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
    }
    tb_put_be16(p.b + 4, 72);
    assert_int_equal(parse(&p, p.len, &ip), 0);
    assert_int_equal(ip.payload_len, 0);
}

static void ipv6_fragments_tell_where_they_belong(void **state)
{
    struct packet p = {.len = 0};
    put_ipv6(&p, FRAGMENT, 8 + 16);
    PUT(&p, DSTOPTS, 0, 0x05, 0xc9, 0xde, 0xad, 0xbe, 0xef); /* offset 1480, more */
    put_fill(&p, 'x', 16);
    struct tb_ip ip;
    assert_int_equal(parse(&p, p.len, &ip), 0);
    assert_int_equal(ip.proto, DSTOPTS); /* not looked into: it is a piece from the middle */
    assert_int_equal(ip.fragment_offset, 1480);
    assert_true(ip.more_fragments);
    assert_int_equal(ip.id, 0xdeadbeef);
    assert_int_equal(ip.payload_len, 16);
    tb_put_be16(p.b + 42, 0xfff8);
    assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
}

static void jumbo_payload_option_gives_the_length(void **state)
{
    struct packet p = {.len = 0};
    put_ipv6(&p, HOP, 0);
    PUT(&p, TCP, 0, 0xc2, 4, 0, 1, 0x11, 0x70); /* 70000 bytes */
    put_fill(&p, 'x', 100);
    struct tb_ip ip;
    assert_int_equal(parse(&p, p.len, &ip), 0);
    assert_int_equal(ip.proto, TCP);
    assert_int_equal(ip.payload_len, 100);
    assert_int_equal(ip.payload_claimed, 70000 - 8);

    tb_put_be16(p.b + 4, 108); /* both lengths: RFC 2675 §3 forbids it */
    assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
    tb_put_be16(p.b + 4, 0);
    tb_put_be32(p.b + 44, 65535); /* a jumbo payload that is none */
    assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
}

static void hop_by_hop_only_comes_first(void **state)
{
    struct packet p = {.len = 0};
    put_ipv6(&p, DSTOPTS, 16);
    PUT(&p, HOP, 0, 1, 4, 0, 0, 0, 0);
    PUT(&p, TCP, 0, 1, 4, 0, 0, 0, 0);
    struct tb_ip ip;
    assert_int_equal(parse(&p, p.len, &ip), -EBADMSG);
}

static void other_next_headers_are_the_payload(void **state)
{
    struct packet p = {.len = 0};
    put_ipv6(&p, ESP, 8);
    put_fill(&p, 'x', 8);
    struct tb_ip ip;
    struct tb_segment seg;
    assert_int_equal(parse(&p, p.len, &ip), 0);
    assert_int_equal(ip.proto, ESP);
    assert_int_equal(tb_segment_parse(p.b, p.len, &seg), -EBADMSG);
}

static void random_bytes_never_lead_out_of_the_packet(void **state)
{
    struct tb_rng rng = {13};
    struct tb_ip ip;
    struct tb_segment seg;
    unsigned parsed = 0;
    for (int i = 0; i < 100000; i++) {
        struct packet p = {.len = 0};
        uint32_t len = (uint32_t) tb_rng_below(&rng, 160);
        /* beginning like a packet, so that not everything fails at once */
        if (i % 2)
            put_ipv4(&p, TCP, (uint16_t) tb_rng_below(&rng, 200));
        else
            put_ipv6(&p,
                     (uint8_t) ((const uint8_t[]){HOP, ROUTING, FRAGMENT, AUTH, DSTOPTS,
                                                  TCP})[tb_rng_below(&rng, 6)],
                     (uint16_t) tb_rng_below(&rng, 200));
        static const uint8_t likely[] = {0, 0, 1, 2, 4, 5, 6, 8, 43, 44, 51, 60, 0x50, 0x80, 0xc2};
        while (p.len < len)
            PUT(&p, tb_rng_below(&rng, 3) ? likely[tb_rng_below(&rng, sizeof likely)]
                                          : (uint8_t) tb_rng_next(&rng));
        if (tb_rng_below(&rng, 4) == 0)
            p.b[tb_rng_below(&rng, p.len)] = (uint8_t) tb_rng_next(&rng);
        if (parse(&p, len < p.len ? len : p.len, &ip) < 0)
            continue;
        uint8_t *copy = exact_copy(p.b, p.len);
        if (tb_segment_parse(copy, p.len, &seg) == 0) {
            parsed++;
            assert_in_range(seg.payload - copy, 0, p.len);
            assert_true(seg.payload_len <= p.len - (uint32_t) (seg.payload - copy));
            assert_true(seg.payload_len <= seg.payload_claimed);
            assert_true(seg.opt.sack_count <= 4);
        }
        free(copy);
    }
    assert_true(parsed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_fields_are_read),
        cmocka_unit_test(ethernet_padding_is_not_payload),
        cmocka_unit_test(a_cut_capture_claims_more_than_it_has),
        cmocka_unit_test(total_length_zero_means_all_that_was_captured),
        cmocka_unit_test(ipv4_options_are_skipped),
        cmocka_unit_test(contradicting_ipv4_lengths_are_refused),
        cmocka_unit_test(only_versions_4_and_6_are_ip),
        cmocka_unit_test(ipv4_fragments_tell_where_they_belong),
        cmocka_unit_test(ipv6_extension_headers_are_skipped),
        cmocka_unit_test(ipv6_extension_headers_beyond_the_payload_length_are_refused),
        cmocka_unit_test(ipv6_fragments_tell_where_they_belong),
        cmocka_unit_test(jumbo_payload_option_gives_the_length),
        cmocka_unit_test(hop_by_hop_only_comes_first),
        cmocka_unit_test(other_next_headers_are_the_payload),
        cmocka_unit_test(random_bytes_never_lead_out_of_the_packet),
    };
    return cmocka_run_group_tests_name("packet/view, IP", tests, NULL, NULL);
}
