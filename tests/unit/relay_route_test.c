/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/route: ranges and sessions. */
#include "unit.h"

#include <errno.h>
#include "relay/route.h"

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;

    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

static struct tb_relay_range range(const char *first, uint64_t count)
{
    return (struct tb_relay_range){.first = addr(first), .count = count};
}

static void add(struct tb_route_table *t, const char *first, uint64_t count, uint32_t owner)
{
    struct tb_relay_range r = range(first, count);

    assert_int_equal(tb_route_add(t, &r, 1, owner), 0);
}

static uint32_t find(const struct tb_route_table *t, const char *text)
{
    struct tb_addr a = addr(text);

    return tb_route_find(t, &a);
}

static uint32_t overlap(const struct tb_route_table *t, const char *first, uint64_t count)
{
    struct tb_relay_range r = range(first, count);
    uint32_t which;

    return tb_route_overlap(t, &r, 1, &which);
}

/* --- ranges ----------------------------------------------------------------------------------- */

static void an_empty_table_knows_nobody(void **state)
{
    struct tb_route_table t = {0};

    assert_int_equal(find(&t, "198.18.0.1"), TB_ROUTE_NOBODY);
    assert_int_equal(overlap(&t, "198.18.0.1", 100), TB_ROUTE_NOBODY);
    tb_route_fini(&t);
}

static void addresses_are_found_from_the_first_to_the_last(void **state)
{
    struct tb_route_table t = {0};

    add(&t, "198.18.2.0", 256, 2);
    add(&t, "198.18.0.10", 5, 0);
    add(&t, "fd00::ffff:fff0", 16, 3);
    add(&t, "198.18.1.0", 1, 1);
    assert_int_equal(find(&t, "198.18.0.9"), TB_ROUTE_NOBODY);
    assert_int_equal(find(&t, "198.18.0.10"), 0);
    assert_int_equal(find(&t, "198.18.0.14"), 0);
    assert_int_equal(find(&t, "198.18.0.15"), TB_ROUTE_NOBODY);
    assert_int_equal(find(&t, "198.18.1.0"), 1);
    assert_int_equal(find(&t, "198.18.2.255"), 2);
    assert_int_equal(find(&t, "198.18.3.0"), TB_ROUTE_NOBODY);
    assert_int_equal(find(&t, "fd00::ffff:ffff"), 3);
    assert_int_equal(find(&t, "fd00::1:0:0"), TB_ROUTE_NOBODY);
    assert_int_equal(find(&t, "fd00:0:0:1::ffff:ffff"), TB_ROUTE_NOBODY);
    tb_route_fini(&t);
}

