/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One command of a captured client: what it is, which prepared statement it is about, and the bytes
 * that are sent in its place where the captured ones would not do (query attributes, compressed
 * captures, mapped schemas). Called by learn.c.
 */
#ifndef TB_MYSQL_COMMAND_H
#define TB_MYSQL_COMMAND_H

#include "mysql.h"

/* A prepared statement of the captured session, by slot. */
struct tb_mysql_prepared {
    uint32_t id; /* the captured server's */
    uint32_t statement;
    struct tb_mysql_command *prepare; /* a ref */
    uint64_t long_data;               /* parameters sent ahead of the next EXECUTE, the first 64 */
    uint16_t params;
    bool used, known, writes;
};

struct tb_mysql_prepared_set {
    struct tb_mysql_prepared *slot;
    size_t count;
    uint16_t last; /* of the last PREPARE */
};

/* How the captured session's bytes are to be read. */
struct tb_mysql_reading {
    bool attributes; /* QUERY_ATTRIBUTES was agreed */
    bool compressed; /* its bytes cannot be sent as they are */
};

/* Fill in `c` (zeroed but for its place in a list) from a command's payload. 0 or -1: memory. */
int tb_mysql_command_read(struct tb_mysql_command *c, const uint8_t *payload, size_t len,
                          const struct tb_mysql_reading *how, struct tb_mysql_prepared_set *set);
/* The answer to a PREPARE: `id` 0 when it failed. */
void tb_mysql_command_prepared(struct tb_mysql_prepared_set *set, uint16_t slot, uint32_t id,
                               uint16_t params);
/* All statements are gone. */
void tb_mysql_prepared_clear(struct tb_mysql_prepared_set *set);

#endif
