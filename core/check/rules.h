/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of this host's packet filter may stop a packet: rules that drop, reject or rewrite, as nft
 * (and iptables-legacy-save) list them. Reads only. Called by the checks.
 */
#ifndef TB_CHECK_RULES_H
#define TB_CHECK_RULES_H

#include <stdbool.h>
#include <stdint.h>

enum tb_rule_effect {
    TB_RULE_DROP,
    TB_RULE_REJECT,
    TB_RULE_NAT /* masquerade, snat */
};

enum { TB_RULES_MAX = 256, TB_RULE_TEXT = 200, TB_RULE_CHAIN = 80 };

struct tb_rule {
    enum tb_rule_effect effect;
    bool has_counter;
    bool conntrack; /* it asks for a packet's state: "ct state invalid" */
    bool forward;   /* it sees only packets that pass through this host */
    uint64_t packets;
    char chain[TB_RULE_CHAIN]; /* "inet filter input" */
    char text[TB_RULE_TEXT];   /* as listed; "policy drop" for a chain's own */
};

struct tb_rules {
    bool readable; /* nft or iptables is there and answered */
    uint32_t count;
    struct tb_rule rule[TB_RULES_MAX];
};

void tb_rules_read(struct tb_rules *out);

/* Add what is in the output of `nft list ruleset`, or of iptables-save -c. */
void tb_rules_parse_nft(struct tb_rules *f, const char *text);
void tb_rules_parse_iptables(struct tb_rules *f, const char *text);

/* The rule of `after` whose counter has grown most since `before` and whose effect is this; NULL:
 * none. */
const struct tb_rule *tb_rules_grown(const struct tb_rules *before, const struct tb_rules *after,
                                     enum tb_rule_effect effect);

#endif
