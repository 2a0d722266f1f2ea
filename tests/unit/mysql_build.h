/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builders of MySQL packets for the tests of the mysql module: streams of either side, packet by
 * packet, in struct tb_mysql_out. `seq` counts within a stream; FRESH begins a new command.
 */
#ifndef TB_UNIT_MYSQL_BUILD_H
#define TB_UNIT_MYSQL_BUILD_H

#include "unit.h"
#include "mysql/mysql.h"

struct stream {
    struct tb_mysql_out out;
    uint8_t seq;
};

static const char nonce_text[] = "abcdefghijklmnopqrst"; /* 20 characters */

static inline void packet(struct stream *s, const void *payload, size_t len)
{
    tb_mysql_out_packets(&s->out, s->seq++, payload, len);
    assert_false(s->out.failed);
}

#define BYTES(s, ...) \
    packet(s, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A payload built by parts: begin(), tb_mysql_out_…(&p, …), then done(). */
static inline void done(struct stream *s, struct tb_mysql_out *p)
{
    packet(s, p->data, p->len);
    tb_mysql_out_fini(p);
}

/* --- the server --- */

static const uint32_t mysql_caps = 0xffffffffu & ~(uint32_t) TB_MYSQL_SSL;
static const uint32_t old_caps = 0x00ff9fffu & ~(uint32_t) TB_MYSQL_SSL; /* 5.6: none above */

static inline void greeting(struct stream *s, const char *version, uint32_t caps, uint32_t extended,
                            const char *plugin)
{
    struct tb_mysql_out p = {0};
    s->seq = 0;
    tb_mysql_out_number(&p, 10, 1);
    tb_mysql_out_text(&p, version, strlen(version));
    tb_mysql_out_number(&p, 77, 4);
    tb_mysql_out_bytes(&p, nonce_text, 8);
    tb_mysql_out_number(&p, 0, 1);
    tb_mysql_out_number(&p, caps & 0xffff, 2);
    tb_mysql_out_number(&p, 33, 1);
    tb_mysql_out_number(&p, 2, 2);
    tb_mysql_out_number(&p, caps >> 16, 2);
    tb_mysql_out_number(&p, 21, 1);
    tb_mysql_out_zeros(&p, 6);
    tb_mysql_out_number(&p, extended, 4);
    tb_mysql_out_bytes(&p, nonce_text + 8, 12);
    tb_mysql_out_number(&p, 0, 1);
    tb_mysql_out_text(&p, plugin, strlen(plugin));
    done(s, &p);
}

static inline void ok(struct stream *s, unsigned affected, unsigned status)
{
    BYTES(s, TB_MYSQL_OK, (uint8_t) affected, 0, (uint8_t) status, (uint8_t) (status >> 8), 0, 0);
}

static inline void error(struct stream *s, unsigned code)
{
    struct tb_mysql_out p = {0};
    tb_mysql_out_number(&p, TB_MYSQL_ERR, 1);
    tb_mysql_out_number(&p, code, 2);
    tb_mysql_out_bytes(&p, "#42S02No such thing", 19);
    done(s, &p);
}

static inline void eof(struct stream *s, unsigned status)
{
    BYTES(s, TB_MYSQL_EOF, 0, 0, (uint8_t) status, (uint8_t) (status >> 8));
}

/* DEPRECATE_EOF: an OK under EOF's first byte. */
static inline void eof_ok(struct stream *s, unsigned status)
{
    BYTES(s, TB_MYSQL_EOF, 0, 0, (uint8_t) status, (uint8_t) (status >> 8), 0, 0);
}

static inline void definitions(struct stream *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        packet(s, "\3def\0\0\0\1c\0\14", 11);
}

static inline void rows(struct stream *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        packet(s, "\5value\3two", 10);
}

/* A text result set with EOFs. */
static inline void result_set(struct stream *s, unsigned columns, unsigned n, unsigned status)
{
    BYTES(s, (uint8_t) columns);
    definitions(s, columns);
    eof(s, 2);
    rows(s, n);
    eof(s, status);
}

static inline void prepared(struct stream *s, uint32_t id, unsigned params, unsigned columns)
{
    BYTES(s, TB_MYSQL_OK, (uint8_t) id, (uint8_t) (id >> 8), 0, 0, (uint8_t) columns, 0,
          (uint8_t) params, 0, 0, 0, 0);
    if (params) {
        definitions(s, params);
        eof(s, 2);
    }
    if (columns) {
        definitions(s, columns);
        eof(s, 2);
    }
}

static inline void auth_switch(struct stream *s, const char *plugin, const void *nonce, size_t len)
{
    struct tb_mysql_out p = {0};
    tb_mysql_out_number(&p, TB_MYSQL_EOF, 1);
    tb_mysql_out_text(&p, plugin, strlen(plugin));
    tb_mysql_out_bytes(&p, nonce, len);
    tb_mysql_out_number(&p, 0, 1);
    done(s, &p);
}

/* --- the client --- */

static inline void login(struct stream *s, uint32_t caps, const char *user, size_t auth_len,
                         const char *schema)
{
    struct tb_mysql_login l = {.capabilities = caps,
                               .packet_max = 1 << 24,
                               .collation = 45,
                               .user = (char *) (uintptr_t) user,
                               .schema = (char *) (uintptr_t) schema};
    struct tb_mysql_greeting g = {.plugin = TB_PLUGIN_NATIVE};
    struct tb_mysql_out p = {0};
    static const uint8_t auth[32] = {1, 2, 3};
    tb_mysql_login_build(&p, &l, &g, caps, 0, auth, auth_len);
    s->seq = 1;
    done(s, &p);
}

static inline void command(struct stream *s, uint8_t code, const char *text)
{
    struct tb_mysql_out p = {0};
    tb_mysql_out_number(&p, code, 1);
    tb_mysql_out_bytes(&p, text, strlen(text));
    s->seq = 0;
    done(s, &p);
}

/* A command about a statement, without anything behind its id. */
static inline void about(struct stream *s, uint8_t code, uint32_t id)
{
    struct tb_mysql_out p = {0};
    tb_mysql_out_number(&p, code, 1);
    tb_mysql_out_number(&p, id, 4);
    if (code == TB_COM_STMT_EXECUTE) {
        tb_mysql_out_number(&p, 0, 1);
        tb_mysql_out_number(&p, 1, 4);
    }
    s->seq = 0;
    done(s, &p);
}

static inline void forget(struct stream *s)
{
    tb_mysql_out_fini(&s->out);
    s->seq = 0;
}

#endif
