/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Learning a captured MySQL session: cuts the client's stream into commands, pairs them with their
 * answers in order, and notes of each what play.c needs. A log-in, however many packets it took, is
 * one request, because it takes another number on another server; so is a COM_CHANGE_USER, and the
 * data of a LOCAL INFILE. Called by the host with both streams in the order of capture.
 *
 * Where the capture lacks server bytes so that answers can no longer be framed, the next command
 * tells that those before it had been answered.
 */
#include "command.h"
#include "compress.h"

#include <stdio.h>
#include <string.h>

enum { ER_ACCESS_DENIED = 1045 };

struct learner {
    struct tb_mysql_plan *plan;
    struct tb_mysql_greeting server;
    struct tb_mysql_prepared_set prepared;
    struct tb_mysql_reading how;
    struct tb_mysql_inflater inflater[2];           /* by direction */
    uint64_t at[2];                                 /* stream offsets read up to */
    uint64_t cut_at;                                /* end of the last request cut */
    struct tb_mysql_packets client, server_packets; /* the latter: greeting and log-in */
    struct tb_mysql_out payload, server_payload;
    struct tb_mysql_answer answer;
    struct tb_mysql_command **pending; /* oldest at `first`; refs */
    size_t first, count, room;
    struct tb_mysql_command *dialogue; /* a log-in in progress: what comes belongs to it */
    struct tb_mysql_command *infile;   /* the data of a local file is coming */
    uint32_t agreed;                   /* capabilities of the captured session */
    bool greeted, logged_in;
    bool reading;  /* `answer` has begun */
    bool in_frame; /* compressed: a command of this frame was taken; the server sees no other */
    bool lost;     /* the end of the current answer is not known */
    bool over;     /* given up, or nothing more to learn */
};

static const struct tb_host *host(void)
{
    return tb_mysql_config.host;
}

static void reject(struct learner *s, struct tb_learn *l, const char *reason)
{
    if (!s->over)
        host()->learn_reject(l, reason);
    s->over = true;
}

/* Client stream or server stream: `len` more bytes have been read. Compressed ones are counted by
 * frames, see read_compressed(). */
static void advance(struct learner *s, enum tb_direction dir, size_t len)
{
    if (!s->how.compressed)
        s->at[dir] += len;
}

/* --- commands outstanding --------------------------------------------------------------------- */

static bool push(struct learner *s, struct tb_mysql_command *c)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 8;
        struct tb_mysql_command **more = tb_mysql_new(room * sizeof(struct tb_mysql_command *));
        if (!more)
            return false;
        for (size_t i = 0; i < s->count; i++)
            more[i] = s->pending[(s->first + i) % s->room];
        tb_mysql_free(s->pending);
        s->pending = more;
        s->first = 0;
        s->room = room;
    }
    s->pending[(s->first + s->count++) % s->room] = tb_mysql_command_ref(c);
    return true;
}

static struct tb_mysql_command *oldest(struct learner *s)
{
    return s->count ? s->pending[s->first] : NULL;
}

static void pop(struct learner *s)
{
    tb_mysql_command_unref(s->pending[s->first]);
    s->first = (s->first + 1) % s->room;
    s->count--;
    s->reading = false;
}

static struct tb_mysql_command *add_command(struct learner *s, struct tb_learn *l, unsigned code)
{
    struct tb_mysql_command *c = tb_mysql_plan_add(s->plan, code);

    if (!c)
        reject(s, l, "memory");
    return c;
}

static void cut(struct learner *s, struct tb_learn *l, const struct tb_mysql_command *c)
{
    bool answered = tb_mysql_form_of(c->code) != TB_FORM_NONE;

    host()->learn_cut(l, s->at[TB_CLIENT_BYTES], answered ? 0 : TB_CUT_NO_RESPONSE,
                      (uint64_t) (uintptr_t) c);
    s->cut_at = s->at[TB_CLIENT_BYTES];
}

/* --- client stream ---------------------------------------------------------------------------- */

