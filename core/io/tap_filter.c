/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See tap_filter.h. The kernel's programs are compiled from a pcap expression that is written here,
 * so that our conditions and the user's become one; what expressions cannot say of packets that
 * begin with their IP header stands before it.
 */
#include "io/tap_filter.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cursor.h"
#include "packet/view.h"
#include "packet/vxlan.h"

enum {
    /* Instructions before the expression's: loopback, devices. */
    BEFORE_MAX = 7 + TB_TAP_DEVICES_MAX,
    SNAP_MAX = 1023 /* rings cut no less than that, or not at all: see tb_ring_filter() */
};

_Static_assert(TB_EXPRESSION_MAX + BEFORE_MAX <= TB_STEER_FILTER_MAX, "no room");

/* --- in words ----------------------------------------------------------------------------------
 */

static void write_end(FILE *out, bool any_addr, const struct tb_addr *addr, uint16_t port)
{
    char text[TB_ADDR_TEXT];

    if (any_addr)
        fprintf(out, "tcp port %u", port);
    else
        fprintf(out, "(tcp src port %u and src host %s) or (tcp dst port %u and dst host %s)", port,
                tb_addr_format(addr, text), port, text);
}

/* To and from the services, not the targets; whole packets, and first fragments of IPv4. */
static void write_ends(FILE *out, const struct tb_tap_setup *s)
{
    fputs("((", out);
    for (uint32_t i = 0; i < s->service_count; i++) {
        const struct tb_tap_service *v = &s->services[i];
        fputs(i ? " or " : "", out);
        write_end(out, v->any_addr, &v->addr, v->port);
    }
    fputs(")", out);
    for (uint32_t i = 0; i < s->target_count; i++) {
        fputs(" and not (", out);
        write_end(out, false, &s->targets[i].addr, s->targets[i].port);
        fputs(")", out);
    }
    fputs(")", out);
}

/* Later fragments have no ports; and pcap expressions do not look for them behind the extension
 * headers of IPv6 (hop-by-hop, routing, fragment, authentication, destination options). */
static void write_portless(FILE *out, const struct tb_tap_setup *s)
{
    bool any = false;
    char text[TB_ADDR_TEXT];

    fputs("((ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60) or "
          "(ip proto 6 and ip[6:2] & 0x1fff != 0",
          out);
    for (uint32_t i = 0; i < s->service_count; i++)
        any |= s->services[i].any_addr;
    for (uint32_t i = 0; i < s->service_count && !any; i++)
        fprintf(out, "%shost %s", i ? " or " : " and (",
                tb_addr_format(&s->services[i].addr, text));
    fputs(any || !s->service_count ? "))" : ")))", out);
}

