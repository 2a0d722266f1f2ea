/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The time that a message carries: found in its text, whatever the message is. Called for pushes,
 * to tell how long they were on their way.
 */
#ifndef TB_COMET_STAMP_H
#define TB_COMET_STAMP_H

#include <stddef.h>
#include <stdint.h>

/* The first time in the text that lies at most an hour before `now_us`, or a second behind it, as
 * microseconds since 1970; 0: there is none. Known are seconds with a fraction of at least three
 * digits, whole milliseconds, microseconds and nanoseconds since 1970, and ISO 8601 with a
 * fraction, in UTC ("2026-11-22T03:04:05.678Z"). */
uint64_t tb_stamp_find(const uint8_t *text, size_t len, uint64_t now_us);

#endif
