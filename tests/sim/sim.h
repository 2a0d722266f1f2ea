/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator: whole workers of the engine play generated sessions over a simulated network to
 * simulated servers in virtual time; a seed fixes everything. story.c makes up what happens, net.c
 * carries packets, peer.c is the servers' TCP, watch.c looks at every segment at the client's
 * network card, judge.c says whether a verdict is right, world.c runs it all. The oracle shares no
 * code with core/tcp and core/packet: what is compared was written twice.
 */
#ifndef TB_SIM_H
#define TB_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/rng.h"
#include "engine/modules.h"
#include "engine/worker.h"
#include "io/backends.h"

enum {
    SIM_SESSIONS = 12,
    SIM_REQUESTS = 8,
    SIM_WORKERS = 2,
    SIM_RANGES = 64,
    SIM_TARGETS = 2,
    SIM_MSS_LEAST = 64
};
#define MS       UINT64_C(1000)
#define SEC      UINT64_C(1000000)
#define SIM_NONE UINT64_MAX

/* --- wire ------------------------------------------------------------------------------------- */

/* One TCP segment, read by our own parser. */
struct seg {
    bool v6;
    uint32_t src, dst; /* last 32 bits of the addresses */
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint16_t window;
    uint8_t flags; /* TB_TCP_* */
    uint16_t mss;  /* 0: no option */
    int8_t wscale; /* -1 */
    bool sack_ok, has_ts, checksum_ok;
    uint32_t tsval, tsecr;
    unsigned sacks;
    uint32_t sack[4][2];
    const uint8_t *payload;
    uint32_t len, ip_bytes;
};

/* False: not a whole TCP packet. */
bool wire_parse(const uint8_t *p, uint32_t len, struct seg *s);
/* Write a packet from `from`; addresses are whole ones. Its length. */
uint32_t wire_build(uint8_t *out, const struct seg *s, const struct tb_addr *src,
                    const struct tb_addr *dst);
/* (Re)compute both checksums of a packet. */
void wire_seal(uint8_t *packet, uint32_t len);

/* Disjoint byte ranges in ascending order. */
struct ranges {
    unsigned n;
    struct {
        uint64_t from, to;
    } r[SIM_RANGES];
};
/* False when there is no room. */
bool ranges_add(struct ranges *set, uint64_t from, uint64_t to);
bool ranges_have(const struct ranges *set, uint64_t from, uint64_t to);
/* Take off the ranges that `at` has reached; where it gets to. */
uint64_t ranges_join(struct ranges *set, uint64_t at);
/* Forget everything below `at`. */
void ranges_trim(struct ranges *set, uint64_t at);

/* --- story ------------------------------------------------------------------------------------ */

struct weather {
    uint64_t one_way_us, jitter_us;
    bool fifo;           /* jitter does not reorder */
    uint32_t loss[2];    /* per million; [0] to the server */
    uint32_t burst[2];   /* per million: a burst of losses begins */
    uint32_t burst_len;  /* on average */
    uint32_t ack_loss;   /* per million, of the servers' bare ACKs */
    uint32_t late;       /* per million: overtaken by those behind it */
    uint32_t twice;      /* per million */
    uint32_t corrupt;    /* per million */
    uint32_t cut_off;    /* per million, to the client: arrives without its end */
    uint64_t dark_us[2]; /* partition: from, to (0, 0: none) */
    unsigned dark_ways;  /* bit 0: to the server, bit 1: to the client */
    uint32_t mtu;
    bool clean;  /* every packet arrives once, in order and soon */
    bool gentle; /* what is lost is mended long before any timeout */
};

enum module_kind { MODULE_BYTES, MODULE_FRAMED, MODULE_NUMBERS, MODULE_REWRITER, MODULE_COUNT };

/* Who ends a captured session. */
enum sim_end {
    END_CLIENT_FIN,
    END_SERVER_FIN,      /* then the client's */
    END_SERVER_FIN_ONLY, /* the capture ends there */
    END_CLIENT_RST,
    END_SERVER_RST,
    END_OPEN,       /* the capture shows no end */
    END_HALF_CLOSE, /* the client's FIN comes before the last response */
    END_ABANDON,    /* the client closes within a response */
    END_KINDS
};

struct sim_request {
    struct tb_request r;
    uint32_t wire_from, wire_to; /* in the stream that the server must get */
    uint32_t reply_to;           /* end of its response in the server's stream, if it has one */
    uint64_t server_us;
    uint32_t pause_us; /* of the server in the middle of its response */
};

