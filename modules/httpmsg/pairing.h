/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Learning a captured HTTP session: cuts the client's stream into requests and pairs them with the
 * responses in order. The module that embeds it says what is noted of each. Called from the
 * module's learn hooks, with both streams in the order of capture.
 *
 * A request with "Expect: 100-continue" becomes two (head and body) only if its client waited: the
 * server spoke before the body began.
 */
#ifndef TB_HTTPMSG_PAIRING_H
#define TB_HTTPMSG_PAIRING_H

#include "message.h"
#include "module.h"

/* The note of a request: what pairing and reading need stands in the lowest four bits, the captured
 * response's status (0: not known) from bit 16 on. The rest is the module's. */
enum {
    TB_HTTP_NOTE_METHOD = 3,       /* enum tb_http_method */
    TB_HTTP_NOTE_EXPECTS = 1 << 2, /* a head whose body waits for the interim 100 */
    TB_HTTP_NOTE_UPGRADE = 1 << 3, /* asks for another protocol */
    TB_HTTP_NOTE_STATUS_SHIFT = 16
};

static inline enum tb_http_method tb_http_note_method(uint64_t note)
{
    return (enum tb_http_method)(note & TB_HTTP_NOTE_METHOD);
}
static inline unsigned tb_http_note_status(uint64_t note)
{
    return note >> TB_HTTP_NOTE_STATUS_SHIFT & 0xffff;
}

/* Does the response end HTTP on this connection (101, or 2xx to CONNECT)? */
static inline bool tb_http_ends_http(const struct tb_http_message *response)
{
    return response->status == 101 ||
           (response->method == TB_HTTP_CONNECT && response->status / 100 == 2);
}

struct tb_http_pairing;

/* What the module adds; each may be NULL. */
struct tb_http_pairing_ops {
    /* More for the note of the request being cut (p->request), and for that of the request whose
     * response is complete (p->response). */
    uint64_t (*request_note)(struct tb_http_pairing *p);
    uint64_t (*response_note)(const struct tb_http_pairing *p);
    /* Bytes of the request being read. */
    void (*request_bytes)(struct tb_http_pairing *p, const uint8_t *bytes, size_t len);
    /* A request has been cut; the response to it is complete. */
    void (*cut)(struct tb_http_pairing *p, uint32_t index, uint64_t note);
    void (*answered)(struct tb_http_pairing *p, uint32_t index, uint64_t note);
    /* HTTP ended with p->response. False: what follows is opaque. */
    bool (*upgraded)(struct tb_http_pairing *p, struct tb_learn *l);
};

/* A request cut whose response is not complete. */
struct tb_http_pending {
    uint32_t index;
    uint64_t note;
};

struct tb_http_pairing {
    const struct tb_host *host;
    const struct tb_http_pairing_ops *ops;
    bool digest;                              /* of response bodies */
    bool watch;                               /* tb_http_watch() */
    bool in_parts;                            /* cut long requests into parts, as they come */
    struct tb_http_message request, response; /* being read */
    uint64_t client_at, server_at;            /* stream offsets read up to */
    uint64_t cut_at;                          /* end of the last request cut */
    struct tb_http_pending *pending;          /* oldest at `first` */
    size_t first, count, room;
    uint64_t early_end, early_note; /* see `early` */
    bool reading;                   /* `response` has begun */
    bool head_waits;                /* `request` is at the end of an Expect head, nothing behind */
    bool part_cut;                  /* parts of `request` have been cut */
    bool body_only;                 /* `request` goes on behind such a head, which has been cut */
    bool body_refused;              /* a final status answered the head: nothing answers the body */
    bool early;                     /* a response was complete before `request` was */
    bool lost;                      /* the end of the current response is not known */
    bool was_lost;
    bool over; /* given up, or no HTTP any more */
};

void tb_http_pairing_init(struct tb_http_pairing *p, const struct tb_host *host,
                          const struct tb_http_pairing_ops *ops, bool digest);
/* More of the client's stream; how much of it was HTTP (all, unless p->over). */
size_t tb_http_pairing_client(struct tb_http_pairing *p, struct tb_learn *l, const uint8_t *bytes,
                              size_t len);
/* The same of the server's, which goes on at `offset`; NULL: these bytes are missing. */
size_t tb_http_pairing_server(struct tb_http_pairing *p, struct tb_learn *l, uint64_t offset,
                              const uint8_t *bytes, uint64_t len);
/* Both streams are over, and the session will be played. */
void tb_http_pairing_end(struct tb_http_pairing *p, struct tb_learn *l);
void tb_http_pairing_fini(struct tb_http_pairing *p);

#endif
