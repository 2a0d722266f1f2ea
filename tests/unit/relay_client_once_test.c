/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that several intercept servers bring are taken once; what was sent twice, twice. */
#include "packet_build.h"
#include "relay/client_once.h"

enum { A, B };

static const uint8_t key[16] = "any";

static struct packet segment(uint8_t id)
{
    struct packet p = {.len = 0};

    put_ipv4(&p, 6, 20);
    put_tcp(&p, 0);
    p.b[5] = id;
    return p;
}

static bool is_new(struct tb_relay_once *o, uint32_t server, const struct packet *p,
                   uint64_t now_us)
{
    return tb_relay_once_is_new(o, server, p->b, p->len, p->len, now_us);
}

static void a_packet_of_two_servers_is_taken_once(void **state)
{
    (void) state;
    struct tb_relay_once *o = tb_relay_once_new(key);
    struct packet one = segment(1), two = segment(2);

    assert_true(is_new(o, A, &one, 1000000));
    assert_false(is_new(o, B, &one, 1000300));
    assert_true(is_new(o, B, &two, 1000400)); /* whoever is first */
    assert_false(is_new(o, A, &two, 1000500));
    tb_relay_once_free(o);
}

static void what_one_server_saw_twice_was_sent_twice(void **state)
{
    (void) state;
    struct tb_relay_once *o = tb_relay_once_new(key);
    struct packet p = segment(1);

    assert_true(is_new(o, A, &p, 1000000));
    assert_true(is_new(o, A, &p, 1200000));
    assert_false(is_new(o, B, &p, 1200300));
    assert_false(is_new(o, B, &p, 1200300));
    assert_true(is_new(o, B, &p, 1400000)); /* one that A has not brought, or not yet */
    assert_false(is_new(o, A, &p, 1400000));
    tb_relay_once_free(o);
}

static void a_packet_is_forgotten_after_a_while(void **state)
{
    (void) state;
    struct tb_relay_once *o = tb_relay_once_new(key);
    struct packet p = segment(1);

    assert_true(is_new(o, A, &p, 1000000));
    assert_true(is_new(o, B, &p, 1000000 + TB_RELAY_ONCE_US));
    tb_relay_once_free(o);
}

/* Offset of the changed byte in an IPv4 packet without options. */
struct change {
    unsigned at;
    bool is_other; /* another packet then */
};

static void routers_change_some_bytes_and_senders_the_others(void **state)
{
    (void) state;
    static const struct change changes[] = {
        {1, false},      /* DSCP, ECN */
        {5, true},       /* id */
        {8, false},      /* TTL */
        {10, false},     /* IP checksum */
        {15, true},      /* source */
        {19, true},      /* destination */
        {20 + 1, true},  /* ports */
        {20 + 7, true},  /* seq */
        {20 + 11, true}, /* ack */
        {20 + 13, true}, /* flags */
        {20 + 15, true}, /* window */
        {20 + 17, false} /* checksum: perhaps completed only by the device */
    };

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct tb_relay_once *o = tb_relay_once_new(key);
        struct packet p = segment(1);
        assert_true(is_new(o, A, &p, 1000000));
        p.b[changes[i].at] ^= 2;
        assert_int_equal(is_new(o, B, &p, 1000000), changes[i].is_other);
        tb_relay_once_free(o);
    }
}

static void lengths_and_options_tell_packets_apart(void **state)
{
    (void) state;
    struct tb_relay_once *o = tb_relay_once_new(key);
    struct packet p = {.len = 0};

    put_ipv6(&p, 6, 32);
    put_tcp(&p, 12);
    PUT(&p, 1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 8);
    assert_true(is_new(o, A, &p, 1000000));
    assert_false(is_new(o, B, &p, 1000000));
    p.b[40 + 27] = 9; /* another time stamp */
    assert_true(is_new(o, B, &p, 1000000));
    assert_true(tb_relay_once_is_new(o, A, p.b, p.len, p.len + 100, 1000000));
    tb_relay_once_free(o);
}

static void what_is_no_tcp_is_always_taken(void **state)
{
    (void) state;
    struct tb_relay_once *o = tb_relay_once_new(key);
    struct packet p = segment(1), bad = segment(2);

    p.b[9] = 17;
    bad.b[32] = 0x10; /* a header of four bytes */
    for (unsigned i = 0; i < 4; i++) {
        assert_true(is_new(o, i % 2, &p, 1000000));
        assert_true(is_new(o, i % 2, &bad, 1000000));
        assert_true(tb_relay_once_is_new(o, i % 2, p.b, 0, 0, 1000000));
    }
    tb_relay_once_free(o);
}

static void many_packets_at_a_time_are_told_apart(void **state)
{
    (void) state;
    struct tb_relay_once *o = tb_relay_once_new(key);
    struct packet p = segment(1);
    enum { MANY = 20000 };
    unsigned wrong = 0;

    for (unsigned server = A; server <= B; server++) {
        for (unsigned i = 0; i < MANY; i++) {
            memcpy(p.b + 24, &i, 4);
            wrong += is_new(o, server, &p, 1000000 + i) != (server == A);
        }
    }
    assert_in_range(wrong, 0, MANY / 50); /* a full set forgets its oldest */
    tb_relay_once_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_of_two_servers_is_taken_once),
        cmocka_unit_test(what_one_server_saw_twice_was_sent_twice),
        cmocka_unit_test(a_packet_is_forgotten_after_a_while),
        cmocka_unit_test(routers_change_some_bytes_and_senders_the_others),
        cmocka_unit_test(lengths_and_options_tell_packets_apart),
        cmocka_unit_test(what_is_no_tcp_is_always_taken),
        cmocka_unit_test(many_packets_at_a_time_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
