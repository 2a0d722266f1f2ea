/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From what a probe met to findings, for --tun and -s local:IFACE, and what all modes share; see
 * path.h. three.c does it for -s ASSISTANT.
 */
#include "check/path.h"

#include "check/host.h"
#include "check/words.h"

static bool is_v4(const struct tb_path *p)
{
    return tb_addr_is_v4(&p->probe->target.addr);
}

/* --- what all modes share --------------------------------------------------------------------- */

/* Connection tracking and NAT leave packets alone that are not tracked. */
static void advise_notrack(struct tb_finding *f, const struct tb_path *p)
{
    char network[TB_PREFIX_TEXT];

    tb_finding_command(
        f,
        "sudo nft 'add table inet tcpburn; add chain inet tcpburn out { type filter "
        "hook output priority raw; }; add rule inet tcpburn out %s saddr %s notrack'",
        is_v4(p) ? "ip" : "ip6", tb_words_network(p->range, network));
}

bool tb_path_explain_sending(const struct tb_path *p, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT], as[TB_ADDR_TEXT];
    struct tb_finding *f;

    tb_addr_format(&p->probe->client.addr, client);
    if (p->probe->answer == TB_PROBE_SILENCE && p->here.looked && p->here.changed) {
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "this host rewrites client addresses: what %s sends leaves as from %s "
                            "(masquerading, SNAT): exempt the client addresses, or send with "
                            "--pcap-send",
                            client, tb_addr_format(&p->here.as, as));
        advise_notrack(f, p);
        return true;
    }
    if (p->refused_sends) {
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "this host's own packet filter refuses to send packets from %s%s: "
                            "exempt the client addresses, or send with --pcap-send",
                            client,
                            p->probe->answer == TB_PROBE_DEAF
                                ? ", because connection tracking (conntrack) sees one direction "
                                  "only and takes them for INVALID"
                                : "");
        if (p->probe->answer == TB_PROBE_DEAF)
            advise_notrack(f, p);
        else
            tb_finding_command(f, "sudo nft list ruleset; sudo iptables -S OUTPUT");
        return true;
    }
    if (p->probe->answer == TB_PROBE_SILENCE && p->here.looked && !p->here.left) {
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "what %s sends does not leave this host: its packet filter drops it; "
                            "exempt the client addresses, or send with --pcap-send",
                            client);
        tb_finding_command(f, "sudo nft list ruleset; sudo iptables -t mangle -S POSTROUTING");
        return true;
    }
    return false;
}

static void advise_check_target(struct tb_finding *f, const struct tb_path *p)
{
    char command[TB_WORDS_COMMAND];

    if (p->mode != TB_MODE_TUN)
        tb_finding_command(f, "%s", tb_words_check_target(p->o, command));
}

static void explain_deaf(const struct tb_path *p, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];

    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG,
        "%s answers the SYN of %s, but nothing that follows: a firewall between here and there "
        "sees one direction only, and its connection tracking (conntrack) drops the rest as "
        "INVALID; let the client addresses pass without tracking, or through another way",
        p->target, tb_addr_format(&p->probe->client.addr, client));
    advise_check_target(f, p);
}

static void explain_killed(const struct tb_path *p, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];

    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG,
        "%s answers %s, but the connection is reset at once: a real owner of the address resets "
        "it, the host that gets the answers reports them undeliverable, or the server turns this "
        "address away",
        p->target, tb_addr_format(&p->probe->client.addr, client));
    advise_check_target(f, p);
}

static void explain_refused(const struct tb_path *p, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];

    struct tb_finding *f =
        tb_findings_add(list, TB_FINDING_WRONG,
                        "%s answers this host, but resets connections from %s: a firewall or the "
                        "server's access list refuses the client addresses",
                        p->target, tb_addr_format(&p->probe->client.addr, client));
    advise_check_target(f, p);
}

/* --- silence, without an intercept ------------------------------------------------------------ */

static void explain_local_silence(const struct tb_path *p, struct tb_findings *list)
{
    char network[TB_PREFIX_TEXT], here[TB_ADDR_TEXT] = "THIS-HOST", command[TB_WORDS_COMMAND];
    struct tb_addr address;

    tb_words_network(p->range, network);
    if (tb_host_address_of(p->o->local_device, is_v4(p), &address))
        tb_addr_format(&address, here);
    struct tb_finding *f = tb_findings_add(
        list, TB_FINDING_WRONG,
        "%s answers this host, but not the client addresses %s: the target needs a route for them "
        "through this host",
        p->target, network);
    tb_finding_command(f, "sudo ip%s route add %s via %s   (on the target)", is_v4(p) ? "" : " -6",
                       network, here);
    if (is_v4(p)) {
        f = tb_findings_add(list, TB_FINDING_NOTE,
                            "with that route in place already: the target may drop packets by "
                            "reverse-path filtering, or a firewall may");
        tb_finding_command(f, "sudo sysctl -w net.ipv4.conf.all.rp_filter=0 "
                              "net.ipv4.conf.DEVICE.rp_filter=0   (on the target)");
    }
    f = tb_findings_add(list, TB_FINDING_NOTE,
                        "the target itself can tell: run this there, and then --check here again");
    tb_finding_command(f, "%s", tb_words_check_target(p->o, command));
}

static void explain_tun_silence(const struct tb_path *p, struct tb_findings *list)
{
    char network[TB_PREFIX_TEXT];
    int all = tb_host_sysctl("net/ipv4/conf/all/rp_filter");
    int preset = tb_host_sysctl("net/ipv4/conf/default/rp_filter");
    struct tb_finding *f;

    tb_findings_add(list, TB_FINDING_WRONG, "%s answers this host, but not the client addresses %s",
                    p->target, tb_words_network(p->range, network));
    if (is_v4(p) && (all == 1 || preset == 1)) {
        f = tb_findings_add(list, TB_FINDING_NOTE,
                            "reverse-path filtering is strict here (rp_filter: all %d, default %d) "
                            "and may drop packets from client addresses",
                            all, preset);
        tb_finding_command(f, "sudo sysctl -w net.ipv4.conf.all.rp_filter=0 "
                              "net.ipv4.conf.default.rp_filter=0");
    }
    f = tb_findings_add(list, TB_FINDING_NOTE,
                        "a packet filter here may drop packets from client addresses: let them "
                        "pass");
    tb_finding_command(f, "sudo nft list ruleset; sudo iptables -S");
}

/* --- all of it -------------------------------------------------------------------------------- */

void tb_path_explain(const struct tb_path *p, struct tb_findings *list)
{
    char client[TB_ADDR_TEXT];

    switch (p->probe->answer) {
    case TB_PROBE_OPEN:
        tb_findings_add(list, TB_FINDING_OK, "handshake from %s to %s took %llu us",
                        tb_addr_format(&p->probe->client.addr, client), p->target,
                        (unsigned long long) p->probe->took_us);
        break;
    case TB_PROBE_REFUSED:
        explain_refused(p, list);
        break;
    case TB_PROBE_KILLED:
        if (!p->assistants || !tb_path_explain_three(p, list))
            explain_killed(p, list);
        break;
    case TB_PROBE_DEAF:
        if (!tb_path_explain_sending(p, list))
            explain_deaf(p, list);
        break;
    case TB_PROBE_SILENCE:
        if (tb_path_explain_sending(p, list))
            break;
        if (p->assistants)
            tb_path_explain_three(p, list);
        else if (p->mode == TB_MODE_LOCAL)
            explain_local_silence(p, list);
        else
            explain_tun_silence(p, list);
        break;
    }
}
