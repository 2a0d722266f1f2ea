/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet I/O: one interface, many back-ends. An instance belongs to one worker thread; nothing in
 * it is shared. Receiving hands out packets in place, sending takes batches; neither ends a run:
 * what the kernel refuses is counted and TCP recovers.
 */
#ifndef TB_IO_IO_H
#define TB_IO_IO_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "packet/frame.h"

/* A received IP packet; valid until the next recv() or wait() on the same instance. */
struct tb_packet {
    const uint8_t *data;
    uint32_t len;
    uint32_t wire_len; /* 0: it is whole; else its length on the wire, of which `len` are here */
    uint64_t time_us;  /* 0: now; else when it was seen on its way, in our monotonic clock */
};

/* What a back-end can take off us. */
struct tb_io_caps {
    uint32_t gso_max; /* largest payload of one frame with gso_size set; 0: cut at the MSS */
    bool checksum;    /* completes TCP checksums */
};

/* Counters of one instance, only ever growing. */
struct tb_io_counters {
    uint64_t received, sent; /* packets handed up, frames taken by the kernel */
    uint64_t dropped;        /* received but lost in the kernel's ring */
    uint64_t enobufs, eperm, emsgsize, enetdown, other_errors; /* frames the kernel refused */
};

struct tb_io;

struct tb_io_ops {
    const char *name;
    /* Up to `max` packets that are there now, without waiting; their number, 0 when none. */
    uint32_t (*recv)(struct tb_io *io, struct tb_packet *packets, uint32_t max);
    /* Send all frames in order; failures are counted, not reported. */
    void (*send)(struct tb_io *io, struct tb_frame *frames, uint32_t count);
    /* Sleep until a packet may be there or also_fd is readable, at most `timeout_us` (UINT64_MAX:
     * no limit); signals and tb_io_wake() end it early. Sub-millisecond timeouts are honoured. */
    void (*wait)(struct tb_io *io, uint64_t timeout_us);
    /* Refresh counters kept in the kernel (drops). May be NULL. */
    void (*update)(struct tb_io *io);
    /* End a wait() now or the next one at once; async-signal-safe. May be NULL. */
    void (*wake)(struct tb_io *io);
    void (*close)(struct tb_io *io);
};

/* First member of every back-end's own struct. */
struct tb_io {
    const struct tb_io_ops *ops;
    struct tb_io_caps caps;
    struct tb_io_counters counters;
    /* Whoever owns the instance may set it: a further descriptor whose readability ends every
     * wait(). At most 0: none (so that zeroed memory is right). One that tells of readiness only,
     * as that of an epoll set does: an error or hang-up on it would end every wait() at once. */
    int also_fd;
};

static inline uint32_t tb_io_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    return io->ops->recv(io, packets, max);
}
static inline void tb_io_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    io->ops->send(io, frames, count);
}
static inline void tb_io_wait(struct tb_io *io, uint64_t timeout_us)
{
    io->ops->wait(io, timeout_us);
}
/* NULL is fine. */
static inline void tb_io_close(struct tb_io *io)
{
    if (io)
        io->ops->close(io);
}

#endif
