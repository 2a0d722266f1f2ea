/* SPDX-License-Identifier: BSD-2-Clause */
/* The report's timeline (core/report/timeline.c): its rows stay few, and nothing gets lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "report/timeline.h"

static int setup(void **state)
{
    static struct tb_timeline t;
    *state = &t;
    return tb_timeline_init(&t);
}

static int teardown(void **state)
{
    tb_timeline_fini(*state);
    return 0;
}

/* Second `n` of a run: n is all that is counted in it. */
static void pass(struct tb_timeline *t, uint32_t first, uint32_t last)
{
    for (uint32_t n = first; n <= last; n++) {
        struct tb_timeline_row second = {n, n, n, n, n, n, n};
        tb_timeline_add(t, &second);
    }
}

static void has_a_row_per_second(void **state)
{
    struct tb_timeline *t = *state;
    pass(t, 1, TB_TIMELINE_ROWS);
    assert_int_equal(t->count, TB_TIMELINE_ROWS);
    assert_int_equal(t->each_s, 1);
    assert_int_equal(t->rows[TB_TIMELINE_ROWS - 1].requests, TB_TIMELINE_ROWS);
}

static void rows_stand_for_two_seconds_when_there_are_no_more(void **state)
{
    struct tb_timeline *t = *state;
    pass(t, 1, TB_TIMELINE_ROWS + 3);
    assert_int_equal(t->each_s, 2);
    assert_int_equal(t->count, TB_TIMELINE_ROWS / 2 + 2);
    const struct tb_timeline_row *second = &t->rows[1]; /* of seconds 3 and 4 */
    assert_true(second->t_s == 4);
    assert_int_equal(second->open, 4);
    assert_int_equal(second->started, 7);
    assert_int_equal(second->responses, 7);
    assert_int_equal(second->failed, 7);
    assert_int_equal(second->p99_us, 4);
    assert_true(t->rows[t->count - 2].t_s == TB_TIMELINE_ROWS + 2);
    assert_true(t->rows[t->count - 1].t_s == TB_TIMELINE_ROWS + 3); /* not full yet */
}

static void of_a_run_of_days_no_second_is_lost(void **state)
{
    struct tb_timeline *t = *state;
    const uint64_t days = 3 * 86400;
    uint64_t sum = 0;
    pass(t, 1, days);
    assert_in_range(t->count, TB_TIMELINE_ROWS / 2, TB_TIMELINE_ROWS);
    for (uint32_t i = 0; i < t->count; i++)
        sum += t->rows[i].requests;
    assert_int_equal(sum, days * (days + 1) / 2);
    assert_true(t->rows[t->count - 1].t_s == days);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(has_a_row_per_second, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_stand_for_two_seconds_when_there_are_no_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(of_a_run_of_days_no_second_is_lost, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
