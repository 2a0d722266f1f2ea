/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watching on the target host; see target.h. Gathers what judge.c judges: packets, the kernel's
 * counters and the packet filter before and after, routes, neighbours, and what the intercept
 * servers see of the answers, if they can be asked from here. Changes nothing.
 */
#include "check/target.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "check/host.h"
#include "check/judge.h"
#include "check/probe.h"
#include "check/words.h"

enum { EXIT_ENVIRONMENT = 3, FLOWS_MAX = 16, POLL_MS = 50 };
enum {
    WATCH_US = 60000000,
    SILENCE_US = 4000000, /* from the first SYN: longer than --check repeats it, and a SYN-ACK is
                             sent again twice meanwhile */
    REACTION_US = 800000, /* for what follows the first reaction */
    MARK_US = 700000,     /* for what is on its way when --check says that it has sent all */
    UNHEARD_US = 300000,  /* without reaction to a SYN-ACK: ask the assistants what they see */
    GREET_US = 1000000,   /* for an intercept to say WELCOME */
    ASKED_US = 3500000    /* for a SYN-ACK to be sent again after they were asked */
};

struct watch {
    const struct tb_options *o;
    FILE *out;
    struct tb_findings list;
    struct tb_nl nl;
    int fd;
    struct tb_io_range *ranges;
    uint32_t range_count;
    struct tb_flow flows[FLOWS_MAX];
    uint32_t flow_count;
    uint64_t until_us;
    bool marked;                           /* --check has sent all it had to send */
    struct tb_addr marked_by, ordinary_by; /* who connected, by that mark and without */
    bool ordinary;
    struct tb_assistants assistants;
    bool asked;
    struct tb_kernel_counters before, after;
    struct tb_rules *rules_before, *rules_after;
};

/* --- before a probe comes --------------------------------------------------------------------- */

static int prepare(struct watch *w, struct tb_err *err)
{
    const struct tb_options *o = w->o;

    w->ranges = calloc(o->client_count, sizeof *w->ranges);
    w->rules_before = calloc(1, sizeof *w->rules_before);
    w->rules_after = calloc(1, sizeof *w->rules_after);
    if (!w->ranges || !w->rules_before || !w->rules_after)
        return tb_err_set(err, -ENOMEM, "out of memory");
    for (; w->range_count < o->client_count; w->range_count++)
        w->ranges[w->range_count] = (struct tb_io_range){o->clients[w->range_count].first,
                                                         o->clients[w->range_count].count};
    for (uint32_t i = 0; i < o->intercepts.count && i < TB_ASSISTANTS_MAX; i++) {
        struct tb_assistant *a = &w->assistants.item[w->assistants.count];
        if (tb_server_parse(o->intercepts.item[i], (uint16_t) o->intercept_port, &a->at)) {
            tb_findings_add(&w->list, TB_FINDING_NOTE, "-s %s: no host of that name is known here",
                            o->intercepts.item[i]);
            continue;
        }
        w->assistants.count++;
        tb_endpoint_format(&a->at, a->text);
        a->error = -ENOTCONN; /* not asked yet */
    }
    int rc = tb_sight_open(&w->fd, err);
    if (!rc)
        rc = tb_nl_open(&w->nl, err);
    tb_kernel_read(&w->before);
    tb_rules_read(w->rules_before);
    return rc;
}

/* Does a target of -x have this family? True for all when there is no -x. */
static bool concerns(const struct tb_options *o, bool v4)
{
    for (uint32_t i = 0; i < o->transfer_count; i++)
        if (tb_addr_is_v4(&o->transfers[i].target.addr) == v4)
            return true;
    return !o->transfer_count;
}

/* Routes that are missing for certain: no probe is needed to see that. False when there are such.
 */
static bool check_routes(struct watch *w)
{
    uint32_t concerned = 0, missing = 0;
    bool is_missing[64] = {false};

    for (uint32_t i = 0; i < w->range_count && i < 64; i++) {
        struct tb_route route;
        if (!concerns(w->o, tb_addr_is_v4(&w->ranges[i].first)))
            continue;
        int rc = tb_nl_route_to(&w->nl, &w->ranges[i].first, 0, &route);
        is_missing[i] = tb_route_is_missing(rc, &route);
        concerned++;
        missing += is_missing[i];
    }
    /* Of the default ranges one family may well be of no interest. */
    if (!missing || (!w->o->transfer_count && missing < concerned))
        return true;
    for (uint32_t i = 0; i < w->range_count && i < 64; i++)
        if (is_missing[i])
            tb_judge_missing_route(&w->ranges[i], &w->assistants, &w->list);
    return false;
}

static int is_it(void *ctx, const struct tb_addr *addr)
{
    return tb_addr_eq(ctx, addr);
}

/* Is this the target at all? False when it is not. */
static bool check_addresses(struct watch *w)
{
    bool good = true;

    for (uint32_t i = 0; i < w->o->transfer_count; i++) {
        struct tb_addr at = w->o->transfers[i].target.addr;
        char text[TB_ADDR_TEXT];
        if (tb_nl_addresses(&w->nl, is_it, &at) != 0)
            continue;
        struct tb_finding *f =
            tb_findings_add(&w->list, TB_FINDING_WRONG,
                            "the target %s is no address of this host: run --check-target on the "
                            "host that has it",
                            tb_addr_format(&at, text));
        tb_finding_command(f, "ip -brief address");
        good = false;
    }
    return good;
}

