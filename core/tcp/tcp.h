/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TCP client: one connection's state machine (RFC 9293), sans I/O. It is given segments and the
 * time and leaves frames in its environment's batch. The engine owns connections and calls, per
 * event, one of open/input/timer/send/close and once per tick output(). Nothing here allocates but
 * from pools, and nothing blocks.
 *
 * Numbers: both streams are addressed by 64-bit offsets from their first byte; the SYN lies before
 * offset 0 and a FIN occupies the offset behind the last byte. Only out.c and in.c turn offsets
 * into wire numbers (packet/seq.h). Deadlines are ticks of the engine's timing wheel; 0 means none.
 */
#ifndef TB_TCP_TCP_H
#define TB_TCP_TCP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/pool.h"
#include "base/wheel.h"
#include "packet/frame.h"
#include "packet/view.h"

enum tb_tcp_state {
    TB_TCP_CLOSED,
    TB_TCP_SYN_SENT,
    TB_TCP_ESTABLISHED,
    TB_TCP_FIN_WAIT_1,
    TB_TCP_FIN_WAIT_2,
    TB_TCP_CLOSING,
    TB_TCP_TIME_WAIT,
    TB_TCP_CLOSE_WAIT,
    TB_TCP_LAST_ACK
};

enum tb_tcp_flags {
    TB_TCP_USES_TS = 1 << 0,
    TB_TCP_USES_SACK = 1 << 1,
    TB_TCP_ACK_NOW = 1 << 2,    /* send an ACK at the next output */
    TB_TCP_SYN_DUE = 1 << 3,    /* send the SYN at the next output */
    TB_TCP_FIN_QUEUED = 1 << 4, /* behind the last queued byte */
    TB_TCP_FIN_SENT = 1 << 5,
    TB_TCP_FIN_ACKED = 1 << 6,
    TB_TCP_FIN_RECEIVED = 1 << 7,
    TB_TCP_RECOVERY = 1 << 8,   /* fast recovery (RFC 6582, 6675) */
    TB_TCP_WANTS_DATA = 1 << 9, /* deliver() wants bytes, so out-of-order ones are kept */
    TB_TCP_RTX_FIRST = 1 << 10, /* retransmit the first unacknowledged segment at the next output */
    TB_TCP_PROBE = 1 << 11,     /* zero-window probe due, or bytes for a window not worth it */
    TB_TCP_USES_WSCALE = 1 << 12
};

/* What input() and timer() report, as bits. */
enum tb_tcp_events {
    TB_TCP_EV_CONNECTED = 1 << 0,
    TB_TCP_EV_ACKED = 1 << 1,   /* snd_una moved */
    TB_TCP_EV_FIN = 1 << 2,     /* the server closed its side; all its bytes were delivered */
    TB_TCP_EV_RESET = 1 << 3,   /* the connection is CLOSED */
    TB_TCP_EV_REFUSED = 1 << 4, /* RST in answer to the SYN; CLOSED */
    TB_TCP_EV_DEAD = 1 << 5,    /* no progress for env->timeout_us; still open: abort it */
    TB_TCP_EV_LOST = 1 << 6,    /* with RESET: bytes or a FIN of ours were not acknowledged */
    TB_TCP_EV_STRAY = 1 << 7    /* belongs to no connection: answer with tb_tcp_refuse() */
};

