/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rewriting source addresses; see readdress.h. Checksums are updated, not computed anew (RFC 1624):
 * packets are cut behind their headers, and what was wrong before stays wrong.
 */
#include "intercept/readdress.h"

#include <string.h>
#include "packet/checksum.h"
#include "packet/view.h"

enum { V4_CHECKSUM = 10, V4_SOURCE = 12, V6_SOURCE = 8, TCP_CHECKSUM = 16 };

/* Both checksums hold the addresses as they lie in the packet. */
struct change {
    const uint8_t *old, *new;
    uint32_t len;
};

/* `at`: a checksum that covers the change; complemented unless `plain`. */
static void update(uint8_t *at, const struct change *c, bool plain)
{
    uint16_t sum, before = tb_checksum_fold(tb_checksum_add(0, c->old, c->len));

    memcpy(&sum, at, sizeof sum);
    sum = plain ? sum : (uint16_t) ~sum;
    uint64_t total = tb_checksum_add((uint64_t) sum + (uint16_t) ~before, c->new, c->len);
    sum = tb_checksum_fold(total);
    sum = plain ? sum : (uint16_t) ~sum;
    memcpy(at, &sum, sizeof sum);
}

static void rewrite(uint8_t *packet, const struct tb_ip *ip, const struct tb_addr *meant,
                    bool unsummed)
{
    bool v4 = packet[0] >> 4 == 4; /* an IPv6 packet may have a mapped source */
    uint8_t *source = packet + (v4 ? V4_SOURCE : V6_SOURCE);
    uint32_t len = v4 ? 4 : 16;
    struct change c = {.old = ip->src.b + 16 - len, .new = meant->b + 16 - len, .len = len};

    memcpy(source, c.new, len);
    if (v4)
        update(packet + V4_CHECKSUM, &c, false);
    if (ip->proto == TB_PROTO_TCP && ip->fragment_offset == 0 &&
        ip->payload_len >= TCP_CHECKSUM + 2)
        update(packet + (ip->payload - packet) + TCP_CHECKSUM, &c, unsummed);
}

bool tb_readdress_packet(const struct tb_readdress *list, uint32_t count, uint8_t *packet,
                         uint32_t len, bool unsummed)
{
    struct tb_ip ip;

    if (tb_ip_parse(packet, len, &ip) < 0)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!tb_addr_eq(&list[i].seen, &ip.src))
            continue;
        rewrite(packet, &ip, &list[i].meant, unsummed);
        return true;
    }
    return false;
}