static void the_ends_of_the_address_space_are_addresses_too(void **state)
{
    struct tb_route_table t = {0};

    add(&t, "0.0.0.0", 2, 1);
    add(&t, "255.255.255.254", 2, 2);
    add(&t, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 2, 3);
    assert_int_equal(find(&t, "0.0.0.0"), 1);
    assert_int_equal(find(&t, "255.255.255.255"), 2);
    assert_int_equal(find(&t, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 3);
    assert_int_equal(find(&t, "::"), TB_ROUTE_NOBODY);
    tb_route_fini(&t);
}

static void ranges_overlap_when_they_share_an_address(void **state)
{
    struct tb_route_table t = {0};

    add(&t, "198.18.0.10", 10, 7);
    assert_int_equal(overlap(&t, "198.18.0.0", 10), TB_ROUTE_NOBODY);
    assert_int_equal(overlap(&t, "198.18.0.0", 11), 7);
    assert_int_equal(overlap(&t, "198.18.0.12", 1), 7);
    assert_int_equal(overlap(&t, "198.18.0.0", 256), 7);
    assert_int_equal(overlap(&t, "198.18.0.19", 256), 7);
    assert_int_equal(overlap(&t, "198.18.0.20", 256), TB_ROUTE_NOBODY);
    tb_route_fini(&t);
}

static void an_overlap_names_the_range(void **state)
{
    struct tb_route_table t = {0};
    struct tb_relay_range r[3] = {range("10.0.0.0", 1), range("10.0.0.5", 9), range("10.1.0.0", 1)};
    uint32_t which;

    add(&t, "10.0.0.13", 1, 7);
    assert_int_equal(tb_route_overlap(&t, r, 3, &which), 7);
    assert_int_equal(which, 1);
    tb_route_fini(&t);
}

static void ranges_of_one_owner_may_overlap(void **state)
{
    struct tb_route_table t = {0};
    struct tb_relay_range r[4] = {range("10.0.0.0", 10), range("10.0.0.0", 3),
                                  range("10.0.0.5", 10), range("10.0.0.15", 1)};

    assert_int_equal(tb_route_add(&t, r, 4, 1), 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(find(&t, "10.0.0.15"), 1);
    assert_int_equal(find(&t, "10.0.0.16"), TB_ROUTE_NOBODY);
    tb_route_fini(&t);
}

static void a_removed_owner_s_ranges_are_free(void **state)
{
    struct tb_route_table t = {0};

    add(&t, "10.0.0.0", 10, 1);
    add(&t, "10.0.0.10", 10, 2);
    add(&t, "10.0.0.20", 10, 1);
    tb_route_remove(&t, 1);
    assert_int_equal(find(&t, "10.0.0.0"), TB_ROUTE_NOBODY);
    assert_int_equal(find(&t, "10.0.0.15"), 2);
    assert_int_equal(overlap(&t, "10.0.0.20", 10), TB_ROUTE_NOBODY);
    tb_route_fini(&t);
}

static void neighbours_are_listed_as_one_range(void **state)
{
    struct tb_route_table t = {0};
    struct tb_relay_range out[4];

    add(&t, "10.0.0.0", 256, 1);
    add(&t, "10.0.1.0", 256, 2);
    add(&t, "10.0.3.0", 256, 3);
    add(&t, "fd00::1", 2, 3);
    assert_int_equal(tb_route_ranges(&t, out), 3);
    assert_int_equal(out[0].count, 512);
    assert_int_equal(out[1].count, 256);
    struct tb_addr six = addr("fd00::1");
    assert_true(tb_addr_eq(&out[2].first, &six));
    tb_route_fini(&t);
}

static void listed_ranges_stay_within_the_last_32_bits(void **state)
{
    struct tb_route_table t = {0};
    struct tb_relay_range out[2];

    add(&t, "fd00::ffff:ffff", 1, 1);
    add(&t, "fd00::1:0:0", 1, 1);
    assert_int_equal(tb_route_ranges(&t, out), 2);
    assert_int_equal(out[0].count, 1);
    tb_route_fini(&t);
}

/* --- sessions --------------------------------------------------------------------------------- */

static struct tb_endpoint session(uint32_t i)
{
    struct tb_endpoint e = {.addr = addr("203.0.113.0"), .port = (uint16_t) (i % 60000)};

    e.addr = tb_addr_plus(e.addr, i / 7);
    return e;
}

/* An empty table with room for `count`. */
static struct tb_sessions table(uint32_t count)
{
    struct tb_sessions none = {0}, s;

    assert_false(tb_sessions_has_room(&none, count));
    assert_int_equal(tb_sessions_copy(&none, count, &s), 0);
    assert_true(tb_sessions_has_room(&s, count));
    return s;
}

static uint32_t find_session(const struct tb_sessions *s, uint32_t i)
{
    struct tb_endpoint e = session(i);

    return tb_sessions_find(s, &e.addr, e.port);
}

static void sessions_are_found_until_they_are_removed(void **state)
{
    enum { COUNT = 20000 };
    struct tb_sessions s = table(COUNT);
    struct tb_endpoint e;

    for (uint32_t i = 0; i < COUNT; i++) {
        e = session(i);
        assert_int_equal(tb_sessions_put(&s, &e, i % 3), 0);
    }
    for (uint32_t i = 0; i < COUNT; i += 2) {
        e = session(i);
        assert_int_equal(tb_sessions_remove(&s, &e, i % 3), 0);
    }
    assert_int_equal(s.count, COUNT / 2);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(find_session(&s, i), i % 2 ? i % 3 : TB_ROUTE_NOBODY);
    tb_sessions_fini(&s);
}

static void a_session_keeps_its_first_owner(void **state)
{
    struct tb_sessions s = table(4);
    struct tb_endpoint e = session(1);

    assert_int_equal(tb_sessions_put(&s, &e, 5), 0);
    assert_int_equal(tb_sessions_put(&s, &e, 5), 0);
    assert_int_equal(tb_sessions_put(&s, &e, 6), -EEXIST);
    assert_int_equal(tb_sessions_remove(&s, &e, 6), -ENOENT);
    assert_int_equal(find_session(&s, 1), 5);
    assert_int_equal(s.count, 1);
    tb_sessions_fini(&s);
}

static void all_sessions_of_an_owner_go_at_once(void **state)
{
    enum { COUNT = 5000 };
    struct tb_sessions s = table(COUNT);

    for (uint32_t i = 0; i < COUNT; i++) {
        struct tb_endpoint e = session(i);
        assert_int_equal(tb_sessions_put(&s, &e, i % 4), 0);
    }
    tb_sessions_remove_all(&s, 2);
    assert_int_equal(s.count, COUNT - COUNT / 4);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(find_session(&s, i), i % 4 == 2 ? TB_ROUTE_NOBODY : i % 4);
    tb_sessions_fini(&s);
}

static void a_copy_has_room_and_all_sessions(void **state)
{
    struct tb_sessions s = table(512), bigger;

    for (uint32_t i = 0; i < 512; i++) {
        struct tb_endpoint e = session(i);
        assert_int_equal(tb_sessions_put(&s, &e, 1), 0);
    }
    assert_false(tb_sessions_has_room(&s, 1));
    assert_int_equal(tb_sessions_copy(&s, 1, &bigger), 0);
    assert_true(tb_sessions_has_room(&bigger, 1));
    assert_int_equal(bigger.count, 512);
    for (uint32_t i = 0; i < 512; i++)
        assert_int_equal(find_session(&bigger, i), 1);
    tb_sessions_fini(&s);
    tb_sessions_fini(&bigger);
}

static void an_empty_table_of_sessions_answers(void **state)
{
    struct tb_sessions none = {0};
    struct tb_endpoint e = session(1);

    assert_int_equal(find_session(&none, 1), TB_ROUTE_NOBODY);
    assert_int_equal(tb_sessions_remove(&none, &e, 0), -ENOENT);
    tb_sessions_remove_all(&none, 0);
    tb_sessions_fini(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_knows_nobody),
        cmocka_unit_test(addresses_are_found_from_the_first_to_the_last),
        cmocka_unit_test(the_ends_of_the_address_space_are_addresses_too),
        cmocka_unit_test(ranges_overlap_when_they_share_an_address),
        cmocka_unit_test(an_overlap_names_the_range),
        cmocka_unit_test(ranges_of_one_owner_may_overlap),
        cmocka_unit_test(a_removed_owner_s_ranges_are_free),
        cmocka_unit_test(neighbours_are_listed_as_one_range),
        cmocka_unit_test(listed_ranges_stay_within_the_last_32_bits),
        cmocka_unit_test(sessions_are_found_until_they_are_removed),
        cmocka_unit_test(a_session_keeps_its_first_owner),
        cmocka_unit_test(all_sessions_of_an_owner_go_at_once),
        cmocka_unit_test(a_copy_has_room_and_all_sessions),
        cmocka_unit_test(an_empty_table_of_sessions_answers),
    };
    return cmocka_run_group_tests_name("relay/route", tests, NULL, NULL);
}
