/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The findings of -s ASSISTANT: what the intercept servers say of their hosts, and what these saw
 * of a probe whose answer did not arrive; see path.h. Where that does not tell the reasons apart,
 * they are listed, and --check-target is named, which looks at them from the target.
 */
#include "check/path.h"

#include <errno.h>
#include <string.h>

#include "check/words.h"

enum { PROTO_ICMP = 1, PROTO_ICMP6 = 58 };

/* --- the servers ------------------------------------------------------------------------------ */

static void explain_unreachable(const struct tb_assistant *a, struct tb_findings *list)
{
    struct tb_finding *f;

    switch (a->error) {
    case -ECONNREFUSED:
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "no intercept listens on %s: start it there, or correct -s", a->text);
        tb_finding_command(f, "sudo intercept -i DEVICE -p %u   (on the assistant)", a->at.port);
        return;
    case -EACCES:
        tb_findings_add(list, TB_FINDING_WRONG,
                        "intercept on %s does not take our key: both ends need a --psk-file with "
                        "the same key",
                        a->text);
        return;
    case -EPROTO:
        tb_findings_add(list, TB_FINDING_WRONG,
                        "what answers on %s does not speak our protocol: no intercept of this "
                        "version, or one of the two has a --psk-file and the other has not; its "
                        "--allow list may leave this host out, too",
                        a->text);
        return;
    case -EPROTONOSUPPORT:
        tb_findings_add(list, TB_FINDING_WRONG,
                        "intercept on %s speaks another version of the channel%s%s: install the "
                        "same release on both hosts",
                        a->text, *a->refusal ? ": " : "", a->refusal);
        return;
    case -EPERM:
        tb_findings_add(list, TB_FINDING_WRONG, "intercept on %s refuses us: %s", a->text,
                        a->refusal);
        return;
    default:
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "intercept on %s cannot be reached (%s): its host is down, has another "
                            "address, or a firewall drops packets to this port",
                            a->text, strerror(-a->error));
        tb_finding_command(f, "ss -ltn 'sport = :%u'; sudo nft list ruleset   (on the assistant)",
                           a->at.port);
    }
}

bool tb_path_explain_assistants(const struct tb_assistants *a, struct tb_findings *list)
{
    bool usable = false;

    for (uint32_t i = 0; i < a->count; i++) {
        const struct tb_assistant *item = &a->item[i];
        if (item->error) {
            explain_unreachable(item, list);
            continue;
        }
        usable = true;
        tb_findings_add(list, TB_FINDING_OK, "%s on %s captures on %s%s%s", item->welcome.program,
                        item->text, item->welcome.devices, *item->welcome.filter ? ", filter " : "",
                        item->welcome.filter);
        if (!(item->welcome.flags & TB_RELAY_OFFLOADS))
            continue;
        struct tb_finding *f =
            tb_findings_add(list, TB_FINDING_NOTE,
                            "a device of intercept on %s merges packets (GRO, LRO): harmless, but "
                            "the times of responses are coarser",
                            item->text);
        tb_finding_command(f, "sudo ethtool -K %s gro off lro off   (on the assistant)",
                           item->welcome.devices);
    }
    return usable;
}

/* --- what they saw ---------------------------------------------------------------------------- */

/* All sightings of one kind that concern this probe. */
struct sightings {
    const struct tb_assistant *answer, *captured, *forwarded, *redirected, *unreachable, *icmp;
    const struct tb_relay_seen *answer_seen, *forwarded_seen, *icmp_seen;
    const struct tb_assistant *forwarding; /* its host has ip_forward on */
};

static bool to_client(const struct tb_path *p, const struct tb_relay_seen *s)
{
    return tb_addr_eq(&s->dst, &p->probe->client.addr);
}

static void look_at(const struct tb_path *p, const struct tb_assistant *a,
                    const struct tb_relay_seen *s, struct sightings *out)
{
    bool outgoing = s->flags & TB_RELAY_SEEN_OUTGOING;

    bool ours = outgoing && tb_addr_is_v4(&s->src) == tb_addr_is_v4(&p->probe->target.addr);
    if (s->flags & TB_RELAY_SEEN_REDIRECT) {
        if (ours) /* routers before it may well tell shorter ways */
            out->redirected = a;
    } else if (s->flags & TB_RELAY_SEEN_UNREACHABLE) {
        if (ours)
            out->unreachable = a;
    } else if (!to_client(p, s)) {
        return;
    } else if (outgoing) {
        out->forwarded = a;
        out->forwarded_seen = s;
    } else if (s->proto == PROTO_ICMP || s->proto == PROTO_ICMP6) {
        out->icmp = a;
        out->icmp_seen = s;
    } else if (tb_addr_eq(&s->src, &p->probe->target.addr) && s->sport == p->probe->target.port &&
               s->dport == p->probe->client.port) { /* not of an earlier run's sessions */
        out->answer = a;
        /* Of a bridge and its port, or a bond, the captured one counts. */
        if (!out->answer_seen || (s->flags & TB_RELAY_SEEN_CAPTURED))
            out->answer_seen = s;
        if (s->flags & TB_RELAY_SEEN_CAPTURED)
            out->captured = a;
    }
}

