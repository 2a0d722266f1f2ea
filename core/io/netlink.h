/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The little of rtnetlink that the back-ends need: set up a device, add and remove routes, look up
 * routes and neighbours. Called while back-ends are opened and closed, never per packet.
 */
#ifndef TB_IO_NETLINK_H
#define TB_IO_NETLINK_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "io/prefix.h"
#include "packet/addr.h"

struct tb_nl {
    int fd; /* -1: closed */
    uint32_t seq;
    uint8_t *buf; /* for replies */
};

/* The protocol number our routes carry, so that leftovers of a killed run are known as ours. */
enum { TB_ROUTE_PROTOCOL = 84 };

struct tb_route {
    struct tb_prefix dst;
    uint8_t type; /* RTN_* */
    uint8_t protocol;
    uint32_t table;
    uint32_t metric;  /* 0: the kernel's choice */
    uint32_t ifindex; /* 0: none */
    bool has_gateway;
    struct tb_addr gateway;
};

enum tb_neighbour_state {
    TB_NEIGHBOUR_UNKNOWN,
    TB_NEIGHBOUR_RESOLVING,
    TB_NEIGHBOUR_FAILED,
    TB_NEIGHBOUR_KNOWN
};

/* 0 or -errno with words. */
int tb_nl_open(struct tb_nl *nl, struct tb_err *err);
/* A zeroed struct or one closed before is fine. */
void tb_nl_close(struct tb_nl *nl);

/* All functions below return 0 or the kernel's -errno. */

/* Set MTU and queue length (packets) of a device, and switch it on. */
int tb_nl_link_up(struct tb_nl *nl, uint32_t ifindex, uint32_t mtu, uint32_t queue_len);

/* -EEXIST when there is one with this prefix and metric already. */
int tb_nl_route_add(struct tb_nl *nl, const struct tb_route *r);
int tb_nl_route_del(struct tb_nl *nl, const struct tb_route *r);

/* Tell `visit` each address of this host, or each route of the tables local, main and default, of
 * both families. A non-zero return ends it and is returned. */
int tb_nl_addresses(struct tb_nl *nl, int (*visit)(void *ctx, const struct tb_addr *addr),
                    void *ctx);
int tb_nl_routes(struct tb_nl *nl, int (*visit)(void *ctx, const struct tb_route *route),
                 void *ctx);

/* The route the host itself would take to `dst` (type, device, gateway); `ifindex` 0: any. */
int tb_nl_route_to(struct tb_nl *nl, const struct tb_addr *dst, uint32_t ifindex,
                   struct tb_route *out);

/* What the neighbour table knows of `addr`; sets `mac` when KNOWN. */
enum tb_neighbour_state tb_nl_neighbour(struct tb_nl *nl, uint32_t ifindex,
                                        const struct tb_addr *addr, uint8_t mac[6]);
/* Have the kernel resolve `addr` as if it had a packet for it. Needs CAP_NET_ADMIN. */
int tb_nl_neighbour_resolve(struct tb_nl *nl, uint32_t ifindex, const struct tb_addr *addr);

#endif
