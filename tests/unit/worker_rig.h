/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole worker on memory I/O with its own time, playing hand-made scripts to a server that the
 * caller is. Used by the tests and the fuzz target of hostile servers; needs no cmocka: what cannot
 * be set up aborts. Byte i of every client stream is wrig_stream_byte(i).
 */
#ifndef TB_WORKER_RIG_H
#define TB_WORKER_RIG_H

#include "engine/worker.h"
#include "io/backends.h"

enum {
    WRIG_SCRIPTS = 8,
    WRIG_REQUESTS = 4,
    WRIG_STREAM = 8192,
    WRIG_TARGET_PORT = 80,
    WRIG_PACKET = 70000
};

struct wrig_script {
    struct tb_script script;
    struct tb_request requests[WRIG_REQUESTS];
};

struct wrig {
    struct tb_worker *w;
    struct tb_io *io;
    struct tb_plan plan;
    struct tb_pacing pacing;
    struct tb_engine_config config;
    struct wrig_script made[WRIG_SCRIPTS];
    struct tb_script *sessions[WRIG_SCRIPTS];
    uint32_t session_count;
    struct tb_chunk *stream;
    uint64_t now_us, begin_us;
    uint8_t packet[WRIG_PACKET]; /* of the last wrig_take() */
};

static inline uint8_t wrig_stream_byte(uint64_t i)
{
    return (uint8_t) (i % 251);
}

/* Without scripts, modules or a worker yet; the configuration may be changed until wrig_start(). */
struct wrig *wrig_new(void);
/* Add a session of requests of these lengths, each answered with `response` bytes. The client
 * closes with a FIN when everything is answered, unless the script is changed afterwards. */
struct wrig_script *wrig_add(struct wrig *r, const uint32_t *lens, uint32_t count,
                             uint64_t response);
/* Plan and worker for `users`; `rate` starts a second. */
void wrig_start(struct wrig *r, uint64_t users, double rate);
void wrig_free(struct wrig *r);

/* One turn, `us` later. */
void wrig_tick(struct wrig *r, uint64_t us);
/* Turns until `us` have passed or the worker is done; the number of turns. */
uint32_t wrig_pass(struct wrig *r, uint64_t us);

/* The next packet sent, parsed; false when there is none. */
bool wrig_take(struct wrig *r, struct tb_segment *seg);

/* Give the worker the answer to `seg` with these flags and numbers (wire). */
struct wrig_answer {
    uint8_t flags;
    uint32_t seq, ack;
    uint16_t window;
    const uint8_t *options, *payload;
    uint8_t options_len;
    uint32_t len;
};
void wrig_give(struct wrig *r, const struct tb_segment *to, const struct wrig_answer *a);

#endif
