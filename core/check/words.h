/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses and commands as findings print them. */
#ifndef TB_CHECK_WORDS_H
#define TB_CHECK_WORDS_H

#include "config/options.h"
#include "io/prefix.h"

enum { TB_WORDS_COMMAND = 512 };

/* The smallest network that holds the range, for a route. Returns buf. */
const char *tb_words_network(const struct tb_io_range *r, char buf[TB_PREFIX_TEXT]);

/* The `tcpburn --check-target …` line for these options, to be run on the target. Returns buf. */
const char *tb_words_check_target(const struct tb_options *o, char buf[TB_WORDS_COMMAND]);

#endif
