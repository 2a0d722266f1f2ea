/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The http module: what its parts share. learn.c cuts captured sessions and notes what came back,
 * play.c judges the real responses by these notes, http.c has the options and the module table.
 */
#ifndef TB_HTTP_HTTP_H
#define TB_HTTP_HTTP_H

#include "httpmsg/reading.h"
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

/* More of a request's note (httpmsg/pairing.h): the response's digest stands from bit 32 on. */
enum { TB_HTTP_NOTE_HAS_DIGEST = 1 << 4, TB_HTTP_NOTE_DIGEST_SHIFT = 32 };

static inline uint32_t tb_http_note_digest(uint64_t note)
{
    return (uint32_t) (note >> TB_HTTP_NOTE_DIGEST_SHIFT);
}

/* Hooks; see module.h. */
void *tb_http_learn_begin(struct tb_learn *l);
void tb_http_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                        const uint8_t *bytes, uint64_t len, uint64_t time_us);
void tb_http_learn_end(struct tb_learn *l, void *state, bool used);

enum tb_response_status tb_http_response(struct tb_session *s, const uint8_t *data, size_t len,
                                         unsigned flags, size_t *used);

/* The module table, also the shared object's one symbol. */
extern const struct tb_module tb_module_entry;

#endif
