/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Learning captured MySQL sessions (modules/mysql/learn.c, command.c, compress.c). Every session is
 * learned from whole packets, byte by byte and in random pieces.
 */
#include "mysql_build.h"
#include "module_host.h"

#include <zlib.h>
#include <zstd.h>

static const struct tb_module *const mysql = &tb_module_entry;

/* A session being told. */
struct told {
    struct tb_learn l;
    void *state;
    unsigned mode; /* of pieces */
    struct stream s;
    uint32_t forgotten; /* live: of the requests */
};

/* Live: the host forgets what has been played; all but the last request that is answered. */
static void forget_played(struct told *t)
{
    while (t->l.live && t->forgotten + 1 < t->l.count &&
           (t->l.request[t->forgotten].answered ||
            (t->l.request[t->forgotten].flags & TB_CUT_NO_RESPONSE)))
        mysql->forget_request(t->l.request[t->forgotten++].note);
}

static void give(struct told *t, enum tb_direction dir)
{
    const struct tb_mysql_out *o = &t->s.out;
    for (size_t at = 0; at < o->len;) {
        size_t n = o->len - at, piece = n;
        if (t->mode == 1) {
            piece = 1;
        } else if (t->mode > 1) {
            t->mode = t->mode * 1103515245u + 12345u;
            piece = 1 + (t->mode >> 16) % 17;
        }
        n = piece < n ? piece : n;
        host_learn(mysql, &t->l, t->state, dir, o->data + at, n);
        at += n;
        forget_played(t);
    }
    forget(&t->s);
}

#define SERVER(t, ...)              \
    do {                            \
        struct stream *s = &(t)->s; \
        __VA_ARGS__;                \
        give(t, TB_SERVER_BYTES);   \
    } while (0)
#define CLIENT(t, ...)              \
    do {                            \
        struct stream *s = &(t)->s; \
        __VA_ARGS__;                \
        give(t, TB_CLIENT_BYTES);   \
    } while (0)

static void logs_in(struct told *t, uint32_t caps)
{
    SERVER(t, greeting(s, "9.7.4", caps, 0, "mysql_native_password"));
    CLIENT(t, login(s, caps & ~(uint32_t) TB_MYSQL_SSL, "app", 20, "shop"));
    SERVER(t, (s->seq = 2, ok(s, 0, 2)));
}

/* The caps of a plain session: results with EOFs, nothing that changes bytes. */
static const uint32_t plain = 0x002fffdfu & ~(uint32_t) (TB_MYSQL_SSL | TB_MYSQL_COMPRESS);

static void learn(void (*tell)(struct told *), void (*check)(struct told *))
{
    for (unsigned mode = 0; mode < 12; mode++) {
        struct told *t = calloc(1, sizeof *t);
        assert_non_null(t);
        t->mode = mode;
        t->state = mysql->learn_begin(&t->l);
        tell(t);
        mysql->learn_end(&t->l, t->state, !t->l.rejected);
        check(t);
        mysql->unload(NULL, 0);
        char err[200];
        assert_int_equal(host_configure(mysql, "{\"default_password\": \"x\"}", err, 200), 0);
        free(t);
    }
}

static int setup(void **state)
{
    char err[200];
    return host_configure(mysql, "{\"default_password\": \"x\"}", err, sizeof err);
}

static int teardown(void **state)
{
    mysql->unload(NULL, 0);
    return 0;
}

static const struct tb_mysql_command *cmd(const struct told *t, unsigned i)
{
    assert_true(i < t->l.count);
    return (const struct tb_mysql_command *) (uintptr_t) t->l.request[i].note;
}

static const struct tb_mysql_plan *plan(const struct told *t)
{
    return (const struct tb_mysql_plan *) (uintptr_t) t->l.session_note;
}

/* --- log-ins ---------------------------------------------------------------------------------- */

static void tell_login(struct told *t)
{
    logs_in(t, plain);
}

