/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end-of-run summary for people: at most 30 lines, figures first, then what they mean. Called
 * by the programs on standard output. Advice is in advice.c.
 */
#include "report/advice.h"
#include "report/figures.h"
#include "report/units.h"
#include "trace/trace.h"

#include <string.h>

enum { SKIP_LINES = 4, ADVICE_LINES = 6 };

/* ", 5 cut", only when there is one. */
static void more(FILE *out, uint64_t n, const char *what)
{
    if (n)
        fprintf(out, ", %s %s", tb_text_count(n).s, what);
}

static uint64_t per_second(uint64_t n, double seconds)
{
    return seconds > 0 ? (uint64_t) ((double) n / seconds + 0.5) : 0;
}

static void print_failures(const struct tb_stats *s, FILE *out)
{
    static const struct {
        enum tb_verdict verdict;
        const char *words;
    } kinds[] = {
        {TB_VERDICT_CONNECT_TIMEOUT, "no answer to SYN"},
        {TB_VERDICT_REFUSED, "refused"},
        {TB_VERDICT_RESET, "reset"},
        {TB_VERDICT_RESPONSE_TIMEOUT, "response timed out"},
        {TB_VERDICT_CLOSED_EARLY, "closed early"},
        {TB_VERDICT_MODULE, "ended by the module"},
        {TB_VERDICT_ABORTED, "aborted"},
        {TB_VERDICT_SERVER_CLOSED, "closed by the server"},
    };
    const char *before = "  failed   ";

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint64_t n = s->verdicts[kinds[i].verdict];
        if (!n)
            continue;
        fprintf(out, "%s%s %s", before, tb_text_count(n).s, kinds[i].words);
        before = ", ";
    }
    if (*before == ',')
        fputc('\n', out);
}

static void print_counts(const struct tb_report_input *in, FILE *out)
{
    const struct tb_stats *s = in->stats;

    fprintf(out, "sessions   %s planned, %s started, %s completed", //
            tb_text_count(in->planned_sessions).s, tb_text_count(s->started).s,
            tb_text_count(tb_stats_completed(s)).s);
    more(out, s->verdicts[TB_VERDICT_HELD], "held to the end");
    more(out, s->reconnects, "reconnected");
    more(out, tb_stats_failed(s), "failed");
    more(out, s->mismatched_sessions, "mismatched");
    more(out, s->verdicts[TB_VERDICT_CUT], "cut");
    more(out, s->late, "late");
    fprintf(out, "; at most %s open\n", tb_text_count(in->peak).s);
    print_failures(s, out);

    fprintf(out, "requests   %s planned, %s sent, %s answered (%s/s)", //
            tb_text_count(in->planned_requests).s, tb_text_count(s->requests_sent).s,
            tb_text_count(s->requests_answered).s,
            tb_text_count(per_second(s->requests_answered, in->duration_s)).s);
    more(out, s->requests_mismatched, "mismatched");
    fprintf(out, "\npayload    %s sent, %s received (%s/s)\n",
            tb_text_bytes((double) s->bytes_sent).s, tb_text_bytes((double) s->bytes_received).s,
            tb_text_bytes(in->duration_s > 0 ? (double) s->bytes_received / in->duration_s : 0).s);
    fprintf(out, "packets    %s sent, %s received, %s (%s)", tb_text_count(s->packets_sent).s,
            tb_text_count(s->packets_received).s,
            tb_text_number(s->retransmitted, "retransmission").s,
            tb_text_percent(s->retransmitted, s->packets_sent).s);
    more(out, s->capture_dropped, "lost before they were read");
    fputc('\n', out);
}

static void print_live(const struct tb_report_input *in, FILE *out)
{
    const struct tb_live_stats *s = &in->stats->live;
    uint64_t shed = s->shed_memory + s->shed_cpu + s->shed_pairs;

    if (!in->is_live)
        return;
    fprintf(out, "live       %s in %s", tb_text_number(s->sessions, "session").s,
            tb_text_number(s->packets, "packet").s);
    more(out, s->drops, "packets lost before they were read");
    more(out, shed, "sessions shed");
    more(out, in->stats->verdicts[TB_VERDICT_CAPTURE_HOLE], "sessions with a hole");
    fprintf(out, "; sent %s later (p99 %s)\n",
            tb_text_time(tb_histogram_quantile(&s->delay, 0.5)).s,
            tb_text_time(tb_histogram_quantile(&s->delay, 0.99)).s);
}

static void print_channel(const struct tb_report_channel *c, FILE *out)
{
    if (!c->servers)
        return;
    fprintf(out, "channel    %s from %s", tb_text_number(c->connections, "connection").s,
            tb_text_number(c->servers, "intercept server").s);
    more(out, c->losses, "lost and made again");
    more(out, c->duplicates, "packets by two servers");
    fprintf(out, "; latencies end there (+- %s)\n", tb_text_time(c->clock_error_us).s);
}

static void print_latency(const char *name, const struct tb_histogram *h, FILE *out)
{
    if (!h->count)
        return;
    fprintf(out, "  %-14s %10s %10s %10s %10s %10s\n", name,
            tb_text_time(tb_histogram_quantile(h, 0.5)).s,
            tb_text_time(tb_histogram_quantile(h, 0.9)).s,
            tb_text_time(tb_histogram_quantile(h, 0.99)).s,
            tb_text_time(tb_histogram_quantile(h, 0.999)).s, tb_text_time(h->max).s);
}

