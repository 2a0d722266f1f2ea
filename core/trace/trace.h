/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A loaded trace: the scripts of all usable sessions, and where the rest went.
 */
#ifndef TB_TRACE_TRACE_H
#define TB_TRACE_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "trace/draft.h"
#include "trace/script.h"

/* Which captured servers are replayed: index = transfer. A zero addr means any address. */
struct tb_service {
    struct tb_addr addr;
    bool any_addr;
    uint16_t port;
};

enum { TB_SKIP_REASON_LEN = 32, TB_SKIP_MAX = 64 };

/* Captured sessions not used, by reason. Those of this layer: no_syn (begins inside the capture),
 * truncated (packets cut by snaplen), hole (client bytes missing), unanswered (SYN without answer),
 * refused (RST to the SYN), no_transfer (another server). Learners add theirs. */
struct tb_skip {
    char reason[TB_SKIP_REASON_LEN];
    uint64_t sessions;
};

struct tb_trace {
    struct tb_script **sessions; /* by number */
    uint32_t session_count, session_room;
    struct tb_arena bytes, records;
    uint64_t requests, client_bytes;
    uint64_t packets;       /* records read from the files */
    uint64_t bad_packets;   /* of these, not parsable as far as they claim to be IP and TCP */
    uint64_t other_packets; /* of these, not TCP over IP */
    uint32_t files;
    struct tb_skip skipped[TB_SKIP_MAX];
    uint32_t skip_count;
    char warning[512]; /* "file: cut short after 12 packets; …", or empty */
};

struct tb_follower; /* flow.h */

struct tb_trace_options {
    const char *const *files;
    uint32_t file_count;
    const char *filter; /* pcap filter, or NULL */
    const struct tb_service *services;
    uint32_t service_count;
    bool partial; /* play what is whole of sessions with holes or truncated packets */
    const struct tb_learner *learner; /* or NULL */
    /* Told now and then how many bytes of all files have been read; may be NULL. */
    void (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes, uint32_t sessions);
    void *progress_ctx;
    const struct tb_follower *follower; /* of live sessions; NULL: a file is loaded */
};

/* Load all files as one capture, in the order given. 0; or -errno with words when a file cannot be
 * read at all, or no packet is usable (-ENODATA when there is no session to play). `t` is zeroed
 * and filled; call tb_trace_free() in either case. */
int tb_trace_load(struct tb_trace *t, const struct tb_trace_options *o, struct tb_err *err);
void tb_trace_free(struct tb_trace *t);

/* Count one session under `reason` (created when new). */
void tb_trace_skip(struct tb_trace *t, const char *reason);

#endif