static void check_login(struct told *t)
{
    assert_int_equal(t->l.greetings, 1);
    assert_int_equal(t->l.count, 1);
    assert_true(t->l.request[0].answered);
    assert_int_equal(t->l.request[0].end, t->l.client_len);
    assert_int_equal(cmd(t, 0)->code, TB_COM_LOGIN);
    assert_string_equal(cmd(t, 0)->login->user, "app");
    assert_string_equal(cmd(t, 0)->login->password, "x");
}

static void a_login_is_a_request(void **state)
{
    learn(tell_login, check_login);
}

static void tell_long_login(struct told *t)
{
    SERVER(t, greeting(s, "9.7.4", plain, 0, "caching_sha2_password"));
    CLIENT(t, login(s, plain, "app", 32, "shop"));
    SERVER(t, (s->seq = 2, auth_switch(s, "sha256_password", nonce_text, 20)));
    CLIENT(t, (s->seq = 3, BYTES(s, 1)));
    SERVER(t, (s->seq = 4, packet(s, "\1-----BEGIN PUBLIC KEY", 22)));
    CLIENT(t, (s->seq = 5, packet(s, nonce_text, 20)));
    SERVER(t, (s->seq = 6, ok(s, 0, 2)));
}

static void a_login_of_many_packets_is_one_request(void **state)
{
    learn(tell_long_login, check_login);
}

static void tell_empty_password(struct told *t)
{
    SERVER(t, greeting(s, "9.7.4", plain, 0, "caching_sha2_password"));
    CLIENT(t, login(s, plain, "nopw", 0, NULL));
    SERVER(t, (s->seq = 2, auth_switch(s, "mysql_native_password", nonce_text, 20)));
    CLIENT(t, (s->seq = 3, BYTES(s, 0))); /* a NUL is empty as well */
    SERVER(t, (s->seq = 4, ok(s, 0, 2)));
}

static void check_empty_password(struct told *t)
{
    assert_string_equal(cmd(t, 0)->login->password, "");
}

static void a_user_without_password_needs_none(void **state)
{
    learn(tell_empty_password, check_empty_password);
}

static void tell_refused(struct told *t)
{
    SERVER(t, greeting(s, "9.7.4", plain, 0, "mysql_native_password"));
    CLIENT(t, login(s, plain, "app", 20, NULL));
    SERVER(t, (s->seq = 2, error(s, 1045)));
}

static void check_refused(struct told *t)
{
    assert_int_equal(cmd(t, 0)->expected.error, 1045);
    assert_string_not_equal(cmd(t, 0)->login->password, "x");
}

static void a_refused_login_gets_a_wrong_password(void **state)
{
    learn(tell_refused, check_refused);
}

static void tell_tls(struct told *t)
{
    SERVER(t, greeting(s, "9.7.4", UINT32_MAX, 0, "caching_sha2_password"));
    struct tb_mysql_out p = {0};
    tb_mysql_out_number(&p, TB_MYSQL_SSL | TB_MYSQL_PROTOCOL_41, 4);
    tb_mysql_out_zeros(&p, 28);
    CLIENT(t, (s->seq = 1, done(s, &p)));
    CLIENT(t, packet(s, "\26\3\1 a client hello", 17));
}

static void check_tls(struct told *t)
{
    assert_string_equal(t->l.rejected, "tls");
}

static void tls_is_rejected(void **state)
{
    learn(tell_tls, check_tls);
}

static void tell_http(struct told *t)
{
    CLIENT(t, tb_mysql_out_bytes(&s->out, "GET / HTTP/1.1\r\n\r\n0123456789", 28));
}

static void tell_ssh(struct told *t)
{
    SERVER(t, packet(s, "SSH-2.0-OpenSSH_9.2p1 Debian\r\n", 30));
}

static void check_other(struct told *t)
{
    assert_string_equal(t->l.rejected, "not_mysql");
}

static void other_protocols_are_rejected(void **state)
{
    learn(tell_ssh, check_other);
    struct told t = {.mode = 0};
    t.state = mysql->learn_begin(&t.l);
    tell_http(&t);
    mysql->learn_end(&t.l, t.state, false);
    check_other(&t);
}

