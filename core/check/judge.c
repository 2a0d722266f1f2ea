/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From what the target saw of a probe to the reason; see judge.h. The order matters: what was seen
 * comes first, then what the kernel counted, then what is set up; a setting alone is no reason.
 */
#include "check/judge.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "check/probe.h"
#include "check/words.h"
#include "packet/view.h"

/* --- what was seen ---------------------------------------------------------------------------- */

static bool take_icmp(struct tb_flow *f, const struct tb_sight *s)
{
    if (s->outgoing && tb_addr_eq(&s->dst, &f->client.addr)) {
        f->rejected = true;
        return true;
    }
    if (s->outgoing || !tb_addr_eq(&s->about, &f->client.addr))
        return false;
    f->redirected |= s->kind == TB_SIGHT_REDIRECT;
    f->unreachable |= s->kind == TB_SIGHT_UNREACHABLE;
    f->reporter = s->src;
    f->instead = s->instead;
    return true;
}

static void take_answer(struct tb_flow *f, const struct tb_sight *s, uint64_t now_us)
{
    if ((s->flags & TB_TCP_SYN) && (s->flags & TB_TCP_ACK)) {
        f->syn_acks++;
        f->answered_us = f->answered_us ? f->answered_us : now_us;
        f->syn_ack = *s;
    } else if ((s->flags & TB_TCP_RST) && !f->syn_acks) {
        f->refusals++;
    }
}

/* The owner of an address resets out of the blue, and from where the SYN did not come from. */
static bool is_foreign(const struct tb_flow *f, const struct tb_sight *rst)
{
    bool elsewhere = rst->ifindex != f->syn.ifindex ||
                     (rst->has_macs && memcmp(rst->src_mac, f->syn.src_mac, 6));

    return rst->window != TB_PROBE_MARK && f->syn_acks && (elsewhere || !f->acks);
}

bool tb_flow_take(struct tb_flow *f, const struct tb_sight *s, uint64_t now_us)
{
    if (s->kind != TB_SIGHT_TCP)
        return take_icmp(f, s);
    if (s->outgoing && s->sport == f->target.port && s->dport == f->client.port &&
        tb_addr_eq(&s->src, &f->target.addr) && tb_addr_eq(&s->dst, &f->client.addr)) {
        take_answer(f, s, now_us);
        return true;
    }
    if (s->outgoing || s->sport != f->client.port || s->dport != f->target.port ||
        !tb_addr_eq(&s->src, &f->client.addr) || !tb_addr_eq(&s->dst, &f->target.addr))
        return false;
    if (s->flags & TB_TCP_SYN) {
        f->syns++;
        f->syn =
            *s; /* of a bridge and its port, or a bond, the last is the one that has addresses */
    } else if (!(s->flags & TB_TCP_RST)) {
        f->acks++;
    } else if (s->window == TB_PROBE_MARK) {
        f->marked_rst = true;
    } else if (is_foreign(f, s)) {
        f->foreign_rst = true;
        f->rst = *s;
    }
    return true;
}

bool tb_flow_reacted(const struct tb_flow *f)
{
    return f->refusals || f->acks || f->marked_rst || f->foreign_rst || f->rejected ||
           f->redirected || f->unreachable;
}

/* --- words ------------------------------------------------------------------------------------ */

static bool is_v4(const struct tb_case *c)
{
    return tb_addr_is_v4(&c->flow->client.addr);
}

static const char *client_of(const struct tb_case *c, char buf[TB_ADDR_TEXT])
{
    return tb_addr_format(&c->flow->client.addr, buf);
}

static const char *mac_format(const uint8_t mac[6], char buf[18])
{
    snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
             mac[5]);
    return buf;
}

/* The assistant's address of that family, for a route; a placeholder when -s did not tell. */
static const char *assistant_of(const struct tb_assistants *a, bool v4, char buf[TB_ADDR_TEXT])
{
    for (uint32_t i = 0; i < a->count; i++)
        if (tb_addr_is_v4(&a->item[i].at.addr) == v4)
            return tb_addr_format(&a->item[i].at.addr, buf);
    snprintf(buf, TB_ADDR_TEXT, "ASSISTANT");
    return buf;
}