static struct sightings collect(const struct tb_path *p)
{
    struct sightings out = {0};
    uint32_t forwards =
        tb_addr_is_v4(&p->probe->target.addr) ? TB_RELAY_FORWARDS_V4 : TB_RELAY_FORWARDS_V6;

    for (uint32_t i = 0; i < p->assistants->count; i++) {
        const struct tb_assistant *a = &p->assistants->item[i];
        if (a->error)
            continue;
        if (a->welcome.flags & forwards)
            out.forwarding = a;
        for (uint32_t k = 0; k < a->seen_count; k++)
            look_at(p, a, &a->seen[k], &out);
    }
    return out;
}

bool tb_path_works(const struct tb_path *p)
{
    if (p->probe->answer == TB_PROBE_OPEN)
        return true;
    if (p->probe->answer != TB_PROBE_SILENCE || !p->assistants)
        return false;
    struct sightings s = collect(p);
    return s.captured && !s.forwarded && !(s.answer_seen->tcp_flags & 4 /* RST */);
}

/* --- findings --------------------------------------------------------------------------------- */

static const char *sysctl_of(const struct tb_path *p)
{
    return tb_addr_is_v4(&p->probe->target.addr) ? "net.ipv4.ip_forward"
                                                 : "net.ipv6.conf.all.forwarding";
}

/* Does the assistant, seen to or not, send on what it must swallow? An answer for one live client
 * that is swallowed tells nothing of others. */
static bool is_forwarding(const struct tb_path *p, const struct sightings *s)
{
    return s->forwarded || s->redirected || s->unreachable || (p->live && s->forwarding);
}

static void explain_forwarding(const struct tb_path *p, const struct sightings *s,
                               struct tb_findings *list)
{
    const struct tb_assistant *a = s->forwarded     ? s->forwarded
                                   : s->redirected  ? s->redirected
                                   : s->unreachable ? s->unreachable
                                                    : s->forwarding;
    struct tb_finding *f;

    if (s->forwarded)
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "the assistant %s forwards the answers to client addresses (through "
                            "%s) instead of swallowing them: their real owners, or routers, reset "
                            "the sessions; %s must be 0 there",
                            a->text, s->forwarded_seen->device, sysctl_of(p));
    else if (s->redirected)
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "the assistant %s sends ICMP redirects about the client addresses: it "
                            "forwards instead of swallowing, and tells the target a way past it; "
                            "%s must be 0 there",
                            a->text, sysctl_of(p));
    else if (p->live && !s->unreachable)
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "the assistant %s forwards (%s is 1): live clients could get what the "
                            "target answers to their copies; intercept is to be started again "
                            "behind the line below",
                            a->text, sysctl_of(p));
    else
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "the assistant %s forwards (%s is 1) instead of swallowing what is for "
                            "the client addresses, and where it cannot, it tells the target so, "
                            "which gives the session up",
                            a->text, sysctl_of(p));
    tb_finding_command(f, "sudo sysctl -w %s=0   (on the assistant)", sysctl_of(p));
}

static bool is_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (!strncmp(at, name, len) && (at[len] == ',' || !at[len]))
            return true;
    return false;
}

/* The answer came to the assistant, but its intercept does not capture it. */
static void explain_uncaptured(const struct tb_path *p, const struct sightings *s,
                               struct tb_findings *list)
{
    const struct tb_relay_welcome *w = &s->answer->welcome;
    const char *device = s->answer_seen->device;
    char target[TB_ADDR_TEXT];
    struct tb_finding *f;

    tb_addr_format(&p->probe->target.addr, target);
    if (is_listed(w->devices, device) || !strcmp(w->devices, "any")) {
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "the answer reaches the assistant on %s, but the filter of intercept "
                            "does not let it pass: -F '%s'",
                            device, w->filter);
        tb_finding_command(f,
                           "sudo intercept -i %s -p %u -F 'src host %s and tcp src port %u'   "
                           "(on the assistant)",
                           w->devices, s->answer->at.port, target, p->probe->target.port);
        return;
    }
    f = tb_findings_add(list, TB_FINDING_WRONG,
                        "the answer reaches the assistant on its device %s, but intercept captures "
                        "on %s",
                        device, w->devices);
    tb_finding_command(f, "sudo intercept -i %s -p %u   (on the assistant)", device,
                       s->answer->at.port);
}

/* The answer came to this host instead. */
static void explain_answered_here(const struct tb_path *p, struct tb_findings *list)
{
    char network[TB_PREFIX_TEXT], assistant[TB_ADDR_TEXT];
    bool v4 = tb_addr_is_v4(&p->probe->target.addr);

    struct tb_finding *f =
        p->live ? tb_findings_add(list, TB_FINDING_WRONG,
                                  "the target sends its answers for live clients' addresses to "
                                  "this host (they arrive on %s), which may hand them to the "
                                  "clients, not to the assistant: correct its route",
                                  p->here.device)
                : tb_findings_add(list, TB_FINDING_WRONG,
                                  "the target sends its answers for the client addresses to this "
                                  "host (they arrive on %s), not to the assistant: correct its "
                                  "route, or use -s local:%s",
                                  p->here.device, p->here.device);
    tb_finding_command(f, "sudo ip%s route replace %s via %s   (on the target)", v4 ? "" : " -6",
                       tb_words_network(p->range, network),
                       tb_addr_format(&p->assistants->item[0].at.addr, assistant));
}