static void tell_too_many(struct told *t)
{
    SERVER(t, error(s, 1040));
}

static void check_too_many(struct told *t)
{
    assert_null(t->l.rejected);
    assert_int_equal(t->l.greetings, 1);
    assert_int_equal(plan(t)->greeting.error, 1040);
}

static void a_server_may_greet_with_an_error(void **state)
{
    learn(tell_too_many, check_too_many);
}

static void tell_change_user(struct told *t)
{
    logs_in(t, plain);
    CLIENT(t, command(s, TB_COM_STMT_PREPARE, "SELECT 1"));
    SERVER(t, (s->seq = 1, prepared(s, 5, 0, 1)));
    CLIENT(t, command(s, TB_COM_CHANGE_USER, "other")); /* the rest is missing: empty */
    SERVER(t, (s->seq = 1, auth_switch(s, "mysql_native_password", nonce_text, 20)));
    CLIENT(t, (s->seq = 2, packet(s, nonce_text, 20)));
    SERVER(t, (s->seq = 3, ok(s, 0, 2)));
    CLIENT(t, about(s, TB_COM_STMT_EXECUTE, 5));
    SERVER(t, (s->seq = 1, error(s, 1243)));
}

static void check_change_user(struct told *t)
{
    assert_string_equal(t->l.rejected, "not_mysql"); /* no length of the answer */
}

static void a_broken_change_user_is_rejected(void **state)
{
    learn(tell_change_user, check_change_user);
}

/* --- commands --------------------------------------------------------------------------------- */

static void tell_commands(struct told *t)
{
    logs_in(t, plain);
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT name FROM t WHERE id = 5"));
    SERVER(t, (s->seq = 1, result_set(s, 3, 7, 2)));
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT * FROM missing"));
    SERVER(t, (s->seq = 1, error(s, 1146)));
    CLIENT(t, command(s, TB_COM_PING, ""));
    SERVER(t, (s->seq = 1, ok(s, 0, 2)));
    CLIENT(t, command(s, TB_COM_QUIT, ""));
}

static void check_commands(struct told *t)
{
    assert_int_equal(t->l.count, 5);
    assert_int_equal(cmd(t, 1)->expected.columns, 3);
    assert_int_equal(cmd(t, 1)->expected.rows, 7);
    assert_string_equal(tb_mysql_statement_text(cmd(t, 1)->statement),
                        "SELECT name FROM t WHERE id = ?");
    assert_int_equal(cmd(t, 2)->expected.error, 1146);
    assert_string_equal(tb_mysql_statement_text(cmd(t, 3)->statement), "(ping)");
    assert_int_equal(t->l.request[4].flags, TB_CUT_NO_RESPONSE);
    for (unsigned i = 0; i < 4; i++)
        assert_true(t->l.request[i].answered);
    assert_null(cmd(t, 1)->own); /* sent as captured */
}

static void commands_get_their_answers(void **state)
{
    learn(tell_commands, check_commands);
}

static void tell_pipelined(struct told *t)
{
    logs_in(t, plain);
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT 1"); command(s, TB_COM_QUERY, "SELECT 1, 2");
           command(s, TB_COM_STMT_CLOSE, "\1\0\0"); command(s, TB_COM_QUERY, "DO 0"));
    SERVER(t, result_set(s, 1, 1, 2); result_set(s, 2, 1, 2); ok(s, 0, 2));
}

static void check_pipelined(struct told *t)
{
    assert_int_equal(t->l.count, 5);
    assert_int_equal(cmd(t, 1)->expected.columns, 1);
    assert_int_equal(cmd(t, 2)->expected.columns, 2);
    assert_int_equal(cmd(t, 4)->expected.columns, 0);
    assert_true(t->l.request[4].answered);
}

static void pipelined_commands_are_answered_in_order(void **state)
{
    learn(tell_pipelined, check_pipelined);
}

