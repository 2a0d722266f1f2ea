/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plan: every user has an address and port of its own, which lead back to it; shards and
 * workers divide the users among them without loss or overlap.
 */
#include "unit.h"
#include "engine/plan.h"
#include "io/backends.h"

#include <errno.h>

enum { SESSIONS_MAX = 8 };

struct fixture {
    struct tb_script scripts[SESSIONS_MAX];
    struct tb_script *sessions[SESSIONS_MAX];
    struct tb_endpoint targets[2]; /* IPv4, IPv6 */
    struct tb_plan_range ranges[4];
    struct tb_plan_input in;
    struct tb_plan plan;
    struct tb_err err;
};

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;

    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

/* Sessions to an IPv4 target, one small range, as many users as sessions. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (!f)
        return -1;
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        f->sessions[i] = &f->scripts[i];
    f->targets[0] = (struct tb_endpoint){addr("198.18.0.2"), 80};
    f->targets[1] = (struct tb_endpoint){addr("fd00:18::2"), 8080};
    f->ranges[0] = (struct tb_plan_range){addr("198.18.100.1"), 4};
    f->in = (struct tb_plan_input){
        .sessions = f->sessions,
        .session_count = 3,
        .targets = f->targets,
        .target_count = 2,
        .clients = f->ranges,
        .client_count = 1,
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tb_plan_fini(&f->plan);
    free(f);
    return 0;
}
#define PLAN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static struct tb_plan *planned(struct fixture *f)
{
    tb_plan_fini(&f->plan);
    assert_int_equal(tb_plan_init(&f->plan, &f->in, &f->err), 0);
    return &f->plan;
}

/* Some sessions to the IPv6 target, and ranges of both families in a wild order. */
static void mix_families(struct fixture *f)
{
    f->in.session_count = 5;
    f->scripts[1].transfer = f->scripts[2].transfer = f->scripts[4].transfer = 1;
    f->ranges[0] = (struct tb_plan_range){addr("fd00:19::10"), 3};
    f->ranges[1] = (struct tb_plan_range){addr("198.18.100.254"), 5}; /* past a byte's end */
    f->ranges[2] = (struct tb_plan_range){addr("198.19.7.7"), 1};
    f->ranges[3] = (struct tb_plan_range){addr("fd00:19::ffff:fffe"), 2};
    f->in.client_count = 4;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 18);
}

/* Every pair of every user leads back to it, lies in the ranges, and is nobody else's. */
static void pairs_are_unique_and_lead_back(const struct tb_plan *p)
{
    uint32_t count = 0, generation;
    uint8_t(*pairs)[18] = malloc((size_t) p->users * p->generations * sizeof *pairs);
    assert_non_null(pairs);

    for (uint32_t u = 0; u < p->users; u++) {
        for (uint32_t g = 0; g < p->generations; g++) {
            struct tb_tcp_path path;
            tb_plan_path(p, u, g, &path);
            assert_true(tb_plan_has_addr(p, &path.src));
            assert_true(path.sport >= TB_PLAN_PORT_FIRST);
            assert_int_equal(tb_addr_is_v4(&path.src), tb_addr_is_v4(&path.dst));
            assert_int_equal(tb_plan_user_at(p, &path.src, path.sport, &generation), u);
            assert_int_equal(generation, g);
            memcpy(pairs[count], path.src.b, 16);
            memcpy(pairs[count++] + 16, &path.sport, 2);
        }
    }
    qsort(pairs, count, sizeof *pairs, compare);
    for (uint32_t i = 1; i < count; i++)
        assert_memory_not_equal(pairs[i - 1], pairs[i], sizeof *pairs);
    free(pairs);
}

/* --- users ------------------------------------------------------------------------------------ */

static void users_take_the_sessions_in_turn(void **state)
{
    struct fixture *f = *state;
    f->in.users = 8;
    const struct tb_plan *p = planned(f);

    for (uint32_t u = 0; u < 8; u++)
        assert_ptr_equal(tb_plan_script(p, u), f->sessions[u % 3]);
}

