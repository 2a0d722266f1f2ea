/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --check-target, run on the target host: watches for packets from the client addresses while
 * --check sends some from the test host, and says what becomes of them here and why.
 */
#ifndef TB_CHECK_TARGET_H
#define TB_CHECK_TARGET_H

#include <stdio.h>
#include "base/err.h"
#include "config/options.h"

/* Watch, at most a minute, and print the findings to `out`. 0: this host is in order; 3 (the exit
 * status): it is not, or nothing came; the most important of it in `err`. */
int tb_check_target_run(const struct tb_options *o, FILE *out, struct tb_err *err);

#endif