static void tell_prepared(struct told *t)
{
    logs_in(t, plain);
    CLIENT(t, command(s, TB_COM_STMT_PREPARE, "SELECT a FROM t WHERE b = ?"));
    SERVER(t, (s->seq = 1, prepared(s, 12, 1, 1)));
    CLIENT(t, command(s, TB_COM_STMT_PREPARE, "SELECT wrong"));
    SERVER(t, (s->seq = 1, error(s, 1064)));
    CLIENT(t, command(s, TB_COM_STMT_PREPARE, "DO 0"));
    SERVER(t, (s->seq = 1, prepared(s, 14, 0, 0)));
    CLIENT(t, about(s, TB_COM_STMT_EXECUTE, 14));
    SERVER(t, (s->seq = 1, ok(s, 0, 2)));
    CLIENT(t, about(s, TB_COM_STMT_EXECUTE, 12));
    SERVER(t, (s->seq = 1, result_set(s, 1, 1, 2)));
    CLIENT(t, about(s, TB_COM_STMT_CLOSE, 12));
    CLIENT(t, command(s, TB_COM_STMT_PREPARE, "SELECT 3"));
    SERVER(t, (s->seq = 1, prepared(s, 99, 0, 1)));
    CLIENT(t, about(s, TB_COM_STMT_EXECUTE, TB_MYSQL_LAST_STATEMENT));
    SERVER(t, (s->seq = 1, result_set(s, 1, 1, 2)));
}

static void check_prepared(struct told *t)
{
    assert_int_equal(cmd(t, 1)->slot, 0);
    assert_int_equal(cmd(t, 2)->slot, 1); /* and free again, because it failed */
    assert_int_equal(cmd(t, 3)->slot, 1);
    assert_int_equal(cmd(t, 4)->slot, 1);
    assert_int_equal(cmd(t, 5)->slot, 0);
    assert_int_equal(cmd(t, 6)->slot, 0); /* free behind this */
    assert_int_equal(cmd(t, 7)->slot, 0);
    assert_int_equal(cmd(t, 8)->slot, 0);
    assert_true(cmd(t, 8)->flags & TB_COMMAND_LAST);
    assert_int_equal(cmd(t, 5)->statement, cmd(t, 1)->statement);
    assert_null(cmd(t, 1)->query);     /* has a parameter */
    assert_non_null(cmd(t, 3)->query); /* can be sent as text */
}

static void statements_get_slots(void **state)
{
    learn(tell_prepared, check_prepared);
}

