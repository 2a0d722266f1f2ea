/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TCP script (*.pkt): what a user has to do, and the segments that come and go. parse.c reads it,
 * play.c plays it against a stack: the engine on memory I/O (engine.c) or, to see what another
 * implementation does in the same exchange, the kernel's TCP behind a TUN device (kernel.c).
 * README.md describes the language. Times are microseconds from the start of the script.
 */
#ifndef TB_TESTS_SCRIPT_H
#define TB_TESTS_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>
#include "module.h"
#include "packet/view.h"

enum {
    SCR_REQUESTS = 8,
    SCR_EVENTS = 256,
    SCR_OPTIONS = 8,
    SCR_STREAM = 1 << 18,
    SCR_WHY = 1100,
    SCR_TARGET_PORT = 80
};

#define SCR_SECOND UINT64_C(1000000)

enum scr_option_kind {
    SCR_OPT_NOP = 1,
    SCR_OPT_MSS = 2,
    SCR_OPT_WSCALE = 3,
    SCR_OPT_SACK_OK = 4,
    SCR_OPT_SACK = 5,
    SCR_OPT_TS = 8,
    SCR_OPT_RAW = 256 /* bytes as given */
};

struct scr_option {
    int kind;
    uint32_t value[8]; /* mss, shift, val and ecr, or left and right edges */
    uint32_t count;    /* values; of SCR_OPT_RAW: bytes */
    uint8_t raw[40];
};

/* A segment as written: numbers relative to the SYNs of the two sides. */
struct scr_segment {
    uint8_t flags;
    uint32_t seq, len, ack;
    int32_t window; /* unscaled; -1: not said */
    bool has_options;
    struct scr_option option[SCR_OPTIONS];
    uint32_t option_count;
    const char *text; /* payload, NULL: of the usual pattern */
};

enum scr_event_kind {
    SCR_GIVE,     /* "<": the stack is given a segment */
    SCR_EXPECT,   /* ">": the stack sends a segment */
    SCR_IDLE,     /* nothing has been sent until now */
    SCR_RECEIVED, /* so many bytes have been handed up */
    SCR_VERDICT
};

struct scr_event {
    enum scr_event_kind kind;
    unsigned line;
    uint64_t from_us, to_us; /* after the event before it */
    struct scr_segment segment;
    uint64_t bytes;
    enum tb_verdict verdict;
};

struct scr_request {
    uint32_t len;
    uint64_t response; /* bytes; 0: none is awaited */
    uint64_t think_us;
    bool is_pipelined;
};

enum scr_close { SCR_CLOSE_NEVER, SCR_CLOSE_FIN, SCR_CLOSE_RST, SCR_CLOSE_SERVER };
enum scr_kernel { SCR_KERNEL_UNASKED, SCR_KERNEL_SAME, SCR_KERNEL_DIFFERS };

struct scr {
    char *text;           /* of the file; strings point into it */
    const char *headline; /* the comment at its head */
    struct {
        uint16_t mss; /* 0: not announced */
        int8_t wscale;
        bool sack, ts;
    } syn;
    struct scr_request request[SCR_REQUESTS];
    uint32_t request_count;
    uint8_t stream[SCR_STREAM]; /* the client's bytes */
    uint32_t stream_len;
    enum scr_close close;
    uint64_t close_after_us, timeout_us, close_wait_us;
    uint32_t mtu, gso_max;
    bool is_ipv6, wants_payload;
    bool has_isn, has_tsval;
    uint32_t isn, peer_isn, tsval; /* tsval: the time stamp of our SYN */
    enum scr_kernel kernel;
    struct scr_event event[SCR_EVENTS];
    uint32_t event_count;
};

/* Byte i of the server's stream, and of requests given by length. */
static inline uint8_t scr_byte(uint64_t i)
{
    return (uint8_t) (i % 251);
}

/* Takes over `text`. 0, or -1 with "line: reason" in `why`; free in either case. */
int scr_parse(struct scr *s, char *text, char why[SCR_WHY]);
void scr_free(struct scr *s);

/* A segment that the stack sent. */
struct scr_sent {
    struct tb_segment segment; /* points into the stack's memory, until the next take() */
    uint64_t at_us;
    bool checksum_ok;
};

/* What is tested. */
struct scr_stack {
    const char *name;
    uint64_t early_us, late_us; /* how exact its times are */
    bool is_kernel;             /* has a user of its own; PSH and windows are its own business */
    uint64_t (*now_us)(struct scr_stack *k);
    /* Let time pass until a segment is sent (true) or to `until_us` (false). */
    bool (*take)(struct scr_stack *k, uint64_t until_us, struct scr_sent *out);
    /* An IP packet for the stack, handled by the next take(). */
    void (*give)(struct scr_stack *k, const uint8_t *packet, uint32_t len);
    uint64_t (*received)(struct scr_stack *k);
    enum tb_verdict (*verdict)(struct scr_stack *k);
    /* End everything; NULL, or what it left behind. */
    const char *(*close)(struct scr_stack *k);
};

struct scr_stack *scr_engine_open(const struct scr *s, char why[SCR_WHY]);
/* Take the process into a network namespace of its own (root). 0, or -1 and why not. */
int scr_kernel_prepare(char why[SCR_WHY]);
struct scr_stack *scr_kernel_open(const struct scr *s, char why[SCR_WHY]);

/* 0, or -1 with "line: what was expected and seen" in `why`. */
int scr_play(const struct scr *s, struct scr_stack *k, char why[SCR_WHY]);

/* "completed" and the like. */
const char *scr_verdict_name(enum tb_verdict v);

#endif
