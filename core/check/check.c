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
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "check/findings.h"
#include "check/host.h"
#include "check/path.h"
#include "check/probe.h"
#include "check/sight.h"
#include "check/words.h"
#include "io/backends.h"
#include "io/netlink.h"
#include "io/overlap.h"

/* All in all about five seconds at most: 1 s for connecting, 0.3 + 0.6 + 1.2 s for the handshake
 * and for what follows it. */
enum {
    TARGETS_MAX = 64,
    PROBES_MAX = TB_ASSISTANT_CLIENTS_MAX,
    RANGES_FEW = 8, /* so few that an intercept watches two addresses of each */
    CONNECT_US = 1000000,
    GREET_US = 1500000,             /* for an intercept to say WELCOME */
    MARK_US = 300000,               /* for a connection that only has to be seen */
    LINGER_US = 200000,             /* for sightings that are still on their way */
    LINGER_FORWARDING_US = 1000000, /* … where there may well be some */
    TRIES = 3,
    FIRST_WAIT_US = 300000
};
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
    bool live; /* the client addresses are those of live clients */
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
    /* the handshakes */
    struct tb_probe probes[PROBES_MAX];
    struct tb_path paths[PROBES_MAX];
    bool secondary[PROBES_MAX]; /* the last address of a range whose first is probed, too */
    uint32_t probe_count;
    struct tb_assistants assistants; /* -s ASSISTANT */
    int watch_fd;                    /* -1: none */
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
    if (c->live && c->mode != TB_MODE_INTERCEPT) {
        c->mode = TB_MODE_DEFAULT;
        tb_findings_add(&c->list, TB_FINDING_WRONG,
                        "live clients' own addresses must not be routed to this host: name an "
                        "intercept server (-s ADDR), or other client addresses (-c)");
    }
    if (c->live || c->mode != TB_MODE_DEFAULT)
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

static void check_remote_target(struct check *c, const struct target *t)
{
    char device[IF_NAMESIZE] = "";

    if (t->local) {
        tb_findings_add(&c->list, TB_FINDING_WRONG,
                        "the target %s is on this host: use --tun instead of -s", t->text);
        return;
    }
    if_indextoname(t->route.ifindex, device);
    if (c->mode == TB_MODE_LOCAL && strcmp(device, c->o->local_device))
        tb_findings_add(&c->list, TB_FINDING_NOTE,
                        "the target %s is reached through %s, its responses are awaited on %s",
                        t->text, device, c->o->local_device);
    else
        tb_findings_add(&c->list, TB_FINDING_OK, "the target %s is reached through %s", t->text,
                        device);
}

static void explain_examples(struct check *c)
{
    char text[TB_ADDR_TEXT];

    for (uint32_t i = 0; i < c->setup.client_count; i++)
        tb_findings_add(&c->list, TB_FINDING_NOTE,
                        "the address %s stands for the live clients': others may go other ways, "
                        "if the target has several routes",
                        tb_addr_format(&c->ranges[i].first, text));
}

/* Client addresses that this host uses itself, or sends elsewhere. */
static void check_ranges(struct check *c)
{
    struct tb_err why = {""};
    int rc = tb_overlap_check(&c->nl, &c->setup, c->mode == TB_MODE_TUN, &why);

    if (rc)
        tb_findings_add(&c->list, TB_FINDING_WRONG, "%s", why.text);
    else if (c->live)
        explain_examples(c);
    else
        tb_findings_add(&c->list, TB_FINDING_OK, "the client addresses are free");
}

