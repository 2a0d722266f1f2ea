/* SPDX-License-Identifier: BSD-2-Clause */
/* See answer.h. */
#include "answer.h"

#include <stdio.h>
#include <string.h>

/* What the next packet is. */
enum state {
    FIRST,       /* of an answer, or of the next result */
    DEFINITIONS, /* of columns */
    AFTER_DEFINITIONS,
    ROWS,
    PARAMETERS, /* PREPARE: definitions */
    AFTER_PARAMETERS,
    COLUMNS,
    AFTER_COLUMNS
};

enum tb_mysql_form tb_mysql_form_of(unsigned command)
{
    switch (command) {
    case TB_COM_QUIT:
    case TB_COM_STMT_SEND_LONG_DATA:
    case TB_COM_STMT_CLOSE:
        return TB_FORM_NONE;
    case TB_COM_QUERY:
    case TB_COM_STMT_EXECUTE:
    case TB_COM_STMT_BULK_EXECUTE:
    case TB_COM_PROCESS_INFO:
    case TB_COM_INFILE_DATA:
        return TB_FORM_RESULTS;
    case TB_COM_STMT_PREPARE:
        return TB_FORM_PREPARE;
    case TB_COM_FIELD_LIST:
        return TB_FORM_FIELDS;
    case TB_COM_STMT_FETCH:
        return TB_FORM_ROWS;
    case TB_COM_STATISTICS:
        return TB_FORM_TEXT;
    case TB_COM_LOGIN:
    case TB_COM_CHANGE_USER:
        return TB_FORM_DIALOGUE;
    }
    return TB_FORM_OK;
}

void tb_mysql_answer_begin(struct tb_mysql_answer *a, enum tb_mysql_form form, bool deprecate_eof)
{
    *a = (struct tb_mysql_answer){.form = (uint8_t) form,
                                  .state = form == TB_FORM_ROWS ? ROWS : FIRST,
                                  .no_eof = deprecate_eof};
}

static enum tb_mysql_event error(struct tb_mysql_answer *a)
{
    struct tb_mysql_in in = tb_mysql_in(a->head, a->head_len);

    tb_mysql_in_number(&in, 1);
    uint16_t code = (uint16_t) tb_mysql_in_number(&in, 2);
    if (in.failed)
        return TB_MYSQL_BAD;
    if (code == 0xffff) /* MariaDB tells how far it is */
        return TB_MYSQL_MORE;
    a->outcome.error = code;
    if (tb_mysql_in_number(&in, 1) == '#') {
        const uint8_t *state = tb_mysql_in_bytes(&in, sizeof a->outcome.state);
        if (state)
            memcpy(a->outcome.state, state, sizeof a->outcome.state);
    }
    return TB_MYSQL_DONE;
}

/* One more result is known: an OK has 0 columns. */
static void add_result(struct tb_mysql_outcome *o, uint64_t columns)
{
    if (o->results == 0)
        o->columns = (uint16_t) (columns < UINT16_MAX ? columns : UINT16_MAX);
    if (o->results < UINT16_MAX)
        o->results++;
    o->shape = (o->shape ^ (uint32_t) columns) * 16777619u + 1;
}

static enum tb_mysql_event next_result(struct tb_mysql_answer *a, unsigned status)
{
    a->state = FIRST;
    return status & TB_MYSQL_MORE_RESULTS ? TB_MYSQL_MORE : TB_MYSQL_DONE;
}

/* The body of an OK, behind its first byte: status, and what it affected. */
static unsigned ok_status(struct tb_mysql_answer *a, uint64_t *affected)
{
    struct tb_mysql_in in = tb_mysql_in(a->head, a->head_len);

    tb_mysql_in_number(&in, 1);
    *affected = tb_mysql_in_lenenc(&in);
    tb_mysql_in_lenenc(&in);
    unsigned status = (unsigned) tb_mysql_in_number(&in, 2);
    return in.failed ? 0 : status;
}

static unsigned eof_status(const struct tb_mysql_answer *a)
{
    struct tb_mysql_in in = tb_mysql_in(a->head, a->head_len);

    tb_mysql_in_number(&in, 3);
    return (unsigned) tb_mysql_in_number(&in, 2);
}

static bool is_eof(const struct tb_mysql_answer *a)
{
    return a->head_len > 0 && a->head[0] == TB_MYSQL_EOF && a->payload < 9;
}

/* The end of rows or definitions: an EOF, or an OK under its first byte. */
static bool is_terminator(const struct tb_mysql_answer *a)
{
    if (!a->no_eof)
        return is_eof(a);
    return a->head_len > 0 && a->head[0] == TB_MYSQL_EOF && a->payload < TB_MYSQL_PACKET_MAX;
}

