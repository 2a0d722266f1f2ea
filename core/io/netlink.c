/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtnetlink; see netlink.h and rtnetlink(7). Numbers in these messages are in host byte order,
 * addresses in network byte order.
 */
#include "io/netlink.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/cursor.h"

enum { REPLY_ROOM = 64 * 1024 };

/* --- requests ------------------------------------------------------------------------------ */

struct request {
    union {
        struct nlmsghdr header;
        uint8_t bytes[512]; /* far more than any request here takes */
    } u;
    uint32_t len;
};

static void *put(struct request *r, const void *data, uint32_t len)
{
    uint8_t *at = r->u.bytes + r->len;
    memcpy(at, data, len);
    r->len += NLMSG_ALIGN(len);
    return at;
}

static struct request request(uint16_t type, uint16_t flags, const void *body, uint32_t len)
{
    struct request r = {.len = NLMSG_HDRLEN};
    r.u.header.nlmsg_type = type;
    r.u.header.nlmsg_flags = NLM_F_REQUEST | flags;
    put(&r, body, len);
    return r;
}

static void put_attribute(struct request *r, uint16_t type, const void *data, uint16_t len)
{
    struct rtattr a = {.rta_len = (uint16_t) RTA_LENGTH(len), .rta_type = type};
    put(r, &a, sizeof a);
    put(r, data, len);
}

static void put_u32(struct request *r, uint16_t type, uint32_t value)
{
    put_attribute(r, type, &value, sizeof value);
}

static uint8_t family_of(const struct tb_addr *a)
{
    return tb_addr_is_v4(a) ? AF_INET : AF_INET6;
}

static void put_addr(struct request *r, uint16_t type, const struct tb_addr *a)
{
    if (tb_addr_is_v4(a))
        put_attribute(r, type, a->b + 12, 4);
    else
        put_attribute(r, type, a->b, 16);
}

/* --- replies ------------------------------------------------------------------------------- */

/* Copy a fixed part; false when the message is shorter. */
static bool take(struct tb_cursor *c, void *out, size_t len)
{
    const uint8_t *p = tb_cursor_bytes(c, len);
    if (p)
        memcpy(out, p, len);
    return p != NULL;
}

/* The next attribute of a message; false at its end. */
static bool take_attribute(struct tb_cursor *c, uint16_t *type, struct tb_cursor *value)
{
    struct rtattr a;
    if (!take(c, &a, sizeof a) || a.rta_len < sizeof a)
        return false;
    uint32_t len = a.rta_len - (uint32_t) sizeof a;
    const uint8_t *p = tb_cursor_bytes(c, len);
    if (!p)
        return false;
    uint32_t padding = RTA_ALIGN(len) - len;
    tb_cursor_skip(c, padding < tb_cursor_left(c) ? padding : tb_cursor_left(c));
    *type = a.rta_type & NLA_TYPE_MASK;
    *value = tb_cursor_init(p, len);
    return true;
}

static bool value_addr(struct tb_cursor v, uint8_t family, struct tb_addr *out)
{
    const uint8_t *p = tb_cursor_bytes(&v, family == AF_INET ? 4 : 16);
    if (p)
        *out = family == AF_INET ? tb_addr_v4(p) : tb_addr_v6(p);
    return p != NULL;
}

static uint32_t value_u32(struct tb_cursor v)
{
    uint32_t n = 0;
    take(&v, &n, sizeof n);
    return n;
}

/* Told each message of a reply; non-zero ends the reading. */
typedef int (*reply_fn)(void *ctx, uint16_t type, struct tb_cursor body);

