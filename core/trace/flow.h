/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From segments to sessions: which connection a segment belongs to, when one begins and ends, and
 * whether it can be played. Called by load.c for every segment; writes scripts through drafts.
 */
#ifndef TB_TRACE_FLOW_H
#define TB_TRACE_FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include "base/pool.h"
#include "packet/view.h"
#include "trace/draft_feed.h"
#include "trace/ended.h"
#include "trace/reassembly.h"
#include "trace/table.h"

enum {
    TB_FLOW_LINGER_US = 5000000, /* an ended connection's packets may still come, in this time */
    TB_FLOW_LINGER_MAX = 4096    /* connections that wait for it */
};

/* A connection to one of the services that is not over. */
struct tb_flow {
    struct tb_flow_key key;
    uint8_t client;    /* which endpoint of the key */
    bool syn : 1;      /* seen; until then its SYN-ACK was */
    bool answered : 1; /* the server exists */
    bool refused : 1;
    bool shook : 1;     /* the client's first ACK was seen */
    bool truncated : 1; /* client packets were cut by snaplen */
    bool settled : 1;   /* its draft is closed; only its end is waited for */
    bool lingers : 1;   /* stands in the queue below */
    bool left : 1;      /* no longer in the table */
    bool had_isn : 1;   /* there was a connection of the same endpoints before, with this ISN */
    uint16_t server_mss;
    uint32_t last_isn;
    struct tb_conversation c;
};

struct tb_lingering {
    uint64_t since_us;
    uint32_t handle;
};

struct tb_flows {
    struct tb_drafting drafting;
    struct tb_reassembly reassembly;
    const struct tb_service *services;
    uint32_t service_count;
    bool partial;
    struct tb_table table;
    struct tb_pool pool;
    struct tb_ended_list ended;
    struct tb_lingering *linger; /* ring of TB_FLOW_LINGER_MAX */
    uint32_t linger_head, linger_count;
};

/* 0 or -ENOMEM; tb_flows_fini() may follow in either case. */
int tb_flows_init(struct tb_flows *f, struct tb_trace *t, const struct tb_trace_options *o);
void tb_flows_fini(struct tb_flows *f);

void tb_flows_segment(struct tb_flows *f, const struct tb_segment *seg, uint64_t time_us);

/* Nothing follows: every connection still open ends here. */
void tb_flows_finish(struct tb_flows *f);

/* Memory ran out somewhere: the trace is incomplete. */
static inline bool tb_flows_out_of_memory(const struct tb_flows *f)
{
    return f->drafting.out_of_memory || f->reassembly.out_of_memory;
}

#endif