static void tell_infile(struct told *t)
{
    logs_in(t, plain);
    CLIENT(t, command(s, TB_COM_QUERY, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
    SERVER(t, (s->seq = 1, BYTES(s, TB_MYSQL_INFILE, 'f')));
    CLIENT(t, (s->seq = 2, packet(s, "line\n", 5)); packet(s, "line\n", 5); packet(s, "", 0));
    SERVER(t, (s->seq = 5, ok(s, 2, 2)));
    CLIENT(t, command(s, TB_COM_QUIT, ""));
}

static void check_infile(struct told *t)
{
    assert_int_equal(t->l.count, 4);
    assert_true(cmd(t, 1)->expected.infile);
    assert_int_equal(cmd(t, 2)->code, TB_COM_INFILE_DATA);
    assert_int_equal(cmd(t, 2)->seq, 2);
    assert_int_equal(cmd(t, 2)->expected.rows, 2);
    assert_int_equal(t->l.request[2].end - t->l.request[1].end, 9 + 9 + 4);
    assert_true(t->l.request[2].answered);
    assert_int_equal(cmd(t, 3)->code, TB_COM_QUIT);
}

static void data_of_a_local_file_are_a_request(void **state)
{
    learn(tell_infile, check_infile);
}

/* --- bytes that are sent in another form ------------------------------------------------------ */

/* COM_QUERY with two attributes: a string and a NULL. */
static void query_with_attributes(struct stream *s, const char *sql)
{
    struct tb_mysql_out p = {0};
    tb_mysql_out_number(&p, TB_COM_QUERY, 1);
    tb_mysql_out_lenenc(&p, 2);        /* attributes */
    tb_mysql_out_lenenc(&p, 1);        /* sets */
    tb_mysql_out_number(&p, 2, 1);     /* the second is NULL */
    tb_mysql_out_number(&p, 1, 1);     /* types follow */
    tb_mysql_out_number(&p, 0xfe, 2);  /* a string … */
    tb_mysql_out_bytes(&p, "\2n1", 3); /* … and its name */
    tb_mysql_out_number(&p, 8, 2);     /* a number */
    tb_mysql_out_bytes(&p, "\2n2", 3);
    tb_mysql_out_bytes(&p, "\5value", 6);
    tb_mysql_out_bytes(&p, sql, strlen(sql));
    s->seq = 0;
    done(s, &p);
}

/* COM_STMT_EXECUTE of one parameter (a string) and one attribute (a number). */
static void execute_with_attribute(struct stream *s, uint32_t id)
{
    struct tb_mysql_out p = {0};
    tb_mysql_out_number(&p, TB_COM_STMT_EXECUTE, 1);
    tb_mysql_out_number(&p, id, 4);
    tb_mysql_out_number(&p, 8, 1); /* parameters are counted */
    tb_mysql_out_number(&p, 1, 4);
    tb_mysql_out_lenenc(&p, 2);
    tb_mysql_out_number(&p, 0, 1); /* no NULLs */
    tb_mysql_out_number(&p, 1, 1);
    tb_mysql_out_number(&p, 0xfd, 2);
    tb_mysql_out_bytes(&p, "\0", 1); /* no name */
    tb_mysql_out_number(&p, 3, 2);
    tb_mysql_out_bytes(&p, "\4attr", 5);
    tb_mysql_out_bytes(&p, "\5param", 6);
    tb_mysql_out_number(&p, 77, 4);
    s->seq = 0;
    done(s, &p);
}

static void tell_attributes(struct told *t)
{
    uint32_t caps = plain | TB_MYSQL_QUERY_ATTRIBUTES;
    logs_in(t, caps);
    CLIENT(t, query_with_attributes(s, "SELECT 1"));
    SERVER(t, (s->seq = 1, result_set(s, 1, 1, 2)));
    CLIENT(t, command(s, TB_COM_STMT_PREPARE, "SELECT ?"));
    SERVER(t, (s->seq = 1, prepared(s, 3, 1, 1)));
    CLIENT(t, execute_with_attribute(s, 3));
    SERVER(t, (s->seq = 1, result_set(s, 1, 1, 2)));
}

static void check_attributes(struct told *t)
{
    assert_int_equal(cmd(t, 1)->own_len, 4 + 1 + 8);
    assert_memory_equal(cmd(t, 1)->own, "\11\0\0\0\3SELECT 1", 13);
    /* id 3, no flags, once; no NULLs, types, a string without name; its value */
    assert_int_equal(cmd(t, 3)->own_len, 4 + 10 + 1 + 1 + 2 + 6);
    assert_memory_equal(cmd(t, 3)->own + 4,
                        "\27\3\0\0\0\0\1\0\0\0"
                        "\0\1\xfd\0\5param",
                        20);
}

static void query_attributes_are_taken_out(void **state)
{
    learn(tell_attributes, check_attributes);
}

/* Packets in a frame of the compressed protocol. */
static void compress_frame(struct stream *s, size_t from, bool zstd)
{
    static uint8_t seq;
    uint8_t packed[4096];
    size_t len = s->out.len - from, packed_len;
    struct tb_mysql_out frame = {0};
    if (zstd) {
        packed_len = ZSTD_compress(packed, sizeof packed, s->out.data + from, len, 3);
    } else {
        uLongf n = sizeof packed;
        assert_int_equal(compress(packed, &n, s->out.data + from, len), Z_OK);
        packed_len = n;
    }
    tb_mysql_out_number(&frame, packed_len, 3);
    tb_mysql_out_number(&frame, seq++, 1);
    tb_mysql_out_number(&frame, len, 3);
    tb_mysql_out_bytes(&frame, packed, packed_len);
    s->out.len = from;
    tb_mysql_out_bytes(&s->out, frame.data, frame.len);
    tb_mysql_out_fini(&frame);
}

static void stored_frame(struct stream *s)
{
    struct tb_mysql_out frame = {0};
    tb_mysql_out_number(&frame, s->out.len, 3);
    tb_mysql_out_number(&frame, 0, 1);
    tb_mysql_out_number(&frame, 0, 3);
    tb_mysql_out_bytes(&frame, s->out.data, s->out.len);
    tb_mysql_out_fini(&s->out);
    s->out = frame;
}

static void tell_compressed(struct told *t, bool zstd)
{
    logs_in(t, plain | (zstd ? TB_MYSQL_ZSTD : TB_MYSQL_COMPRESS));
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT 'some long text to pack'");
           compress_frame(s, 0, zstd));
    SERVER(t, s->seq = 1; result_set(s, 2, 40, 2); compress_frame(s, 0, zstd));
    CLIENT(t, command(s, TB_COM_PING, ""); stored_frame(s));
    SERVER(t, s->seq = 1; ok(s, 0, 2); stored_frame(s));
    CLIENT(t, command(s, TB_COM_QUIT, ""); stored_frame(s));
}

static void tell_zlib(struct told *t)
{
    tell_compressed(t, false);
}

static void tell_zstd(struct told *t)
{
    tell_compressed(t, true);
}

static void check_compressed(struct told *t)
{
    assert_null(t->l.rejected);
    assert_int_equal(t->l.count, 4);
    assert_int_equal(cmd(t, 1)->expected.rows, 40);
    assert_memory_equal(cmd(t, 1)->own, "\40\0\0\0\3SELECT 'some", 12);
    assert_int_equal(cmd(t, 1)->own_len, 36);
    assert_true(t->l.request[2].answered);
    assert_memory_equal(cmd(t, 3)->own, "\1\0\0\0\1", 5);
}

static void compressed_sessions_become_plain(void **state)
{
    learn(tell_zlib, check_compressed);
    learn(tell_zstd, check_compressed);
}

static void tell_two_in_a_frame(struct told *t)
{
    logs_in(t, plain | TB_MYSQL_COMPRESS);
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT 1"); command(s, TB_COM_QUERY, "SELECT 2");
           compress_frame(s, 0, false));
    SERVER(t, s->seq = 1; result_set(s, 1, 1, 2); compress_frame(s, 0, false));
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT 3"); compress_frame(s, 0, false));
    SERVER(t, s->seq = 1; result_set(s, 3, 1, 2); compress_frame(s, 0, false));
}

