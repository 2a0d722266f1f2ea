/* SPDX-License-Identifier: BSD-2-Clause */
/* What --check and --check-target make of what they saw: made-up cases, no network (core/check). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "check/judge.h"
#include "check/path.h"
#include "check/probe.h"
#include "check/words.h"
#include "packet/view.h"

enum { SYN_ACK = TB_TCP_SYN | TB_TCP_ACK, DEVICE = 2 };

static const uint8_t test_mac[6] = {2, 0, 0, 0, 0, 1}, assistant_mac[6] = {2, 0, 0, 0, 0, 3},
                     stranger_mac[6] = {2, 0, 0, 0, 0, 9};

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;

    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

/* --- the target's side ------------------------------------------------------------------------ */

struct rig {
    struct tb_flow flow;
    struct tb_case c;
    struct tb_rules before, after;
    struct tb_assistants assistants;
    struct tb_io_range range;
    struct tb_findings list;
};

/* A probe's SYN came in; the route leads to the assistant, somebody listens. */
static struct rig *new_rig(void)
{
    struct rig *r = calloc(1, sizeof *r);

    assert_non_null(r);
    r->range = (struct tb_io_range){addr("198.19.0.1"), 65534};
    r->flow =
        (struct tb_flow){.client = {addr("198.19.0.1"), 1024}, .target = {addr("198.18.0.2"), 80}};
    r->flow.syn = (struct tb_sight){.ifindex = DEVICE, .has_macs = true};
    memcpy(r->flow.syn.src_mac, test_mac, 6);
    r->assistants.count = 1;
    r->assistants.item[0].at = (struct tb_endpoint){addr("198.18.0.3"), 36524};
    r->assistants.item[0].error = -1; /* not asked */
    r->before.readable = r->after.readable = true;
    r->c = (struct tb_case){
        .flow = &r->flow,
        .range = &r->range,
        .assistants = &r->assistants,
        .rules_before = &r->before,
        .rules_after = &r->after,
        .route = {.type = RTN_UNICAST, .has_gateway = true, .gateway = addr("198.18.0.3")},
        .in_device = "eth0",
        .out_device = "eth0",
        .listens = true,
        .next_hop = {.state = TB_NEIGHBOUR_KNOWN},
    };
    r->c.assistant[0].state = TB_NEIGHBOUR_KNOWN;
    memcpy(r->c.assistant[0].mac, assistant_mac, 6);
    return r;
}

/* The SYN-ACK left for that MAC address. */
static void answered(struct rig *r, const uint8_t mac[6])
{
    r->flow.syn_acks = 1;
    r->flow.syn_ack = (struct tb_sight){.ifindex = DEVICE, .has_macs = true};
    memcpy(r->flow.syn_ack.dst_mac, mac, 6);
}

/* Judges, expects one finding with these words, forbidding or not, and frees. */
static void expect(struct rig *r, bool wrong, const char *words)
{
    tb_judge(&r->c, &r->list);
    assert_int_equal(r->list.count, 1);
    if (!strstr(r->list.item[0].text, words))
        fail_msg("'%s' is not in: %s", words, r->list.item[0].text);
    assert_int_equal(r->list.item[0].level == TB_FINDING_WRONG, wrong);
    free(r);
}

static void complete_handshake_is_in_order(void **state)
{
    struct rig *r = new_rig();

    answered(r, assistant_mac);
    r->flow.acks = 2;
    expect(r, false, "is complete");
}

static void answer_to_the_assistant_is_in_order_here(void **state)
{
    struct rig *r = new_rig();

    answered(r, assistant_mac);
    expect(r, false, "look at the device (-i) and the filter (-F)");
}

static void answer_to_somebody_else_is_a_wrong_route(void **state)
{
    struct rig *r = new_rig();

    answered(r, stranger_mac);
    expect(r, true, "not by way of the assistant 198.18.0.3");
}

static void answer_that_intercept_captures_came_the_right_way(void **state)
{
    struct rig *r = new_rig();

    answered(r, stranger_mac); /* a router's */
    r->assistants.item[0].error = 0;
    r->assistants.item[0].seen_count = 1;
    r->assistants.item[0].seen[0] = (struct tb_relay_seen){.flags = TB_RELAY_SEEN_CAPTURED,
                                                           .src = addr("198.18.0.2"),
                                                           .dst = addr("198.19.0.1"),
                                                           .sport = 80,
                                                           .dport = 1024};
    expect(r, false, "captures it");
}