static void without_a_number_there_is_a_user_per_session(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(planned(f)->users, 3);
}

static void paths_lead_to_the_target_of_the_session(void **state)
{
    struct fixture *f = *state;
    mix_families(f);
    f->in.users = 10;
    const struct tb_plan *p = planned(f);

    for (uint32_t u = 0; u < 10; u++) {
        struct tb_tcp_path path;
        uint16_t transfer = f->scripts[u % 5].transfer;
        tb_plan_path(p, u, 0, &path);
        assert_true(tb_addr_eq(&path.dst, &f->targets[transfer].addr));
        assert_int_equal(path.dport, f->targets[transfer].port);
        assert_int_equal(path.transfer, transfer);
    }
}

/* --- addresses and ports ---------------------------------------------------------------------- */

static void addresses_are_filled_first(void **state)
{
    struct fixture *f = *state;
    f->in.users = 9;
    const struct tb_plan *p = planned(f);
    struct tb_tcp_path first, path;

    tb_plan_path(p, 0, 0, &first);
    for (uint32_t u = 0; u < 9; u++) {
        tb_plan_path(p, u, 0, &path);
        assert_int_equal(tb_addr_low32(&path.src), tb_addr_low32(&f->ranges[0].first) + u % 4);
        if (u < 4)
            assert_int_equal(path.sport, first.sport);
        else
            assert_int_not_equal(path.sport, first.sport);
    }
}

static void ports_are_filled_first_when_asked(void **state)
{
    struct fixture *f = *state;
    f->in.users = TB_PLAN_PORTS + 1;
    f->in.ports_first = true;
    const struct tb_plan *p = planned(f);
    struct tb_tcp_path path;

    tb_plan_path(p, TB_PLAN_PORTS - 1, 0, &path);
    assert_true(tb_addr_eq(&path.src, &f->ranges[0].first));
    tb_plan_path(p, TB_PLAN_PORTS, 0, &path);
    assert_int_equal(tb_addr_low32(&path.src), tb_addr_low32(&f->ranges[0].first) + 1);
}

static void every_pair_is_unique_and_leads_back(void **state)
{
    struct fixture *f = *state;

    f->in.users = 3 * TB_PLAN_PORTS + 77;
    for (unsigned order = 0; order < 2; order++) {
        f->in.ports_first = order;
        pairs_are_unique_and_lead_back(planned(f));
    }
}

static void every_pair_of_several_ranges_and_families_leads_back(void **state)
{
    struct fixture *f = *state;

    mix_families(f);
    f->in.users = 200003;
    for (unsigned order = 0; order < 2; order++) {
        f->in.ports_first = order;
        pairs_are_unique_and_lead_back(planned(f));
    }
}

static void full_ranges_are_used_to_the_last_pair(void **state)
{
    struct fixture *f = *state;
    f->ranges[0].count = 1;
    f->in.users = TB_PLAN_PORTS;

    pairs_are_unique_and_lead_back(planned(f));
}

static void pair_of_no_user_is_nobodys(void **state)
{
    struct fixture *f = *state;
    f->in.users = 4;
    const struct tb_plan *p = planned(f);
    struct tb_tcp_path path;
    struct tb_addr other = addr("198.18.100.5"), v6 = addr("fd00:19::10");
    uint32_t g;

    tb_plan_path(p, 0, p->generations - 1, &path);
    uint16_t next = path.sport < UINT16_MAX ? (uint16_t) (path.sport + 1) : TB_PLAN_PORT_FIRST;
    assert_int_equal(tb_plan_user_at(p, &path.src, path.sport, &g), 0);
    assert_int_equal(tb_plan_user_at(p, &path.src, next, &g), TB_PLAN_NOBODY);
    assert_int_equal(tb_plan_user_at(p, &path.src, TB_PLAN_PORT_FIRST - 1, &g), TB_PLAN_NOBODY);
    assert_int_equal(tb_plan_user_at(p, &other, path.sport, &g), TB_PLAN_NOBODY);
    assert_int_equal(tb_plan_user_at(p, &v6, path.sport, &g), TB_PLAN_NOBODY);
    assert_false(tb_plan_has_addr(p, &other));
    assert_false(tb_plan_has_addr(p, &v6));
}

