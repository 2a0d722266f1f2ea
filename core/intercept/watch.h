/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For `tcpburn --check`: a second look at this host, on all devices and in both directions, for the
 * packets of one client address during ten seconds. Opened at start, while that is allowed; deaf
 * until somebody asks. Control thread only.
 */
#ifndef TB_INTERCEPT_WATCH_H
#define TB_INTERCEPT_WATCH_H

#include <stdint.h>
#include "base/err.h"
#include "intercept/devices.h"
#include "intercept/filter.h"
#include "packet/addr.h"
#include "relay/frame.h"

struct event_base;
struct tb_intercept_watch; /* opaque */

struct tb_intercept_watch_options {
    const struct tb_devices *devices;         /* that are captured on */
    const struct tb_intercept_filter *filter; /* -F */
    void (*seen)(void *ctx, uint64_t watcher, const struct tb_relay_seen *seen);
    void *ctx;
};

/* Needs CAP_NET_RAW. 0 or -errno with words. */
int tb_intercept_watch_open(struct event_base *base,
                            const struct tb_intercept_watch_options *options,
                            struct tb_intercept_watch **out, struct tb_err *err);
/* NULL is fine. */
void tb_intercept_watch_close(struct tb_intercept_watch *w);

/* From now on, for ten seconds, tell `watcher` what is seen of `client`; at most 64 packets. */
void tb_intercept_watch_start(struct tb_intercept_watch *w, const struct tb_addr *client,
                              uint64_t watcher);

/* What a packet of the network `device` (from its IP header on) tells; `type`: PACKET_OUTGOING and
 * so on. False: it is none of `client`. All but `out->device`. For tests. */
bool tb_intercept_watch_look(const struct tb_intercept_watch_options *o,
                             const struct tb_addr *client, uint32_t device, uint8_t type,
                             const uint8_t *packet, uint32_t len, uint32_t wire_len,
                             struct tb_relay_seen *out);

#endif
