/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other face of draft.h: what whoever reassembles a session's streams tells its draft. Bytes
 * come in order and once; times may step back a little, distances are never negative.
 */
#ifndef TB_TRACE_DRAFT_FEED_H
#define TB_TRACE_DRAFT_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include "trace/draft.h"
#include "trace/trace.h"

struct tb_draft_spare;

enum { TB_DRAFT_ROOMS = 3 /* sizes of chunks that are used again */ };

/* What the drafts of one trace share: where scripts are written and who learns. */
struct tb_drafting {
    struct tb_trace *trace;
    const struct tb_learner *learner;          /* or NULL */
    struct tb_draft_spare *scripts, *requests; /* of sessions not used, to be used again */
    bool out_of_memory;                        /* set once; what was written is incomplete */
    bool live; /* scripts are played while they grow, and given back afterwards */
    struct tb_draft_spare *chunks[TB_DRAFT_ROOMS]; /* live: given back */
    uint64_t bytes_in_use;                         /* live: of scripts, requests and chunks */
};

/* When bytes not yet cut off came: the first byte at `offset` and those behind it. */
struct tb_draft_mark {
    uint64_t offset;
    uint64_t time_us;
    uint64_t response_us; /* completion of the last response then complete, or handshake */
    uint32_t responses;   /* complete then */
};

struct tb_draft_marks {
    uint32_t head, count, room;
    struct tb_draft_mark at[];
};

/* A session being written. Zeroed before tb_draft_begin(). */
struct tb_draft {
    struct tb_drafting *shared;
    struct tb_script *script;
    void *state; /* the learner's */
    struct tb_chunk *tail;
    struct tb_request *last;
    struct tb_request *awaited;  /* oldest request whose response is outstanding */
    struct tb_request *answered; /* the one before, for notes */
    const struct tb_chunk *cut_chunk;
    uint32_t index;          /* of the next request */
    uint32_t cut_at;         /* where in cut_chunk the first byte not yet cut stands */
    uint32_t silence_us;     /* longest pause of the response in progress */
    uint64_t cut;            /* client offset of the last cut */
    uint64_t server_bytes;   /* that have come */
    uint64_t response_begin; /* server offset behind the last complete response */
    uint64_t response_us;    /* when it was complete; when the handshake was, before the first */
    uint64_t request_us;     /* first byte of the last request */
    uint64_t client_us, server_us; /* last bytes of each side */
    uint64_t early_end; /* end of a response that came before its request was cut; 0: none */
    struct tb_draft_mark first;   /* of the bytes at `cut`, when there are any */
    struct tb_draft_marks *marks; /* of bytes behind, or NULL */
    uint64_t server_end_us;
    uint8_t rejected; /* index of the reason + 1, or 0 */
    bool opaque;      /* cut by direction changes */
    bool run;         /* opaque: the last request's response has not ended */
    bool closing;     /* the learner is being told of the end */
};

/* What a live session's script is: `think_us` of its requests is when their last byte was captured,
 * since 1970; `complete` is set as soon as no more client bytes can come. `number` is the
 * follower's (flow.h). */

/* Start a script. `syn` options may come later through tb_draft_set_start(). 0 or -ENOMEM. */
int tb_draft_begin(struct tb_draft *d, struct tb_drafting *shared, struct tb_addr client,
                   uint16_t client_port, uint16_t transfer);
void tb_draft_set_start(struct tb_draft *d, uint64_t time_us, const struct tb_syn *syn);
/* The handshake's latest sign: SYN, SYN-ACK, ACK. */
void tb_draft_handshake(struct tb_draft *d, uint64_t time_us);

/* `own_pause`: when these bytes come after a pause, it was the client's choice. */
void tb_draft_client_bytes(struct tb_draft *d, const uint8_t *bytes, uint32_t len, uint64_t time_us,
                           bool own_pause);
/* NULL bytes: missing in the capture (or nobody wants them). */
void tb_draft_server_bytes(struct tb_draft *d, const uint8_t *bytes, uint64_t len,
                           uint64_t time_us);
/* Does anybody look at the server's bytes? */
bool tb_draft_wants_payload(const struct tb_draft *d);

/* `dir` sent a FIN or RST. `seen`: server bytes that the client had received (for its own end). */
void tb_draft_end(struct tb_draft *d, enum tb_dir dir, enum tb_end kind, uint64_t seen,
                  uint64_t time_us);
/* Forget the ends told: the script stops inside the session. */
void tb_draft_forget_end(struct tb_draft *d);

static inline bool tb_draft_is_rejected(const struct tb_draft *d)
{
    return d->rejected != 0;
}

/* Nothing follows. The session becomes one of the trace's, unless `skip` gives a reason or the
 * learner has one; then it is counted under that. The draft is dead afterwards. The reason, or
 * NULL. */
const char *tb_draft_close(struct tb_draft *d, const char *skip);

/* --- between draft.c, draft_memory.c and draft_end.c --------------------------------------- */

/* Live: the script of a session that nobody plays any more. */
void tb_drafting_free_script(struct tb_drafting *shared, struct tb_script *s);
/* Live: forget the requests before `keep`, which everybody has played, and their bytes; as far as
 * the session's draft `d` (NULL: closed) does not need them. */
void tb_drafting_trim(struct tb_drafting *shared, struct tb_draft *d, struct tb_script *s,
                      const struct tb_request *keep);

/* Live: these chunks and those behind them. */
void tb_draft_give_chunks(struct tb_drafting *shared, const struct tb_chunk *first);

/* A zeroed record of `bytes`, from those given back or new; NULL when memory is out. */
void *tb_draft_take(struct tb_drafting *shared, struct tb_draft_spare **spares, size_t bytes);
void tb_draft_give(struct tb_draft_spare **spares, void *p);

/* Append to the client's bytes. */
void tb_draft_store(struct tb_draft *d, const uint8_t *bytes, uint32_t len);
/* The next `len` bytes behind the last cut now belong to a request. */
void tb_draft_pass(struct tb_draft *d, uint32_t len);
/* Cut what is not cut yet. */
void tb_draft_cut_rest(struct tb_draft *d, uint16_t flags);
/* Opaque streams: the server's bytes so far are a whole response. */
void tb_draft_end_run(struct tb_draft *d);

static inline uint64_t tb_draft_distance(uint64_t from_us, uint64_t to_us)
{
    return to_us > from_us ? to_us - from_us : 0;
}

/* --- the trace's own ------------------------------------------------------------------------ */

/* skip.c: the place of `reason` in t->skipped, made when new. */
uint32_t tb_trace_skip_index(struct tb_trace *t, const char *reason);
/* skip.c: append a sentence to the trace's warning, as far as there is room. */
void tb_trace_warn(struct tb_trace *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* order.c: drop unused slots and number the sessions by the time of their SYN. */
void tb_trace_order(struct tb_trace *t);

#endif
