/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of base/arena and base/pool: alignment, growing in place, reuse. */
#include "unit.h"
#include <errno.h>
#include "base/arena.h"
#include "base/pool.h"
#include "base/rng.h"

static void arena_allocations_are_aligned_and_do_not_overlap(void **state)
{
    enum { N = 2000 };
    static uint8_t *block[N];
    static size_t size[N];
    struct tb_rng rng = {3};
    struct tb_arena a;
    tb_arena_init(&a, 4096);
    for (int i = 0; i < N; i++) {
        size_t align = (size_t) 1 << tb_rng_below(&rng, 5);
        size[i] = tb_rng_below(&rng, i % 100 ? 200 : 10000); /* some beyond the chunk size */
        block[i] = tb_arena_alloc(&a, size[i], align);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t) block[i] % align, 0);
        memset(block[i], i & 0xff, size[i]);
    }
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < size[i]; k++)
            assert_int_equal(block[i][k], i & 0xff);
    assert_true(a.total_bytes >= 4096);
    tb_arena_fini(&a);
    assert_int_equal(a.total_bytes, 0);
}

static void arena_newest_allocation_grows_and_shrinks_in_place(void **state)
{
    struct tb_arena a;
    tb_arena_init(&a, 1000);
    uint8_t *p = tb_arena_alloc(&a, 100, 1);
    assert_int_equal(tb_arena_extend(&a, p, 100, 900), 0);
    assert_int_equal(tb_arena_extend(&a, p, 900, 1001), -ENOSPC);
    assert_int_equal(tb_arena_extend(&a, p, 900, SIZE_MAX), -ENOSPC);
    tb_arena_trim(&a, p, 900, 10);
    uint8_t *q = tb_arena_alloc(&a, 10, 1);
    assert_ptr_equal(q, p + 10);
    assert_int_equal(tb_arena_extend(&a, p, 10, 11), -ENOSPC);
    tb_arena_trim(&a, p, 10, 5);
    assert_ptr_equal(tb_arena_alloc(&a, 1, 1), q + 10);
    tb_arena_fini(&a);
}

static void arena_refuses_absurd_sizes(void **state)
{
    struct tb_arena a;
    tb_arena_init(&a, 64);
    assert_null(tb_arena_alloc(&a, SIZE_MAX, 16));
    assert_null(tb_arena_alloc(&a, SIZE_MAX - 16, 1));
    assert_non_null(tb_arena_alloc(&a, 64, 16));
    tb_arena_fini(&a);
}

static void pool_objects_are_zeroed_distinct_and_stay_where_they_are(void **state)
{
    enum { N = 3 * TB_POOL_SLAB + 5 };
    static uint8_t *at[N + 1];
    struct tb_pool p;
    tb_pool_init(&p, 40);
    for (uint32_t i = 1; i <= N; i++) {
        assert_int_equal(tb_pool_take(&p), i);
        at[i] = tb_pool_at(&p, i);
        assert_int_equal((uintptr_t) at[i] % 16, 0);
        for (int k = 0; k < 40; k++)
            assert_int_equal(at[i][k], 0);
        memset(at[i], (int) i & 0xff, 40);
    }
    for (uint32_t i = 1; i <= N; i++) {
        assert_ptr_equal(tb_pool_at(&p, i), at[i]);
        assert_int_equal(at[i][39], i & 0xff);
    }
    assert_int_equal(p.in_use, N);
    tb_pool_fini(&p);
}

static void pool_gives_freed_objects_again_zeroed(void **state)
{
    struct tb_pool p;
    tb_pool_init(&p, 1);
    uint32_t a = tb_pool_take(&p), b = tb_pool_take(&p);
    memset(tb_pool_at(&p, a), 0xff, 16);
    memset(tb_pool_at(&p, b), 0xff, 16);
    tb_pool_give(&p, a);
    tb_pool_give(&p, b);
    tb_pool_give(&p, 0);
    assert_int_equal(p.in_use, 0);
    assert_int_equal(tb_pool_take(&p), b);
    assert_int_equal(tb_pool_take(&p), a);
    static const uint8_t zeros[16];
    assert_memory_equal(tb_pool_at(&p, a), zeros, 16);
    assert_memory_equal(tb_pool_at(&p, b), zeros, 16);
    assert_int_equal(tb_pool_take(&p), 3);
    tb_pool_fini(&p);
}

static void pool_reserve_takes_the_memory_beforehand(void **state)
{
    struct tb_pool p;
    tb_pool_init(&p, 64);
    assert_int_equal(tb_pool_reserve(&p, TB_POOL_SLAB + 1), 0);
    assert_int_equal(p.slab_count, 2);
    for (int i = 0; i < 2 * TB_POOL_SLAB; i++)
        assert_int_not_equal(tb_pool_take(&p), 0);
    assert_int_equal(p.slab_count, 2);
    assert_int_equal(tb_pool_reserve(&p, 1), 0);
    assert_int_equal(p.slab_count, 2);
    tb_pool_fini(&p);
}

/* Against a plain list of what was taken, in rushes of random size. */
static void pool_shrinks_after_a_rush_and_keeps_what_is_in_use(void **state)
{
    enum { MOST = 40 * TB_POOL_SLAB };
    static uint32_t taken[MOST];
    struct tb_rng rng = {7};
    struct tb_pool p;
    uint32_t count = 0, most_live = 0;
    tb_pool_init(&p, 32);
    for (int round = 0; round < 60; round++) {
        uint32_t want = (uint32_t) tb_rng_below(&rng, round % 2 ? MOST : 2 * TB_POOL_SLAB);
        while (count < want) {
            uint32_t h = tb_pool_take(&p);
            assert_int_not_equal(h, 0);
            assert_int_equal(*(uint32_t *) tb_pool_at(&p, h), 0);
            *(uint32_t *) tb_pool_at(&p, h) = h;
            taken[count++] = h;
        }
        while (count > want) {
            uint32_t i = (uint32_t) tb_rng_below(&rng, count), h = taken[i];
            assert_int_equal(*(uint32_t *) tb_pool_at(&p, h), h);
            tb_pool_give(&p, h);
            taken[i] = taken[--count];
        }
        assert_int_equal(p.in_use, count);
        if (p.live > most_live)
            most_live = p.live;
    }
    while (count > 0)
        tb_pool_give(&p, taken[--count]);
    assert_int_equal(p.in_use, 0);
    assert_true(most_live > 20);
    assert_true(p.live <= 5);
    tb_pool_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_allocations_are_aligned_and_do_not_overlap),
        cmocka_unit_test(arena_newest_allocation_grows_and_shrinks_in_place),
        cmocka_unit_test(arena_refuses_absurd_sizes),
        cmocka_unit_test(pool_objects_are_zeroed_distinct_and_stay_where_they_are),
        cmocka_unit_test(pool_gives_freed_objects_again_zeroed),
        cmocka_unit_test(pool_reserve_takes_the_memory_beforehand),
        cmocka_unit_test(pool_shrinks_after_a_rush_and_keeps_what_is_in_use),
    };
    return cmocka_run_group_tests_name("base/arena and base/pool", tests, NULL, NULL);
}
