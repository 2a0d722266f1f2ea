/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A script being written: reassembly reports what both sides sent, a learner (the module of the
 * session, or nobody) says where requests end and which responses are complete, and think times,
 * waits and the end are worked out from that.
 *
 * Called by trace/load (files) and, later, by live capture.
 */
#ifndef TB_TRACE_DRAFT_H
#define TB_TRACE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "trace/script.h"

enum tb_dir { TB_FROM_CLIENT, TB_FROM_SERVER };

struct tb_draft;

/*
 * The learner: told of both streams in order. `state` is what begin() returned for the session
 * (may be NULL). Without a learner, and after tb_draft_opaque(), a request is a run of client bytes
 * without server bytes between, and responses are counted in bytes.
 */
struct tb_learner {
    void *ctx;
    void *(*begin)(void *ctx, struct tb_draft *d);
    /* `bytes` go on at `offset` of their stream; NULL bytes: `len` bytes are missing in the capture
     * (only from the server; a hole in the client's stream ends the session, or with --partial
     * its script). May call the tb_draft_*() functions below. */
    void (*data)(void *ctx, void *state, struct tb_draft *d, enum tb_dir dir, uint64_t offset,
                 const uint8_t *bytes, uint64_t len, uint64_t time_us);
    /* The session is over, used or not (live: always used); frees `state`. May still cut and
     * note. */
    void (*end)(void *ctx, void *state, struct tb_draft *d, bool used);
    /* Live: nobody plays this request of `s` any more; NULL: the session, behind all its requests
     * and its end(). Only when there is a note. May be NULL. */
    void (*forget)(void *ctx, const struct tb_script *s, const struct tb_request *r);
};

/* --- for the learner ---------------------------------------------------------------------- */

/* A request ends before client offset `end` (absolute; behind the last cut, at most what has come).
 * `flags`: TB_REQ_NO_RESPONSE, TB_REQ_PART, TB_REQ_CONTINUED (the bytes go on with the request cut
 * last; its response is theirs). Its number, counted from 0. */
uint32_t tb_draft_cut(struct tb_draft *d, uint64_t end, uint16_t flags, uint64_t note);

/* The oldest response still outstanding is complete at server offset `end` (now, as time goes).
 * When no request is outstanding it is a greeting. */
void tb_draft_response(struct tb_draft *d, uint64_t end);

/* Change the note of request `number`, or the session's. */
void tb_draft_set_note(struct tb_draft *d, uint32_t number, uint64_t note);
void tb_draft_set_session_note(struct tb_draft *d, uint64_t note);

/* From here on both streams are opaque: the rest is cut by direction changes. The learner is told
 * no more data. */
void tb_draft_opaque(struct tb_draft *d);

/* This session cannot be played; counted under `reason` (copied, a short key such as "tls"). */
void tb_draft_reject(struct tb_draft *d, const char *reason);

struct tb_script *tb_draft_script(struct tb_draft *d);

/* Is it played while it is written? */
bool tb_draft_is_live(const struct tb_draft *d);

#endif
