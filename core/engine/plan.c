/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plan: the one place where users get addresses, ports and workers. See plan.h.
 */
#include "engine/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/large.h"
#include "base/rng.h"
#include "io/backends.h"

static unsigned family_of(const struct tb_addr *a)
{
    return tb_addr_is_v4(a) ? 0 : 1;
}

static unsigned session_family(const struct tb_plan *p, uint32_t session)
{
    return family_of(&p->targets[p->sessions[session]->transfer].addr);
}

static int copy_targets(struct tb_plan *p, const struct tb_endpoint *targets, uint32_t count)
{
    p->targets = malloc(count * sizeof *p->targets);
    if (!p->targets)
        return -ENOMEM;
    memcpy(p->targets, targets, count * sizeof *p->targets);
    p->target_count = count;
    return 0;
}

static int copy_ranges(struct tb_plan *p, const struct tb_plan_input *in)
{
    for (unsigned f = 0; f < 2; f++) {
        p->family[f].ranges = calloc(in->client_count + 1, sizeof *p->family[f].ranges);
        if (!p->family[f].ranges)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < in->client_count; i++) {
        struct tb_plan_family *f = &p->family[family_of(&in->clients[i].first)];
        f->ranges[f->range_count++] = in->clients[i];
        f->addresses += in->clients[i].count;
    }
    return 0;
}

/* Number the sessions within their families; with one family that is the session number itself and
 * needs no tables. */
static int rank_sessions(struct tb_plan *p)
{
    for (uint32_t s = 0; s < p->session_count; s++)
        p->family[session_family(p, s)].sessions++;
    if (p->family[0].sessions == 0 || p->family[1].sessions == 0)
        return 0;
    p->rank = malloc(p->session_count * sizeof *p->rank);
    for (unsigned f = 0; f < 2; f++)
        p->family[f].session_of_rank = malloc(p->family[f].sessions * sizeof(uint32_t));
    if (!p->rank || !p->family[0].session_of_rank || !p->family[1].session_of_rank)
        return -ENOMEM;
    uint32_t next[2] = {0, 0};
    for (uint32_t s = 0; s < p->session_count; s++) {
        unsigned f = session_family(p, s);
        p->rank[s] = next[f];
        p->family[f].session_of_rank[next[f]++] = s;
    }
    return 0;
}

/* Users of family `f` in the whole plan. */
static uint64_t family_users(const struct tb_plan *p, unsigned f)
{
    uint64_t rounds = p->users / p->session_count, users = rounds * p->family[f].sessions;

    for (uint32_t s = 0; s < p->users % p->session_count; s++)
        users += session_family(p, s) == f;
    return users;
}

/* Counts users per family and how many pairs there are for each. */
static int check_capacity(struct tb_plan *p, struct tb_err *err)
{
    p->generations = TB_PLAN_GENERATIONS_MAX;
    for (unsigned f = 0; f < 2; f++) {
        struct tb_plan_family *fam = &p->family[f];
        uint64_t need = fam->users = family_users(p, f), have = fam->addresses * TB_PLAN_PORTS;
        if (need > 0 && have / need < p->generations)
            p->generations = (uint32_t) (have / need);
        if (need <= have)
            continue;
        uint64_t more = (need - have + TB_PLAN_PORTS - 1) / TB_PLAN_PORTS;
        return tb_err_set(err, -ENOSPC,
                          "%llu users need an %s client address and port each, but the client "
                          "ranges hold only %llu pairs (%llu addresses × %d ports): give at least "
                          "%llu more address%s with -c, or fewer users with -u",
                          (unsigned long long) need, f ? "IPv6" : "IPv4", (unsigned long long) have,
                          (unsigned long long) fam->addresses, TB_PLAN_PORTS,
                          (unsigned long long) more, more == 1 ? "" : "es");
    }
    return 0;
}

static int place_users(struct tb_plan *p)
{
    p->worker_users = calloc(p->workers, sizeof *p->worker_users);
    if (!p->worker_users)
        return -ENOMEM;
    if (p->workers == 1 && p->shards == 1) {
        p->worker_users[0] = p->users;
        return 0;
    }
    p->place = tb_large_new(p->users, sizeof *p->place);
    if (!p->place)
        return -ENOMEM;
    for (uint32_t u = 0; u < p->users; u++) {
        if (u % p->shards == p->shard)
            p->place[u] = p->worker_users[tb_plan_worker(p, u)]++;
        else
            p->place[u] = TB_PLAN_NOBODY;
    }
    return 0;
}

int tb_plan_init(struct tb_plan *p, const struct tb_plan_input *in, struct tb_err *err)
{
    uint64_t users = in->users ? in->users : in->session_count;
    struct tb_rng rng = {in->seed};

    memset(p, 0, sizeof *p);
    if (in->session_count == 0)
        return tb_err_set(err, -EINVAL, "there is no session to play");
    if (users >= TB_PLAN_NOBODY)
        return tb_err_set(err, -EINVAL, "%llu users are more than one run can have (%u)",
                          (unsigned long long) users, TB_PLAN_NOBODY - 1);
    p->sessions = in->sessions;
    p->session_count = in->session_count;
    p->users = (uint32_t) users;
    p->ports_first = in->ports_first;
    p->shard = in->shard;
    p->shards = in->shards ? in->shards : 1;
    p->workers = in->workers ? in->workers : 1;
    p->port_turn = (uint32_t) tb_rng_below(&rng, TB_PLAN_PORTS);
    if (copy_targets(p, in->targets, in->target_count) < 0 || copy_ranges(p, in) < 0 ||
        rank_sessions(p) < 0)
        return tb_err_set(err, -ENOMEM, "out of memory");
    int rc = check_capacity(p, err);
    if (rc < 0)
        return rc;
    if (place_users(p) < 0)
        return tb_err_set(err, -ENOMEM, "out of memory for %u users", p->users);
    return 0;
}

