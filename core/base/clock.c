/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clocks (base/clock.h). clock_gettime() cannot fail for these clocks on Linux and needs no system
 * call for the first two.
 */
#include "base/clock.h"
#include <time.h>

static uint64_t read_us(clockid_t clock)
{
    struct timespec ts;
    (void) clock_gettime(clock, &ts);
    return (uint64_t) ts.tv_sec * 1000000u + (uint64_t) ts.tv_nsec / 1000u;
}

uint64_t tb_clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t tb_clock_real_us(void)
{
    return read_us(CLOCK_REALTIME);
}

uint64_t tb_clock_cpu_us(void)
{
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t tb_clock_thread_cpu_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}