static bool read_login(struct learner *s, struct tb_learn *l, struct tb_mysql_command *c)
{
    int rc = -1;

    c->login = tb_mysql_new(sizeof *c->login);
    if (!c->login)
        rc = -1;
    else if (c->code == TB_COM_LOGIN)
        rc = tb_mysql_login_parse(s->payload.data, s->payload.len, c->login);
    else
        rc = tb_mysql_change_user_parse(s->payload.data, s->payload.len, s->agreed, c->login);
    if (rc == 0)
        return true;
    reject(s, l, rc == -2 ? "tls" : "not_mysql");
    return false;
}

static void begin_dialogue(struct learner *s, struct tb_mysql_command *c)
{
    s->dialogue = c;
    s->server_packets = (struct tb_mysql_packets){0};
}

static void take_login(struct learner *s, struct tb_learn *l)
{
    struct tb_mysql_command *c = add_command(s, l, TB_COM_LOGIN);

    if (!c || !read_login(s, l, c))
        return;
    s->agreed = c->login->capabilities & s->server.capabilities;
    s->plan->capabilities =
        tb_mysql_capabilities_kept(c->login->capabilities, s->server.capabilities);
    s->plan->extended = c->login->extended & s->server.extended;
    s->how.attributes = s->agreed & TB_MYSQL_QUERY_ATTRIBUTES;
    s->logged_in = true;
    c->statement = tb_mysql_statement("(log-in)");
    if (!push(s, c))
        reject(s, l, "memory");
    begin_dialogue(s, c);
}

/* The answers lost in a hole had come when their client went on. */
static void resynchronise(struct learner *s, struct tb_learn *l)
{
    while (s->count) {
        host()->learn_response(l, s->at[TB_SERVER_BYTES]);
        pop(s);
    }
    tb_mysql_inflate_restart(&s->inflater[TB_SERVER_BYTES]);
    s->lost = false;
}

static bool is_replication(unsigned code)
{
    return code == TB_COM_BINLOG_DUMP || code == TB_COM_BINLOG_DUMP_GTID ||
           code == TB_COM_TABLE_DUMP || code == TB_COM_REGISTER_SLAVE;
}

static void name_command(struct tb_mysql_command *c)
{
    char name[40];

    if (c->statement || c->code == TB_COM_QUERY || c->code == TB_COM_STMT_PREPARE)
        return;
    snprintf(name, sizeof name, "(%s)", tb_mysql_command_name(c->code));
    c->statement = tb_mysql_statement(name);
}

static void take_command(struct learner *s, struct tb_learn *l)
{
    unsigned code = s->payload.len > 0 ? s->payload.data[0] : 0;

    if (s->in_frame)
        return;
    s->in_frame = s->how.compressed;
    if (s->lost)
        resynchronise(s, l);
    if (is_replication(code)) {
        reject(s, l, "replication");
        return;
    }
    struct tb_mysql_command *c = add_command(s, l, code);
    if (!c)
        return;
    if (tb_mysql_command_read(c, s->payload.data, s->payload.len, &s->how, &s->prepared) < 0) {
        reject(s, l, "memory");
        return;
    }
    s->plan->needs_bulk |= code == TB_COM_STMT_BULK_EXECUTE;
    name_command(c);
    if (code == TB_COM_CHANGE_USER) {
        if (!read_login(s, l, c))
            return;
        s->plan->changes_user = true;
        begin_dialogue(s, c); /* cut when it is over */
    } else {
        cut(s, l, c);
    }
    if (tb_mysql_form_of(code) != TB_FORM_NONE && !push(s, c))
        reject(s, l, "memory");
}

/* A payload of the client is complete. */
static void take_payload(struct learner *s, struct tb_learn *l)
{
    if (!s->logged_in)
        take_login(s, l);
    else if (!s->dialogue)
        take_command(s, l);
    else if (s->payload.len > 1 || (s->payload.len == 1 && s->payload.data[0] != 0))
        s->dialogue->login->has_secret = true;
    tb_mysql_out_empty(&s->payload);
}