/* --- watching --------------------------------------------------------------------------------- */

static const struct tb_io_range *range_of(const struct watch *w, const struct tb_addr *a)
{
    for (uint32_t i = 0; i < w->range_count; i++)
        if (tb_range_contains(&w->ranges[i], a))
            return &w->ranges[i];
    return NULL;
}

static bool is_wanted(const struct watch *w, const struct tb_addr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < w->o->transfer_count; i++) {
        const struct tb_endpoint *t = &w->o->transfers[i].target;
        if (t->port == port && tb_addr_eq(&t->addr, addr))
            return true;
    }
    return !w->o->transfer_count;
}

static void end_by(struct watch *w, uint64_t until_us)
{
    if (until_us < w->until_us)
        w->until_us = until_us;
}

static void take_syn(struct watch *w, const struct tb_sight *s, uint64_t now_us)
{
    if (range_of(w, &s->src)) {
        if (w->flow_count == FLOWS_MAX)
            return;
        struct tb_flow *f = &w->flows[w->flow_count++];
        *f = (struct tb_flow){.client = {s->src, s->sport},
                              .target = {s->dst, s->dport},
                              .isn = s->seq,
                              .first_us = now_us};
        tb_flow_take(f, s, now_us);
        end_by(w, now_us + SILENCE_US);
    } else if (s->mss == TB_PROBE_MARK) {
        w->marked = true;
        w->marked_by = s->src;
        if (!w->asked)
            end_by(w, now_us + MARK_US);
    } else {
        w->ordinary = true;
        w->ordinary_by = s->src;
    }
}

static void take(struct watch *w, const struct tb_sight *s)
{
    uint64_t now_us = tb_clock_mono_us();

    for (uint32_t i = 0; i < w->flow_count; i++) {
        if (!tb_flow_take(&w->flows[i], s, now_us))
            continue;
        if (tb_flow_reacted(&w->flows[i]))
            end_by(w, now_us + REACTION_US);
        return;
    }
    bool syn = s->kind == TB_SIGHT_TCP && (s->flags & TB_TCP_SYN) && !(s->flags & TB_TCP_ACK);
    if (syn && !s->outgoing && is_wanted(w, &s->dst, s->dport))
        take_syn(w, s, now_us);
}

/* The answer to a client is out, and nothing comes of it: what do the assistants see? Asked once,
 * and those that cannot be asked from here are left out. */
static void ask_assistants(struct watch *w)
{
    uint64_t now_us = tb_clock_mono_us();
    struct tb_addr clients[FLOWS_MAX];
    struct tb_err unimportant;
    uint32_t count = 0;

    if (w->asked || !w->assistants.count)
        return;
    for (uint32_t i = 0; i < w->flow_count; i++) {
        const struct tb_flow *f = &w->flows[i];
        if (f->answered_us && now_us - f->answered_us > UNHEARD_US && !tb_flow_reacted(f))
            clients[count++] = f->client.addr;
    }
    if (!count)
        return;
    w->asked = true;
    tb_assistants_open(&w->assistants, w->o->psk_file, clients, count, GREET_US, &unimportant);
    for (uint32_t i = 0; i < w->assistants.count; i++)
        if (!w->assistants.item[i].error)
            w->until_us = tb_clock_mono_us() + ASKED_US;
}

static void watch(struct watch *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    struct tb_sight s;
    uint64_t begin_us = tb_clock_mono_us();

    w->until_us = begin_us + WATCH_US;
    while (tb_clock_mono_us() < w->until_us) {
        poll(&p, 1, POLL_MS);
        while (tb_sight_next(w->fd, &s))
            take(w, &s);
        ask_assistants(w);
        if (w->asked)
            tb_assistants_listen(&w->assistants, 0);
    }
    tb_kernel_read(&w->after);
    tb_rules_read(w->rules_after);
}

/* --- afterwards ------------------------------------------------------------------------------- */

/* What the kernel goes by for a device: the larger of the two settings. */
static int rp_filter_of(const char *device)
{
    char name[64];

    snprintf(name, sizeof name, "net/ipv4/conf/%s/rp_filter", device);
    int all = tb_host_sysctl("net/ipv4/conf/all/rp_filter"), own = tb_host_sysctl(name);
    return all > own ? all : own;
}

static struct tb_neighbour neighbour_of(struct watch *w, uint32_t ifindex,
                                        const struct tb_addr *addr)
{
    struct tb_neighbour n;

    n.state = tb_nl_neighbour(&w->nl, ifindex, addr, n.mac);
    return n;
}