/* One datagram of the reply to `seq`. 1: more to come; 0: done; or -errno. */
static int read_messages(struct tb_cursor c, uint32_t seq, reply_fn reply, void *ctx, int *result)
{
    struct nlmsghdr h;
    while (tb_cursor_left(&c) >= sizeof h) {
        take(&c, &h, sizeof h);
        uint32_t len = h.nlmsg_len - (uint32_t) sizeof h;
        const uint8_t *body = h.nlmsg_len < sizeof h ? NULL : tb_cursor_bytes(&c, len);
        if (!body)
            return -EBADMSG;
        uint32_t padding = NLMSG_ALIGN(len) - len;
        tb_cursor_skip(&c, padding < tb_cursor_left(&c) ? padding : tb_cursor_left(&c));
        if (h.nlmsg_seq != seq)
            continue;
        struct tb_cursor b = tb_cursor_init(body, len);
        if (h.nlmsg_type == NLMSG_DONE)
            return 0;
        if (h.nlmsg_type == NLMSG_ERROR) {
            int32_t code;
            return take(&b, &code, sizeof code) ? code : -EBADMSG;
        }
        if (reply && *result == 0)
            *result = reply(ctx, h.nlmsg_type, b);
    }
    return 1;
}

/* Send a request and read until its end: the acknowledgement, or the end of a dump. */
static int talk(struct tb_nl *nl, struct request *r, reply_fn reply, void *ctx)
{
    r->u.header.nlmsg_len = r->len;
    r->u.header.nlmsg_seq = ++nl->seq;
    /* All bits of it: one of them means "exclusive" in other requests. */
    if ((r->u.header.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
        r->u.header.nlmsg_flags |= NLM_F_ACK;
    if (send(nl->fd, r->u.bytes, r->len, 0) < 0)
        return -errno;
    int result = 0, more = 1;
    while (more == 1) {
        ssize_t n = recv(nl->fd, nl->buf, REPLY_ROOM, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        more = read_messages(tb_cursor_init(nl->buf, (size_t) n), nl->seq, reply, ctx, &result);
    }
    return more ? more : result;
}

int tb_nl_open(struct tb_nl *nl, struct tb_err *err)
{
    *nl = (struct tb_nl){.fd = -1};
    nl->buf = malloc(REPLY_ROOM);
    if (!nl->buf)
        return tb_err_set(err, -ENOMEM, "out of memory");
    nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (nl->fd < 0) {
        int e = -errno;
        tb_nl_close(nl);
        return tb_err_set(err, e, "cannot open a netlink socket: %s", strerror(-e));
    }
    return 0;
}

void tb_nl_close(struct tb_nl *nl)
{
    if (nl->buf && nl->fd >= 0)
        close(nl->fd);
    free(nl->buf);
    *nl = (struct tb_nl){.fd = -1};
}

/* --- links --------------------------------------------------------------------------------- */

int tb_nl_link_up(struct tb_nl *nl, uint32_t ifindex, uint32_t mtu, uint32_t queue_len)
{
    struct ifinfomsg m = {.ifi_index = (int) ifindex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct request r = request(RTM_NEWLINK, 0, &m, sizeof m);
    put_u32(&r, IFLA_MTU, mtu);
    put_u32(&r, IFLA_TXQLEN, queue_len);
    return talk(nl, &r, NULL, NULL);
}

/* --- routes -------------------------------------------------------------------------------- */

static int route_change(struct tb_nl *nl, uint16_t type, uint16_t flags, const struct tb_route *t)
{
    struct rtmsg m = {
        .rtm_family = family_of(&t->dst.addr),
        .rtm_dst_len = tb_prefix_len(&t->dst),
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = TB_ROUTE_PROTOCOL,
        .rtm_scope = t->type == RTN_UNICAST ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
        .rtm_type = t->type,
    };
    struct request r = request(type, flags, &m, sizeof m);
    put_addr(&r, RTA_DST, &t->dst.addr);
    if (t->ifindex)
        put_u32(&r, RTA_OIF, t->ifindex);
    if (t->metric)
        put_u32(&r, RTA_PRIORITY, t->metric);
    return talk(nl, &r, NULL, NULL);
}

int tb_nl_route_add(struct tb_nl *nl, const struct tb_route *r)
{
    return route_change(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r);
}

int tb_nl_route_del(struct tb_nl *nl, const struct tb_route *r)
{
    return route_change(nl, RTM_DELROUTE, 0, r);
}

/* False: not an IP route. */
static bool parse_route(uint16_t type, struct tb_cursor body, struct tb_route *out)
{
    struct rtmsg m;
    if (type != RTM_NEWROUTE || !take(&body, &m, sizeof m))
        return false;
    bool v4 = m.rtm_family == AF_INET;
    if (!v4 && m.rtm_family != AF_INET6)
        return false;
    static const uint8_t zero[16];
    struct tb_route t = {
        .dst = {v4 ? tb_addr_v4(zero) : tb_addr_v6(zero),
                (uint8_t) (m.rtm_dst_len + (v4 ? 96 : 0))},
        .type = m.rtm_type,
        .protocol = m.rtm_protocol,
        .table = m.rtm_table,
    };
    uint16_t attribute;
    struct tb_cursor v;
    while (take_attribute(&body, &attribute, &v)) {
        if (attribute == RTA_DST && !value_addr(v, m.rtm_family, &t.dst.addr))
            return false;
        if (attribute == RTA_GATEWAY)
            t.has_gateway = value_addr(v, m.rtm_family, &t.gateway);
        if (attribute == RTA_VIA) { /* an IPv4 route through an IPv6 gateway */
            uint16_t family = 0;
            take(&v, &family, sizeof family);
            t.has_gateway = value_addr(v, (uint8_t) family, &t.gateway);
        }
        if (attribute == RTA_OIF)
            t.ifindex = value_u32(v);
        if (attribute == RTA_PRIORITY)
            t.metric = value_u32(v);
        if (attribute == RTA_TABLE)
            t.table = value_u32(v);
    }
    /* Mapped addresses stand for IPv4 here; an IPv6 route for them is never used. */
    if (t.dst.bits > 128 || v4 != tb_addr_is_v4(&t.dst.addr))
        return false;
    *out = t;
    return true;
}

struct routes_visit {
    int (*visit)(void *ctx, const struct tb_route *route);
    void *ctx;
};

static int visit_route(void *ctx, uint16_t type, struct tb_cursor body)
{
    struct routes_visit *v = ctx;
    struct tb_route t;
    struct rtmsg m;
    struct tb_cursor head = body;
    if (!take(&head, &m, sizeof m) || (m.rtm_flags & RTM_F_CLONED) || !parse_route(type, body, &t))
        return 0; /* cloned: a cache entry, no route */
    if (t.table != RT_TABLE_MAIN && t.table != RT_TABLE_LOCAL && t.table != RT_TABLE_DEFAULT)
        return 0;
    return v->visit(v->ctx, &t);
}

int tb_nl_routes(struct tb_nl *nl, int (*visit)(void *ctx, const struct tb_route *route), void *ctx)
{
    struct routes_visit v = {visit, ctx};
    static const uint8_t families[] = {AF_INET, AF_INET6};
    int result = 0;
    for (int i = 0; i < 2 && result == 0; i++) {
        struct rtmsg m = {.rtm_family = families[i]};
        struct request r = request(RTM_GETROUTE, NLM_F_DUMP, &m, sizeof m);
        result = talk(nl, &r, visit_route, &v);
        if (result == -EOPNOTSUPP) /* a kernel without IPv6 */
            result = 0;
    }
    return result;
}

static int keep_route(void *ctx, uint16_t type, struct tb_cursor body)
{
    return parse_route(type, body, ctx) ? 0 : -EBADMSG;
}

int tb_nl_route_to(struct tb_nl *nl, const struct tb_addr *dst, uint32_t ifindex,
                   struct tb_route *out)
{
    struct rtmsg m = {.rtm_family = family_of(dst), .rtm_dst_len = tb_addr_is_v4(dst) ? 32 : 128};
    struct request r = request(RTM_GETROUTE, 0, &m, sizeof m);
    put_addr(&r, RTA_DST, dst);
    if (ifindex)
        put_u32(&r, RTA_OIF, ifindex);
    return talk(nl, &r, keep_route, out);
}

/* --- addresses ----------------------------------------------------------------------------- */

struct addresses_visit {
    int (*visit)(void *ctx, const struct tb_addr *addr);
    void *ctx;
};

static int visit_address(void *ctx, uint16_t type, struct tb_cursor body)
{
    struct addresses_visit *v = ctx;
    struct ifaddrmsg m;
    if (type != RTM_NEWADDR || !take(&body, &m, sizeof m))
        return 0;
    /* With IPv4 IFA_LOCAL is ours, and IFA_ADDRESS may be the peer's. */
    bool v4 = m.ifa_family == AF_INET;
    uint16_t attribute;
    struct tb_cursor value;
    struct tb_addr addr;
    while (take_attribute(&body, &attribute, &value)) {
        if (attribute == (v4 ? IFA_LOCAL : IFA_ADDRESS) && value_addr(value, m.ifa_family, &addr))
            return v->visit(v->ctx, &addr);
    }
    return 0;
}

int tb_nl_addresses(struct tb_nl *nl, int (*visit)(void *ctx, const struct tb_addr *addr),
                    void *ctx)
{
    struct addresses_visit v = {visit, ctx};
    struct ifaddrmsg m = {.ifa_family = AF_UNSPEC};
    struct request r = request(RTM_GETADDR, NLM_F_DUMP, &m, sizeof m);
    return talk(nl, &r, visit_address, &v);
}

/* --- neighbours ---------------------------------------------------------------------------- */

struct neighbour {
    uint16_t state; /* NUD_* */
    uint8_t mac[6];
};

static int keep_neighbour(void *ctx, uint16_t type, struct tb_cursor body)
{
    struct neighbour *n = ctx;
    struct ndmsg m;
    if (type != RTM_NEWNEIGH || !take(&body, &m, sizeof m))
        return 0;
    uint16_t attribute;
    struct tb_cursor v;
    n->state = m.ndm_state;
    while (take_attribute(&body, &attribute, &v)) {
        if (attribute == NDA_LLADDR && tb_cursor_left(&v) == sizeof n->mac)
            take(&v, n->mac, sizeof n->mac);
    }
    return 0;
}

static struct request neighbour_request(uint16_t type, uint32_t ifindex, const struct tb_addr *addr,
                                        uint8_t flags)
{
    struct ndmsg m = {
        .ndm_family = family_of(addr), .ndm_ifindex = (int) ifindex, .ndm_flags = flags};
    struct request r = request(type, type == RTM_NEWNEIGH ? NLM_F_CREATE : 0, &m, sizeof m);
    put_addr(&r, NDA_DST, addr);
    return r;
}

enum tb_neighbour_state tb_nl_neighbour(struct tb_nl *nl, uint32_t ifindex,
                                        const struct tb_addr *addr, uint8_t mac[6])
{
    struct neighbour n = {0};
    struct request r = neighbour_request(RTM_GETNEIGH, ifindex, addr, 0);
    if (talk(nl, &r, keep_neighbour, &n) < 0)
        return TB_NEIGHBOUR_UNKNOWN;
    if (n.state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)) {
        memcpy(mac, n.mac, sizeof n.mac);
        return TB_NEIGHBOUR_KNOWN;
    }
    if (n.state & NUD_FAILED)
        return TB_NEIGHBOUR_FAILED;
    return n.state & NUD_INCOMPLETE ? TB_NEIGHBOUR_RESOLVING : TB_NEIGHBOUR_UNKNOWN;
}

int tb_nl_neighbour_resolve(struct tb_nl *nl, uint32_t ifindex, const struct tb_addr *addr)
{
    struct request r = neighbour_request(RTM_NEWNEIGH, ifindex, addr, NTF_USE);
    return talk(nl, &r, NULL, NULL);
}
