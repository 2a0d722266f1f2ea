/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --check from the test host: what this host says of the way to the target and back, then a real
 * handshake from a client address. Called by the programs instead of a run. Finds everything it can
 * before it gives up, so that one look mends all.
 */
#include "check/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "check/findings.h"
#include "check/host.h"
#include "check/probe.h"
#include "io/backends.h"
#include "io/netlink.h"
#include "io/overlap.h"

/* All in all well under five seconds: 1 s for connecting, 0.3 + 0.6 + 1.2 s for the handshake. */
enum { TARGETS_MAX = 64, CONNECT_US = 1000000, TRIES = 3, FIRST_WAIT_US = 300000 };
enum { EXIT_ENVIRONMENT = 3, PORT_FIRST = 20000, PORT_COUNT = 40000 };

/* One target address and port; several transfers may share it. */
struct target {
    struct tb_endpoint at;
    char text[TB_ENDPOINT_TEXT];
    uint32_t transfer;
    struct tb_route route;
    bool routed, local;
    bool dead; /* an ordinary connection fails already */
};

struct check {
    const struct tb_options *o;
    enum tb_mode mode;
    struct tb_findings list;
    struct tb_nl nl;
    struct target targets[TARGETS_MAX];
    uint32_t count;
    /* what the back-ends are given */
    struct tb_io_setup setup;
    struct tb_io_range *ranges;
    struct tb_endpoint *endpoints;
    uint8_t (*src_macs)[6], (*dst_macs)[6];
};

/* --- what is to be checked -------------------------------------------------------------------- */

static void collect_targets(struct check *c)
{
    for (uint32_t i = 0; i < c->o->transfer_count; i++) {
        const struct tb_endpoint *at = &c->o->transfers[i].target;
        bool known = false;
        for (uint32_t k = 0; k < c->count && !known; k++)
            known =
                tb_addr_eq(&c->targets[k].at.addr, &at->addr) && c->targets[k].at.port == at->port;
        if (known)
            continue;
        if (c->count == TARGETS_MAX) {
            tb_findings_add(&c->list, TB_FINDING_NOTE, "only the first %d targets are examined",
                            (int) TARGETS_MAX);
            return;
        }
        struct target *t = &c->targets[c->count++];
        t->at = *at;
        t->transfer = i;
        tb_endpoint_format(at, t->text);
    }
}

static int prepare_setup(struct check *c, struct tb_err *err)
{
    const struct tb_options *o = c->o;

    c->ranges = calloc(o->client_count, sizeof *c->ranges);
    c->endpoints = calloc(o->transfer_count, sizeof *c->endpoints);
    c->src_macs = calloc(o->transfer_count, sizeof *c->src_macs);
    c->dst_macs = calloc(o->transfer_count, sizeof *c->dst_macs);
    if (!c->ranges || !c->endpoints || !c->src_macs || !c->dst_macs)
        return tb_err_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->client_count; i++)
        c->ranges[i] = (struct tb_io_range){o->clients[i].first, o->clients[i].count};
    for (uint32_t i = 0; i < o->transfer_count; i++) {
        const struct tb_transfer *t = &o->transfers[i];
        c->endpoints[i] = t->target;
        memcpy(c->src_macs[i], t->src_mac, 6);
        memcpy(c->dst_macs[i], t->dst_mac, 6);
    }
    c->setup = (struct tb_io_setup){.clients = c->ranges,
                                    .client_count = o->client_count,
                                    .targets = c->endpoints,
                                    .target_count = o->transfer_count,
                                    .workers = 1,
                                    .mtu = o->mtu,
                                    .src_macs = c->src_macs,
                                    .dst_macs = c->dst_macs,
                                    .output_devices = (const char *const *) o->outputs.item,
                                    .output_device_count = o->outputs.count};
    return 0;
}

/* --- routes and addresses --------------------------------------------------------------------- */

static void look_up_routes(struct check *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct target *t = &c->targets[i];
        char text[TB_ADDR_TEXT];
        int rc = tb_nl_route_to(&c->nl, &t->at.addr, 0, &t->route);
        bool unicast = rc == 0 && t->route.type == RTN_UNICAST;
        t->local = rc == 0 && t->route.type == RTN_LOCAL;
        t->routed = t->local || unicast;
        if (t->routed)
            continue;
        struct tb_finding *f = tb_findings_add(
            &c->list, TB_FINDING_WRONG, "this host has no route to the target %s%s%s",
            tb_addr_format(&t->at.addr, text), rc ? ": " : "", rc ? strerror(-rc) : "");
        tb_finding_command(f, "sudo ip route add %s via GATEWAY", text);
    }
}

