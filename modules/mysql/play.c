/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Playing a captured MySQL session: statement ids are the target's, answers are framed by the
 * protocol and compared with what the capture showed. Called by the host from the worker that owns
 * the session. Log-ins: dialogue.c.
 */
#include "mysql.h"

#include <stdio.h>
#include <string.h>

enum { ER_UNSUPPORTED_PS = 1295 };
enum { STATEMENT_ID_END = TB_MYSQL_HEADER + 5 }; /* header, command, id */

static const struct tb_host *host(void)
{
    return tb_mysql_config.host;
}

static void count(struct tb_session *s, enum tb_mysql_counter counter)
{
    host()->count(s, tb_mysql_config.counter[counter], 1);
}

static const struct tb_mysql_command *command_of(uint64_t note)
{
    return (const struct tb_mysql_command *) (uintptr_t) note;
}

static void no_password(struct tb_session *s, const char *user)
{
    char reason[120];

    count(s, TB_MYSQL_NO_PASSWORD);
    snprintf(reason, sizeof reason,
             "mysql: no password for user '%.40s': add it to \"users\" in --module-config", user);
    host()->fail_reason(s, reason);
}

int tb_mysql_session_start(struct tb_session *s)
{
    const struct tb_mysql_plan *plan = tb_mysql_plan_of(s);

    if (!plan || !plan->no_password)
        return 0;
    no_password(s, plan->no_password);
    return -1;
}

int64_t tb_mysql_session_end(struct tb_session *s, enum tb_verdict verdict)
{
    struct tb_mysql_session *session = host()->session_state(s);

    tb_mysql_free(session->more);
    session->more = NULL;
    session->more_count = 0;
    return -1;
}

void tb_mysql_busy_end(struct tb_session *s, void *busy)
{
    tb_mysql_dialogue_free(((struct tb_mysql_busy *) busy)->dialogue);
}

/* --- prepared statements ---------------------------------------------------------------------- */

/* The target's id for a slot; 0: not known (yet). */
static uint32_t id_of(const struct tb_mysql_session *session, uint16_t slot)
{
    if (slot < TB_MYSQL_SLOTS)
        return session->ids[slot];
    uint32_t i = slot - TB_MYSQL_SLOTS;
    return i < session->more_count ? session->more[i] : 0;
}

/* 0 or -1: memory is out. */
static int set_id(struct tb_mysql_session *session, uint16_t slot, uint32_t id)
{
    if (slot < TB_MYSQL_SLOTS) {
        session->ids[slot] = id;
        return 0;
    }
    uint32_t i = slot - TB_MYSQL_SLOTS;
    if (i >= session->more_count) {
        uint32_t count = 2 * i + 32;
        uint32_t *more = tb_mysql_memory(session->more, count * sizeof *more);
        if (!more)
            return -1;
        memset(more + session->more_count, 0, (count - session->more_count) * sizeof *more);
        session->more = more;
        session->more_count = count;
    }
    session->more[i] = id;
    return 0;
}

static void forget_statements(struct tb_mysql_session *session)
{
    memset(session->ids, 0, sizeof session->ids);
    if (session->more)
        memset(session->more, 0, session->more_count * sizeof *session->more);
}

/* --- requests --------------------------------------------------------------------------------- */

static enum tb_request_action failed(struct tb_session *s)
{
    host()->fail_reason(s, "mysql: out of memory");
    return TB_REQUEST_FAIL;
}

/* As it is: the captured bytes, or those that stand for them. */
static enum tb_request_action send_plain(struct tb_session *s, const struct tb_mysql_command *c)
{
    if (!c->own)
        return TB_REQUEST_SEND;
    return host()->send_kept(s, c->own, c->own_len) < 0 ? failed(s) : TB_REQUEST_REPLACED;
}

/* With another statement id. */
static enum tb_request_action send_with_id(struct tb_session *s, const struct tb_mysql_command *c,
                                           const struct tb_request_info *req, uint32_t id)
{
    const uint8_t *bytes = c->own ? c->own : req->data;
    size_t len = c->own ? c->own_len : req->len;
    uint8_t head[STATEMENT_ID_END];

    if (len < sizeof head)
        return send_plain(s, c);
    memcpy(head, bytes, sizeof head);
    for (unsigned i = 0; i < 4; i++, id >>= 8)
        head[TB_MYSQL_HEADER + 1 + i] = (uint8_t) id;
    if (memcmp(head, bytes, sizeof head) == 0)
        return send_plain(s, c);
    if (host()->send(s, head, sizeof head) < 0)
        return failed(s);
    int rc = c->own ? host()->send_kept(s, bytes + sizeof head, len - sizeof head)
                    : host()->send_captured(s, sizeof head, len - sizeof head);
    return rc < 0 ? failed(s) : TB_REQUEST_REPLACED;
}

