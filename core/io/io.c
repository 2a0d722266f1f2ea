/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What works on any back-end: waking one up, and joining a sender and a receiver into one.
 * Called by the programs (wake) and where a run is set up (join).
 */
#include "io/backends.h"

#include <errno.h>
#include <stdlib.h>

void tb_io_wake(struct tb_io *io)
{
    if (io->ops->wake)
        io->ops->wake(io);
}

struct join_io {
    struct tb_io io; /* first: see struct tb_io */
    struct tb_io *tx, *rx;
};

static uint32_t join_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct tb_io *rx = ((struct join_io *) io)->rx;
    uint32_t n = tb_io_recv(rx, packets, max);
    io->counters.received = rx->counters.received;
    return n;
}

static void join_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct tb_io *tx = ((struct join_io *) io)->tx;
    tb_io_send(tx, frames, count);
    uint64_t received = io->counters.received, dropped = io->counters.dropped;
    io->counters = tx->counters;
    io->counters.received = received;
    io->counters.dropped = dropped;
}

static void join_wait(struct tb_io *io, uint64_t timeout_us)
{
    struct tb_io *rx = ((struct join_io *) io)->rx;
    rx->also_fd = io->also_fd;
    tb_io_wait(rx, timeout_us);
}

static void join_update(struct tb_io *io)
{
    struct join_io *j = (struct join_io *) io;
    if (j->rx->ops->update)
        j->rx->ops->update(j->rx);
    if (j->tx->ops->update)
        j->tx->ops->update(j->tx);
    io->counters.dropped = j->rx->counters.dropped;
}

static void join_wake(struct tb_io *io)
{
    tb_io_wake(((struct join_io *) io)->rx);
}

static void join_close(struct tb_io *io)
{
    struct join_io *j = (struct join_io *) io;
    tb_io_close(j->tx);
    tb_io_close(j->rx);
    free(j);
}

static const struct tb_io_ops join_ops = {
    .name = "join",
    .recv = join_recv,
    .send = join_send,
    .wait = join_wait,
    .update = join_update,
    .wake = join_wake,
    .close = join_close,
};

int tb_io_join(struct tb_io *tx, struct tb_io *rx, struct tb_io **out, struct tb_err *err)
{
    struct join_io *j = calloc(1, sizeof *j);
    if (!j)
        return tb_err_set(err, -ENOMEM, "out of memory");
    j->io.ops = &join_ops;
    j->io.caps = tx->caps;
    j->tx = tx;
    j->rx = rx;
    *out = &j->io;
    return 0;
}
