/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker: owns users, their timers, its packet I/O and its statistics; shares nothing mutable.
 * tb_worker_tick() is one turn of the engine; the caller gives the time. engine.c runs workers in
 * threads, tests and benchmarks run them by hand.
 */
#ifndef TB_ENGINE_WORKER_H
#define TB_ENGINE_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/pool.h"
#include "base/wheel.h"
#include "engine/engine.h"
#include "engine/live.h"
#include "engine/stats.h"
#include "engine/user.h"
#include "io/io.h"

enum { TB_WORKER_GATHER = 128 * 1024 };
enum { TB_WORKER_BATCH = 256, TB_WORKER_DIRTY = 8 * TB_WORKER_BATCH };

/* What a module hook is given: the worker and the user it is about. */
struct tb_session {
    struct tb_worker *worker;
    struct tb_user *user;
    const struct tb_request *request; /* of the request() hook: send_captured() takes from it */
    const uint8_t *request_data;
    uint32_t module;
    bool is_patient; /* of the request() hook: no timeout for the response */
};

enum tb_stop { TB_STOP_NONE, TB_STOP_STARTING, TB_STOP_CUT, TB_STOP_ABORT };

struct tb_worker {
    const struct tb_engine_config *config;
    struct tb_io *io;
    uint32_t index;
    struct tb_tcp_env tcp; /* also holds the time of this tick */
    struct tb_user *users;
    uint32_t user_count;
    struct tb_wheel wheel;
    struct tb_pool pendings, module_busy, held;
    struct tb_live *live;            /* NULL: sessions are the plan's */
    struct tb_live_user *live_users; /* then by user */
    uint8_t *module_state; /* per user: a deadline, then session_size bytes; NULL: none needed */
    uint32_t module_state_bytes;

    /* arrivals: the next one is user `next_user` for the next_round-th time */
    uint32_t next_user;
    uint64_t next_round;
    bool arrivals_over;
    uint32_t *free_users; /* open loop: ring of idle users */
    uint32_t free_first, free_count;
    uint64_t backlog; /* open loop: arrivals due that found no free user */

    uint32_t dirty[TB_WORKER_DIRTY];
    uint32_t dirty_count;
    struct tb_frame frames[TB_WORKER_BATCH];
    uint8_t gather[TB_WORKER_GATHER];
    struct tb_packet packets[TB_WORKER_BATCH];
    uint8_t *scratch; /* a request's bytes in one piece, for modules */
    uint32_t scratch_bytes;

    enum tb_stop stop;
    uint32_t sweep;    /* next user to be cut or aborted */
    uint64_t begin_us; /* monotonic: schedules count from here */
    uint64_t seen_us;  /* when the packet being taken was on its way: latencies end there */
    uint64_t first_syn_us, last_end_us;       /* 0: none yet */
    uint64_t linger_until_us, linger_most_us; /* 0: sessions are still open */
    uint32_t linger_half_closed;              /* when linger_until_us was set */
    uint64_t stray_second;
    uint32_t strays_answered;
    uint32_t restarts;    /* idle users that will start again at their due_us */
    uint32_t half_closed; /* plays that are over but whose server has not closed yet */
    struct tb_session session;
    struct tb_stats stats;
};

/* `begin_us`: monotonic time the schedules count from. The worker is large: allocate it. 0 or
 * -ENOMEM with words; fini in either case. */
int tb_worker_init(struct tb_worker *w, const struct tb_engine_config *config, struct tb_io *io,
                   uint32_t index, uint64_t begin_us, struct tb_err *err);
void tb_worker_fini(struct tb_worker *w);

/* One turn: packets in, timers, starts, output. True while there may be more to do at once. */
bool tb_worker_tick(struct tb_worker *w, uint64_t now_us, uint64_t real_us);

/* When the next turn is needed if no packet comes. */
uint64_t tb_worker_next_us(const struct tb_worker *w);

/* Everything played, answered and closed (or given up)? */
bool tb_worker_is_done(const struct tb_worker *w);

/* Stop starting; cut or abort what is open (in slices over the next turns). Only ever harder. */
void tb_worker_stop(struct tb_worker *w, enum tb_stop how);

/* --- shared by the engine's files ----------------------------------------------------------------
 */

