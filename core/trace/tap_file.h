/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tap that hands out what capture files hold, at the distances at which it was captured, as if it
 * passed by now. Opened by tcpcopy (--offline), one for each worker: each takes all packets.
 */
#ifndef TB_TRACE_TAP_FILE_H
#define TB_TRACE_TAP_FILE_H

#include <stdint.h>
#include "base/err.h"
#include "packet/tap.h"

/* What it points to must stay until the tap is closed. */
struct tb_tap_files_setup {
    const char *const *files; /* one capture, in this order */
    uint32_t file_count;
    const char *filter; /* pcap filter, or NULL */
    double accelerate;  /* distances are divided by it; 0: as fast as it is read */
    uint32_t gap_ms;    /* captured pauses are at most so long; 0: as long as they are */
    uint32_t loops;     /* times the files are played, one after the other */
    uint64_t start_us; /* when the first packet passes, since 1970; 0: when it is first asked for */
};

/* Whole TCP packets and fragments. In the second and later loops the sequence numbers of all
 * packets are moved by a constant, so that connections are new ones; checksums are then wrong (they
 * are judged here). 0 or -errno with words: a file that cannot be read, a filter that is none. */
int tb_tap_files_open(const struct tb_tap_files_setup *s, struct tb_tap **out, struct tb_err *err);

#endif
