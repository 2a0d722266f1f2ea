/* SPDX-License-Identifier: BSD-2-Clause */
/* Which live sessions are copied, and whose packets the kernel may leave out. */
#include "unit.h"
#include "engine/live_share.h"

enum { CLIENTS = 20000 };

static struct tb_live_share share(uint32_t percent)
{
    struct tb_live_share s = {.percent = percent};

    tb_live_share_init(&s);
    return s;
}

static struct tb_addr client(uint32_t n)
{
    const uint8_t b[4] = {198, 19, (uint8_t) (n >> 8), (uint8_t) n};
    return tb_addr_v4(b);
}

static uint16_t port_of(uint32_t n)
{
    return (uint16_t) (32768 + n % 1000);
}

static enum tb_live_share_answer ask(const struct tb_live_share *s, uint32_t n, uint64_t now_us)
{
    struct tb_addr a = client(n);

    return tb_live_share_ask(s, &a, port_of(n), now_us);
}

static uint32_t count(const struct tb_live_share *s, enum tb_live_share_answer what)
{
    uint32_t found = 0;

    for (uint32_t n = 0; n < CLIENTS; n++)
        found += ask(s, n, 0) == what;
    return found;
}

static uint32_t group_of(uint32_t n)
{
    struct tb_addr a = client(n);

    return tb_steer_group(tb_steer_place(tb_addr_low32(&a), port_of(n)));
}

static void takes_the_share_asked_for(void **state)
{
    static const uint32_t percents[] = {1, 10, 25, 50, 99};

    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        struct tb_live_share s = share(percents[i]);
        uint32_t taken = count(&s, TB_LIVE_SHARE_TAKEN), expected = CLIENTS / 100 * percents[i];
        assert_in_range(taken, expected * 8 / 10, expected * 12 / 10);
        assert_int_equal(count(&s, TB_LIVE_SHARE_NOT_CHOSEN), CLIENTS - taken);
    }
    struct tb_live_share all = share(100);
    assert_int_equal(count(&all, TB_LIVE_SHARE_TAKEN), CLIENTS);
}

/* Of one client with many ports, and of many clients with one port. */
static void neighbours_come_apart(void **state)
{
    struct tb_live_share s = share(25);
    struct tb_addr one = client(7);
    uint32_t ports = 0, clients = 0;

    for (uint32_t n = 0; n < 10000; n++) {
        struct tb_addr a = client(n);
        ports += tb_live_share_ask(&s, &one, (uint16_t) (30000 + n), 0) == TB_LIVE_SHARE_TAKEN;
        clients += tb_live_share_ask(&s, &a, 40000, 0) == TB_LIVE_SHARE_TAKEN;
    }
    assert_in_range(ports, 2300, 2700);
    assert_in_range(clients, 2300, 2700);
}

static void a_larger_share_contains_the_smaller(void **state)
{
    struct tb_live_share few = share(10), more = share(30);

    for (uint32_t n = 0; n < CLIENTS; n++)
        if (ask(&few, n, 0) == TB_LIVE_SHARE_TAKEN)
            assert_int_equal(ask(&more, n, 0), TB_LIVE_SHARE_TAKEN);
}

static void sheds_in_proportion_to_what_is_too_much(void **state)
{
    struct tb_live_share s = share(50);

    s.max_cpu = 0.2;
    tb_live_share_busy(&s, 0.8);
    uint32_t taken = count(&s, TB_LIVE_SHARE_TAKEN);
    assert_in_range(taken, CLIENTS / 8 * 9 / 10, CLIENTS / 8 * 11 / 10);
    assert_in_range(count(&s, TB_LIVE_SHARE_NOT_CHOSEN), CLIENTS / 2 * 9 / 10,
                    CLIENTS / 2 * 11 / 10);
    for (unsigned i = 0; i < 100; i++)
        tb_live_share_busy(&s, 0.01);
    assert_int_equal(count(&s, TB_LIVE_SHARE_NO_TIME), 0);
}