static void growing_counter_of_rp_filter_is_the_reason(void **state)
{
    struct rig *r = new_rig();

    r->c.rp_filter = 1;
    r->c.after.reverse_path = 3;
    strcpy(r->c.out_device, "eth1");
    expect(r, true, "the route back leads through eth1");
}

static void strict_rp_filter_alone_is_no_reason(void **state)
{
    struct rig *r = new_rig();

    r->c.rp_filter = 1;
    expect(r, true, "not by reverse-path filtering nor by a rule");
}

static void missing_route_is_the_reason(void **state)
{
    struct rig *r = new_rig();

    r->c.route_error = -101;
    expect(r, true, "no route for the client addresses 198.19.0.0/16");
}

static void rule_whose_counter_grew_is_the_reason(void **state)
{
    struct rig *r = new_rig();
    static const char text[] = "table inet f {\n chain i {\n"
                               "  type filter hook input priority filter; policy accept;\n"
                               "  ip saddr 10.0.0.0/8 counter packets 5 bytes 200 drop\n"
                               "  ip saddr 198.19.0.0/16 counter packets %d bytes 0 drop\n }\n}\n";
    char listing[512];

    snprintf(listing, sizeof listing, text, 0);
    tb_rules_parse_nft(&r->before, listing);
    snprintf(listing, sizeof listing, text, 3);
    tb_rules_parse_nft(&r->after, listing);
    expect(r, true, "rule 'ip saddr 198.19.0.0/16 counter packets 3 bytes 0 drop' of inet f i");
}

static void rule_that_counts_and_stood_still_is_not_suspected(void **state)
{
    struct rig *r = new_rig();
    static const char text[] = "table inet f {\n chain i {\n"
                               "  type filter hook input priority filter; policy accept;\n"
                               "  ip saddr 10.0.0.0/8 counter packets 5 bytes 200 drop\n"
                               "  ct state invalid drop\n }\n"
                               " chain fwd {\n  type filter hook forward priority 0; policy drop;\n"
                               " }\n}\n";

    tb_rules_parse_nft(&r->before, text);
    tb_rules_parse_nft(&r->after, text);
    assert_int_equal(r->after.count, 3);
    assert_true(r->after.rule[1].conntrack);
    assert_true(r->after.rule[2].forward);
    expect(r, true, "it may be 'ct state invalid drop' of inet f i");
}

static void reset_from_elsewhere_is_the_owner_of_the_address(void **state)
{
    struct rig *r = new_rig();
    struct tb_sight rst = {.kind = TB_SIGHT_TCP,
                           .ifindex = DEVICE,
                           .has_macs = true,
                           .flags = TB_TCP_RST,
                           .src = r->flow.client.addr,
                           .dst = r->flow.target.addr,
                           .sport = 1024,
                           .dport = 80};

    answered(r, stranger_mac);
    memcpy(rst.src_mac, stranger_mac, 6);
    assert_true(tb_flow_take(&r->flow, &rst, 1));
    expect(r, true, "owns the client address 198.19.0.1 (seen from 02:00:00:00:00:09)");
}

static void marked_reset_without_acks_means_a_stateful_firewall(void **state)
{
    struct rig *r = new_rig();
    struct tb_sight rst = {.kind = TB_SIGHT_TCP,
                           .flags = TB_TCP_RST,
                           .window = TB_PROBE_MARK,
                           .src = r->flow.client.addr,
                           .dst = r->flow.target.addr,
                           .sport = 1024,
                           .dport = 80};

    answered(r, assistant_mac);
    assert_true(tb_flow_take(&r->flow, &rst, 1));
    assert_true(tb_flow_reacted(&r->flow));
    expect(r, true, "conntrack");
}

static void redirect_to_the_assistant_is_harmless(void **state)
{
    struct rig *r = new_rig();

    answered(r, stranger_mac);
    r->flow.acks = 1;
    r->flow.redirected = true;
    r->flow.reporter = addr("198.18.0.4");
    r->flow.instead = addr("198.18.0.3");
    expect(r, false, "is complete");
}

static void redirect_past_the_assistant_is_forwarding(void **state)
{
    struct rig *r = new_rig();

    answered(r, assistant_mac);
    r->flow.redirected = true;
    r->flow.reporter = addr("198.18.0.3");
    r->flow.instead = addr("198.18.0.1");
    expect(r, true, "198.18.0.3 sends ICMP redirects");
}

static void refusal_without_a_listener_is_a_missing_server(void **state)
{
    struct rig *r = new_rig();

    r->flow.refusals = 1;
    r->c.listens = false;
    expect(r, true, "nothing listens on port 80");
}

static void refusal_with_a_listener_is_a_firewall(void **state)
{
    struct rig *r = new_rig();

    r->flow.refusals = 1;
    expect(r, true, "firewall");
}

