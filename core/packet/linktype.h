/* SPDX-License-Identifier: BSD-2-Clause */
/* From a captured frame to the IP packet in it, for every link type we load. */
#ifndef TB_PACKET_LINKTYPE_H
#define TB_PACKET_LINKTYPE_H

#include <stdbool.h>
#include <stdint.h>

enum { TB_LINKTYPE_ETHERNET = 1 };

/* Is this LINKTYPE_ number (as in the file, not the host's DLT_) one that we can strip? Ethernet,
 * Linux cooked v1 and v2, raw IP (101, 228, 229 and the historic 12, 14), NULL and LOOP. */
bool tb_linktype_known(uint32_t linktype);
/* Its name for messages ("Ethernet", "linktype 999"). */
const char *tb_linktype_name(uint32_t linktype, char buf[32]);

/* Offset of the IPv4 or IPv6 header in the frame, past any 802.1Q/802.1ad tags; -1 when the frame
 * carries something else or is too short. */
int tb_linktype_ip_offset(uint32_t linktype, const uint8_t *frame, uint32_t len);

#endif
