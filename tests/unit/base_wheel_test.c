/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of base/wheel: single behaviours, and random operations against a plain list. */
#include "unit.h"
#include "base/rng.h"
#include "base/wheel.h"

enum { OBJECTS = 200, TICK_US = 1 << TB_WHEEL_TICK_SHIFT };
#define EPOCH_US UINT64_C(123456789)
#define HOUR_US  UINT64_C(3600000000)

struct fixture {
    struct tb_wheel wheel;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_int_equal(tb_wheel_init(&f->wheel, OBJECTS, EPOCH_US), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tb_wheel_fini(&f->wheel);
    free(f);
    return 0;
}

static void set_us(struct tb_wheel *w, uint32_t index, uint64_t us)
{
    tb_wheel_set(w, index, tb_wheel_tick_of(w, us));
}

static void never_fires_early_and_at_most_a_tick_late(void **state)
{
    struct fixture *f = *state;
    struct tb_wheel *w = &f->wheel;
    set_us(w, 3, EPOCH_US + 1000);
    assert_true(tb_wheel_is_armed(w, 3));
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + 999), TB_WHEEL_NONE);
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + 1000 + TICK_US), 3);
    assert_false(tb_wheel_is_armed(w, 3));
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + HOUR_US), TB_WHEEL_NONE);
    assert_int_equal(w->armed, 0);
}

static void what_is_overdue_fires_at_the_next_pop(void **state)
{
    struct fixture *f = *state;
    struct tb_wheel *w = &f->wheel;
    uint64_t now = EPOCH_US + 10 * HOUR_US;
    assert_int_equal(tb_wheel_pop(w, now), TB_WHEEL_NONE);
    tb_wheel_set(w, 1, 0);
    set_us(w, 2, 5);
    set_us(w, 4, now - HOUR_US);
    assert_int_equal(tb_wheel_next_us(w), now); /* hours are whole ticks */
    assert_int_equal(tb_wheel_pop(w, now), 1);
    assert_int_equal(tb_wheel_pop(w, now), 2);
    assert_int_equal(tb_wheel_pop(w, now), 4);
    assert_int_equal(tb_wheel_pop(w, now), TB_WHEEL_NONE);
}

static void one_tick_fires_in_the_order_of_arming(void **state)
{
    struct fixture *f = *state;
    struct tb_wheel *w = &f->wheel;
    uint64_t due = EPOCH_US + HOUR_US;
    for (uint32_t i = 0; i < 50; i++)
        set_us(w, 49 - i, due);
    /* some more once the first have moved down to the lowest level */
    assert_int_equal(tb_wheel_pop(w, due - 20 * TICK_US), TB_WHEEL_NONE);
    for (uint32_t i = 50; i < 60; i++)
        set_us(w, i, due);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(tb_wheel_pop(w, due + TICK_US), 49 - i);
    for (uint32_t i = 50; i < 60; i++)
        assert_int_equal(tb_wheel_pop(w, due + TICK_US), i);
}

static void setting_again_moves_and_cancelling_twice_is_harmless(void **state)
{
    struct fixture *f = *state;
    struct tb_wheel *w = &f->wheel;
    set_us(w, 7, EPOCH_US + HOUR_US);
    set_us(w, 7, EPOCH_US + 100);
    assert_int_equal(w->armed, 1);
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + 200), 7);
    set_us(w, 7, EPOCH_US + 5000);
    tb_wheel_cancel(w, 7);
    tb_wheel_cancel(w, 7);
    assert_int_equal(w->armed, 0);
    assert_int_equal(tb_wheel_next_us(w), UINT64_MAX);
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + 2 * HOUR_US), TB_WHEEL_NONE);
}

static void armed_again_from_the_pop_loop_it_fires_once_per_period(void **state)
{
    struct fixture *f = *state;
    struct tb_wheel *w = &f->wheel;
    unsigned fired = 0;
    set_us(w, 0, EPOCH_US + 1000 * TICK_US);
    for (uint64_t now = EPOCH_US; now <= EPOCH_US + 100000 * TICK_US; now += 100 * TICK_US)
        while (tb_wheel_pop(w, now) == 0) {
            fired++;
            set_us(w, 0, now + 1000 * TICK_US);
        }
    assert_int_equal(fired, 100);
}

static void a_deadline_beyond_the_horizon_is_brought_to_it(void **state)
{
    struct fixture *f = *state;
    struct tb_wheel *w = &f->wheel;
    set_us(w, 0, EPOCH_US + 1000 * HOUR_US);
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + 38 * HOUR_US), TB_WHEEL_NONE);
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + 39 * HOUR_US), 0);
    set_us(w, 0, UINT64_MAX);
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + 76 * HOUR_US), TB_WHEEL_NONE);
    assert_int_equal(tb_wheel_pop(w, EPOCH_US + 78 * HOUR_US), 0);
}

static void ticks_and_times_convert_back_after_the_wrap(void **state)
{
    struct fixture *f = *state;
    struct tb_wheel *w = &f->wheel;
    for (uint64_t hours = 0; hours < 400; hours += 7) {
        uint64_t now = EPOCH_US + hours * HOUR_US;
        assert_int_equal(tb_wheel_pop(w, now), TB_WHEEL_NONE);
        uint64_t due = now + 30 * HOUR_US;
        uint64_t back = tb_wheel_us_of(w, tb_wheel_tick_of(w, due));
        assert_in_range(back, due, due + TICK_US - 1);
    }
}