/* Data of a local file goes on to an empty packet. */
static void take_infile(struct learner *s, struct tb_learn *l, const struct tb_mysql_piece *piece)
{
    struct tb_mysql_command *c = s->infile;

    if (s->how.compressed) {
        tb_mysql_out_bytes(&s->payload, piece->bytes, piece->len);
        if (!piece->ends_packet)
            return;
        struct tb_mysql_out out = {c->own, c->own_len, c->own_len, false};
        tb_mysql_out_number(&out, piece->packet_size, 3);
        tb_mysql_out_number(&out, piece->seq, 1);
        tb_mysql_out_bytes(&out, s->payload.data, s->payload.len);
        c->own = out.data;
        c->own_len = out.len;
        s->payload.len = 0;
    }
    if (piece->ends_packet && piece->packet_size == 0) {
        cut(s, l, c);
        s->infile = NULL;
    }
}

static size_t read_client(struct learner *s, struct tb_learn *l, const uint8_t *bytes, size_t len)
{
    struct tb_mysql_piece piece;
    bool found;

    if (!s->greeted) { /* a MySQL client waits for that */
        reject(s, l, "not_mysql");
        return len;
    }
    size_t used = tb_mysql_packets_feed(&s->client, bytes, len, &piece, &found);
    advance(s, TB_CLIENT_BYTES, used);
    if (!found)
        return used;
    if (s->infile) {
        take_infile(s, l, &piece);
        return used;
    }
    tb_mysql_out_bytes(&s->payload, piece.bytes, piece.len);
    if (s->payload.failed)
        reject(s, l, "memory");
    else if (piece.last)
        take_payload(s, l);
    return used;
}

/* --- server stream ---------------------------------------------------------------------------- */

/* The password for a log-in. One that was refused for its password is to be refused again, so that
 * what follows is as captured. */
static void choose_password(struct learner *s, struct tb_mysql_command *c)
{
    struct tb_mysql_login *login = c->login;

    if (c->expected.error == ER_ACCESS_DENIED) {
        login->password = "as wrong as the captured one";
        return;
    }
    login->password = tb_mysql_password(login->user, login->has_secret);
    if (!login->password && !s->plan->no_password)
        s->plan->no_password = login->user;
}

/* A log-in or COM_CHANGE_USER is over: OK or ERR. */
static void end_dialogue(struct learner *s, struct tb_learn *l, struct tb_mysql_command *c)
{
    struct tb_mysql_answer a;
    struct tb_mysql_out packet = {0};
    size_t used;

    tb_mysql_out_packets(&packet, 0, s->server_payload.data, s->server_payload.len);
    tb_mysql_answer_begin(&a, TB_FORM_OK, false);
    if (!packet.failed && tb_mysql_answer_feed(&a, packet.data, packet.len, &used) == TB_MYSQL_DONE)
        c->flags |= TB_COMMAND_KNOWN;
    tb_mysql_out_fini(&packet);
    c->expected = a.outcome;
    choose_password(s, c);
    cut(s, l, c);
    host()->learn_response(l, s->at[TB_SERVER_BYTES]);
    pop(s);
    s->dialogue = NULL;
    if (c->code == TB_COM_LOGIN && !c->expected.error &&
        (s->agreed & (TB_MYSQL_COMPRESS | TB_MYSQL_ZSTD)))
        s->how.compressed = true;
}

static void take_greeting(struct learner *s, struct tb_learn *l)
{
    const struct tb_mysql_out *p = &s->server_payload;

    if (p->len >= 3 && p->data[0] == TB_MYSQL_ERR) {
        s->plan->greeting.error = (uint16_t) (p->data[1] | p->data[2] << 8);
        host()->learn_response(l, s->at[TB_SERVER_BYTES]);
        s->over = true;
        return;
    }
    if (tb_mysql_greeting_parse(p->data, p->len, &s->server) < 0) {
        reject(s, l, "not_mysql");
        return;
    }
    host()->learn_response(l, s->at[TB_SERVER_BYTES]);
    s->greeted = true;
}

