/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet socket with a TPACKET_V2 ring: packets from the IP header on, with the kernel's time
 * stamp, without a system call each. Used by io/capture.c (in process), io/tap_device.c and by
 * intercept. Each ring belongs to one thread, except that another one may change its filter and
 * read its drops.
 */
#ifndef TB_IO_RING_H
#define TB_IO_RING_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "io/io.h"

struct tb_ring; /* opaque */

/* Memory of a ring that has to hold the answers to a burst: 16384 packets at an MTU of 1500. */
enum { TB_RING_BYTES = 32 << 20 };

/* A packet of a ring: valid until the next tb_ring_recv() or tb_ring_wait_prepare(). */
struct tb_ring_packet {
    uint8_t *data;     /* from the IP header on; may be written to */
    uint32_t len;      /* bytes that are there */
    uint32_t wire_len; /* bytes that came, as far as the IP header says so too */
    uint64_t real_us;  /* the kernel's time stamp */
    bool unsummed;     /* never left this machine: its TCP checksum covers the pseudo-header only */
};

/* A ring of about `bytes` for `device`, closed to everything until a filter is set. NULL: for all
 * devices, those to come too; such a ring stays as it is when one goes down or away. 0 or -errno
 * with words. */
int tb_ring_open(const char *device, uint32_t bytes, struct tb_ring **out, struct tb_err *err);
/* NULL is fine. */
void tb_ring_close(struct tb_ring *r);

/* Replace the filter at once. Its result is the number of bytes wanted of a packet, less than 1024
 * or all: the ring's slots take a frame of the device's MTU, longer ones come by a call each. `len`
 * 0: nothing. 0, or the kernel's -errno: -ENOMEM (beyond net.core.optmem_max), -EINVAL. */
int tb_ring_filter(struct tb_ring *r, const struct sock_filter *program, uint32_t len);

/* Let the device take packets for other hosts too, as a mirror port brings them, while the ring is
 * open. 0 or -errno. */
int tb_ring_promiscuous(struct tb_ring *r, uint32_t ifindex);

/* Has the device been taken away, and is there a new one of that name? Capture on that then; any
 * thread may ask. Its index; 0: all is as it was; -errno: -EINVAL for a ring that shares a device.
 */
int tb_ring_follow(struct tb_ring *r);

/* Share the device's packets between the rings that join, by `program` (classic BPF whose result is
 * a member's number; members are numbered as they join). *group: -1 for the first. 0 or -errno. */
int tb_ring_fanout(struct tb_ring *r, const struct sock_filter *program, uint32_t len, int *group);

/* Up to `max` packets that are there now; packets longer than their slot and lost, and those with a
 * wrong TCP checksum that nobody else has noticed, are added to *dropped. */
uint32_t tb_ring_recv(struct tb_ring *r, struct tb_ring_packet *packets, uint32_t max,
                      uint64_t *dropped);
/* Give back what was handed up, before sleeping: poll() returns at once while the newest slot is
 * ours. False: there is more already, do not sleep. */
bool tb_ring_wait_prepare(struct tb_ring *r);
int tb_ring_fd(const struct tb_ring *r);
/* Is there a packet that was not handed up yet? tb_ring_recv() may have left some: long ones. */
bool tb_ring_has_more(struct tb_ring *r);
/* How many eighths of it are full of packets that were not handed up yet, 0 … 7. */
uint32_t tb_ring_eighths(struct tb_ring *r);
/* Packets the kernel dropped since the last call. */
uint64_t tb_ring_drops(struct tb_ring *r);

#endif
