/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The protocol modules of a run: loading, configuring, choosing one per captured session, and the
 * host functions they are given. Called by the programs at start-up; learn functions are called
 * while the trace is loaded, the others by workers.
 */
#ifndef TB_ENGINE_MODULES_H
#define TB_ENGINE_MODULES_H

#include "base/err.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "module.h"
#include "module/loader.h"
#include "trace/trace.h"

enum { TB_MODULE_COUNTER_NAME = 48 };

struct tb_modules {
    struct tb_host host; /* first: what counter() is given leads here */
    struct tb_loaded_module loaded[TB_ENGINE_MODULES];
    void **worker_states[TB_ENGINE_MODULES]; /* by worker; NULL: the module wants none */
    uint32_t workers;
    uint32_t count;
    bool by_content; /* no module was asked for: choose per session */
    uint32_t mysql;  /* its place, when it is among those to choose from; 0: it is not */
    const struct tb_endpoint *services; /* captured servers by transfer, for the choice by port */
    char counter_names[TB_STATS_MODULE_COUNTERS][TB_MODULE_COUNTER_NAME];
    uint32_t counter_count;
};

/* Gives the options object of a module (owned reference), from wherever the program keeps them, and
 * the file they are from (or NULL). */
typedef int tb_module_options_fn(void *ctx, const char *module, json_t **out, const char **file,
                                 struct tb_err *err);

/* Load and configure `name` (as in --module), or, when it is NULL, those to choose from. 0 or
 * -errno with words. Free in either case. */
int tb_modules_load(struct tb_modules *m, const char *name, const char *module_dir,
                    tb_module_options_fn *options, void *ctx, struct tb_err *err);
/* A captured server has this port: load, to choose from, the module that goes with it (3306:
 * mysql), unless one was asked for. Arguments as above. */
int tb_modules_load_for_port(struct tb_modules *m, uint16_t port, const char *module_dir,
                             tb_module_options_fn *options, void *ctx, struct tb_err *err);
void tb_modules_unload(struct tb_modules *m);

/* Make the modules' memory per worker, before a run: what tb_engine_config.modules points to. 0 or
 * -ENOMEM. */
int tb_modules_begin(struct tb_modules *m, uint32_t workers);
/* Add what the modules have to say about the run to `into`, the report's "module" object. */
void tb_modules_report(const struct tb_modules *m, json_t *into);

/* The learner that lets these modules read captured sessions (tb_trace_options.learner). */
struct tb_learner tb_modules_learner(struct tb_modules *m);

/* Host functions for playing (host.c). */
void tb_host_play_functions(struct tb_host *host);
/* What modules hold by tb_host.memory() in this thread. */
uint64_t tb_host_memory_bytes(void);

/* Names of the modules that sessions of the trace use, "http" or "generic,http", into `buf`. */
void tb_modules_used(const struct tb_modules *m, const struct tb_trace *t, char *buf, size_t len);

#endif
