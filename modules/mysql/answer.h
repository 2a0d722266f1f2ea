/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Incremental reader of a server's answers: knows when the answer to a command is complete, and
 * what it was. Used for captured streams (learn.c) and for the real server's (play.c). No
 * allocation; of a packet only its first bytes are kept.
 */
#ifndef TB_MYSQL_ANSWER_H
#define TB_MYSQL_ANSWER_H

#include "packet.h"

/* How the answer to a command is framed. */
enum tb_mysql_form {
    TB_FORM_NONE,    /* none comes */
    TB_FORM_OK,      /* OK, EOF or ERR */
    TB_FORM_RESULTS, /* OK, ERR, result sets, LOCAL INFILE */
    TB_FORM_PREPARE,
    TB_FORM_FIELDS,  /* column definitions to an EOF */
    TB_FORM_ROWS,    /* rows to a terminator */
    TB_FORM_TEXT,    /* one packet of text */
    TB_FORM_DIALOGUE /* log-in: dialogue.c */
};

enum tb_mysql_form tb_mysql_form_of(unsigned command);

/* What an answer was. */
struct tb_mysql_outcome {
    uint64_t rows;    /* of all result sets, and rows affected */
    uint32_t shape;   /* digest of the column counts of all results */
    uint16_t error;   /* 0: none */
    uint16_t columns; /* of the first result */
    uint16_t results; /* result sets and OKs */
    uint16_t params;  /* PREPARE */
    char state[5];    /* SQLSTATE of the error */
    bool infile;      /* asks for a file of the client */
};

enum tb_mysql_event {
    TB_MYSQL_MORE,
    TB_MYSQL_DONE, /* complete; `outcome` tells what it was */
    TB_MYSQL_BAD   /* not the protocol */
};

enum { TB_MYSQL_ANSWER_HEAD = 32 };

/* An answer being read. */
struct tb_mysql_answer {
    struct tb_mysql_packets packets;
    struct tb_mysql_outcome outcome;
    uint64_t defs_left;    /* column definitions still to come */
    uint64_t columns_left; /* PREPARE: those behind the parameters' */
    uint64_t payload;      /* bytes of the packet so far */
    uint32_t statement;    /* PREPARE: the id */
    uint8_t head[TB_MYSQL_ANSWER_HEAD];
    uint8_t head_len;
    uint8_t form, state;
    uint8_t seq; /* of the last packet */
    bool no_eof; /* DEPRECATE_EOF */
};

void tb_mysql_answer_begin(struct tb_mysql_answer *a, enum tb_mysql_form form, bool deprecate_eof);
/* Read on; sets *used to the bytes consumed (all of them with MORE). */
enum tb_mysql_event tb_mysql_answer_feed(struct tb_mysql_answer *a, const uint8_t *data, size_t len,
                                         size_t *used);
/* `len` bytes are missing. False: where the answer ends can no longer be known. */
bool tb_mysql_answer_skip(struct tb_mysql_answer *a, uint64_t len);

/* "ok", "ok, 3 columns", "ok, 3 columns, 5 rows", "ERR 1146 (42S02)". */
void tb_mysql_outcome_text(const struct tb_mysql_outcome *o, bool rows, char *out, size_t len);
/* Does `seen` differ from what was captured? */
bool tb_mysql_outcome_differs(const struct tb_mysql_outcome *captured,
                              const struct tb_mysql_outcome *seen, bool rows);

#endif
