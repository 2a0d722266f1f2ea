/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mirrored traffic in VXLAN (RFC 7348), as clouds and switches send it: IP, UDP, VXLAN header, the
 * Ethernet frame that was mirrored. Used by the taps.
 */
#ifndef TB_PACKET_VXLAN_H
#define TB_PACKET_VXLAN_H

#include <stdint.h>

enum {
    TB_VXLAN_PORT = 4789, /* UDP */
    /* Most bytes before the inner IP header: IPv6, UDP, VXLAN, Ethernet, two VLAN tags. */
    TB_VXLAN_OVERHEAD = 40 + 8 + 8 + 14 + 8
};

/* Where in a packet, that begins with its IP header, the inner IP header is: past VLAN tags; or -1
 * when the packet is no whole VXLAN packet to UDP port `port`, or carries something else. */
int tb_vxlan_ip_offset(const uint8_t *data, uint32_t len, uint16_t port);

#endif
