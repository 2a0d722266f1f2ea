/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Link-layer headers (packet/linktype.h): see the LINKTYPE_ pages of tcpdump.org for the formats.
 */
#include "packet/linktype.h"
#include <stddef.h>
#include <stdio.h>
#include "base/cursor.h"

enum {
    LINKTYPE_NULL = 0,
    LINKTYPE_RAW_BSD = 12, /* DLT_RAW as some systems wrote it into files */
    LINKTYPE_RAW_OPENBSD = 14,
    LINKTYPE_RAW = 101,
    LINKTYPE_LOOP = 108,
    LINKTYPE_LINUX_SLL = 113,
    LINKTYPE_IPV4 = 228,
    LINKTYPE_IPV6 = 229,
    LINKTYPE_LINUX_SLL2 = 276
};

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd, VLAN_TAGS_MAX = 4 };

static const struct {
    uint32_t linktype;
    const char *name;
} known[] = {
    {LINKTYPE_NULL, "BSD loopback"},
    {TB_LINKTYPE_ETHERNET, "Ethernet"},
    {LINKTYPE_RAW_BSD, "raw IP"},
    {LINKTYPE_RAW_OPENBSD, "raw IP"},
    {LINKTYPE_RAW, "raw IP"},
    {LINKTYPE_LOOP, "OpenBSD loopback"},
    {LINKTYPE_LINUX_SLL, "Linux cooked"},
    {LINKTYPE_IPV4, "raw IPv4"},
    {LINKTYPE_IPV6, "raw IPv6"},
    {LINKTYPE_LINUX_SLL2, "Linux cooked v2"},
};

static const char *name_of(uint32_t linktype)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].linktype == linktype)
            return known[i].name;
    return NULL;
}

bool tb_linktype_known(uint32_t linktype)
{
    return name_of(linktype) != NULL;
}

const char *tb_linktype_name(uint32_t linktype, char buf[32])
{
    const char *name = name_of(linktype);
    if (name)
        (void) snprintf(buf, 32, "%s", name);
    else
        (void) snprintf(buf, 32, "linktype %u", linktype);
    return buf;
}

/* IP version said by an EtherType, past VLAN tags (802.1Q, 802.1ad and its predecessors), which
 * the cursor is moved behind; 0 when it is something else. */
static unsigned version_of_ethertype(struct tb_cursor *c, uint16_t type)
{
    for (int tags = 0; type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x9200;
         tags++) {
        if (tags == VLAN_TAGS_MAX)
            return 0;
        tb_cursor_skip(c, 2);
        type = tb_cursor_be16(c);
    }
    return type == ETHERTYPE_IPV4 ? 4 : type == ETHERTYPE_IPV6 ? 6 : 0;
}

/* IP version said by the address family of a BSD loopback header, in the byte order of whichever
 * machine captured. AF_INET6 is 10 on Linux, 24, 28 or 30 on the BSDs and macOS. */
static unsigned version_of_family(struct tb_cursor *c)
{
    uint32_t family = tb_cursor_be32(c);
    if (family > 0xffff)
        family = __builtin_bswap32(family);
    if (family == 2)
        return 4;
    return family == 10 || family == 24 || family == 28 || family == 30 ? 6 : 0;
}

/* Move the cursor to the IP header; the version that the link layer announces, 0 for none. */
static unsigned skip_link_header(uint32_t linktype, struct tb_cursor *c)
{
    uint16_t type;
    switch (linktype) {
    case TB_LINKTYPE_ETHERNET:
        tb_cursor_skip(c, 12);
        return version_of_ethertype(c, tb_cursor_be16(c));
    case LINKTYPE_LINUX_SLL:
        tb_cursor_skip(c, 14);
        return version_of_ethertype(c, tb_cursor_be16(c));
    case LINKTYPE_LINUX_SLL2:
        type = tb_cursor_be16(c);
        tb_cursor_skip(c, 18);
        return version_of_ethertype(c, type);
    case LINKTYPE_NULL:
    case LINKTYPE_LOOP:
        return version_of_family(c);
    case LINKTYPE_RAW:
    case LINKTYPE_RAW_BSD:
    case LINKTYPE_RAW_OPENBSD:
        return tb_cursor_left(c) ? c->at[0] >> 4 : 0;
    case LINKTYPE_IPV4:
        return 4;
    case LINKTYPE_IPV6:
        return 6;
    default:
        return 0;
    }
}

int tb_linktype_ip_offset(uint32_t linktype, const uint8_t *frame, uint32_t len)
{
    struct tb_cursor c = tb_cursor_init(frame, len);
    unsigned version = skip_link_header(linktype, &c);
    if (c.failed || tb_cursor_left(&c) == 0 || (version != 4 && version != 6) ||
        c.at[0] >> 4 != version)
        return -1;
    return (int) (c.at - frame);
}