static unsigned terminator_status(struct tb_mysql_answer *a)
{
    uint64_t affected;

    return a->no_eof && a->payload >= 7 ? ok_status(a, &affected) : eof_status(a);
}

static enum tb_mysql_event begin_result_set(struct tb_mysql_answer *a)
{
    struct tb_mysql_in in = tb_mysql_in(a->head, a->head_len);
    uint64_t columns = tb_mysql_in_lenenc(&in);
    bool has_flag = a->payload == a->head_len && tb_mysql_in_left(&in) == 1;
    bool skipped = has_flag && tb_mysql_in_number(&in, 1) == 0;

    if (in.failed || columns == 0 || columns > UINT16_MAX)
        return TB_MYSQL_BAD;
    add_result(&a->outcome, columns);
    a->defs_left = skipped ? 0 : columns;
    a->state = a->defs_left ? DEFINITIONS : a->no_eof ? ROWS : AFTER_DEFINITIONS;
    return TB_MYSQL_MORE;
}

static enum tb_mysql_event first_of_results(struct tb_mysql_answer *a)
{
    uint64_t affected = 0;

    switch (a->head[0]) {
    case TB_MYSQL_OK: {
        unsigned status = ok_status(a, &affected);
        add_result(&a->outcome, 0);
        a->outcome.rows += affected;
        return next_result(a, status);
    }
    case TB_MYSQL_INFILE:
        a->outcome.infile = true;
        return TB_MYSQL_DONE;
    case TB_MYSQL_EOF:
        return TB_MYSQL_BAD;
    }
    return begin_result_set(a);
}

static enum tb_mysql_event prepared(struct tb_mysql_answer *a)
{
    struct tb_mysql_in in = tb_mysql_in(a->head, a->head_len);
    bool is_ok = tb_mysql_in_number(&in, 1) == TB_MYSQL_OK;

    a->statement = (uint32_t) tb_mysql_in_number(&in, 4);
    uint16_t columns = (uint16_t) tb_mysql_in_number(&in, 2);
    a->outcome.params = (uint16_t) tb_mysql_in_number(&in, 2);
    if (!is_ok || in.failed)
        return TB_MYSQL_BAD;
    add_result(&a->outcome, columns);
    bool skipped = a->head_len >= 13 && a->head[12] == 0; /* no metadata is sent */
    a->defs_left = skipped ? 0 : a->outcome.params;
    a->columns_left = skipped ? 0 : columns;
    a->state = a->defs_left ? PARAMETERS : COLUMNS;
    return a->defs_left || a->columns_left ? TB_MYSQL_MORE : TB_MYSQL_DONE;
}

static enum tb_mysql_event first(struct tb_mysql_answer *a)
{
    uint8_t byte = a->head_len ? a->head[0] : 0;

    if (a->form == TB_FORM_TEXT)
        return TB_MYSQL_DONE;
    if (a->head_len == 0)
        return TB_MYSQL_BAD;
    switch ((enum tb_mysql_form) a->form) {
    case TB_FORM_RESULTS:
        return first_of_results(a);
    case TB_FORM_PREPARE:
        return prepared(a);
    case TB_FORM_FIELDS:
        if (is_terminator(a)) {
            add_result(&a->outcome, a->outcome.rows);
            a->outcome.rows = 0;
            return TB_MYSQL_DONE;
        }
        a->outcome.rows++;
        return TB_MYSQL_MORE;
    default:
        add_result(&a->outcome, 0);
        return byte == TB_MYSQL_OK || byte == TB_MYSQL_EOF ? TB_MYSQL_DONE : TB_MYSQL_BAD;
    }
}

static enum tb_mysql_event row(struct tb_mysql_answer *a)
{
    if (!is_terminator(a)) {
        a->outcome.rows++;
        return TB_MYSQL_MORE;
    }
    unsigned status = terminator_status(a);
    return a->form == TB_FORM_ROWS ? TB_MYSQL_DONE : next_result(a, status);
}

/* Behind the definitions of a result set comes an EOF: with a cursor, that is all. */
static enum tb_mysql_event after_definitions(struct tb_mysql_answer *a)
{
    if (!is_eof(a))
        return TB_MYSQL_BAD;
    unsigned status = eof_status(a);
    if (status & TB_MYSQL_CURSOR_OPEN)
        return next_result(a, status);
    a->state = ROWS;
    return TB_MYSQL_MORE;
}

/* The definitions of one kind that a PREPARE yields are through, with or without their EOF. */
static enum tb_mysql_event after_prepared(struct tb_mysql_answer *a, bool were_parameters)
{
    if (!were_parameters || a->columns_left == 0)
        return TB_MYSQL_DONE;
    a->state = COLUMNS;
    return TB_MYSQL_MORE;
}

