/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The comet module: what its parts share. Sessions that stay after their last request: long polls,
 * event streams and other bodies without an end, WebSockets. learn.c reads captured sessions and
 * notes what they are, play.c has the life of a session (requests, hold, timers, reconnects),
 * http.c and socket.c read what the server pushes, report.c counts it, comet.c has the options and
 * the module table.
 */
#ifndef TB_COMET_COMET_H
#define TB_COMET_COMET_H

#include "httpmsg/reading.h"
#include "module.h"
#include "ws.h"

/* --- options ---------------------------------------------------------------------------------- */

enum { TB_COMET_PATTERNS = 32, TB_COMET_PATTERN_BYTES = 256 };

/* Patterns of request targets, as of the shell. */
struct tb_comet_patterns {
    unsigned count;
    char text[TB_COMET_PATTERNS][TB_COMET_PATTERN_BYTES];
};

struct tb_comet_config {
    const struct tb_host *host;
    bool has_hold;
    uint64_t hold_us; /* UINT64_MAX: as long as the run lasts */
    bool has_heartbeat;
    uint64_t heartbeat_us; /* 0: none */
    bool reconnects;
    uint64_t reconnect_first_us, reconnect_most_us;
    bool has_poll; /* `poll` says what a poll is */
    struct tb_comet_patterns poll, exclude;
    bool by_line; /* in other bodies than event streams, a push is a line, even of a chunked one */
    uint8_t secret[16]; /* random: keys and masks come from it */
};

/* Written by configure() only, before any other hook runs. */
extern struct tb_comet_config tb_comet_config;

bool tb_comet_matches(const struct tb_comet_patterns *p, const char *target);

/* --- notes ------------------------------------------------------------------------------------ */

/* More of a request's note (httpmsg/pairing.h). */
enum {
    TB_COMET_NOTE_POLL = 1 << 4,   /* held by the server until it has something to say */
    TB_COMET_NOTE_SOCKET = 1 << 5, /* asks for a WebSocket */
    TB_COMET_NOTE_FRAME = 1 << 6,  /* a WebSocket frame … */
    TB_COMET_NOTE_ANSWER = 1 << 7, /* … that answers a ping: sent when the real ping comes */
    TB_COMET_NOTE_CLOSE = 1 << 8,  /* … that closes, or comes behind one that does: not sent */
    TB_COMET_NOTE_REACTS = 1 << 9, /* … that may depend on the messages of the server before it */
    TB_COMET_NOTE_MESSAGES_SHIFT = 32 /* with REACTS: how many these were */
};

/* What a session is in the end. */
enum tb_comet_kind { TB_COMET_IDLE, TB_COMET_POLL, TB_COMET_STREAM, TB_COMET_SOCKET };

enum {
    TB_COMET_ENGINE_IO = 1 << 0,    /* messages are packets of engine.io: "2" is a ping */
    TB_COMET_SERVER_CLOSES = 1 << 1 /* the captured server said a normal farewell of its own */
};

/* A session's note: kind, flags, the request that is repeated while the session is held (a poll or
 * a heartbeat; TB_COMET_NOTHING: none) and the time between two of them. */
#define TB_COMET_NOTHING 0xffffffu
struct tb_comet_session_note {
    uint8_t kind, flags;
    uint32_t repeated;
    uint64_t interval_us;
};
uint64_t tb_comet_note_pack(const struct tb_comet_session_note *n);
struct tb_comet_session_note tb_comet_note_unpack(uint64_t note);

/* --- a session -------------------------------------------------------------------------------- */

/* What is being read from the server outside of awaited responses. */
enum tb_comet_reading {
    TB_COMET_READS_HEAD, /* an HTTP response may begin */
    TB_COMET_READS_CHUNKS,
    TB_COMET_READS_TO_CLOSE,
    TB_COMET_READS_FRAMES,
    TB_COMET_READS_NOTHING /* garbage, or behind the end */
};

enum tb_comet_flags {
    TB_COMET_IS_OPEN = 1 << 0, /* something is half read: struct tb_comet_open is kept */
    TB_COMET_EVENTS = 1 << 1,  /* the body is an event stream */
    TB_COMET_CLOSES = 1 << 2,  /* the server has said that it will close */
    TB_COMET_WAS_UP = 1 << 3,  /* it does, or that of a session which this one reconnects did */
    TB_COMET_IS_UP = 1 << 4,   /* the connection stands */
    TB_COMET_IS_HELD = 1 << 5  /* behind the end of the script */
};

/* session_state(); kept over reconnects. */
struct tb_comet_session {
    uint64_t hold_end_us; /* 0: the hold has not begun */
    uint64_t next_us;     /* of the next heartbeat or poll; 0: none */
    uint64_t wait_us;     /* the script waits for a poll or a frame, until then; 0: it does not */
    uint8_t reading, flags;
    uint8_t attempts;  /* to reconnect, since the server was there last */
    bool hurried;      /* the server says less than it did: do not wait for it any more */
    uint32_t messages; /* of the server's, pings aside */
};
_Static_assert(sizeof(struct tb_comet_session) <= 32, "what a held session costs");

/* A push that is being read; at rest when all zero. */
struct tb_comet_push {
    uint64_t sent_us; /* the time it carries; 0: none found yet */
    uint8_t match;    /* of an event stream's line: how much of "data" it begins with */
    bool in_line, has_data, has_body;
    uint8_t start[2], start_len; /* of a WebSocket message: its first bytes */
};

