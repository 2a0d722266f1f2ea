/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcpburn module interface, version 1.
 *
 * A protocol module is a shared object that exports one symbol, `tb_module_entry`, a
 * `const struct tb_module`. It is loaded with `--module NAME` or `--module PATH`. This header and
 * libjansson are all it needs; it links against nothing of tcpburn. docs/MODULES.md is a guide,
 * examples/ holds modules to start from.
 *
 * A module sees a session at three moments: its start, each request boundary (a request is due and
 * may be changed before it is sent), and each response (is it complete, is it right). Before that,
 * while the capture is loaded, it may *learn*: it sees both captured streams and says where
 * requests begin and end. Every hook is optional; a module without hooks is the `generic` one.
 *
 * tcpcopy plays live sessions while they are captured: they are learned and played at the same
 * time, and forgotten afterwards (forget_request(), forget_session()).
 *
 * Threads: configure() is called once. Captured files are learned in one thread. Everything else,
 * learning live sessions included, is called from the worker thread that owns the session; hooks of
 * different sessions may run at the same time, so a module keeps no mutable globals but what it
 * guards. A hook must not block.
 * Host functions may be called only inside a hook, for the session the hook was given.
 */
#ifndef TCPBURN_MODULE_H
#define TCPBURN_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TB_MODULE_MAGIC     0x54424d44u /* "TBMD" */
#define TB_MODULE_ABI_MAJOR 1           /* must be equal */
#define TB_MODULE_ABI_MINOR 4           /* grows as fields are appended */
#define TB_MODULE_ABI       (TB_MODULE_ABI_MAJOR << 16 | TB_MODULE_ABI_MINOR)

struct tb_learn;   /* a captured session being learned; opaque */
struct tb_session; /* a session being played; opaque */
struct tb_latency; /* a histogram of microseconds, as those of the report; opaque */

enum tb_direction { TB_CLIENT_BYTES = 0, TB_SERVER_BYTES = 1 };

/* How a session ended. Values are only appended. */
enum tb_verdict {
    TB_VERDICT_NONE = 0,         /* still running */
    TB_VERDICT_COMPLETED,        /* ran to its end */
    TB_VERDICT_CONNECT_TIMEOUT,  /* no answer to the SYN */
    TB_VERDICT_REFUSED,          /* RST in answer to the SYN */
    TB_VERDICT_RESET,            /* RST by the server, unlike the capture */
    TB_VERDICT_RESPONSE_TIMEOUT, /* an awaited response did not come, or acknowledgements ceased */
    TB_VERDICT_CLOSED_EARLY,     /* the server closed, unlike the capture */
    TB_VERDICT_MODULE,           /* the module said so */
    TB_VERDICT_ABORTED,          /* the run was interrupted */
    TB_VERDICT_CUT,              /* reset at the end of --duration and --grace: not a failure */
    TB_VERDICT_HELD,             /* held to the end (tb_module.holds): counts as completed */
    TB_VERDICT_SERVER_CLOSED,    /* the server ended a session that was to be held */
    TB_VERDICT_CAPTURE_HOLE, /* tcpcopy: bytes of the live client were not captured: not a failure
                              */
    TB_VERDICT_SHED,         /* tcpcopy: given up to keep its limits: not a failure */
    TB_VERDICT_COUNT
};

/* A request of the script. `data` is the captured bytes, contiguous, valid during the hook. */
struct tb_request_info {
    uint32_t index; /* 0, 1, … within the session */
    uint64_t note;  /* what the module noted of it while learning */
    const uint8_t *data;
    size_t len;
    uint64_t due_us; /* when it was due, clock of tb_host.now_us() */
};

enum tb_request_action {
    TB_REQUEST_SEND = 0, /* send it as captured, behind whatever the hook itself sent */
    TB_REQUEST_REPLACED, /* the hook has sent what is to be sent instead */
    TB_REQUEST_SKIP,     /* do not send it, and do not wait for its response */
    TB_REQUEST_WAIT,     /* not yet: ask again after the next response bytes, or timer */
    TB_REQUEST_FAIL,     /* end the session with verdict MODULE; give a reason with fail_reason() */
    TB_REQUEST_HOLD      /* at the end of the script only: stay connected, see request() */
};

