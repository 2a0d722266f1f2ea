/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices that intercept captures on: those named, or all that bring packets from elsewhere.
 * Called once, at start.
 */
#ifndef TB_INTERCEPT_DEVICES_H
#define TB_INTERCEPT_DEVICES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum { TB_DEVICES_MAX = 256 };

struct tb_devices {
    uint32_t count;
    struct tb_device {
        char name[IF_NAMESIZE];
        uint32_t index;
        bool up;
        bool merges; /* GRO or LRO is on */
    } device[TB_DEVICES_MAX];
};

/* `names`: as many as `count`; none, or the one name "any": every device that is up, without
 * loopback, and without those whose packets come by another device as well (bridges, bonds, VLANs,
 * macvlans). 0 or -errno with words: -ENODEV. */
int tb_devices_choose(struct tb_devices *d, char *const *names, uint32_t count, struct tb_err *err);

/* "eth0,eth1" into `buf`, cut with "..." where it does not fit; returns buf. */
const char *tb_devices_format(const struct tb_devices *d, char *buf, size_t room);

bool tb_devices_contain(const struct tb_devices *d, uint32_t index);

#endif
