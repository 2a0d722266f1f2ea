/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Incremental parser of HTTP/1.x messages (RFC 9112): finds where a message ends, whatever the
 * pieces its bytes come in, and keeps nothing of it but what framing needs. Used by the http and
 * comet modules for captured streams and for the real server's responses. No allocation, no look
 * back.
 */
#ifndef TB_HTTPMSG_MESSAGE_H
#define TB_HTTPMSG_MESSAGE_H

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
    TB_HTTP_RESPONSE = 1 << 7,
    /* Only with TB_HTTP_WATCH, see tb_http_watch(): */
    TB_HTTP_WATCH = 1 << 8,
    TB_HTTP_CLOSE = 1 << 9,       /* Connection: close */
    TB_HTTP_KEEP_ALIVE = 1 << 10, /* Connection: keep-alive */
    TB_HTTP_1_0 = 1 << 11,        /* a response of HTTP/1.0 */
    TB_HTTP_EVENTS = 1 << 12,     /* Content-Type: text/event-stream */
    TB_HTTP_WEBSOCKET = 1 << 13   /* Upgrade: websocket */
};

/* A message being read. Plain data; `status`, `method`, `flags` and `digest` may be read. */
struct tb_http_message {
    uint64_t left;    /* of the counted body or chunk; while a number is read: its value so far */
    uint64_t length;  /* Content-Length */
    uint32_t framing; /* bytes of head, chunk line or trailers so far, against TB_HTTP_HEAD_MAX */
    uint32_t digest;  /* FNV-1a of the body without its chunk framing */
    uint32_t accept;  /* FNV-1a of Sec-WebSocket-Accept, 0: none; with TB_HTTP_WATCH */
    uint32_t words;   /* bit set: the words that still match what is being read */
    uint16_t status;  /* of a response */
    uint16_t flags;
    uint8_t pos; /* bytes of that word so far, or the place within a number */
    uint8_t state;
    uint8_t field;  /* the header field whose value is being read */
    uint8_t method; /* enum tb_http_method; of the request, also in its response */
};

/* Begin a request, or the response to a request with that method. */
void tb_http_begin_request(struct tb_http_message *m, bool digest);
void tb_http_begin_response(struct tb_http_message *m, enum tb_http_method method, bool digest);

/* Look at what the connection and the body are, too; right behind begin. */
void tb_http_watch(struct tb_http_message *m);
/* FNV-1a, as in `accept` and `digest`. */
uint32_t tb_http_hash(const uint8_t *data, size_t len);

/* Where body bytes go, without chunk framing; `part_end`: a chunk ends with them. */
struct tb_http_sink {
    void (*body)(void *ctx, const struct tb_http_message *m, const uint8_t *data, size_t len,
                 bool part_end);
    void *ctx;
};

/* Read on. Sets *used to the bytes consumed (all of them with MORE). After HEAD_END feed what is
 * left, even if that is nothing: a message without body is complete only then. */
enum tb_http_event tb_http_feed(struct tb_http_message *m, const uint8_t *data, size_t len,
                                size_t *used);
/* The same; `sink` may be NULL. */
enum tb_http_event tb_http_feed_to(struct tb_http_message *m, const uint8_t *data, size_t len,
                                   size_t *used, const struct tb_http_sink *sink);

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
/* The server closes behind this response (needs TB_HTTP_WATCH). */
bool tb_http_closes(const struct tb_http_message *m);

/* Between two chunks of a chunked body: nothing of the message needs to be kept but that, and
 * tb_http_resume() goes on with it. */
bool tb_http_between_chunks(const struct tb_http_message *m);
/* A response whose head is over: go on between two chunks, or within a body that lasts until the
 * end of the connection. */
void tb_http_resume(struct tb_http_message *m, bool chunked);

#endif
