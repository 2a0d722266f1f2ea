/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who plays what from which address: users, their scripts, client addresses and ports, workers and
 * shards. Everything is computed both ways by arithmetic: user → address and port, address and port
 * → user; immutable after tb_plan_init(), shared by all workers.
 *
 * User i plays session i mod S. Users of one address family are numbered densely and take the
 * (address, port) pairs of that family's client ranges, addresses first or ports first. A seed
 * turns the ports, so that runs of other seeds use other ports.
 *
 * Where the ranges have room, every user has several pairs (generations) and takes the next one for
 * each play. A pair then rests before it comes back: one reused within microseconds was seen to
 * lose its SYN now and then (docs/ARCHITECTURE.md, decisions).
 */
#ifndef TB_ENGINE_PLAN_H
#define TB_ENGINE_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "packet/addr.h"
#include "tcp/tcp.h"
#include "trace/trace.h"

/* `count` addresses from `first`, within the last 32 bits. */
struct tb_plan_range {
    struct tb_addr first;
    uint64_t count;
};

/* What the plan is made from; copied by tb_plan_init() but for sessions. */
struct tb_plan_input {
    struct tb_script *const *sessions; /* borrowed */
    uint32_t session_count;
    const struct tb_endpoint *targets; /* index: script->transfer */
    uint32_t target_count;
    const struct tb_plan_range *clients;
    uint32_t client_count;
    uint64_t users; /* 0: one per session */
    bool ports_first;
    uint64_t seed;
    uint32_t shard, shards; /* 0-based K of N */
    uint32_t workers;
};

enum { TB_PLAN_GENERATIONS_MAX = 16 };
enum { TB_PLAN_PORT_FIRST = 1024, TB_PLAN_PORTS = 65536 - TB_PLAN_PORT_FIRST };
#define TB_PLAN_NOBODY UINT32_MAX

/* The pairs of one address family. */
struct tb_plan_family {
    struct tb_plan_range *ranges;
    uint32_t range_count;
    uint64_t addresses;        /* of all ranges */
    uint64_t users;            /* of the whole plan, that play to this family */
    uint32_t sessions;         /* that are played to targets of this family */
    uint32_t *session_of_rank; /* rank → session; NULL when every session is of this family */
};

struct tb_plan {
    struct tb_script *const *sessions;
    uint32_t session_count;
    struct tb_endpoint *targets;
    uint32_t target_count;
    uint32_t users; /* of the whole plan */
    uint32_t port_turn;
    uint32_t generations; /* pairs per user */
    bool ports_first;
    uint32_t shard, shards, workers;
    struct tb_plan_family family[2]; /* IPv4, IPv6 */
    uint32_t *rank;  /* session → rank within its family; NULL when it is the session number */
    uint32_t *place; /* user → index within its worker; TB_PLAN_NOBODY: of another shard; NULL: one
                      * worker serves all, so that is the user's number */
    uint32_t *worker_users; /* users of each worker in this shard */
};

/* 0; -ENOSPC with how many more addresses are needed; -EINVAL, -ENOMEM. Free in either case. */
int tb_plan_init(struct tb_plan *p, const struct tb_plan_input *in, struct tb_err *err);
void tb_plan_fini(struct tb_plan *p);
/* A plan of no users: targets and workers for live sessions. 0 or -ENOMEM. */
int tb_plan_init_live(struct tb_plan *p, const struct tb_endpoint *targets, uint32_t target_count,
                      uint32_t workers);

static inline const struct tb_script *tb_plan_script(const struct tb_plan *p, uint32_t user)
{
    return p->sessions[user % p->session_count];
}

static inline uint32_t tb_plan_place(const struct tb_plan *p, uint32_t user)
{
    return p->place ? p->place[user] : user;
}

/* Addresses and ports of `user` in one of its generations. */
void tb_plan_path(const struct tb_plan *p, uint32_t user, uint32_t generation,
                  struct tb_tcp_path *path);

/* The generation to take after this one: the next whose packets reach the same worker. */
uint32_t tb_plan_next_generation(const struct tb_plan *p, uint32_t user, uint32_t generation);

/* The user whose client address and port these are in *generation, if the plan has one: else
 * TB_PLAN_NOBODY. */
uint32_t tb_plan_user_at(const struct tb_plan *p, const struct tb_addr *addr, uint16_t port,
                         uint32_t *generation);

/* The worker that serves `user`. */
uint32_t tb_plan_worker(const struct tb_plan *p, uint32_t user);

/* Is the address in the client ranges at all? */
bool tb_plan_has_addr(const struct tb_plan *p, const struct tb_addr *addr);

#endif
