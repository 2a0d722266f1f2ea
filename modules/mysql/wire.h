/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MySQL protocol's numbers, bounds-checked reading of received bytes and growing buffers for
 * what is built. Every parser of the mysql module reads through struct tb_mysql_in: a read past the
 * end returns zeros, moves nothing and sets `failed`. Numbers are little-endian.
 */
#ifndef TB_MYSQL_WIRE_H
#define TB_MYSQL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TB_MYSQL_HEADER = 4, TB_MYSQL_PACKET_MAX = 0xffffff };

/* Capability bits of greeting and log-in. */
enum {
    TB_MYSQL_LONG_PASSWORD = 1 << 0, /* of a MariaDB server: clear, extended bits are valid */
    TB_MYSQL_CONNECT_WITH_DB = 1 << 3,
    TB_MYSQL_COMPRESS = 1 << 5,
    TB_MYSQL_PROTOCOL_41 = 1 << 9,
    TB_MYSQL_SSL = 1 << 11,
    TB_MYSQL_SECURE_CONNECTION = 1 << 15,
    TB_MYSQL_PLUGIN_AUTH = 1 << 19,
    TB_MYSQL_CONNECT_ATTRS = 1 << 20,
    TB_MYSQL_PLUGIN_AUTH_LENENC = 1 << 21,
    TB_MYSQL_DEPRECATE_EOF = 1 << 24,
    TB_MYSQL_ZSTD = 1 << 26,
    TB_MYSQL_QUERY_ATTRIBUTES = 1 << 27,
    TB_MYSQL_MULTI_FACTOR = 1 << 28
};
/* MariaDB's extended bits. */
enum { TB_MARIADB_BULK = 1 << 2 };

/* First byte of a command. Those from 0x100 on are ours: client bytes that are no command. */
enum tb_mysql_command_code {
    TB_COM_QUIT = 0x01,
    TB_COM_INIT_DB = 0x02,
    TB_COM_QUERY = 0x03,
    TB_COM_FIELD_LIST = 0x04,
    TB_COM_CREATE_DB = 0x05,
    TB_COM_DROP_DB = 0x06,
    TB_COM_REFRESH = 0x07,
    TB_COM_SHUTDOWN = 0x08,
    TB_COM_STATISTICS = 0x09,
    TB_COM_PROCESS_INFO = 0x0a,
    TB_COM_PROCESS_KILL = 0x0c,
    TB_COM_DEBUG = 0x0d,
    TB_COM_PING = 0x0e,
    TB_COM_CHANGE_USER = 0x11,
    TB_COM_BINLOG_DUMP = 0x12,
    TB_COM_TABLE_DUMP = 0x13,
    TB_COM_REGISTER_SLAVE = 0x15,
    TB_COM_STMT_PREPARE = 0x16,
    TB_COM_STMT_EXECUTE = 0x17,
    TB_COM_STMT_SEND_LONG_DATA = 0x18,
    TB_COM_STMT_CLOSE = 0x19,
    TB_COM_STMT_RESET = 0x1a,
    TB_COM_SET_OPTION = 0x1b,
    TB_COM_STMT_FETCH = 0x1c,
    TB_COM_BINLOG_DUMP_GTID = 0x1e,
    TB_COM_RESET_CONNECTION = 0x1f,
    TB_COM_STMT_BULK_EXECUTE = 0xfa,
    TB_COM_LOGIN = 0x100,
    TB_COM_INFILE_DATA = 0x101
};
enum { TB_COM_KINDS = 0x102 };

/* The statement last prepared, pipelined behind its PREPARE (MariaDB). */
#define TB_MYSQL_LAST_STATEMENT UINT32_C(0xffffffff)

/* First bytes of answers, and status bits. */
enum { TB_MYSQL_OK = 0x00, TB_MYSQL_INFILE = 0xfb, TB_MYSQL_EOF = 0xfe, TB_MYSQL_ERR = 0xff };
enum { TB_MYSQL_MORE_RESULTS = 0x08, TB_MYSQL_CURSOR_OPEN = 0x40 };

/* --- memory ----------------------------------------------------------------------------------- */

/* realloc() and calloc() of what counts for the host (tb_host.memory), and what frees it. NULL is
 * fine to free. mysql.c. */
void *tb_mysql_memory(void *old, size_t bytes);
void *tb_mysql_new(size_t bytes);
void tb_mysql_free(void *p);

/* --- reading --------------------------------------------------------------------------------- */

struct tb_mysql_in {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct tb_mysql_in tb_mysql_in(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct tb_mysql_in){.at = p, .end = len ? p + len : p};
}
static inline size_t tb_mysql_in_left(const struct tb_mysql_in *in)
{
    return (size_t) (in->end - in->at);
}
/* `n` bytes in place, or NULL. */
const uint8_t *tb_mysql_in_bytes(struct tb_mysql_in *in, uint64_t n);
/* A number of `bytes` (1 to 8) bytes. */
uint64_t tb_mysql_in_number(struct tb_mysql_in *in, unsigned bytes);
/* A length-encoded number. */
uint64_t tb_mysql_in_lenenc(struct tb_mysql_in *in);
/* Text up to its NUL, or to the end where there is none; *len without the NUL. */
const char *tb_mysql_in_text(struct tb_mysql_in *in, size_t *len);
/* Bytes behind a length-encoded length; NULL when they are not all there. */
const uint8_t *tb_mysql_in_string(struct tb_mysql_in *in, size_t *len);

/* --- building -------------------------------------------------------------------------------- */

/* All zero is empty. When memory is out `failed` is set and nothing more is added. */
struct tb_mysql_out {
    uint8_t *data;
    size_t len, room;
    bool failed;
};

void tb_mysql_out_bytes(struct tb_mysql_out *out, const void *data, size_t len);
void tb_mysql_out_number(struct tb_mysql_out *out, uint64_t value, unsigned bytes);
void tb_mysql_out_lenenc(struct tb_mysql_out *out, uint64_t value);
void tb_mysql_out_zeros(struct tb_mysql_out *out, size_t len);
/* Text and its NUL. */
void tb_mysql_out_text(struct tb_mysql_out *out, const char *text, size_t len);
/* A payload as packets, the first with number `seq`. */
void tb_mysql_out_packets(struct tb_mysql_out *out, uint8_t seq, const void *payload, size_t len);
/* Empty it; what is more than room for usual packets goes back. */
void tb_mysql_out_empty(struct tb_mysql_out *out);
void tb_mysql_out_fini(struct tb_mysql_out *out);

#endif