static inline struct tb_user *tb_user_of(struct tb_tcp *c)
{
    return (struct tb_user *) c; /* tcp is the first member */
}
static inline struct tb_busy *tb_user_busy(const struct tb_worker *w, const struct tb_user *u)
{
    return (struct tb_busy *) tb_tcp_busy(&w->tcp, &u->tcp);
}
static inline const struct tb_script *tb_user_script(const struct tb_worker *w,
                                                     const struct tb_user *u)
{
    if (w->live)
        return w->live_users[u - w->users].script;
    return w->config->plan->sessions[u->session];
}
static inline uint32_t tb_user_index(const struct tb_worker *w, const struct tb_user *u)
{
    return (uint32_t) (u - w->users);
}
static inline const struct tb_module *tb_user_module(const struct tb_worker *w,
                                                     const struct tb_user *u)
{
    return w->config->modules[tb_user_script(w, u)->module].ops;
}
/* Live: is the session still going on online? */
static inline bool tb_user_goes_on(const struct tb_worker *w, const struct tb_user *u)
{
    return w->live && w->live_users[u - w->users].flow != 0;
}
static inline struct tb_pending *tb_pending_at(const struct tb_worker *w, uint32_t handle)
{
    return handle ? tb_pool_at(&w->pendings, handle) : NULL;
}
/* The record is going to be used soon. */
static inline void tb_user_prefetch(const struct tb_user *u)
{
    const char *record = (const char *) u;

    __builtin_prefetch(record, 1);
    __builtin_prefetch(record + 64, 1);
    __builtin_prefetch(record + sizeof *u - 1, 1);
}
/* Addresses and ports that `u` uses now. */
static inline void tb_user_path(const struct tb_worker *w, const struct tb_user *u,
                                struct tb_tcp_path *path)
{
    if (w->live)
        tb_live_path(&w->live_users[u - w->users], path);
    else
        tb_plan_path(w->config->plan, u->tcp.owner, u->generation, path);
}
/* To be settled before the turn ends: output, timers. */
void tb_worker_touch(struct tb_worker *w, struct tb_user *u);
/* The session handle for a hook about `u`. */
struct tb_session *tb_worker_session(struct tb_worker *w, struct tb_user *u);
/* Deadline of the module's timer for `u` (UINT64_MAX: none); NULL when no module has timers. */
uint64_t *tb_worker_module_due(const struct tb_worker *w, const struct tb_user *u);

/* SYN options of `u`: the captured client's, within --mss. */
struct tb_tcp_syn tb_worker_syn(const struct tb_worker *w, const struct tb_user *u);
/* A play is over (verdict given): plan the user's next one. `again_us`: the module wants it again
 * after that delay; -1: no. */
void tb_worker_play_over(struct tb_worker *w, struct tb_user *u, int64_t again_us);

/* input.c: take what has come; the number of packets */
uint32_t tb_worker_input(struct tb_worker *w);

/* player.c: the life of a session */
void tb_player_start(struct tb_worker *w, struct tb_user *u, uint64_t late_us);
void tb_player_events(struct tb_worker *w, struct tb_user *u, unsigned events);
void tb_player_timer(struct tb_worker *w, struct tb_user *u);
void tb_player_advance(struct tb_worker *w, struct tb_user *u);
/* Live: more of the script is known. */
void tb_player_grown(struct tb_worker *w, struct tb_user *u);
/* The earliest deadline of the play itself, TB_NEVER when there is none. */
uint64_t tb_player_deadline(const struct tb_worker *w, const struct tb_user *u);

/* response.c: what comes back */
int tb_response_expect(struct tb_worker *w, struct tb_user *u, const struct tb_request *r,
                       uint64_t due_us);
void tb_response_data(struct tb_worker *w, struct tb_user *u, const uint8_t *data, uint32_t len);
void tb_response_closed(struct tb_worker *w, struct tb_user *u);
void tb_response_quiet(struct tb_worker *w, struct tb_user *u);
/* A module's word outside of response(): its timer. */
void tb_response_status(struct tb_worker *w, struct tb_user *u, enum tb_response_status status);
void tb_response_forget(struct tb_worker *w, struct tb_busy *b);
/* Nothing is awaited any more; the module keeps its state. */
void tb_response_drop(struct tb_worker *w, struct tb_user *u);

/* Live: what the online server answered is known now, as far as it is. */
void tb_response_known(struct tb_worker *w, struct tb_user *u);
/* Live: does anything that came, or a FIN behind it, have to wait for the online server? */
bool tb_response_waits(const struct tb_worker *w, const struct tb_user *u);
/* Live: the client has begun to speak, so that there is no greeting if none was seen. */
void tb_response_no_greeting(struct tb_worker *w, struct tb_user *u);
/* Live: the server has closed or reset: held bytes are judged without what they wait for. */
void tb_response_release(struct tb_worker *w, struct tb_user *u);

/* ending.c: the captured end */
void tb_ending_advance(struct tb_worker *w, struct tb_user *u);
void tb_ending_due(struct tb_worker *w, struct tb_user *u);
/* A held session closes politely; `lost`: because the server wants it. */
void tb_ending_leave(struct tb_worker *w, struct tb_user *u, bool lost);
/* Bytes came for a client that has closed for good: in the capture, and they are answered with a
 * RST as there, and the session is over; or at the end of a held session, which is over. */
bool tb_ending_refuses_data(struct tb_worker *w, struct tb_user *u);
bool tb_ending_is_as_captured(const struct tb_worker *w, const struct tb_user *u, bool reset);

/* verdict.c: the one place a session ends */
void tb_verdict_set(struct tb_worker *w, struct tb_user *u, enum tb_verdict verdict);

#endif