/* The whole expression of a part, to be freed; NULL: out of memory. */
static char *write_part(const struct tb_tap_setup *s, enum tb_tap_part part)
{
    char *text = NULL;
    size_t len;
    bool all = s->workers == 1;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    if (s->vxlan_port && (all || part == TB_TAP_EVERYBODY))
        fprintf(out, "(udp dst port %u) or ", s->vxlan_port);
    fputs("((", out); /* "and" binds no stronger than "or" there */
    if (all || part == TB_TAP_SHARED)
        write_ends(out, s);
    if (all)
        fputs(" or ", out);
    if (all || part == TB_TAP_EVERYBODY)
        write_portless(out, s);
    fputs(")", out);
    if (s->filter)
        fprintf(out, " and (%s)", s->filter);
    fputs(")", out);
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

static int compile_part(struct tb_tap_filter *f, enum tb_tap_part part, struct tb_err *err)
{
    char *text = write_part(f->setup, part);

    if (!text)
        return tb_err_set(err, -ENOMEM, "out of memory");
    int rc = tb_expression_compile(text, &f->part[part], err);
    free(text);
    if (rc == -EINVAL) /* not the user's words, which were compiled before: it is too long */
        rc =
            tb_err_set(err, -E2BIG, "%u services and %u targets are too many for a kernel filter%s",
                       f->setup->service_count, f->setup->target_count,
                       f->setup->filter ? ", together with the one given" : "");
    return rc;
}

int tb_tap_filter_init(struct tb_tap_filter *f, const struct tb_tap_setup *s, struct tb_err *err)
{
    *f = (struct tb_tap_filter){.setup = s};
    int rc = s->filter ? tb_expression_compile(s->filter, &f->given, err) : 0;

    for (int part = 0; part < TB_TAP_PARTS && rc == 0; part++)
        rc = compile_part(f, (enum tb_tap_part) part, err);
    return rc;
}

void tb_tap_filter_fini(struct tb_tap_filter *f)
{
    tb_expression_free(f->given);
    for (int part = 0; part < TB_TAP_PARTS; part++)
        tb_expression_free(f->part[part]);
    *f = (struct tb_tap_filter){0};
}

/* --- for the kernel ----------------------------------------------------------------------------
 */

/* What is sent to this host itself passes loopback twice: once is enough. */
static uint32_t put_loopback(struct sock_filter *out)
{
    const struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_AD_OFF + SKF_AD_HATYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_LOOPBACK, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) (SKF_AD_OFF + SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    memcpy(out, program, sizeof program);
    return sizeof program / sizeof *program;
}

static uint32_t put_devices(const uint32_t *ifindex, uint32_t count, struct sock_filter *out)
{
    uint32_t n = 0;

    out[n++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                             (uint32_t) (SKF_AD_OFF + SKF_AD_IFINDEX));
    for (uint32_t i = 0; i < count; i++)
        out[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ifindex[i],
                                                 (uint8_t) (count - i), 0);
    out[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, 0);
    return n;
}

/* Where the program would accept, it goes on with what is put behind it. When that has no room all
 * clients are accepted: they are a hint. */
static uint32_t put_groups(const struct tb_tap_setup *s, uint32_t groups, uint32_t snap,
                           struct sock_filter *out, uint32_t begin, uint32_t n)
{
    int more = tb_steer_groups(s->services, s->service_count, groups, snap, out + n,
                               TB_STEER_FILTER_MAX - n);

    if (more < 0)
        return n;
    for (uint32_t i = begin; i < n; i++)
        if (out[i].code == (BPF_RET | BPF_K) && out[i].k)
            out[i] = (struct sock_filter) BPF_STMT(BPF_JMP | BPF_JA, n - i - 1);
    return n + (uint32_t) more;
}

uint32_t tb_tap_filter_program(const struct tb_tap_filter *f, enum tb_tap_part part,
                               const uint32_t *ifindex, uint32_t count, uint32_t groups,
                               struct sock_filter *out)
{
    const struct tb_tap_setup *s = f->setup;
    uint32_t snap = s->snaplen + (s->vxlan_port ? TB_VXLAN_OVERHEAD : 0);
    uint32_t n = put_loopback(out);

    if (!s->snaplen || snap > SNAP_MAX)
        snap = TB_STEER_WHOLE;
    if (count)
        n += put_devices(ifindex, count, out + n);
    uint32_t begin = n;
    n += tb_expression_program(f->part[part], out + n);
    for (uint32_t i = begin; i < n; i++)
        if (out[i].code == (BPF_RET | BPF_K) && out[i].k)
            out[i].k = snap;
    if (groups != UINT32_MAX && part == TB_TAP_SHARED)
        n = put_groups(s, groups, snap, out, begin, n);
    return n;
}

/* --- in our own hands --------------------------------------------------------------------------
 */

static bool is_service(const struct tb_tap_setup *s, const struct tb_addr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < s->service_count; i++)
        if (port == s->services[i].port &&
            (s->services[i].any_addr || tb_addr_eq(addr, &s->services[i].addr)))
            return true;
    return false;
}

static bool is_target(const struct tb_tap_setup *s, const struct tb_addr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < s->target_count; i++)
        if (port == s->targets[i].port && tb_addr_eq(addr, &s->targets[i].addr))
            return true;
    return false;
}

/* What has no ports to look at may be anybody's, and be wanted. */
static bool is_wanted(const struct tb_tap_setup *s, uint32_t worker, const struct tb_ip *ip)
{
    bool fragment = ip->more_fragments || ip->fragment_offset;
    struct tb_cursor c = tb_cursor_init(ip->payload, ip->payload_len);

    if (ip->fragment_offset || ip->proto != TB_PROTO_TCP)
        return fragment;
    uint16_t sport = tb_cursor_be16(&c), dport = tb_cursor_be16(&c);
    if (c.failed || is_target(s, &ip->src, sport) || is_target(s, &ip->dst, dport))
        return false;
    bool to_service = is_service(s, &ip->dst, dport);
    if (!to_service && !is_service(s, &ip->src, sport))
        return false;
    const struct tb_addr *client = to_service ? &ip->src : &ip->dst;
    return fragment || s->workers == 1 ||
           tb_steer_worker(tb_addr_low32(client), to_service ? sport : dport, s->workers) == worker;
}

bool tb_tap_filter_take(const struct tb_tap_filter *f, uint32_t worker, struct tb_tapped *p)
{
    const struct tb_tap_setup *s = f->setup;
    struct tb_ip ip;
    int at = s->vxlan_port ? tb_vxlan_ip_offset(p->data, p->len, s->vxlan_port) : -1;

    if (at >= 0) {
        p->data += at;
        p->len -= (uint32_t) at;
        p->wire_len -= (uint32_t) at;
        if (f->given && !tb_expression_matches(f->given, p->data, p->len, p->wire_len))
            return false;
    }
    if (tb_ip_parse(p->data, p->len, &ip) < 0 || !is_wanted(s, worker, &ip))
        return false;
    if (s->snaplen && p->len > s->snaplen)
        p->len = s->snaplen;
    return true;
}