static void advise_route(struct tb_finding *f, const struct tb_io_range *range,
                         const struct tb_assistants *a)
{
    char network[TB_PREFIX_TEXT], assistant[TB_ADDR_TEXT];
    bool v4 = tb_addr_is_v4(&range->first);

    tb_finding_command(f, "sudo ip%s route replace %s via %s", v4 ? "" : " -6",
                       tb_words_network(range, network), assistant_of(a, v4, assistant));
}

static void advise_no_forwarding(struct tb_finding *f, const struct tb_case *c)
{
    tb_finding_command(f, "sudo sysctl -w %s=0   (on the assistant)",
                       is_v4(c) ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding");
}

/* --- the answer went out ---------------------------------------------------------------------- */

/* Which assistant the SYN-ACK left for, by its MAC address; `known`: could it be compared? */
static bool leaves_for_assistant(const struct tb_case *c, bool *known)
{
    const struct tb_sight *out = &c->flow->syn_ack;

    *known = false;
    for (uint32_t i = 0; i < c->assistants->count; i++) {
        if (c->assistant[i].state != TB_NEIGHBOUR_KNOWN || !out->has_macs)
            continue;
        *known = true;
        if (!memcmp(c->assistant[i].mac, out->dst_mac, 6))
            return true;
    }
    return false;
}

static void judge_foreign_rst(const struct tb_case *c, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT], mac[18];
    bool known, passes_on = leaves_for_assistant(c, &known);

    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG,
        "the answers reach somebody who owns the client address %s (seen from %s) and resets the "
        "connections: %s, or choose client addresses (-c) that nobody has",
        client_of(c, client), c->flow->rst.has_macs ? mac_format(c->flow->rst.src_mac, mac) : "?",
        passes_on ? "the assistant passes them on (ip_forward) and must not"
                  : "route the client addresses to the assistant");
    if (passes_on)
        advise_no_forwarding(f, c);
    else
        advise_route(f, c->range, c->assistants);
}

/* A router on the way to the assistant may well name a shorter one. */
static bool leads_to_assistant(const struct tb_case *c)
{
    bool reported_by_assistant = false;

    for (uint32_t i = 0; i < c->assistants->count; i++) {
        const struct tb_addr *at = &c->assistants->item[i].at.addr;
        reported_by_assistant |= tb_addr_eq(at, &c->flow->reporter);
        if (tb_addr_eq(at, &c->flow->instead))
            return true;
    }
    return c->flow->acks && !reported_by_assistant;
}

static void judge_report(const struct tb_case *c, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT], from[TB_ADDR_TEXT];

    tb_addr_format(&c->flow->reporter, from);
    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG,
        c->flow->redirected ? "%s sends ICMP redirects for %s: it forwards (ip_forward is 1) what "
                              "the assistant has to swallow, and tells this host a way past it"
                            : "%s reports that it cannot deliver the answers for %s (ICMP "
                              "unreachable), which ends the sessions: it forwards (ip_forward is "
                              "1) what the assistant has to swallow",
        from, client_of(c, client));
    tb_finding_command(f, "sudo sysctl -w %s=0   (on %s)",
                       is_v4(c) ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding", from);
}

/* What the assistants said they saw of the answer: nothing, something, or captured it. */
static const struct tb_relay_seen *seen_by_assistants(const struct tb_case *c,
                                                      const struct tb_assistant **who, bool *asked)
{
    const struct tb_relay_seen *best = NULL;

    *asked = false;
    for (uint32_t i = 0; i < c->assistants->count; i++) {
        const struct tb_assistant *a = &c->assistants->item[i];
        *asked |= a->error == 0;
        for (uint32_t k = 0; k < a->seen_count && !a->error; k++) {
            const struct tb_relay_seen *s = &a->seen[k];
            if (!tb_addr_eq(&s->dst, &c->flow->client.addr) || (s->flags & TB_RELAY_SEEN_OUTGOING))
                continue;
            if (!best || (s->flags & TB_RELAY_SEEN_CAPTURED)) {
                best = s;
                *who = a;
            }
        }
    }
    return best;
}