static void print_latencies(const struct tb_stats *s, FILE *out)
{
    fprintf(out, "\n%-16s %10s %10s %10s %10s %10s\n", "latency", "p50", "p90", "p99", "p99.9",
            "max");
    print_latency("connect", &s->connect, out);
    print_latency("first byte", &s->first_byte, out);
    print_latency("response", &s->response, out);
    print_latency("from schedule", &s->from_schedule, out);
    print_latency("pacing error", &s->pacing_error, out);
}

/* Of a run of one second there is no slowest one. */
static void print_slowest(const struct tb_report_input *in, FILE *out)
{
    const struct tb_timeline_row *slowest = NULL;
    uint32_t answered = 0;

    for (uint32_t i = 0; i < in->timeline_count; i++) {
        const struct tb_timeline_row *row = &in->timeline[i];
        if (!row->responses)
            continue;
        answered++;
        if (!slowest || row->p99_us > slowest->p99_us)
            slowest = row;
    }
    if (answered > 1)
        fprintf(out, "slowest %s: up to %s into the run, p99 %s of %s\n",
                in->timeline_each_s > 1 ? tb_text_number(in->timeline_each_s, "second").s
                                        : "second",
                tb_text_duration(slowest->t_s).s, tb_text_time(slowest->p99_us).s,
                tb_text_number(slowest->responses, "response").s);
}

struct hint {
    const char *reason, *words;
};

static const struct hint captured_hints[] = {
    {"no_syn", "began before the capture did; capture before clients connect"},
    {"truncated", "packets were cut; capture with a larger snap length (tcpdump -s 0)"},
    {"hole", "client bytes are missing in the capture; --partial plays the rest"},
    {"unanswered", "the captured server never answered; nothing to play"},
    {"refused", "the captured server refused the connection; nothing to play"},
    {"no_transfer", "to another server; name it with -x to play it too"},
    {"tls", "encrypted; capture where it is not"},
    {NULL, NULL},
};

static const struct hint live_hints[] = {
    {"no_syn", "began before tcpcopy did"},
    {"truncated", "packets were cut; use a larger -S, or a larger MTU where they are mirrored to"},
    {"hole", "packets of the client were missed"},
    {"unanswered", "the online server never answered; nothing to play"},
    {"refused", "the online server refused the connection; nothing to play"},
    {"share", "not of those that -r chooses"},
    {"cpu", "no time for them (--max-cpu, or more was captured than could be copied)"},
    {"local_client", "of this host itself; -H gives them an address"},
    {"family", "the target has no address of their IP family; use -c"},
    {"after_end", "began after --duration"},
    {"tls", "encrypted; copy where it is not"},
    {NULL, NULL},
};

static const char *skip_hint(const struct tb_report_input *in, const char *reason)
{
    for (const struct hint *h = in->is_live ? live_hints : captured_hints; h->reason; h++)
        if (!strcmp(reason, h->reason))
            return h->words;
    return "refused by the module; its manual says when";
}

static void print_skipped(const struct tb_report_input *in, FILE *out)
{
    uint64_t left = tb_figure_skipped(in);

    if (!left)
        return;
    fprintf(out, "\nnot played: %s %s\n", tb_text_number(left, "session").s,
            in->is_live ? "of those seen" : "of the capture");
    for (uint32_t i = 0, lines = 0; i < in->skip_count; i++) {
        const struct tb_skip *skip = &in->skipped[i];
        if (!skip->sessions)
            continue;
        if (++lines == SKIP_LINES && left > skip->sessions) {
            fprintf(out, "  %8s  for other reasons; the JSON report has them all\n",
                    tb_text_count(left).s);
            break;
        }
        fprintf(out, "  %8s  %s: %s\n", tb_text_count(skip->sessions).s, skip->reason,
                skip_hint(in, skip->reason));
        left -= skip->sessions;
    }
}

static void print_head(const struct tb_report_input *in, FILE *out)
{
    fprintf(out, "%s %s, module %s: %s in %s", in->is_live ? "tcpcopy" : "tcpburn", in->version,
            in->module, tb_text_number(in->stats->started, "session").s,
            tb_text_duration(in->duration_s).s);
    if (!in->is_live)
        fprintf(out, ", %s played%s", tb_text_number(in->trace_sessions, "captured session").s,
                in->interrupted ? " (interrupted)" : "");
    fputs("\n\n", out);
}

void tb_report_summary(const struct tb_report_input *in, FILE *out)
{
    struct tb_advice advice = {0};

    print_head(in, out);
    print_counts(in, out);
    print_live(in, out);
    print_channel(&in->channel, out);
    print_latencies(in->stats, out);
    print_slowest(in, out);
    print_skipped(in, out);

    tb_advice_collect(&advice, in);
    if (advice.count)
        fputs("\nwhat to look at\n", out);
    for (unsigned i = 0; i < advice.count && i < ADVICE_LINES; i++)
        fprintf(out, "  - %s\n", advice.line[i]);
}