static void list_lost_probe(const struct tb_path *p, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];

    tb_addr_format(&p->probe->client.addr, client);
    struct tb_finding *f =
        tb_findings_add(list, TB_FINDING_NOTE,
                        "possible: packets from the client addresses do not reach the target "
                        "(a missing route, or anti-spoofing in a switch, router or hypervisor)");
    tb_finding_command(f, "sudo tcpdump -ni any host %s   (on the target)", client);
}

static void list_dropping_target(const struct tb_path *p, struct tb_findings *list)
{
    bool v4 = tb_addr_is_v4(&p->probe->target.addr);

    struct tb_finding *f =
        tb_findings_add(list, TB_FINDING_NOTE, "possible: the target drops them (%sa firewall)",
                        v4 ? "reverse-path filtering, or " : "");
    tb_finding_command(f, "%ssudo nft list ruleset   (on the target)",
                       v4 ? "sysctl -ar 'ipv4.*\\.rp_filter'; " : "");
}

static void list_wrong_route(const struct tb_path *p, struct tb_findings *list)
{
    char network[TB_PREFIX_TEXT], assistant[TB_ADDR_TEXT];
    bool v4 = tb_addr_is_v4(&p->probe->target.addr);
    struct tb_finding *f;

    tb_addr_format(&p->assistants->item[0].at.addr, assistant);
    tb_words_network(p->range, network);
    if (p->live)
        f = tb_findings_add(list, TB_FINDING_NOTE,
                            "possible: the target's route for live clients does not lead to the "
                            "assistant, and they get its answers, which they refuse: it needs one "
                            "for every network they come from (or the default one, and one for "
                            "this host)");
    else
        f = tb_findings_add(list, TB_FINDING_NOTE,
                            "possible: the target answers, but not by way of the assistant (its "
                            "route for %s is missing, or leads elsewhere, perhaps to real owners "
                            "of the addresses)",
                            network);
    tb_finding_command(f, "sudo ip%s route replace %s via %s   (on the target)", v4 ? "" : " -6",
                       network, assistant);
}

/* Nobody saw anything: what remains, with the commands that look at it. */
static void list_candidates(const struct tb_path *p, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT], command[TB_WORDS_COMMAND];

    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG,
        "%s answers this host, but no answer for the client address %s was seen, here or on the "
        "assistant: this end cannot tell why. Run the line below on the target, as root, then "
        "--check here again while it watches",
        p->target, tb_addr_format(&p->probe->client.addr, client));
    tb_finding_command(f, "%s", tb_words_check_target(p->o, command));
    if (p->live) /* by far the most common of the three */
        list_wrong_route(p, list);
    list_lost_probe(p, list);
    list_dropping_target(p, list);
    if (!p->live)
        list_wrong_route(p, list);
}

bool tb_path_explain_three(const struct tb_path *p, struct tb_findings *list)
{
    struct sightings s = collect(p);
    char where[TB_ADDR_TEXT];

    if (is_forwarding(p, &s) || (p->probe->answer == TB_PROBE_KILLED && s.forwarding)) {
        explain_forwarding(p, &s, list);
        return true;
    }
    if (p->probe->answer != TB_PROBE_SILENCE)
        return false;
    if (tb_path_works(p)) {
        tb_findings_add(list, TB_FINDING_OK,
                        "intercept on %s sees the answer of %s (a running tcpburn has these client "
                        "addresses, so that the handshake could not be ended)",
                        s.captured->text, p->target);
    } else if (s.answer && !s.captured) {
        explain_uncaptured(p, &s, list);
    } else if (s.icmp) {
        struct tb_finding *f =
            tb_findings_add(list, TB_FINDING_WRONG,
                            "%s answers the client addresses with an ICMP error: a firewall there "
                            "rejects them, or it has no way to the target",
                            tb_addr_format(&s.icmp_seen->src, where));
        tb_finding_command(f, "sudo nft list ruleset   (on %s)", where);
    } else if (p->here.answered) {
        explain_answered_here(p, list);
    } else {
        list_candidates(p, list);
    }
    return true;
}

void tb_path_explain_extras(const struct tb_path *p, struct tb_findings *list)
{
    struct sightings s = collect(p);

    if (is_forwarding(p, &s)) {
        explain_forwarding(p, &s, list);
    } else if (s.forwarding && !p->live) {
        struct tb_finding *f = tb_findings_add(
            list, TB_FINDING_NOTE,
            "the assistant %s forwards packets (%s is 1), though none for the client addresses "
            "were seen to go out: something there swallows them; keep it that way",
            s.forwarding->text, sysctl_of(p));
        tb_finding_command(f, "sudo sysctl -w %s=0   (on the assistant)", sysctl_of(p));
    }
}
