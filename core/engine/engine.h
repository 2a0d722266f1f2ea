/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run: plays a plan over packet I/O with worker threads that share nothing mutable, and reports
 * what happened. Called by the programs; tests drive single workers (worker.h) with their own time.
 */
#ifndef TB_ENGINE_ENGINE_H
#define TB_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/pacing.h"
#include "engine/plan.h"
#include "engine/stats.h"
#include "io/io.h"
#include "module.h"

struct tb_trace;
struct tb_live_config;

enum { TB_ENGINE_MODULES = 16 };

/* Protocol modules of a run, by script->module. */
struct tb_engine_module {
    const struct tb_module *ops;
    void *const *workers; /* worker_state() by worker; NULL when it wants none */
};

/* Everything a run is made from; read-only while it runs. */
struct tb_engine_config {
    const struct tb_plan *plan;
    const struct tb_pacing *pacing;
    struct tb_engine_module modules[TB_ENGINE_MODULES];
    uint32_t module_count;
    uint64_t plays;       /* of each user; 0: until the duration is over */
    bool blind;           /* responses are not awaited (--dump) */
    bool open_loop;       /* --rate: arrivals take whichever user is free */
    uint64_t duration_us; /* 0: until every play is done */
    uint64_t grace_us;
    uint64_t hold_us;
    uint64_t timeout_us;
    uint64_t quiet_us;
    uint64_t close_wait_us;
    uint32_t mtu;
    uint16_t mss; /* largest MSS announced */
    uint8_t isn_key[16];
    /* Sessions are live ones (live.h), not the plan's; then `plan` has targets and workers, and no
     * sessions, and `pacing` no think times. */
    const struct tb_live_config *live;
};

/* One second of a run, as the reporter sees it; and the sums so far. */
struct tb_engine_progress {
    uint64_t elapsed_us;
    const struct tb_stats *total;
    const struct tb_stats *last_second; /* differences; open is the present number */
    bool finished;
};

struct tb_engine_result {
    struct tb_stats stats;
    uint64_t started_real_us; /* first SYN */
    uint64_t duration_us;     /* first SYN to last end */
    uint64_t peak;
    struct tb_trace *seen; /* the caller's, zeroed: gets the counts of live traffic; or NULL */
};

/* Run to the end. ios[w]: packet I/O of worker w (plan->workers of them), still the caller's
 * afterwards. `on_progress` is called from the calling thread about once a second. `stop` becomes
 * non-zero (set by a signal handler; seen within 50 ms) to end the run: open sessions are reset,
 * verdict ABORTED. 0 or -errno with words. */
int tb_engine_run(const struct tb_engine_config *config, struct tb_io **ios,
                  const volatile int *stop,
                  void (*on_progress)(void *ctx, const struct tb_engine_progress *p), void *ctx,
                  struct tb_engine_result *result, struct tb_err *err);

#endif
