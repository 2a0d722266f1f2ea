/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of packet/addr and packet/seq: text forms, counting up, wrapping numbers. */
#include "unit.h"
#include <errno.h>
#include "packet/addr.h"
#include "packet/seq.h"

static void text_forms_survive_a_round_trip(void **state)
{
    static const char *const texts[] = {"0.0.0.0",
                                        "255.255.255.255",
                                        "198.19.0.1",
                                        "::",
                                        "::1",
                                        "fd00:19::ffff:1",
                                        "2001:db8:1111:2222:3333:4444:5555:6666"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tb_addr a;
        char buf[TB_ADDR_TEXT];
        assert_int_equal(tb_addr_parse(texts[i], &a), 0);
        assert_string_equal(tb_addr_format(&a, buf), texts[i]);
        assert_int_equal(tb_addr_is_v4(&a), strchr(texts[i], ':') == NULL);
    }
}

static void a_mapped_address_is_the_ipv4_address(void **state)
{
    struct tb_addr a, b;
    assert_int_equal(tb_addr_parse("::ffff:10.1.2.3", &a), 0);
    assert_int_equal(tb_addr_parse("10.1.2.3", &b), 0);
    assert_true(tb_addr_eq(&a, &b));
}

static void what_is_no_address_is_refused_and_leaves_the_result(void **state)
{
    static const char *const texts[] = {"",      "1.2.3",      "1.2.3.4.5", "256.1.1.1", " 1.2.3.4",
                                        "[::1]", "1.2.3.4:80", "::1%lo",    "localhost", "0x7f.1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tb_addr a;
        memset(&a, 0x55, sizeof a);
        struct tb_addr before = a;
        assert_int_equal(tb_addr_parse(texts[i], &a), -EINVAL);
        assert_true(tb_addr_eq(&a, &before));
    }
}

static void endpoints_bracket_ipv6(void **state)
{
    struct tb_endpoint e = {.port = 65535};
    char buf[TB_ENDPOINT_TEXT];
    assert_int_equal(tb_addr_parse("1.2.3.4", &e.addr), 0);
    assert_string_equal(tb_endpoint_format(&e, buf), "1.2.3.4:65535");
    const char *longest = "2001:db8:1111:2222:3333:4444:5555:6666";
    assert_int_equal(tb_addr_parse(longest, &e.addr), 0);
    assert_string_equal(tb_endpoint_format(&e, buf),
                        "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
}

static void counting_up_carries_within_the_last_four_bytes(void **state)
{
    struct tb_addr a, b;
    assert_int_equal(tb_addr_parse("10.0.255.255", &a), 0);
    assert_int_equal(tb_addr_parse("10.1.0.1", &b), 0);
    a = tb_addr_plus(a, 2);
    assert_true(tb_addr_eq(&a, &b));
    assert_int_equal(tb_addr_low32(&a), 0x0a010001);
}

static void sequence_numbers_compare_across_the_wrap(void **state)
{
    assert_true(tb_seq_lt(0xfffffff0, 0x10));
    assert_false(tb_seq_lt(0x10, 0xfffffff0));
    assert_true(tb_seq_leq(7, 7));
    assert_int_equal(tb_seq_diff(0x10, 0xfffffff0), 0x20);
}

static void stream_offsets_survive_the_wire_beyond_4_gb(void **state)
{
    const uint32_t base = 0xfffffff0;
    static const uint64_t offsets[] = {0, 15, 16, 0xffffffff, 0x100000000, 0x300000123};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        uint32_t seq = tb_seq_wrap(offsets[i], base);
        assert_int_equal(tb_seq_unwrap(seq, base, offsets[i] + 1000000), offsets[i]);
        assert_int_equal(tb_seq_unwrap(seq, base, offsets[i] > 9 ? offsets[i] - 9 : 0), offsets[i]);
    }
    assert_int_equal(tb_seq_unwrap(base - 1, base, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_forms_survive_a_round_trip),
        cmocka_unit_test(a_mapped_address_is_the_ipv4_address),
        cmocka_unit_test(what_is_no_address_is_refused_and_leaves_the_result),
        cmocka_unit_test(endpoints_bracket_ipv6),
        cmocka_unit_test(counting_up_carries_within_the_last_four_bytes),
        cmocka_unit_test(sequence_numbers_compare_across_the_wrap),
        cmocka_unit_test(stream_offsets_survive_the_wire_beyond_4_gb),
    };
    return cmocka_run_group_tests_name("packet/addr and packet/seq", tests, NULL, NULL);
}
