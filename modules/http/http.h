/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The http module: what its parts share. learn.c cuts captured sessions and notes what came back,
 * play.c judges the real responses by these notes, http.c has the options and the module table.
 */
#ifndef TB_HTTP_HTTP_H
#define TB_HTTP_HTTP_H

#include "message.h"
#include "module.h"

/* What makes a response right. */
enum tb_http_check { TB_HTTP_CHECK_CLASS, TB_HTTP_CHECK_STATUS, TB_HTTP_CHECK_NONE };

enum { TB_HTTP_CLASSES = 5, TB_HTTP_ACCEPT_MAX = 64 };

/* A captured status and another one that is as good. */
struct tb_http_accept {
    uint16_t captured, seen;
};

struct tb_http_config {
    const struct tb_host *host;
    enum tb_http_check check;
    bool digest; /* bodies must be equal */
    struct tb_http_accept accept[TB_HTTP_ACCEPT_MAX];
    unsigned accept_count;
    int status_counter[TB_HTTP_CLASSES]; /* [0]: 1xx */
    int not_http_counter;
};

/* Written by configure() only, before any other hook runs. */
extern struct tb_http_config tb_http_config;

/* The note of a request, 64 bits: method and flags below, the captured response's status from bit
 * 16 on (0: not known), its digest from bit 32 on. */
enum {
    TB_HTTP_NOTE_METHOD = 3,       /* enum tb_http_method */
    TB_HTTP_NOTE_EXPECTS = 1 << 2, /* a head whose body waits for the interim 100 */
    TB_HTTP_NOTE_UPGRADE = 1 << 3, /* asks for another protocol */
    TB_HTTP_NOTE_HAS_DIGEST = 1 << 4,
    TB_HTTP_NOTE_STATUS_SHIFT = 16,
    TB_HTTP_NOTE_DIGEST_SHIFT = 32
};

static inline enum tb_http_method tb_http_note_method(uint64_t note)
{
    return (enum tb_http_method)(note & TB_HTTP_NOTE_METHOD);
}
static inline unsigned tb_http_note_status(uint64_t note)
{
    return note >> TB_HTTP_NOTE_STATUS_SHIFT & 0xffff;
}
static inline uint32_t tb_http_note_digest(uint64_t note)
{
    return (uint32_t) (note >> TB_HTTP_NOTE_DIGEST_SHIFT);
}

/* Does the response end HTTP on this connection (101, or 2xx to CONNECT)? */
static inline bool tb_http_ends_http(const struct tb_http_message *response)
{
    return response->status == 101 ||
           (response->method == TB_HTTP_CONNECT && response->status / 100 == 2);
}

/* Hooks; see module.h. */
void *tb_http_learn_begin(struct tb_learn *l);
void tb_http_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                        const uint8_t *bytes, uint64_t len, uint64_t time_us);
void tb_http_learn_end(struct tb_learn *l, void *state, bool used);

/* Memory of a session while a response is awaited. */
struct tb_http_busy {
    struct tb_http_message response;
    bool reading; /* `response` has begun */
};

enum tb_response_status tb_http_response(struct tb_session *s, const uint8_t *data, size_t len,
                                         unsigned flags, size_t *used);

/* The module table, also the shared object's one symbol. */
extern const struct tb_module tb_module_entry;

#endif
