/* SPDX-License-Identifier: BSD-2-Clause */
/* When a tap looks: a pause after packets, never because of them, and not at all while none come.
 */
#include "unit.h"
#include "io/glance.h"

enum { T0 = 1000000000 }; /* any time */

/* One that has looked at `now_us` and found packets. */
static struct tb_glance awake(uint64_t now_us)
{
    struct tb_glance g = {0};

    assert_true(tb_glance_is_due(&g, now_us, false));
    tb_glance_done(&g, now_us, 1, false);
    return g;
}

/* One that has found nothing for long. */
static struct tb_glance asleep(uint64_t now_us)
{
    struct tb_glance g = awake(now_us - TB_GLANCE_AWAKE_US);

    assert_true(tb_glance_is_due(&g, now_us, false));
    tb_glance_done(&g, now_us, 0, false);
    assert_true(g.asleep);
    return g;
}

static void looks_once_per_pause(void **state)
{
    struct tb_glance g = awake(T0);

    assert_false(tb_glance_is_due(&g, T0 + TB_GLANCE_PAUSE_US - 1, false));
    assert_int_equal(g.next_us, T0 + TB_GLANCE_PAUSE_US);
    assert_true(tb_glance_is_due(&g, g.next_us, false));
}

static void packets_that_are_left_are_taken_at_once(void **state)
{
    struct tb_glance g = awake(T0);

    tb_glance_done(&g, T0 + TB_GLANCE_PAUSE_US, 64, true);
    assert_true(tb_glance_is_due(&g, T0 + TB_GLANCE_PAUSE_US, false));
    assert_false(g.asleep);
}

static void goes_on_looking_between_requests(void **state)
{
    struct tb_glance g = awake(T0);
    uint64_t now_us = T0;

    for (unsigned i = 0; i < 1000; i++) {
        for (unsigned k = 0; k < 20; k++) {
            now_us += TB_GLANCE_PAUSE_US;
            tb_glance_done(&g, now_us, k == 0, false);
        }
        assert_false(g.asleep);
    }
}

/* Looks for `us`, a pause apart, at that many packets a second. */
static uint64_t look_for(struct tb_glance *g, uint64_t now_us, uint64_t us, uint32_t per_s)
{
    for (uint64_t end = now_us + us; now_us < end; now_us = g->next_us) {
        assert_true(tb_glance_is_due(g, now_us, false));
        tb_glance_done(g, now_us, (uint32_t) ((uint64_t) per_s * TB_GLANCE_PAUSE_US / 1000000),
                       false);
    }
    return now_us;
}

static void does_not_wait_at_high_rates(void **state)
{
    struct tb_glance g = awake(T0);
    uint64_t now_us =
        look_for(&g, g.next_us, UINT64_C(3) * TB_RATE_WINDOW_US, 3 * TB_GLANCE_BUSY_PER_S);

    assert_true(tb_glance_is_due(&g, now_us - TB_GLANCE_BUSY_PAUSE_US + 1, false));
    tb_glance_done(&g, now_us, 1, false);
    assert_int_equal(g.next_us, now_us + TB_GLANCE_BUSY_PAUSE_US);
}

static void waits_again_when_the_rate_has_fallen(void **state)
{
    struct tb_glance g = awake(T0);
    uint64_t now_us =
        look_for(&g, g.next_us, UINT64_C(3) * TB_RATE_WINDOW_US, 3 * TB_GLANCE_BUSY_PER_S);

    now_us = look_for(&g, now_us, UINT64_C(3) * TB_RATE_WINDOW_US, TB_GLANCE_BUSY_PER_S / 3);
    assert_false(tb_glance_is_due(&g, now_us - 1, false));
    tb_glance_done(&g, now_us, 1, false);
    assert_int_equal(g.next_us, now_us + TB_GLANCE_PAUSE_US);
}

static void sleeps_when_nothing_comes(void **state)
{
    struct tb_glance g = asleep(T0);

    assert_false(tb_glance_is_due(&g, T0 + 10 * TB_GLANCE_AWAKE_US, false));
}

static void the_packet_that_wakes_waits_for_a_pause_too(void **state)
{
    struct tb_glance g = asleep(T0);

    assert_false(tb_glance_is_due(&g, T0 + 5, true));
    assert_false(g.asleep);
    assert_false(tb_glance_is_due(&g, T0 + 5 + TB_GLANCE_PAUSE_US - 1, true));
    assert_true(tb_glance_is_due(&g, T0 + 5 + TB_GLANCE_PAUSE_US, true));
}

static void a_clock_that_is_set_back_delays_nothing(void **state)
{
    struct tb_glance g = awake(T0);

    assert_true(tb_glance_is_due(&g, T0 / 2, false));
    tb_glance_done(&g, T0 / 2, 0, false);
    tb_glance_is_due(&g, T0 / 2 + 5, true);
    assert_true(tb_glance_is_due(&g, T0 / 2 + 5 + TB_GLANCE_PAUSE_US, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_once_per_pause),
        cmocka_unit_test(packets_that_are_left_are_taken_at_once),
        cmocka_unit_test(goes_on_looking_between_requests),
        cmocka_unit_test(does_not_wait_at_high_rates),
        cmocka_unit_test(waits_again_when_the_rate_has_fallen),
        cmocka_unit_test(sleeps_when_nothing_comes),
        cmocka_unit_test(the_packet_that_wakes_waits_for_a_pause_too),
        cmocka_unit_test(a_clock_that_is_set_back_delays_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
