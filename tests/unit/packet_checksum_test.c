/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of packet/checksum: against the plain definition, at every alignment and length. */
#include "unit.h"
#include "base/rng.h"
#include "packet/checksum.h"

/* RFC 1071 as written: 16-bit big-endian words, an odd byte padded with zero. */
static uint16_t naive(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 ? p[i] : (uint32_t) p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t) sum;
}

static uint16_t in_host_order(uint16_t memory_order)
{
    uint8_t b[2];
    memcpy(b, &memory_order, 2);
    return (uint16_t) (b[0] << 8 | b[1]);
}

static void agrees_with_the_definition_at_every_alignment_and_length(void **state)
{
    struct tb_rng rng = {5};
    uint8_t bytes[160 + 16];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) tb_rng_next(&rng);
    for (size_t align = 0; align < 16; align++)
        for (size_t len = 0; len <= 160; len++) {
            uint16_t got = tb_checksum_fold(tb_checksum_add(0, bytes + align, len));
            assert_int_equal(in_host_order(got), naive(0, bytes + align, len));
        }
}

static void reads_nothing_behind_the_end(void **state)
{
    uint8_t ones[70];
    memset(ones, 1, sizeof ones);
    for (size_t len = 0; len <= sizeof ones; len++) {
        uint8_t *copy = exact_copy(ones, len);
        uint16_t got = tb_checksum_fold(tb_checksum_add(0, copy, len));
        assert_int_equal(in_host_order(got), naive(0, copy, len));
        free(copy);
    }
}

static void carries_survive_long_runs_of_ones(void **state)
{
    static uint8_t ones[70001];
    memset(ones, 0xff, sizeof ones);
    for (size_t len = sizeof ones - 40; len <= sizeof ones; len++) {
        uint16_t got = tb_checksum_fold(tb_checksum_add(0, ones, len));
        assert_int_equal(in_host_order(got), naive(0, ones, len));
    }
}

static void sums_of_even_pieces_can_be_added(void **state)
{
    struct tb_rng rng = {6};
    uint8_t bytes[3001];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) (tb_rng_next(&rng) | 0xf0);
    uint16_t whole = tb_checksum_fold(tb_checksum_add(0, bytes, sizeof bytes));
    for (size_t cut = 0; cut < sizeof bytes; cut += 2) {
        uint64_t first = tb_checksum_add(0, bytes, cut);
        const uint8_t *rest = bytes + cut;
        assert_int_equal(tb_checksum_fold(tb_checksum_add(first, rest, sizeof bytes - cut)), whole);
        uint64_t second = tb_checksum_add(0, rest, sizeof bytes - cut);
        assert_int_equal(tb_checksum_fold(first + second), whole);
    }
}

static void only_an_empty_sum_folds_to_zero(void **state)
{
    static const uint8_t zeros[64], ones[2] = {0xff, 0xff};
    assert_int_equal(tb_checksum_fold(tb_checksum_add(0, zeros, sizeof zeros)), 0);
    assert_int_equal(tb_checksum_fold(tb_checksum_add(0, ones, 2)), 0xffff);
    assert_int_equal(tb_checksum_fold(UINT64_MAX), 0xffff);
}

static void pseudo_header_is_that_of_either_family(void **state)
{
    struct tb_addr src, dst;
    assert_int_equal(tb_addr_parse("192.168.255.254", &src), 0);
    assert_int_equal(tb_addr_parse("10.1.2.3", &dst), 0);
    const uint8_t v4[] = {192, 168, 255, 254, 10, 1, 2, 3, 0, 6, 0x05, 0xdc};
    assert_int_equal(in_host_order(tb_checksum_fold(tb_checksum_pseudo(&src, &dst, 1500))),
                     naive(0, v4, sizeof v4));

    assert_int_equal(tb_addr_parse("2001:db8::ff:fe00:1", &src), 0);
    assert_int_equal(tb_addr_parse("fe80::8000", &dst), 0);
    uint8_t v6[40] = {[33] = 1, [34] = 0x11, [35] = 0x70, [39] = 6}; /* 70000 bytes */
    memcpy(v6, src.b, 16);
    memcpy(v6 + 16, dst.b, 16);
    assert_int_equal(in_host_order(tb_checksum_fold(tb_checksum_pseudo(&src, &dst, 70000))),
                     naive(0, v6, sizeof v6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_definition_at_every_alignment_and_length),
        cmocka_unit_test(reads_nothing_behind_the_end),
        cmocka_unit_test(carries_survive_long_runs_of_ones),
        cmocka_unit_test(sums_of_even_pieces_can_be_added),
        cmocka_unit_test(only_an_empty_sum_folds_to_zero),
        cmocka_unit_test(pseudo_header_is_that_of_either_family),
    };
    return cmocka_run_group_tests_name("packet/checksum", tests, NULL, NULL);
}
