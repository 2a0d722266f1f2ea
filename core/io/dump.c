/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What would be sent, written to a pcap file (--dump), played against a server that takes and
 * acknowledges everything and says nothing: its answers follow from each segment alone.
 * File format: draft-ietf-opsawg-pcap, in the host's byte order.
 */
#include "io/backends.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "packet/seq.h"

enum { LINKTYPE_RAW_IP = 101, SNAPLEN = 65535 + 40, ANSWERS = 512, WINDOW = 65535 };

struct answer {
    uint8_t bytes[TB_FRAME_HEAD_MAX];
    uint32_t len;
};

struct dump_io {
    struct tb_io io;
    FILE *file;
    const uint64_t *real_us;
    uint8_t packet[SNAPLEN];
    struct answer answers[ANSWERS]; /* ring */
    uint32_t first, count;
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

/* What the imagined server says to one segment; nothing to pure ACKs and resets. */
static void answer(struct dump_io *d, const struct tb_segment *seg)
{
    static const uint8_t mss_option[4] = {2, 4, 1460 >> 8, 1460 & 0xff};
    bool syn = seg->flags & TB_TCP_SYN, fin = seg->flags & TB_TCP_FIN;
    struct tb_frame frame;
    struct tb_frame_spec spec = {
        .src = &seg->dst,
        .dst = &seg->src,
        .sport = seg->dport,
        .dport = seg->sport,
        .seq = syn ? 0 : seg->ack,
        .ack = tb_seq_add(seg->seq, seg->payload_len + syn + fin),
        .window = WINDOW,
        .flags = (uint8_t) (TB_TCP_ACK | (syn ? TB_TCP_SYN : 0) | (fin ? TB_TCP_FIN : 0)),
        .options = syn ? mss_option : NULL,
        .options_len = syn ? sizeof mss_option : 0,
    };

    if ((seg->flags & TB_TCP_RST) || (!syn && !fin && seg->payload_len == 0) || d->count == ANSWERS)
        return;
    tb_frame_build(&frame, &spec, NULL, 0);
    struct answer *a = &d->answers[(d->first + d->count++) % ANSWERS];
    a->len = tb_frame_flatten(&frame, a->bytes, sizeof a->bytes);
}

static uint32_t dump_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct dump_io *d = (struct dump_io *) io;
    uint32_t n = 0;

    while (n < max && d->count > 0) {
        const struct answer *a = &d->answers[d->first];
        packets[n++] = (struct tb_packet){.data = a->bytes, .len = a->len};
        d->first = (d->first + 1) % ANSWERS;
        d->count--;
    }
    io->counters.received += n;
    return n;
}

static void dump_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct dump_io *d = (struct dump_io *) io;
    struct tb_segment seg;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = tb_frame_flatten(&frames[i], d->packet, sizeof d->packet);
        struct record_header r = {(uint32_t) (*d->real_us / 1000000),
                                  (uint32_t) (*d->real_us % 1000000), len, len};
        if (len && fwrite(&r, sizeof r, 1, d->file) == 1 && fwrite(d->packet, len, 1, d->file) == 1)
            io->counters.sent++;
        else
            io->counters.other_errors++;
        if (tb_segment_parse(d->packet, len, &seg) == 0)
            answer(d, &seg);
    }
}

static void dump_wait(struct tb_io *io, uint64_t timeout_us)
{
    (void) io; /* its time is imagined as well */
    (void) timeout_us;
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

int tb_dump_open(const char *path, const uint64_t *real_us, struct tb_io **out, struct tb_err *err)
{
    struct dump_io *d = calloc(1, sizeof *d);

    if (!d)
        return tb_err_set(err, -ENOMEM, "out of memory");
    d->io.ops = &dump_ops;
    d->real_us = real_us;
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
