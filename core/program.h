/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs that play sessions have in common besides the run itself: signals, log file,
 * background, pid file. Called by tcpburn.c and tcpcopy.c.
 */
#ifndef TB_PROGRAM_H
#define TB_PROGRAM_H

#include "base/err.h"
#include "config/options.h"

/* Becomes non-zero at the first SIGINT or SIGTERM; the second one ends the program at once. */
extern volatile int tb_program_stop;
void tb_program_catch_signals(void);

/* The command line in one string, for the report; to be freed, NULL when memory is out. */
char *tb_program_command(int argc, char **argv);

/* Log file, background, pid file. 0 or -errno with words. */
int tb_program_settle_in(const struct tb_options *o, struct tb_err *err);

#endif
