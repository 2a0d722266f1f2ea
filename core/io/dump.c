/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What would be sent, written to a pcap file (--dump); nothing is received.
 * File format: draft-ietf-opsawg-pcap, in the host's byte order.
 */
#include "io/backends.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "io/backend.h"

enum { LINKTYPE_RAW_IP = 101, SNAPLEN = 65535 + 40 };

struct dump_io {
    struct tb_io io;
    FILE *file;
    uint8_t packet[SNAPLEN];
};

struct file_header {
    uint32_t magic; /* microseconds */
    uint16_t major, minor;
    uint32_t reserved[2];
    uint32_t snaplen, linktype;
};

struct record_header {
    uint32_t seconds, microseconds;
    uint32_t captured_len, original_len;
};

static uint32_t dump_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    (void) io;
    (void) packets;
    (void) max;
    return 0;
}

static void dump_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct dump_io *d = (struct dump_io *) io;
    uint64_t now_us = tb_clock_real_us();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = tb_frame_flatten(&frames[i], d->packet, sizeof d->packet);
        struct record_header r = {(uint32_t) (now_us / 1000000), (uint32_t) (now_us % 1000000), len,
                                  len};
        if (len && fwrite(&r, sizeof r, 1, d->file) == 1 && fwrite(d->packet, len, 1, d->file) == 1)
            io->counters.sent++;
        else
            io->counters.other_errors++;
    }
}

static void dump_wait(struct tb_io *io, uint64_t timeout_us)
{
    (void) io;
    tb_backend_wait(-1, -1, timeout_us);
}

static void dump_close(struct tb_io *io)
{
    struct dump_io *d = (struct dump_io *) io;
    if (d->file)
        fclose(d->file);
    free(d);
}

static const struct tb_io_ops dump_ops = {
    .name = "dump",
    .recv = dump_recv,
    .send = dump_send,
    .wait = dump_wait,
    .close = dump_close,
};

int tb_dump_open(const char *path, struct tb_io **out, struct tb_err *err)
{
    struct dump_io *d = calloc(1, sizeof *d);
    if (!d)
        return tb_err_set(err, -ENOMEM, "out of memory");
    d->io.ops = &dump_ops;
    struct file_header h = {0xa1b2c3d4, 2, 4, {0, 0}, SNAPLEN, LINKTYPE_RAW_IP};
    d->file = fopen(path, "wbe");
    if (!d->file || fwrite(&h, sizeof h, 1, d->file) != 1) {
        int e = -errno;
        dump_close(&d->io);
        return tb_err_set(err, e, "cannot write %s: %s", path, strerror(-e));
    }
    *out = &d->io;
    return 0;
}
