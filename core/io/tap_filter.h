/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which packets a tap wants: as programs for the kernel, and once more in our own hands, where
 * VXLAN is taken off. Used by tap_device.c.
 */
#ifndef TB_IO_TAP_FILTER_H
#define TB_IO_TAP_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "io/expression.h"
#include "io/steer.h"
#include "io/tap.h"

enum tb_tap_part {
    TB_TAP_SHARED,    /* packets whose worker can be seen; with one worker, all */
    TB_TAP_EVERYBODY, /* the rest, for several: see tb_tap_devices_open(); and VXLAN */
    TB_TAP_PARTS
};

struct tb_tap_filter {
    const struct tb_tap_setup *setup;
    struct tb_expression *given;              /* setup->filter, for what is in VXLAN */
    struct tb_expression *part[TB_TAP_PARTS]; /* all of our conditions but devices, and `given` */
};

/* 0; -EINVAL with libpcap's words, -E2BIG, -ENOMEM. fini may follow in either case. */
int tb_tap_filter_init(struct tb_tap_filter *f, const struct tb_tap_setup *s, struct tb_err *err);
void tb_tap_filter_fini(struct tb_tap_filter *f);

/* For SO_ATTACH_FILTER on a ring of all devices. `ifindex`: those wanted, at most
 * TB_TAP_DEVICES_MAX; none: all. `groups`: of clients, see tb_tap_groups(). Writes at most
 * TB_STEER_FILTER_MAX instructions; their number. */
uint32_t tb_tap_filter_program(const struct tb_tap_filter *f, enum tb_tap_part part,
                               const uint32_t *ifindex, uint32_t count, uint32_t groups,
                               struct sock_filter *out);

/* Make *p the packet that is wanted, out of one that came. False: it is not one, or certainly that
 * of another worker. */
bool tb_tap_filter_take(const struct tb_tap_filter *f, uint32_t worker, struct tb_tapped *p);

#endif
