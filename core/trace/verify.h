/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a captured segment as it was sent? Damage on the wire or in the file shows in the TCP
 * checksum, but many captures hold packets whose checksum the device was yet to fill in, or that
 * were edited afterwards. So a wrong checksum counts only where checksums are nearly always right.
 * Used by load.c.
 */
#ifndef TB_TRACE_VERIFY_H
#define TB_TRACE_VERIFY_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/view.h"

/* Zeroed at the beginning of a trace. */
struct tb_verify {
    uint64_t right, wrong;
};

/* `ip` is the whole packet that `seg` was parsed from. False: damaged, not to be used. */
bool tb_verify_segment(struct tb_verify *v, const struct tb_ip *ip, const struct tb_segment *seg);

#endif
