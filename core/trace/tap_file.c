/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captured files as live traffic; see tap_file.h. One packet is read ahead, to know when it is due.
 */
#include "trace/tap_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "packet/linktype.h"
#include "packet/view.h"
#include "packet/wire.h"
#include "trace/capture.h"
#include "trace/filter.h"
#include "trace/verify.h"

enum {
    ROOM = 2 * TB_RECORD_MAX, /* packets of one recv() */
    RECORDS_MAX = 4096,       /* looked at in search of one packet, in one turn */
    WARNING = 512
};
/* How far sequence numbers move from loop to loop; odd, so that it takes 2^32 to come back. */
#define LOOP_STEP 0x9E3779B1u

struct file_tap {
    struct tb_tap tap; /* first: see struct tb_tap */
    struct tb_tap_files_setup setup;
    struct tb_filter filter;
    struct tb_verify verify;
    struct tb_capture capture; /* of setup.files[file], while is_open */
    bool is_open;
    uint32_t file, loop;
    uint64_t loop_packets;
    /* the next packet, in the capture's memory; data NULL: not known yet */
    const uint8_t *data;
    uint32_t len, wire_len;
    uint64_t due_us;
    uint64_t captured_us; /* its time in the file, 0: none of this loop has come */
    uint64_t gone_us;     /* captured time gone by, with pauses as short as wished */
    uint64_t now_us;
    uint8_t *room; /* ROOM: what was handed out */
};

/* --- reading ------------------------------------------------------------------------------------
 */

static void file_close(struct file_tap *t)
{
    char words[WARNING];

    if (t->loop == 0 &&
        tb_capture_file_trouble(&t->capture, t->setup.files[t->file], words, sizeof words))
        tb_log(TB_LOG_WARN, "%s", words);
    tb_capture_file_close(&t->capture);
    t->is_open = false;
    if (++t->file < t->setup.file_count)
        return;
    t->file = 0;
    t->loop++;
    t->captured_us = 0;
    if (t->loop == t->setup.loops || t->loop_packets == 0)
        t->tap.is_over = true;
    t->loop_packets = 0;
}

static void file_open(struct file_tap *t)
{
    struct tb_err err;

    t->is_open = true;
    if (tb_capture_file_open(&t->capture, t->setup.files[t->file], &err) == 0)
        return;
    tb_log(TB_LOG_WARN, "%s", err.text); /* it could be read before */
    file_close(t);
}

/* Is the record a TCP packet as it was sent? Then it is the next. */
static bool take_record(struct file_tap *t, const struct tb_record *r)
{
    struct tb_ip ip;
    struct tb_segment seg;
    int at = tb_linktype_ip_offset(r->linktype, r->data, r->len);

    if (at < 0 || !tb_filter_match(&t->filter, r))
        return false;
    const uint8_t *data = r->data + at;
    uint32_t len = r->len - (uint32_t) at;
    if (tb_ip_parse(data, len, &ip) < 0 || ip.proto != TB_PROTO_TCP)
        return false;
    if (!ip.more_fragments && !ip.fragment_offset &&
        (tb_tcp_parse(&ip, &seg) < 0 || !tb_verify_segment(&t->verify, &ip, &seg)))
        return false;
    t->data = data;
    t->wire_len = tb_ip_length(data, len, r->original - (uint32_t) at);
    t->len = len < t->wire_len ? len : t->wire_len;
    return true;
}

/* When the next packet is due. Those that go back in time come at once. */
static void plan(struct file_tap *t, uint64_t captured_us)
{
    const struct tb_tap_files_setup *s = &t->setup;

    if (t->captured_us && captured_us > t->captured_us) {
        uint64_t gap_us = captured_us - t->captured_us, most_us = (uint64_t) s->gap_ms * 1000;
        t->gone_us += most_us && gap_us > most_us ? most_us : gap_us;
    }
    if (captured_us > t->captured_us)
        t->captured_us = captured_us;
    t->due_us = s->start_us;
    if (s->accelerate > 0)
        t->due_us += (uint64_t) ((double) t->gone_us / s->accelerate);
}

static void read_ahead(struct file_tap *t)
{
    struct tb_record r;

    t->data = NULL;
    for (uint32_t n = 0; n < RECORDS_MAX && !t->data && !t->tap.is_over; n++) {
        if (!t->is_open) {
            file_open(t);
        } else if (!tb_capture_file_next(&t->capture, &r)) {
            file_close(t);
        } else if (take_record(t, &r)) {
            t->loop_packets++;
            plan(t, r.time_us);
        }
    }
}