/* One connection: what an idle one needs (80 bytes). All zero is CLOSED. */
struct tb_tcp {
    uint64_t snd_una; /* offset of the first unacknowledged byte */
    uint64_t rcv_nxt; /* offset of the next byte expected */
    uint32_t iss, irs;
    uint32_t snd_wnd; /* bytes, from snd_una */
    uint32_t snd_wl1; /* wire number of the segment that last set it */
    uint32_t ts_recent, ts_offset;
    uint32_t srtt_us, rttvar_us; /* RFC 6298; srtt 0: no sample yet, rttvar then the RTO if not 0 */
    uint32_t rtx_at;             /* retransmission or persist timer */
    uint32_t ack_at;             /* delayed ACK */
    uint32_t busy;               /* handle of the extension, 0 when idle */
    uint32_t owner;              /* the engine's; kept over open() */
    uint16_t unacked_bytes;      /* received since our last ACK, at most 65535 */
    uint16_t mss;                /* largest payload we send, options taken off */
    uint16_t flags;
    uint8_t state : 4, restart : 4; /* restart: congestion window, in segments, that the next busy
                                     * time begins with (RFC 5681 §4.1); 0: the initial one */
    uint8_t snd_wscale : 4, rcv_wscale : 4;
};

enum { TB_TCP_RANGES = 8, TB_TCP_BLOCK_BYTES = 1480, TB_TCP_BLOCKS_MAX = 64 };
enum { TB_TCP_COPY_BYTES = 512 };

/* Bytes [from, to) of a stream. */
struct tb_tcp_range {
    uint64_t from, to;
};

/* Disjoint ranges in ascending order. */
struct tb_tcp_ranges {
    uint32_t count;
    struct tb_tcp_range range[TB_TCP_RANGES];
};

/* A run of bytes to be sent: borrowed ones, which stay unchanged until acknowledged, or a copy of
 * our own, given back then. */
struct tb_tcp_span {
    const uint8_t *data;
    uint64_t from; /* stream offset of data[0] */
    uint32_t len;
    uint32_t next; /* handle */
    uint32_t copy; /* handle of the copy; 0: borrowed */
};

struct tb_tcp_copy {
    uint8_t data[TB_TCP_COPY_BYTES];
};

/* Bytes received out of order, kept for a module. */
struct tb_tcp_block {
    uint64_t from;
    uint32_t len;
    uint32_t next; /* handle */
    uint8_t data[TB_TCP_BLOCK_BYTES];
};

/* What only a busy connection needs. Taken from env->busy when something is sent or arrives out of
 * order; the engine may append its own to it (the pool's object size). */
struct tb_tcp_busy {
    uint64_t snd_nxt, snd_max;   /* next to send (goes back after an RTO), highest sent + 1 */
    uint64_t snd_end;            /* end of what is queued */
    uint64_t recover;            /* RFC 6582: recovery ends when this is acknowledged */
    uint64_t rtx_next;           /* next hole to retransmit (SACK recovery) */
    uint64_t rtt_end, rtt_at_us; /* the timed segment; rtt_end 0: none (Karn) */
    uint64_t rtx_end, rtx_us;    /* the segment last sent again; rtx_us 0: acknowledged, or none */
    uint64_t progress_us;        /* last time the peer moved things on */
    uint64_t flight;             /* bytes on their way when we last sent, with no sign of loss */
    uint32_t cwnd, ssthresh;
    uint32_t wnd_max;                            /* the peer's largest window in this busy time */
    uint32_t first_span, last_span, cursor_span; /* handles; cursor: near snd_nxt */
    uint32_t first_block, block_count;
    uint8_t dupacks, backoff, syn_retries, probes;
    bool fin_pending;  /* a FIN arrived out of order … */
    uint64_t fin_at;   /* … at this offset */
    uint64_t last_ooo; /* start of the range to report first (RFC 2018 §4) */
    struct tb_tcp_ranges sacked, ooo;
};

/* SYN options to announce: absent ones 0, -1, false. */
struct tb_tcp_syn {
    uint16_t mss;
    int8_t wscale;
    bool sack, ts;
};

/* Who talks to whom. */
struct tb_tcp_path {
    struct tb_addr src, dst;
    uint16_t sport, dport;
    uint32_t transfer;
};