static void check_two_in_a_frame(struct told *t)
{
    assert_int_equal(t->l.count, 3); /* servers lose the second */
    assert_int_equal(cmd(t, 2)->expected.columns, 3);
    assert_memory_equal(cmd(t, 2)->own + 5, "SELECT 3", 8);
}

static void second_command_of_a_frame_is_dropped(void **state)
{
    learn(tell_two_in_a_frame, check_two_in_a_frame);
}

/* --- captures with holes ---------------------------------------------------------------------- */

static void tell_hole(struct told *t)
{
    logs_in(t, plain);
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT 1"));
    host_learn(mysql, &t->l, t->state, TB_SERVER_BYTES, NULL, 5000);
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT 1, 2"));
    SERVER(t, (s->seq = 1, result_set(s, 2, 1, 2)));
}

static void check_hole(struct told *t)
{
    assert_int_equal(t->l.count, 3);
    assert_true(t->l.request[1].answered);
    assert_false(cmd(t, 1)->flags & TB_COMMAND_KNOWN);
    assert_int_equal(cmd(t, 2)->expected.columns, 2);
    assert_true(cmd(t, 2)->flags & TB_COMMAND_KNOWN);
}

static void answers_lost_in_a_hole_are_not_compared(void **state)
{
    learn(tell_hole, check_hole);
}

