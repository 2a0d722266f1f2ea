/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending through AF_XDP: whole frames are laid into memory shared with the kernel, and one call
 * sends what is there. Used by link.c where it was built in (--with-xdp) and the device takes it;
 * in copy mode, which every device does and which leaves what the device receives alone.
 */
#ifndef TB_IO_XDP_H
#define TB_IO_XDP_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/frame.h"

struct tb_xdp;

/* The device's first queue, for sending only. Needs CAP_NET_RAW, here and never again. 0 or -errno
 * (-EBUSY: somebody else has it; -EOPNOTSUPP: this kernel or build knows nothing of it). */
int tb_xdp_open(uint32_t ifindex, struct tb_xdp **out);
/* NULL is fine. */
void tb_xdp_close(struct tb_xdp *x);

/* Lay down a frame behind `link` (`link_len` bytes), its checksum completed. False when it does not
 * fit, has to be cut, or the kernel still holds all the room: it must go another way. */
bool tb_xdp_put(struct tb_xdp *x, const uint8_t *link, uint32_t link_len, const struct tb_frame *f);
/* Have the kernel send what was laid down. */
void tb_xdp_send(struct tb_xdp *x);

#endif