/* Greeting and log-in: whole payloads. */
static size_t read_dialogue(struct learner *s, struct tb_learn *l, const uint8_t *bytes, size_t len)
{
    struct tb_mysql_piece piece;
    bool found;
    size_t used = tb_mysql_packets_feed(&s->server_packets, bytes, len, &piece, &found);

    advance(s, TB_SERVER_BYTES, used);
    if (!found)
        return used;
    tb_mysql_out_bytes(&s->server_payload, piece.bytes, piece.len);
    if (!piece.last)
        return used;
    uint8_t first = s->server_payload.len > 0 ? s->server_payload.data[0] : TB_MYSQL_EOF;
    if (!s->greeted)
        take_greeting(s, l);
    else if (first == TB_MYSQL_OK || first == TB_MYSQL_ERR)
        end_dialogue(s, l, s->dialogue);
    s->server_payload.len = 0;
    return used;
}

/* The answer to `c` asks for a local file; what comes from the client is that. */
static void expect_file(struct learner *s, struct tb_mysql_command *data,
                        const struct tb_mysql_command *c)
{
    data->seq = (uint8_t) (s->answer.seq + 1);
    data->flags = c->flags & TB_COMMAND_WRITES;
    data->statement = c->statement;
    s->infile = data;
}

static void answered(struct learner *s, struct tb_learn *l, struct tb_mysql_command *c)
{
    struct tb_mysql_command *data = NULL;

    c->expected = s->answer.outcome;
    c->flags |= TB_COMMAND_KNOWN;
    if (c->expected.params > 0 && !s->plan->is_live) { /* text has nowhere to put them */
        tb_mysql_free(c->query);
        c->query = NULL;
    }
    if (c->code == TB_COM_STMT_PREPARE)
        tb_mysql_command_prepared(&s->prepared, c->slot,
                                  c->expected.error ? 0 : s->answer.statement, c->expected.params);
    host()->learn_response(l, s->at[TB_SERVER_BYTES]);
    if (c->expected.infile && (data = add_command(s, l, TB_COM_INFILE_DATA)) != NULL)
        expect_file(s, data, c);
    pop(s);
    if (data && !push(s, data))
        reject(s, l, "memory");
}

static size_t read_answer(struct learner *s, struct tb_learn *l, const uint8_t *bytes, size_t len)
{
    struct tb_mysql_command *c = oldest(s);
    size_t used;

    if (!c) { /* unasked: a connection that is being killed, for example */
        advance(s, TB_SERVER_BYTES, len);
        return len;
    }
    if (!s->reading)
        tb_mysql_answer_begin(&s->answer, tb_mysql_form_of(c->code),
                              s->agreed & TB_MYSQL_DEPRECATE_EOF);
    s->reading = true;
    enum tb_mysql_event event = tb_mysql_answer_feed(&s->answer, bytes, len, &used);
    advance(s, TB_SERVER_BYTES, used);
    if (event == TB_MYSQL_DONE)
        answered(s, l, c);
    else if (event == TB_MYSQL_BAD)
        s->lost = true;
    return used;
}

static size_t read_server(struct learner *s, struct tb_learn *l, const uint8_t *bytes, size_t len)
{
    if (!s->greeted || (s->dialogue && oldest(s) == s->dialogue))
        return read_dialogue(s, l, bytes, len);
    return read_answer(s, l, bytes, len);
}

/* --- both ------------------------------------------------------------------------------------- */

static size_t read_plain(struct learner *s, struct tb_learn *l, enum tb_direction dir,
                         const uint8_t *bytes, size_t len)
{
    return dir == TB_CLIENT_BYTES ? read_client(s, l, bytes, len) : read_server(s, l, bytes, len);
}