enum tb_response_flags {
    TB_RESPONSE_CLOSED = 1 << 0, /* the server closed; len is 0 */
    TB_RESPONSE_UNASKED = 1 << 1 /* no request is waiting for a response */
};

enum tb_response_status {
    TB_RESPONSE_MORE = 0, /* more to come */
    TB_RESPONSE_COMPLETE, /* complete and as it should be */
    TB_RESPONSE_MISMATCH, /* complete, but wrong: give a reason with mismatch() */
    TB_RESPONSE_OPAQUE,   /* complete, and from here on both streams are opaque: requests go out
                           * as captured, responses are counted in bytes */
    TB_RESPONSE_FATAL,    /* end the session with verdict MODULE; reason with fail_reason() */
    TB_RESPONSE_LEAVE,    /* close politely behind what was sent: held long enough, verdict HELD */
    TB_RESPONSE_LOST      /* the same, but it is the server that wants it: SERVER_CLOSED */
};

/* flags of tb_host.learn_cut() */
enum tb_cut_flags {
    TB_CUT_NO_RESPONSE = 1 << 0, /* no response belongs to this request */
    TB_CUT_PART = 1 << 1,        /* a first part with an interim response (Expect: 100-continue):
                                  * counted together with what follows */
    TB_CUT_MORE = 1 << 2         /* goes on with the request cut last, and has its index; appended
                                  * in minor 3: what is live is sent without waiting for the rest */
};

/* What the host does for modules. Fields are only appended. */
struct tb_host {
    uint32_t abi;  /* TB_MODULE_ABI of the host */
    uint32_t size; /* of this struct */

