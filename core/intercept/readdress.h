/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * -D: a target in a container is captured under its inner address, while the clients know it under
 * another one. Rewrites the source address of captured packets, with the checksums that cover it.
 * Called per packet, but only with -D.
 */
#ifndef TB_INTERCEPT_READDRESS_H
#define TB_INTERCEPT_READDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include "config/intercept.h"

/* Rewrite the packet (from its IP header on, possibly cut) in place when its source is one of the
 * list. `unsummed`: its TCP checksum covers the pseudo-header only, as of a packet that never left
 * the machine; it is kept so. Leaves alone what is no IP packet. True: it was rewritten. */
bool tb_readdress_packet(const struct tb_readdress *list, uint32_t count, uint8_t *packet,
                         uint32_t len, bool unsummed);

#endif
