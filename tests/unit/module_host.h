/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host for testing a module's hooks without the engine: it records what the module says while
 * learning, and plays a session whose requests and answers the test provides.
 */
#ifndef TB_UNIT_MODULE_HOST_H
#define TB_UNIT_MODULE_HOST_H

#include "module.h"

enum { HOST_REQUESTS = 300, HOST_COUNTERS = 64 };

/* A request as learned. */
struct host_request {
    uint64_t end; /* client stream offset */
    unsigned flags;
    uint64_t note;
    bool answered;
    uint64_t response_end; /* server stream offset */
};

struct tb_learn {
    struct host_request request[HOST_REQUESTS];
    uint32_t count, parts; /* the latter: cuts that went on with a request */
    uint32_t greetings;
    bool opaque, server_closed, live;
    const char *rejected;
    uint64_t client_len, server_len; /* of the streams so far */
    uint64_t now_us;                 /* capture time of what is said next */
    uint64_t session_note;
};

struct tb_session {
    uint64_t now_us, note, sent_us;
    bool greeting; /* awaited, before any request */
    uint32_t number;
    /* requests awaiting a response: notes, oldest at `first` */
    uint64_t awaited[HOST_REQUESTS];
    uint32_t first, count;
    _Alignas(16) uint8_t busy[256];
    _Alignas(16) uint8_t state[256];
    uint64_t timer_us; /* what set_timer() was given last */
    uint64_t counts[HOST_COUNTERS];
    uint32_t mismatches;
    char captured[128], seen[128], reason[128];
    /* what the module queued */
    uint8_t sent[4096];
    size_t sent_len;
    const uint8_t *request_data; /* inside request() */
    size_t request_len;
    uint64_t real_us, hold_us, run_left_us; /* run_left_us 0: no end */
    uint32_t repeated, repeats;             /* what send_request() was given last, and how often */
    bool keeps_busy, is_patient;
    _Alignas(16) uint8_t worker[8192]; /* worker_state() */
};

/* A histogram remembers only this. */
struct tb_latency {
    uint64_t count, last_us;
};

extern const struct tb_host test_host;

/* Configure `m` with `options` (JSON text); what configure() returned, its words in err. */
int host_configure(const struct tb_module *m, const char *options, char *err, size_t err_len);
/* The counter of that name, as a handle. */
int host_counter(const char *name);

/* What modules hold by memory(). */
size_t host_memory_bytes(void);

/* The learning side: give the module more of a stream; NULL: a hole of `len` bytes. */
void host_learn(const struct tb_module *m, struct tb_learn *l, void *state, enum tb_direction dir,
                const void *bytes, size_t len);

/* The playing side: a request with that note now awaits its response. */
void host_await(struct tb_session *s, uint64_t note);
/* One call of response(), as the engine makes it: keeps track of what is awaited. */
enum tb_response_status host_respond(const struct tb_module *m, struct tb_session *s,
                                     const void *bytes, size_t len, unsigned flags, size_t *used);
/* One call of request(). */
enum tb_request_action host_request(const struct tb_module *m, struct tb_session *s, uint64_t note,
                                    const void *bytes, size_t len);

#endif