    /* printf-like; level 0 error, 1 warning, 2 information, 3 debugging. */
    void (*log)(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

    /* A counter shown under "module" in the report, summed over workers; call in configure() only.
     * Its handle, or -1 when there are too many (64). */
    int (*counter)(const struct tb_host *host, const char *name);
    void (*count)(struct tb_session *s, int counter, uint64_t n);

    /* --- while learning ---------------------------------------------------------------- */

    /* A request ends before client stream offset `end`; returns its index. Offsets count from the
     * session's first byte; `end` lies behind the previous cut and is at most what has come. */
    uint32_t (*learn_cut)(struct tb_learn *l, uint64_t end, unsigned flags, uint64_t note);
    /* The oldest outstanding response ends before server stream offset `end`. With no request
     * outstanding it is a greeting: the server speaks first. */
    void (*learn_response)(struct tb_learn *l, uint64_t end);
    /* Replace the note of a request already cut. */
    void (*learn_note)(struct tb_learn *l, uint32_t index, uint64_t note);
    void (*learn_session_note)(struct tb_learn *l, uint64_t note);
    /* The rest of both streams is opaque (an upgraded protocol, or not this protocol at all). */
    void (*learn_opaque)(struct tb_learn *l);
    /* The session cannot be played: counted as skipped under `reason`, a short key ("tls"). */
    void (*learn_reject)(struct tb_learn *l, const char *reason);

    /* --- while playing ----------------------------------------------------------------- */

    uint64_t (*now_us)(const struct tb_session *s); /* monotonic microseconds */
    uint64_t (*session_note)(const struct tb_session *s);
    uint32_t (*session_number)(const struct tb_session *s); /* of the captured session */

    /* The session's own memory: `session_size` bytes for its whole life (zeroed), NULL when 0. */
    void *(*session_state)(struct tb_session *s);
    /* `busy_size` bytes that live while a request is unanswered or bytes are unacknowledged;
     * zeroed when they begin. Pointers inside are the module's to free (busy_end). */
    void *(*busy_state)(struct tb_session *s);
    /* The request whose response is awaited: index and note (data is NULL). False: none. */
    bool (*awaited)(const struct tb_session *s, struct tb_request_info *out);

    /* Queue bytes to be sent next. send() copies; send_captured() takes a range of the request that
     * the request() hook was given (no copy; only inside that hook). 0 or -errno. */
    int (*send)(struct tb_session *s, const void *data, size_t len);
    int (*send_captured)(struct tb_session *s, size_t offset, size_t len);

    /* One timer per session: call timer() in `us` from now; UINT64_MAX cancels. */
    void (*set_timer)(struct tb_session *s, uint64_t us);

    /* Why the response is wrong: what was captured, what came (both short; copied; either may be
     * NULL). Shown under mismatch_examples. */
    void (*mismatch)(struct tb_session *s, const char *captured, const char *seen);
    /* Why the session cannot go on. */
    void (*fail_reason)(struct tb_session *s, const char *reason);

    /* --- while learning, appended ------------------------------------------------------ */

    /* For learn_end(): did the capture show the server's FIN? A response that only the end of the
     * connection completes is complete if it did. */
    bool (*learn_server_closed)(struct tb_learn *l);

    /* --- minor 1, appended ------------------------------------------------------------- */

    /* `worker_size` bytes that belong to the worker thread of the session, zeroed at the start of
     * the run: what a module adds up without locks, for report(). NULL when 0. */
    void *(*worker_state)(const struct tb_session *s);
    /* When the request whose response is awaited was sent, clock of now_us(); 0: none is. */
    uint64_t (*awaited_sent_us)(const struct tb_session *s);
    /* send() without a copy: the bytes stay as they are until unload(). */
    int (*send_kept)(struct tb_session *s, const void *data, size_t len);

    /* In configure(): the file that --module-config named, or NULL. */
    const char *options_file;

    /* Histograms of the module's own, about 15 KB each; NULL when memory is out. Any hook; one
     * writer at a time. latency_json: the sum of `count` of them as the report shows such figures
     * (the caller owns it); NULL entries count as empty. */
    struct tb_latency *(*latency_new)(void);
    void (*latency_free)(struct tb_latency *h);
    void (*latency_add)(struct tb_latency *h, uint64_t us);
    json_t *(*latency_json)(struct tb_latency *const *h, size_t count);

    /* --- sessions that stay, appended in minor 2 ---------------------------------------- */

    uint64_t (*real_us)(const struct tb_session *s); /* wall clock, microseconds since 1970 */
    uint64_t (*hold_us)(const struct tb_session *s); /* --hold; 0: not given */
    /* Until the end of --duration; UINT64_MAX: the run has none. */
    uint64_t (*run_left_us)(const struct tb_session *s);
    /* A captured time as it is to be played (--accelerate). */
    uint64_t (*scale_us)(const struct tb_session *s, uint64_t captured_us);
    /* Queue request `index` of the script as captured, once more; no copy. 0 or -errno. */
    int (*send_request)(struct tb_session *s, uint32_t index);
    /* Keep the busy state, or no more, though nothing is awaited or unacknowledged: for what is
     * half read. It still ends with the connection. */
    void (*keep_busy)(struct tb_session *s, bool keep);
    /* In request(): --timeout is not for the response to this request. */
    void (*no_timeout)(struct tb_session *s);

    /* --- live sessions, appended in minor 3 ---------------------------------------------- */

    /* Is the session live: played while it is learned? Whatever a request's note, or the session's,
     * points to must then be complete when it is cut, but for what only its response tells; that is
     * there when the target's response is given. Any learn hook. */
    bool (*learn_live)(struct tb_learn *l);

    /* --- memory, appended in minor 4 ----------------------------------------------------- */

    /* realloc() that counts for tcpcopy's -m: for what grows with a live session. `bytes` 0 frees
     * `old`, and NULL is the answer; NULL, too, when memory is out. What has come from here goes
     * back here. Any hook. */
    void *(*memory)(void *old, size_t bytes);
};

struct tb_module {
    uint32_t magic; /* TB_MODULE_MAGIC */
    uint32_t abi;   /* TB_MODULE_ABI it was built with */
    uint32_t size;  /* sizeof(struct tb_module) it was built with */

    uint32_t session_size; /* bytes of session_state() per session; 0 when idle users need none */
    uint32_t busy_size;    /* bytes of busy_state() */
    bool needs_payload;    /* response() wants the bytes, not only their number */

    const char *name;    /* "http" */
    const char *version; /* shown by -v and in the report */

