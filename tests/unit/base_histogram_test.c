/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of base/histogram: buckets, and quantiles against sorted samples. */
#include "unit.h"
#include <math.h>
#include "base/histogram.h"
#include "base/rng.h"

static void every_bucket_begins_where_the_one_before_ends(void **state)
{
    for (unsigned i = 0; i < TB_HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t upper = tb_histogram_upper(i);
        assert_int_equal(tb_histogram_index(upper), i);
        assert_int_equal(tb_histogram_index(upper + 1), i + 1);
    }
    assert_int_equal(tb_histogram_upper(TB_HISTOGRAM_BUCKETS - 1), UINT64_MAX);
    assert_int_equal(tb_histogram_index(UINT64_MAX), TB_HISTOGRAM_BUCKETS - 1);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

static void quantiles_are_within_a_bucket_of_the_sorted_samples(void **state)
{
    enum { SAMPLES = 5000 };
    static uint64_t sample[SAMPLES];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct tb_rng rng = {seed};
        struct tb_histogram h = {0};
        for (int i = 0; i < SAMPLES; i++) {
            /* log-uniform up to 2^35, so that every power of two is met */
            sample[i] = tb_rng_below(&rng, UINT64_C(1) << (1 + tb_rng_below(&rng, 35)));
            tb_histogram_add(&h, sample[i]);
        }
        qsort(sample, SAMPLES, sizeof sample[0], compare_u64);
        static const double fractions[] = {0, 0.0001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
        for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++) {
            int rank = (int) ceil(fractions[i] * SAMPLES);
            uint64_t exact = sample[rank ? rank - 1 : 0];
            uint64_t got = tb_histogram_quantile(&h, fractions[i]);
            assert_true(got >= exact);
            assert_true((double) (got - exact) <= 0.016 * (double) exact);
        }
        assert_int_equal(h.min, sample[0]);
        assert_int_equal(h.max, sample[SAMPLES - 1]);
    }
}

static void quantiles_of_few_values_stay_between_min_and_max(void **state)
{
    struct tb_histogram h = {0};
    assert_int_equal(tb_histogram_quantile(&h, 0.5), 0);
    tb_histogram_add(&h, 1000003);
    assert_int_equal(tb_histogram_quantile(&h, 0), 1000003);
    assert_int_equal(tb_histogram_quantile(&h, 0.5), 1000003);
    assert_int_equal(tb_histogram_quantile(&h, 1), 1000003);
    assert_int_equal(tb_histogram_quantile(&h, NAN), 1000003);
    tb_histogram_add(&h, UINT64_MAX / 2);
    assert_int_equal(tb_histogram_quantile(&h, 0.99), UINT64_MAX / 2);
}

static void merging_equals_recording_in_one(void **state)
{
    struct tb_rng rng = {7};
    struct tb_histogram whole = {0}, half[2] = {{0}, {0}}, merged = {0};
    for (int i = 0; i < 2000; i++) {
        uint64_t v = tb_rng_below(&rng, 1000000);
        tb_histogram_add(&whole, v);
        tb_histogram_add(&half[i % 2], v);
    }
    const struct tb_histogram empty = {0};
    tb_histogram_merge(&merged, &empty);
    tb_histogram_merge(&merged, &half[0]);
    tb_histogram_merge(&merged, &empty);
    tb_histogram_merge(&merged, &half[1]);
    assert_memory_equal(&merged, &whole, sizeof whole);
}

static void difference_of_two_snapshots_is_what_came_between(void **state)
{
    struct tb_histogram h = {0}, before, diff;
    tb_histogram_add(&h, 5);
    tb_histogram_add(&h, 100000);
    before = h;
    tb_histogram_diff(&diff, &h, &before);
    assert_int_equal(diff.count, 0);
    assert_int_equal(tb_histogram_quantile(&diff, 0.5), 0);

    tb_histogram_add(&h, 300);
    tb_histogram_add(&h, 700);
    tb_histogram_diff(&diff, &h, &before);
    assert_int_equal(diff.count, 2);
    assert_int_equal(diff.sum, 1000);
    assert_in_range(diff.min, 296, 300);
    assert_in_range(diff.max, 700, 711);
    assert_in_range(tb_histogram_quantile(&diff, 0.5), 300, 304);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bucket_begins_where_the_one_before_ends),
        cmocka_unit_test(quantiles_are_within_a_bucket_of_the_sorted_samples),
        cmocka_unit_test(quantiles_of_few_values_stay_between_min_and_max),
        cmocka_unit_test(merging_equals_recording_in_one),
        cmocka_unit_test(difference_of_two_snapshots_is_what_came_between),
    };
    return cmocka_run_group_tests_name("base/histogram", tests, NULL, NULL);
}
