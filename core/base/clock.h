/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only place that reads clocks. Everything else is given the time as an argument.
 */
#ifndef TB_BASE_CLOCK_H
#define TB_BASE_CLOCK_H

#include <stdint.h>

/* Microseconds of CLOCK_MONOTONIC: for deadlines and durations. */
uint64_t tb_clock_mono_us(void);
/* Microseconds since 1970 UTC: for ISNs, reports and logs. */
uint64_t tb_clock_real_us(void);
/* CPU time (user + system) of this process so far, microseconds. */
uint64_t tb_clock_cpu_us(void);
/* The same of the calling thread. */
uint64_t tb_clock_thread_cpu_us(void);

#endif
