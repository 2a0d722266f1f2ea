/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A handshake from a client address, as the engine would do it, and nothing else: SYN, what comes
 * back, RST. Called by check.c with the packet I/O of the mode.
 */
#ifndef TB_CHECK_PROBE_H
#define TB_CHECK_PROBE_H

#include <stdint.h>
#include "io/io.h"
#include "packet/addr.h"

enum tb_probe_answer { TB_PROBE_SILENCE, TB_PROBE_SYN_ACK, TB_PROBE_RST };

struct tb_probe {
    struct tb_endpoint client, target;
    uint32_t transfer; /* its index, for the back-end */
    uint32_t isn;
    /* set by tb_probe_run() */
    enum tb_probe_answer answer;
    uint64_t sent_us, took_us; /* last SYN, and the time from it to the answer */
};

struct tb_probe_patience {
    uint32_t tries;         /* SYNs per target */
    uint64_t first_wait_us; /* for an answer to the first, doubled each time */
};

/* All at once; returns when every probe has its answer or patience is over. */
void tb_probe_run(struct tb_io *io, struct tb_probe *probes, uint32_t count,
                  const struct tb_probe_patience *patience);

#endif
