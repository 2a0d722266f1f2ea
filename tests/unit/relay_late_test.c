/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that come before the registration of their session. */
#include "unit.h"
#include "relay/late.h"

static struct tb_endpoint session(uint32_t i)
{
    static const uint8_t first[4] = {203, 0, 113, 0};
    return (struct tb_endpoint){tb_addr_plus(tb_addr_v4(first), i >> 16), (uint16_t) i};
}

/* A packet of one byte to session `i`. */
static void put(struct tb_late *l, uint32_t i, uint8_t byte, uint64_t real_us)
{
    struct tb_endpoint s = session(i);
    struct tb_relay_record r = {&byte, 1, 60, real_us};

    tb_late_put(l, &s, &r);
}

static uint32_t take(struct tb_late *l, uint32_t i, uint64_t since_us,
                     struct tb_relay_record out[TB_LATE_OF_SESSION])
{
    struct tb_endpoint s = session(i);

    return tb_late_take(l, &s, since_us, out);
}

static void packets_come_back_in_their_order_and_once(void **state)
{
    (void) state;
    struct tb_late *l = tb_late_new();
    struct tb_relay_record r[TB_LATE_OF_SESSION];

    put(l, 1, 'a', 100);
    put(l, 2, 'b', 101);
    put(l, 1, 'c', 102);
    assert_int_equal(take(l, 1, 0, r), 2);
    assert_int_equal(r[0].data[0], 'a');
    assert_int_equal(r[0].len, 1);
    assert_int_equal(r[0].wire_len, 60);
    assert_int_equal(r[0].real_us, 100);
    assert_int_equal(r[1].data[0], 'c');
    assert_int_equal(take(l, 1, 0, r), 0);
    assert_int_equal(take(l, 3, 0, r), 0);
    put(l, 1, 'd', 103);
    assert_int_equal(take(l, 1, 0, r), 1);
    assert_int_equal(r[0].data[0], 'd');
    tb_late_free(l);
}

static void old_packets_stay_where_they_are(void **state)
{
    (void) state;
    struct tb_late *l = tb_late_new();
    struct tb_relay_record r[TB_LATE_OF_SESSION];

    put(l, 1, 'a', 100);
    put(l, 1, 'b', 200);
    assert_int_equal(take(l, 1, 200, r), 1);
    assert_int_equal(r[0].data[0], 'b');
    tb_late_free(l);
}

static void of_many_packets_of_a_session_the_newest_are_kept(void **state)
{
    (void) state;
    struct tb_late *l = tb_late_new();
    struct tb_relay_record r[TB_LATE_OF_SESSION];

    for (uint8_t i = 0; i < 10; i++)
        put(l, 1, i, i);
    assert_int_equal(take(l, 1, 0, r), TB_LATE_OF_SESSION);
    assert_int_equal(r[0].data[0], 10 - TB_LATE_OF_SESSION);
    assert_int_equal(r[TB_LATE_OF_SESSION - 1].data[0], 9);
    tb_late_free(l);
}

static void the_oldest_packets_make_room(void **state)
{
    (void) state;
    enum { ALL = 3 * TB_LATE_PLACES };
    struct tb_late *l = tb_late_new();
    struct tb_relay_record r[TB_LATE_OF_SESSION];

    for (uint32_t i = 0; i < ALL; i++)
        put(l, i, (uint8_t) i, i);
    for (uint32_t i = 0; i < ALL; i++) {
        assert_int_equal(take(l, i, 0, r), i >= ALL - TB_LATE_PLACES);
        if (i >= ALL - TB_LATE_PLACES)
            assert_int_equal(r[0].data[0], (uint8_t) i);
    }
    tb_late_free(l);
}

static void headers_of_unusual_length_are_not_kept(void **state)
{
    (void) state;
    struct tb_late *l = tb_late_new();
    struct tb_relay_record out[TB_LATE_OF_SESSION];
    struct tb_endpoint s = session(1);
    uint8_t bytes[TB_LATE_BYTES + 1] = {7};
    struct tb_relay_record r = {bytes, sizeof bytes, sizeof bytes, 1};

    tb_late_put(l, &s, &r);
    assert_int_equal(tb_late_take(l, &s, 0, out), 0);
    r.len--;
    tb_late_put(l, &s, &r);
    assert_int_equal(tb_late_take(l, &s, 0, out), 1);
    assert_memory_equal(out[0].data, bytes, TB_LATE_BYTES);
    tb_late_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_come_back_in_their_order_and_once),
        cmocka_unit_test(old_packets_stay_where_they_are),
        cmocka_unit_test(of_many_packets_of_a_session_the_newest_are_kept),
        cmocka_unit_test(the_oldest_packets_make_room),
        cmocka_unit_test(headers_of_unusual_length_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
