/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Playing MySQL sessions against a server that the tests are (modules/mysql/play.c, dialogue.c).
 * The server's bytes come whole and byte by byte.
 */
#include "mysql_build.h"
#include "module_host.h"

static const struct tb_module *const mysql = &tb_module_entry;

/* A session in play, with commands of its own. */
struct play {
    struct tb_session s;
    struct tb_mysql_plan plan;
    struct tb_mysql_login login;
    struct stream server;
    bool by_bytes;
};

static const uint32_t caps = 0x003fffdfu & ~(uint32_t) TB_MYSQL_SSL;

static void configure(const char *options)
{
    char err[300] = "";
    if (host_configure(mysql, options, err, sizeof err) != 0)
        fail_msg("%s", err);
}

static int setup(void **state)
{
    struct play *p = calloc(1, sizeof *p);
    if (!p)
        return -1;
    configure("{\"users\": {\"app\": \"secret\"}}");
    p->plan.capabilities = tb_mysql_capabilities_kept(caps, caps);
    p->s.note = (uint64_t) (uintptr_t) &p->plan;
    assert_true(mysql->worker_size <= sizeof p->s.worker);
    p->login.user = strdup("app");
    p->login.password = "secret";
    assert_true(mysql->session_size <= sizeof p->s.state);
    assert_true(mysql->busy_size <= sizeof p->s.busy);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct play *p = *state;
    mysql->session_end(&p->s, TB_VERDICT_COMPLETED);
    mysql->busy_end(&p->s, p->s.busy);
    mysql->unload((void *const[]){p->s.worker}, 1);
    free(p->login.user);
    forget(&p->server);
    free(p);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* What response() says to the bytes built; MORE until it says something else, which must be at
 * their end. */
static enum tb_response_status hear(struct play *p)
{
    enum tb_response_status status = TB_RESPONSE_MORE;
    size_t at = 0, used;
    while (at < p->server.out.len) {
        size_t n = p->by_bytes ? 1 : p->server.out.len - at;
        status = host_respond(mysql, &p->s, p->server.out.data + at, n, 0, &used);
        at += used;
        if (status != TB_RESPONSE_MORE)
            assert_int_equal(at, p->server.out.len);
    }
    forget(&p->server);
    return status;
}

/* request() for a command whose captured bytes are `sent`, which then awaits its answer. */
static enum tb_request_action say(struct play *p, const struct tb_mysql_command *c,
                                  const struct stream *sent)
{
    p->s.sent_len = 0;
    enum tb_request_action action =
        host_request(mysql, &p->s, (uint64_t) (uintptr_t) c, sent ? sent->out.data : NULL,
                     sent ? sent->out.len : 0);
    bool goes_out = action == TB_REQUEST_SEND || action == TB_REQUEST_REPLACED;
    if (goes_out && tb_mysql_form_of(c->code) != TB_FORM_NONE)
        host_await(&p->s, (uint64_t) (uintptr_t) c);
    return action;
}

static void greeted(struct play *p, const char *version, uint32_t server_caps, const char *plugin)
{
    p->s.greeting = true;
    greeting(&p->server, version, server_caps, 0, plugin);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
}

static struct tb_mysql_command login_of(struct play *p)
{
    return (struct tb_mysql_command){.code = TB_COM_LOGIN,
                                     .slot = TB_MYSQL_NO_SLOT,
                                     .flags = TB_COMMAND_KNOWN,
                                     .expected = {.results = 1},
                                     .login = &p->login};
}

/* The payload of the last packet sent, NUL-terminated for text; its number is checked. */
static const uint8_t *last_sent(const struct play *p, uint8_t seq, size_t *len)
{
    size_t at = 0, n = 0;
    for (; at < p->s.sent_len; at += 4 + n)
        n = p->s.sent[at] | (size_t) p->s.sent[at + 1] << 8;
    assert_int_equal(at, p->s.sent_len);
    at -= 4 + n;
    assert_int_equal(p->s.sent[at + 3], seq);
    *len = n;
    return p->s.sent + at + 4;
}

static void logs_in(struct play *p, const char *version)
{
    struct tb_mysql_command c = login_of(p);
    greeted(p, version, caps, "mysql_native_password");
    assert_int_equal(say(p, &c, NULL), TB_REQUEST_REPLACED);
    p->server.seq = 2;
    ok(&p->server, 0, 2);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
}

/* --- log-ins ---------------------------------------------------------------------------------- */

static void login_is_the_targets(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    struct tb_mysql_login sent;
    size_t len;
    greeted(p, "9.7.4", caps & ~(uint32_t) TB_MYSQL_CONNECT_ATTRS, "mysql_native_password");
    assert_int_equal(say(p, &c, NULL), TB_REQUEST_REPLACED);
    const uint8_t *payload = last_sent(p, 1, &len);
    assert_int_equal(tb_mysql_login_parse(payload, len, &sent), 0);
    assert_string_equal(sent.user, "app");
    assert_true(sent.has_secret);
    assert_int_equal(sent.capabilities & TB_MYSQL_CONNECT_ATTRS, 0);
    tb_mysql_login_free(&sent);
    uint8_t expected[20];
    tb_mysql_auth_respond(TB_PLUGIN_NATIVE, "secret", (const uint8_t *) nonce_text, 20, expected);
    assert_non_null(memmem(payload, len, expected, 20));
}

static void users_are_mapped(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    struct tb_mysql_login sent;
    size_t len;
    configure("{\"users\": {\"other\": \"secret\"}, \"user_map\": {\"app\": \"other\"}}");
    assert_string_equal(tb_mysql_password("app", true), "secret");
    greeted(p, "9.7.4", caps, "mysql_native_password");
    say(p, &c, NULL);
    const uint8_t *payload = last_sent(p, 1, &len);
    assert_int_equal(tb_mysql_login_parse(payload, len, &sent), 0);
    assert_string_equal(sent.user, "other");
    tb_mysql_login_free(&sent);
}

static void plugins_are_switched_any_number_of_times(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    static const char other[] = "ABCDEFGHIJKLMNOPQRSTuvwxyz123456";
    size_t len;
    uint8_t expected[64];
    for (unsigned pass = 0; pass < 2; pass++) {
        p->by_bytes = pass;
        greeted(p, "9.7.4", caps, "mysql_native_password");
        say(p, &c, NULL);
        p->server.seq = 2;
        auth_switch(&p->server, "caching_sha2_password", other, 20);
        assert_int_equal(hear(p), TB_RESPONSE_MORE);
        tb_mysql_auth_respond(TB_PLUGIN_CACHING_SHA2, "secret", (const uint8_t *) other, 20,
                              expected);
        assert_memory_equal(last_sent(p, 3, &len), expected, 32);
        p->server.seq = 4;
        auth_switch(&p->server, "client_ed25519", other, 32);
        assert_int_equal(hear(p), TB_RESPONSE_MORE);
        tb_mysql_auth_respond(TB_PLUGIN_ED25519, "secret", (const uint8_t *) other, 32, expected);
        assert_memory_equal(last_sent(p, 5, &len), expected, 64);
        assert_int_equal(len, 64);
        p->server.seq = 6;
        ok(&p->server, 0, 2);
        assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
    }
    assert_int_equal(p->s.counts[host_counter("logins")], 2);
}

static void caching_sha2_asks_for_the_key_when_it_must(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    size_t len;
    greeted(p, "9.7.4", caps, "caching_sha2_password");
    say(p, &c, NULL);
    p->server.seq = 2;
    BYTES(&p->server, 1, 4); /* full */
    assert_int_equal(hear(p), TB_RESPONSE_MORE);
    assert_int_equal(*last_sent(p, 3, &len), 2);
    assert_int_equal(len, 1);
    p->server.seq = 4;
    packet(&p->server, "\1no key", 7);
    assert_int_equal(hear(p), TB_RESPONSE_FATAL);
    assert_non_null(strstr(p->s.reason, "public key"));
}

static void caching_sha2_may_be_fast(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    greeted(p, "9.7.4", caps, "caching_sha2_password");
    say(p, &c, NULL);
    p->server.seq = 2;
    BYTES(&p->server, 1, 3);
    ok(&p->server, 0, 2);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
}

static void refused_login_ends_the_session(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    greeted(p, "9.7.4", caps, "mysql_native_password");
    say(p, &c, NULL);
    p->server.seq = 2;
    error(&p->server, 1045);
    assert_int_equal(hear(p), TB_RESPONSE_FATAL);
    assert_non_null(strstr(p->s.reason, "'app'"));
    assert_non_null(strstr(p->s.reason, "ERR 1045"));
    assert_null(strstr(p->s.reason, "secret"));
}

static void login_refused_as_captured_is_fine(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    c.expected = (struct tb_mysql_outcome){.error = 1045};
    greeted(p, "9.7.4", caps, "mysql_native_password");
    say(p, &c, NULL);
    p->server.seq = 2;
    error(&p->server, 1045);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
}

static void plugin_that_is_not_supported_is_named(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    greeted(p, "9.7.4", caps, "mysql_native_password");
    say(p, &c, NULL);
    p->server.seq = 2;
    auth_switch(&p->server, "authentication_kerberos_client", nonce_text, 20);
    assert_int_equal(hear(p), TB_RESPONSE_FATAL);
    assert_non_null(strstr(p->s.reason, "authentication_kerberos_client"));
}

static void session_without_password_is_not_started(void **state)
{
    struct play *p = *state;
    assert_int_equal(mysql->session_start(&p->s), 0);
    p->plan.no_password = "app";
    assert_int_not_equal(mysql->session_start(&p->s), 0);
    assert_non_null(strstr(p->s.reason, "no password for user 'app'"));
}

/* Live traffic: the session had started when its log-in came. */
static void login_without_password_ends_the_session(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = login_of(p);
    p->login.password = NULL;
    greeted(p, "9.7.4", caps, "mysql_native_password");
    assert_int_equal(say(p, &c, NULL), TB_REQUEST_FAIL);
    assert_non_null(strstr(p->s.reason, "no password for user 'app'"));
    assert_int_equal(p->s.sent_len, 0);
}

static void bulk_needs_a_mariadb(void **state)
{
    struct play *p = *state;
    p->plan.needs_bulk = true;
    p->s.greeting = true;
    greeting(&p->server, "9.7.4", caps, 0, "mysql_native_password");
    assert_int_equal(hear(p), TB_RESPONSE_FATAL);
    assert_non_null(strstr(p->s.reason, "COM_STMT_BULK_EXECUTE"));
}

/* MySQL 5.6 looks for the attributes of COM_CHANGE_USER in the wrong place. */
static void old_mysql_gets_no_attributes_when_users_change(void **state)
{
    struct play *p = *state;
    const struct tb_mysql_session *session = (const void *) p->s.state;
    p->plan.changes_user = true;
    logs_in(p, "5.6.24");
    assert_int_equal(session->capabilities & TB_MYSQL_CONNECT_ATTRS, 0);
    logs_in(p, "9.7.4");
    assert_true(session->capabilities & TB_MYSQL_CONNECT_ATTRS);
}

/* --- live sessions ---------------------------------------------------------------------------- */

static void live_login_may_be_known_after_the_greeting(void **state)
{
    struct play *p = *state;
    const struct tb_mysql_session *session = (const void *) p->s.state;
    struct tb_mysql_command c = login_of(p);
    uint32_t kept = p->plan.capabilities;
    p->plan.is_live = true;
    p->plan.capabilities = 0;
    greeted(p, "9.7.4", caps, "mysql_native_password");
    p->plan.capabilities = kept;
    assert_int_equal(say(p, &c, NULL), TB_REQUEST_REPLACED);
    assert_int_equal(session->capabilities & kept, kept & caps);
}

static void login_waits_for_the_greeting_and_commands_for_the_login(void **state)
{
    struct play *p = *state;
    const struct tb_mysql_command query = {.code = TB_COM_QUERY, .slot = TB_MYSQL_NO_SLOT};
    struct tb_mysql_command c = login_of(p);
    assert_int_equal(say(p, &c, NULL), TB_REQUEST_WAIT);
    greeted(p, "9.7.4", caps, "mysql_native_password");
    assert_int_equal(say(p, &c, NULL), TB_REQUEST_REPLACED);
    assert_int_equal(say(p, &query, NULL), TB_REQUEST_WAIT);
    p->server.seq = 2;
    ok(&p->server, 0, 2);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
    assert_int_equal(say(p, &query, NULL), TB_REQUEST_SEND);
}

/* --- statements ------------------------------------------------------------------------------- */

static const struct tb_mysql_command prepare0 = {.code = TB_COM_STMT_PREPARE, .slot = 0};
static const struct tb_mysql_command execute0 = {.code = TB_COM_STMT_EXECUTE, .slot = 0};
static const struct tb_mysql_command close0 = {.code = TB_COM_STMT_CLOSE, .slot = 0};

static void prepare_as(struct play *p, const struct tb_mysql_command *c, uint32_t id)
{
    assert_int_equal(say(p, c, NULL), TB_REQUEST_SEND);
    p->server.seq = 1;
    prepared(&p->server, id, 0, 0);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
}

static void statement_ids_are_the_targets(void **state)
{
    struct play *p = *state;
    struct stream sent = {0};
    logs_in(p, "9.7.4");
    prepare_as(p, &prepare0, 37);
    about(&sent, TB_COM_STMT_EXECUTE, 12);
    assert_int_equal(say(p, &execute0, &sent), TB_REQUEST_REPLACED);
    assert_int_equal(p->s.sent_len, sent.out.len);
    assert_memory_equal(p->s.sent, "\12\0\0\0\27\45\0\0\0\0\1\0\0\0", 14); /* 37 */
    forget(&sent);
}

static void equal_ids_are_sent_as_captured(void **state)
{
    struct play *p = *state;
    struct stream sent = {0};
    logs_in(p, "9.7.4");
    prepare_as(p, &prepare0, 12);
    about(&sent, TB_COM_STMT_EXECUTE, 12);
    assert_int_equal(say(p, &execute0, &sent), TB_REQUEST_SEND);
    forget(&sent);
}

static void many_statements_have_their_ids(void **state)
{
    struct play *p = *state;
    struct stream sent = {0};
    logs_in(p, "9.7.4");
    for (uint16_t i = 0; i < 100; i++) {
        struct tb_mysql_command c = {.code = TB_COM_STMT_PREPARE, .slot = i};
        prepare_as(p, &c, 1000u + i);
    }
    for (uint16_t i = 0; i < 100; i++) {
        struct tb_mysql_command c = {.code = TB_COM_STMT_CLOSE, .slot = i};
        about(&sent, TB_COM_STMT_CLOSE, 1);
        assert_int_equal(say(p, &c, &sent), TB_REQUEST_REPLACED);
        assert_int_equal(p->s.sent[5] | p->s.sent[6] << 8, 1000 + i);
        forget(&sent);
    }
}

static void the_last_statement_waits_for_its_id(void **state)
{
    struct play *p = *state;
    struct stream sent = {0};
    struct tb_mysql_command last = execute0;
    last.flags = TB_COMMAND_LAST;
    logs_in(p, "9.7.4");
    assert_int_equal(say(p, &prepare0, NULL), TB_REQUEST_SEND);
    about(&sent, TB_COM_STMT_EXECUTE, TB_MYSQL_LAST_STATEMENT);
    assert_int_equal(say(p, &last, &sent), TB_REQUEST_WAIT);
    p->server.seq = 1;
    prepared(&p->server, 5, 0, 0);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
    assert_int_equal(say(p, &last, &sent), TB_REQUEST_REPLACED);
    assert_int_equal(p->s.sent[5], 5);
    forget(&sent);
}

static void mariadb_knows_the_last_statement(void **state)
{
    struct play *p = *state;
    struct stream sent = {0};
    struct tb_mysql_command last = execute0;
    last.flags = TB_COMMAND_LAST;
    logs_in(p, "5.5.5-10.11.19-MariaDB");
    assert_int_equal(say(p, &prepare0, NULL), TB_REQUEST_SEND);
    about(&sent, TB_COM_STMT_EXECUTE, TB_MYSQL_LAST_STATEMENT);
    assert_int_equal(say(p, &last, &sent), TB_REQUEST_SEND);
    forget(&sent);
}

static void what_the_target_did_not_prepare_is_skipped(void **state)
{
    struct play *p = *state;
    struct stream sent = {0};
    struct tb_mysql_command c = prepare0;
    c.flags = TB_COMMAND_KNOWN;
    c.expected.results = 1;
    logs_in(p, "9.7.4");
    say(p, &c, NULL);
    p->server.seq = 1;
    error(&p->server, 1146);
    assert_int_equal(hear(p), TB_RESPONSE_MISMATCH);
    about(&sent, TB_COM_STMT_EXECUTE, 1);
    assert_int_equal(say(p, &execute0, &sent), TB_REQUEST_SKIP);
    assert_int_equal(say(p, &close0, &sent), TB_REQUEST_SKIP);
    assert_int_equal(p->s.counts[host_counter("skipped_not_prepared")], 2);
    forget(&sent);
}

static void what_cannot_be_prepared_is_sent_as_text(void **state)
{
    struct play *p = *state;
    struct stream sent = {0}, query = {0};
    struct tb_mysql_command c = prepare0, run = execute0;
    command(&query, TB_COM_QUERY, "BEGIN");
    c.query = query.out.data;
    c.query_len = query.out.len;
    run.prepare = &c;
    logs_in(p, "9.7.4");
    say(p, &c, NULL);
    p->server.seq = 1;
    error(&p->server, 1295);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
    about(&sent, TB_COM_STMT_EXECUTE, 1);
    assert_int_equal(say(p, &run, &sent), TB_REQUEST_REPLACED);
    assert_memory_equal(p->s.sent, "\6\0\0\0\3BEGIN", 10);
    p->server.seq = 1;
    ok(&p->server, 0, 2);
    assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
    assert_int_equal(say(p, &close0, &sent), TB_REQUEST_SKIP);
    forget(&sent);
    forget(&query);
}

static void reset_connection_forgets_the_ids(void **state)
{
    struct play *p = *state;
    struct stream sent = {0};
    struct tb_mysql_command reset = {.code = TB_COM_RESET_CONNECTION, .slot = TB_MYSQL_NO_SLOT};
    logs_in(p, "9.7.4");
    prepare_as(p, &prepare0, 37);
    assert_int_equal(say(p, &reset, NULL), TB_REQUEST_SEND);
    about(&sent, TB_COM_STMT_EXECUTE, 12);
    assert_int_equal(say(p, &execute0, &sent), TB_REQUEST_WAIT);
    forget(&sent);
}

/* --- local files ------------------------------------------------------------------------------ */

static const struct tb_mysql_command load = {.code = TB_COM_QUERY,
                                             .slot = TB_MYSQL_NO_SLOT,
                                             .flags = TB_COMMAND_KNOWN,
                                             .expected = {.infile = true}};
static const struct tb_mysql_command load_data = {
    .code = TB_COM_INFILE_DATA, .slot = TB_MYSQL_NO_SLOT, .seq = 2};

static void data_follow_when_the_target_asks_for_them(void **state)
{
    struct play *p = *state;
    struct stream data = {.seq = 2};
    logs_in(p, "9.7.4");
    packet(&data, "line\n", 5);
    packet(&data, "", 0);
    for (uint8_t seq = 1; seq < 8; seq += 6) { /* as captured; behind other results */
        assert_int_equal(say(p, &load, NULL), TB_REQUEST_SEND);
        p->server.seq = seq;
        BYTES(&p->server, TB_MYSQL_INFILE, 'f');
        assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
        if (seq == 1) {
            assert_int_equal(say(p, &load_data, &data), TB_REQUEST_SEND);
        } else {
            assert_int_equal(say(p, &load_data, &data), TB_REQUEST_REPLACED);
            assert_memory_equal(p->s.sent, "\5\0\0\10line\n\0\0\0\11", 13);
        }
        p->server.seq = 4;
        ok(&p->server, 1, 2);
        assert_int_equal(hear(p), TB_RESPONSE_COMPLETE);
    }
    forget(&data);
}

static void data_are_dropped_when_the_target_refuses(void **state)
{
    struct play *p = *state;
    struct stream data = {.seq = 2};
    logs_in(p, "9.7.4");
    packet(&data, "", 0);
    say(p, &load, NULL);
    p->server.seq = 1;
    error(&p->server, 3948);
    assert_int_equal(hear(p), TB_RESPONSE_MISMATCH);
    assert_int_equal(say(p, &load_data, &data), TB_REQUEST_SKIP);
    forget(&data);
}

static void file_that_was_not_captured_is_empty(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = load;
    size_t len;
    c.expected = (struct tb_mysql_outcome){.error = 3948};
    logs_in(p, "9.7.4");
    say(p, &c, NULL);
    p->server.seq = 1;
    BYTES(&p->server, TB_MYSQL_INFILE, 'f');
    assert_int_equal(hear(p), TB_RESPONSE_MORE);
    last_sent(p, 2, &len);
    assert_int_equal(len, 0);
    p->server.seq = 3;
    ok(&p->server, 0, 2);
    assert_int_equal(hear(p), TB_RESPONSE_MISMATCH);
    assert_string_equal(p->s.seen, "asks for a local file");
}

/* --- checks ----------------------------------------------------------------------------------- */

static enum tb_response_status query(struct play *p, const struct tb_mysql_outcome *expected,
                                     unsigned columns, unsigned n)
{
    struct tb_mysql_command c = {.code = TB_COM_QUERY,
                                 .slot = TB_MYSQL_NO_SLOT,
                                 .flags = TB_COMMAND_KNOWN,
                                 .expected = *expected,
                                 .statement = tb_mysql_statement("SELECT ?")};
    say(p, &c, NULL);
    p->server.seq = 1;
    result_set(&p->server, columns, n, 2);
    return hear(p);
}

static struct tb_mysql_outcome outcome_of(unsigned columns, unsigned n)
{
    struct stream s = {0};
    struct tb_mysql_answer a;
    size_t used;
    result_set(&s, columns, n, 2);
    tb_mysql_answer_begin(&a, TB_FORM_RESULTS, false);
    tb_mysql_answer_feed(&a, s.out.data, s.out.len, &used);
    forget(&s);
    return a.outcome;
}

static void other_columns_are_a_mismatch(void **state)
{
    struct play *p = *state;
    struct tb_mysql_outcome two = outcome_of(2, 5);
    logs_in(p, "9.7.4");
    assert_int_equal(query(p, &two, 2, 4), TB_RESPONSE_COMPLETE); /* rows do not count */
    assert_int_equal(query(p, &two, 3, 5), TB_RESPONSE_MISMATCH);
    assert_string_equal(p->s.captured, "ok, 2 columns: SELECT ?");
    assert_string_equal(p->s.seen, "ok, 3 columns");
}

static void other_rows_are_a_mismatch_when_asked_for(void **state)
{
    struct play *p = *state;
    struct tb_mysql_outcome two = outcome_of(2, 5);
    configure("{\"users\": {\"app\": \"secret\"}, \"check\": \"rows\"}");
    logs_in(p, "9.7.4");
    assert_int_equal(query(p, &two, 2, 5), TB_RESPONSE_COMPLETE);
    assert_int_equal(query(p, &two, 2, 4), TB_RESPONSE_MISMATCH);
    assert_string_equal(p->s.seen, "ok, 2 columns, 4 rows");
}

static void error_in_place_of_rows_is_a_mismatch(void **state)
{
    struct play *p = *state;
    struct tb_mysql_outcome failed = {.error = 1146};
    logs_in(p, "9.7.4");
    assert_int_equal(query(p, &failed, 2, 5), TB_RESPONSE_MISMATCH);
    configure("{\"check\": \"none\"}");
    assert_int_equal(query(p, &failed, 2, 5), TB_RESPONSE_COMPLETE);
}

static void answer_that_is_no_mysql_ends_the_session(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = {.code = TB_COM_PING, .slot = TB_MYSQL_NO_SLOT};
    logs_in(p, "9.7.4");
    say(p, &c, NULL);
    BYTES(&p->server, 7);
    assert_int_equal(hear(p), TB_RESPONSE_FATAL);
}

static void writes_are_skipped_when_only_reading(void **state)
{
    struct play *p = *state;
    struct tb_mysql_command c = {
        .code = TB_COM_QUERY, .slot = TB_MYSQL_NO_SLOT, .flags = TB_COMMAND_WRITES};
    logs_in(p, "9.7.4");
    assert_int_equal(say(p, &c, NULL), TB_REQUEST_SKIP);
    assert_int_equal(p->s.counts[host_counter("skipped_writes")], 1);
}

/* --- the report ------------------------------------------------------------------------------- */

static void report_lists_differences_and_latencies(void **state)
{
    struct play *p = *state;
    struct tb_mysql_outcome two = outcome_of(2, 5);
    logs_in(p, "9.7.4");
    for (unsigned i = 0; i < 3; i++)
        query(p, &two, 3, 5);
    query(p, &two, 4, 5);
    json_t *report = mysql->report((void *const[]){p->s.worker}, 1);
    assert_int_equal(json_integer_value(json_object_get(report, "differences")), 4);
    const json_t *list = json_object_get(report, "most_frequent_differences");
    assert_int_equal(json_array_size(list), 2);
    const json_t *first = json_array_get(list, 0);
    assert_int_equal(json_integer_value(json_object_get(first, "count")), 3);
    assert_string_equal(json_string_value(json_object_get(first, "statement")), "SELECT ?");
    assert_string_equal(json_string_value(json_object_get(first, "captured")), "ok, 2 columns");
    assert_string_equal(json_string_value(json_object_get(first, "seen")), "ok, 3 columns");
    const json_t *latency = json_object_get(report, "command_latency_us");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(latency, "query"), "count")), 4);
    assert_non_null(json_object_get(latency, "login"));
    assert_int_equal(json_array_size(json_object_get(report, "slowest_statements")), 2);
    json_decref(report);
}