/* What all connections of a worker share. The engine sets the times at each tick. */
struct tb_tcp_env {
    uint64_t now_us, real_us;
    uint64_t epoch_us;   /* of the wheel */
    bool is_behind;      /* received packets wait unread: an ACK may be among them */
    uint8_t isn_key[16]; /* from the machine, not the run: see open.c */
    uint32_t mtu;        /* largest IP packet sent */
    uint32_t gso_max;    /* largest payload of a frame cut by the device; 0: none */
    uint32_t rcv_wnd;    /* receive window announced, bytes */
    uint64_t timeout_us; /* longest time without progress */
    struct tb_pool busy; /* object size set by the engine, at least sizeof(struct tb_tcp_busy) */
    struct tb_pool spans, copies, blocks;

    struct tb_frame *frames; /* the batch */
    uint8_t *gather;         /* payload of frames that cross spans; emptied by flush() */
    uint32_t gather_used, gather_room;
    uint32_t frame_count, frame_room;
    void (*flush)(struct tb_tcp_env *env); /* empties the batch when it is full */

    /* Bytes in order, each once; data is NULL unless TB_TCP_WANTS_DATA. May call send/close/abort
     * on the connection. */
    void (*deliver)(struct tb_tcp_env *env, struct tb_tcp *c, const uint8_t *data, uint32_t len);
    /* The extension is about to be given back: free what the engine put behind it. May be NULL. */
    void (*release)(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *b);

    uint64_t bytes_sent, bytes_received; /* payload, each byte once */
    uint64_t packets_sent, retransmitted;
    uint64_t challenge_second;
    uint32_t challenges;
};

void tb_tcp_env_init(struct tb_tcp_env *env, uint32_t busy_bytes);
void tb_tcp_env_fini(struct tb_tcp_env *env);

/* --- life cycle (open.c) -------------------------------------------------------------------- */

/* Begin a connection on `path`; the SYN goes out at the next output. `c` may hold the record of the
 * previous connection on the same path (or zeros): sequence numbers and timestamps go on above its.
 * 0 or -ENOMEM. */
int tb_tcp_open(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                const struct tb_tcp_syn *syn);

/* Queue bytes that stay where they are until they are acknowledged or the connection ends. 0,
 * -EPIPE behind a FIN, or -ENOMEM. */
int tb_tcp_send(struct tb_tcp_env *env, struct tb_tcp *c, const uint8_t *data, uint32_t len);

/* Queue a copy. The same; at -ENOMEM a part may be queued: the connection cannot go on. */
int tb_tcp_send_copy(struct tb_tcp_env *env, struct tb_tcp *c, const uint8_t *data, uint32_t len);

/* Give back a span that is no longer needed, with its copy. */
void tb_tcp_span_give(struct tb_tcp_env *env, uint32_t handle);

/* Queue a FIN behind what is queued. */
int tb_tcp_close(struct tb_tcp_env *env, struct tb_tcp *c);

/* Send a RST now and forget everything; CLOSED. Fine in any state. */
void tb_tcp_abort(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path);

/* Give back what the connection holds, silently. The record keeps its numbers. */
void tb_tcp_release(struct tb_tcp_env *env, struct tb_tcp *c);

/* Has everything queued, a FIN included, been acknowledged? */
bool tb_tcp_is_acked(const struct tb_tcp_env *env, const struct tb_tcp *c);

/* May the extension be given back (everything acknowledged, nothing out of order)? */
bool tb_tcp_is_quiet(const struct tb_tcp_env *env, const struct tb_tcp *c);

/* --- input (in.c), timers (timer.c), output (out.c) --------------------------------------------
 */

/* One segment for this connection; returns TB_TCP_EV_* bits. */
unsigned tb_tcp_input(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                      const struct tb_segment *seg);

/* Deadlines that are due; returns TB_TCP_EV_* bits. */
unsigned tb_tcp_timer(struct tb_tcp_env *env, struct tb_tcp *c);

/* Build what may be sent now: retransmissions, data, FIN, ACK. */
void tb_tcp_output(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                   const struct tb_tcp_syn *syn);