static void tell_cut(struct told *t)
{
    logs_in(t, plain);
    CLIENT(t, command(s, TB_COM_QUERY, "SELECT 1"); s->out.len -= 3);
}

static void check_cut(struct told *t)
{
    assert_int_equal(t->l.count, 2);
    assert_false(t->l.request[1].answered);
    assert_int_equal(t->l.request[1].end, t->l.client_len);
}

static void command_cut_short_is_kept(void **state)
{
    learn(tell_cut, check_cut);
}

/* --- live sessions -----------------------------------------------------------------------------
 */

/* What is used when the host has forgotten it is for the sanitizers to find. */
static void tell_live(void (*tell)(struct told *), unsigned mode)
{
    struct told *t = calloc(1, sizeof *t);
    size_t before = host_memory_bytes();
    assert_non_null(t);
    t->mode = mode;
    t->l.live = true;
    t->state = mysql->learn_begin(&t->l);
    tell(t);
    mysql->learn_end(&t->l, t->state, true);
    if (t->l.count > 0 && cmd(t, t->l.count - 1)->prepare)
        assert_int_equal(cmd(t, t->l.count - 1)->prepare->code, TB_COM_STMT_PREPARE);
    while (t->forgotten < t->l.count)
        mysql->forget_request(t->l.request[t->forgotten++].note);
    mysql->forget_session(t->l.session_note);
    assert_int_equal(host_memory_bytes(), before);
    free(t);
}

static void live_sessions_are_forgotten_while_they_go_on(void **state)
{
    static void (*const sessions[])(struct told *) = {
        tell_login,    tell_long_login, tell_tls,         tell_commands, tell_pipelined,
        tell_prepared, tell_infile,     tell_attributes,  tell_hole,     tell_cut,
        tell_zlib,     tell_zstd,       tell_change_user, tell_too_many,
    };
    for (unsigned i = 0; i < sizeof sessions / sizeof *sessions; i++)
        for (unsigned mode = 0; mode < 12; mode++)
            tell_live(sessions[i], mode);
}

/* A statement that compresses well: the script has the few bytes that were captured, the rest is
 * the module's. */
static void tell_unanswered(struct told *t)
{
    static char text[200001];
    size_t before = host_memory_bytes();

    memset(text, 'x', sizeof text - 1);
    logs_in(t, plain | TB_MYSQL_COMPRESS);
    CLIENT(t, command(s, TB_COM_QUERY, text); compress_frame(s, 0, false));
    assert_in_range(host_memory_bytes() - before, sizeof text, 4 * sizeof text);
}

static void what_stands_for_compressed_commands_counts_as_memory(void **state)
{
    tell_live(tell_unanswered, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_is_a_request),
        cmocka_unit_test(a_login_of_many_packets_is_one_request),
        cmocka_unit_test(a_user_without_password_needs_none),
        cmocka_unit_test(a_refused_login_gets_a_wrong_password),
        cmocka_unit_test(tls_is_rejected),
        cmocka_unit_test(other_protocols_are_rejected),
        cmocka_unit_test(a_server_may_greet_with_an_error),
        cmocka_unit_test(a_broken_change_user_is_rejected),
        cmocka_unit_test(commands_get_their_answers),
        cmocka_unit_test(pipelined_commands_are_answered_in_order),
        cmocka_unit_test(statements_get_slots),
        cmocka_unit_test(data_of_a_local_file_are_a_request),
        cmocka_unit_test(query_attributes_are_taken_out),
        cmocka_unit_test(compressed_sessions_become_plain),
        cmocka_unit_test(second_command_of_a_frame_is_dropped),
        cmocka_unit_test(answers_lost_in_a_hole_are_not_compared),
        cmocka_unit_test(command_cut_short_is_kept),
        cmocka_unit_test(live_sessions_are_forgotten_while_they_go_on),
        cmocka_unit_test(what_stands_for_compressed_commands_counts_as_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
