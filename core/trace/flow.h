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
    TB_FLOW_LINGER_MAX = 4096,   /* connections that wait for it */
    /* live: */
    TB_FLOW_PATIENCE_US = 300000, /* so long missing bytes may come late */
    TB_FLOW_WAITING_MAX = 4096,   /* connections with such; more are decided early */
    TB_FLOW_LOOK = 256            /* places in the table looked at per tb_flows_tick() */
};

/*
 * Who plays live sessions while they are captured, in the same thread. A session that was begun is
 * ended exactly once; its script is the follower's from then on (tb_drafting_free_script()), and is
 * the flows' before.
 */
struct tb_follower {
    void *ctx;
    /* A SYN for a service came. NULL: take the session; else the reason why not, for the counts. */
    const char *(*refuse)(void *ctx, const struct tb_addr *client, uint16_t port,
                          uint16_t transfer);
    /* The server has answered: the session exists. False: not taken after all (counted by the
     * follower). `flow` names it for tb_flows_abandon(). */
    bool (*begin)(void *ctx, struct tb_script *s, uint32_t flow);
    /* There is more of the script: requests, answers, its end. */
    void (*grown)(void *ctx, struct tb_script *s);
    /* Nothing follows. `reason` NULL: the script is complete; else it stops short, counted in the
     * trace under that: hole, truncated, or a learner's. */
    void (*ended)(void *ctx, struct tb_script *s, const char *reason);
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
    bool followed : 1;  /* live: begun at the follower's */
    bool abandoned : 1; /* live: the follower does not want more of it */
    bool waits : 1;     /* live: stands in the queue of those with missing bytes */
    uint16_t server_mss;
    uint32_t last_isn;
    uint64_t last_us; /* live: of its newest segment */
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
    /* live: */
    const struct tb_follower *follower;
    struct tb_lingering *waiting; /* ring of TB_FLOW_WAITING_MAX */
    uint32_t waiting_head, waiting_count;
    uint32_t current; /* the flow whose segment is being taken; 0: none */
    uint32_t looked;  /* next place of the table to look at */
    uint64_t idle_us; /* sessions without packets for so long are over; 0: never */
};

/* 0 or -ENOMEM; tb_flows_fini() may follow in either case. */
int tb_flows_init(struct tb_flows *f, struct tb_trace *t, const struct tb_trace_options *o);
void tb_flows_fini(struct tb_flows *f);

void tb_flows_segment(struct tb_flows *f, const struct tb_segment *seg, uint64_t time_us);

/* Nothing follows: every connection still open ends here. */
void tb_flows_finish(struct tb_flows *f);

/* Live: time passes. To be called now and then, also when nothing comes. */
void tb_flows_tick(struct tb_flows *f, uint64_t time_us);
/* Live: the follower is done with a session that was begun and not ended: it must not touch the
 * script any more and is not told of the end. */
void tb_flows_abandon(struct tb_flows *f, uint32_t flow);
/* Live: tb_drafting_trim() for a session that was begun; `flow` as given to begin(), or 0 when it
 * has ended. */
void tb_flows_trim(struct tb_flows *f, uint32_t flow, struct tb_script *s,
                   const struct tb_request *keep);

/* Memory ran out somewhere: the trace is incomplete. */
static inline bool tb_flows_out_of_memory(const struct tb_flows *f)
{
    return f->drafting.out_of_memory || f->reassembly.out_of_memory;
}

#endif