/* --- the test host's side --------------------------------------------------------------------- */

struct view {
    struct tb_options o;
    struct tb_probe probe;
    struct tb_io_range range;
    struct tb_assistants assistants;
    struct tb_path path;
    struct tb_findings list;
    struct tb_range clients[1];
    char *servers[1];
};

static struct view *new_view(enum tb_probe_answer answer)
{
    struct view *v = calloc(1, sizeof *v);

    assert_non_null(v);
    v->range = (struct tb_io_range){addr("198.19.0.1"), 65534};
    v->clients[0] = (struct tb_range){v->range.first, v->range.count};
    v->servers[0] = (char *) "198.18.0.3";
    v->o.clients = v->clients;
    v->o.client_count = 1;
    v->o.intercepts = (struct tb_strings){v->servers, 1};
    v->o.intercept_port = 36524;
    v->probe = (struct tb_probe){
        .client = {addr("198.19.0.1"), 1024}, .target = {addr("198.18.0.2"), 80}, .answer = answer};
    v->assistants.count = 1;
    v->assistants.item[0].at = (struct tb_endpoint){addr("198.18.0.3"), 36524};
    strcpy(v->assistants.item[0].text, "198.18.0.3:36524");
    strcpy(v->assistants.item[0].welcome.devices, "eth0,eth2");
    v->path = (struct tb_path){.o = &v->o,
                               .mode = TB_MODE_INTERCEPT,
                               .target = "198.18.0.2:80",
                               .range = &v->range,
                               .probe = &v->probe,
                               .here = {.looked = true, .left = true},
                               .assistants = &v->assistants};
    return v;
}

/* The assistant saw something for the client, on eth0. */
static void seen(struct view *v, uint32_t flags, const char *device, uint16_t dport)
{
    struct tb_assistant *a = &v->assistants.item[0];
    struct tb_relay_seen *s = &a->seen[a->seen_count++];

    *s = (struct tb_relay_seen){.flags = flags,
                                .src = v->probe.target.addr,
                                .dst = v->probe.client.addr,
                                .sport = 80,
                                .dport = dport,
                                .proto = TB_PROTO_TCP,
                                .tcp_flags = SYN_ACK};
    strcpy(s->device, device);
}

static void expect_first(struct view *v, enum tb_finding_level level, const char *words)
{
    tb_path_explain(&v->path, &v->list);
    assert_true(v->list.count > 0);
    if (!strstr(v->list.item[0].text, words))
        fail_msg("'%s' is not in: %s", words, v->list.item[0].text);
    assert_int_equal(v->list.item[0].level, level);
    free(v);
}

static void silence_that_nobody_can_explain_lists_candidates(void **state)
{
    struct view *v = new_view(TB_PROBE_SILENCE);

    assert_false(tb_path_works(&v->path));
    tb_path_explain(&v->path, &v->list);
    assert_int_equal(v->list.count, 4);
    assert_string_equal(v->list.item[0].command,
                        "tcpburn --check-target -c 198.19.0.0/16 -s 198.18.0.3");
    for (uint32_t i = 1; i < 4; i++)
        assert_int_equal(v->list.item[i].level, TB_FINDING_NOTE);
    free(v);
}

/* tcpcopy without -c: 203.0.113.1 stands for the live clients. */
static struct view *new_live_view(void)
{
    struct view *v = new_view(TB_PROBE_SILENCE);

    v->path.live = true;
    v->probe.client.addr = addr("203.0.113.1");
    v->range = (struct tb_io_range){v->probe.client.addr, 1};
    v->clients[0] = (struct tb_range){v->probe.client.addr, 1};
    return v;
}

static void silence_for_a_live_client_is_first_of_all_a_missing_route(void **state)
{
    struct view *v = new_live_view();

    tb_path_explain(&v->path, &v->list);
    assert_int_equal(v->list.count, 4);
    assert_string_equal(v->list.item[0].command,
                        "tcpburn --check-target -c 203.0.113.1 -s 198.18.0.3");
    assert_non_null(strstr(v->list.item[1].text, "route for live clients"));
    assert_non_null(
        strstr(v->list.item[1].command, "ip route replace 203.0.113.1/32 via 198.18.0.3"));
    free(v);
}

static void live_clients_are_not_to_be_answered_by_this_host(void **state)
{
    struct view *v = new_live_view();

    v->path.here.answered = true;
    strcpy(v->path.here.device, "eth0");
    tb_path_explain(&v->path, &v->list);
    assert_non_null(strstr(v->list.item[0].text, "to this host (they arrive on eth0)"));
    assert_null(strstr(v->list.item[0].text, "-s local"));
    free(v);
}