/* Those that were left out are the same for new sessions and for running ones. */
static void allows_less_whenever_it_is_behind(void **state)
{
    struct tb_live_share s = share(100);

    tb_live_share_behind(&s);
    uint32_t taken = count(&s, TB_LIVE_SHARE_TAKEN);
    assert_in_range(taken, CLIENTS * 15 / 16 - 500, CLIENTS * 15 / 16 + 500);
    for (uint32_t n = 0; n < CLIENTS; n++) {
        struct tb_addr a = client(n);
        assert_true(tb_live_share_keeps(&s, &a, port_of(n), 0) ==
                    (ask(&s, n, 0) == TB_LIVE_SHARE_TAKEN));
    }
    assert_false(tb_live_share_busy(&s, 1)); /* as busy as it likes: no limit was given */
    assert_int_equal(count(&s, TB_LIVE_SHARE_TAKEN), taken);
    tb_live_share_busy(&s, 1);
    assert_true(count(&s, TB_LIVE_SHARE_TAKEN) > taken);
    for (unsigned i = 0; i < 1000; i++)
        tb_live_share_behind(&s);
    assert_true(count(&s, TB_LIVE_SHARE_TAKEN) > 0); /* else nobody would see that there is time */
    for (unsigned i = 0; i < 1000; i++)
        tb_live_share_busy(&s, 1);
    assert_int_equal(count(&s, TB_LIVE_SHARE_NO_TIME), 0);
}

/* Running sessions are not given up for a moment's work. */
static void holds_running_sessions_to_the_limit_when_it_lasts(void **state)
{
    struct tb_live_share s = share(100);

    s.max_cpu = 0.5;
    for (unsigned i = 0; i < 4; i++)
        assert_false(tb_live_share_busy(&s, 0.6));
    assert_false(tb_live_share_busy(&s, 0.5));
    for (unsigned i = 0; i < 4; i++)
        assert_false(tb_live_share_busy(&s, 0.6));
    assert_true(tb_live_share_busy(&s, 0.6));
    assert_false(tb_live_share_busy(&s, 0.1));
}

static void without_a_share_the_kernel_takes_all(void **state)
{
    struct tb_live_share s = share(100);

    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(tb_live_share_look(&s, 0), UINT32_MAX);
}

static void whoever_is_taken_is_in_an_open_group(void **state)
{
    for (uint32_t percent = 1; percent <= 100; percent++) {
        struct tb_live_share s = share(percent);
        tb_live_share_look(&s, 0);
        uint32_t groups = tb_live_share_look(&s, 0);
        for (uint32_t n = 0; n < 2000; n++)
            if (ask(&s, n, 0) == TB_LIVE_SHARE_TAKEN)
                assert_true(groups >> group_of(n) & 1);
        if (percent < 90)
            assert_true(groups != UINT32_MAX);
    }
}

/* Sessions that begin until the next look are in it. */
static void groups_open_before_the_ramp_reaches_them(void **state)
{
    struct tb_live_share s = share(100);

    s.ramp_us = 60000000;
    tb_live_share_look(&s, 0);
    for (uint64_t now = 0; now < s.ramp_us; now += TB_LIVE_SHARE_LOOK_US) {
        uint32_t groups = tb_live_share_look(&s, now);
        for (uint32_t n = 0; n < 500; n++)
            if (ask(&s, n, now + TB_LIVE_SHARE_LOOK_US) == TB_LIVE_SHARE_TAKEN)
                assert_true(groups >> group_of(n) & 1);
    }
}

/* One that is still played keeps its group open; one just allowed does for a look. */
static void sessions_that_go_on_keep_their_packets(void **state)
{
    struct tb_live_share s = share(100);
    struct tb_addr last = client(0);
    uint32_t n = 0;

    while (group_of(n) != TB_STEER_GROUPS - 1)
        last = client(++n);
    uint32_t bit = UINT32_C(1) << group_of(n);
    s.max_cpu = 0.1;
    tb_live_share_look(&s, 0);
    tb_live_share_begin(&s, &last, port_of(n));
    tb_live_share_busy(&s, 0.9);
    assert_int_equal(tb_live_share_look(&s, 0), UINT32_MAX);
    assert_true(tb_live_share_look(&s, 0) & bit);
    assert_true(tb_live_share_look(&s, 0) != UINT32_MAX);
    tb_live_share_end(&s, &last, port_of(n));
    assert_true(tb_live_share_look(&s, 0) & bit);
    assert_false(tb_live_share_look(&s, 0) & bit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_share_asked_for),
        cmocka_unit_test(neighbours_come_apart),
        cmocka_unit_test(a_larger_share_contains_the_smaller),
        cmocka_unit_test(sheds_in_proportion_to_what_is_too_much),
        cmocka_unit_test(allows_less_whenever_it_is_behind),
        cmocka_unit_test(holds_running_sessions_to_the_limit_when_it_lasts),
        cmocka_unit_test(without_a_share_the_kernel_takes_all),
        cmocka_unit_test(whoever_is_taken_is_in_an_open_group),
        cmocka_unit_test(groups_open_before_the_ramp_reaches_them),
        cmocka_unit_test(sessions_that_go_on_keep_their_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
