/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SQL text as far as the module looks at it: its fingerprint (literals replaced by ?, comments and
 * superfluous space dropped), and whether it only reads. No parser of SQL: it tells words, literals
 * and comments apart. Called by learn.c.
 */
#ifndef TB_MYSQL_STATEMENT_H
#define TB_MYSQL_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

enum { TB_MYSQL_FINGERPRINT_MAX = 512 };

/* Write the fingerprint of `sql`, NUL-terminated, cut at TB_MYSQL_FINGERPRINT_MAX; its length. */
size_t tb_mysql_fingerprint(const char *sql, size_t len, char out[TB_MYSQL_FINGERPRINT_MAX]);

/* Does every statement in `sql` only read, or concern only its own session? When in doubt: no. */
bool tb_mysql_reads_only(const char *sql, size_t len);

/* "USE name": where the name is, without quotes. False: another statement. */
bool tb_mysql_use_of(const char *sql, size_t len, const char **name, size_t *name_len);

/* --- the tokens, for both --------------------------------------------------------------------- */

enum tb_mysql_token_kind {
    TB_TOKEN_END,
    TB_TOKEN_WORD,    /* keyword, name, variable */
    TB_TOKEN_QUOTED,  /* `name` */
    TB_TOKEN_LITERAL, /* string or number */
    TB_TOKEN_SIGN     /* one character */
};

struct tb_mysql_token {
    enum tb_mysql_token_kind kind;
    const char *text;
    size_t len;
    bool space_before; /* white space or a comment stood before it */
};

/* The next token from *at on, which is moved behind it. */
struct tb_mysql_token tb_mysql_token_next(const char **at, const char *end);

#endif