/* Both streams' offsets are those of the end of the frame that is read. */
static size_t read_compressed(struct learner *s, struct tb_learn *l, enum tb_direction dir,
                              const uint8_t *bytes, size_t len)
{
    struct tb_mysql_inflater *inf = &s->inflater[dir];
    bool whole, bad;
    size_t used = tb_mysql_inflate(inf, bytes, len, &whole, &bad);

    s->at[dir] += used;
    if (bad)
        reject(s, l, "compressed");
    if (!whole || bad)
        return used;
    if (dir == TB_CLIENT_BYTES)
        s->in_frame = false;
    for (size_t at = 0; at < inf->plain.len && !s->over && !(dir && s->lost);)
        at += read_plain(s, l, dir, inf->plain.data + at, inf->plain.len - at);
    tb_mysql_out_empty(&inf->plain);
    if (dir == TB_CLIENT_BYTES && s->in_frame && !s->infile) { /* the server drops the rest */
        s->client = (struct tb_mysql_packets){0};
        s->payload.len = 0;
    }
    return used;
}

static void server_gap(struct learner *s, struct tb_learn *l, uint64_t len)
{
    if (!s->greeted || s->dialogue)
        reject(s, l, "hole_in_log_in");
    else if (s->how.compressed || !s->reading || !tb_mysql_answer_skip(&s->answer, len))
        s->lost = s->how.compressed || s->count > 0;
}

void *tb_mysql_learn_begin(struct tb_learn *l)
{
    struct learner *s = tb_mysql_new(sizeof *s);

    if (s)
        s->plan = tb_mysql_plan_new(host()->learn_live(l));
    if (s && s->plan) {
        host()->learn_session_note(l, (uint64_t) (uintptr_t) s->plan);
        return s;
    }
    tb_mysql_free(s);
    host()->learn_reject(l, "memory");
    return NULL;
}

void tb_mysql_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                         const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    struct learner *s = state;

    if (!s || s->over)
        return;
    if (dir == TB_CLIENT_BYTES && !bytes) {
        reject(s, l, "hole");
        return;
    }
    if (!bytes) {
        if (!s->lost)
            server_gap(s, l, len);
    } else {
        s->at[dir] = offset;
        for (size_t at = 0; at < len && !s->over && !(dir && s->lost);) {
            size_t (*read)(struct learner *, struct tb_learn *, enum tb_direction, const uint8_t *,
                           size_t) = s->how.compressed ? read_compressed : read_plain;
            at += read(s, l, dir, bytes + at, (size_t) len - at);
        }
    }
    if (dir == TB_SERVER_BYTES)
        s->at[dir] = offset + len;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* What the client sent and that was not cut: a log-in cut short, or part of a command. */
static void cut_rest(struct learner *s, struct tb_learn *l, uint64_t end)
{
    struct tb_mysql_command *c = s->dialogue ? s->dialogue : s->infile;

    bool sendable = c != NULL || !s->how.compressed;
    if (end <= s->cut_at || !sendable)
        return;
    if (s->dialogue)
        choose_password(s, c);
    else if (!c)
        c = add_command(s, l, 0);
    if (!c)
        return;
    s->at[TB_CLIENT_BYTES] = end;
    cut(s, l, c);
}

void tb_mysql_learn_end(struct tb_learn *l, void *state, bool used)
{
    struct learner *s = state;

    if (!s)
        return;
    if (used && !s->over) {
        if (s->lost && !s->dialogue)
            resynchronise(s, l);
        cut_rest(s, l, s->at[TB_CLIENT_BYTES]);
    }
    while (s->count > 0)
        pop(s);
    tb_mysql_plan_end(s->plan, used);
    tb_mysql_prepared_clear(&s->prepared);
    tb_mysql_inflate_fini(&s->inflater[0]);
    tb_mysql_inflate_fini(&s->inflater[1]);
    tb_mysql_out_fini(&s->payload);
    tb_mysql_out_fini(&s->server_payload);
    tb_mysql_free(s->pending);
    tb_mysql_free(s);
}