/* --- generations ------------------------------------------------------------------------------ */

static void users_have_as_many_pairs_as_there_is_room_for(void **state)
{
    struct fixture *f = *state;

    f->in.users = UINT64_C(4) * TB_PLAN_PORTS;
    assert_int_equal(planned(f)->generations, 1);
    f->in.users = UINT64_C(4) * TB_PLAN_PORTS / 3;
    assert_int_equal(planned(f)->generations, 3);
    f->in.users = 10;
    assert_int_equal(planned(f)->generations, TB_PLAN_GENERATIONS_MAX);
}

static void generations_follow_each_other_in_turn(void **state)
{
    struct fixture *f = *state;
    f->in.users = UINT64_C(4) * TB_PLAN_PORTS / 3;
    const struct tb_plan *p = planned(f);

    assert_int_equal(tb_plan_next_generation(p, 7, 0), 1);
    assert_int_equal(tb_plan_next_generation(p, 7, 1), 2);
    assert_int_equal(tb_plan_next_generation(p, 7, 2), 0);
}

static void every_generation_taken_reaches_the_same_worker(void **state)
{
    struct fixture *f = *state;
    mix_families(f);
    f->in.users = 1000;
    f->in.workers = 3;
    const struct tb_plan *p = planned(f);

    for (uint32_t u = 0; u < p->users; u++) {
        uint32_t g = 0;
        for (unsigned i = 0; i < 2 * TB_PLAN_GENERATIONS_MAX; i++) {
            struct tb_tcp_path path;
            g = tb_plan_next_generation(p, u, g);
            tb_plan_path(p, u, g, &path);
            assert_int_equal(tb_steer_worker(tb_addr_low32(&path.src), path.sport, 3),
                             tb_plan_worker(p, u));
        }
    }
}

/* --- seeds ------------------------------------------------------------------------------------ */

static uint16_t port_of_first(struct fixture *f, uint64_t seed)
{
    struct tb_tcp_path path;

    f->in.seed = seed;
    tb_plan_path(planned(f), 0, 0, &path);
    return path.sport;
}

static void same_seed_gives_the_same_ports(void **state)
{
    assert_int_equal(port_of_first(*state, 42), port_of_first(*state, 42));
}

static void other_seeds_give_other_ports(void **state)
{
    assert_int_not_equal(port_of_first(*state, 42), port_of_first(*state, 43));
    assert_int_not_equal(port_of_first(*state, 0), port_of_first(*state, 1));
}

/* --- shards and workers ----------------------------------------------------------------------- */

static void shards_are_disjoint_and_together_complete(void **state)
{
    struct fixture *f = *state;
    enum { USERS = 1000, SHARDS = 7 };
    unsigned served[USERS] = {0};

    f->in.users = USERS;
    f->in.shards = SHARDS;
    for (f->in.shard = 0; f->in.shard < SHARDS; f->in.shard++) {
        const struct tb_plan *p = planned(f);
        for (uint32_t u = 0; u < USERS; u++)
            served[u] += p->place[u] != TB_PLAN_NOBODY;
        pairs_are_unique_and_lead_back(p); /* the same ones in every shard */
    }
    for (uint32_t u = 0; u < USERS; u++)
        assert_int_equal(served[u], 1);
}

static void worker_is_the_one_packets_are_steered_to(void **state)
{
    struct fixture *f = *state;
    mix_families(f);
    f->in.users = 5000;
    f->in.workers = 3;
    const struct tb_plan *p = planned(f);

    for (uint32_t u = 0; u < p->users; u++) {
        struct tb_tcp_path path;
        tb_plan_path(p, u, 0, &path);
        assert_int_equal(tb_plan_worker(p, u),
                         tb_steer_worker(tb_addr_low32(&path.src), path.sport, 3));
    }
}

