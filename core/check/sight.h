/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking at the packets that pass this host, on every device and in both directions, as tcpdump
 * would: before its packet filter drops incoming ones, and after it let outgoing ones pass. Used by
 * the checks, for seconds; not for load.
 */
#ifndef TB_CHECK_SIGHT_H
#define TB_CHECK_SIGHT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "packet/addr.h"

enum tb_sight_kind {
    TB_SIGHT_TCP,
    TB_SIGHT_REDIRECT,   /* ICMP: send what is for `about` to somebody else */
    TB_SIGHT_UNREACHABLE /* ICMP: what was for `about` cannot be delivered */
};

/* One packet. */
struct tb_sight {
    enum tb_sight_kind kind;
    bool outgoing;
    uint32_t ifindex;
    bool has_macs; /* the device carries Ethernet frames */
    uint8_t src_mac[6], dst_mac[6];
    struct tb_addr src, dst;
    /* TCP */
    uint16_t sport, dport, window, mss; /* mss: 0 when not announced */
    uint32_t seq, ack;
    uint8_t flags;
    /* ICMP: whose packet it is about: where that was going; redirect: where to send it instead */
    struct tb_addr about, instead;
};

/* 0, or -errno with words (it needs CAP_NET_RAW). `fd` for poll(). */
int tb_sight_open(int *fd, struct tb_err *err);
/* The next packet of interest that is there; false when there is none. Never waits. */
bool tb_sight_next(int fd, struct tb_sight *out);
/* What tb_sight_next() makes of an IP packet (the fields behind `dst_mac`); false: nothing. */
bool tb_sight_parse(const uint8_t *data, uint32_t len, struct tb_sight *out);

#endif
