/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The capture threads of intercept: each serves one ring of every device and hands packets to its
 * lane of the channel's server. The control thread opens, starts, filters, counts and stops them.
 */
#ifndef TB_INTERCEPT_CAPTURE_H
#define TB_INTERCEPT_CAPTURE_H

#include <linux/filter.h>
#include <stdint.h>
#include "base/err.h"
#include "config/intercept.h"
#include "intercept/devices.h"
#include "relay/server.h"

struct tb_capture; /* opaque */

struct tb_capture_options {
    const struct tb_devices *devices;
    uint32_t threads;
    const struct tb_readdress *docker; /* -D */
    uint32_t docker_count;
};

/* Open the rings (needs CAP_NET_RAW); nothing comes yet. What the options point to must stay. 0 or
 * -errno with words. */
int tb_capture_threads_open(const struct tb_capture_options *options, struct tb_capture **out,
                            struct tb_err *err);
/* Start the threads, thread i on lane i. 0 or -errno with words. */
int tb_capture_threads_start(struct tb_capture *c, struct tb_relay_server *server,
                             struct tb_err *err);
/* Stops them too. NULL is fine. */
void tb_capture_threads_close(struct tb_capture *c);

/* Let these packets through, on all rings; `len` 0: none. 0 or the kernel's -errno. */
int tb_capture_threads_filter(struct tb_capture *c, const struct sock_filter *program,
                              uint32_t len);

/* See to it that a device which was taken away and came back is captured on. Its new index; 0: all
 * is as it was; or -errno: it cannot be followed, and this is said once. */
int tb_capture_threads_follow(struct tb_capture *c, uint32_t device);

/* What was lost on a device so far because its rings were full: asks the kernel. */
uint64_t tb_capture_threads_drops(struct tb_capture *c, uint32_t device);

#endif