static void users_of_a_worker_are_numbered_without_gaps(void **state)
{
    struct fixture *f = *state;
    f->in.users = 5000;
    f->in.workers = 3;
    f->in.shards = 2;
    f->in.shard = 1;
    const struct tb_plan *p = planned(f);
    uint32_t next[3] = {0};

    for (uint32_t u = 1; u < p->users; u += 2) {
        uint32_t worker = tb_plan_worker(p, u);
        assert_int_equal(p->place[u], next[worker]);
        next[worker]++;
    }
    for (unsigned w = 0; w < 3; w++) {
        assert_int_equal(p->worker_users[w], next[w]);
        assert_in_range(next[w], 2500 / 3 / 2, 2500 * 2 / 3); /* roughly even */
    }
}

/* --- refusals --------------------------------------------------------------------------------- */

static void too_few_pairs_are_refused_with_the_number_of_missing_addresses(void **state)
{
    struct fixture *f = *state;
    f->in.users = UINT64_C(6) * TB_PLAN_PORTS + 1;

    assert_int_equal(tb_plan_init(&f->plan, &f->in, &f->err), -ENOSPC);
    assert_non_null(strstr(f->err.text, "at least 3 more addresses"));
    assert_non_null(strstr(f->err.text, "387073 users"));
}

static void single_missing_address_is_called_one(void **state)
{
    struct fixture *f = *state;
    f->in.users = UINT64_C(4) * TB_PLAN_PORTS + 1;

    assert_int_equal(tb_plan_init(&f->plan, &f->in, &f->err), -ENOSPC);
    assert_non_null(strstr(f->err.text, "at least 1 more address "));
}

static void family_without_addresses_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    f->scripts[2].transfer = 1;

    assert_int_equal(tb_plan_init(&f->plan, &f->in, &f->err), -ENOSPC);
    assert_non_null(strstr(f->err.text, "IPv6"));
    assert_non_null(strstr(f->err.text, "at least 1 more address "));
}

static void plan_without_sessions_is_refused(void **state)
{
    struct fixture *f = *state;
    f->in.session_count = 0;

    assert_int_equal(tb_plan_init(&f->plan, &f->in, &f->err), -EINVAL);
}

static void more_users_than_numbers_are_refused(void **state)
{
    struct fixture *f = *state;
    f->in.users = UINT32_MAX;

    assert_int_equal(tb_plan_init(&f->plan, &f->in, &f->err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(users_take_the_sessions_in_turn),
        PLAN_TEST(without_a_number_there_is_a_user_per_session),
        PLAN_TEST(paths_lead_to_the_target_of_the_session),
        PLAN_TEST(addresses_are_filled_first),
        PLAN_TEST(ports_are_filled_first_when_asked),
        PLAN_TEST(every_pair_is_unique_and_leads_back),
        PLAN_TEST(every_pair_of_several_ranges_and_families_leads_back),
        PLAN_TEST(full_ranges_are_used_to_the_last_pair),
        PLAN_TEST(pair_of_no_user_is_nobodys),
        PLAN_TEST(users_have_as_many_pairs_as_there_is_room_for),
        PLAN_TEST(generations_follow_each_other_in_turn),
        PLAN_TEST(every_generation_taken_reaches_the_same_worker),
        PLAN_TEST(same_seed_gives_the_same_ports),
        PLAN_TEST(other_seeds_give_other_ports),
        PLAN_TEST(shards_are_disjoint_and_together_complete),
        PLAN_TEST(worker_is_the_one_packets_are_steered_to),
        PLAN_TEST(users_of_a_worker_are_numbered_without_gaps),
        PLAN_TEST(too_few_pairs_are_refused_with_the_number_of_missing_addresses),
        PLAN_TEST(single_missing_address_is_called_one),
        PLAN_TEST(family_without_addresses_is_refused_by_name),
        PLAN_TEST(plan_without_sessions_is_refused),
        PLAN_TEST(more_users_than_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
