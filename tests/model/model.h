/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Model check of trace loading: sessions made up from a seed (session.c) become packets, the
 * packets become capture files of any kind with all that captures suffer (capture.c), and the
 * loader must give back every client stream, or the right reason for leaving a session out
 * (main.c).
 */
#ifndef TB_MODEL_H
#define TB_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/rng.h"
#include "trace/trace.h"

enum { MODEL_SESSIONS = 24, MODEL_FILES = 3, MODEL_PORT = 80, MODEL_OTHER_PORT = 8443 };

/* What becomes of a session. */
enum fate {
    FATE_PLAYED,
    FATE_NO_SYN,
    FATE_UNANSWERED,
    FATE_REFUSED,
    FATE_NO_TRANSFER,
    FATE_HOLE,
    FATE_TRUNCATED,
    FATE_KINDS
};
extern const char *const model_reason[FATE_KINDS];

struct model_session {
    enum fate fate;
    bool v6;
    struct tb_addr client, server;
    uint16_t cport, sport;
    uint32_t isn[2];
    struct tb_syn syn;
    uint64_t start_us;
    uint8_t *bytes; /* of the client */
    uint32_t len;
    uint8_t end[2]; /* enum tb_end of client and server */
};

/* One packet as it was on the wire. */
struct model_packet {
    uint64_t time_us, order; /* order: its place in the capture */
    uint32_t len;
    uint32_t cut_to; /* bytes captured, at most len */
    uint8_t *data;   /* from the IP header on */
};

struct model {
    struct tb_rng rng;
    struct model_session session[MODEL_SESSIONS];
    uint32_t sessions;
    struct model_packet *packet;
    uint32_t packets, room;
    uint16_t ip_id;
    bool shuffled; /* packets stand in the files a little out of order */
};

static inline bool model_percent(struct model *m, uint32_t n)
{
    return tb_rng_below(&m->rng, 100) < n;
}
static inline uint64_t model_between(struct model *m, uint64_t least, uint64_t most)
{
    return least + tb_rng_below(&m->rng, most - least + 1);
}

/* session.c: all sessions and their packets, in the order of the capture. */
void model_make(struct model *m);
void model_free(struct model *m);

/* capture.c: the packets as capture files; their descriptors. */
uint32_t model_write(struct model *m, int fd[MODEL_FILES]);

#endif
