/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scripts: what a captured session's client has to do, compiled once, immutable afterwards and
 * shared by all users and workers. Written by draft.h (the only writer), read by engine/.
 *
 * All memory lives in the trace's arenas and never moves, so a script may be played while it still
 * grows (tcpcopy): the writer fills a record first and then publishes it with a release store of
 * the `next` that points to it, or of `complete`; readers use the tb_script_*() accessors.
 */
#ifndef TB_TRACE_SCRIPT_H
#define TB_TRACE_SCRIPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "packet/addr.h"

/* A run of client bytes. A request's bytes may go on in the next chunk. */
struct tb_chunk {
    struct tb_chunk *_Atomic next;
    uint32_t len, room;
    uint8_t data[];
};

enum tb_request_flags {
    /* The capture shows its response complete: it is waited for. */
    TB_REQ_ANSWERED = 1 << 0,
    /* No response belongs to it, ever (QUIT and the like). */
    TB_REQ_NO_RESPONSE = 1 << 1,
    /* Goes on with the request before it after a pause of the client; not counted as a request. */
    TB_REQ_CONTINUED = 1 << 2,
    /* Its response is counted in bytes, not framed by a module (generic, or opaque streams). */
    TB_REQ_BYTES = 1 << 3,
    /* Due relative to the request before it (pipelined), not to a response. */
    TB_REQ_PIPELINED = 1 << 4,
    /* Only a first part (a head that waits for 100 Continue): the request is counted once, with
     * what follows. */
    TB_REQ_PART = 1 << 5
};

/* One request: at most 64 bytes. Requests form a list in stream order. */
struct tb_request {
    struct tb_request *_Atomic next;
    const struct tb_chunk *chunk; /* where its bytes begin */
    uint32_t chunk_offset;
    uint32_t len;
    uint64_t think_us;       /* captured distance from what it follows, see `waits_for` */
    uint64_t note;           /* the module's, see module.h */
    uint64_t response_bytes; /* captured, by sequence numbers (holes of the capture included) */
    uint32_t waits_for;      /* responses of the session that were complete before it was sent;
                              * the think time counts from the completion of the last of them
                              * (from the handshake when 0), or from the request before it when
                              * TB_REQ_PIPELINED */
    uint32_t silence_us;     /* longest pause of the server within its response */
    uint32_t index;          /* 0, 1, …; those TB_REQ_CONTINUED share that of the one before */
    uint16_t flags;
};

enum tb_end { TB_END_NONE, TB_END_FIN, TB_END_RST };

/* How the captured session ended: when the client acts, and what the server may do. */
struct tb_script_end {
    uint8_t client;     /* enum tb_end: what the client did */
    uint8_t server;     /* enum tb_end: the last thing the server did */
    bool server_first;  /* the server's FIN or RST came before the client's */
    bool server_fin;    /* a FIN of the server was seen (also when a RST followed) */
    bool client_rst;    /* client is TB_END_FIN, and it reset while the server was still sending: it
                         * had closed, not half-closed */
    uint32_t waits_for; /* responses complete before the client's FIN or RST */
    uint32_t server_responses; /* responses complete before the server's first FIN or RST */
    uint64_t bytes;    /* of the response then in progress that had come before the client's end */
    uint64_t delay_us; /* from the last of: last request, progress above, server's FIN if first */
};

/* SYN options of the captured client. */
struct tb_syn {
    uint16_t mss;  /* 0: none */
    int8_t wscale; /* -1: none */
    bool sack_permitted;
    bool timestamps;
};

/* One captured session: at most 128 bytes with its slot in tb_trace.sessions. */
struct tb_script {
    struct tb_request *_Atomic first;
    uint64_t start_us;       /* SYN, microseconds since 1970 */
    uint64_t note;           /* the module's */
    uint64_t greeting_bytes; /* what the server sent before the client's first byte */
    uint64_t client_bytes;
    struct tb_script_end end;
    struct tb_addr client;
    uint16_t client_port;
    uint16_t transfer;  /* index of the transfer that matched */
    uint32_t number;    /* in trace order: by the time of the SYN */
    uint32_t requests;  /* without TB_REQ_CONTINUED */
    uint32_t responses; /* complete in the capture, a greeting included */
    struct tb_syn syn;
    uint8_t module;         /* index in the engine's table of modules */
    bool has_greeting;      /* response 0 answers no request: the server speaks first */
    bool greeting_in_bytes; /* counted in bytes, not framed by a module */
    uint32_t greeting_silence_us;
    atomic_bool complete; /* no further requests will come */
};

static inline struct tb_request *tb_script_first(const struct tb_script *s)
{
    return atomic_load_explicit(&s->first, memory_order_acquire);
}
static inline struct tb_request *tb_script_next(const struct tb_request *r)
{
    return atomic_load_explicit(&r->next, memory_order_acquire);
}
/* True: a NULL from the two above means the end of the script, not "not known yet". Read before
 * them. */
static inline bool tb_script_complete(const struct tb_script *s)
{
    return atomic_load_explicit(&s->complete, memory_order_acquire);
}

/* Walks the bytes of a request; begin with {r->chunk, r->chunk_offset, r->len}. */
struct tb_run {
    const struct tb_chunk *chunk;
    uint32_t offset, left;
};

static inline struct tb_run tb_request_run(const struct tb_request *r)
{
    return (struct tb_run){r->chunk, r->chunk_offset, r->len};
}

/* The next contiguous piece: its length (0 at the end) and where it is. */
static inline uint32_t tb_run_next(struct tb_run *run, const uint8_t **data)
{
    if (run->left == 0)
        return 0;
    while (run->offset == run->chunk->len) {
        run->chunk = atomic_load_explicit(&run->chunk->next, memory_order_acquire);
        run->offset = 0;
    }
    uint32_t n = run->chunk->len - run->offset;
    if (n > run->left)
        n = run->left;
    *data = run->chunk->data + run->offset;
    run->offset += n;
    run->left -= n;
    return n;
}

#endif
