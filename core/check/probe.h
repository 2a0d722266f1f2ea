/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A handshake from a client address, as the engine would do it, and a look whether the connection
 * lives: SYN; ACK, and a segment that must be answered; RST. Called by check.c with the packet I/O
 * of the mode.
 */
#ifndef TB_CHECK_PROBE_H
#define TB_CHECK_PROBE_H

#include <stdint.h>
#include "io/io.h"
#include "packet/addr.h"

enum tb_probe_answer {
    TB_PROBE_SILENCE,
    TB_PROBE_REFUSED, /* RST instead of SYN-ACK */
    TB_PROBE_DEAF,    /* SYN-ACK, but nothing that is sent after it is answered */
    TB_PROBE_KILLED,  /* SYN-ACK, but then the connection is gone: RST */
    TB_PROBE_OPEN     /* it works */
};

/* Marks what a check sends, for --check-target: the window of its RST, and the MSS of the ordinary
 * connections that say "the probes have been sent". */
enum { TB_PROBE_MARK = 1001 };

struct tb_probe {
    struct tb_endpoint client, target;
    uint32_t transfer; /* its index, for the back-end */
    uint32_t isn;
    /* set by tb_probe_run() */
    enum tb_probe_answer answer;
    uint64_t sent_us, took_us; /* last SYN, and the time from it to the answer */
    /* private */
    uint32_t server_isn, tries_left;
    uint64_t next_us, wait_us;
    bool done;
};

struct tb_probe_patience {
    uint32_t tries;         /* SYNs per target, and as many segments after the handshake */
    uint64_t first_wait_us; /* for an answer to the first, doubled each time */
};

/* All at once; returns when every probe has its answer or patience is over. Leaves nothing behind
 * on the targets: what answered gets a RST. */
void tb_probe_run(struct tb_io *io, struct tb_probe *probes, uint32_t count,
                  const struct tb_probe_patience *patience);

#endif
