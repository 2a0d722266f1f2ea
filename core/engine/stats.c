/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Adding up what workers counted, and the sums over verdicts that everybody means the same by.
 * Called by the reporter on copies, once a second and at the end.
 */
#include "engine/stats.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static void merge_examples(struct tb_stats *into, const struct tb_stats *from)
{
    for (uint32_t i = 0; i < from->example_count && into->example_count < TB_STATS_EXAMPLES; i++)
        into->examples[into->example_count++] = from->examples[i];
}

/* Workers meet the same trouble: each reason is kept once. */
static void merge_reasons(struct tb_stats *into, const struct tb_stats *from)
{
    const uint32_t room = sizeof into->reasons / sizeof *into->reasons;

    for (uint32_t i = 0; i < from->reason_count && into->reason_count < room; i++) {
        bool known = false;
        for (uint32_t j = 0; j < into->reason_count && !known; j++)
            known = !strcmp(into->reasons[j], from->reasons[i]);
        if (!known)
            memcpy(into->reasons[into->reason_count++], from->reasons[i], sizeof *into->reasons);
    }
}

static void merge_live(struct tb_live_stats *into, const struct tb_live_stats *from)
{
    into->packets += from->packets;
    into->drops += from->drops;
    into->sessions += from->sessions;
    into->taken += from->taken;
    into->shed_memory += from->shed_memory;
    into->shed_cpu += from->shed_cpu;
    into->shed_pairs += from->shed_pairs;
    into->unchecked += from->unchecked;
    into->memory_bytes += from->memory_bytes;
    tb_histogram_merge(&into->delay, &from->delay);
}

void tb_stats_merge(struct tb_stats *into, const struct tb_stats *from)
{
    into->started += from->started;
    into->established += from->established;
    into->mismatched_sessions += from->mismatched_sessions;
    into->late += from->late;
    into->reconnects += from->reconnects;
    for (unsigned i = 0; i < TB_VERDICT_COUNT; i++)
        into->verdicts[i] += from->verdicts[i];
    into->open += from->open;
    into->peak += from->peak;
    into->requests_planned += from->requests_planned;
    into->requests_sent += from->requests_sent;
    into->requests_answered += from->requests_answered;
    into->requests_mismatched += from->requests_mismatched;
    into->bytes_sent += from->bytes_sent;
    into->bytes_received += from->bytes_received;
    into->packets_sent += from->packets_sent;
    into->packets_received += from->packets_received;
    into->retransmitted += from->retransmitted;
    into->strays += from->strays;
    into->bad_packets += from->bad_packets;
    for (unsigned i = 0; i < TB_SEND_KINDS; i++)
        into->send_errors[i] += from->send_errors[i];
    into->capture_dropped += from->capture_dropped;
    tb_histogram_merge(&into->connect, &from->connect);
    tb_histogram_merge(&into->first_byte, &from->first_byte);
    tb_histogram_merge(&into->response, &from->response);
    tb_histogram_merge(&into->from_schedule, &from->from_schedule);
    tb_histogram_merge(&into->pacing_error, &from->pacing_error);
    for (unsigned i = 0; i < TB_STATS_MODULE_COUNTERS; i++)
        into->module[i] += from->module[i];
    merge_live(&into->live, &from->live);
    merge_examples(into, from);
    merge_reasons(into, from);
}

static json_t *whole(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t) n);
}

json_t *tb_stats_histogram_json(const struct tb_histogram *h)
{
    json_t *object = json_object(), *buckets = json_array();
    double mean = h->count ? (double) h->sum / (double) h->count : 0;

    for (unsigned i = 0; i < TB_HISTOGRAM_BUCKETS; i++)
        if (h->bucket[i])
            json_array_append_new(
                buckets, json_pack("[o, o]", whole(tb_histogram_upper(i)), whole(h->bucket[i])));
    json_object_set_new(object, "count", whole(h->count));
    json_object_set_new(object, "min", whole(h->count ? h->min : 0));
    json_object_set_new(object, "mean", json_real(round(mean * 10) / 10));
    json_object_set_new(object, "p50", whole(tb_histogram_quantile(h, 0.5)));
    json_object_set_new(object, "p90", whole(tb_histogram_quantile(h, 0.9)));
    json_object_set_new(object, "p99", whole(tb_histogram_quantile(h, 0.99)));
    json_object_set_new(object, "p999", whole(tb_histogram_quantile(h, 0.999)));
    json_object_set_new(object, "max", whole(h->max));
    json_object_set_new(object, "buckets", buckets);
    return object;
}

uint64_t tb_stats_ended(const struct tb_stats *s)
{
    uint64_t ended = 0;

    for (unsigned i = TB_VERDICT_NONE + 1; i < TB_VERDICT_COUNT; i++)
        ended += s->verdicts[i];
    return ended;
}

uint64_t tb_stats_completed(const struct tb_stats *s)
{
    return s->verdicts[TB_VERDICT_COMPLETED] + s->verdicts[TB_VERDICT_HELD];
}

uint64_t tb_stats_failed(const struct tb_stats *s)
{
    return tb_stats_ended(s) - tb_stats_completed(s) - s->verdicts[TB_VERDICT_CUT] -
           s->verdicts[TB_VERDICT_CAPTURE_HOLE] - s->verdicts[TB_VERDICT_SHED];
}
