/* SPDX-License-Identifier: BSD-2-Clause */
/* Times in messages (modules/comet/stamp.h). */
#include "unit.h"
#include "comet/stamp.h"

/* 2026-11-22T03:04:05.678901Z */
#define NOW_US UINT64_C(1795316645678901)

static uint64_t find(const char *text)
{
    return tb_stamp_find((const uint8_t *) text, strlen(text), NOW_US);
}

static void times_are_found_in_every_unit(void **state)
{
    assert_int_equal(find("{\"t\": 1795316645.5}"), 0); /* a fraction of less than a millisecond */
    assert_int_equal(find("{\"t\": 1795316645.500}"), UINT64_C(1795316645500000));
    assert_int_equal(find("{\"t\": 1795316645.123456789}"), UINT64_C(1795316645123456));
    assert_int_equal(find("id: 1795316645001\n"), UINT64_C(1795316645001000));
    assert_int_equal(find("1795316645000042"), UINT64_C(1795316645000042));
    assert_int_equal(find("x=1795316645000042999;"), UINT64_C(1795316645000042));
}

static void iso_times_are_found(void **state)
{
    assert_int_equal(find("at 2026-11-22T03:04:05.123Z"), UINT64_C(1795316645123000));
    assert_int_equal(find("2026-11-22 03:04:05.678901"), NOW_US);
    assert_int_equal(find("2026-11-22T03:04:05Z"), 0);
    assert_int_equal(find("2026-11-22"), 0);
}

static void other_numbers_are_no_times(void **state)
{
    assert_int_equal(find(""), 0);
    assert_int_equal(find("n 17, size 1234567890123 of 99999999999999999999"), 0);
    assert_int_equal(find("1795316645"), 0);    /* whole seconds say too little */
    assert_int_equal(find("1795310000000"), 0); /* hours ago */
    assert_int_equal(find("1795316700000"), 0); /* to come */
    assert_int_equal(find("a 12345 b 1795316645001"), UINT64_C(1795316645001000));
}

static void clocks_may_differ_a_little(void **state)
{
    assert_int_equal(find("1795316646600"), UINT64_C(1795316646600000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_found_in_every_unit),
        cmocka_unit_test(iso_times_are_found),
        cmocka_unit_test(other_numbers_are_no_times),
        cmocka_unit_test(clocks_may_differ_a_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
