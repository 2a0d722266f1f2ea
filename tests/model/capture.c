/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets written as capture files: every link type, pcap and pcapng in either byte order and
 * resolution, several interfaces, several files, gzip. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include "model.h"

enum { LINKS = 10, INTERFACES = 3 };

static const uint32_t link_types[LINKS] = {0, 1, 12, 14, 101, 108, 113, 228, 229, 276};

struct writer {
    struct model *m;
    gzFile gz;
    int fd;
    bool big, nano;
};

static void out(struct writer *w, const void *data, size_t len)
{
    if (w->gz ? gzwrite(w->gz, data, (unsigned) len) != (int) len
              : write(w->fd, data, len) != (ssize_t) len)
        abort();
}

static void out_number(struct writer *w, uint32_t v, unsigned n)
{
    uint8_t b[4];

    for (unsigned i = 0; i < n; i++)
        b[w->big ? n - 1 - i : i] = (uint8_t) (v >> 8 * i);
    out(w, b, n);
}

/* --- link layers ------------------------------------------------------------------------------ */

static bool link_carries(uint32_t type, bool v6)
{
    return type != (v6 ? 228u : 229u);
}

/* Tags of virtual networks, then the EtherType. */
static uint32_t put_ethertype(struct model *m, uint8_t *h, bool v6)
{
    uint32_t n = 0;

    for (uint64_t tags = model_percent(m, 80) ? 0 : model_between(m, 1, 3); tags > 0; tags--) {
        memcpy(h + n, model_percent(m, 50) ? "\x81\x00\x00\x05" : "\x88\xa8\x00\x07", 4);
        n += 4;
    }
    memcpy(h + n, v6 ? "\x86\xdd" : "\x08\x00", 2);
    return n + 2;
}

static uint32_t put_link(struct model *m, uint32_t type, bool v6, uint8_t *h)
{
    static const uint8_t families[4] = {10, 24, 28, 30};

    switch (type) {
    case 1:
        memset(h, 2, 12);
        return 12 + put_ethertype(m, h + 12, v6);
    case 113:
        memset(h, 0, 14);
        return 14 + put_ethertype(m, h + 14, v6);
    case 276: { /* the protocol comes first; tags stand behind the header */
        uint8_t tags[20];
        uint32_t n = put_ethertype(m, tags, v6);
        memset(h, 0, 20);
        memcpy(h, tags, 2);
        memcpy(h + 20, tags + 2, n - 2);
        return 20 + n - 2;
    }
    case 0:
    case 108: {
        uint8_t family = v6 ? families[tb_rng_below(&m->rng, 4)] : 2;
        bool big = type == 108 || model_percent(m, 50);
        memset(h, 0, 4);
        h[big ? 3 : 0] = family;
        return 4;
    }
    default:
        return 0;
    }
}

/* One frame: its bytes; *wire how long it was. */
static uint32_t make_frame(struct model *m, const struct model_packet *p, uint32_t type,
                           uint8_t *frame, uint32_t *wire)
{
    uint32_t head = put_link(m, type, p->data[0] >> 4 == 6, frame), len = head + p->cut_to;

    memcpy(frame + head, p->data, p->cut_to);
    *wire = head + p->len;
    if (type == 1 && *wire < 60 && p->cut_to == p->len) { /* Ethernet pads */
        memset(frame + len, 0xee, 60 - len);
        *wire = len = 60;
    }
    return len;
}

static bool all_fit(const struct model *m, uint32_t type)
{
    for (uint32_t i = 0; i < m->packets; i++)
        if (!link_carries(type, m->packet[i].data[0] >> 4 == 6))
            return false;
    return true;
}

static uint32_t some_link(struct model *m)
{
    uint32_t type;

    do
        type = link_types[tb_rng_below(&m->rng, LINKS)];
    while (!all_fit(m, type));
    return type;
}

/* --- formats ---------------------------------------------------------------------------------- */

