/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables behind connections: the hash table, the list of ended ones, and IP fragments. */
#include <errno.h>

#include "base/rng.h"
#include "trace/ended.h"
#include "trace/fragment.h"
#include "trace/table.h"
#include "unit.h"

enum { KEYS = 20000 };

static struct tb_flow_key keys[KEYS];

static const struct tb_flow_key *key_at(const void *owner, uint32_t ref)
{
    return &keys[ref / 2 - 1];
}

static void set_key(struct tb_flow_key *key, uint32_t n)
{
    struct tb_addr a = tb_addr_v4((uint8_t[]){10, 0, (uint8_t) (n >> 8), (uint8_t) n});
    struct tb_addr b = tb_addr_v4((uint8_t[]){10, 9, 9, 9});
    tb_flow_key_set(key, &a, (uint16_t) (n >> 16), &b, 80);
}

static void names_a_connection_alike_in_both_directions(void **state)
{
    struct tb_addr a = tb_addr_v4((uint8_t[]){10, 0, 0, 1});
    struct tb_addr b = tb_addr_v4((uint8_t[]){10, 0, 0, 2});
    struct tb_flow_key there, back;
    int src = tb_flow_key_set(&there, &a, 1000, &b, 80);
    assert_int_equal(tb_flow_key_set(&back, &b, 80, &a, 1000), !src);
    assert_memory_equal(&there, &back, sizeof there);
    src = tb_flow_key_set(&there, &a, 1000, &a, 80); /* to itself */
    assert_int_equal(tb_flow_key_set(&back, &a, 80, &a, 1000), !src);
    assert_memory_equal(&there, &back, sizeof there);
}

static void finds_what_was_added_and_not_what_was_removed(void **state)
{
    struct tb_table t;
    struct tb_rng rng = {7};
    static bool there[KEYS];
    memset(there, 0, sizeof there);
    assert_int_equal(tb_table_init(&t, NULL, key_at), 0);
    for (uint32_t i = 0; i < KEYS; i++)
        set_key(&keys[i], i * 7919);
    for (int step = 0; step < 200000; step++) {
        uint32_t i = (uint32_t) tb_rng_below(&rng, KEYS), ref = (i + 1) * 2;
        uint32_t hash = tb_table_hash(&t, &keys[i]);
        assert_int_equal(tb_table_find(&t, &keys[i], hash), there[i] ? ref : 0);
        if (there[i])
            tb_table_remove(&t, hash, ref);
        else
            assert_int_equal(tb_table_add(&t, hash, ref), 0);
        there[i] = !there[i];
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++)
        count += there[i];
    assert_int_equal(t.used, count);
    tb_table_fini(&t);
}

static const struct tb_flow_key *ended_key(const void *owner, uint32_t ref)
{
    return &tb_ended_at(owner, ref)->key;
}

static uint32_t find_ended(struct tb_table *t, uint32_t n)
{
    struct tb_flow_key key;
    set_key(&key, n);
    return tb_table_find(t, &key, tb_table_hash(t, &key));
}

static void forgets_the_connection_seen_least_recently(void **state)
{
    struct tb_table t;
    struct tb_ended_list l;
    struct tb_ended e = {0};
    assert_int_equal(tb_table_init(&t, &l, ended_key), 0);
    tb_ended_init(&l, &t);
    for (uint32_t i = 0; i < TB_ENDED_MAX + 2; i++) {
        set_key(&e.key, i);
        if (i == TB_ENDED_MAX)
            tb_ended_touch(&l, find_ended(&t, 0));
        assert_int_equal(tb_ended_add(&l, tb_table_hash(&t, &e.key), &e), 0);
    }
    assert_int_equal(t.used, TB_ENDED_MAX);
    assert_int_not_equal(find_ended(&t, 0), 0); /* it was touched */
    assert_int_equal(find_ended(&t, 1), 0);
    assert_int_equal(find_ended(&t, 2), 0);
    assert_int_not_equal(find_ended(&t, 3), 0);
    assert_int_not_equal(find_ended(&t, TB_ENDED_MAX + 1), 0);
    tb_ended_fini(&l);
    tb_table_fini(&t);
}

/* --- fragments ------------------------------------------------------------------------------ */

static uint8_t whole[4000];

/* Bytes [from, to) of a datagram of 4000, of which `present` were captured. */
static struct tb_ip fragment(uint32_t id, uint32_t from, uint32_t to, uint32_t present)
{
    for (uint32_t i = 0; i < sizeof whole; i++)
        whole[i] = (uint8_t) (i * 7 + i / 256);
    return (struct tb_ip){.src = tb_addr_v4((uint8_t[]){10, 0, 0, 1}),
                          .dst = tb_addr_v4((uint8_t[]){10, 0, 0, 2}),
                          .payload = whole + from,
                          .payload_len = present,
                          .payload_claimed = to - from,
                          .proto = TB_PROTO_TCP,
                          .more_fragments = to < sizeof whole,
                          .fragment_offset = from,
                          .id = id};
}

