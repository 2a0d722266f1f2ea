/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel counts when it drops packets without a word, read before and after a probe by
 * target.c: growth tells which of its reasons it had.
 */
#ifndef TB_CHECK_KERNEL_H
#define TB_CHECK_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

struct tb_kernel_counters {
    uint64_t reverse_path; /* dropped by rp_filter */
    uint64_t checksum;     /* TCP segments with a wrong checksum */
    uint64_t listen;       /* SYNs and ACKs for which a listener had no room */
    uint64_t no_route;     /* answers without a route */
    uint64_t ct_invalid;   /* packets that conntrack makes no sense of */
    uint64_t ct_full;      /* packets dropped because its table is full */
};

/* What cannot be read counts 0. */
void tb_kernel_read(struct tb_kernel_counters *out);

/* The value of `name` in a text of /proc/net/netstat's form: a line "Section: name name …", then a
 * line "Section: value value …". 0 when it is not there. */
uint64_t tb_kernel_pair(const char *text, const char *section, const char *name);
/* The sum of column `name` of a table of hexadecimal numbers below one line of names, the form of
 * /proc/net/stat/nf_conntrack. */
uint64_t tb_kernel_column(const char *text, const char *name);

#endif
