/* SPDX-License-Identifier: BSD-2-Clause */
/* What exchanges with a server tell of its clock, with delays that differ by the way, clocks that
 * drift and clocks that are set. */
#include "unit.h"
#include "base/rng.h"
#include "relay/client_clock.h"

static const uint64_t start_us = 5000000000, epoch_us = 1800000000000000;

/* One exchange at `now_us` with a server whose clock is ahead by `offset`; returns its end. */
static uint64_t exchange(struct tb_relay_clock *c, uint64_t now_us, uint64_t offset,
                         uint64_t there_us, uint64_t back_us)
{
    uint64_t end_us = now_us + there_us + back_us;

    tb_relay_clock_sample(c, now_us, end_us, now_us + there_us + offset);
    return end_us;
}

static void assert_offset(const struct tb_relay_clock *c, uint64_t offset, uint64_t within_us)
{
    int64_t off = c->offset_us - (int64_t) offset;

    assert_true((uint64_t) (off < 0 ? -off : off) <= within_us);
}

static void without_an_exchange_packets_are_of_now(void **state)
{
    (void) state;
    struct tb_relay_clock c = {0};

    assert_int_equal(tb_relay_clock_to_mono(&c, epoch_us, start_us), start_us);
}

static void one_exchange_is_right_to_half_its_round_trip(void **state)
{
    (void) state;
    struct tb_relay_clock c = {0};

    exchange(&c, start_us, epoch_us, 900, 100);
    assert_offset(&c, epoch_us, 500);
    assert_in_range(c.error_us, 500, 501);
}

static void slow_ways_back_do_not_spoil_quick_ones(void **state)
{
    (void) state;
    struct tb_relay_clock c = {0};
    struct tb_rng rng = {1};
    uint64_t now_us = start_us;

    /* One exchange in four is quick; the others wait behind records, on their way back only. */
    for (unsigned i = 0; i < 200; i++) {
        uint64_t jitter_us = i % 4 == 0 ? 0 : 200 + tb_rng_below(&rng, 50000);
        exchange(&c, now_us, epoch_us, 40, 40 + jitter_us);
        if (i >= 4)
            assert_offset(&c, epoch_us, 400); /* 4 s of drift allowed for, at most */
        now_us += 1000000;
    }
}

static void clocks_that_drift_are_followed(void **state)
{
    (void) state;
    struct tb_relay_clock c = {0};
    uint64_t offset = epoch_us;

    for (unsigned i = 0; i < 600; i++) {
        exchange(&c, start_us + i * 1000000, offset, 50, 50);
        assert_offset(&c, offset, 150);
        offset += i < 300 ? 50 : 500; /* µs a second; the latter as a clock is slewed */
    }
}

static void a_clock_that_is_set_is_believed_at_the_next_exchange(void **state)
{
    (void) state;
    static const int64_t steps[] = {3600000000, -3600000000, 2000, -2000};

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct tb_relay_clock c = {0};
        uint64_t now_us = start_us, after = epoch_us + (uint64_t) steps[i];
        for (unsigned n = 0; n < 30; n++, now_us += 1000000)
            exchange(&c, now_us, epoch_us, 50, 50);
        exchange(&c, now_us, after, 50, 50);
        assert_offset(&c, after, 50);
    }
}

static void packets_are_never_of_the_future_nor_of_the_far_past(void **state)
{
    (void) state;
    struct tb_relay_clock c = {0};
    uint64_t now_us = exchange(&c, start_us, epoch_us, 50, 50);
    uint64_t real_us = now_us + epoch_us;

    assert_int_equal(tb_relay_clock_to_mono(&c, real_us - 1000, now_us), now_us - 1000);
    assert_int_equal(tb_relay_clock_to_mono(&c, real_us + 1, now_us), now_us);
    assert_int_equal(tb_relay_clock_to_mono(&c, real_us - 3600000000, now_us), now_us);
    assert_int_equal(tb_relay_clock_to_mono(&c, 0, now_us), now_us);
    assert_int_equal(tb_relay_clock_to_mono(&c, UINT64_MAX, now_us), now_us);
}

static void absurd_answers_are_ignored(void **state)
{
    (void) state;
    struct tb_relay_clock c = {0};
    uint64_t now_us = exchange(&c, start_us, epoch_us, 50, 50);

    tb_relay_clock_sample(&c, now_us, now_us + 1, UINT64_MAX);
    tb_relay_clock_sample(&c, now_us + 2, now_us + 1, epoch_us); /* answered before it was sent */
    assert_int_equal(c.count, 1);
    assert_offset(&c, epoch_us, 50);
    tb_relay_clock_sample(&c, now_us, now_us + 1, 0); /* a clock may be wrong, though */
    assert_offset(&c, -(now_us + 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_exchange_packets_are_of_now),
        cmocka_unit_test(one_exchange_is_right_to_half_its_round_trip),
        cmocka_unit_test(slow_ways_back_do_not_spoil_quick_ones),
        cmocka_unit_test(clocks_that_drift_are_followed),
        cmocka_unit_test(a_clock_that_is_set_is_believed_at_the_next_exchange),
        cmocka_unit_test(packets_are_never_of_the_future_nor_of_the_far_past),
        cmocka_unit_test(absurd_answers_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