/* The RST that answers a segment of no connection (RFC 9293 §3.10.7.1); none to a RST. `seq`: its
 * number when the segment has no ACK to take it from. */
void tb_tcp_refuse(struct tb_tcp_env *env, const struct tb_segment *seg, uint32_t seq,
                   uint32_t transfer);

/* The earliest deadline of the connection as a tick, 0 when there is none. */
static inline uint32_t tb_tcp_deadline(const struct tb_tcp *c)
{
    if (c->rtx_at == 0 || (c->ack_at != 0 && (int32_t) (c->ack_at - c->rtx_at) < 0))
        return c->ack_at;
    return c->rtx_at;
}

/* --- shared by the files of this folder
 * ----------------------------------------------------------- */

static inline struct tb_tcp_busy *tb_tcp_busy(const struct tb_tcp_env *env, const struct tb_tcp *c)
{
    return c->busy ? tb_pool_at(&env->busy, c->busy) : NULL;
}
/* Take the extension if there is none; NULL when memory is out. */
struct tb_tcp_busy *tb_tcp_need_busy(struct tb_tcp_env *env, struct tb_tcp *c);

/* The tick `us` from now, never 0. */
static inline uint32_t tb_tcp_tick_in(const struct tb_tcp_env *env, uint64_t us)
{
    uint64_t t =
        (env->now_us + us - env->epoch_us + (1u << TB_WHEEL_TICK_SHIFT) - 1) >> TB_WHEEL_TICK_SHIFT;
    return (uint32_t) t ? (uint32_t) t : 1;
}
static inline bool tb_tcp_tick_due(const struct tb_tcp_env *env, uint32_t tick)
{
    uint32_t now = (uint32_t) ((env->now_us - env->epoch_us) >> TB_WHEEL_TICK_SHIFT);
    return tick != 0 && (int32_t) (now - tick) >= 0;
}

/* The receive window announced: what fits into the field. */
static inline uint32_t tb_tcp_rcv_wnd(const struct tb_tcp_env *env, const struct tb_tcp *c)
{
    uint32_t most = 65535u << c->rcv_wscale;
    return env->rcv_wnd < most ? env->rcv_wnd : most;
}
/* RFC 6928 §2. */
static inline uint32_t tb_tcp_initial_window(uint32_t mss)
{
    uint32_t most = 2 * mss > 14600 ? 2 * mss : 14600;
    return 10 * mss < most ? 10 * mss : most;
}
/* Our time stamp clock (RFC 7323 §5.4), 1 ms a tick. */
static inline uint32_t tb_tcp_ts_now(const struct tb_tcp_env *env, const struct tb_tcp *c)
{
    return (uint32_t) (env->real_us / 1000) + c->ts_offset;
}

/* The retransmission timeout now (RFC 6298), with back-off. */
uint64_t tb_tcp_rto_us(const struct tb_tcp *c, unsigned backoff);
void tb_tcp_rtt_sample(struct tb_tcp *c, uint64_t rtt_us);

/* Ranges (ranges.c). add() merges; false when there is no room and nothing was added. */
bool tb_tcp_ranges_add(struct tb_tcp_ranges *r, uint64_t from, uint64_t to);
/* Forget everything below `offset`. */
void tb_tcp_ranges_trim(struct tb_tcp_ranges *r, uint64_t offset);
/* Bytes of [from, to) that are in the ranges. */
uint64_t tb_tcp_ranges_covered(const struct tb_tcp_ranges *r, uint64_t from, uint64_t to);
/* The first offset at or after `from` that is in no range; *gap_end: where the next range begins
 * (UINT64_MAX: none). */
uint64_t tb_tcp_ranges_gap(const struct tb_tcp_ranges *r, uint64_t from, uint64_t *gap_end);

/* Ask for a challenge ACK (RFC 5961 §7: limited to 100 a second per worker). */
void tb_tcp_challenge(struct tb_tcp_env *env, struct tb_tcp *c);

#endif