/* busy_state(): what is half read. */
struct tb_comet_open {
    struct tb_http_reading http;
    struct tb_ws frame;
    struct tb_comet_push push;
    uint32_t accept; /* hash of the Sec-WebSocket-Accept to come */
};

static inline const struct tb_host *tb_comet_host(void)
{
    return tb_comet_config.host;
}

/* --- figures (report.c) ----------------------------------------------------------------------- */

enum tb_comet_counter {
    TB_COUNT_PUSHES,
    TB_COUNT_PUSH_BYTES,
    TB_COUNT_EVENTS,
    TB_COUNT_EVENT_COMMENTS,
    TB_COUNT_POLLS_ANSWERED,
    TB_COUNT_POLLS_EMPTY,
    TB_COUNT_POLLS_REPEATED,
    TB_COUNT_BODY_PARTS,
    TB_COUNT_WS_UPGRADES,
    TB_COUNT_WS_MESSAGES,
    TB_COUNT_WS_TEXT,
    TB_COUNT_WS_BINARY,
    TB_COUNT_WS_CONTINUATION,
    TB_COUNT_WS_PING,
    TB_COUNT_WS_PONG,
    TB_COUNT_WS_CLOSE,
    TB_COUNT_WS_BAD,
    TB_COUNT_PONGS_SENT,
    TB_COUNT_HEARTBEATS_SENT,
    TB_COUNT_NOT_HTTP,
    TB_COUNT_SESSIONS_HELD,
    TB_COUNT_SESSIONS_LOST,
    TB_COUNT_SESSIONS_BACK,
    TB_COMET_COUNTERS
};

enum { TB_COMET_MINUTES = 1440 };

/* worker_state() */
struct tb_comet_worker {
    struct tb_latency *latency;
    uint64_t begin_us;               /* first session */
    uint32_t lost[TB_COMET_MINUTES]; /* the last one holds all that came later */
};

void tb_comet_report_begin(const struct tb_host *host);
void tb_comet_count(struct tb_session *s, enum tb_comet_counter counter, uint64_t n);
void tb_comet_count_start(struct tb_session *s);
void tb_comet_count_lost(struct tb_session *s);
/* A push is complete; it carried the time `sent_us` (0: none). */
void tb_comet_count_push(struct tb_session *s, uint64_t sent_us);
json_t *tb_comet_report(void *const *workers, uint32_t count);
void tb_comet_unload(void *const *workers, uint32_t count);

/* --- reading pushes (http.c, socket.c) ---------------------------------------------------------
 */

/* Where the body of `what` goes: counts what is a push in it. */
struct tb_comet_body {
    struct tb_session *session;
    struct tb_comet_push *push;
    bool is_poll;  /* its end is the push */
    bool is_other; /* nothing of it is a push, unless it is an event stream */
};
void tb_comet_body_bytes(void *ctx, const struct tb_http_message *m, const uint8_t *data,
                         size_t len, bool part_end);
/* The response to a poll is complete. */
void tb_comet_poll_answered(struct tb_session *s, const struct tb_http_message *m,
                            struct tb_comet_push *push);
/* Part of a push: finds the time in it. */
void tb_comet_push_bytes(struct tb_session *s, struct tb_comet_push *push, const uint8_t *data,
                         size_t len);

/* Server bytes of a WebSocket, and of HTTP that the host does not follow. */
enum tb_response_status tb_comet_read_frames(struct tb_session *s, struct tb_comet_session *c,
                                             struct tb_comet_open *o, const uint8_t *data,
                                             size_t len);
enum tb_response_status tb_comet_read_http(struct tb_session *s, struct tb_comet_session *c,
                                           struct tb_comet_open *o, const uint8_t *data,
                                           size_t len);

/* --- WebSocket clients (key.c, socket.c) -------------------------------------------------------
 */

/* Send the upgrade request with a key of this session's own; the hash of what the server must
 * answer goes to *accept. False: the request has no key. */
bool tb_comet_send_upgrade(struct tb_session *s, const struct tb_request_info *r, uint32_t *accept);
/* Unpredictable bits for this session, now. */
uint32_t tb_comet_random(struct tb_session *s);
void tb_comet_send_frame(struct tb_session *s, enum tb_ws_opcode opcode, const uint8_t *payload,
                         size_t len);

/* --- hooks (module.h) --------------------------------------------------------------------------
 */

void *tb_comet_learn_begin(struct tb_learn *l);
void tb_comet_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                         const uint8_t *bytes, uint64_t len, uint64_t time_us);
void tb_comet_learn_end(struct tb_learn *l, void *state, bool used);

int tb_comet_session_start(struct tb_session *s);
enum tb_request_action tb_comet_request(struct tb_session *s, const struct tb_request_info *r);
enum tb_response_status tb_comet_response(struct tb_session *s, const uint8_t *data, size_t len,
                                          unsigned flags, size_t *used);
enum tb_response_status tb_comet_timer(struct tb_session *s);
int64_t tb_comet_session_end(struct tb_session *s, enum tb_verdict verdict);
/* A poll outside of the script was answered, or a stream ended: when the next one goes out. */
void tb_comet_poll_again(struct tb_session *s, struct tb_comet_session *c, unsigned status);

/* The module table, also the shared object's one symbol. */
extern const struct tb_module tb_module_entry;

#endif
