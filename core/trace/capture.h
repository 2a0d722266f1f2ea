/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture file as a sequence of records, whatever its format. Damaged files give what can still
 * be found in them: a record that cannot be one is passed over by looking for the next that can.
 * Used by load.c and tap_file.c; libpcap is not, because it refuses compressed files and pcapng
 * files with several link types or byte orders.
 */
#ifndef TB_TRACE_CAPTURE_H
#define TB_TRACE_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/cursor.h"
#include "base/err.h"
#include "trace/reader.h"

enum {
    TB_RECORD_MAX = 1 << 20,     /* a longer one is damage; BIG TCP frames go up to 512 KB */
    TB_CAPTURE_INTERFACES = 4096 /* per pcapng section; later ones are not known */
};

/* One captured packet. */
struct tb_record {
    uint64_t time_us;  /* since 1970 */
    uint32_t linktype; /* LINKTYPE_ number of the file format */
    uint32_t len;      /* bytes at `data` */
    uint32_t original; /* bytes of the packet, at least `len` */
    const uint8_t *data;
};

/* A pcapng interface description. */
struct tb_capture_if {
    uint32_t linktype;
    uint32_t snaplen;   /* 0: no limit */
    uint8_t resolution; /* if_tsresol as in the file: 10^-n s, or 2^-n s with the top bit set */
    int64_t offset_s;   /* if_tsoffset */
};

struct tb_capture {
    struct tb_reader reader;
    bool (*next)(struct tb_capture *c, struct tb_record *r);
    bool big_endian;
    uint64_t last_us; /* time of the last record: for those without one, and to judge candidates */
    uint64_t records;
    uint64_t damaged; /* places where something else than a record was found */
    bool cut_short;   /* the file ends inside a record */
    /* pcap */
    uint32_t linktype;
    bool nanoseconds;
    /* pcapng */
    struct tb_capture_if *interfaces;
    uint32_t interface_count, interface_room;
    bool out_of_memory;
};

/* Open a capture file and read its head; 0 or -errno with words (-EBADMSG: not a capture file).
 * tb_capture_file_close() may follow in either case. */
int tb_capture_file_open(struct tb_capture *c, const char *path, struct tb_err *err);
void tb_capture_file_close(struct tb_capture *c);

/* What was wrong with what was read, in words; false: nothing. */
bool tb_capture_file_trouble(const struct tb_capture *c, const char *path, char *words,
                             size_t room);

/* The next record, valid until the next call; false at the end. */
static inline bool tb_capture_file_next(struct tb_capture *c, struct tb_record *r)
{
    return c->next(c, r);
}

/* The formats: read the file's head when it is one of theirs and set `next`; false when not. */
bool tb_pcap_begin(struct tb_capture *c);
bool tb_pcapng_begin(struct tb_capture *c);

/* Numbers in the byte order of the file. */
static inline uint32_t tb_capture_u32(const struct tb_capture *c, struct tb_cursor *cur)
{
    return c->big_endian ? tb_cursor_be32(cur) : tb_cursor_le32(cur);
}
static inline uint16_t tb_capture_u16(const struct tb_capture *c, struct tb_cursor *cur)
{
    return c->big_endian ? tb_cursor_be16(cur) : tb_cursor_le16(cur);
}

#endif
