/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures as people read them. Each returns its text by value, so that several fit in one printf().
 * ASCII only: columns are counted in bytes.
 */
#ifndef TB_REPORT_UNITS_H
#define TB_REPORT_UNITS_H

#include <stdint.h>

struct tb_text {
    char s[40];
};

/* 1234567: "1,234,567". */
struct tb_text tb_text_count(uint64_t n);
/* 61234: "61.2 ms"; three digits and us, ms or s. */
struct tb_text tb_text_time(uint64_t us);
/* 12300000: "12.3 MB" (decimal). */
struct tb_text tb_text_bytes(double bytes);
/* A duration: "32.4 s", "2 min 05 s", "1 h 02 min". */
struct tb_text tb_text_duration(double seconds);
/* 12 of 24000: "0.05%"; "0%" of nothing. */
struct tb_text tb_text_percent(uint64_t part, uint64_t whole);
/* "1 session", "2 sessions"; `noun` takes an s. */
struct tb_text tb_text_number(uint64_t n, const char *noun);

#endif