struct sim_session {
    struct tb_script script;
    struct sim_request req[SIM_REQUESTS];
    uint32_t count;
    uint8_t *bytes, *wire; /* as captured; as the server must get them */
    uint32_t len, wire_len;
    uint32_t greeting, replies; /* bytes of the server: first, in all */
    enum sim_end end;
    uint64_t server_close_us; /* END_SERVER_*: after its last byte */
};

/* What the server of one connection does besides what the capture shows. */
enum fault {
    FAULT_NONE,
    FAULT_DEAF,         /* never answers */
    FAULT_DEAF_FIRST,   /* not the first SYNs */
    FAULT_REFUSE,       /* RST to the SYN */
    FAULT_SILENT,       /* takes request `step`, never answers */
    FAULT_GONE,         /* from request `step` on not even TCP answers */
    FAULT_CLOSE_EARLY,  /* FIN in place of response `step` */
    FAULT_CLOSE_WITHIN, /* FIN in the middle of it */
    FAULT_RESET,        /* RST in place of it */
    FAULT_RESET_WITHIN,
    FAULT_TWICE,   /* answers it twice */
    FAULT_SHORT,   /* a byte or more of it is missing */
    FAULT_RESTART, /* forgets everything at request `step` */
    FAULT_NO_READ, /* reads nothing for a while from request `step` on: zero window */
    FAULT_NEVER_READS,
    FAULT_SLOW_READ,
    FAULT_TINY_WINDOW,
    FAULT_SHRINK,     /* takes back what its window promised */
    FAULT_KEEPALIVE,  /* asks whether the client is still there */
    FAULT_LEFTOVER,   /* still has a connection of an earlier client on this pair */
    FAULT_NO_CLOSE,   /* never sends its FIN */
    FAULT_CLOSE_BOTH, /* sends its FIN without waiting for the client's */
    FAULT_CRUMBS,     /* very small segments */
    FAULT_FORGED,     /* somebody blind injects RSTs, SYNs, ACKs and data */
    FAULT_KINDS
};

struct behaviour {
    enum fault fault;
    uint32_t step;
    uint64_t arg_us;
    uint32_t arg;
    /* the server's TCP */
    uint16_t mss; /* 0: announces none */
    bool ts, sack, dsack;
    int8_t wscale; /* -1: none */
    uint32_t buffer, isn, tsval;
    uint32_t flight; /* segments */
    bool stutters;   /* says every ACK four times */
    uint32_t merge;  /* of them, put together on the way (GRO) */
    uint32_t ack_every;
    uint64_t ack_us;
    bool lone_fin; /* the FIN does not ride on data */
    bool reneges;  /* throws away what it has acknowledged selectively (RFC 2018 §8) */
};

/* --- the world -------------------------------------------------------------------------------- */

struct packet {
    struct packet *next;
    uint32_t len;
    uint8_t data[];
};

struct event {
    uint64_t at_us, order;
    enum { EV_TO_SERVER, EV_TO_CLIENT, EV_PEER } kind;
    void *what;
};

/* One play as the client's network card sees it, and what the server got of it. */
struct conn;
struct peer;

/* Everything on one client address and port. */
struct slot {
    uint32_t user, generation;
    struct tb_tcp_path path;
    struct conn *conn; /* the latest play here */
    struct peer *peer; /* the server's latest connection */
};

struct sim_io {
    struct tb_io io;
    struct sim *sim;
    struct packet *first, **end, *lent;
};

struct sim {
    uint64_t seed;
    struct tb_rng rng; /* the network's and the servers' */
    uint64_t begin_us, now_us, real_us;
    struct weather weather;
    uint64_t last_at_us[2]; /* fifo */
    uint32_t burst_left[2];

    struct sim_session session[SIM_SESSIONS];
    struct tb_script *scripts[SIM_SESSIONS];
    uint32_t sessions;
    bool closes_early; /* some session ends before its last response: not to be held */
    bool refuses_data; /* some session may have dropped bytes that came */
    uint32_t users;
    unsigned faulty; /* of a hundred connections */
    enum fault only; /* all faults of this kind; FAULT_NONE: any */

    struct tb_endpoint target[SIM_TARGETS];
    struct tb_plan_range clients[SIM_TARGETS];
    struct tb_plan_input plan_input;
    struct tb_pacing_input pacing_input;
    struct tb_engine_config config;
    struct tb_module module[MODULE_COUNT];
    struct tb_host host;
    struct tb_plan plan;
    struct tb_pacing pacing;
    uint32_t gso_max;
    uint64_t abort_us; /* 0: not */

    struct tb_worker *worker[SIM_WORKERS];
    struct sim_io io[SIM_WORKERS];

    struct slot *slot;
    uint32_t slots;
    uint32_t *slot_of; /* hash of address and port → slot + 1 */
    uint32_t slot_mask;
    struct conn *conns; /* all of this seed, latest first */
    struct peer *peers;
    struct conn *look;       /* to be looked at when the turn is over */
    struct conn *look_ended; /* given a verdict in this turn */