    /* Read the options (an object, never NULL; from "modules": {"NAME": …} or --module-config) and
     * refuse bad ones: non-zero with the reason in err, naming the key. `host` stays valid. */
    int (*configure)(const struct tb_host *host, const json_t *options, char *err, size_t err_len);

    /* Learning; see the host's learn_* functions. `state` is what learn_begin returned. A hook may
     * be NULL; without learn_data requests are cut by the host: a request is a run of client bytes
     * without server bytes between. */
    void *(*learn_begin)(struct tb_learn *l);
    /* `bytes` are in order and stand at `offset` of their stream. NULL: `len` bytes are missing in
     * the capture (server side only). `time_us`: capture time. */
    void (*learn_data)(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                       const uint8_t *bytes, uint64_t len, uint64_t time_us);
    /* Both streams are over; `used` tells whether the session will be played (always, if it is
     * live: it may be being played). Frees state. */
    void (*learn_end)(struct tb_learn *l, void *state, bool used);

    /* Before the SYN. Non-zero: the session is not started, verdict MODULE. */
    int (*session_start)(struct tb_session *s);

    /* A request is due. At the end of the script, when all awaited responses have come, it is
     * called once more with NULL: SEND closes as captured, HOLD keeps the session open. */
    enum tb_request_action (*request)(struct tb_session *s, const struct tb_request_info *req);

    /* Response bytes in order, each byte once. Sets *used to how many belong to this response (all,
     * unless it became complete); what is left is given again for the next one. Without
     * needs_payload `data` is NULL. With TB_RESPONSE_CLOSED a response that the end of the
     * connection completes is COMPLETE, otherwise MORE. */
    enum tb_response_status (*response)(struct tb_session *s, const uint8_t *data, size_t len,
                                        unsigned flags, size_t *used);

    /* The timer set with set_timer() is due. MORE: nothing happens; others as response(). */
    enum tb_response_status (*timer)(struct tb_session *s);

    /* The busy state is about to be given back. */
    void (*busy_end)(struct tb_session *s, void *busy);

    /* The session is over. Returns a delay in microseconds after which it is to be started anew
     * (a reconnect; session_state() then goes on as it was left), or -1. */
    int64_t (*session_end)(struct tb_session *s, enum tb_verdict verdict);

    /* --- minor 1, appended ------------------------------------------------------------- */

    uint32_t worker_size; /* bytes of worker_state() per worker */
    /* The run is over: an object whose members are shown under "module" in the report (the host
     * takes it; NULL: nothing to say). `workers`: the worker states, `count` of them. */
    json_t *(*report)(void *const *workers, uint32_t count);
    /* The last call: free what the module, and its worker states, still hold. `count` may be 0. */
    void (*unload)(void *const *workers, uint32_t count);

    /* Sessions are there to stay: the captured end is not played, a response that the capture does
     * not show complete is given as TB_RESPONSE_UNASKED, and needs no memory of the host. When the
     * server closes with nothing awaited, response() is asked with TB_RESPONSE_CLOSED, too:
     * COMPLETE means that this is how it ought to end. HOLD lasts for --hold, until LEAVE or LOST,
     * or to the end of --duration. Appended in minor 2. */
    bool holds;

    /* --- live sessions, appended in minor 3 ---------------------------------------------- */

    /* Nobody needs a live request any more, or anything that was sent for it: free what its note
     * (never 0) points to. Called once per request that was cut, in their order, often while the
     * session goes on; never for sessions of files, whose notes stay until unload(). */
    void (*forget_request)(uint64_t note);
    /* The same of the session's note, behind those of all its requests and learn_end(). */
    void (*forget_session)(uint64_t note);

    /* Each request says all that the server has to know: when the target fails the copy of a live
     * session, it goes on with the next request, in a new connection (as after a reconnect of
     * session_end()). Requests that were sent are not sent again. Appended in minor 4. */
    bool stands_alone;
};

/* The symbol a module exports. */
#define TB_MODULE_ENTRY tb_module_entry
#if defined(__GNUC__)
#define TB_MODULE_EXPORT __attribute__((visibility("default")))
#else
#define TB_MODULE_EXPORT
#endif

#ifdef __cplusplus
}
#endif

#endif