static bool all_local(const struct check *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (!c->targets[i].local)
            return false;
    return true;
}

/* Which way responses come when the command line does not say (FEATURES). */
static void choose_mode(struct check *c)
{
    c->mode = c->o->mode;
    if (c->mode != TB_MODE_DEFAULT)
        return;
    if (all_local(c))
        c->mode = TB_MODE_TUN;
    else
        tb_findings_add(&c->list, TB_FINDING_WRONG,
                        "a target is not on this host, so say how its responses come back: "
                        "-s local:IFACE (it routes the client addresses here), -s ADDR (an "
                        "intercept server), or --tun (it is behind this host)");
}

static void check_tun_target(struct check *c, const struct target *t)
{
    bool v4 = tb_addr_is_v4(&t->at.addr);
    static const struct tb_addr loopback6 = {.b = {[15] = 1}};
    struct tb_finding *f;

    if (tb_addr_eq(&t->at.addr, &loopback6)) {
        tb_findings_add(&c->list, TB_FINDING_WRONG,
                        "%s: the kernel drops packets from outside to ::1; use another address of "
                        "this host, or 127.0.0.1",
                        t->text);
    } else if (t->local) {
        tb_findings_add(&c->list, TB_FINDING_OK, "the target %s is on this host", t->text);
    } else if (tb_host_sysctl(v4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding") == 0) {
        f = tb_findings_add(&c->list, TB_FINDING_WRONG,
                            "the target %s is behind this host, which does not forward IPv%d",
                            t->text, v4 ? 4 : 6);
        tb_finding_command(f, "sudo sysctl -w %s=1",
                           v4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding");
    }
}

static void check_local_target(struct check *c, const struct target *t)
{
    char device[IF_NAMESIZE] = "";

    if (t->local) {
        tb_findings_add(&c->list, TB_FINDING_WRONG,
                        "the target %s is on this host: use --tun instead of -s local:%s", t->text,
                        c->o->local_device);
        return;
    }
    if_indextoname(t->route.ifindex, device);
    if (strcmp(device, c->o->local_device))
        tb_findings_add(&c->list, TB_FINDING_NOTE,
                        "the target %s is reached through %s, its responses are awaited on %s",
                        t->text, device, c->o->local_device);
    else
        tb_findings_add(&c->list, TB_FINDING_OK, "the target %s is reached through %s", t->text,
                        device);
}

/* Client addresses that this host uses itself, or sends elsewhere. */
static void check_ranges(struct check *c)
{
    struct tb_err why = {""};
    int rc = tb_overlap_check(&c->nl, &c->setup, c->mode == TB_MODE_TUN, &why);

    if (rc)
        tb_findings_add(&c->list, TB_FINDING_WRONG, "%s", why.text);
    else
        tb_findings_add(&c->list, TB_FINDING_OK, "the client addresses are free");
}

static void check_host(struct check *c)
{
    tb_host_check_capabilities(&c->list);
    if (c->mode == TB_MODE_TUN)
        tb_host_check_tun(&c->list);
    else
        tb_host_check_device(&c->list, c->o->local_device);
    for (uint32_t i = 0; i < c->count; i++) {
        if (!c->targets[i].routed)
            continue;
        if (c->mode == TB_MODE_TUN)
            check_tun_target(c, &c->targets[i]);
        else
            check_local_target(c, &c->targets[i]);
    }
    check_ranges(c);
}

/* --- is there a server? ----------------------------------------------------------------------- */

static void explain_connect(struct check *c, struct target *t, int error)
{
    struct tb_finding *f;

    t->dead = error != 0;
    switch (error) {
    case 0:
        tb_findings_add(&c->list, TB_FINDING_OK, "%s accepts ordinary connections", t->text);
        break;
    case ECONNREFUSED:
        f = tb_findings_add(&c->list, TB_FINDING_WRONG,
                            "%s refuses connections: start the server, or correct the port",
                            t->text);
        tb_finding_command(f, "ss -ltn 'sport = :%u'%s", t->at.port,
                           t->local ? "" : "   (on the target)");
        break;
    case ETIMEDOUT:
        f = tb_findings_add(&c->list, TB_FINDING_WRONG,
                            "%s does not answer an ordinary connection from this host: it is down, "
                            "or a firewall drops packets",
                            t->text);
        tb_finding_command(f, "sudo nft list ruleset   (on the target)");
        break;
    default:
        tb_findings_add(&c->list, TB_FINDING_WRONG, "no connection to %s: %s", t->text,
                        strerror(error));
    }
}

static void check_servers(struct check *c)
{
    struct tb_endpoint at[TARGETS_MAX];
    int results[TARGETS_MAX];

    for (uint32_t i = 0; i < c->count; i++)
        at[i] = c->targets[i].at;
    tb_host_connect(at, c->count, CONNECT_US, results);
    for (uint32_t i = 0; i < c->count; i++)
        if (c->targets[i].routed)
            explain_connect(c, &c->targets[i], results[i]);
}

/* --- the handshake ---------------------------------------------------------------------------- */

/* The smallest network that holds the range, for a route. */
static const char *network_of(const struct tb_io_range *r, char buf[TB_PREFIX_TEXT])
{
    struct tb_addr last = tb_range_last(r);
    struct tb_prefix p = {.addr = r->first, .bits = 128};

    for (unsigned bit = 0; bit < 128; bit++) {
        uint8_t mask = (uint8_t) (0x80u >> bit % 8);
        if ((r->first.b[bit / 8] ^ last.b[bit / 8]) & mask) {
            p.bits = (uint8_t) bit;
            break;
        }
    }
    for (unsigned bit = p.bits; bit < 128; bit++)
        p.addr.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    return tb_prefix_format(&p, buf);
}

static const struct tb_io_range *range_for(const struct check *c, const struct target *t)
{
    bool v4 = tb_addr_is_v4(&t->at.addr);

    for (uint32_t i = 0; i < c->setup.client_count; i++)
        if (tb_addr_is_v4(&c->ranges[i].first) == v4)
            return &c->ranges[i];
    return NULL;
}

static void explain_silence(struct check *c, const struct target *t)
{
    const struct tb_io_range *range = range_for(c, t);
    bool v4 = tb_addr_is_v4(&t->at.addr);
    char network[TB_PREFIX_TEXT], here[TB_ADDR_TEXT] = "THIS-HOST";
    struct tb_addr address;
    struct tb_finding *f;

    network_of(range, network);
    f = tb_findings_add(
        &c->list, TB_FINDING_WRONG, "%s answers this host, but not the client addresses %s%s",
        t->text, network,
        c->mode == TB_MODE_LOCAL ? ": the target needs a route for them through this host" : "");
    if (c->mode == TB_MODE_LOCAL) {
        if (tb_host_address_of(c->o->local_device, v4, &address))
            tb_addr_format(&address, here);
        tb_finding_command(f, "sudo ip%s route add %s via %s   (on the target)", v4 ? "" : " -6",
                           network, here);
        if (v4) {
            f = tb_findings_add(&c->list, TB_FINDING_NOTE,
                                "with that route in place already: the target may drop packets by "
                                "reverse-path filtering, or a firewall may");
            tb_finding_command(f, "sudo sysctl -w net.ipv4.conf.all.rp_filter=0 "
                                  "net.ipv4.conf.DEVICE.rp_filter=0   (on the target)");
        }
        return;
    }
    int all = tb_host_sysctl("net/ipv4/conf/all/rp_filter");
    int preset = tb_host_sysctl("net/ipv4/conf/default/rp_filter");
    if (v4 && (all == 1 || preset == 1)) {
        f = tb_findings_add(&c->list, TB_FINDING_NOTE,
                            "reverse-path filtering is strict here (rp_filter: all %d, default %d) "
                            "and may drop packets from client addresses",
                            all, preset);
        tb_finding_command(f, "sudo sysctl -w net.ipv4.conf.all.rp_filter=0 "
                              "net.ipv4.conf.default.rp_filter=0");
    }
    f = tb_findings_add(&c->list, TB_FINDING_NOTE,
                        "a packet filter here may drop packets from client addresses: let them "
                        "pass");
    tb_finding_command(f, "sudo nft list ruleset; sudo iptables -S");
}

static void explain_probe(struct check *c, const struct target *t, const struct tb_probe *p)
{
    char client[TB_ADDR_TEXT];

    tb_addr_format(&p->client.addr, client);
    switch (p->answer) {
    case TB_PROBE_SYN_ACK:
        tb_findings_add(&c->list, TB_FINDING_OK, "handshake from %s to %s took %llu us", client,
                        t->text, (unsigned long long) p->took_us);
        break;
    case TB_PROBE_RST:
        tb_findings_add(&c->list, TB_FINDING_WRONG,
                        "%s answers this host, but resets connections from %s: a firewall or the "
                        "server's access list refuses the client addresses",
                        t->text, client);
        break;
    case TB_PROBE_SILENCE:
        explain_silence(c, t);
        break;
    }
}

static int open_io(struct check *c, struct tb_io **out, struct tb_err *err)
{
    struct tb_io *rx = NULL, *tx = NULL;
    int rc;

    if (c->mode == TB_MODE_TUN)
        return tb_tun_open(&c->setup, out, err);
    rc = tb_capture_open(&c->setup, c->o->local_device, &rx, err);
    if (!rc)
        rc = c->o->pcap_send ? tb_link_open(&c->setup, &tx, err) : tb_raw_open(&c->setup, &tx, err);
    if (!rc)
        rc = tb_io_join(tx, rx, out, err);
    if (rc) {
        tb_io_close(tx);
        tb_io_close(rx);
    }
    return rc;
}

static void check_handshakes(struct check *c)
{
    static const struct tb_probe_patience patience = {TRIES, FIRST_WAIT_US};
    struct tb_probe probes[TARGETS_MAX];
    const struct target *probed[TARGETS_MAX];
    struct tb_rng rng = {tb_clock_real_us()};
    struct tb_io *io = NULL;
    struct tb_err why = {""};
    uint32_t count = 0;

    for (uint32_t i = 0; i < c->count; i++) {
        const struct target *t = &c->targets[i];
        if (t->dead || !t->routed)
            continue;
        probed[count] = t;
        probes[count++] = (struct tb_probe){
            .client = {range_for(c, t)->first,
                       (uint16_t) (PORT_FIRST + tb_rng_below(&rng, PORT_COUNT))},
            .target = t->at,
            .transfer = t->transfer,
            .isn = (uint32_t) tb_rng_next(&rng),
        };
    }
    if (!count)
        return;
    if (open_io(c, &io, &why)) {
        tb_findings_add(&c->list, TB_FINDING_WRONG, "%s", why.text);
        return;
    }
    tb_probe_run(io, probes, count, &patience);
    tb_io_close(io);
    for (uint32_t i = 0; i < count; i++)
        explain_probe(c, probed[i], &probes[i]);
}

/* --- all of it -------------------------------------------------------------------------------- */

static int examine(struct check *c, struct tb_err *err)
{
    int rc = prepare_setup(c, err);

    if (!rc)
        rc = tb_nl_open(&c->nl, err);
    if (rc)
        return rc;
    collect_targets(c);
    look_up_routes(c);
    choose_mode(c);
    if (c->mode == TB_MODE_INTERCEPT)
        return tb_err_set(err, -ENOTSUP,
                          "--check knows --tun and -s local:IFACE; intercept servers come in a "
                          "later version");
    if (c->mode != TB_MODE_DEFAULT)
        check_host(c);
    /* Without privilege, or against what this host uses itself, a handshake tells nothing. */
    bool possible = !tb_findings_wrong(&c->list);
    check_servers(c);
    if (possible)
        check_handshakes(c);
    return 0;
}

static void conclude(const struct check *c, FILE *out)
{
    const struct tb_finding *last = &c->list.item[c->list.count - 1];

    /* The handshakes come last: with nothing wrong, the last finding is one that worked. */
    if (tb_findings_wrong(&c->list))
        fputs("\nthe path is not free: mend what is marked WRONG, from the top\n", out);
    else
        fprintf(out, "\neverything looks right: %s\n", last->text);
}

int tb_check_run(const struct tb_options *o, FILE *out, struct tb_err *err)
{
    struct check *c = calloc(1, sizeof *c);
    const struct tb_finding *wrong;
    int rc;

    if (!c) {
        tb_err_set(err, -ENOMEM, "out of memory");
        return EXIT_ENVIRONMENT;
    }
    c->o = o;
    c->nl.fd = -1;
    rc = examine(c, err);
    tb_findings_print(&c->list, out);
    if (!rc)
        conclude(c, out);
    wrong = tb_findings_wrong(&c->list);
    if (!rc && wrong)
        rc = tb_err_set(err, -ENETUNREACH, "--check: %s", wrong->text);
    tb_nl_close(&c->nl);
    free(c->ranges);
    free(c->endpoints);
    free(c->src_macs);
    free(c->dst_macs);
    free(c);
    return rc ? EXIT_ENVIRONMENT : 0;
}
