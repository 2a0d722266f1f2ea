/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings of tcpcopy, from the command line and a JSON file; as options.h for tcpburn, whose
 * struct holds what the two have in common. To add an option: one field here, one row in tcpcopy.c
 * (rows.h: when tcpburn has it, too), one paragraph in docs/tcpcopy.1.
 */
#ifndef TB_CONFIG_TCPCOPY_H
#define TB_CONFIG_TCPCOPY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "config/options.h"
#include "packet/addr.h"

struct tb_tcpcopy_options {
    /* First. Here, `clients` is empty without -c (then the real client addresses are used), and
     * `pcaps` holds the files of --offline -i. */
    struct tb_options run;
    /* where sessions come from */
    bool pcap_capture;         /* on the devices of -i, not on all */
    struct tb_strings devices; /* -i; none: all that are up */
    uint32_t buffer_mb;        /* -B, of each capture ring */
    uint32_t snaplen;          /* -S; 0: whole packets */
    bool vxlan;                /* mirrored traffic inside VXLAN */
    uint32_t vxlan_port;
    bool offline;
    double offline_accelerate; /* -a */
    uint32_t offline_gap_ms;   /* -I: longer pauses are shortened to this; 0: none are */
    uint32_t offline_loops;    /* -T: times the files are played */
    /* whose sessions, and as whom */
    uint32_t percent;         /* -r: share of sessions, 1 … 100 */
    struct tb_addr localhost; /* -H: in place of this host's own addresses */
    bool has_localhost;
    uint32_t replicas;   /* -n: copies of each session, 1 … 1023 */
    uint32_t port_shift; /* -f: 0 … 1023, different for each tcpcopy on one target */
    bool gradual;        /* -g: the share grows to -r within a minute */
    bool no_wait;        /* -W: requests do not wait for responses */
    /* limits */
    uint64_t memory_mb; /* -m */
    double keepalive_s; /* -k: a session without packets for so long is over */
    double max_cpu;     /* percent of one core; 0: no limit */
    /* classic, without effect */
    uint32_t default_rtt_ms, session_pool_kb;
    bool full_sessions, lonely;
};

/* As tb_options_parse(). */
int tb_tcpcopy_options_parse(struct tb_tcpcopy_options *o, int argc, char **argv,
                             struct tb_err *err);
void tb_tcpcopy_options_free(struct tb_tcpcopy_options *o);
/* The help text, to standard output. */
void tb_tcpcopy_options_help(void);

#endif