static uint8_t frame[80000];

static void write_pcap(struct writer *w, uint32_t from, uint32_t to)
{
    uint32_t type = some_link(w->m), wire;

    out_number(w, w->nano ? 0xa1b23c4d : 0xa1b2c3d4, 4);
    out_number(w, 2, 2);
    out_number(w, 4, 2);
    out_number(w, 0, 4);
    out_number(w, 0, 4);
    out_number(w, 262144, 4);
    out_number(w, type, 4);
    for (uint32_t i = from; i < to; i++) {
        const struct model_packet *p = &w->m->packet[i];
        uint32_t len = make_frame(w->m, p, type, frame, &wire);
        out_number(w, (uint32_t) (p->time_us / 1000000), 4);
        out_number(w, (uint32_t) (p->time_us % 1000000) * (w->nano ? 1000 : 1), 4);
        out_number(w, len, 4);
        out_number(w, wire, 4);
        out(w, frame, len);
    }
}

static void write_interface(struct writer *w, uint32_t type)
{
    uint32_t len = w->nano ? 32 : 20;

    out_number(w, 1, 4);
    out_number(w, len, 4);
    out_number(w, type, 2);
    out_number(w, 0, 2);
    out_number(w, 0, 4);
    if (w->nano) { /* if_tsresol: 10^-9 */
        out_number(w, 9, 2);
        out_number(w, 1, 2);
        out(w, "\x09\0\0\0", 4);
        out_number(w, 0, 4);
    }
    out_number(w, len, 4);
}

static void write_pcapng(struct writer *w, uint32_t from, uint32_t to)
{
    uint32_t type[INTERFACES], count = (uint32_t) model_between(w->m, 1, INTERFACES), wire;

    out_number(w, 0x0a0d0d0a, 4);
    out_number(w, 28, 4);
    out_number(w, 0x1a2b3c4d, 4);
    out_number(w, 1, 2);
    out_number(w, 0, 2);
    out_number(w, UINT32_MAX, 4);
    out_number(w, UINT32_MAX, 4);
    out_number(w, 28, 4);
    for (uint32_t i = 0; i < count; i++)
        write_interface(w, type[i] = some_link(w->m));
    for (uint32_t i = from; i < to; i++) {
        const struct model_packet *p = &w->m->packet[i];
        uint32_t at = (uint32_t) tb_rng_below(&w->m->rng, count);
        uint32_t len = make_frame(w->m, p, type[at], frame, &wire), padded = (len + 3) & ~3u;
        uint64_t time = p->time_us * (w->nano ? 1000 : 1);
        memset(frame + len, 0, 4);
        out_number(w, 6, 4);
        out_number(w, 32 + padded, 4);
        out_number(w, at, 4);
        out_number(w, (uint32_t) (time >> 32), 4);
        out_number(w, (uint32_t) time, 4);
        out_number(w, len, 4);
        out_number(w, wire, 4);
        out(w, frame, padded);
        out_number(w, 32 + padded, 4);
    }
}

uint32_t model_write(struct model *m, int fd[MODEL_FILES])
{
    uint32_t files = (uint32_t) (model_percent(m, 70) ? 1 : model_between(m, 2, MODEL_FILES));

    for (uint32_t i = 0; i < files; i++) {
        uint32_t from = m->packets * i / files, to = m->packets * (i + 1) / files;
        struct writer w = {.m = m, .fd = memfd_create("capture", 0)};
        if (w.fd < 0)
            abort();
        w.big = model_percent(m, 50);
        w.nano = model_percent(m, 30);
        if (model_percent(m, 25))
            w.gz = gzdopen(dup(w.fd), "wb1");
        if (model_percent(m, 50))
            write_pcap(&w, from, to);
        else
            write_pcapng(&w, from, to);
        if (w.gz)
            gzclose(w.gz);
        fd[i] = w.fd;
    }
    return files;
}