static enum tb_mysql_event definition(struct tb_mysql_answer *a)
{
    bool parameters = a->state == PARAMETERS;
    uint64_t *left = a->state == COLUMNS ? &a->columns_left : &a->defs_left;

    if (--*left > 0)
        return TB_MYSQL_MORE;
    if (a->state == DEFINITIONS) {
        a->state = a->no_eof ? ROWS : AFTER_DEFINITIONS;
        return TB_MYSQL_MORE;
    }
    if (a->no_eof)
        return after_prepared(a, parameters);
    a->state = parameters ? AFTER_PARAMETERS : AFTER_COLUMNS;
    return TB_MYSQL_MORE;
}

/* A packet is complete. */
static enum tb_mysql_event packet(struct tb_mysql_answer *a)
{
    if (a->head_len > 0 && a->head[0] == TB_MYSQL_ERR)
        return error(a);
    switch ((enum state) a->state) {
    case FIRST:
        return first(a);
    case DEFINITIONS:
    case PARAMETERS:
    case COLUMNS:
        return definition(a);
    case AFTER_DEFINITIONS:
        return after_definitions(a);
    case ROWS:
        return row(a);
    case AFTER_PARAMETERS:
    case AFTER_COLUMNS:
        return is_eof(a) ? after_prepared(a, a->state == AFTER_PARAMETERS) : TB_MYSQL_BAD;
    }
    return TB_MYSQL_BAD;
}

enum tb_mysql_event tb_mysql_answer_feed(struct tb_mysql_answer *a, const uint8_t *data, size_t len,
                                         size_t *used)
{
    struct tb_mysql_piece piece;
    bool found;

    for (size_t at = 0;;) {
        size_t n = tb_mysql_packets_feed(&a->packets, data + at, len - at, &piece, &found);
        at += n;
        *used = at;
        if (!found)
            return TB_MYSQL_MORE;
        if (piece.first)
            a->head_len = 0, a->payload = 0;
        size_t keep = TB_MYSQL_ANSWER_HEAD - a->head_len;
        if (keep > piece.len)
            keep = piece.len;
        if (keep > 0)
            memcpy(a->head + a->head_len, piece.bytes, keep);
        a->head_len = (uint8_t) (a->head_len + keep);
        a->payload += piece.len;
        if (!piece.last)
            continue;
        a->seq = piece.seq;
        enum tb_mysql_event event = packet(a);
        if (event != TB_MYSQL_MORE)
            return event;
    }
}

bool tb_mysql_answer_skip(struct tb_mysql_answer *a, uint64_t len)
{
    /* The first bytes of a packet tell what it is. */
    bool enough = a->head_len == TB_MYSQL_ANSWER_HEAD ||
                  (a->head_len > 0 && a->state == ROWS && a->head[0] < TB_MYSQL_EOF);

    if (!enough || !tb_mysql_packets_skip(&a->packets, len))
        return false;
    a->payload += len;
    return true;
}

/* --- outcomes -------------------------------------------------------------------------------- */

void tb_mysql_outcome_text(const struct tb_mysql_outcome *o, bool rows, char *out, size_t len)
{
    int n;

    if (o->error) {
        n = snprintf(out, len, "ERR %u", o->error);
        if (o->state[0] && n > 0 && (size_t) n < len)
            snprintf(out + n, len - (size_t) n, " (%.5s)", o->state);
        return;
    }
    if (o->infile) {
        snprintf(out, len, "asks for a local file");
        return;
    }
    n = snprintf(out, len, "ok");
    if (o->columns && n > 0 && (size_t) n < len)
        n += snprintf(out + n, len - (size_t) n, ", %u column%s", o->columns,
                      o->columns == 1 ? "" : "s");
    if (o->results > 1 && n > 0 && (size_t) n < len)
        n += snprintf(out + n, len - (size_t) n, ", %u results", o->results);
    if (o->params && n > 0 && (size_t) n < len)
        n += snprintf(out + n, len - (size_t) n, ", %u parameter%s", o->params,
                      o->params == 1 ? "" : "s");
    if (rows && n > 0 && (size_t) n < len)
        snprintf(out + n, len - (size_t) n, ", %llu row%s", (unsigned long long) o->rows,
                 o->rows == 1 ? "" : "s");
}

bool tb_mysql_outcome_differs(const struct tb_mysql_outcome *captured,
                              const struct tb_mysql_outcome *seen, bool rows)
{
    return captured->error != seen->error || captured->infile != seen->infile ||
           (!captured->error &&
            (captured->shape != seen->shape || captured->params != seen->params ||
             (rows && captured->rows != seen->rows)));
}
