/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Live traffic: a worker's sessions come from a tap (packet/tap.h) in place of a plan, and are
 * played while they are captured. What worker.c asks of it: who a packet is for, more of the
 * sessions that pass by, and the records of those that are over.
 *
 * A user is a slot: it is somebody from begin() of the flows (trace/flow.h) until its play is over
 * and nothing of the script is needed any more (tb_live_retire()), and goes on answering the
 * server's last segments until the slot is taken for the next session.
 */
#ifndef TB_ENGINE_LIVE_H
#define TB_ENGINE_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/plan.h"
#include "module.h"
#include "packet/tap.h"
#include "tcp/tcp.h"
#include "trace/flow.h"
#include "trace/trace.h"

struct tb_worker;
struct tb_user;
struct tb_io;

enum { TB_LIVE_NOBODY = UINT32_MAX };

/* Read-only while it runs. */
struct tb_live_config {
    struct tb_tap *const *taps; /* by worker; the caller's */
    const struct tb_service *services;
    uint32_t service_count;
    const struct tb_learner *learner;
    const struct tb_plan_range *clients; /* empty: real client addresses */
    uint32_t client_count;
    const struct tb_addr *local; /* this host's own addresses, loopback aside … */
    uint32_t local_count;
    bool has_localhost; /* … are replaced by this one; without it their sessions are refused */
    struct tb_addr localhost;
    uint32_t replicas;     /* of each session, at least 1 */
    uint32_t port_shift;   /* 0 … 1023 */
    uint32_t percent;      /* of the sessions, 1 … 100 */
    uint64_t ramp_us;      /* within which the share grows to that */
    bool no_wait;          /* requests do not wait for responses */
    bool is_recorded;      /* nothing of ours can pass by: what is of a target is a session, too */
    uint64_t idle_us;      /* a session without packets for so long is over; 0: never */
    uint64_t memory_bytes; /* per worker */
    uint32_t users;        /* slots per worker */
    double max_cpu;        /* per worker, 1.0 is a core; 0: no limit */
    /* Real client addresses, with intercept; NULL: packets come by the client ranges. */
    const struct tb_live_announcer *announcer;
    struct tb_io *const *rx; /* by worker: whom to tell */
};

/* Tells whoever brings the targets' packets for which clients to; relay/client.h has it all. Called
 * by workers, each with its own `rx`. */
struct tb_live_announcer {
    /* Once, first: how to list the pairs that are wanted; see tb_live_walk(). */
    void (*walk)(struct tb_io *rx,
                 bool (*walk)(void *ctx, uint64_t *cursor, struct tb_endpoint *out), void *ctx);
    void (*announce)(struct tb_io *rx, const struct tb_addr *client, uint16_t port, bool wanted);
    void (*flush)(struct tb_io *rx); /* once per turn, before its SYNs are sent */
};

/* Is it loopback or one of this host's own? */
bool tb_live_is_own(const struct tb_live_config *c, const struct tb_addr *a);

/* What a slot is just now. */
struct tb_live_user {
    struct tb_script *script;         /* never NULL: an empty one while it is nobody */
    struct tb_flow_key key;           /* its pair and the target */
    const struct tb_request *done;    /* nothing before it is needed any more; NULL: not known */
    const struct tb_request *resumed; /* the play began behind it; NULL: with the first one */
    uint32_t flow;                    /* 0: the live session has ended */
    uint32_t sibling;                 /* the next replica of its session, or TB_LIVE_NOBODY */
    uint32_t older, newer;            /* sessions in the order of their beginning */
    uint64_t freed_us;                /* when it became nobody's */
    uint64_t trimmed_at;              /* client bytes when its script was last trimmed */
    uint8_t client;                   /* which endpoint of the key */
    uint8_t module;                   /* of the script, when it was last looked at */
    bool is_listed;                   /* `key` is in the table */
    bool is_taken;                    /* plays, or its script is still needed */
    bool waits;                       /* the target failed it: it goes on with the next request */
};

static inline void tb_live_path(const struct tb_live_user *lu, struct tb_tcp_path *path)
{
    path->src = lu->key.addr[lu->client];
    path->sport = lu->key.port[lu->client];
    path->dst = lu->key.addr[!lu->client];
    path->dport = lu->key.port[!lu->client];
    path->transfer = lu->script->transfer;
}

struct tb_live; /* opaque, but for tests */

/* 0, or -ENOMEM with words; close in either case. */
int tb_live_open(const struct tb_live_config *config, struct tb_worker *w, struct tb_live **out,
                 struct tb_err *err);
/* NULL is fine. After tb_worker_fini() has released what refers to scripts. */
void tb_live_close(struct tb_live *l);

/* The slots; [config->users]. */
struct tb_live_user *tb_live_users(struct tb_live *l);

/* The user that a segment from a target is for, or NULL. */
struct tb_user *tb_live_user_at(const struct tb_live *l, const struct tb_segment *seg);

/* Take what has passed by, begin and continue sessions, keep the limits. True when there is more.
 */
bool tb_live_take(struct tb_live *l);
/* When that is needed next, on the worker's clock; to be asked before sleeping. */
uint64_t tb_live_next_us(struct tb_live *l);
/* Nothing passes by any more, and every session has been told of its end. */
bool tb_live_is_over(const struct tb_live *l);
/* Sessions begun in this turn are announced, before anything is sent. */
void tb_live_announce(struct tb_live *l);
/* All pairs in use: the one at *cursor (from 0 on) or behind it into `out`; false: no more. `ctx`
 * is a struct tb_live. */
bool tb_live_walk(void *ctx, uint64_t *cursor, struct tb_endpoint *out);

/* The verdict: may the copy go on, if the target has failed it? */
void tb_live_play_over(struct tb_live *l, struct tb_user *u, enum tb_verdict verdict);
/* It is over and may go on: is there a request to go on with (then it has begun), or may there be
 * one yet? False: the user is to be retired. */
bool tb_live_resume(struct tb_live *l, struct tb_user *u);
/* The user's play is over and its connection needs nothing of the script. */
void tb_live_retire(struct tb_live *l, struct tb_user *u);
/* Forget what the user and the other replicas have played, now and then. */
void tb_live_trim(struct tb_live *l, struct tb_user *u);

/* How busy the thread was of late (1.0: a core), for max_cpu. */
void tb_live_busy(struct tb_live *l, double share);

/* What the scripts take now, for tests: 0 when nobody plays. */
uint64_t tb_live_script_bytes(const struct tb_live *l);

/* Add what was seen and not used to the counts of `into`. */
void tb_live_count(const struct tb_live *l, struct tb_trace *into);

#endif
