/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which packets the kernel is to hand over: -F, or what the connected clients want. Called by the
 * control thread, at start and whenever that changes.
 */
#ifndef TB_INTERCEPT_FILTER_H
#define TB_INTERCEPT_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "config/intercept.h"
#include "io/expression.h"
#include "io/steer.h"
#include "relay/server.h"

struct tb_intercept_filter {
    struct tb_expression *given;                     /* -F; NULL: none */
    const struct tb_readdress *docker;               /* -D: targets are captured as `seen` */
    uint32_t docker_count;                           /* (both set by the owner) */
    struct sock_filter program[TB_STEER_FILTER_MAX]; /* what is wanted now */
    uint32_t len;                                    /* 0: nothing */
    bool all_tcp; /* sessions of unknown targets, or more than a filter holds: sorted out later */
};

/* 0, or -EINVAL with libpcap's words and what else there may be to say. */
int tb_intercept_filter_init(struct tb_intercept_filter *f, const char *text, struct tb_err *err);
void tb_intercept_filter_fini(struct tb_intercept_filter *f);

/* Make `program` of what all clients together want. */
void tb_intercept_filter_want(struct tb_intercept_filter *f, const struct tb_relay_wish *wish);
/* The kernel finds the program too long: all TCP instead. */
void tb_intercept_filter_widen(struct tb_intercept_filter *f);

/* Does -F let the packet pass? True without -F. */
bool tb_intercept_filter_passes(const struct tb_intercept_filter *f, const uint8_t *packet,
                                uint32_t len, uint32_t wire_len);

#endif
