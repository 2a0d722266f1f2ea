/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the real server's responses to requests of a script (pairing.h), in whatever pieces they
 * come. Called from a module's response hook; lives in its busy state.
 */
#ifndef TB_HTTPMSG_READING_H
#define TB_HTTPMSG_READING_H

#include "pairing.h"

/* All zero: nothing has been read. */
struct tb_http_reading {
    struct tb_http_message response;
    bool begun;
};

struct tb_http_reading_how {
    bool digest, watch;
    const struct tb_http_sink *sink; /* may be NULL */
};

/* Read on, interim responses included. TB_HTTP_MORE: all is read, the response goes on; DONE: it is
 * complete with *used bytes; BAD: no HTTP. */
enum tb_http_event tb_http_read(struct tb_http_reading *r, uint64_t note,
                                const struct tb_http_reading_how *how, const uint8_t *data,
                                size_t len, size_t *used);

#endif
