/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The figures of a run by name: a table of counts, and percentiles put together from their two
 * halves ("p99" + "response"). Called by fail_on.c.
 */
#include "report/figures.h"

#include <string.h>

#include "trace/trace.h"

#define INPUT(field)    .of_stats = false, .at = offsetof(struct tb_report_input, field)
#define STATS(field)    .of_stats = true, .at = offsetof(struct tb_stats, field)
#define VERDICT(number) .of_stats = true, .at = offsetof(struct tb_stats, verdicts[number])

/* A uint64_t somewhere in the input or its statistics; `sum` where it has to be worked out. */
struct count {
    const char *name;
    enum tb_figure_base base;
    bool of_stats;
    size_t at;
    uint64_t (*sum)(const struct tb_report_input *in);
};

static uint64_t failed(const struct tb_report_input *in)
{
    return tb_stats_failed(in->stats);
}

static uint64_t completed(const struct tb_report_input *in)
{
    return tb_stats_completed(in->stats);
}

uint64_t tb_figure_skipped(const struct tb_report_input *in)
{
    uint64_t skipped = 0;

    for (uint32_t i = 0; i < in->skip_count; i++)
        skipped += in->skipped[i].sessions;
    return skipped;
}

static const struct count counts[] = {
    {"failed", TB_BASE_SESSIONS, .sum = failed},
    {"mismatched", TB_BASE_SESSIONS, STATS(mismatched_sessions)},
    {"completed", TB_BASE_SESSIONS, .sum = completed},
    {"held", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_HELD)},
    {"reconnects", TB_BASE_SESSIONS, STATS(reconnects)},
    {"cut", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_CUT)},
    {"late", TB_BASE_SESSIONS, STATS(late)},
    {"connect_timeout", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_CONNECT_TIMEOUT)},
    {"refused", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_REFUSED)},
    {"reset", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_RESET)},
    {"response_timeout", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_RESPONSE_TIMEOUT)},
    {"closed_early", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_CLOSED_EARLY)},
    {"module", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_MODULE)},
    {"aborted", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_ABORTED)},
    {"server_closed", TB_BASE_SESSIONS, VERDICT(TB_VERDICT_SERVER_CLOSED)},
    {"planned", TB_BASE_SESSIONS, INPUT(planned_sessions)},
    {"started", TB_BASE_SESSIONS, STATS(started)},
    {"established", TB_BASE_SESSIONS, STATS(established)},
    {"open", TB_BASE_SESSIONS, STATS(open)},
    {"peak", TB_BASE_SESSIONS, INPUT(peak)},
    {"requests_planned", TB_BASE_REQUESTS, INPUT(planned_requests)},
    {"requests_sent", TB_BASE_REQUESTS, STATS(requests_sent)},
    {"requests_answered", TB_BASE_REQUESTS, STATS(requests_answered)},
    {"requests_mismatched", TB_BASE_REQUESTS, STATS(requests_mismatched)},
    {"bytes_sent", TB_BASE_NONE, STATS(bytes_sent)},
    {"bytes_received", TB_BASE_NONE, STATS(bytes_received)},
    {"packets_sent", TB_BASE_NONE, STATS(packets_sent)},
    {"packets_received", TB_BASE_NONE, STATS(packets_received)},
    {"retransmitted", TB_BASE_PACKETS_SENT, STATS(retransmitted)},
    {"capture_dropped", TB_BASE_PACKETS_RECEIVED, STATS(capture_dropped)},
    {"skipped", TB_BASE_CAPTURED, .sum = tb_figure_skipped},
};

static const struct {
    const char *name;
    double quantile; /* below 0: see percentile_of() */
} points[] = {{"p50_", 0.5},    {"p90_", 0.9}, {"p99_", 0.99},
              {"p999_", 0.999}, {"max_", -1},  {"mean_", -2}};

static const struct {
    const char *name;
    size_t at;
} histograms[] = {
    {"connect", offsetof(struct tb_stats, connect)},
    {"first_byte", offsetof(struct tb_stats, first_byte)},
    {"response", offsetof(struct tb_stats, response)},
    {"from_schedule", offsetof(struct tb_stats, from_schedule)},
    {"pacing_error", offsetof(struct tb_stats, pacing_error)},
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static double whole_of(enum tb_figure_base base, const struct tb_report_input *in)
{
    switch (base) {
    case TB_BASE_SESSIONS:
        return (double) in->planned_sessions;
    case TB_BASE_REQUESTS:
        return (double) in->planned_requests;
    case TB_BASE_PACKETS_SENT:
        return (double) in->stats->packets_sent;
    case TB_BASE_PACKETS_RECEIVED:
        return (double) (in->stats->packets_received + in->stats->capture_dropped);
    case TB_BASE_CAPTURED:
        return (double) (in->trace_sessions + tb_figure_skipped(in));
    case TB_BASE_NONE:
        break;
    }
    return 0;
}

static double value_of(const struct count *c, const struct tb_report_input *in)
{
    uint64_t value;

    if (c->sum)
        return (double) c->sum(in);
    memcpy(&value, (c->of_stats ? (const char *) in->stats : (const char *) in) + c->at,
           sizeof value);
    return (double) value;
}

static double point_of(const struct tb_histogram *h, double quantile)
{
    if (!h->count)
        return 0;
    if (quantile >= 0)
        return (double) tb_histogram_quantile(h, quantile);
    return quantile == -1 ? (double) h->max : (double) h->sum / (double) h->count;
}

static bool find_time(const char *name, const struct tb_report_input *in, struct tb_figure *out)
{
    for (size_t p = 0; p < COUNT_OF(points); p++) {
        size_t len = strlen(points[p].name);
        if (strncmp(name, points[p].name, len))
            continue;
        for (size_t h = 0; h < COUNT_OF(histograms); h++) {
            if (strcmp(name + len, histograms[h].name))
                continue;
            *out = (struct tb_figure){.kind = TB_FIGURE_TIME, .base = TB_BASE_NONE};
            if (in)
                out->value = point_of((const void *) ((const char *) in->stats + histograms[h].at),
                                      points[p].quantile);
            return true;
        }
    }
    return false;
}

bool tb_figure_find(const char *name, const struct tb_report_input *in, struct tb_figure *out)
{
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        if (strcmp(name, counts[i].name))
            continue;
        *out = (struct tb_figure){.kind = TB_FIGURE_COUNT, .base = counts[i].base};
        if (in) {
            out->value = value_of(&counts[i], in);
            out->whole = whole_of(counts[i].base, in);
        }
        return true;
    }
    return find_time(name, in, out);
}

const char *tb_figure_names(char buf[768])
{
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        used += (size_t) snprintf(buf + used, 768 - used, "%s ", counts[i].name);
    snprintf(buf + used, 768 - used,
             "and p50_ p90_ p99_ p999_ max_ mean_ with connect, first_byte, response, "
             "from_schedule or pacing_error");
    return buf;
}