static enum tb_request_action about_statement(struct tb_session *s,
                                              const struct tb_mysql_command *c,
                                              const struct tb_request_info *req)
{
    const struct tb_mysql_session *session = host()->session_state(s);
    uint32_t id = id_of(session, c->slot);
    bool as_text = id == TB_MYSQL_AS_TEXT_ID && c->code == TB_COM_STMT_EXECUTE && c->prepare &&
                   c->prepare->query;
    if (as_text)
        return host()->send_kept(s, c->prepare->query, c->prepare->query_len) < 0
                   ? failed(s)
                   : TB_REQUEST_REPLACED;
    if (id >= TB_MYSQL_AS_TEXT_ID) {
        count(s, TB_MYSQL_NOT_PREPARED);
        return TB_REQUEST_SKIP;
    }
    if (id != 0)
        return send_with_id(s, c, req, id);
    if ((c->flags & TB_COMMAND_LAST) && session->is_mariadb)
        return send_plain(s, c); /* knows what "the last one" means */
    return TB_REQUEST_WAIT;
}

static enum tb_request_action prepare(struct tb_session *s, const struct tb_mysql_command *c)
{
    return set_id(host()->session_state(s), c->slot, 0) < 0 ? failed(s) : send_plain(s, c);
}

/* The packets of a local file, with the numbers that the target expects. */
static int send_renumbered(struct tb_session *s, const uint8_t *bytes, size_t len, uint8_t seq)
{
    struct tb_mysql_out out = {0};
    struct tb_mysql_in in = tb_mysql_in(bytes, len);

    while (tb_mysql_in_left(&in) > 0) {
        uint32_t size = (uint32_t) tb_mysql_in_number(&in, 3);
        tb_mysql_in_number(&in, 1);
        const uint8_t *payload = tb_mysql_in_bytes(&in, size);
        if (in.failed)
            break;
        tb_mysql_out_number(&out, size, 3);
        tb_mysql_out_number(&out, seq++, 1);
        tb_mysql_out_bytes(&out, payload, size);
    }
    int rc = out.failed ? -1 : host()->send(s, out.data, out.len);
    tb_mysql_out_fini(&out);
    return rc;
}

static enum tb_request_action infile_data(struct tb_session *s, const struct tb_mysql_command *c,
                                          const struct tb_request_info *req)
{
    struct tb_mysql_session *session = host()->session_state(s);

    if (session->infile_refused) {
        session->infile_refused = false;
        count(s, TB_MYSQL_INFILE_DROPPED);
        return TB_REQUEST_SKIP;
    }
    if (session->infile_seq == c->seq)
        return send_plain(s, c);
    int rc = c->own ? send_renumbered(s, c->own, c->own_len, session->infile_seq)
                    : send_renumbered(s, req->data, req->len, session->infile_seq);
    return rc < 0 ? failed(s) : TB_REQUEST_REPLACED;
}

/* Of a file, sessions lacking a password or a MariaDB have been refused before; of live traffic it
 * is known only now. */
static enum tb_request_action log_in(struct tb_session *s, const struct tb_mysql_command *c)
{
    const struct tb_mysql_session *session = host()->session_state(s);

    if (!session->greeted)
        return TB_REQUEST_WAIT;
    if (c->login->password)
        return tb_mysql_dialogue_request(s, c);
    no_password(s, c->login->user);
    return TB_REQUEST_FAIL;
}

static enum tb_request_action bulk_execute(struct tb_session *s, const struct tb_mysql_command *c,
                                           const struct tb_request_info *req)
{
    const struct tb_mysql_session *session = host()->session_state(s);

    if (c->slot != TB_MYSQL_NO_SLOT && (session->extended & TB_MARIADB_BULK))
        return about_statement(s, c, req);
    host()->fail_reason(s, "mysql: COM_STMT_BULK_EXECUTE needs a MariaDB");
    return TB_REQUEST_FAIL;
}

enum tb_request_action tb_mysql_request(struct tb_session *s, const struct tb_request_info *req)
{
    const struct tb_mysql_command *c = req ? command_of(req->note) : NULL;
    const struct tb_mysql_session *session = host()->session_state(s);

    if (!req)
        return TB_REQUEST_SEND;
    if (session->logs_in) /* sent in the middle of that, it would be taken for a part of it */
        return TB_REQUEST_WAIT;
    if (!c) /* the rest of a capture that broke off */
        return TB_REQUEST_SKIP;
    if (c->flags & TB_COMMAND_WRITES) {
        count(s, TB_MYSQL_SKIPPED);
        return TB_REQUEST_SKIP;
    }
    switch (c->code) {
    case TB_COM_LOGIN:
        return log_in(s, c);
    case TB_COM_CHANGE_USER:
        forget_statements(host()->session_state(s));
        return log_in(s, c);
    case TB_COM_STMT_BULK_EXECUTE:
        return bulk_execute(s, c, req);
    case TB_COM_RESET_CONNECTION:
        forget_statements(host()->session_state(s));
        return send_plain(s, c);
    case TB_COM_STMT_PREPARE:
        return prepare(s, c);
    case TB_COM_INFILE_DATA:
        return infile_data(s, c, req);
    }
    return c->slot == TB_MYSQL_NO_SLOT ? send_plain(s, c) : about_statement(s, c, req);
}

