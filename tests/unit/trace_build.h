/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captures for tests, written packet by packet: a connection keeps count of both sides' sequence
 * numbers, so that a test says what happened and what of it was captured. Sequence numbers are
 * relative, as tcpdump shows them: a SYN is 0, the first byte 1.
 */
#ifndef TB_TRACE_BUILD_H
#define TB_TRACE_BUILD_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "packet/frame.h"
#include "trace/trace.h"
#include "unit.h"

enum { LINK_NULL = 0, LINK_ETHERNET = 1, LINK_RAW = 101, LINK_SLL = 113, LINK_SLL2 = 276 };
enum { FIN = TB_TCP_FIN, SYN = TB_TCP_SYN, RST = TB_TCP_RST, ACK = TB_TCP_ACK, PSH = TB_TCP_PSH };
enum { MS = 1000, START_S = 1700000000 };

struct bytes {
    uint8_t *b;
    size_t len, room;
};

static inline void add_bytes(struct bytes *c, const void *data, size_t n)
{
    if (c->len + n > c->room) {
        c->room = (c->len + n) * 2;
        c->b = realloc(c->b, c->room);
        assert_non_null(c->b);
    }
    if (n)
        memcpy(c->b + c->len, data, n);
    c->len += n;
}

/* A capture being written. */
struct cap {
    struct bytes out;
    uint64_t now_us; /* since START_S; moved by wait_us() */
    uint32_t linktype;
    uint32_t snaplen; /* 0: whole packets */
    bool big_endian, nanoseconds;
    bool lose; /* the next packet is not captured */
};

static inline void add_u32(struct cap *c, uint32_t v)
{
    if (c->big_endian)
        v = __builtin_bswap32(v);
    add_bytes(&c->out, &v, 4);
}

static inline void add_u16(struct cap *c, uint16_t v)
{
    if (c->big_endian)
        v = __builtin_bswap16(v);
    add_bytes(&c->out, &v, 2);
}