static void check_host(struct check *c)
{
    tb_host_check_capabilities(&c->list);
    if (c->mode == TB_MODE_TUN)
        tb_host_check_tun(&c->list);
    else if (c->mode == TB_MODE_LOCAL)
        tb_host_check_device(&c->list, c->o->local_device);
    for (uint32_t i = 0; i < c->count; i++) {
        if (!c->targets[i].routed)
            continue;
        if (c->mode == TB_MODE_TUN)
            check_tun_target(c, &c->targets[i]);
        else
            check_remote_target(c, &c->targets[i]);
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
    tb_host_connect(at, c->count, CONNECT_US, 0, results);
    for (uint32_t i = 0; i < c->count; i++)
        if (c->targets[i].routed)
            explain_connect(c, &c->targets[i], results[i]);
}

/* --- the handshake ---------------------------------------------------------------------------- */

static void add_probe(struct check *c, const struct target *t, const struct tb_io_range *range,
                      struct tb_addr client, bool secondary, struct tb_rng *rng)
{
    if (c->probe_count == PROBES_MAX)
        return;
    uint32_t i = c->probe_count++;
    c->probes[i] = (struct tb_probe){
        .client = {client, (uint16_t) (PORT_FIRST + tb_rng_below(rng, PORT_COUNT))},
        .target = t->at,
        .transfer = t->transfer,
        .isn = (uint32_t) tb_rng_next(rng),
    };
    c->paths[i] = (struct tb_path){
        .o = c->o,
        .mode = c->mode,
        .live = c->live,
        .target = t->text,
        .range = range,
        .probe = &c->probes[i],
        .assistants = c->mode == TB_MODE_INTERCEPT ? &c->assistants : NULL,
    };
    c->secondary[i] = secondary;
}

/* Every target from the first address of every range, and from the last, which tells whether the
 * target's route holds the whole range; through TUN that goes without saying. */
static void plan_probes(struct check *c)
{
    struct tb_rng rng = {tb_clock_real_us()};

    for (uint32_t i = 0; i < c->count; i++) {
        const struct target *t = &c->targets[i];
        bool v4 = tb_addr_is_v4(&t->at.addr);
        if (t->dead || !t->routed)
            continue;
        for (uint32_t k = 0; k < c->setup.client_count; k++) {
            const struct tb_io_range *range = &c->ranges[k];
            if (tb_addr_is_v4(&range->first) != v4)
                continue;
            add_probe(c, t, range, range->first, false, &rng);
            if (range->count > 1 && c->mode != TB_MODE_TUN && c->setup.client_count <= RANGES_FEW)
                add_probe(c, t, range, tb_range_last(range), true, &rng);
        }
    }
}

static int open_receiver(struct check *c, struct tb_io **rx, struct tb_err *err)
{
    if (c->mode == TB_MODE_LOCAL)
        return tb_capture_open(&c->setup, c->o->local_device, rx, err);
    *rx = &c->assistants.io;
    return 0;
}

static int open_io(struct check *c, struct tb_io **out, struct tb_err *err)
{
    struct tb_io *rx = NULL, *tx = NULL;
    int rc;

    if (c->mode == TB_MODE_TUN)
        return tb_tun_open(&c->setup, out, err);
    rc = open_receiver(c, &rx, err);
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

/* Greet the intercept servers; false when none is of use. */
static bool greet_assistants(struct check *c)
{
    struct tb_assistants *a = &c->assistants;
    struct tb_addr clients[PROBES_MAX];
    struct tb_err why = {""};
    uint32_t count = 0;

    for (uint32_t i = 0; i < c->o->intercepts.count && a->count < TB_ASSISTANTS_MAX; i++) {
        struct tb_assistant *item = &a->item[a->count];
        if (tb_server_parse(c->o->intercepts.item[i], (uint16_t) c->o->intercept_port, &item->at)) {
            tb_findings_add(&c->list, TB_FINDING_WRONG, "-s %s: no host of that name is known here",
                            c->o->intercepts.item[i]);
            continue;
        }
        a->count++;
        tb_endpoint_format(&item->at, item->text);
    }
    for (uint32_t i = 0; i < c->probe_count; i++) {
        uint32_t known = 0;
        while (known < count && !tb_addr_eq(&clients[known], &c->probes[i].client.addr))
            known++;
        if (known == count)
            clients[count++] = c->probes[i].client.addr;
    }
    if (tb_assistants_open(a, c->o->psk_file, clients, count, GREET_US, &why)) {
        tb_findings_add(&c->list, TB_FINDING_WRONG, "%s", why.text);
        return false;
    }
    return tb_path_explain_assistants(a, &c->list);
}

/* What this host's devices showed of the probes, since they were sent. */
static void look_here(struct check *c)
{
    struct tb_sight s;

    while (c->watch_fd >= 0 && tb_sight_next(c->watch_fd, &s)) {
        if (s.kind != TB_SIGHT_TCP)
            continue;
        for (uint32_t i = 0; i < c->probe_count; i++) {
            const struct tb_probe *p = &c->probes[i];
            struct tb_path_here *here = &c->paths[i].here;
            if (s.outgoing && s.seq == p->isn && s.dport == p->target.port) {
                bool as_made = tb_addr_eq(&s.src, &p->client.addr);
                here->left |= as_made;
                here->changed |= !as_made;
                here->as = as_made ? here->as : s.src;
            } else if (!s.outgoing && tb_addr_eq(&s.dst, &p->client.addr) &&
                       s.dport == p->client.port && s.ack == p->isn + 1) {
                here->answered = true;
                if_indextoname(s.ifindex, here->device);
            }
        }
    }
}

/* How long to wait for what assistants still see behind the answer: an assistant that forwards
 * might yet send something away that must stay. */
static uint64_t linger_us(const struct check *c)
{
    const uint32_t forwards = TB_RELAY_FORWARDS_V4 | TB_RELAY_FORWARDS_V6;

    for (uint32_t i = 0; i < c->assistants.count; i++)
        if (!c->assistants.item[i].error && c->assistants.item[i].welcome.flags & forwards)
            return LINGER_FORWARDING_US;
    return LINGER_US;
}

/* A firewall's refusals are told from those of no matter here. */
static void run_probes(struct check *c, struct tb_io *io)
{
    static const struct tb_probe_patience patience = {TRIES, FIRST_WAIT_US};
    struct tb_err unimportant;
    /* Frames sent at the link layer pass by the place where we look. */
    bool look = c->mode != TB_MODE_TUN && !c->o->pcap_send;

    if (c->mode == TB_MODE_TUN || tb_sight_open(&c->watch_fd, &unimportant))
        c->watch_fd = -1;
    tb_probe_run(io, c->probes, c->probe_count, &patience);
    if (c->mode == TB_MODE_INTERCEPT)
        tb_assistants_listen(&c->assistants, linger_us(c));
    look_here(c);
    for (uint32_t i = 0; i < c->probe_count; i++) {
        c->paths[i].refused_sends = io->counters.eperm;
        c->paths[i].here.looked = look && c->watch_fd >= 0;
        c->paths[i].here.changed &= !c->paths[i].here.left;
    }
    if (c->watch_fd >= 0)
        close(c->watch_fd);
    c->watch_fd = -1;
}

/* Ordinary connections that --check-target knows by their MSS: what was to come has been sent. */
static void mark_the_end(struct check *c)
{
    struct tb_endpoint at[TARGETS_MAX];
    int results[TARGETS_MAX];

    for (uint32_t i = 0; i < c->count; i++)
        at[i] = c->targets[i].at;
    tb_host_connect(at, c->count, MARK_US, TB_PROBE_MARK, results);
}

/* One finding for what works of a target, the reasons for the first that does not. */
static void explain_probes(struct check *c, const struct target *t)
{
    const struct tb_path *works = NULL, *fails = NULL, *last_fails = NULL;

    for (uint32_t i = 0; i < c->probe_count; i++) {
        const struct tb_path *p = &c->paths[i];
        if (p->target != t->text)
            continue;
        if (tb_path_works(p))
            works = works ? works : p;
        else if (c->secondary[i])
            last_fails = last_fails ? last_fails : p;
        else
            fails = fails ? fails : p;
    }
    if (fails)
        tb_path_explain(fails, &c->list);
    if (last_fails && !fails) {
        char client[TB_ADDR_TEXT], command[TB_WORDS_COMMAND];
        struct tb_finding *f = tb_findings_add(
            &c->list, TB_FINDING_NOTE,
            "the path works for the first client address, but not for the last, %s: does the "
            "target's route hold the whole range? Few users do not need it",
            tb_addr_format(&last_fails->probe->client.addr, client));
        tb_finding_command(f, "%s", tb_words_check_target(c->o, command));
    }
    if (works && !fails) {
        if (works->assistants)
            tb_path_explain_extras(works, &c->list);
        tb_path_explain(works, &c->list);
    }
}

static void check_handshakes(struct check *c)
{
    struct tb_io *io = NULL;
    struct tb_err why = {""};
    bool all_work = true;

    plan_probes(c);
    if (c->mode == TB_MODE_INTERCEPT && !greet_assistants(c))
        return;
    if (!c->probe_count)
        return;
    if (open_io(c, &io, &why)) {
        tb_findings_add(&c->list, TB_FINDING_WRONG, "%s", why.text);
        return;
    }
    run_probes(c, io);
    tb_io_close(io);
    for (uint32_t i = 0; i < c->probe_count; i++)
        all_work &= tb_path_works(&c->paths[i]);
    if (!all_work && c->mode != TB_MODE_TUN)
        mark_the_end(c);
    for (uint32_t i = 0; i < c->count; i++)
        explain_probes(c, &c->targets[i]);
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

    /* The handshakes come last: the last thing that is fine is one that worked. */
    while (last > c->list.item && last->level != TB_FINDING_OK)
        last--;
    if (tb_findings_wrong(&c->list))
        fputs("\nthe path is not free: mend what is marked WRONG, from the top\n", out);
    else
        fprintf(out, "\neverything looks right: %s\n", last->text);
}

static int check(const struct tb_options *o, bool live, FILE *out, struct tb_err *err)
{
    struct check *c = calloc(1, sizeof *c);
    const struct tb_finding *wrong;
    int rc;

    if (!c) {
        tb_err_set(err, -ENOMEM, "out of memory");
        return EXIT_ENVIRONMENT;
    }
    c->o = o;
    c->live = live;
    c->nl.fd = c->watch_fd = -1;
    rc = examine(c, err);
    tb_findings_print(&c->list, out);
    if (!rc)
        conclude(c, out);
    wrong = tb_findings_wrong(&c->list);
    if (!rc && wrong)
        rc = tb_err_set(err, -ENETUNREACH, "--check: %s", wrong->text);
    tb_assistants_close(&c->assistants);
    tb_nl_close(&c->nl);
    free(c->ranges);
    free(c->endpoints);
    free(c->src_macs);
    free(c->dst_macs);
    free(c);
    return rc ? EXIT_ENVIRONMENT : 0;
}

int tb_check_run(const struct tb_options *o, FILE *out, struct tb_err *err)
{
    return check(o, false, out, err);
}

static bool has_target_of(const struct tb_options *o, const struct tb_addr *client)
{
    for (uint32_t i = 0; i < o->transfer_count; i++)
        if (tb_addr_is_v4(&o->transfers[i].target.addr) == tb_addr_is_v4(client))
            return true;
    return false;
}

int tb_check_live_run(const struct tb_options *o, const struct tb_addr *clients, uint32_t count,
                      FILE *out, struct tb_err *err)
{
    static const struct tb_addr nobodys[] = {
        {.b = {[10] = 0xff, [11] = 0xff, 203, 0, 113, 1}},
        {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
    };
    struct tb_options live = *o;

    if (count == 0) {
        clients = nobodys;
        count = sizeof nobodys / sizeof nobodys[0];
    }
    live.clients = calloc(count, sizeof *live.clients);
    live.client_count = 0;
    if (!live.clients) {
        tb_err_set(err, -ENOMEM, "out of memory");
        return EXIT_ENVIRONMENT;
    }
    for (uint32_t i = 0; i < count; i++)
        if (has_target_of(o, &clients[i]))
            live.clients[live.client_count++] = (struct tb_range){clients[i], 1};
    int rc = check(&live, true, out, err);
    free(live.clients);
    return rc;
}