/* It left, and nothing came of it. */
static void judge_lost_answer(const struct tb_case *c, struct tb_findings *list)
{
    const struct tb_assistant *who = NULL;
    bool asked, known, right_way = leaves_for_assistant(c, &known);
    const struct tb_relay_seen *seen = seen_by_assistants(c, &who, &asked);
    char client[TB_ADDR_TEXT], gateway[TB_ADDR_TEXT], mac[18], assistant[TB_ADDR_TEXT];
    struct tb_finding *f;

    client_of(c, client);
    assistant_of(c->assistants, is_v4(c), assistant);
    if (seen && (seen->flags & TB_RELAY_SEEN_CAPTURED)) {
        tb_findings_add(list, TB_FINDING_OK,
                        "the answer for %s leaves through %s, and intercept on %s captures it: "
                        "this host is in order",
                        client, c->out_device, who->text);
    } else if (seen) {
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "the answer for %s reaches the assistant %s on %s, but intercept, on "
                            "%s with the filter '%s', does not see it: correct its -i or -F",
                            client, who->text, seen->device, who->welcome.devices,
                            who->welcome.filter);
        tb_finding_command(f, "sudo intercept -i %s   (on the assistant)", seen->device);
    } else if (known && !right_way) {
        snprintf(gateway, sizeof gateway, "%s", "nobody's gateway");
        if (c->route.has_gateway)
            tb_addr_format(&c->route.gateway, gateway);
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "this host answers %s, but not by way of the assistant %s: the answer "
                            "leaves through %s for %s (%s): the route for the client addresses is "
                            "missing or wrong",
                            client, assistant, c->out_device, gateway,
                            mac_format(c->flow->syn_ack.dst_mac, mac));
        advise_route(f, c->range, c->assistants);
    } else if (right_way && asked) {
        f = tb_findings_add(
            list, TB_FINDING_WRONG,
            "the answer for %s leaves through %s for the assistant %s, but does not "
            "arrive there: something in between, a switch or a hypervisor, drops it",
            client, c->out_device, assistant);
        tb_finding_command(f, "sudo tcpdump -ni any host %s   (on the assistant)", client);
    } else if (right_way) {
        tb_findings_add(list, TB_FINDING_OK,
                        "the answer for %s leaves through %s for the assistant %s: this host is in "
                        "order; look at the device (-i) and the filter (-F) of intercept",
                        client, c->out_device, assistant);
    } else {
        f = tb_findings_add(list, asked ? TB_FINDING_WRONG : TB_FINDING_NOTE,
                            "this host answers %s through %s%s%s, %s: is the route for the client "
                            "addresses the one to the assistant, and do the routers on it agree?",
                            client, c->out_device, c->route.has_gateway ? " via " : "",
                            c->route.has_gateway ? tb_addr_format(&c->route.gateway, gateway) : "",
                            asked ? "but the assistant sees nothing of it"
                                  : "and that is as far as can be seen from here");
        tb_finding_command(f, "ip route get %s", client);
    }
}

static void judge_answered(const struct tb_case *c, struct tb_findings *list)
{
    const struct tb_flow *f = c->flow;
    char client[TB_ADDR_TEXT];

    if (f->foreign_rst)
        judge_foreign_rst(c, list);
    else if (f->unreachable || (f->redirected && !leads_to_assistant(c)))
        judge_report(c, list);
    else if (f->acks)
        tb_findings_add(list, TB_FINDING_OK,
                        "the handshake with %s is complete: packets arrive on %s, answers leave "
                        "through %s and are seen by the test host",
                        client_of(c, client), c->in_device, c->out_device);
    else if (f->marked_rst)
        tb_findings_add(
            list, TB_FINDING_WRONG,
            "the SYN of %s arrives and is answered, the test host has the answer, but "
            "its later segments do not arrive: a firewall in between sees one direction "
            "only, and its connection tracking (conntrack) drops them as INVALID",
            client_of(c, client));
    else
        judge_lost_answer(c, list);
}

