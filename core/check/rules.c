/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packet filter's rules from the listings that people read; see rules.h. Listings, and not the
 * kernel's interface: they show every table of nft, those of iptables-nft and of the old iptables
 * alike, with the words a user finds again in them.
 */
#include "check/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTING_MAX = 4 << 20 };

/* --- one rule --------------------------------------------------------------------------------- */

/* Is `word` in the line, standing alone? */
static bool has_word(const char *line, const char *word)
{
    static const char between[] = " \t;,{}";
    size_t len = strlen(word);

    for (const char *at = strstr(line, word); at; at = strstr(at + 1, word)) {
        bool begins = at == line || strchr(between, at[-1]);
        bool ends = !at[len] || strchr(between, at[len]);
        if (begins && ends)
            return true;
    }
    return false;
}

static void add(struct tb_rules *f, enum tb_rule_effect effect, const char *chain, const char *line)
{
    if (f->count == TB_RULES_MAX)
        return;
    struct tb_rule *r = &f->rule[f->count++];
    *r = (struct tb_rule){.effect = effect};
    snprintf(r->chain, sizeof r->chain, "%s", chain);
    snprintf(r->text, sizeof r->text, "%s", line);
    r->conntrack = strstr(line, "ct state") || strstr(line, "--ctstate") || strstr(line, "--state");
    const char *counter = strstr(line, "counter packets ");
    r->has_counter = counter != NULL;
    if (counter)
        r->packets = strtoull(counter + strlen("counter packets "), NULL, 10);
}

/* --- nft -------------------------------------------------------------------------------------- */

static void parse_nft_line(struct tb_rules *f, const char *chain, const char *line)
{
    if (!strncmp(line, "type ", 5)) {
        if (strstr(line, "policy drop"))
            add(f, TB_RULE_DROP, chain, "policy drop");
    } else if (has_word(line, "drop") || strstr(line, "DROP")) {
        add(f, TB_RULE_DROP, chain, line);
    } else if (has_word(line, "reject") || strstr(line, "REJECT")) {
        add(f, TB_RULE_REJECT, chain, line);
    } else if (has_word(line, "masquerade") || has_word(line, "snat") ||
               strstr(line, "MASQUERADE") || strstr(line, "SNAT")) {
        add(f, TB_RULE_NAT, chain, line);
    }
}

void tb_rules_parse_nft(struct tb_rules *f, const char *text)
{
    char line[512], table[TB_RULE_CHAIN / 2] = "", chain[TB_RULE_CHAIN] = "";
    int depth = 0; /* 1: in a table; 2: in a chain, set or map */
    bool forward = false;

    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        const char *from = at + strspn(at, " \t");
        size_t have = from < at + len ? (size_t) (at + len - from) : 0;
        snprintf(line, sizeof line, "%.*s", (int) (have < sizeof line ? have : sizeof line - 1),
                 from);
        at += at[len] ? len + 1 : len;
        char name[TB_RULE_CHAIN / 2 - 1];
        if (sscanf(line, "table %38[^{\n]", name) == 1)
            snprintf(table, sizeof table, "%s", name);
        else if (sscanf(line, "chain %38s", name) == 1)
            snprintf(chain, sizeof chain, "%s%s", table, name);
        else if (depth == 2 && *chain) {
            uint32_t before = f->count;
            forward |= strstr(line, "hook forward") != NULL;
            parse_nft_line(f, chain, line);
            if (f->count > before)
                f->rule[before].forward = forward;
        }
        for (const char *c = line; *c; c++)
            depth += (*c == '{') - (*c == '}');
        if (depth < 2) {
            *chain = '\0';
            forward = false;
        }
    }
}

/* --- iptables --------------------------------------------------------------------------------- */

/* "[12:720] -A INPUT -s 10.0.0.0/8 -j DROP" and ":INPUT DROP [12:720]" */
void tb_rules_parse_iptables(struct tb_rules *f, const char *text)
{
    for (const char *at = text; *at;) {
        char line[512], chain[32] = "", policy[16] = "";
        unsigned long long packets = 0;
        size_t len = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int) (len < sizeof line ? len : sizeof line - 1), at);
        at += at[len] ? len + 1 : len;
        uint32_t before = f->count;
        if (sscanf(line, ":%31s %15s [%llu:", chain, policy, &packets) == 3) {
            if (!strcmp(policy, "DROP"))
                add(f, TB_RULE_DROP, chain, "policy DROP");
        } else if (sscanf(line, "[%llu:%*u] -A %31s", &packets, chain) == 2) {
            const char *rule = strstr(line, "-A ");
            if (strstr(line, "-j DROP"))
                add(f, TB_RULE_DROP, chain, rule);
            else if (strstr(line, "-j REJECT"))
                add(f, TB_RULE_REJECT, chain, rule);
            else if (strstr(line, "-j MASQUERADE") || strstr(line, "-j SNAT"))
                add(f, TB_RULE_NAT, chain, rule);
        }
        if (f->count > before) {
            f->rule[before].has_counter = true;
            f->rule[before].packets = packets;
            f->rule[before].forward = !strcmp(chain, "FORWARD");
        }
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

/* What a command prints, to be freed; NULL when it failed. */
static char *output_of(const char *command)
{
    FILE *pipe = popen(command, "re");
    char *text = pipe ? malloc(LISTING_MAX) : NULL;
    size_t len = text ? fread(text, 1, LISTING_MAX - 1, pipe) : 0;
    int status = pipe ? pclose(pipe) : -1;

    if (!text || status) {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    return text;
}

void tb_rules_read(struct tb_rules *out)
{
    /* The path: su leaves the administrator's folders out. */
#define COMMAND(c) "PATH=$PATH:/usr/sbin:/sbin " c " 2>/dev/null"
    static const char *const iptables[] = {COMMAND("iptables-legacy-save -c"),
                                           COMMAND("ip6tables-legacy-save -c")};
    char *text = output_of(COMMAND("nft list ruleset"));

    out->count = 0;
    out->readable = text != NULL;
    if (text)
        tb_rules_parse_nft(out, text);
    free(text);
    for (unsigned i = 0; i < sizeof iptables / sizeof *iptables; i++) {
        text = output_of(iptables[i]);
        if (!text)
            continue;
        out->readable = true;
        tb_rules_parse_iptables(out, text);
        free(text);
    }
}

const struct tb_rule *tb_rules_grown(const struct tb_rules *before, const struct tb_rules *after,
                                     enum tb_rule_effect effect)
{
    const struct tb_rule *best = NULL;
    uint64_t most = 0;

    /* Rules that came or went in between make the lists incomparable. */
    if (before->count != after->count)
        return NULL;
    for (uint32_t i = 0; i < after->count; i++) {
        const struct tb_rule *r = &after->rule[i];
        if (r->effect != effect || !r->has_counter || r->packets <= before->rule[i].packets)
            continue;
        if (r->packets - before->rule[i].packets > most) {
            most = r->packets - before->rule[i].packets;
            best = r;
        }
    }
    return best;
}
