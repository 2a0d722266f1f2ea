/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tcpburn run from options to report: the wiring between the parts, in the order of the functions
 * below. Called by tcpburn.c.
 */
#ifndef TB_REPLAY_H
#define TB_REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "config/options.h"
#include "engine/engine.h"
#include "engine/modules.h"
#include "process/process.h"
#include "report/report.h"
#include "trace/trace.h"

struct tb_replay {
    const struct tb_options *options;
    const char *command; /* the command line, for the report */
    const volatile int *stop;
    struct tb_modules modules;
    struct tb_trace trace;
    struct tb_plan plan;
    enum tb_mode mode; /* where responses come from, decided */
    struct tb_pacing pacing;
    struct tb_engine_config config;
    struct tb_endpoint *targets, *services;
    uint32_t workers;
    uint64_t seed;
    struct tb_io **ios;      /* one per worker */
    struct tb_io **channels; /* the receiving parts of `ios` with -s SERVER; else NULL */
    uint32_t server_count;   /* of these */
    struct tb_report_writer writer;
    struct tb_status status;
    struct tb_timeline timeline;
    uint64_t dropped_before; /* of io/softnet.h */
    struct tb_engine_result result;
    const struct tb_live_config *live; /* tcpcopy: sessions are live ones */
};

/* What the transfers take sessions from; by transfer, to be freed. NULL: out of memory. */
struct tb_service *tb_replay_services(const struct tb_options *o);

/* Each returns 0 or -errno with words. tb_replay_free() is fine after any of them. */
int tb_replay_prepare(struct tb_replay *r, struct tb_err *err); /* mode, writer of the report */
int tb_replay_load(struct tb_replay *r, struct tb_err *err);    /* modules, capture files */
int tb_replay_plan(struct tb_replay *r, struct tb_err *err);    /* users, addresses, schedule */
/* In place of these two, for live sessions (copy.c): modules alone; targets and workers. */
int tb_replay_load_modules(struct tb_replay *r, struct tb_err *err);
int tb_replay_plan_live(struct tb_replay *r, struct tb_err *err);
int tb_replay_open(struct tb_replay *r, struct tb_err *err); /* packet I/O (replay_io.c) */
int tb_replay_play(struct tb_replay *r, struct tb_err *err); /* the run itself */
void tb_replay_free(struct tb_replay *r);

/* How the intercept channel did; all zero without one. */
void tb_replay_channel(const struct tb_replay *r, struct tb_report_channel *out);

/* Log what of the capture may surprise: after planning. */
void tb_replay_remarks(const struct tb_replay *r);

/* Summary, JSON report, --fail-on: TB_EXIT_OK or TB_EXIT_FAILED, or -errno with words. */
int tb_replay_report(struct tb_replay *r, struct tb_err *err);

/* --dry-run: what would be played, to standard output; --dump. 0 or -errno with words. */
int tb_replay_dry(struct tb_replay *r, struct tb_err *err);

#endif