/* --- nothing went out ------------------------------------------------------------------------- */

bool tb_route_is_missing(int route_error, const struct tb_route *route)
{
    return route_error || route->type == RTN_UNREACHABLE || route->type == RTN_BLACKHOLE ||
           route->type == RTN_PROHIBIT;
}

void tb_judge_missing_route(const struct tb_io_range *range, const struct tb_assistants *assistants,
                            struct tb_findings *list)
{
    char network[TB_PREFIX_TEXT];

    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG,
        "this host has no route for the client addresses %s, so that it cannot answer them",
        tb_words_network(range, network));
    advise_route(f, range, assistants);
}

static void judge_reverse_path(const struct tb_case *c, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];

    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG,
        "reverse-path filtering (rp_filter=%d on %s) drops the packets of %s: they come in on %s, "
        "%s%s",
        c->rp_filter, c->in_device, client_of(c, client), c->in_device,
        tb_route_is_missing(c->route_error, &c->route) ? "and there is no route back"
                                                       : "but the route back leads through ",
        tb_route_is_missing(c->route_error, &c->route) ? "" : c->out_device);
    if (tb_route_is_missing(c->route_error, &c->route))
        advise_route(f, c->range, c->assistants);
    else
        tb_finding_command(f, "sudo sysctl -w net.ipv4.conf.all.rp_filter=2");
}

static bool judge_next_hop(const struct tb_case *c, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT], hop[TB_ADDR_TEXT];

    if (c->next_hop.state != TB_NEIGHBOUR_FAILED && c->next_hop.state != TB_NEIGHBOUR_RESOLVING)
        return false;
    client_of(c, client);
    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG, "the answer for %s cannot leave: %s does not answer on %s%s",
        client, c->route.has_gateway ? tb_addr_format(&c->route.gateway, hop) : client,
        c->out_device,
        c->route.has_gateway ? "; is the assistant up?"
                             : "; the route for the client addresses has to name the assistant");
    advise_route(f, c->range, c->assistants);
    return true;
}

/* A rule that may have done it: no counter of its own says that it has not. */
static bool is_suspect(const struct tb_case *c, uint32_t i)
{
    const struct tb_rule *r = &c->rules_after->rule[i];

    if (r->effect == TB_RULE_NAT || r->forward)
        return false;
    if (!r->has_counter || c->rules_before->count != c->rules_after->count)
        return true;
    return r->packets > c->rules_before->rule[i].packets;
}

/* The packet filter: the rule whose counter grew; else all that may have done it. */
static bool judge_filter(const struct tb_case *c, struct tb_findings *list)
{
    const struct tb_rule *rule = tb_rules_grown(c->rules_before, c->rules_after, TB_RULE_DROP);
    char client[TB_ADDR_TEXT], rules[TB_FINDING_TEXT / 2] = "";
    uint32_t count = 0;
    size_t len = 0;

    for (uint32_t i = 0; i < c->rules_after->count && !rule; i++) {
        const struct tb_rule *r = &c->rules_after->rule[i];
        bool tracked = r->conntrack && c->after.ct_invalid > c->before.ct_invalid;
        if (!is_suspect(c, i))
            continue;
        if (tracked) /* and conntrack has found something invalid meanwhile */
            rule = r;
        if (count++ < 3 && len < sizeof rules)
            len += (size_t) snprintf(rules + len, sizeof rules - len, "%s'%.60s' of %s",
                                     len ? ", " : "", r->text, r->chain);
    }
    if (!rule && !count)
        return false;
    client_of(c, client);
    struct tb_finding *f =
        rule ? tb_findings_add(list, TB_FINDING_WRONG,
                               "the packet filter of this host drops the packets of %s: rule '%s' "
                               "of %s%s",
                               client, rule->text, rule->chain,
                               rule->conntrack ? " (connection tracking, conntrack, takes them for "
                                                 "invalid)"
                                               : "")
             : tb_findings_add(list, TB_FINDING_WRONG,
                               "the packet filter (firewall) of this host drops the packets of %s: "
                               "they arrive, and nothing else here explains that they are not "
                               "answered; it may be %s%s",
                               client, rules, count > 3 ? " or others" : "");
    tb_finding_command(f, "sudo nft list ruleset");
    return true;
}

