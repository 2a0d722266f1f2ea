/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What intercept says of itself: a line in the log every five seconds in which something changed,
 * and the figures for Prometheus over HTTP. Control thread only.
 */
#ifndef TB_INTERCEPT_FIGURES_H
#define TB_INTERCEPT_FIGURES_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "intercept/devices.h"
#include "packet/addr.h"
#include "relay/server.h"

struct event_base;
struct tb_metrics; /* opaque */

struct tb_intercept_figures {
    struct tb_relay_server_figures server;
    const struct tb_devices *devices;
    uint64_t dropped[TB_DEVICES_MAX]; /* by the rings of each device */
    uint64_t cpu_us;
};

/* The sum over devices. */
uint64_t tb_figures_dropped(const struct tb_intercept_figures *f);

/* The line for the log, about the `over_us` since `before`, in `buf`. False: nothing changed. */
bool tb_figures_line(const struct tb_intercept_figures *before,
                     const struct tb_intercept_figures *now, uint64_t over_us, char *buf,
                     size_t room);

/* Serve them at http://…/metrics in the text format of Prometheus; `ask` is called each time. 0 or
 * -errno with words. */
int tb_metrics_open(struct event_base *base, const struct tb_endpoint *where,
                    void (*ask)(void *ctx, struct tb_intercept_figures *out), void *ctx,
                    struct tb_metrics **out, struct tb_err *err);
/* NULL is fine. */
void tb_metrics_close(struct tb_metrics *m);

#endif
