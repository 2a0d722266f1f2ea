/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet socket on all devices; see sight.h and packet(7). Frames are cut to what is looked at.
 */
#include "check/sight.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "packet/view.h"

enum { SNAP = 256, QUEUE_BYTES = 16 << 20, MAC = 6, VLAN_TAG = 4 };
enum { ICMP_UNREACHABLE = 3, ICMP_REDIRECT = 5 }; /* RFC 792 */
enum { PROTO_ICMP = 1, PROTO_ICMP6 = 58 };
enum { ICMP6_UNREACHABLE = 1, ICMP6_REDIRECT = 137 }; /* RFC 4443, 4861 */
/* Of the codes of ICMP6_UNREACHABLE, those that end a connection: prohibited, no listener, failed
 * policy, reject route. "No route" does not, and is sent by hosts that do not forward, too. */
enum { ICMP6_FATAL_CODES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 };

int tb_sight_open(int *fd, struct tb_err *err)
{
    struct sock_filter cut[] = {BPF_STMT(BPF_RET | BPF_K, SNAP)};
    struct sock_fprog program = {sizeof cut / sizeof *cut, cut};
    int queue = QUEUE_BYTES;
    int s = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));

    if (s < 0)
        return tb_err_set(err, -errno,
                          "cannot look at this host's packets (%s): run as root, or with the "
                          "capability cap_net_raw",
                          strerror(errno));
    /* Without either it works as well, but may miss packets of a busy host. */
    setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof queue);
    *fd = s;
    return 0;
}

/* The packet an ICMP error is about: from its IP header on, cut short. */
static bool parse_inner(const uint8_t *data, uint32_t len, struct tb_sight *out)
{
    struct tb_cursor c = tb_cursor_init(data, len);
    uint8_t first = tb_cursor_u8(&c);
    bool v4 = first >> 4 == 4;

    tb_cursor_bytes(&c, v4 ? 11 : 7);
    tb_cursor_bytes(&c, v4 ? 4 : 16);
    const uint8_t *dst = tb_cursor_bytes(&c, v4 ? 4 : 16);
    if (!dst)
        return false;
    out->about = v4 ? tb_addr_v4(dst) : tb_addr_v6(dst);
    return true;
}

static bool parse_icmp(const struct tb_ip *ip, struct tb_sight *out)
{
    struct tb_cursor c = tb_cursor_init(ip->payload, ip->payload_len);
    uint8_t type = tb_cursor_u8(&c);
    bool v6 = ip->proto == PROTO_ICMP6;

    uint8_t code = tb_cursor_u8(&c);
    tb_cursor_bytes(&c, 2);
    const uint8_t *gateway = tb_cursor_bytes(&c, 4); /* of an IPv4 redirect */
    if (c.failed)
        return false;
    if (v6 && type == ICMP6_REDIRECT) {
        const uint8_t *instead = tb_cursor_bytes(&c, 16), *destination = tb_cursor_bytes(&c, 16);
        if (!destination)
            return false;
        out->kind = TB_SIGHT_REDIRECT;
        out->instead = tb_addr_v6(instead);
        out->about = tb_addr_v6(destination);
        return true;
    }
    out->instead = tb_addr_v4(gateway);
    if (type != (v6 ? ICMP6_UNREACHABLE : ICMP_UNREACHABLE) && (v6 || type != ICMP_REDIRECT))
        return false;
    if (v6 && !(code < 8 && ICMP6_FATAL_CODES >> code & 1))
        return false;
    out->kind = !v6 && type == ICMP_REDIRECT ? TB_SIGHT_REDIRECT : TB_SIGHT_UNREACHABLE;
    return parse_inner(ip->payload + 8, ip->payload_len - 8, out);
}

bool tb_sight_parse(const uint8_t *data, uint32_t len, struct tb_sight *out)
{
    struct tb_ip ip;
    struct tb_segment seg;

    if (tb_ip_parse(data, len, &ip) || ip.fragment_offset || ip.more_fragments)
        return false;
    out->src = ip.src;
    out->dst = ip.dst;
    if (ip.proto == PROTO_ICMP || ip.proto == PROTO_ICMP6)
        return parse_icmp(&ip, out);
    if (ip.proto != TB_PROTO_TCP || tb_tcp_parse(&ip, &seg))
        return false;
    out->kind = TB_SIGHT_TCP;
    out->sport = seg.sport;
    out->dport = seg.dport;
    out->window = seg.window;
    out->mss = seg.opt.mss;
    out->seq = seg.seq;
    out->ack = seg.ack;
    out->flags = seg.flags;
    return true;
}

/* Where IP begins in a frame; sets the addresses of an Ethernet header. Negative: not IP. */
static int strip_link(const uint8_t *frame, uint32_t len, uint16_t hatype, struct tb_sight *out)
{
    uint32_t at = ETH_HLEN;

    out->has_macs = hatype == ARPHRD_ETHER;
    if (hatype != ARPHRD_ETHER && hatype != ARPHRD_LOOPBACK)
        return 0; /* TUN and other devices without a link header */
    if (len < ETH_HLEN)
        return -1;
    memcpy(out->dst_mac, frame, MAC);
    memcpy(out->src_mac, frame + MAC, MAC);
    for (int tags = 0; tags < 2 && len >= at + VLAN_TAG; tags++) {
        uint16_t type = (uint16_t) (frame[at - 2] << 8 | frame[at - 1]);
        if (type != ETH_P_8021Q && type != ETH_P_8021AD)
            break;
        at += VLAN_TAG;
    }
    return (int) at;
}

bool tb_sight_next(int fd, struct tb_sight *out)
{
    uint8_t frame[SNAP];
    struct sockaddr_ll from;

    for (;;) {
        socklen_t from_len = sizeof from;
        ssize_t n = recvfrom(fd, frame, sizeof frame, 0, (struct sockaddr *) &from, &from_len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (from.sll_pkttype == PACKET_OTHERHOST)
            continue; /* a switch or a bridge passed it by */
        *out = (struct tb_sight){.outgoing = from.sll_pkttype == PACKET_OUTGOING,
                                 .ifindex = (uint32_t) from.sll_ifindex};
        int at = strip_link(frame, (uint32_t) n, from.sll_hatype, out);
        if (at >= 0 && at < n && tb_sight_parse(frame + at, (uint32_t) (n - at), out))
            return true;
    }
}