static bool judge_kernel(const struct tb_case *c, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];

    client_of(c, client);
    if (c->after.ct_full > c->before.ct_full) {
        struct tb_finding *f = tb_findings_add(
            list, TB_FINDING_WRONG,
            "connection tracking (conntrack) of this host is full and drops the packets of %s",
            client);
        tb_finding_command(f, "sudo sysctl -w net.netfilter.nf_conntrack_max=1048576");
        return true;
    }
    if (c->after.listen > c->before.listen) {
        struct tb_finding *f = tb_findings_add(
            list, TB_FINDING_WRONG,
            "the server on port %u does not accept fast enough: its queue is full, and the SYN of "
            "%s was dropped",
            c->flow->target.port, client);
        tb_finding_command(f, "sudo sysctl -w net.core.somaxconn=65535 "
                              "net.ipv4.tcp_max_syn_backlog=65535");
        return true;
    }
    if (c->after.checksum > c->before.checksum) {
        struct tb_finding *f = tb_findings_add(
            list, TB_FINDING_WRONG,
            "the packets of %s arrive with wrong checksums: something on the way, or a device's "
            "offloading, breaks them",
            client);
        tb_finding_command(f, "sudo ethtool -K DEVICE tx off   (on the test host)");
        return true;
    }
    return false;
}

static void judge_silence(const struct tb_case *c, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];

    if (c->after.reverse_path > c->before.reverse_path && c->rp_filter) {
        judge_reverse_path(c, list);
    } else if (tb_route_is_missing(c->route_error, &c->route)) {
        tb_judge_missing_route(c->range, c->assistants, list);
    } else if (!judge_next_hop(c, list) && !judge_kernel(c, list) && !judge_filter(c, list)) {
        struct tb_finding *f = tb_findings_add(
            list, TB_FINDING_WRONG,
            "the packets of %s arrive on %s and are dropped without an answer, but not by "
            "reverse-path filtering%s: what remains is a program in the kernel (tc, XDP, a "
            "security module) or a proxy",
            client_of(c, client), c->in_device,
            c->rules_after->readable ? " nor by a rule of the packet filter"
                                     : " (the packet filter could not be read)");
        tb_finding_command(f,
                           "tc filter show dev %s ingress; ip -details link show %s; sudo nft "
                           "list ruleset",
                           c->in_device, c->in_device);
    }
}

static void judge_refusal(const struct tb_case *c, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];
    struct tb_finding *f;

    if (!c->flow->rejected && !c->listens) {
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "nothing listens on port %u here: start the server, or correct -x",
                            c->flow->target.port);
        tb_finding_command(f, "ss -ltn 'sport = :%u'", c->flow->target.port);
        return;
    }
    f = tb_findings_add(list, TB_FINDING_WRONG,
                        "this host rejects %s with %s, though a server listens on port %u: a rule "
                        "of its packet filter (firewall) refuses the client addresses",
                        client_of(c, client), c->flow->rejected ? "an ICMP error" : "a reset",
                        c->flow->target.port);
    tb_finding_command(f, "sudo nft list ruleset");
}

/* --- all of it -------------------------------------------------------------------------------- */

void tb_judge(const struct tb_case *c, struct tb_findings *list)
{
    if (c->flow->syn_acks)
        judge_answered(c, list);
    else if (c->flow->refusals || c->flow->rejected)
        judge_refusal(c, list);
    else
        judge_silence(c, list);
}