/* The model: for each object the tick it is due at and when it was armed, or nothing. */
struct model {
    bool armed[OBJECTS];
    uint64_t due[OBJECTS], order[OBJECTS];
    uint64_t tick, orders;
};

static uint32_t model_first(const struct model *m)
{
    uint32_t first = TB_WHEEL_NONE;
    for (uint32_t i = 0; i < OBJECTS; i++)
        if (m->armed[i] && (first == TB_WHEEL_NONE || m->due[i] < m->due[first] ||
                            (m->due[i] == m->due[first] && m->order[i] < m->order[first])))
            first = i;
    return first;
}

static void check_next(const struct tb_wheel *w, const struct model *m)
{
    uint32_t first = model_first(m);
    uint64_t next_us = tb_wheel_next_us(w);
    if (first == TB_WHEEL_NONE) {
        assert_int_equal(next_us, UINT64_MAX);
        return;
    }
    uint64_t due_us = EPOCH_US + (m->due[first] << TB_WHEEL_TICK_SHIFT);
    assert_true(next_us <= due_us);
    if (m->due[first] >> TB_WHEEL_SLOT_BITS == m->tick >> TB_WHEEL_SLOT_BITS)
        assert_int_equal(next_us, due_us);
    else /* not so early that sleeping would be polling */
        assert_true(next_us > EPOCH_US + (m->tick << TB_WHEEL_TICK_SHIFT));
}

/* Pop all that is due at `now_us` and compare with the model, at times arming again. */
static void pop_all(struct tb_wheel *w, struct model *m, uint64_t now_us, struct tb_rng *rng)
{
    uint64_t now = (now_us - EPOCH_US) >> TB_WHEEL_TICK_SHIFT;
    for (;;) {
        uint32_t first = model_first(m);
        uint32_t got = tb_wheel_pop(w, now_us);
        if (first == TB_WHEEL_NONE || m->due[first] > now) {
            assert_int_equal(got, TB_WHEEL_NONE);
            break;
        }
        assert_int_equal(got, first);
        m->armed[first] = false;
        m->tick = m->due[first];
        if (tb_rng_below(rng, 4) == 0) {
            uint64_t due = now + 1 + tb_rng_below(rng, 1000);
            tb_wheel_set(w, first, (uint32_t) due);
            m->armed[first] = true;
            m->due[first] = due;
            m->order[first] = m->orders++;
        }
    }
    m->tick = now;
}

static void random_operations_agree_with_a_plain_list(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        void *fixture;
        set_up(&fixture);
        struct fixture *f = fixture;
        struct tb_wheel *w = &f->wheel;
        struct model *m = calloc(1, sizeof *m);
        struct tb_rng rng = {seed};
        uint64_t now_us = EPOCH_US;
        for (int step = 0; step < 3000; step++) {
            uint32_t i = (uint32_t) tb_rng_below(&rng, OBJECTS);
            /* distances of every magnitude, up to the horizon */
            uint64_t far = tb_rng_below(&rng, UINT64_C(1) << (1 + tb_rng_below(&rng, 30)));
            switch (tb_rng_below(&rng, 8)) {
            case 0:
                tb_wheel_cancel(w, i);
                m->armed[i] = false;
                break;
            case 1:
                now_us += far * (seed % 2 ? 1 : TICK_US);
                pop_all(w, m, now_us, &rng);
                break;
            case 2: /* overdue */
                tb_wheel_set(w, i, (uint32_t) (m->tick - far));
                m->armed[i] = true;
                m->due[i] = m->tick;
                m->order[i] = m->orders++;
                break;
            default:
                tb_wheel_set(w, i, (uint32_t) (m->tick + far));
                m->armed[i] = true;
                m->due[i] = m->tick + far;
                m->order[i] = m->orders++;
                break;
            }
            assert_int_equal(tb_wheel_is_armed(w, (uint32_t) i), m->armed[i]);
            check_next(w, m);
        }
        free(m);
        tear_down(&fixture);
    }
}

static void sleeping_until_next_reaches_everything_in_few_wake_ups(void **state)
{
    struct fixture *f = *state;
    struct tb_wheel *w = &f->wheel;
    struct tb_rng rng = {11};
    for (uint32_t i = 0; i < OBJECTS; i++)
        set_us(w, i, EPOCH_US + tb_rng_below(&rng, 30 * HOUR_US));
    unsigned wake_ups = 0, fired = 0;
    for (uint64_t now; (now = tb_wheel_next_us(w)) != UINT64_MAX; wake_ups++)
        for (uint32_t i; (i = tb_wheel_pop(w, now)) != TB_WHEEL_NONE; fired++)
            assert_int_equal(tb_wheel_us_of(w, tb_wheel_due(w, i)), now);
    assert_int_equal(fired, OBJECTS);
    assert_true(wake_ups <= OBJECTS * TB_WHEEL_LEVELS);
}

#define wheel_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        wheel_test(never_fires_early_and_at_most_a_tick_late),
        wheel_test(what_is_overdue_fires_at_the_next_pop),
        wheel_test(one_tick_fires_in_the_order_of_arming),
        wheel_test(setting_again_moves_and_cancelling_twice_is_harmless),
        wheel_test(armed_again_from_the_pop_loop_it_fires_once_per_period),
        wheel_test(a_deadline_beyond_the_horizon_is_brought_to_it),
        wheel_test(ticks_and_times_convert_back_after_the_wrap),
        wheel_test(sleeping_until_next_reaches_everything_in_few_wake_ups),
        cmocka_unit_test(random_operations_agree_with_a_plain_list),
    };
    return cmocka_run_group_tests_name("base/wheel", tests, NULL, NULL);
}
