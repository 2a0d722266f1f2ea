/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May the client ranges be used on this host, and which kind of address is a target? Asked by the
 * back-ends before they change anything.
 */
#ifndef TB_IO_OVERLAP_H
#define TB_IO_OVERLAP_H

#include "io/backends.h"
#include "io/netlink.h"

/* Refuse (-EADDRINUSE, with words) client ranges that contain a target or an address of this host,
 * and with `routes` those that overlap a route other than the default one. */
int tb_overlap_check(struct tb_nl *nl, const struct tb_io_setup *s, bool routes,
                     struct tb_err *err);

#endif