/* --- handing out --------------------------------------------------------------------------------
 */

/* Make the packet one of a connection of its own, when its loop is not the first. */
static void move_numbers(uint8_t *packet, uint32_t len, uint32_t by)
{
    enum { SEQ = 4, ACK = 8, FLAGS = 13, LEAST = 14 };
    struct tb_ip ip;

    if (by == 0 || tb_ip_parse(packet, len, &ip) < 0 || ip.proto != TB_PROTO_TCP ||
        ip.fragment_offset || ip.payload_len < LEAST)
        return;
    uint8_t *tcp = packet + (ip.payload - packet);
    tb_put_be32(tcp + SEQ, tb_get_be32(tcp + SEQ) + by);
    if (tcp[FLAGS] & TB_TCP_ACK)
        tb_put_be32(tcp + ACK, tb_get_be32(tcp + ACK) + by);
}

static bool is_due(const struct file_tap *t)
{
    return t->data && (t->setup.accelerate <= 0 || t->due_us <= t->now_us);
}

static uint32_t file_recv(struct tb_tap *tap, struct tb_tapped *packets, uint32_t max,
                          uint64_t now_us)
{
    struct file_tap *t = (struct file_tap *) tap;
    uint32_t count = 0, used = 0;

    t->now_us = now_us;
    if (!t->setup.start_us)
        t->setup.start_us = now_us;
    if (!t->data && !tap->is_over)
        read_ahead(t);
    while (count < max && is_due(t) && t->len <= ROOM - used) {
        uint8_t *copy = t->room + used;
        memcpy(copy, t->data, t->len);
        move_numbers(copy, t->len, t->loop * LOOP_STEP);
        packets[count++] =
            (struct tb_tapped){.data = copy,
                               .len = t->len,
                               .wire_len = t->wire_len,
                               .time_us = t->setup.accelerate > 0 ? t->due_us : now_us};
        used += t->len;
        read_ahead(t);
    }
    return count;
}

static uint64_t file_next_us(struct tb_tap *tap)
{
    const struct file_tap *t = (const struct file_tap *) tap;

    if (!t->data)
        return tap->is_over ? UINT64_MAX : 0;
    return is_due(t) ? 0 : t->due_us;
}

static uint64_t file_drops(struct tb_tap *tap)
{
    (void) tap; /* a file waits for us */
    return 0;
}

static void tap_close(struct tb_tap *tap)
{
    struct file_tap *t = (struct file_tap *) tap;

    if (t->is_open)
        tb_capture_file_close(&t->capture);
    tb_filter_fini(&t->filter);
    free(t->room);
    free(t);
}

static const struct tb_tap_ops file_ops = {
    .recv = file_recv,
    .next_us = file_next_us,
    .drops = file_drops,
    .close = tap_close,
};

/* --- opening ------------------------------------------------------------------------------------
 */

/* Can all files be read, and does the filter make sense for what they hold? */
static int try_files(struct file_tap *t, struct tb_err *err)
{
    struct tb_record r;
    int rc = 0;

    for (uint32_t i = 0; i < t->setup.file_count && rc == 0; i++) {
        rc = tb_capture_file_open(&t->capture, t->setup.files[i], err);
        if (rc == 0 && tb_capture_file_next(&t->capture, &r))
            tb_filter_match(&t->filter, &r);
        tb_capture_file_close(&t->capture);
    }
    return rc == 0 ? tb_filter_check(&t->filter, err) : rc;
}

int tb_tap_files_open(const struct tb_tap_files_setup *s, struct tb_tap **out, struct tb_err *err)
{
    struct file_tap *t = calloc(1, sizeof *t);

    if (!t || !(t->room = malloc(ROOM))) {
        free(t);
        return tb_err_set(err, -ENOMEM, "out of memory");
    }
    t->tap = (struct tb_tap){.ops = &file_ops, .fd = -1, .is_over = !s->file_count || !s->loops};
    t->setup = *s;
    tb_filter_init(&t->filter, s->filter);
    int rc = try_files(t, err);
    if (rc < 0)
        tap_close(&t->tap);
    else
        *out = &t->tap;
    return rc;
}