int tb_plan_init_live(struct tb_plan *p, const struct tb_endpoint *targets, uint32_t target_count,
                      uint32_t workers)
{
    memset(p, 0, sizeof *p);
    p->workers = workers;
    p->shards = 1;
    return copy_targets(p, targets, target_count);
}

void tb_plan_fini(struct tb_plan *p)
{
    for (unsigned f = 0; f < 2; f++) {
        free(p->family[f].ranges);
        free(p->family[f].session_of_rank);
    }
    free(p->targets);
    free(p->rank);
    free(p->place);
    free(p->worker_users);
    memset(p, 0, sizeof *p);
}

static struct tb_addr nth_address(const struct tb_plan_family *f, uint64_t n)
{
    uint32_t i = 0;

    while (n >= f->ranges[i].count)
        n -= f->ranges[i++].count;
    return tb_addr_plus(f->ranges[i].first, (uint32_t) n);
}

/* Index of the address in the family's ranges, or -1. */
static int64_t address_index(const struct tb_plan_family *f, const struct tb_addr *a)
{
    uint64_t before = 0;

    for (uint32_t i = 0; i < f->range_count; i++) {
        const struct tb_plan_range *r = &f->ranges[i];
        uint32_t distance = tb_addr_low32(a) - tb_addr_low32(&r->first);
        if (memcmp(a->b, r->first.b, 12) == 0 && distance < r->count)
            return (int64_t) (before + distance);
        before += r->count;
    }
    return -1;
}

/* The user's place among the pairs of its family. */
static uint64_t pair_of(const struct tb_plan *p, uint32_t user, unsigned *family)
{
    if (!p->rank) {
        *family = p->family[0].sessions == 0;
        return user;
    }
    uint32_t session = user % p->session_count;
    *family = session_family(p, session);
    return (uint64_t) (user / p->session_count) * p->family[*family].sessions + p->rank[session];
}

void tb_plan_path(const struct tb_plan *p, uint32_t user, uint32_t generation,
                  struct tb_tcp_path *path)
{
    unsigned f;
    uint64_t pair = pair_of(p, user, &f), address, port;
    const struct tb_plan_family *fam = &p->family[f];
    uint32_t transfer = tb_plan_script(p, user)->transfer;

    pair += generation * fam->users;

    if (p->ports_first) {
        address = pair / TB_PLAN_PORTS;
        port = pair % TB_PLAN_PORTS;
    } else {
        address = pair % fam->addresses;
        port = pair / fam->addresses;
    }
    port += p->port_turn;
    if (port >= TB_PLAN_PORTS)
        port -= TB_PLAN_PORTS;
    path->src = nth_address(fam, address);
    path->sport = (uint16_t) (TB_PLAN_PORT_FIRST + port);
    path->dst = p->targets[transfer].addr;
    path->dport = p->targets[transfer].port;
    path->transfer = transfer;
}

uint32_t tb_plan_user_at(const struct tb_plan *p, const struct tb_addr *addr, uint16_t port,
                         uint32_t *generation)
{
    const struct tb_plan_family *f = &p->family[family_of(addr)];
    int64_t address = f->users ? address_index(f, addr) : -1;

    if (address < 0 || port < TB_PLAN_PORT_FIRST)
        return TB_PLAN_NOBODY;
    uint32_t turned = port - TB_PLAN_PORT_FIRST + TB_PLAN_PORTS - p->port_turn;
    if (turned >= TB_PLAN_PORTS)
        turned -= TB_PLAN_PORTS;
    uint64_t pair = p->ports_first ? (uint64_t) address * TB_PLAN_PORTS + turned
                                   : turned * f->addresses + (uint64_t) address;
    uint64_t lap = pair / f->users;
    if (lap >= p->generations)
        return TB_PLAN_NOBODY;
    *generation = (uint32_t) lap;
    pair -= lap * f->users;
    uint64_t user = pair;
    if (p->rank)
        user = pair / f->sessions * p->session_count + f->session_of_rank[pair % f->sessions];
    return user < p->users ? (uint32_t) user : TB_PLAN_NOBODY;
}

static uint32_t worker_of(const struct tb_plan *p, uint32_t user, uint32_t generation)
{
    struct tb_tcp_path path;

    tb_plan_path(p, user, generation, &path);
    return tb_steer_worker(tb_addr_low32(&path.src), path.sport, p->workers);
}

uint32_t tb_plan_worker(const struct tb_plan *p, uint32_t user)
{
    return p->workers == 1 ? 0 : worker_of(p, user, 0);
}

uint32_t tb_plan_next_generation(const struct tb_plan *p, uint32_t user, uint32_t generation)
{
    uint32_t next = (generation + 1) % p->generations;

    if (p->workers == 1)
        return next;
    uint32_t worker = worker_of(p, user, 0);
    while (next != generation && worker_of(p, user, next) != worker)
        next = (next + 1) % p->generations;
    return next;
}

bool tb_plan_has_addr(const struct tb_plan *p, const struct tb_addr *addr)
{
    return address_index(&p->family[family_of(addr)], addr) >= 0;
}
