/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small connection to each intercept server, for the time of a check: what the server is, the
 * packets it brings for the probing addresses, and what its host sees of them on any device
 * (docs/CHANNEL.md, WATCH and SEEN). Used by check.c and target.c.
 */
#ifndef TB_CHECK_ASSISTANT_H
#define TB_CHECK_ASSISTANT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "io/io.h"
#include "packet/addr.h"
#include "relay/frame.h"
#include "relay/tls.h"

enum { TB_ASSISTANTS_MAX = 16, TB_ASSISTANT_SEEN_MAX = 256, TB_ASSISTANT_CLIENTS_MAX = 64 };

struct tb_assistant {
    struct tb_endpoint at;
    char text[TB_ENDPOINT_TEXT];
    int error;                       /* 0: it said WELCOME; or see tb_assistants_open() */
    char refusal[TB_RELAY_TEXT_MAX]; /* its words, if it refused us */
    struct tb_relay_welcome welcome;
    uint32_t seen_count;
    struct tb_relay_seen seen[TB_ASSISTANT_SEEN_MAX];
    /* private */
    int fd;
    struct tb_tls *tls;
    uint8_t *buf; /* received and not looked at: from `begin` to `end` */
    uint32_t begin, end;
    bool closed; /* by the other end, or because it spoke nonsense */
};

/* All of them, and one packet I/O that receives (only) what they bring. */
struct tb_assistants {
    struct tb_io io;
    uint32_t count;
    struct tb_assistant item[TB_ASSISTANTS_MAX];
    struct tb_tls_context *tls;
    bool opened;
};

/*
 * Connect to those at item[…].at and ask them to watch the client addresses. For each sets `error`:
 * 0; -ECONNREFUSED: nothing listens there; -ETIMEDOUT: no answer; -EACCES: the keys differ;
 * -EPROTO: what answers is no intercept, or speaks TLS where we do not, or the other way round;
 * -EPROTONOSUPPORT: another version; -EPERM: it refuses us (`refusal`); or the socket's -errno.
 * Returns 0, or -errno with words when a key file or memory is missing. Close in either case.
 */
int tb_assistants_open(struct tb_assistants *a, const char *psk_file, const struct tb_addr *clients,
                       uint32_t client_count, uint64_t patience_us, struct tb_err *err);
/* Zeroed, or closed before, is fine. */
void tb_assistants_close(struct tb_assistants *a);

/* Take what has come, for at most `timeout_us`; what SEEN told is in item[…].seen then. */
void tb_assistants_listen(struct tb_assistants *a, uint64_t timeout_us);

#endif
