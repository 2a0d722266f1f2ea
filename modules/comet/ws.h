/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WebSocket frames (RFC 6455 §5), read in whatever pieces they come, and written where a client has
 * to answer. No allocation; payload is handed on in place, only that of control frames is kept.
 * Used for captured streams of both directions and for the real server's.
 */
#ifndef TB_COMET_WS_H
#define TB_COMET_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tb_ws_opcode {
    TB_WS_CONTINUATION = 0,
    TB_WS_TEXT = 1,
    TB_WS_BINARY = 2,
    TB_WS_CLOSE = 8,
    TB_WS_PING = 9,
    TB_WS_PONG = 10
};

enum { TB_WS_CONTROL_MAX = 125, TB_WS_HEAD_MAX = 14, TB_WS_MASK_BYTES = 4 };

enum tb_ws_event {
    TB_WS_MORE, /* all bytes are consumed, the frame goes on */
    TB_WS_DONE, /* the frame is complete; the next one begins by itself */
    TB_WS_BAD   /* no WebSocket: stays so */
};

/* A frame being read. All zero: none has begun. `opcode`, `fin`, `compressed`, `length`, `control`
 * may be read while it goes on and when it is done. */
struct tb_ws {
    uint64_t left, length; /* payload bytes */
    uint8_t head[TB_WS_HEAD_MAX];
    uint8_t have, need; /* bytes of the head */
    uint8_t opcode;
    uint8_t control_len;
    bool fin, compressed; /* compressed: RSV1 (RFC 7692) */
    bool in_payload, done, bad;
    uint8_t control[TB_WS_CONTROL_MAX]; /* payload of a control frame, unmasked */
};

/* Read on. Sets *used to the bytes consumed, and *payload, *payload_len to those of them that are
 * payload (still masked). `from_client`: frames are masked, otherwise they must not be. */
enum tb_ws_event tb_ws_feed(struct tb_ws *ws, bool from_client, const uint8_t *data, size_t len,
                            size_t *used, const uint8_t **payload, size_t *payload_len);

/* Has a frame begun that is not complete? */
bool tb_ws_begun(const struct tb_ws *ws);

/* The n-th payload byte of the frame is masked with this. */
static inline uint8_t tb_ws_mask_at(const struct tb_ws *ws, uint64_t n)
{
    return ws->head[ws->need - TB_WS_MASK_BYTES + n % TB_WS_MASK_BYTES];
}

/* A client's whole frame with at most 125 bytes of payload; its length. */
size_t tb_ws_frame(uint8_t out[TB_WS_CONTROL_MAX + 6], enum tb_ws_opcode opcode,
                   const uint8_t *payload, size_t len, uint32_t mask);

#endif
