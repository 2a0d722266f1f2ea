/* SPDX-License-Identifier: BSD-2-Clause */
/* The schedule: when arrivals are due by rate, ramp and topology, and how captured times scale. */
#include "unit.h"
#include "engine/pacing.h"

static struct tb_pacing paced(struct tb_pacing_input in)
{
    struct tb_pacing p;

    assert_int_equal(tb_pacing_init(&p, &in), 0);
    return p;
}
#define PACED(...) paced((struct tb_pacing_input){__VA_ARGS__})

static void never_goes_back(const struct tb_pacing *p, uint64_t arrivals)
{
    for (uint64_t k = 1; k < arrivals; k++)
        assert_true(tb_pacing_start_us(p, k) >= tb_pacing_start_us(p, k - 1));
}

static void arrivals_come_at_the_rate(void **state)
{
    struct tb_pacing p = PACED(.rate = 1000, .accelerate = 1);

    assert_int_equal(tb_pacing_start_us(&p, 0), 0);
    assert_int_equal(tb_pacing_start_us(&p, 1), 1000);
    assert_int_equal(tb_pacing_start_us(&p, 5000), 5000000);
    never_goes_back(&p, 5000);
}

static void rate_does_not_drift(void **state)
{
    struct tb_pacing p = PACED(.rate = 3, .accelerate = 1);

    assert_int_equal(tb_pacing_start_us(&p, 3000000), UINT64_C(1000000000000));
}

/* After half of the ramp a quarter of its arrivals have come; its end is half those of full rate.
 */
static void rate_grows_during_the_ramp(void **state)
{
    struct tb_pacing p = PACED(.rate = 1000, .ramp_s = 10, .accelerate = 1);

    assert_int_equal(tb_pacing_start_us(&p, 0), 0);
    assert_in_range(tb_pacing_start_us(&p, 1250), 4999999, 5000001);
    assert_in_range(tb_pacing_start_us(&p, 5000), 9999999, 10000001);
    assert_in_range(tb_pacing_start_us(&p, 6000), 10999999, 11000001);
    never_goes_back(&p, 10000);
}

static void topology_keeps_distances_of_sessions_captured_together(void **state)
{
    struct tb_script scripts[4] = {{.start_us = 5000000},
                                   {.start_us = 5300000},
                                   {.start_us = 5350000},
                                   {.start_us = 60000000}};
    struct tb_script *sessions[] = {&scripts[0], &scripts[1], &scripts[2], &scripts[3]};
    struct tb_pacing p = PACED(.rate = 10, .accelerate = 1, .topology = true, .topology_s = 1,
                               .sessions = sessions, .session_count = 4);

    assert_int_equal(tb_pacing_start_us(&p, 0), 0);
    assert_int_equal(tb_pacing_start_us(&p, 1), 300000);
    assert_int_equal(tb_pacing_start_us(&p, 2), 350000);
    assert_int_equal(tb_pacing_start_us(&p, 3), 450000); /* far away: a tick of the rate */
    assert_int_equal(tb_pacing_start_us(&p, 4), 550000); /* the next round */
    assert_int_equal(tb_pacing_start_us(&p, 5), 850000);
    never_goes_back(&p, 100);
    tb_pacing_fini(&p);
}

static void topology_begins_anew_with_every_loop(void **state)
{
    struct tb_script scripts[2] = {{.start_us = 1000}, {.start_us = 201000}};
    struct tb_script *sessions[] = {&scripts[0], &scripts[1]};
    struct tb_pacing p = PACED(.rate = 10, .accelerate = 1, .topology = true, .topology_s = 1,
                               .sessions = sessions, .session_count = 2, .users = 3);

    assert_int_equal(tb_pacing_start_us(&p, 1), 200000); /* user 1, session 1 */
    assert_int_equal(tb_pacing_start_us(&p, 2), 300000); /* user 2, session 0 */
    assert_int_equal(tb_pacing_start_us(&p, 3), 600000); /* user 0 again, session 0 */
    assert_int_equal(tb_pacing_start_us(&p, 4), 800000);
    never_goes_back(&p, 30);
    tb_pacing_fini(&p);
}

static void topology_is_accelerated_like_think_times(void **state)
{
    struct tb_script scripts[2] = {{.start_us = 1000}, {.start_us = 801000}};
    struct tb_script *sessions[] = {&scripts[0], &scripts[1]};
    struct tb_pacing p = PACED(.rate = 10, .accelerate = 4, .topology = true, .topology_s = 1,
                               .sessions = sessions, .session_count = 2);

    assert_int_equal(tb_pacing_start_us(&p, 1), 200000);
    tb_pacing_fini(&p);
}

static void think_times_are_divided_by_the_acceleration(void **state)
{
    struct tb_pacing as_captured = PACED(.rate = 1, .accelerate = 1);
    struct tb_pacing faster = PACED(.rate = 1, .accelerate = 2.5);
    struct tb_pacing at_once = PACED(.rate = 1, .accelerate = 0);

    assert_int_equal(tb_pacing_scale_us(&as_captured, UINT64_C(1) << 60), UINT64_C(1) << 60);
    assert_int_equal(tb_pacing_scale_us(&faster, 1000), 400);
    assert_int_equal(tb_pacing_scale_us(&at_once, 1000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrivals_come_at_the_rate),
        cmocka_unit_test(rate_does_not_drift),
        cmocka_unit_test(rate_grows_during_the_ramp),
        cmocka_unit_test(topology_keeps_distances_of_sessions_captured_together),
        cmocka_unit_test(topology_begins_anew_with_every_loop),
        cmocka_unit_test(topology_is_accelerated_like_think_times),
        cmocka_unit_test(think_times_are_divided_by_the_acceleration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