static inline void add_pcap_head(struct cap *c)
{
    add_u32(c, c->nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
    add_u16(c, 2);
    add_u16(c, 4);
    add_u32(c, 0);
    add_u32(c, 0);
    add_u32(c, 262144);
    add_u32(c, c->linktype);
}

static inline struct cap new_cap(uint32_t linktype)
{
    struct cap c = {.linktype = linktype};
    add_pcap_head(&c);
    return c;
}

static inline void free_cap(struct cap *c)
{
    free(c->out.b);
}

static inline void wait_us(struct cap *c, uint64_t us)
{
    c->now_us += us;
}

/* A classic record of a frame. */
static inline void add_record(struct cap *c, const void *frame, uint32_t len)
{
    uint32_t kept = c->snaplen && c->snaplen < len ? c->snaplen : len;
    uint32_t fraction = (uint32_t) (c->now_us % 1000000);
    add_u32(c, (uint32_t) (START_S + c->now_us / 1000000));
    add_u32(c, c->nanoseconds ? fraction * 1000 + 7 : fraction);
    add_u32(c, kept);
    add_u32(c, len);
    add_bytes(&c->out, frame, kept);
}

/* An IP packet in a frame of the capture's link type. */
static inline void add_packet(struct cap *c, const uint8_t *ip, uint32_t len)
{
    bool v6 = ip[0] >> 4 == 6;
    uint8_t frame[70000] = {0};
    uint32_t head = 0;
    switch (c->linktype) {
    case LINK_ETHERNET:
        head = 14;
        frame[12] = v6 ? 0x86 : 0x08;
        frame[13] = v6 ? 0xdd : 0;
        break;
    case LINK_SLL:
        head = 16;
        frame[14] = v6 ? 0x86 : 0x08;
        frame[15] = v6 ? 0xdd : 0;
        break;
    case LINK_SLL2:
        head = 20;
        frame[0] = v6 ? 0x86 : 0x08;
        frame[1] = v6 ? 0xdd : 0;
        break;
    case LINK_NULL:
        head = 4;
        frame[0] = v6 ? 30 : 2;
        break;
    default:
        break;
    }
    assert_true(head + len <= sizeof frame);
    memcpy(frame + head, ip, len);
    if (!c->lose)
        add_record(c, frame, head + len);
    c->lose = false;
}

/* A connection: endpoints and the next relative sequence number of either side. */
struct conn {
    struct tb_addr addr[2];
    uint16_t port[2];
    uint32_t isn[2], next[2];
};

static inline struct tb_addr addr_of(const char *text)
{
    struct tb_addr a;
    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

/* Client 10.0.0.1:`client_port`, server 10.0.0.2:80. */
static inline struct conn new_conn(uint16_t client_port)
{
    return (struct conn){.addr = {addr_of("10.0.0.1"), addr_of("10.0.0.2")},
                         .port = {client_port, 80},
                         .isn = {0x10000000, 0x20000000}};
}

enum { SEGMENT_MAX = 66000 };

/* Any segment at all, as an IP packet at `out`; its length. */
static inline uint32_t make_segment(const struct conn *n, enum tb_dir dir, uint32_t seq,
                                    uint32_t ack, uint8_t flags, const void *data, uint32_t len,
                                    uint8_t out[SEGMENT_MAX])
{
    static const uint8_t syn_options[] = {2, 4, 5, 0xb4, 4, 2, 3, 3, 7, 1, 1, 1};
    struct tb_frame f;
    struct tb_frame_spec spec = {.src = &n->addr[dir],
                                 .dst = &n->addr[!dir],
                                 .sport = n->port[dir],
                                 .dport = n->port[!dir],
                                 .seq = n->isn[dir] + seq,
                                 .ack = flags & ACK ? n->isn[!dir] + ack : 0,
                                 .window = 65535,
                                 .flags = flags,
                                 .options = syn_options,
                                 .options_len = flags & SYN ? sizeof syn_options : 0};
    tb_frame_build(&f, &spec, data, len);
    uint32_t n_out = tb_frame_flatten(&f, out, SEGMENT_MAX);
    assert_true(n_out > 0);
    return n_out;
}

/* Capture it. */
static inline void segment(struct cap *c, const struct conn *n, enum tb_dir dir, uint32_t seq,
                           uint32_t ack, uint8_t flags, const char *data)
{
    static uint8_t ip[SEGMENT_MAX];
    uint32_t len =
        make_segment(n, dir, seq, ack, flags, data, data ? (uint32_t) strlen(data) : 0, ip);
    add_packet(c, ip, len);
}

/* Capture it and count. */
static inline void say_flags(struct cap *c, struct conn *n, enum tb_dir dir, uint8_t flags,
                             const char *data)
{
    segment(c, n, dir, n->next[dir], n->next[!dir], flags, data);
    n->next[dir] += (data ? (uint32_t) strlen(data) : 0) + ((flags & (FIN | SYN)) != 0);
}

static inline void client_says(struct cap *c, struct conn *n, const char *data)
{
    say_flags(c, n, TB_FROM_CLIENT, ACK | PSH, data);
}
static inline void server_says(struct cap *c, struct conn *n, const char *data)
{
    say_flags(c, n, TB_FROM_SERVER, ACK | PSH, data);
}
static inline void client_acks(struct cap *c, struct conn *n)
{
    say_flags(c, n, TB_FROM_CLIENT, ACK, NULL);
}
static inline void server_acks(struct cap *c, struct conn *n)
{
    say_flags(c, n, TB_FROM_SERVER, ACK, NULL);
}
static inline void client_fin(struct cap *c, struct conn *n)
{
    say_flags(c, n, TB_FROM_CLIENT, ACK | FIN, NULL);
}
static inline void server_fin(struct cap *c, struct conn *n)
{
    say_flags(c, n, TB_FROM_SERVER, ACK | FIN, NULL);
}
static inline void client_rst(struct cap *c, struct conn *n)
{
    say_flags(c, n, TB_FROM_CLIENT, ACK | RST, NULL);
}
static inline void server_rst(struct cap *c, struct conn *n)
{
    say_flags(c, n, TB_FROM_SERVER, ACK | RST, NULL);
}

static inline void shake_hands(struct cap *c, struct conn *n)
{
    n->next[0] = n->next[1] = 0;
    say_flags(c, n, TB_FROM_CLIENT, SYN, NULL);
    wait_us(c, MS);
    say_flags(c, n, TB_FROM_SERVER, SYN | ACK, NULL);
    client_acks(c, n);
}

/* Both close, the client first. */
static inline void close_both(struct cap *c, struct conn *n)
{
    client_fin(c, n);
    server_fin(c, n);
    client_acks(c, n);
}

/* --- loading -------------------------------------------------------------------------------- */

/* Files in memory, as paths. */
struct mem_file {
    int fd;
    char path[32];
};

static inline struct mem_file new_file(const void *data, size_t len)
{
    struct mem_file f;
    f.fd = memfd_create("capture", 0);
    assert_true(f.fd >= 0);
    assert_int_equal(write(f.fd, data, len), (ssize_t) len);
    snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
    return f;
}

/* Load bytes as a file; services: port 80 of any address, unless `o` has others. */
static inline int load_bytes(struct tb_trace *t, const void *data, size_t len,
                             struct tb_trace_options o, struct tb_err *err)
{
    static const struct tb_service port_80 = {.any_addr = true, .port = 80};
    struct mem_file f = new_file(data, len);
    const char *path = f.path;
    o.files = &path;
    o.file_count = 1;
    if (o.service_count == 0) {
        o.services = &port_80;
        o.service_count = 1;
    }
    int rc = tb_trace_load(t, &o, err);
    close(f.fd);
    return rc;
}

/* Load a capture that has sessions; frees it. */
static inline struct tb_trace load_with(struct cap *c, struct tb_trace_options o)
{
    struct tb_trace t;
    struct tb_err err = {""};
    int rc = load_bytes(&t, c->out.b, c->out.len, o, &err);
    if (rc < 0)
        fail_msg("load: %d: %s", rc, err.text);
    free_cap(c);
    return t;
}

static inline struct tb_trace load(struct cap *c)
{
    return load_with(c, (struct tb_trace_options){0});
}

/* Load a capture without usable sessions; frees it. */
static inline struct tb_trace load_nothing_with(struct cap *c, struct tb_trace_options o)
{
    struct tb_trace t;
    struct tb_err err = {""};
    assert_int_equal(load_bytes(&t, c->out.b, c->out.len, o, &err), -ENODATA);
    assert_int_equal(t.session_count, 0);
    free_cap(c);
    return t;
}

static inline struct tb_trace load_nothing(struct cap *c)
{
    return load_nothing_with(c, (struct tb_trace_options){0});
}

/* --- looking at scripts --------------------------------------------------------------------- */

static inline uint64_t skipped(const struct tb_trace *t, const char *reason)
{
    for (uint32_t i = 0; i < t->skip_count; i++)
        if (strcmp(t->skipped[i].reason, reason) == 0)
            return t->skipped[i].sessions;
    return 0;
}

static inline uint64_t skipped_in_all(const struct tb_trace *t)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < t->skip_count; i++)
        n += t->skipped[i].sessions;
    return n;
}

