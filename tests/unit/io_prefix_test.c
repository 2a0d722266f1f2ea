/* SPDX-License-Identifier: BSD-2-Clause */
/* Client ranges: merged, compared with routes, cut into prefixes. */
#include "unit.h"
#include <stdio.h>
#include "io/prefix.h"

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;
    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

static struct tb_io_range range(const char *first, uint64_t count)
{
    return (struct tb_io_range){addr(first), count};
}

/* `bits` as people write them: 0 … 32 for IPv4. */
static struct tb_prefix prefix(const char *text, uint8_t bits)
{
    struct tb_addr a = addr(text);
    return (struct tb_prefix){a, (uint8_t) (bits + (tb_addr_is_v4(&a) ? 96 : 0))};
}

/* The prefixes of the ranges, as text with spaces between. */
static void expect_prefixes(const struct tb_io_range *ranges, uint32_t count, const char *expected)
{
    struct tb_prefix *p;
    int n = tb_ranges_prefixes(ranges, count, &p);
    char text[1024] = "", one[TB_PREFIX_TEXT];
    for (int i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                 tb_prefix_format(&p[i], one));
    assert_string_equal(text, expected);
    free(p);
}

static void cuts_an_aligned_range_into_one_prefix(void **state)
{
    (void) state;
    expect_prefixes(&(struct tb_io_range[]){range("198.19.0.0", 65536)}[0], 1, "198.19.0.0/16");
    expect_prefixes(&(struct tb_io_range[]){range("fd00:19::", 256)}[0], 1, "fd00:19::/120");
    expect_prefixes(&(struct tb_io_range[]){range("10.0.0.7", 1)}[0], 1, "10.0.0.7/32");
}

static void cuts_all_of_ipv4_and_all_of_the_last_32_bits(void **state)
{
    (void) state;
    expect_prefixes(&(struct tb_io_range[]){range("0.0.0.0", 1ull << 32)}[0], 1, "0.0.0.0/0");
    expect_prefixes(&(struct tb_io_range[]){range("fd00::", 1ull << 32)}[0], 1, "fd00::/96");
}

static void cuts_a_ragged_range_into_the_fewest_prefixes(void **state)
{
    (void) state;
    expect_prefixes(&(struct tb_io_range[]){range("10.0.0.1", 6)}[0], 1,
                    "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32");
    expect_prefixes(&(struct tb_io_range[]){range("fd00::ffff", 2)}[0], 1,
                    "fd00::ffff/128 fd00::1:0/128");
}

static void the_worst_range_has_62_prefixes(void **state)
{
    (void) state;
    struct tb_io_range r = range("0.0.0.1", (1ull << 32) - 2);
    struct tb_prefix *p;
    assert_int_equal(tb_ranges_prefixes(&r, 1, &p), 62);
    free(p);
}

static void a_range_ends_with_its_32_bits(void **state)
{
    (void) state;
    struct tb_io_range r = range("255.255.255.254", 100);
    struct tb_addr last = tb_range_last(&r), expected = addr("255.255.255.255");
    assert_true(tb_addr_eq(&last, &expected));
    expect_prefixes(&r, 1, "255.255.255.254/31");
}

static void merges_ranges_that_touch_or_overlap(void **state)
{
    (void) state;
    struct tb_io_range ranges[] = {range("10.0.1.0", 256), range("10.0.0.0", 256),
                                   range("10.0.0.128", 16), range("10.0.3.0", 1),
                                   range("fd00::", 1)};
    struct tb_io_range merged[5];
    assert_int_equal(tb_ranges_merge(ranges, 5, merged), 3);
    expect_prefixes(ranges, 5, "10.0.0.0/23 10.0.3.0/32 fd00::/128");
}

static void keeps_ranges_of_different_networks_apart(void **state)
{
    (void) state;
    struct tb_io_range ranges[] = {range("fd00::ffff:ffff", 1), range("fd00:0:0:1::", 1)};
    struct tb_io_range merged[2];
    assert_int_equal(tb_ranges_merge(ranges, 2, merged), 2);
}

static void leaves_out_empty_ranges(void **state)
{
    (void) state;
    struct tb_io_range r = range("10.0.0.0", 0), merged[1];
    assert_int_equal(tb_ranges_merge(&r, 1, merged), 0);
    expect_prefixes(&r, 1, "");
}

static void knows_what_a_range_contains(void **state)
{
    (void) state;
    struct tb_io_range r = range("10.0.0.10", 5);
    static const struct {
        const char *addr;
        bool in;
    } cases[] = {{"10.0.0.9", false},
                 {"10.0.0.10", true},
                 {"10.0.0.14", true},
                 {"10.0.0.15", false},
                 {"::a00:a", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tb_addr a = addr(cases[i].addr);
        assert_int_equal(tb_range_contains(&r, &a), cases[i].in);
    }
}

static void knows_which_prefixes_overlap(void **state)
{
    (void) state;
    struct tb_io_range r = range("10.0.0.10", 5);
    static const struct {
        const char *addr;
        uint8_t bits;
        bool overlaps;
    } cases[] = {{"10.0.0.0", 8, true},    {"10.0.0.14", 32, true}, {"10.0.0.0", 29, false},
                 {"10.0.0.15", 32, false}, {"0.0.0.0", 0, true},    {"::", 0, false},
                 {"10.0.0.8", 30, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tb_prefix p = prefix(cases[i].addr, cases[i].bits);
        assert_int_equal(tb_range_overlaps(&r, &p), cases[i].overlaps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_an_aligned_range_into_one_prefix),
        cmocka_unit_test(cuts_all_of_ipv4_and_all_of_the_last_32_bits),
        cmocka_unit_test(cuts_a_ragged_range_into_the_fewest_prefixes),
        cmocka_unit_test(the_worst_range_has_62_prefixes),
        cmocka_unit_test(a_range_ends_with_its_32_bits),
        cmocka_unit_test(merges_ranges_that_touch_or_overlap),
        cmocka_unit_test(keeps_ranges_of_different_networks_apart),
        cmocka_unit_test(leaves_out_empty_ranges),
        cmocka_unit_test(knows_what_a_range_contains),
        cmocka_unit_test(knows_which_prefixes_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