    struct event *heap;
    uint32_t heap_count, heap_room;
    uint64_t order;

    FILE *trace; /* pcap, or NULL */
    bool failed;
    char why[600];
    /* sums for the comparison with the engine's own */
    uint64_t packets_out, retransmitted, bytes_out, bytes_in, packets_in, plays, ended;
    uint64_t verdicts[TB_VERDICT_COUNT];
    uint64_t bad_in;
    uint64_t resets_us, challenge_us; /* RSTs, sent or received, and challenge ACKs of a second */
    unsigned resets, challenges;
    uint64_t behind_us; /* when a worker last took as many packets as it can at once */
    uint64_t epoch_us;  /* of the workers' timers: some wrap in the middle of a seed */
};

/* The seed has failed; only the first words are kept. `c` may be NULL. */
void sim_fail(struct sim *s, const struct conn *c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* story.c */
void story_tell(struct sim *s);
void story_forget(struct sim *s);
void story_behave(struct sim *s, const struct conn *c, struct behaviour *b);
static inline bool chance(struct tb_rng *r, uint32_t per_million)
{
    return per_million && tb_rng_below(r, 1000000) < per_million;
}
static inline uint64_t between(struct tb_rng *r, uint64_t least, uint64_t most)
{
    return least + tb_rng_below(r, most - least + 1);
}
/* Byte `i` of what the server says to this session. */
static inline uint8_t reply_byte(const struct sim_session *t, uint64_t i)
{
    return (uint8_t) (i * 167 + (i >> 8) * 31 + (i >> 16) + t->script.number);
}

/* Byte `i` of what MODULE_REWRITER sends in place of a request's second half. */
static inline uint8_t rewritten_byte(uint32_t i)
{
    return (uint8_t) ('Q' + i % 7);
}

/* modules.c: the protocol modules of the simulated sessions */
void modules_init(struct sim *s);

/* net.c */
void net_push(struct sim *s, uint64_t at_us, int kind, void *what);
bool net_pop(struct sim *s, uint64_t now_us, struct event *e);
static inline uint64_t net_next_us(const struct sim *s)
{
    return s->heap_count ? s->heap[0].at_us : SIM_NONE;
}
/* A packet is sent; [0] to the server, [1] to the client. */
void net_send(struct sim *s, unsigned way, const uint8_t *data, uint32_t len, bool bare_ack);
/* A packet from beside the client reaches it at once. */
void net_arrive(struct sim *s, const uint8_t *data, uint32_t len);
void net_open(struct sim *s, struct sim_io *io, uint32_t gso_max);
void net_close(struct sim_io *io);
void net_trace(struct sim *s, const uint8_t *data, uint32_t len);
struct slot *slot_find(const struct sim *s, uint32_t addr, uint16_t port);

/* peer.c */
void peer_input(struct sim *s, const uint8_t *data, uint32_t len);
void peer_run(struct peer *p);
/* Make the server remember a connection on the pair, as if of an earlier client. */
void peer_leave_over(struct sim *s, struct slot *slot, const struct behaviour *b);
void peer_free_all(struct sim *s);
uint64_t peer_in_order(const struct peer *p);
bool peer_has_fin(const struct peer *p);
bool peer_was_reset(const struct peer *p);

/* watch.c */
struct conn *watch_start(struct sim *s, struct tb_worker *w, struct tb_user *u);
void watch_sent(struct sim *s, const uint8_t *data, uint32_t len);
void watch_received(struct sim *s, const uint8_t *data, uint32_t len);
void watch_turn_over(struct sim *s);
/* Another RST, sent or received. */
void watch_count_rst(struct sim *s);
/* The number of the client's next new byte; the offset at which its window ends. */
uint32_t watch_next_number(const struct conn *c);
uint64_t watch_window_edge(const struct conn *c);
void watch_free_all(struct sim *s);

/* judge.c */
void judge_verdict(struct sim *s, struct conn *c, enum tb_verdict verdict);
/* After a turn: does the engine's record say what came over the wire? */
void judge_agrees(struct sim *s, const struct conn *c);
/* Nothing will happen for a while: what an idle user holds. */
void judge_idle(struct sim *s);
void judge_turn_over(struct sim *s);
/* Did silence perhaps end a response, so that what follows is not what the capture shows? */
bool judge_was_quiet(const struct conn *c);
void judge_end(struct sim *s);

/* world.c: run one seed; false: failed, with s.why copied to `why`. */
bool world_play(uint64_t seed, FILE *trace, char *why, size_t room);

#endif
