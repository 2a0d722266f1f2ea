/* SPDX-License-Identifier: BSD-2-Clause */
/* Byte ranges of a stream: joined, trimmed, measured, and the gaps between them. */
#include "unit.h"
#include "tcp/tcp.h"

static void ranges_are(const struct tb_tcp_ranges *r, uint32_t count, const uint64_t (*want)[2])
{
    assert_int_equal(r->count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(r->range[i].from, want[i][0]);
        assert_int_equal(r->range[i].to, want[i][1]);
    }
}
#define RANGES_ARE(r, ...)                                                    \
    ranges_are(r, sizeof((uint64_t[][2]){__VA_ARGS__}) / sizeof(uint64_t[2]), \
               (const uint64_t[][2]){__VA_ARGS__})

static void ranges_are_kept_in_order(void **state)
{
    struct tb_tcp_ranges r = {0};

    assert_true(tb_tcp_ranges_add(&r, 50, 60));
    assert_true(tb_tcp_ranges_add(&r, 10, 20));
    assert_true(tb_tcp_ranges_add(&r, 30, 40));
    RANGES_ARE(&r, {10, 20}, {30, 40}, {50, 60});
}

static void ranges_that_touch_or_overlap_become_one(void **state)
{
    struct tb_tcp_ranges r = {0};

    tb_tcp_ranges_add(&r, 10, 20);
    tb_tcp_ranges_add(&r, 20, 30);
    RANGES_ARE(&r, {10, 30});
    tb_tcp_ranges_add(&r, 5, 12);
    RANGES_ARE(&r, {5, 30});
    tb_tcp_ranges_add(&r, 8, 9);
    RANGES_ARE(&r, {5, 30});
}

static void range_may_join_several(void **state)
{
    struct tb_tcp_ranges r = {0};

    tb_tcp_ranges_add(&r, 10, 20);
    tb_tcp_ranges_add(&r, 30, 40);
    tb_tcp_ranges_add(&r, 50, 60);
    tb_tcp_ranges_add(&r, 70, 80);
    tb_tcp_ranges_add(&r, 15, 55);
    RANGES_ARE(&r, {10, 60}, {70, 80});
}

static void full_set_refuses_another_range_and_stays_as_it_is(void **state)
{
    struct tb_tcp_ranges r = {0};

    for (uint64_t i = 0; i < TB_TCP_RANGES; i++)
        assert_true(tb_tcp_ranges_add(&r, 100 * i, 100 * i + 10));
    assert_false(tb_tcp_ranges_add(&r, 50, 60));
    assert_int_equal(r.count, TB_TCP_RANGES);
    assert_int_equal(tb_tcp_ranges_covered(&r, 0, 1000), 10 * TB_TCP_RANGES);
}

static void full_set_still_grows_what_it_has(void **state)
{
    struct tb_tcp_ranges r = {0};

    for (uint64_t i = 0; i < TB_TCP_RANGES; i++)
        tb_tcp_ranges_add(&r, 100 * i, 100 * i + 10);
    assert_true(tb_tcp_ranges_add(&r, 110, 130));
    assert_int_equal(r.range[1].to, 130);
}

static void trimming_forgets_what_is_below(void **state)
{
    struct tb_tcp_ranges r = {0};

    tb_tcp_ranges_add(&r, 10, 20);
    tb_tcp_ranges_add(&r, 30, 40);
    tb_tcp_ranges_trim(&r, 35);
    RANGES_ARE(&r, {35, 40});
    tb_tcp_ranges_trim(&r, 40);
    assert_int_equal(r.count, 0);
}

static void only_bytes_within_the_bounds_are_counted(void **state)
{
    struct tb_tcp_ranges r = {0};

    tb_tcp_ranges_add(&r, 10, 20);
    tb_tcp_ranges_add(&r, 30, 40);
    assert_int_equal(tb_tcp_ranges_covered(&r, 0, 100), 20);
    assert_int_equal(tb_tcp_ranges_covered(&r, 15, 35), 10);
    assert_int_equal(tb_tcp_ranges_covered(&r, 20, 30), 0);
}

static void gaps_are_found_between_and_behind(void **state)
{
    struct tb_tcp_ranges r = {0};
    uint64_t end;

    tb_tcp_ranges_add(&r, 10, 20);
    tb_tcp_ranges_add(&r, 30, 40);
    assert_int_equal(tb_tcp_ranges_gap(&r, 0, &end), 0);
    assert_int_equal(end, 10);
    assert_int_equal(tb_tcp_ranges_gap(&r, 12, &end), 20);
    assert_int_equal(end, 30);
    assert_int_equal(tb_tcp_ranges_gap(&r, 30, &end), 40);
    assert_true(end == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_kept_in_order),
        cmocka_unit_test(ranges_that_touch_or_overlap_become_one),
        cmocka_unit_test(range_may_join_several),
        cmocka_unit_test(full_set_refuses_another_range_and_stays_as_it_is),
        cmocka_unit_test(full_set_still_grows_what_it_has),
        cmocka_unit_test(trimming_forgets_what_is_below),
        cmocka_unit_test(only_bytes_within_the_bounds_are_counted),
        cmocka_unit_test(gaps_are_found_between_and_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
