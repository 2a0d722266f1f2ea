/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What --check-target knows of one probe that came, and what follows from it: pure, so that tests
 * can make up any case. target.c gathers it. Private to core/check.
 */
#ifndef TB_CHECK_JUDGE_H
#define TB_CHECK_JUDGE_H

#include "check/assistant.h"
#include "check/rules.h"
#include "check/findings.h"
#include "check/kernel.h"
#include "check/sight.h"
#include "io/netlink.h"

/* One client address and port that asked for one port of this host, and what was seen of it. */
struct tb_flow {
    struct tb_endpoint client, target;
    uint32_t isn;
    uint64_t first_us, answered_us;    /* our clock: first SYN, first SYN-ACK (0: none) */
    uint32_t syns, syn_acks;           /* in; out */
    uint32_t refusals;                 /* RST out, instead of a SYN-ACK */
    uint32_t acks;                     /* in, after the handshake */
    bool marked_rst;                   /* in, as --check ends what worked */
    bool foreign_rst;                  /* in, from somebody else */
    bool rejected;                     /* ICMP unreachable out */
    bool redirected, unreachable;      /* ICMP about the client in, from `reporter` */
    struct tb_addr reporter, instead;  /* instead: where a redirect leads */
    struct tb_sight syn, syn_ack, rst; /* the last of each */
};

/* Who answers for an address on the wire. */
struct tb_neighbour {
    enum tb_neighbour_state state;
    uint8_t mac[6];
};

struct tb_case {
    const struct tb_flow *flow;
    const struct tb_io_range *range;        /* that the client is of */
    const struct tb_assistants *assistants; /* count 0: not told; error 0: it was asked */
    struct tb_kernel_counters before, after;
    const struct tb_rules *rules_before, *rules_after;
    int route_error; /* of the look-up of the client; 0: `route` */
    struct tb_route route;
    char in_device[16], out_device[16];               /* of the SYN; of the route */
    int rp_filter;                                    /* what counts for in_device; 0 for IPv6 */
    bool listens;                                     /* somebody does, on the port */
    struct tb_neighbour next_hop;                     /* of the route */
    struct tb_neighbour assistant[TB_ASSISTANTS_MAX]; /* unknown: not on a network of ours */
};

/* Has the case shown what there is to see? Then no more waiting is needed. */
bool tb_flow_reacted(const struct tb_flow *f);
/* Take what was seen; false when it is not of this flow. */
bool tb_flow_take(struct tb_flow *f, const struct tb_sight *s, uint64_t now_us);

void tb_judge(const struct tb_case *c, struct tb_findings *list);

/* The route for client addresses that is missing, or leads nowhere: also known without a probe. */
bool tb_route_is_missing(int route_error, const struct tb_route *route);
void tb_judge_missing_route(const struct tb_io_range *range, const struct tb_assistants *assistants,
                            struct tb_findings *list);

#endif
