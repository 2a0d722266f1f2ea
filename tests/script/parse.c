/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads a TCP script. One statement a line; see README.md and script.h. */
#include "script.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where we are in a line. */
struct in {
    struct scr *s;
    char *at;
    unsigned line;
    char *why;
    bool failed;
};

static bool fail(struct in *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The first failure of a line is told. Always false. */
static bool fail(struct in *in, const char *fmt, ...)
{
    va_list args;

    if (in->failed)
        return false;
    in->failed = true;
    int n = snprintf(in->why, SCR_WHY, "line %u: ", in->line);
    va_start(args, fmt);
    vsnprintf(in->why + n, SCR_WHY - (size_t) n, fmt, args);
    va_end(args);
    return false;
}

static void skip_space(struct in *in)
{
    while (*in->at == ' ' || *in->at == '\t')
        in->at++;
}

/* Is this word (or sign) next? Then step over it. */
static bool accept(struct in *in, const char *word)
{
    size_t n = strlen(word);

    skip_space(in);
    if (strncmp(in->at, word, n) != 0 ||
        (isalpha((unsigned char) word[n - 1]) && isalnum((unsigned char) in->at[n])))
        return false;
    in->at += n;
    return true;
}

static void expect(struct in *in, const char *word)
{
    if (!accept(in, word))
        fail(in, "expected \"%s\" at \"%s\"", word, in->at);
}

static uint32_t number(struct in *in)
{
    char *end;

    skip_space(in);
    unsigned long long v = strtoull(in->at, &end, 0);
    if (!isdigit((unsigned char) *in->at) || v > UINT32_MAX)
        fail(in, "expected a number at \"%s\"", in->at);
    in->at = end;
    return (uint32_t) v;
}

/* Seconds. */
static uint64_t duration_us(struct in *in)
{
    char *end;

    skip_space(in);
    double v = strtod(in->at, &end);
    if (end == in->at || v < 0 || v > 1e6)
        fail(in, "expected seconds at \"%s\"", in->at);
    in->at = end;
    return (uint64_t) (v * 1e6 + 0.5);
}

/* A string in quotes, unescaped in place. */
static const char *quoted(struct in *in)
{
    expect(in, "\"");
    char *begin = in->at, *out = begin;
    while (*in->at && *in->at != '"') {
        char c = *in->at++;
        if (c == '\\' && *in->at) {
            c = *in->at++;
            c = c == 'r' ? '\r' : c == 'n' ? '\n' : c;
        }
        *out++ = c;
    }
    if (*in->at != '"')
        fail(in, "a string without end");
    else
        in->at++;
    *out = 0;
    return begin;
}

/* --- segments --------------------------------------------------------------------------------- */

static uint8_t flags(struct in *in)
{
    static const char letters[] = "FSRP.UEC"; /* in the order of the bits */
    uint8_t bits = 0;

    skip_space(in);
    while (*in->at && *in->at != ' ') {
        const char *l = strchr(letters, *in->at++);
        if (!l) {
            fail(in, "unknown flag '%c'", in->at[-1]);
            return 0;
        }
        bits |= (uint8_t) (1u << (l - letters));
    }
    return bits;
}

static void raw_option(struct in *in, struct scr_option *o)
{
    o->kind = SCR_OPT_RAW;
    skip_space(in);
    while (isxdigit((unsigned char) in->at[0]) && isxdigit((unsigned char) in->at[1])) {
        char pair[3] = {in->at[0], in->at[1], 0};
        if (o->count == sizeof o->raw) {
            fail(in, "too many option bytes");
            return;
        }
        o->raw[o->count++] = (uint8_t) strtoul(pair, NULL, 16);
        in->at += 2;
    }
}

static void option(struct in *in, struct scr_option *o)
{
    o->count = 1;
    if (accept(in, "mss")) {
        o->kind = SCR_OPT_MSS;
        o->value[0] = number(in);
    } else if (accept(in, "wscale")) {
        o->kind = SCR_OPT_WSCALE;
        o->value[0] = number(in);
    } else if (accept(in, "sackOK")) {
        o->kind = SCR_OPT_SACK_OK;
    } else if (accept(in, "nop")) {
        o->kind = SCR_OPT_NOP;
    } else if (accept(in, "TS")) {
        o->kind = SCR_OPT_TS;
        if (!accept(in, "val"))
            return; /* in "syn": the numbers come with time */
        o->count = 2;
        o->value[0] = number(in);
        expect(in, "ecr");
        o->value[1] = number(in);
    } else if (accept(in, "sack")) {
        o->kind = SCR_OPT_SACK;
        for (o->count = 0; o->count < 8 && isdigit((unsigned char) in->at[strspn(in->at, " ")]);) {
            o->value[o->count++] = number(in);
            expect(in, ":");
            o->value[o->count++] = number(in);
        }
    } else if (accept(in, "raw")) {
        o->count = 0;
        raw_option(in, o);
    } else {
        fail(in, "unknown option at \"%s\"", in->at);
    }
}

static void options(struct in *in, struct scr_segment *g)
{
    g->has_options = true;
    if (accept(in, ">"))
        return;
    do {
        if (g->option_count == SCR_OPTIONS) {
            fail(in, "too many options");
            return;
        }
        option(in, &g->option[g->option_count++]);
    } while (!in->failed && accept(in, ","));
    expect(in, ">");
}

/* What follows the time and the direction. Returns how many segments it stands for. */
static uint32_t segment(struct in *in, struct scr_segment *g)
{
    uint32_t count = 1;

    g->flags = flags(in);
    g->seq = number(in);
    expect(in, ":");
    uint32_t end = number(in);
    expect(in, "(");
    g->len = number(in);
    if (accept(in, "*")) {
        count = g->len;
        g->len = number(in);
    }
    expect(in, ")");
    if (!in->failed && g->seq + count * g->len != end)
        fail(in, "%u:%u is not %u bytes", g->seq, end, count * g->len);
    if (accept(in, "ack")) {
        g->ack = number(in);
        if (!(g->flags & TB_TCP_ACK))
            fail(in, "ack without the flag '.'");
    } else if (g->flags & TB_TCP_ACK) {
        fail(in, "the flag '.' without ack");
    }
    g->window = accept(in, "win") ? (int32_t) number(in) : -1;
    if (accept(in, "<"))
        options(in, g);
    skip_space(in);
    if (*in->at == '"') {
        g->text = quoted(in);
        if (strlen(g->text) != g->len)
            fail(in, "the text is %zu bytes long", strlen(g->text));
    }
    return count;
}

/* --- statements ------------------------------------------------------------------------------- */

static void syn(struct in *in)
{
    struct scr_segment g = {0};

    in->s->syn.mss = 0;
    in->s->syn.wscale = -1;
    in->s->syn.sack = in->s->syn.ts = false;
    expect(in, "<");
    options(in, &g);
    for (uint32_t i = 0; i < g.option_count; i++) {
        if (g.option[i].kind == SCR_OPT_MSS)
            in->s->syn.mss = (uint16_t) g.option[i].value[0];
        else if (g.option[i].kind == SCR_OPT_WSCALE)
            in->s->syn.wscale = (int8_t) g.option[i].value[0];
        in->s->syn.sack |= g.option[i].kind == SCR_OPT_SACK_OK;
        in->s->syn.ts |= g.option[i].kind == SCR_OPT_TS;
    }
}

static void request(struct in *in)
{
    struct scr *s = in->s;

    if (s->request_count == SCR_REQUESTS) {
        fail(in, "too many requests");
        return;
    }
    struct scr_request *r = &s->request[s->request_count++];
    skip_space(in);
    const char *text = *in->at == '"' ? quoted(in) : NULL;
    r->len = text ? (uint32_t) strlen(text) : number(in);
    if (r->len > SCR_STREAM - s->stream_len) {
        fail(in, "requests of more than %d bytes", SCR_STREAM);
        return;
    }
    for (uint32_t i = 0; i < r->len; i++, s->stream_len++)
        s->stream[s->stream_len] = text ? (uint8_t) text[i] : scr_byte(s->stream_len);
    while (!in->failed) {
        if (accept(in, "response"))
            r->response = number(in);
        else if (accept(in, "think"))
            r->think_us = duration_us(in);
        else if (accept(in, "pipelined"))
            r->is_pipelined = true;
        else
            break;
    }
}

static void closing(struct in *in)
{
    struct scr *s = in->s;

    if (accept(in, "fin"))
        s->close = SCR_CLOSE_FIN;
    else if (accept(in, "rst"))
        s->close = SCR_CLOSE_RST;
    else if (accept(in, "server"))
        s->close = SCR_CLOSE_SERVER;
    else
        fail(in, "close fin, rst or server?");
    if (accept(in, "after"))
        s->close_after_us = duration_us(in);
}

static void setting(struct in *in)
{
    struct scr *s = in->s;

    if (accept(in, "ipv6")) {
        s->is_ipv6 = true;
    } else if (accept(in, "payload")) {
        s->wants_payload = true;
    } else if (accept(in, "mtu")) {
        s->mtu = number(in);
    } else if (accept(in, "gso")) {
        s->gso_max = number(in);
    } else if (accept(in, "timeout")) {
        s->timeout_us = duration_us(in);
    } else if (accept(in, "close-wait")) {
        s->close_wait_us = duration_us(in);
    } else if (accept(in, "isn")) {
        s->has_isn = true;
        s->isn = number(in);
    } else if (accept(in, "peer-isn")) {
        s->peer_isn = number(in);
    } else if (accept(in, "tsval")) {
        s->has_tsval = true;
        s->tsval = number(in);
    } else {
        fail(in, "unknown setting at \"%s\"", in->at);
    }
}

static void kernel(struct in *in)
{
    if (accept(in, "same"))
        in->s->kernel = SCR_KERNEL_SAME;
    else if (accept(in, "differs"))
        in->s->kernel = SCR_KERNEL_DIFFERS;
    else
        fail(in, "kernel same or differs?");
    if (in->s->kernel == SCR_KERNEL_DIFFERS)
        quoted(in); /* how: for the reader */
}

static struct scr_event *new_event(struct in *in)
{
    static struct scr_event nowhere;

    if (in->s->event_count == SCR_EVENTS) {
        fail(in, "too many events");
        return &nowhere;
    }
    struct scr_event *e = &in->s->event[in->s->event_count++];
    e->line = in->line;
    return e;
}

/* "20*1000" stands for twenty segments; PSH and FIN belong to the last of them. */
static void repeat(struct in *in, struct scr_event *e, uint32_t count)
{
    uint8_t last_flags = e->segment.flags, others = TB_TCP_PSH | TB_TCP_FIN;

    if (count > 1)
        e->segment.flags &= (uint8_t) ~others;
    for (uint32_t i = 1; i < count && !in->failed; i++) {
        struct scr_event *next = new_event(in);
        *next = *e;
        next->from_us = next->to_us = 0;
        next->segment.seq += e->segment.len;
        if (i == count - 1)
            next->segment.flags = last_flags;
        e = next;
    }
}

static void event(struct in *in)
{
    struct scr_event *e = new_event(in);
    uint32_t count = 1;

    if (accept(in, "+"))
        e->from_us = duration_us(in);
    e->to_us = e->from_us;
    if (accept(in, "~")) {
        expect(in, "+");
        e->to_us = duration_us(in);
    }
    if (accept(in, "<")) {
        e->kind = SCR_GIVE;
        count = segment(in, &e->segment);
    } else if (accept(in, ">")) {
        e->kind = SCR_EXPECT;
        count = segment(in, &e->segment);
    } else if (accept(in, "idle")) {
        e->kind = SCR_IDLE;
    } else if (accept(in, "received")) {
        e->kind = SCR_RECEIVED;
        e->bytes = number(in);
    } else if (accept(in, "verdict")) {
        e->kind = SCR_VERDICT;
        skip_space(in);
        for (e->verdict = 0; e->verdict < TB_VERDICT_COUNT; e->verdict++)
            if (accept(in, scr_verdict_name(e->verdict)))
                break;
        if (e->verdict == TB_VERDICT_COUNT)
            fail(in, "unknown verdict \"%s\"", in->at);
    } else {
        fail(in, "what is \"%s\"?", in->at);
    }
    if (e->to_us < e->from_us || (e->to_us != e->from_us && e->kind != SCR_EXPECT))
        fail(in, "only for what is expected, \"+FROM~+TO\"");
    repeat(in, e, count);
}

static void statement(struct in *in)
{
    if (accept(in, "syn"))
        syn(in);
    else if (accept(in, "request"))
        request(in);
    else if (accept(in, "close"))
        closing(in);
    else if (accept(in, "set"))
        setting(in);
    else if (accept(in, "kernel"))
        kernel(in);
    else
        event(in);
    skip_space(in);
    if (*in->at && strncmp(in->at, "//", 2) != 0)
        fail(in, "\"%s\" at the end of the line", in->at);
}

int scr_parse(struct scr *s, char *text, char why[SCR_WHY])
{
    struct in in = {.s = s, .why = why};
    char *next;

    memset(s, 0, sizeof *s);
    s->text = text;
    s->syn.mss = 1460;
    s->syn.wscale = 7;
    s->syn.sack = true;
    s->timeout_us = 60 * SCR_SECOND;
    s->close_wait_us = SCR_SECOND;
    s->mtu = 1500;
    s->peer_isn = 1000000;
    for (char *line = text; line && !in.failed; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        in.at = line;
        in.line++;
        skip_space(&in);
        if (in.line == 1 && strncmp(in.at, "// RFC ", 7) != 0)
            fail(&in, "the first line names the RFC and its section: \"// RFC …\"");
        else if (in.line == 1)
            s->headline = in.at + 3;
        else if (*in.at && strncmp(in.at, "//", 2) != 0)
            statement(&in);
    }
    return in.failed ? -1 : 0;
}

void scr_free(struct scr *s)
{
    free(s->text);
    s->text = NULL;
}

const char *scr_verdict_name(enum tb_verdict v)
{
    static const char *const names[TB_VERDICT_COUNT] = {
        "none",         "completed", "connect_timeout", "refused", "reset", "response_timeout",
        "closed_early", "module",    "aborted",         "cut"};

    return names[v];
}