/* --- options ---------------------------------------------------------------------------------- */

static void wrong_options_are_refused_by_name(void **state)
{
    static const char *const wrong[][2] = {{"{\"users\": 5}", "users"},
                                           {"{\"users\": {\"a\": 5}}", "users"},
                                           {"{\"check\": \"all\"}", "check"},
                                           {"{\"read_only\": 1}", "read_only"},
                                           {"{\"default_password\": null}", "default_password"},
                                           {"{\"passwords\": {}}", "passwords"}};
    char err[300];
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_not_equal(host_configure(mysql, wrong[i][0], err, sizeof err), 0);
        assert_non_null(strstr(err, wrong[i][1]));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(login_is_the_targets),
        TEST(users_are_mapped),
        TEST(plugins_are_switched_any_number_of_times),
        TEST(caching_sha2_asks_for_the_key_when_it_must),
        TEST(caching_sha2_may_be_fast),
        TEST(refused_login_ends_the_session),
        TEST(login_refused_as_captured_is_fine),
        TEST(plugin_that_is_not_supported_is_named),
        TEST(session_without_password_is_not_started),
        TEST(login_without_password_ends_the_session),
        TEST(bulk_needs_a_mariadb),
        TEST(old_mysql_gets_no_attributes_when_users_change),
        TEST(live_login_may_be_known_after_the_greeting),
        TEST(login_waits_for_the_greeting_and_commands_for_the_login),
        TEST(statement_ids_are_the_targets),
        TEST(equal_ids_are_sent_as_captured),
        TEST(many_statements_have_their_ids),
        TEST(the_last_statement_waits_for_its_id),
        TEST(mariadb_knows_the_last_statement),
        TEST(what_the_target_did_not_prepare_is_skipped),
        TEST(what_cannot_be_prepared_is_sent_as_text),
        TEST(reset_connection_forgets_the_ids),
        TEST(data_follow_when_the_target_asks_for_them),
        TEST(data_are_dropped_when_the_target_refuses),
        TEST(file_that_was_not_captured_is_empty),
        TEST(other_columns_are_a_mismatch),
        TEST(other_rows_are_a_mismatch_when_asked_for),
        TEST(error_in_place_of_rows_is_a_mismatch),
        TEST(answer_that_is_no_mysql_ends_the_session),
        TEST(writes_are_skipped_when_only_reading),
        TEST(report_lists_differences_and_latencies),
        TEST(wrong_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
