/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where frames for a target go at the link layer: device and addresses.
 */
#ifndef TB_IO_NEXTHOP_H
#define TB_IO_NEXTHOP_H

#include "io/backends.h"
#include "io/netlink.h"

struct tb_nexthop {
    uint32_t ifindex;
    uint8_t src_mac[6], dst_mac[6];
};

/* For transfer `transfer` of the setup. What is given there wins: its MAC addresses, and its output
 * device (the last one also for the transfers behind it). The rest comes from the route to the
 * target and the neighbour table; a neighbour not known yet is resolved by the kernel, which takes
 * up to 3 seconds. 0, or -errno with words. */
int tb_nexthop_find(struct tb_nl *nl, const struct tb_io_setup *s, uint32_t transfer,
                    struct tb_nexthop *out, struct tb_err *err);

#endif