/* The assistants that are on a network of ours, by their MAC addresses. */
static void find_assistants(struct watch *w, struct tb_case *c)
{
    for (uint32_t i = 0; i < w->assistants.count; i++) {
        const struct tb_addr *at = &w->assistants.item[i].at.addr;
        struct tb_route route;
        if (tb_nl_route_to(&w->nl, at, 0, &route) || route.has_gateway)
            continue;
        c->assistant[i] = neighbour_of(w, route.ifindex, at);
        for (int tries = 0; tries < 20 && c->assistant[i].state != TB_NEIGHBOUR_KNOWN; tries++) {
            if (tries == 0)
                tb_nl_neighbour_resolve(&w->nl, route.ifindex, at);
            poll(NULL, 0, POLL_MS);
            c->assistant[i] = neighbour_of(w, route.ifindex, at);
        }
    }
}

static void judge_flow(struct watch *w, const struct tb_flow *f)
{
    struct tb_case *c = calloc(1, sizeof *c);

    if (!c)
        return;
    c->flow = f;
    c->range = range_of(w, &f->client.addr);
    c->assistants = &w->assistants;
    c->before = w->before;
    c->after = w->after;
    c->rules_before = w->rules_before;
    c->rules_after = w->rules_after;
    c->route_error = tb_nl_route_to(&w->nl, &f->client.addr, 0, &c->route);
    if_indextoname(f->syn.ifindex, c->in_device);
    if_indextoname(f->syn_acks ? f->syn_ack.ifindex : c->route.ifindex, c->out_device);
    c->rp_filter = tb_addr_is_v4(&f->client.addr) ? rp_filter_of(c->in_device) : 0;
    c->listens = tb_host_listens(f->target.port);
    if (!c->route_error)
        c->next_hop = neighbour_of(w, c->route.ifindex,
                                   c->route.has_gateway ? &c->route.gateway : &f->client.addr);
    find_assistants(w, c);
    tb_judge(c, &w->list);
    free(c);
}

static void judge_nothing(struct watch *w)
{
    char by[TB_ADDR_TEXT], network[TB_PREFIX_TEXT];
    struct tb_finding *f;

    tb_words_network(&w->ranges[0], network);
    if (w->marked) {
        f = tb_findings_add(
            &w->list, TB_FINDING_WRONG,
            "connections of %s arrive, but nothing from the client addresses %s "
            "that it sends: they are dropped in between, for want of a route, or by "
            "anti-spoofing (a switch's source guard, rp_filter or a firewall of a "
            "router, a hypervisor's or cloud's source check)",
            tb_addr_format(&w->marked_by, by), network);
        tb_finding_command(f, "sysctl -a -r rp_filter; sudo nft list ruleset   (on every host in "
                              "between)");
        return;
    }
    f = tb_findings_add(&w->list, TB_FINDING_WRONG,
                        "no packet came from the client addresses %s%s%s: was --check run on the "
                        "test host meanwhile? Repeat it while this watches",
                        network, w->ordinary ? ", though others connect, as " : "",
                        w->ordinary ? tb_addr_format(&w->ordinary_by, by) : "");
    tb_finding_command(f, "tcpburn --check -s … -x …   (on the test host)");
}

/* One flow of each target says it all, unless others fare differently. */
static void judge_flows(struct watch *w)
{
    for (uint32_t i = 0; i < w->flow_count; i++) {
        uint32_t before = w->list.count;
        judge_flow(w, &w->flows[i]);
        /* The same again, but for an address or two? Not worth a line. */
        for (uint32_t k = 0; k < i && w->list.count > before; k++)
            if (w->flows[k].target.port == w->flows[i].target.port &&
                tb_flow_reacted(&w->flows[k]) == tb_flow_reacted(&w->flows[i]) &&
                !w->flows[k].answered_us == !w->flows[i].answered_us)
                w->list.count = before;
    }
}

static int examine(struct watch *w, struct tb_err *err)
{
    int rc = prepare(w, err);

    if (rc)
        return rc;
    if (!check_addresses(w) || !check_routes(w))
        return 0;
    fputs("watching for packets from the client addresses, at most a minute: run --check on the "
          "test host now\n",
          w->out);
    fflush(w->out);
    watch(w);
    if (w->flow_count)
        judge_flows(w);
    else
        judge_nothing(w);
    return 0;
}

static void free_watch(struct watch *w)
{
    tb_assistants_close(&w->assistants);
    tb_nl_close(&w->nl);
    if (w->fd >= 0)
        close(w->fd);
    free(w->ranges);
    free(w->rules_before);
    free(w->rules_after);
    free(w);
}

int tb_check_target_run(const struct tb_options *o, FILE *out, struct tb_err *err)
{
    struct watch *w = calloc(1, sizeof *w);

    if (!w) {
        tb_err_set(err, -ENOMEM, "out of memory");
        return EXIT_ENVIRONMENT;
    }
    w->o = o;
    w->out = out;
    w->fd = w->nl.fd = -1;
    int rc = examine(w, err);
    tb_findings_print(&w->list, out);
    const struct tb_finding *wrong = tb_findings_wrong(&w->list);
    if (!rc && wrong)
        rc = tb_err_set(err, -ENETUNREACH, "--check-target: %s", wrong->text);
    free_watch(w);
    return rc ? EXIT_ENVIRONMENT : 0;
}
