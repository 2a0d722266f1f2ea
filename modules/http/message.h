/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Incremental parser of HTTP/1.x messages (RFC 9112): finds where a message ends, whatever the
 * pieces its bytes come in, and keeps nothing of it but what framing needs. Used for captured
 * streams (learn.c) and for the real server's responses (play.c). No allocation, no look back.
 */
#ifndef TB_HTTP_MESSAGE_H
#define TB_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest head, trailer section or chunk-size line; what is longer is no HTTP we want to follow. */
enum { TB_HTTP_HEAD_MAX = 256 * 1024 };

/* Methods that change how the response is framed (RFC 9112 §6.3). */
enum tb_http_method { TB_HTTP_OTHER, TB_HTTP_HEAD, TB_HTTP_CONNECT };

enum tb_http_event {
    TB_HTTP_MORE,     /* all bytes consumed, the message goes on */
    TB_HTTP_HEAD_END, /* the head is over: status, method and flags are known; feed the rest */
    TB_HTTP_DONE,     /* the message is complete; begin anew for the next one */
    TB_HTTP_BAD       /* not HTTP/1.x, or its framing contradicts itself; stays so */
};

/* tb_http_message.flags */
enum {
    TB_HTTP_EXPECTS = 1 << 0,     /* Expect: 100-continue */
    TB_HTTP_UPGRADE = 1 << 1,     /* has an Upgrade field */
    TB_HTTP_HAS_LENGTH = 1 << 2,  /* Content-Length seen */
    TB_HTTP_CHUNKED = 1 << 3,     /* the last transfer coding is chunked */
    TB_HTTP_CODED = 1 << 4,       /* the last transfer coding is another one */
    TB_HTTP_DIGEST = 1 << 5,      /* a digest of the body is wanted */
    TB_HTTP_DIGEST_LOST = 1 << 6, /* but part of the body was not seen */
    TB_HTTP_RESPONSE = 1 << 7
};

/* A message being read. Plain data; `status`, `method`, `flags` and `digest` may be read. */
struct tb_http_message {
    uint64_t left;    /* of the counted body or chunk; while a number is read: its value so far */
    uint64_t length;  /* Content-Length */
    uint32_t framing; /* bytes of head, chunk line or trailers so far, against TB_HTTP_HEAD_MAX */
    uint32_t digest;  /* FNV-1a of the body without its chunk framing */
    uint16_t status;  /* of a response */
    uint16_t words;   /* bit set: the words that still match what is being read */
    uint8_t pos;      /* bytes of that word so far, or the place within a number */
    uint8_t state;
    uint8_t field;  /* the header field whose value is being read */
    uint8_t method; /* enum tb_http_method; of the request, also in its response */
    uint8_t flags;
};

/* Begin a request, or the response to a request with that method. */
void tb_http_begin_request(struct tb_http_message *m, bool digest);
void tb_http_begin_response(struct tb_http_message *m, enum tb_http_method method, bool digest);

/* Read on. Sets *used to the bytes consumed (all of them with MORE). After HEAD_END feed what is
 * left, even if that is nothing: a message without body is complete only then. */
enum tb_http_event tb_http_feed(struct tb_http_message *m, const uint8_t *data, size_t len,
                                size_t *used);

/* `len` bytes of the message are missing. False: they are not all within the body, so where the
 * message ends can no longer be known. */
bool tb_http_skip(struct tb_http_message *m, uint64_t len);

/* Has anything but empty lines before the message been read? */
bool tb_http_begun(const struct tb_http_message *m);
/* Behind its head, with a body to come. */
bool tb_http_in_body(const struct tb_http_message *m);
/* Only the end of the connection completes this response. */
bool tb_http_until_close(const struct tb_http_message *m);
/* An interim response: another one follows for the same request. 101 is final, it ends HTTP. */
bool tb_http_interim(const struct tb_http_message *m);

#endif
