/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker counts. Every worker owns one; the reporter adds up copies. Names are those of the
 * JSON report (FEATURES "The JSON report").
 */
#ifndef TB_ENGINE_STATS_H
#define TB_ENGINE_STATS_H

#include <stdint.h>
#include "base/histogram.h"
#include "module.h"

enum { TB_STATS_MODULE_COUNTERS = 64, TB_STATS_EXAMPLES = 20, TB_STATS_EXAMPLE_TEXT = 120 };

/* Why the kernel refused to send a packet: see struct tb_io_counters. */
enum tb_send_error {
    TB_SEND_ENOBUFS,
    TB_SEND_EPERM,
    TB_SEND_EMSGSIZE,
    TB_SEND_ENETDOWN,
    TB_SEND_OTHER,
    TB_SEND_KINDS
};

/* One entry of mismatch_examples. */
struct tb_mismatch {
    uint32_t session; /* number of the captured session */
    uint32_t request;
    char captured[TB_STATS_EXAMPLE_TEXT];
    char seen[TB_STATS_EXAMPLE_TEXT];
};

/* What tcpcopy counts besides. */
struct tb_live_stats {
    uint64_t packets, drops;                    /* seen; lost before they were */
    uint64_t sessions;                          /* that began while it ran, by their SYNs */
    uint64_t taken;                             /* of these, played (-n times each) */
    uint64_t shed_memory, shed_cpu, shed_pairs; /* given up or not begun: limits */
    uint64_t unchecked;        /* responses complete before the online server's was known */
    uint64_t memory_bytes;     /* now */
    struct tb_histogram delay; /* from the capture of a request until it is sent */
};

struct tb_stats {
    /* sessions */
    uint64_t started, established, mismatched_sessions, late;
    uint64_t reconnects; /* of those started: again, a module wanted it, or tcpcopy */
    uint64_t verdicts[TB_VERDICT_COUNT]; /* ended sessions by verdict; [NONE] unused */
    uint64_t open, peak;                 /* connections between SYN and end, now and at most */
    /* requests */
    uint64_t requests_planned; /* of the sessions started */
    uint64_t requests_sent, requests_answered, requests_mismatched;
    /* payload bytes, each once */
    uint64_t bytes_sent, bytes_received;
    uint64_t packets_sent, packets_received, retransmitted;
    uint64_t strays;      /* segments in our range that belong to no connection */
    uint64_t bad_packets; /* received but not parsable */
    uint64_t send_errors[TB_SEND_KINDS], capture_dropped; /* from io */
    struct tb_histogram connect, first_byte, response, from_schedule, pacing_error;
    struct tb_live_stats live;
    uint64_t module[TB_STATS_MODULE_COUNTERS];
    uint32_t example_count;
    struct tb_mismatch examples[TB_STATS_EXAMPLES];
    /* the first failure reasons a module gave, for people */
    uint32_t reason_count;
    char reasons[8][TB_STATS_EXAMPLE_TEXT];
};

/* Add `from` to `into`; peaks add too (an upper bound of the sum). */
void tb_stats_merge(struct tb_stats *into, const struct tb_stats *from);

/* Sessions that ended, whatever the verdict; those of them that ran to their end (completed, or
 * held to it); and those that failed (neither that nor cut). */
uint64_t tb_stats_ended(const struct tb_stats *s);
uint64_t tb_stats_completed(const struct tb_stats *s);
uint64_t tb_stats_failed(const struct tb_stats *s);

/* A histogram as the report shows it: count, min, mean, quantiles, max and buckets. The caller owns
 * it; NULL when memory is out. */
json_t *tb_stats_histogram_json(const struct tb_histogram *h);

#endif