/* --- responses -------------------------------------------------------------------------------- */

static enum tb_response_status judge(struct tb_session *s, const struct tb_mysql_command *c,
                                     const struct tb_mysql_outcome *seen, bool wanted_infile)
{
    bool rows = tb_mysql_config.check == TB_MYSQL_CHECK_ROWS;
    char captured[80], came[80];

    if (!(c->flags & TB_COMMAND_KNOWN) || tb_mysql_config.check == TB_MYSQL_CHECK_NONE ||
        (!wanted_infile && !tb_mysql_outcome_differs(&c->expected, seen, rows)))
        return TB_RESPONSE_COMPLETE;
    tb_mysql_outcome_text(&c->expected, rows, captured, sizeof captured);
    tb_mysql_outcome_text(seen, rows, came, sizeof came);
    if (wanted_infile)
        snprintf(came, sizeof came, "asks for a local file");
    tb_mysql_report_difference(s, c->statement, captured, came);
    return TB_RESPONSE_MISMATCH;
}

/* What stands for the statement from now on. */
static uint32_t id_prepared(const struct tb_mysql_command *c, const struct tb_mysql_answer *a)
{
    if (!a->outcome.error)
        return a->statement;
    bool as_text = a->outcome.error == ER_UNSUPPORTED_PS && c->query && c->expected.params == 0;
    return as_text ? TB_MYSQL_AS_TEXT_ID : TB_MYSQL_NOT_PREPARED_ID;
}

/* The answer to `c` is complete. */
static enum tb_response_status complete(struct tb_session *s, struct tb_mysql_busy *busy,
                                        const struct tb_mysql_command *c)
{
    struct tb_mysql_session *session = host()->session_state(s);
    const struct tb_mysql_outcome seen = busy->answer.outcome;
    bool wanted_infile = busy->wanted_infile;

    if (c->code == TB_COM_STMT_PREPARE)
        set_id(session, c->slot, id_prepared(c, &busy->answer));
    session->infile_refused = c->expected.infile && !seen.infile;
    session->infile_seq = (uint8_t) (busy->answer.seq + 1);
    tb_mysql_report_latency(s, c);
    busy->reading = busy->wanted_infile = false;
    return judge(s, c, &seen, wanted_infile);
}

/* The target asks for a local file that the capture does not have: it gets an empty one. */
static int send_no_file(struct tb_session *s, struct tb_mysql_busy *busy)
{
    const uint8_t empty[TB_MYSQL_HEADER] = {0, 0, 0, (uint8_t) (busy->answer.seq + 1)};
    struct tb_mysql_answer *a = &busy->answer;

    tb_mysql_answer_begin(a, TB_FORM_RESULTS, a->no_eof);
    busy->wanted_infile = true;
    return host()->send(s, empty, sizeof empty);
}

static enum tb_response_status not_mysql(struct tb_session *s)
{
    host()->fail_reason(s, "mysql: the target's answer is not MySQL's protocol");
    return TB_RESPONSE_FATAL;
}

static enum tb_response_status command_answer(struct tb_session *s, struct tb_mysql_busy *busy,
                                              const struct tb_mysql_command *c, const uint8_t *data,
                                              size_t len, size_t *used)
{
    const struct tb_mysql_session *session = host()->session_state(s);

    for (size_t at = 0; at < len;) {
        if (!busy->reading)
            tb_mysql_answer_begin(&busy->answer, tb_mysql_form_of(c->code),
                                  session->capabilities & TB_MYSQL_DEPRECATE_EOF);
        busy->reading = true;
        size_t n;
        enum tb_mysql_event event = tb_mysql_answer_feed(&busy->answer, data + at, len - at, &n);
        *used = at += n;
        if (event == TB_MYSQL_BAD)
            return not_mysql(s);
        if (event == TB_MYSQL_MORE)
            break;
        if (!busy->answer.outcome.infile || c->expected.infile)
            return complete(s, busy, c);
        if (send_no_file(s, busy) < 0)
            return not_mysql(s);
    }
    return TB_RESPONSE_MORE;
}

enum tb_response_status tb_mysql_response(struct tb_session *s, const uint8_t *data, size_t len,
                                          unsigned flags, size_t *used)
{
    struct tb_request_info req;
    struct tb_mysql_busy *busy;

    *used = len;
    if (flags & (TB_RESPONSE_UNASKED | TB_RESPONSE_CLOSED))
        return TB_RESPONSE_MORE;
    if (!host()->awaited(s, &req))
        return tb_mysql_greeting_answer(s, data, len, used);
    const struct tb_mysql_command *c = command_of(req.note);
    if (!c || (busy = host()->busy_state(s)) == NULL)
        return TB_RESPONSE_MORE;
    if (c->code == TB_COM_LOGIN || c->code == TB_COM_CHANGE_USER)
        return tb_mysql_dialogue_answer(s, c, data, len, used);
    return command_answer(s, busy, c, data, len, used);
}
