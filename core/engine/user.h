/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A user: one simulated client. What an idle one needs is in struct tb_user (DESIGN rule 2); what
 * only a busy one needs hangs on the extension of its TCP connection.
 */
#ifndef TB_ENGINE_USER_H
#define TB_ENGINE_USER_H

#include <stdint.h>
#include "module.h"
#include "tcp/tcp.h"
#include "trace/script.h"

enum tb_phase {
    TB_PHASE_IDLE,       /* between plays (or before the first, or after the last) */
    TB_PHASE_CONNECTING, /* SYN sent */
    TB_PHASE_PLAYING,    /* requests of the script are left */
    TB_PHASE_HOLDING,    /* --hold, or the module holds */
    TB_PHASE_ENDING,     /* waiting for the moment of the captured end */
    TB_PHASE_CLOSING     /* our FIN is queued or sent, or the server's is awaited */
};

enum tb_user_flags {
    TB_USER_DIRTY = 1 << 0,      /* to be settled at the end of the tick */
    TB_USER_MISMATCHED = 1 << 1, /* some response was not as captured */
    TB_USER_ASK_AGAIN = 1 << 2,  /* the module answered TB_REQUEST_WAIT */
    TB_USER_END_DUE = 1 << 3,    /* due_us is the moment of the captured end */
    TB_USER_RST_WHEN_ACKED = 1 << 4,
    TB_USER_HELD = 1 << 5, /* the hold is over */
    TB_USER_SERVER_FIN = 1 << 6,
    TB_USER_FIN_SEEN = 1 << 7,  /* the end was planned knowing of it */
    TB_USER_LEFT = 1 << 8,      /* a held session that closes of its own accord … */
    TB_USER_LOST = 1 << 9,      /* … or because the server wants it */
    TB_USER_AGAIN = 1 << 10,    /* the next play is a reconnect: module state is kept */
    TB_USER_FIN_WAITS = 1 << 11 /* live: the server's FIN, behind response bytes that are held */
};

#define TB_NEVER UINT64_MAX

struct tb_user {
    struct tb_tcp tcp;             /* owner: the user's number in the plan */
    uint32_t plays;                /* begun */
    uint32_t session;              /* the captured one that it plays */
    const struct tb_request *sent; /* last request taken from the script; NULL: none yet */
    uint64_t due_us;               /* of the next request, end, hold or play; TB_NEVER: none */
    uint32_t responses;            /* complete in this play, a greeting included */
    uint16_t flags;
    uint8_t phase;
    uint8_t generation; /* which of its address pairs it uses now */
};

enum { TB_USER_ELSEWHERE = 8 + 5 + 4 }; /* bytes: timer, and place in it and in the plan */
_Static_assert(sizeof(struct tb_user) + TB_USER_ELSEWHERE <= 128,
               "an idle user costs at most 128 bytes");

/* A response that is expected. FIFO per user. */
struct tb_pending {
    const struct tb_request *request; /* NULL: the greeting */
    uint64_t sent_us, due_us;
    uint32_t next;    /* handle */
    bool is_answered; /* the capture shows it complete: it is awaited */
    bool in_bytes;    /* complete by number of bytes, not by the module's word */
    bool is_begun;    /* its first byte came */
    bool is_patient;  /* it may take as long as the server likes */
};

/* Live: response bytes that came before the online server's answer is known, which they are to be
 * compared with. FIFO per user. */
enum { TB_HELD_BYTES = 2024, TB_HELD_MAX = 128 /* pieces per user; then they are not compared */ };
struct tb_held {
    uint32_t next; /* handle */
    uint32_t len;
    uint64_t seen_us;
    uint32_t without_data; /* bytes that nobody wants to see */
    uint8_t data[TB_HELD_BYTES];
};

/* The extension of a busy user. */
struct tb_busy {
    struct tb_tcp_busy tcp;               /* first */
    uint32_t first_pending, last_pending; /* handles */
    uint32_t module_busy;                 /* handle of the module's busy state */
    uint32_t awaited;                     /* pending ones that are is_answered */
    bool module_keeps;                    /* the module's busy state outlives quiet times */
    uint64_t response_bytes;              /* of the first pending one so far */
    uint64_t give_up_us;                  /* connect or response timeout; 0: none */
    uint64_t quiet_us;                    /* when silence ends the response; 0: none */
    uint64_t last_data_us;
    uint64_t start_us;              /* SYN handed over */
    uint64_t late_us;               /* open loop: how much later than planned it started */
    uint32_t first_held, last_held; /* handles */
    uint32_t held_count, held_bytes;
};

#endif