static inline const struct tb_request *request_at(const struct tb_script *s, uint32_t n)
{
    const struct tb_request *r = tb_script_first(s);
    while (n-- > 0) {
        assert_non_null(r);
        r = tb_script_next(r);
    }
    assert_non_null(r);
    return r;
}

static inline uint32_t record_count(const struct tb_script *s)
{
    uint32_t n = 0;
    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r))
        n++;
    return n;
}

static inline void assert_request(const struct tb_request *r, const char *text)
{
    struct tb_run run = tb_request_run(r);
    const uint8_t *data;
    uint32_t n, at = 0;
    assert_int_equal(r->len, strlen(text));
    while ((n = tb_run_next(&run, &data)) > 0) {
        assert_memory_equal(data, text + at, n);
        at += n;
    }
    assert_int_equal(at, r->len);
}

/* All client bytes of a session. */
static inline void assert_stream(const struct tb_script *s, const char *text)
{
    size_t len = strlen(text), at = 0;
    assert_int_equal(s->client_bytes, len);
    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r)) {
        struct tb_run run = tb_request_run(r);
        const uint8_t *data;
        uint32_t n;
        while ((n = tb_run_next(&run, &data)) > 0) {
            assert_true(at + n <= len);
            assert_memory_equal(data, text + at, n);
            at += n;
        }
    }
    assert_int_equal(at, len);
}

#endif
