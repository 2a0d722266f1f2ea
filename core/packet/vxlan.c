/* SPDX-License-Identifier: BSD-2-Clause */
/* VXLAN headers; see vxlan.h. */
#include "packet/vxlan.h"

#include "base/cursor.h"
#include "packet/linktype.h"
#include "packet/view.h"

enum { PROTO_UDP = 17, VNI_IS_VALID = 0x08 };

int tb_vxlan_ip_offset(const uint8_t *data, uint32_t len, uint16_t port)
{
    struct tb_ip ip;
    if (tb_ip_parse(data, len, &ip) < 0 || ip.proto != PROTO_UDP || ip.more_fragments ||
        ip.fragment_offset)
        return -1;
    struct tb_cursor c = tb_cursor_init(ip.payload, ip.payload_len);
    tb_cursor_skip(&c, 2); /* source port: a hash of the inner flow */
    uint16_t to = tb_cursor_be16(&c);
    tb_cursor_skip(&c, 4);
    uint8_t flags = tb_cursor_u8(&c);
    tb_cursor_skip(&c, 7); /* the network's number: all are of interest */
    if (c.failed || to != port || !(flags & VNI_IS_VALID))
        return -1;
    int at = tb_linktype_ip_offset(TB_LINKTYPE_ETHERNET, c.at, (uint32_t) tb_cursor_left(&c));
    return at < 0 ? -1 : (int) (c.at - data) + at;
}