static bool add_fragment(struct tb_fragments *f, struct tb_ip *ip, uint32_t id, uint32_t from,
                         uint32_t to, uint64_t time_us)
{
    *ip = fragment(id, from, to, to - from);
    return tb_fragments_add(f, ip, time_us);
}

static struct tb_fragments *new_fragments(void)
{
    struct tb_fragments *f = calloc(1, sizeof *f);
    assert_non_null(f);
    return f;
}

static void free_fragments(struct tb_fragments *f)
{
    tb_fragments_fini(f);
    free(f);
}

static void completes_a_datagram_in_any_order(void **state)
{
    struct tb_fragments *f = new_fragments();
    struct tb_ip ip;
    assert_false(add_fragment(f, &ip, 1, 3200, 4000, 0));
    assert_false(add_fragment(f, &ip, 1, 0, 1600, 0));
    assert_false(add_fragment(f, &ip, 2, 1600, 3200, 0)); /* of another one */
    assert_false(add_fragment(f, &ip, 1, 800, 1600, 0));
    assert_true(add_fragment(f, &ip, 1, 1600, 3200, 0));
    assert_int_equal(ip.payload_len, sizeof whole);
    assert_int_equal(ip.payload_claimed, sizeof whole);
    assert_int_equal(ip.fragment_offset, 0);
    assert_false(ip.more_fragments);
    assert_memory_equal(ip.payload, whole, sizeof whole);
    free_fragments(f);
}

static void tells_where_a_datagram_was_cut_by_snaplen(void **state)
{
    struct tb_fragments *f = new_fragments();
    struct tb_ip ip = fragment(1, 0, 1600, 1600);
    assert_false(tb_fragments_add(f, &ip, 0));
    ip = fragment(1, 1600, 3200, 100);
    assert_false(tb_fragments_add(f, &ip, 0));
    ip = fragment(1, 3200, 4000, 800);
    assert_true(tb_fragments_add(f, &ip, 0));
    assert_int_equal(ip.payload_len, 1700);
    assert_int_equal(ip.payload_claimed, 4000);
    free_fragments(f);
}

static void does_not_mix_datagrams_of_different_times(void **state)
{
    struct tb_fragments *f = new_fragments();
    struct tb_ip ip;
    assert_false(add_fragment(f, &ip, 1, 0, 1600, 0));
    assert_false(add_fragment(f, &ip, 1, 1600, 4000, 31000000));
    assert_int_equal(f->dropped, 1);
    assert_true(add_fragment(f, &ip, 1, 0, 1600, 31000001));
    free_fragments(f);
}

static void gives_up_the_oldest_of_too_many(void **state)
{
    struct tb_fragments *f = new_fragments();
    struct tb_ip ip;
    for (uint32_t id = 0; id <= TB_FRAGMENT_DATAGRAMS; id++)
        assert_false(add_fragment(f, &ip, id, 0, 1600, id));
    assert_int_equal(f->dropped, 1);
    assert_true(add_fragment(f, &ip, TB_FRAGMENT_DATAGRAMS, 1600, 4000, 1000));
    assert_true(add_fragment(f, &ip, 1, 1600, 4000, 1000));
    assert_false(add_fragment(f, &ip, 0, 1600, 4000, 1000));
    free_fragments(f);
}

static void refuses_fragments_that_contradict_each_other(void **state)
{
    struct tb_fragments *f = new_fragments();
    struct tb_ip ip;
    assert_false(add_fragment(f, &ip, 1, 1600, 3200, 0));
    ip = fragment(1, 0, 8, 8);
    ip.more_fragments = false; /* ends before what came: never complete */
    ip.payload_claimed = 4;
    assert_true(tb_fragments_add(f, &ip, 0));
    assert_int_equal(ip.payload_len, 4);
    ip = fragment(3, 0, 1600, 1600);
    ip.payload_claimed = 65000;
    ip.payload_len = 10;
    ip.fragment_offset = 60000; /* beyond 64 KB */
    assert_false(tb_fragments_add(f, &ip, 0));
    ip = fragment(3, 0, 1600, 1600);
    ip.fragment_offset = 4; /* not on a boundary */
    assert_false(tb_fragments_add(f, &ip, 0));
    free_fragments(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_a_connection_alike_in_both_directions),
        cmocka_unit_test(finds_what_was_added_and_not_what_was_removed),
        cmocka_unit_test(forgets_the_connection_seen_least_recently),
        cmocka_unit_test(completes_a_datagram_in_any_order),
        cmocka_unit_test(tells_where_a_datagram_was_cut_by_snaplen),
        cmocka_unit_test(does_not_mix_datagrams_of_different_times),
        cmocka_unit_test(gives_up_the_oldest_of_too_many),
        cmocka_unit_test(refuses_fragments_that_contradict_each_other),
    };
    return cmocka_run_group_tests_name("trace_table", tests, NULL, NULL);
}
