/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of the intercept channel, as they lie on the wire (docs/CHANNEL.md): a head of eight bytes
 * (length of what follows, type, three zero bytes), then the payload of that type. Numbers are
 * big-endian. Both ends encode and decode here and nowhere else; readers go through the cursor and
 * trust nothing.
 */
#ifndef TB_RELAY_FRAME_H
#define TB_RELAY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cursor.h"
#include "packet/addr.h"

enum {
    TB_RELAY_VERSION = 2, /* with targets in HELLO; 1 is spoken as well */
    TB_RELAY_VERSION_FIRST = 1,
    TB_RELAY_HEAD = 8,
    TB_RELAY_PAYLOAD_MAX = 128 * 1024, /* of any frame; one record of 64 KB always fits */
    TB_RELAY_CONTROL_MAX = 64 * 1024,  /* of every frame but RECORDS */
    TB_RELAY_RANGES_MAX = 1024,
    TB_RELAY_TARGETS_MAX = 1024,
    TB_RELAY_CONNECTIONS_MAX = 1024, /* of one client: workers times connections each */
    TB_RELAY_TEXT_MAX = 512          /* bytes of any text on the wire */
};

/* c: client (tcpburn, tcpcopy) to server (intercept); s: the other way. */
enum tb_relay_type {
    TB_RELAY_HELLO = 1,  /* c: who I am and what I want; first frame, once per connection */
    TB_RELAY_WELCOME,    /* s: taken; what I am */
    TB_RELAY_REFUSED,    /* s: not taken, with the reason; then the connection is closed */
    TB_RELAY_RECORDS,    /* s: packets of the target */
    TB_RELAY_PING,       /* c: heartbeat and clock probe */
    TB_RELAY_PONG,       /* s: its answer */
    TB_RELAY_DROPS,      /* s: how many records got lost; sent when a number grew */
    TB_RELAY_REGISTER,   /* c: sessions that no range describes */
    TB_RELAY_UNREGISTER, /* c: not those any more; none: none of all */
    TB_RELAY_WATCH,      /* c: look for packets to one client address (--check) */
    TB_RELAY_SEEN,       /* s: one was seen */
    TB_RELAY_BYE,        /* either: a planned end, with the reason as text */
    TB_RELAY_TAKEN       /* s: sessions that were to be registered and are another client's */
};

struct tb_relay_head {
    uint32_t len; /* payload bytes */
    uint8_t type;
};

void tb_relay_head_put(uint8_t out[TB_RELAY_HEAD], uint8_t type, uint32_t len);
/* 0; -EAGAIN with fewer than TB_RELAY_HEAD bytes; -EBADMSG when type, length or zero bytes are not
 * this protocol's. A whole frame is there when `len` bytes follow. */
int tb_relay_head_get(const uint8_t *data, size_t len, struct tb_relay_head *head);

/* --- HELLO ------------------------------------------------------------------------------------ */

enum {
    TB_RELAY_WANT_PAYLOAD = 1,  /* whole packets, not headers only */
    TB_RELAY_WANT_SINGLE = 2,   /* be the only client */
    TB_RELAY_WANT_REGISTER = 4, /* will register sessions (tcpcopy) */
    TB_RELAY_WANT_WATCH = 8     /* --check: may share ranges with a running client, gets no records
                                   unless the ranges are free */
};

/* `count` addresses from `first` on, within the last 32 bits. */
struct tb_relay_range {
    struct tb_addr first;
    uint64_t count;
};

/*
 * The connections of one client share `run`. A packet to an address of its ranges goes to
 * connection tb_steer_worker(low32(address), port, connections) (io/backends.h), so that each of
 * the client's workers, w of W, may read its own connections: those with index % W == w, when
 * `connections` is a multiple of W. A packet of a registered session goes to the connection that
 * registered it.
 */
struct tb_relay_hello {
    uint16_t version; /* 2 if there are targets; the server answers in it */
    uint32_t flags;   /* TB_RELAY_WANT_* */
    uint8_t run[16];  /* random per run */
    uint16_t connection, connections;
    char name[64]; /* for the other end's log: program, host, process id */
    uint32_t range_count;
    struct tb_relay_range range[TB_RELAY_RANGES_MAX];
    /* Version 2: whose packets are wanted for registered sessions; none: anybody's. */
    uint32_t target_count;
    struct tb_endpoint target[TB_RELAY_TARGETS_MAX];
};

/* Encoders write a whole frame, head included; its length, or 0 when `room` is too small. */
size_t tb_relay_hello_put(uint8_t *out, size_t room, const struct tb_relay_hello *hello);
/* Decoders are given the payload. 0; -EBADMSG: not a frame of this type; -EPROTONOSUPPORT (only
 * HELLO and WELCOME): a version we do not speak, `version` is set. */
int tb_relay_hello_get(const uint8_t *data, size_t len, struct tb_relay_hello *out);

/* --- WELCOME, REFUSED, BYE -------------------------------------------------------------------- */

enum {
    TB_RELAY_FORWARDS_V4 = 1, /* its devices forward: packets are not swallowed */
    TB_RELAY_FORWARDS_V6 = 2,
    TB_RELAY_OFFLOADS = 4 /* a captured device merges packets (GRO or LRO) */
};

struct tb_relay_welcome {
    uint16_t version;
    uint32_t flags;                  /* of the host: TB_RELAY_FORWARDS_*, TB_RELAY_OFFLOADS */
    uint64_t real_us;                /* its clock */
    char program[64];                /* "intercept 0.1.0" */
    char devices[TB_RELAY_TEXT_MAX]; /* "eth0,eth1" */
    char filter[TB_RELAY_TEXT_MAX];  /* -F, or "" */
};

