/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both directions of one connection put into order and told to its draft: in sequence, and no byte
 * before those that its sender had already acknowledged. What cannot be told yet is held, until the
 * missing bytes come or are known to be missing in the capture. Called by flow.c.
 */
#ifndef TB_TRACE_REASSEMBLY_H
#define TB_TRACE_REASSEMBLY_H

#include <stdbool.h>
#include <stdint.h>
#include "trace/draft_feed.h"

/* What a segment brings, in stream offsets. Held ones are copies, sorted by offset; they may
 * overlap. */
struct tb_piece {
    struct tb_piece *next;
    uint64_t offset;
    uint64_t ack;   /* bytes of the other side that were received when it was sent */
    uint64_t order; /* of arrival */
    uint64_t time_us;
    uint32_t len;     /* bytes of the stream */
    uint32_t present; /* of them, captured */
    uint8_t end;      /* enum tb_end, behind the bytes */
    bool full;        /* as long as the MSS allows */
    bool hole;        /* stands for bytes cut off by snaplen, until they come */
    const uint8_t *data;
};

/* One direction. `base` is the sequence number of offset 0. */
struct tb_stream {
    uint64_t next;     /* everything before was told */
    uint64_t acked;    /* everything before was acknowledged by the other side */
    uint64_t acked_us; /* when that was first seen */
    uint32_t base;
    bool has_base;
    bool fin;       /* told; its number follows the last byte */
    bool fin_acked; /* the byte at `next` was acknowledged and never seen: a FIN, most likely */
    bool full;      /* the last segment told was as long as the MSS allows */
};

/* What one connection holds; exists only while it does. */
struct tb_hold {
    struct tb_piece *first[2], *last[2];
    uint32_t bytes[2], pieces[2];
    uint32_t age; /* segments of the connection seen since the last progress */
    uint64_t order;
};

/* Of all connections: held server bytes are bounded together. */
struct tb_reassembly {
    uint64_t held_server_bytes, held_client_bytes;
    bool out_of_memory;
};

struct tb_conversation {
    struct tb_stream stream[2]; /* by enum tb_dir */
    struct tb_hold *hold;
    struct tb_draft draft;
    bool reset; /* a RST was told */
};

/* Take in a piece (`data` is copied when it is held). False: client bytes are missing for good. */
bool tb_reassembly_add(struct tb_reassembly *r, struct tb_conversation *c, enum tb_dir dir,
                       const struct tb_piece *p);

/* A segment without anything new was seen; as above. */
bool tb_reassembly_age(struct tb_reassembly *r, struct tb_conversation *c);

/* Whatever is missing has had its time (live traffic). As above. */
bool tb_reassembly_expire(struct tb_reassembly *r, struct tb_conversation *c);

/* Nothing more will come: tell everything that can be told. As above. */
bool tb_reassembly_flush(struct tb_reassembly *r, struct tb_conversation *c);

/* Throw away what is held. */
void tb_reassembly_drop(struct tb_reassembly *r, struct tb_conversation *c);

#endif
