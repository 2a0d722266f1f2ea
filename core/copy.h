/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tcpcopy run from options to report: replay.h's, with live sessions in place of captured ones.
 * Called by tcpcopy.c.
 */
#ifndef TB_COPY_H
#define TB_COPY_H

#include "base/err.h"
#include "config/tcpcopy.h"
#include "engine/live.h"
#include "io/tap.h"
#include "replay.h"

struct tb_copy {
    const struct tb_tcpcopy_options *options;
    struct tb_replay run;
    struct tb_live_config live;
    struct tb_learner learner;
    struct tb_service *services;
    struct tb_tap_service *tap_services; /* the same, as taps have them */
    struct tb_plan_range *clients;
    struct tb_addr *local;
    struct tb_tap **taps; /* one per worker */
};

/* Each returns 0 or -errno with words. tb_copy_free() is fine after any of them. */
int tb_copy_prepare(struct tb_copy *c, const struct tb_tcpcopy_options *o, const char *command,
                    const volatile int *stop, struct tb_err *err); /* modules, plan */
int tb_copy_open(struct tb_copy *c, struct tb_err *err);           /* taps, packet I/O */
int tb_copy_play(struct tb_copy *c, struct tb_err *err);           /* until it is stopped */
void tb_copy_free(struct tb_copy *c);

#endif
