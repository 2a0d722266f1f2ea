/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of packet/frame: what is built parses back, with checksums that hold. */
#include "unit.h"
#include "base/rng.h"
#include "packet/checksum.h"
#include "packet/frame.h"
#include "packet/wire.h"

static const uint8_t timestamps[12] = {1, 1, 8, 10, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 42};

struct ends {
    struct tb_addr src, dst;
};

static struct ends ends_of(bool v6)
{
    struct ends e;
    assert_int_equal(tb_addr_parse(v6 ? "fd00:19::1" : "198.19.0.1", &e.src), 0);
    assert_int_equal(tb_addr_parse(v6 ? "fd00:20::2" : "192.0.2.80", &e.dst), 0);
    return e;
}

static struct tb_frame_spec spec_of(const struct ends *e)
{
    return (struct tb_frame_spec){.src = &e->src,
                                  .dst = &e->dst,
                                  .sport = 40000,
                                  .dport = 443,
                                  .seq = 0xfffffffe,
                                  .ack = 0x80000001,
                                  .window = 0xabcd,
                                  .ip_id = 0x4321,
                                  .flags = TB_TCP_PSH | TB_TCP_ACK};
}

static void check_round_trip(bool v6, uint32_t payload_len, uint8_t options_len)
{
    struct ends e = ends_of(v6);
    struct tb_frame_spec spec = spec_of(&e);
    uint8_t options[40];
    memset(options, 1, sizeof options);
    memcpy(options, timestamps, sizeof timestamps);
    spec.options = options;
    spec.options_len = options_len;
    uint8_t *payload = malloc(payload_len + 1);
    for (uint32_t i = 0; i < payload_len; i++)
        payload[i] = (uint8_t) (i * 7);

    struct tb_frame f;
    memset(&f, 0xee, sizeof f);
    tb_frame_build(&f, &spec, payload, payload_len);
    uint32_t len = f.head_len + payload_len;
    assert_int_equal(f.head_len, (v6 ? 40 : 20) + 20 + options_len);
    assert_int_equal(f.gso_size, 0);
    assert_int_equal(f.transfer, 0);
    uint8_t *packet = malloc(len);
    assert_int_equal(tb_frame_flatten(&f, packet, len - 1), 0);
    assert_int_equal(tb_frame_flatten(&f, packet, len), len);

    struct tb_ip ip;
    struct tb_segment seg;
    assert_int_equal(tb_ip_parse(packet, len, &ip), 0);
    assert_true(tb_segment_checksum_ok(&ip));
    assert_int_equal(tb_segment_parse(packet, len, &seg), 0);
    assert_true(tb_addr_eq(&seg.src, &e.src) && tb_addr_eq(&seg.dst, &e.dst));
    assert_int_equal(seg.sport, spec.sport);
    assert_int_equal(seg.dport, spec.dport);
    assert_int_equal(seg.seq, spec.seq);
    assert_int_equal(seg.ack, spec.ack);
    assert_int_equal(seg.window, spec.window);
    assert_int_equal(seg.flags, spec.flags);
    assert_int_equal(seg.opt.has_ts, options_len >= 12);
    assert_int_equal(seg.opt.tsval, options_len >= 12 ? 0xdeadbeef : 0);
    assert_int_equal(seg.payload_len, payload_len);
    assert_int_equal(seg.payload_claimed, payload_len);
    assert_memory_equal(seg.payload, payload, payload_len);

    packet[len - 1] ^= 0x10;
    assert_false(tb_segment_checksum_ok(&ip));
    free(packet);
    free(payload);
}

static void what_is_built_parses_back(void **state)
{
    static const uint32_t payload_lens[] = {0, 1, 2, 535, 1460, 65000, 70000};
    static const uint8_t options_lens[] = {0, 4, 12, 24, 40};
    for (size_t i = 0; i < sizeof payload_lens / sizeof payload_lens[0]; i++)
        for (size_t k = 0; k < sizeof options_lens; k++) {
            check_round_trip(false, payload_lens[i], options_lens[k]);
            check_round_trip(true, payload_lens[i], options_lens[k]);
        }
}

static void ipv4_header_has_id_df_ttl_and_a_checksum_that_holds(void **state)
{
    struct ends e = ends_of(false);
    struct tb_frame_spec spec = spec_of(&e);
    struct tb_frame f;
    tb_frame_build(&f, &spec, NULL, 0);
    assert_int_equal(f.ip_len, 20);
    assert_int_equal(tb_get_be16(f.head + 2), 40);
    assert_int_equal(tb_get_be16(f.head + 4), 0x4321);
    assert_int_equal(tb_get_be16(f.head + 6), 0x4000);
    assert_int_equal(f.head[8], 64);
    assert_int_equal(tb_checksum_fold(tb_checksum_add(0, f.head, 20)), 0xffff);
}

static void unfinished_checksum_is_that_of_the_pseudo_header(void **state)
{
    struct ends e = ends_of(true);
    struct tb_frame_spec spec = spec_of(&e);
    struct tb_frame f;
    static const uint8_t payload[100];
    tb_frame_build(&f, &spec, payload, sizeof payload);
    uint16_t field, expected = tb_checksum_fold(tb_checksum_pseudo(&e.src, &e.dst, 120));
    memcpy(&field, f.head + 40 + 16, 2);
    assert_int_equal(field, expected);
}

static void filling_the_checksum_gives_what_flattening_gives(void **state)
{
    struct tb_rng rng = {9};
    for (int v6 = 0; v6 < 2; v6++)
        for (uint32_t len = 0; len < 70; len++) {
            struct ends e = ends_of(v6);
            struct tb_frame_spec spec = spec_of(&e);
            uint8_t payload[70], flat[200];
            for (uint32_t i = 0; i < len; i++)
                payload[i] = (uint8_t) tb_rng_next(&rng);
            struct tb_frame f;
            tb_frame_build(&f, &spec, payload, len);
            assert_int_equal(tb_frame_flatten(&f, flat, sizeof flat), f.head_len + len);
            tb_frame_fill_checksum(&f);
            assert_memory_equal(f.head, flat, f.head_len);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_parses_back),
        cmocka_unit_test(ipv4_header_has_id_df_ttl_and_a_checksum_that_holds),
        cmocka_unit_test(unfinished_checksum_is_that_of_the_pseudo_header),
        cmocka_unit_test(filling_the_checksum_gives_what_flattening_gives),
    };
    return cmocka_run_group_tests_name("packet/frame", tests, NULL, NULL);
}
