/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cutting a stream into MySQL packets, whatever the pieces its bytes come in. A payload of 0xFFFFFF
 * bytes or more spans several packets. Used by answer.c, learn.c and dialogue.c; keeps no payload.
 */
#ifndef TB_MYSQL_PACKET_H
#define TB_MYSQL_PACKET_H

#include "wire.h"

/* Where in the stream we are. All zero: before a packet. */
struct tb_mysql_packets {
    uint32_t left; /* of this packet's payload */
    uint32_t size; /* of this packet's payload */
    uint8_t head[TB_MYSQL_HEADER];
    uint8_t head_len;
    bool goes_on; /* the next packet goes on with the payload of the last one */
    bool inside;  /* a payload has begun and not ended */
};

/* A part of a payload, in place. */
struct tb_mysql_piece {
    const uint8_t *bytes;
    size_t len;
    uint32_t packet_size; /* of the packet it is in */
    uint8_t seq;          /* number of that packet */
    bool first, last;     /* of the payload; a payload may be empty */
    bool ends_packet;
};

/* Take some of the `len` bytes; how many. When that yielded a piece, *piece has it and true is
 * stored in *found; otherwise all bytes were taken. */
size_t tb_mysql_packets_feed(struct tb_mysql_packets *p, const uint8_t *data, size_t len,
                             struct tb_mysql_piece *piece, bool *found);

/* `len` bytes of the stream are missing: fine when they are within one packet's payload (its last
 * byte excluded, so that the end is seen). */
bool tb_mysql_packets_skip(struct tb_mysql_packets *p, uint64_t len);

#endif