static void answer_that_the_filter_hides_is_told(void **state)
{
    struct view *v = new_view(TB_PROBE_SILENCE);

    seen(v, 0, "eth2", 1024);
    expect_first(v, TB_FINDING_WRONG, "the filter of intercept does not let it pass");
}

static void answer_on_another_device_is_told(void **state)
{
    struct view *v = new_view(TB_PROBE_SILENCE);

    seen(v, 0, "eth1", 1024);
    expect_first(v, TB_FINDING_WRONG, "on its device eth1, but intercept captures on eth0,eth2");
}

static void answer_that_another_run_got_is_fine(void **state)
{
    struct view *v = new_view(TB_PROBE_SILENCE);

    seen(v, 0, "br0", 1024); /* of the bridge above the device */
    seen(v, TB_RELAY_SEEN_CAPTURED, "eth0", 1024);
    assert_true(tb_path_works(&v->path));
    expect_first(v, TB_FINDING_OK, "sees the answer");
}

static void packets_of_other_sessions_are_no_answer(void **state)
{
    struct view *v = new_view(TB_PROBE_SILENCE);

    seen(v, TB_RELAY_SEEN_CAPTURED, "eth0", 1025);
    assert_false(tb_path_works(&v->path));
    expect_first(v, TB_FINDING_WRONG, "this end cannot tell why");
}

static void answer_that_is_sent_on_is_forwarding(void **state)
{
    struct view *v = new_view(TB_PROBE_KILLED);

    seen(v, TB_RELAY_SEEN_CAPTURED, "eth0", 1024);
    seen(v, TB_RELAY_SEEN_OUTGOING, "eth1", 1024);
    expect_first(v, TB_FINDING_WRONG, "forwards the answers to client addresses (through eth1)");
}

/* Swallowed by something, for the probe's address: others may not be. */
static void an_assistant_that_forwards_is_wrong_for_live_clients_only(void **state)
{
    for (unsigned live = 0; live < 2; live++) {
        struct view *v = live ? new_live_view() : new_view(TB_PROBE_SILENCE);
        seen(v, TB_RELAY_SEEN_CAPTURED, "eth0", 1024);
        v->assistants.item[0].welcome.flags = TB_RELAY_FORWARDS_V4;
        tb_path_explain_extras(&v->path, &v->list);
        assert_int_equal(v->list.count, 1);
        assert_non_null(strstr(v->list.item[0].text, "(net.ipv4.ip_forward is 1)"));
        assert_int_equal(v->list.item[0].level, live ? TB_FINDING_WRONG : TB_FINDING_NOTE);
        free(v);
    }
}

static void answer_to_this_host_is_a_wrong_route(void **state)
{
    struct view *v = new_view(TB_PROBE_SILENCE);

    v->path.here.answered = true;
    strcpy(v->path.here.device, "eth0");
    expect_first(v, TB_FINDING_WRONG, "to this host (they arrive on eth0), not to the assistant");
}

static void rewritten_source_is_nat_here(void **state)
{
    struct view *v = new_view(TB_PROBE_SILENCE);

    v->path.here = (struct tb_path_here){.looked = true, .changed = true, .as = addr("10.0.0.7")};
    expect_first(v, TB_FINDING_WRONG, "leaves as from 10.0.0.7");
}

static void refused_segments_after_the_handshake_are_conntrack_here(void **state)
{
    struct view *v = new_view(TB_PROBE_DEAF);

    v->path.refused_sends = 3;
    expect_first(v, TB_FINDING_WRONG, "this host's own packet filter refuses");
}

/* --- reading ---------------------------------------------------------------------------------- */

static void counters_are_found_by_section_and_name(void **state)
{
    static const char netstat[] = "TcpExt: SyncookiesSent ListenDrops IPReversePathFilter\n"
                                  "TcpExt: 1 22 333\n"
                                  "IpExt: InNoRoutes ListenDrops\nIpExt: 7 8\n";
    static const char conntrack[] = "entries  clashres found new invalid ignore\n"
                                    "00000001  00000000 00000000 00000000 0000000a 0\n"
                                    "00000001  00000000 00000000 00000000 00000010 0\n";

    assert_int_equal(tb_kernel_pair(netstat, "TcpExt", "IPReversePathFilter"), 333);
    assert_int_equal(tb_kernel_pair(netstat, "IpExt", "ListenDrops"), 8);
    assert_int_equal(tb_kernel_pair(netstat, "TcpExt", "InNoRoutes"), 0);
    assert_int_equal(tb_kernel_column(conntrack, "invalid"), 26);
    assert_int_equal(tb_kernel_column(conntrack, "absent"), 0);
    assert_int_equal(tb_kernel_column("invalid", "invalid"), 0);
}

