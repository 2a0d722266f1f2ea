/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --check: is the way from the client addresses to the target and back free? Looks at this host,
 * then does a real handshake from a client address, and says what is wrong and how to mend it.
 */
#ifndef TB_CHECK_CHECK_H
#define TB_CHECK_CHECK_H

#include <stdio.h>
#include "base/err.h"
#include "config/options.h"

/* Examine, print the findings to `out`; at most five seconds. 0: the path is fine; 3 (the exit
 * status): something forbids it, the most important of it in `err`. */
int tb_check_run(const struct tb_options *o, FILE *out, struct tb_err *err);

/* The same for tcpcopy without -c: the target sees the live clients under their own addresses,
 * which `clients` stand for (o->clients is not looked at). None: an address of each family that
 * nobody has (RFC 5737, RFC 3849), which tells whether the target's default route is right. */
int tb_check_live_run(const struct tb_options *o, const struct tb_addr *clients, uint32_t count,
                      FILE *out, struct tb_err *err);

#endif
