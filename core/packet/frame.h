/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet to be sent: headers of its own and payload by reference. Built by tcp/, sent by io/.
 */
#ifndef TB_PACKET_FRAME_H
#define TB_PACKET_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/addr.h"
#include "packet/view.h"

enum { TB_FRAME_HEAD_MAX = 40 + 60 };

/*
 * `head` holds the IP and TCP headers. The TCP checksum field holds the folded sum of the
 * pseudo-header (what checksum offload wants, not complemented); tb_frame_fill_checksum() completes
 * it where nobody else will. `payload` must stay unchanged until the batch has been given to I/O.
 */
struct tb_frame {
    uint8_t head[TB_FRAME_HEAD_MAX];
    uint8_t head_len;
    uint8_t ip_len;    /* of it, the IP header: 20 or 40 */
    uint16_t gso_size; /* 0, or the MSS at which the device or kernel cuts a longer payload */
    uint32_t payload_len;
    const uint8_t *payload;
    uint32_t transfer; /* index of the transfer, for back-ends that need MAC or device */
};

/* What goes into the headers; all numbers in host order. */
struct tb_frame_spec {
    const struct tb_addr *src, *dst; /* of one family */
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint16_t window;
    uint16_t ip_id;
    uint8_t flags;
    const uint8_t *options; /* already padded to 4 bytes */
    uint8_t options_len;
};

/* Write the headers of `f` for `payload_len` bytes at `payload`, and all its fields (gso_size and
 * transfer: 0). DF is set; TTL 64; a length beyond 16 bits is written as 0. */
void tb_frame_build(struct tb_frame *f, const struct tb_frame_spec *spec, const uint8_t *payload,
                    uint32_t payload_len);

/* Complete the TCP checksum in `head` over headers and payload. Once, as tb_frame_build() left it.
 */
void tb_frame_fill_checksum(struct tb_frame *f);

/* Copy the whole packet as tb_frame_build() left it to `out` (`room` bytes), there with its
 * checksum complete; its length, or 0 when it does not fit. */
uint32_t tb_frame_flatten(const struct tb_frame *f, uint8_t *out, uint32_t room);

#endif
