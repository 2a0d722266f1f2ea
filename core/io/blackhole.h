/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blackhole routes for the client ranges: answers to our clients arrive at this host and are
 * captured; its own stack must neither forward nor answer them.
 *
 * They carry TB_ROUTE_PROTOCOL, and as metric the process that set them, so that routes of a killed
 * run are told from those of one still running.
 */
#ifndef TB_IO_BLACKHOLE_H
#define TB_IO_BLACKHOLE_H

#include "io/backends.h"
#include "io/netlink.h"

struct tb_blackhole {
    struct tb_prefix *prefixes;
    int count; /* of them, routed */
};

/* Remove routes left by killed runs that overlap the client ranges. Errors are not told: who may
 * not remove them may not add any either. */
void tb_blackhole_sweep(struct tb_nl *nl, const struct tb_io_setup *s);

/* Sweep, then add routes for all client ranges. 0, or -errno with words and nothing added. */
int tb_blackhole_add(struct tb_blackhole *b, struct tb_nl *nl, const struct tb_io_setup *s,
                     struct tb_err *err);

/* Remove them (needs CAP_NET_ADMIN as adding does); a log line when that is not possible. */
void tb_blackhole_remove(struct tb_blackhole *b, struct tb_nl *nl);

#endif
