/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 (Aumasson & Bernstein 2012): the keyed hash behind ISNs and timestamp offsets. */
#ifndef TB_BASE_SIPHASH_H
#define TB_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t tb_siphash(const uint8_t key[16], const void *data, size_t len);

#endif