static void iptables_rules_and_policies_are_read(void **state)
{
    struct tb_rules *f = calloc(1, sizeof *f);

    tb_rules_parse_iptables(f, "*filter\n:INPUT DROP [12:720]\n:OUTPUT ACCEPT [0:0]\n"
                               "[3:180] -A INPUT -s 198.19.0.0/16 -j DROP\n"
                               "[0:0] -A FORWARD -j REJECT --reject-with icmp-port-unreachable\n"
                               "[1:60] -A POSTROUTING -o eth0 -j MASQUERADE\nCOMMIT\n");
    assert_int_equal(f->count, 4);
    assert_string_equal(f->rule[0].text, "policy DROP");
    assert_int_equal(f->rule[1].packets, 3);
    assert_true(f->rule[2].forward);
    assert_int_equal(f->rule[3].effect, TB_RULE_NAT);
    free(f);
}

static void sets_and_names_are_no_rules(void **state)
{
    struct tb_rules *f = calloc(1, sizeof *f);

    tb_rules_parse_nft(f, "table ip drop {\n set s {\n  type ipv4_addr\n  elements = { 1.2.3.4 }\n"
                          " }\n chain drop {\n  ip saddr @s accept\n  jump dropped\n }\n}\n");
    assert_int_equal(f->count, 0);
    free(f);
}

static void ranges_are_said_as_short_as_can_be(void **state)
{
    struct view *v = new_view(TB_PROBE_OPEN);
    char text[TB_WORDS_COMMAND];

    v->clients[0] = (struct tb_range){addr("198.19.0.5"), 3};
    assert_string_equal(tb_words_check_target(&v->o, text),
                        "tcpburn --check-target -c 198.19.0.5-198.19.0.7 -s 198.18.0.3");
    v->clients[0] = (struct tb_range){addr("198.19.0.5"), 1};
    assert_string_equal(tb_words_check_target(&v->o, text),
                        "tcpburn --check-target -c 198.19.0.5 -s 198.18.0.3");
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_handshake_is_in_order),
        cmocka_unit_test(answer_to_the_assistant_is_in_order_here),
        cmocka_unit_test(answer_to_somebody_else_is_a_wrong_route),
        cmocka_unit_test(answer_that_intercept_captures_came_the_right_way),
        cmocka_unit_test(growing_counter_of_rp_filter_is_the_reason),
        cmocka_unit_test(strict_rp_filter_alone_is_no_reason),
        cmocka_unit_test(missing_route_is_the_reason),
        cmocka_unit_test(rule_whose_counter_grew_is_the_reason),
        cmocka_unit_test(rule_that_counts_and_stood_still_is_not_suspected),
        cmocka_unit_test(reset_from_elsewhere_is_the_owner_of_the_address),
        cmocka_unit_test(marked_reset_without_acks_means_a_stateful_firewall),
        cmocka_unit_test(redirect_to_the_assistant_is_harmless),
        cmocka_unit_test(redirect_past_the_assistant_is_forwarding),
        cmocka_unit_test(refusal_without_a_listener_is_a_missing_server),
        cmocka_unit_test(refusal_with_a_listener_is_a_firewall),
        cmocka_unit_test(silence_that_nobody_can_explain_lists_candidates),
        cmocka_unit_test(silence_for_a_live_client_is_first_of_all_a_missing_route),
        cmocka_unit_test(live_clients_are_not_to_be_answered_by_this_host),
        cmocka_unit_test(answer_that_the_filter_hides_is_told),
        cmocka_unit_test(answer_on_another_device_is_told),
        cmocka_unit_test(answer_that_another_run_got_is_fine),
        cmocka_unit_test(packets_of_other_sessions_are_no_answer),
        cmocka_unit_test(answer_that_is_sent_on_is_forwarding),
        cmocka_unit_test(an_assistant_that_forwards_is_wrong_for_live_clients_only),
        cmocka_unit_test(answer_to_this_host_is_a_wrong_route),
        cmocka_unit_test(rewritten_source_is_nat_here),
        cmocka_unit_test(refused_segments_after_the_handshake_are_conntrack_here),
        cmocka_unit_test(counters_are_found_by_section_and_name),
        cmocka_unit_test(iptables_rules_and_policies_are_read),
        cmocka_unit_test(sets_and_names_are_no_rules),
        cmocka_unit_test(ranges_are_said_as_short_as_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
