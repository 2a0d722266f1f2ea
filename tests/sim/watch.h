/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One play as the client's network card sees it: what was sent, what has been received, and what
 * follows from that for the next segment. Filled by watch.c, read by judge.c.
 */
#ifndef TB_SIM_WATCH_H
#define TB_SIM_WATCH_H

#include "sim.h"

struct conn {
    struct sim *s;
    struct conn *older;
    struct conn *look_next; /* of those to be looked at when the turn is over */
    bool is_looked_at;
    struct slot *slot;
    struct conn *before; /* on the same pair; what it still had to say may go out after our start */
    struct peer *peer;   /* that accepted it; NULL: none */
    const struct sim_session *t;
    const struct tb_worker *worker;
    const struct tb_user *user;
    struct behaviour b;
    uint32_t play; /* of the user: 1, 2, … */
    unsigned deaf_syns;
    bool isn_is_ours;

    uint64_t start_us, syn_us; /* play begun; latest SYN */
    enum tb_verdict verdict;
    bool must_reset; /* by the verdict */
    struct conn *next_verdict;
    uint64_t end_us;

    /* the handshake */
    uint32_t iss, irs;
    uint32_t syns;
    bool recovers;       /* an old connection answered: half-open recovery, … */
    uint64_t recover_us; /* … each with a RST with its number in the same turn */
    uint32_t recover_seq[16];
    unsigned recover_count;
    bool open; /* a SYN-ACK came */
    uint64_t open_us;
    bool refused;
    uint64_t called_us; /* when a SYN without ACK came before the handshake was over */
    bool ts, sack;
    int snd_scale, rcv_scale;
    uint32_t mss;

    /* received: offsets of the server's bytes */
    uint64_t rcv; /* in order; a FIN counts as one */
    struct ranges ooo;
    unsigned ooo_segments;
    bool fuzzy; /* more out of order than a client must keep */
    uint64_t fin_at;
    bool fin;
    uint64_t fin_us;
    bool rst;
    uint64_t rst_us;
    uint64_t last_data_us, data_gap_us; /* longest wait for more while in progress */
    uint64_t
        done_us[SIM_REQUESTS + 1]; /* when the response was complete; [SIM_REQUESTS]: greeting */
    uint32_t ts_recent, last_tsval_out;

    /* ACKs owed */
    uint64_t unacked;
    uint64_t ack_by_us; /* SIM_NONE: none owed */
    bool ack_now;
    uint64_t heard_us; /* the segments of one turn; those that ask for no ACK at once */
    unsigned turn_heard, turn_slow;
    uint64_t last_ack_out; /* offset */
    uint64_t turn_us;      /* the segments with bytes that came in one turn */
    unsigned turn_segments;
    uint64_t latest_ooo;

    /* sent: offsets of the client's bytes; a FIN counts as one */
    uint64_t una, max, edge, edge_most, wnd, wnd_most, edge_us;
    uint32_t wl1;
    bool fin_sent, rst_sent;
    bool rst_owed;   /* to a stray */
    bool is_passive; /* the server's FIN came before ours went out: no TIME-WAIT */
    bool again_owed; /* an ACK of a FIN that came again in TIME-WAIT */
    uint64_t rst_sent_us, last_out_us;
    uint64_t begun_us[SIM_REQUESTS]; /* first byte of the request sent */
    uint64_t least_us[SIM_REQUESTS]; /* it was not queued before that */
    uint64_t last_ack_us;            /* when the peer last moved things on */
    uint64_t flight_us;              /* when bytes went out with nothing in flight */

    /* retransmission */
    uint64_t silence_us;   /* longest time between two ACKs of something new */
    uint64_t rescue_us;    /* when the first unacknowledged byte was last sent again */
    uint64_t base_us;      /* the timer runs from here */
    uint64_t rto_us;       /* how long the last timeout was; 0: progress since */
    uint64_t timeout_us;   /* when it was */
    uint64_t timeouts_us;  /* all of them together */
    uint64_t timeout_upto; /* after a timeout, bytes below may go again */
    uint64_t seg_from[16], seg_end[16], seg_us[16]; /* some sent segments, for round-trip times */
    bool seg_again[16];
    unsigned segs;
    uint64_t rtt_least, rtt_most;
    uint64_t hint_us; /* when an ACK last gave reason for a retransmission */
    unsigned dupacks;
    bool in_recovery, must_retransmit;
    uint64_t recover;
    struct ranges sacked;
    bool many_sacked;    /* at some time more ranges than a client need keep */
    uint64_t again_upto; /* end of the latest retransmission */
    uint64_t again;      /* retransmissions */
    uint64_t packets_out, packets_in, probes;
    bool has_probed; /* since the window was closed */

    /* the congestion window, see cwnd.c */
    uint64_t cwnd, ssthresh; /* at most; CWND_UNKNOWN */
    uint64_t flight_bytes;   /* in flight when last sent without a sign of loss */
    uint64_t halved_upto;    /* in recovery up to here; 0: not */
    uint64_t grown;          /* in recovery */
    struct ranges repeated;  /* in recovery … */
    bool forgot_repeated;    /* … as long as there was room */
    bool is_timer_unsure;
};

#define CWND_UNKNOWN UINT64_MAX

#endif
