/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel tells of packets it threw away. */
#include "unit.h"
#include "io/softnet.h"

static uint64_t sum_of(const char *text)
{
    FILE *f = fmemopen((void *) (uintptr_t) text, strlen(text), "r");

    assert_non_null(f);
    uint64_t sum = tb_softnet_sum(f);
    fclose(f);
    return sum;
}

static void drops_of_all_processors_are_added(void **state)
{
    (void) state;
    assert_int_equal(sum_of("24f8a294 003047ef 000000d4 00000000 00000000\n"
                            "279f6702 ffffffff 0000013a 00000000 00000000\n"),
                     UINT64_C(0x3047ef) + UINT32_MAX);
}

static void what_is_not_understood_counts_nothing(void **state)
{
    (void) state;
    assert_int_equal(sum_of("\n"), 0);
    assert_int_equal(sum_of("24f8a294\nno such thing\n00000001 00000002\n"), 2);
}

static void this_machine_tells_them(void **state)
{
    FILE *f = fopen("/proc/net/softnet_stat", "re");

    (void) state;
    if (!f)
        skip();
    uint64_t before = tb_softnet_sum(f);
    fclose(f);
    assert_true(tb_softnet_drops() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_of_all_processors_are_added),
        cmocka_unit_test(what_is_not_understood_counts_nothing),
        cmocka_unit_test(this_machine_tells_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
