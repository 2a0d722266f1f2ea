/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets that this machine's kernel threw away between its devices and everything else, because
 * the queue of a processor was full (net.core.netdev_max_backlog). Packets between namespaces
 * (veth) go that way, and those that RPS hands to another processor. Nobody tells who lost them; to
 * a session it is loss as any other. Used by replay.c for the report.
 */
#ifndef TB_IO_SOFTNET_H
#define TB_IO_SOFTNET_H

#include <stdint.h>
#include <stdio.h>

/* All of them since the machine's start, of all namespaces; 0 when that is not to be known. */
uint64_t tb_softnet_drops(void);

/* The same of a file with the text of /proc/net/softnet_stat. */
uint64_t tb_softnet_sum(FILE *f);

#endif
