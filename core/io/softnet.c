/* SPDX-License-Identifier: BSD-2-Clause */
/* See softnet.h, and softnet_seq_show() of the kernel for the file's columns. */
#include "io/softnet.h"

uint64_t tb_softnet_sum(FILE *f)
{
    char line[512];
    uint64_t sum = 0;
    unsigned dropped;

    while (fgets(line, sizeof line, f)) /* of each processor: handled, dropped, … */
        if (sscanf(line, "%*x %x", &dropped) == 1)
            sum += dropped;
    return sum;
}

uint64_t tb_softnet_drops(void)
{
    FILE *f = fopen("/proc/net/softnet_stat", "re");

    if (!f)
        return 0;
    uint64_t sum = tb_softnet_sum(f);
    fclose(f);
    return sum;
}