size_t tb_relay_welcome_put(uint8_t *out, size_t room, const struct tb_relay_welcome *welcome);
int tb_relay_welcome_get(const uint8_t *data, size_t len, struct tb_relay_welcome *out);

enum tb_relay_refusal {
    TB_RELAY_REFUSED_VERSION = 1,
    TB_RELAY_REFUSED_OVERLAP, /* ranges of another client */
    TB_RELAY_REFUSED_SINGLE,  /* there is a client, and one of the two wants to be alone */
    TB_RELAY_REFUSED_LIMIT,   /* too many clients, connections or sessions */
    TB_RELAY_REFUSED_HELLO    /* contradicts itself or the client's other connections */
};

/* `text`: words for the user. BYE has code 0. */
struct tb_relay_text {
    uint16_t code;
    char text[TB_RELAY_TEXT_MAX];
};

/* type: TB_RELAY_REFUSED or TB_RELAY_BYE */
size_t tb_relay_text_put(uint8_t *out, size_t room, uint8_t type, uint16_t code, const char *text);
int tb_relay_text_get(const uint8_t *data, size_t len, struct tb_relay_text *out);

/* --- RECORDS ---------------------------------------------------------------------------------- */

enum {
    TB_RELAY_RECORDS_HEAD = 8,
    TB_RELAY_RECORD_HEAD = 12,
    TB_RELAY_WIRE_MAX = 1 << 20 /* no packet is longer, BIG TCP's included */
};

/* A packet from its IP header on: all of it, or cut after the TCP header. */
struct tb_relay_record {
    const uint8_t *data; /* into the payload */
    uint32_t len;
    uint32_t wire_len; /* length of the IP packet when it was sent; >= len */
    uint64_t real_us;  /* when it was captured, by the server's clock */
};

/* The payload of RECORDS is the clock in eight bytes, then records. Server: start a frame in `out`
 * (TB_RELAY_HEAD + TB_RELAY_RECORDS_HEAD bytes), append records, then complete the head. */
size_t tb_relay_records_begin(uint8_t *out, uint64_t real_us);
/* Bytes written at `out`, or 0 when `room` is too small; `base_us` is what begin was given. */
size_t tb_relay_record_put(uint8_t *out, size_t room, uint64_t base_us,
                           const struct tb_relay_record *record);
/* `len`: of the whole frame, head included. */
void tb_relay_records_end(uint8_t *out, size_t len);

/* Client: a cursor over the records of one payload. */
struct tb_relay_reader {
    struct tb_cursor cursor;
    uint64_t base_us;
};
int tb_relay_reader_init(struct tb_relay_reader *r, const uint8_t *data, size_t len);
/* 1 and the next record, 0 at the end, -EBADMSG. */
int tb_relay_reader_next(struct tb_relay_reader *r, struct tb_relay_record *out);

/* --- PING, PONG, DROPS ------------------------------------------------------------------------ */

struct tb_relay_ping {
    uint64_t client_us; /* the client's own clock, whatever it is; comes back unchanged */
    uint64_t real_us;   /* PONG: the server's clock when it answered */
};
/* A PING carries 0 for real_us. */
size_t tb_relay_ping_put(uint8_t *out, size_t room, uint8_t type, const struct tb_relay_ping *p);
int tb_relay_ping_get(const uint8_t *data, size_t len, struct tb_relay_ping *out);

/* All since the connection began. */
struct tb_relay_drops {
    uint64_t records; /* this connection's buffer was full */
    uint64_t capture; /* the kernel's rings were full: anybody's packets */
};
size_t tb_relay_drops_put(uint8_t *out, size_t room, const struct tb_relay_drops *d);
int tb_relay_drops_get(const uint8_t *data, size_t len, struct tb_relay_drops *out);

/* --- REGISTER, UNREGISTER, TAKEN -------------------------------------------------------------- */

enum { TB_RELAY_SESSION_BYTES = 18, TB_RELAY_SESSIONS_MAX = 3000 /* of one frame */ };

size_t tb_relay_sessions_put(uint8_t *out, size_t room, uint8_t type,
                             const struct tb_endpoint *sessions, uint32_t count);
/* Their number, or -EBADMSG. */
int tb_relay_sessions_get(const uint8_t *data, size_t len,
                          struct tb_endpoint out[TB_RELAY_SESSIONS_MAX]);

/* --- WATCH, SEEN (--check) -------------------------------------------------------------------- */

struct tb_relay_watch {
    struct tb_addr client; /* packets to or from it, on any device, for ten seconds */
};
size_t tb_relay_watch_put(uint8_t *out, size_t room, const struct tb_relay_watch *w);
int tb_relay_watch_get(const uint8_t *data, size_t len, struct tb_relay_watch *out);

enum {
    TB_RELAY_SEEN_OUTGOING = 1,   /* the assistant sent it on: it forwards */
    TB_RELAY_SEEN_CAPTURED = 2,   /* a captured device, and the filter lets it pass */
    TB_RELAY_SEEN_REDIRECT = 4,   /* an ICMP redirect about packets to the client, by anybody */
    TB_RELAY_SEEN_UNREACHABLE = 8 /* the same: ICMP says that they cannot be delivered */
};

struct tb_relay_seen {
    uint32_t flags; /* TB_RELAY_SEEN_* */
    struct tb_addr src, dst;
    uint16_t sport, dport; /* 0 unless TCP */
    uint8_t tcp_flags;
    uint8_t proto;   /* IP protocol */
    char device[16]; /* where */
};
size_t tb_relay_seen_put(uint8_t *out, size_t room, const struct tb_relay_seen *s);
int tb_relay_seen_get(const uint8_t *data, size_t len, struct tb_relay_seen *out);

#endif
