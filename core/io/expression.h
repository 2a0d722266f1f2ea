/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pcap filter expression, compiled for packets that begin with their IP header. Apart from the
 * other filters because libpcap's headers and the kernel's have a struct of the same name.
 */
#ifndef TB_IO_EXPRESSION_H
#define TB_IO_EXPRESSION_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct tb_expression; /* opaque */

/* Instructions; the rest is for what stands before them. */
enum { TB_EXPRESSION_MAX = BPF_MAXINSNS - 96 };

/* 0, or -EINVAL with libpcap's words and what else there may be to say. */
int tb_expression_compile(const char *text, struct tb_expression **out, struct tb_err *err);
/* NULL is fine. */
void tb_expression_free(struct tb_expression *e);

/* The instructions; their number, at most TB_EXPRESSION_MAX. */
uint32_t tb_expression_program(const struct tb_expression *e, struct sock_filter *out);

bool tb_expression_matches(const struct tb_expression *e, const uint8_t *packet, uint32_t len,
                           uint32_t wire_len);

#endif
