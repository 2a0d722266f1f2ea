/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071). Sums are kept unfolded, as 64-bit sums of 16-bit words in
 * memory order, and far below 2^64, so that partial sums of even-length pieces can be added. */
#ifndef TB_PACKET_CHECKSUM_H
#define TB_PACKET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include "packet/addr.h"

/* Sum of `len` bytes added to `sum`; only the last piece may have an odd length. */
uint64_t tb_checksum_add(uint64_t sum, const void *data, size_t len);
/* Folded to 16 bits, not complemented, in memory order (store it with memcpy). */
uint16_t tb_checksum_fold(uint64_t sum);
/* Pseudo-header of TCP (RFC 9293 §3.1) for either family. */
uint64_t tb_checksum_pseudo(const struct tb_addr *src, const struct tb_addr *dst, uint32_t tcp_len);

#endif
