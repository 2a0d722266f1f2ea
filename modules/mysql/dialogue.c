/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Logging in to the target on its own terms: its greeting, our log-in or COM_CHANGE_USER, and
 * whatever number of packets it then takes. Called by play.c.
 */
#include "mysql.h"

#include <stdio.h>
#include <string.h>

enum {
    PAYLOAD_MAX = 1 << 16, /* a log-in's packets are short */
    MORE_DATA = 0x01,
    NEXT_FACTOR = 0x02,
    SHA2_FAST = 0x03,
    SHA2_FULL = 0x04,
    SHA2_WANT_KEY = 0x02
};

static const struct tb_host *host(void)
{
    return tb_mysql_config.host;
}

static enum tb_response_status give_up(struct tb_session *s, const char *reason)
{
    host()->fail_reason(s, reason);
    return TB_RESPONSE_FATAL;
}

static struct tb_mysql_dialogue *dialogue_of(struct tb_session *s)
{
    struct tb_mysql_busy *busy = host()->busy_state(s);

    if (busy && !busy->dialogue)
        busy->dialogue = tb_mysql_new(sizeof *busy->dialogue);
    return busy ? busy->dialogue : NULL;
}

void tb_mysql_dialogue_free(struct tb_mysql_dialogue *d)
{
    if (d)
        tb_mysql_out_fini(&d->payload);
    tb_mysql_free(d);
}

static void end_dialogue(struct tb_session *s)
{
    struct tb_mysql_busy *busy = host()->busy_state(s);

    tb_mysql_dialogue_free(busy->dialogue);
    busy->dialogue = NULL;
}

/* Collect a payload. 1: it is there; 0: more to come; -1: too long. */
static int collect(struct tb_mysql_dialogue *d, const uint8_t *data, size_t len, size_t *used,
                   uint8_t *seq)
{
    struct tb_mysql_piece piece;
    bool found;

    for (*used = 0;;) {
        *used += tb_mysql_packets_feed(&d->packets, data + *used, len - *used, &piece, &found);
        if (!found)
            return 0;
        if (piece.first)
            d->payload.len = 0;
        tb_mysql_out_bytes(&d->payload, piece.bytes, piece.len);
        if (d->payload.failed || d->payload.len > PAYLOAD_MAX)
            return -1;
        *seq = piece.seq;
        if (piece.last)
            return 1;
    }
}

static int send_packet(struct tb_session *s, uint8_t seq, const void *payload, size_t len)
{
    struct tb_mysql_out out = {0};

    tb_mysql_out_packets(&out, seq, payload, len);
    int rc = out.failed ? -1 : host()->send(s, out.data, out.len);
    tb_mysql_out_fini(&out);
    return rc;
}

/* --- greeting --------------------------------------------------------------------------------- */

static enum tb_response_status refused_at_once(struct tb_session *s, const uint8_t *payload,
                                               size_t len)
{
    unsigned code = len >= 3 ? payload[1] | (unsigned) payload[2] << 8 : 0;
    char reason[80];

    if (tb_mysql_plan_of(s)->greeting.error == code)
        return TB_RESPONSE_COMPLETE;
    snprintf(reason, sizeof reason, "mysql: the target refuses connections: ERR %u", code);
    return give_up(s, reason);
}

static enum tb_response_status take_greeting(struct tb_session *s, const uint8_t *payload,
                                             size_t len)
{
    struct tb_mysql_session *session = host()->session_state(s);
    const struct tb_mysql_plan *plan = tb_mysql_plan_of(s);
    struct tb_mysql_greeting g;

    if (len > 0 && payload[0] == TB_MYSQL_ERR)
        return refused_at_once(s, payload, len);
    if (tb_mysql_greeting_parse(payload, len, &g) < 0)
        return give_up(s, "mysql: what the target greets with is not MySQL's protocol 10");
    if (plan->needs_bulk && !(g.extended & TB_MARIADB_BULK))
        return give_up(s, "mysql: the session uses COM_STMT_BULK_EXECUTE, which only MariaDB has");
    session->greeted = true;
    session->capabilities = g.capabilities;
    session->extended = g.extended;
    session->plugin = g.plugin;
    session->is_mariadb = g.is_mariadb;
    session->is_mysql8 = g.is_mysql8;
    memcpy(session->nonce, g.nonce, sizeof session->nonce);
    if (!plan->greeting.error)
        return TB_RESPONSE_COMPLETE;
    char captured[32];
    snprintf(captured, sizeof captured, "ERR %u", plan->greeting.error);
    tb_mysql_report_difference(s, tb_mysql_statement("(connection)"), captured, "ok");
    return TB_RESPONSE_MISMATCH;
}

enum tb_response_status tb_mysql_greeting_answer(struct tb_session *s, const uint8_t *data,
                                                 size_t len, size_t *used)
{
    struct tb_mysql_dialogue *d = dialogue_of(s);
    uint8_t seq;

    if (!d)
        return give_up(s, "mysql: out of memory");
    int rc = collect(d, data, len, used, &seq);
    if (rc == 0)
        return TB_RESPONSE_MORE;
    enum tb_response_status status = rc < 0 ? give_up(s, "mysql: the target's greeting is too long")
                                            : take_greeting(s, d->payload.data, d->payload.len);
    end_dialogue(s);
    return status;
}

/* --- the log-in ------------------------------------------------------------------------------- */

/* What the session may do from now on. Only now, because of a live session it is the log-in that
 * tells what its client can, and the target's greeting came before. */
static void agree(struct tb_mysql_session *session, const struct tb_mysql_plan *plan)
{
    const struct tb_mysql_greeting target = {.capabilities = session->capabilities,
                                             .extended = session->extended};

    session->extended = plan->extended;
    session->capabilities =
        tb_mysql_capabilities_agreed(plan->capabilities, &session->extended, &target);
    /* MySQL 5.6 looks for the attributes of a COM_CHANGE_USER in the wrong place and refuses it
     * (5.6.24: "using password: NO", whatever the attributes). A live session may come to that. */
    if ((plan->changes_user || plan->is_live) && !session->is_mysql8 && !session->is_mariadb)
        session->capabilities &= ~(uint32_t) TB_MYSQL_CONNECT_ATTRS;
}

enum tb_request_action tb_mysql_dialogue_request(struct tb_session *s,
                                                 const struct tb_mysql_command *c)
{
    struct tb_mysql_session *session = host()->session_state(s);
    struct tb_mysql_greeting g = {.plugin = session->plugin,
                                  .is_mariadb = session->is_mariadb,
                                  .is_mysql8 = session->is_mysql8};
    enum tb_mysql_plugin plugin = (enum tb_mysql_plugin) session->plugin;
    uint8_t auth[TB_MYSQL_RESPONSE_MAX];
    struct tb_mysql_out out = {0};
    int n = tb_mysql_auth_respond(plugin, c->login->password, session->nonce, sizeof session->nonce,
                                  auth);
    size_t auth_len = n < 0 ? 0 : (size_t) n; /* the target will switch to the user's plugin */

    if (c->code == TB_COM_LOGIN)
        agree(session, tb_mysql_plan_of(s));
    struct tb_mysql_login login = *c->login;
    login.user = (char *) (uintptr_t) tb_mysql_mapped(tb_mysql_config.user_map, login.user);
    if (login.schema)
        login.schema =
            (char *) (uintptr_t) tb_mysql_mapped(tb_mysql_config.schema_map, login.schema);
    if (c->code == TB_COM_LOGIN) {
        tb_mysql_login_build(&out, &login, &g, session->capabilities, session->extended, auth,
                             auth_len);
        session->collation = tb_mysql_collation_for(login.collation, g.is_mysql8, g.is_mariadb);
    } else {
        uint32_t collation = tb_mysql_collation_for(login.collation, g.is_mysql8, g.is_mariadb);
        tb_mysql_change_user_build(&out, &login, plugin, session->capabilities,
                                   collation ? collation : session->collation, auth, auth_len);
    }
    int rc = out.failed ? -1 : send_packet(s, c->code == TB_COM_LOGIN, out.data, out.len);
    tb_mysql_out_fini(&out);
    session->logs_in = rc == 0;
    if (rc == 0)
        return TB_REQUEST_REPLACED;
    host()->fail_reason(s, "mysql: out of memory");
    return TB_REQUEST_FAIL;
}

/* FE: the account has another plugin. */
static enum tb_response_status switch_plugin(struct tb_session *s, struct tb_mysql_dialogue *d,
                                             const struct tb_mysql_command *c, uint8_t seq)
{
    struct tb_mysql_in in = tb_mysql_in(d->payload.data, d->payload.len);
    struct tb_mysql_session *session = host()->session_state(s);
    uint8_t auth[TB_MYSQL_RESPONSE_MAX];
    char reason[100];
    size_t name_len;

    tb_mysql_in_number(&in, 1);
    if (tb_mysql_in_left(&in) == 0)
        return give_up(s, "mysql: the target wants a password of before MySQL 4.1");
    const char *name = tb_mysql_in_text(&in, &name_len);
    d->plugin = (uint8_t) tb_mysql_plugin_named(name, name_len);
    size_t nonce_len = tb_mysql_in_left(&in);
    if (nonce_len > sizeof d->nonce)
        nonce_len = sizeof d->nonce;
    memcpy(d->nonce, in.at, nonce_len);
    d->nonce_len = (uint8_t) nonce_len;
    int n = tb_mysql_auth_respond((enum tb_mysql_plugin) d->plugin, c->login->password, d->nonce,
                                  nonce_len, auth);
    if (n < 0) {
        snprintf(
            reason, sizeof reason,
            "mysql: the target asks for the authentication plugin %.*s, which is not supported",
            (int) (name_len < 40 ? name_len : 40), name);
        return give_up(s, reason);
    }
    if (nonce_len >= sizeof session->nonce)
        memcpy(session->nonce, d->nonce, sizeof session->nonce);
    return send_packet(s, (uint8_t) (seq + 1), auth, (size_t) n) < 0
               ? give_up(s, "mysql: out of memory")
               : TB_RESPONSE_MORE;
}

/* 01: the plugin has more to say. */
static enum tb_response_status more_data(struct tb_session *s, struct tb_mysql_dialogue *d,
                                         const struct tb_mysql_command *c, uint8_t seq)
{
    const struct tb_mysql_session *session = host()->session_state(s);
    uint8_t plugin = d->plugin ? d->plugin : session->plugin;
    const uint8_t *nonce = d->plugin ? d->nonce : session->nonce;
    const uint8_t *data = d->payload.data + 1;
    size_t len = d->payload.len - 1;
    struct tb_mysql_out out = {0};
    static const uint8_t want_key = SHA2_WANT_KEY;
    int rc;

    if (plugin == TB_PLUGIN_CACHING_SHA2 && len == 1 && data[0] == SHA2_FAST)
        return TB_RESPONSE_MORE;
    if (plugin == TB_PLUGIN_CACHING_SHA2 && len == 1 && data[0] == SHA2_FULL) {
        rc = send_packet(s, (uint8_t) (seq + 1), &want_key, 1);
    } else if (plugin == TB_PLUGIN_CACHING_SHA2 || plugin == TB_PLUGIN_SHA256) {
        if (tb_mysql_auth_encrypt(c->login->password, nonce, data, len, &out) < 0)
            return give_up(s, "mysql: the target's public key is not one");
        rc = send_packet(s, (uint8_t) (seq + 1), out.data, out.len);
        tb_mysql_out_fini(&out);
    } else {
        return give_up(s, "mysql: the target says more than its authentication plugin should");
    }
    return rc < 0 ? give_up(s, "mysql: out of memory") : TB_RESPONSE_MORE;
}

/* OK or ERR: the log-in is over. */
static enum tb_response_status judge(struct tb_session *s, const struct tb_mysql_command *c,
                                     const struct tb_mysql_outcome *seen)
{
    char captured[64], came[64], reason[200];
    bool known = c->flags & TB_COMMAND_KNOWN;

    if (!seen->error)
        host()->count(s, tb_mysql_config.counter[TB_MYSQL_LOGINS], 1);
    if (!known || !tb_mysql_outcome_differs(&c->expected, seen, false))
        return TB_RESPONSE_COMPLETE;
    tb_mysql_outcome_text(&c->expected, false, captured, sizeof captured);
    tb_mysql_outcome_text(seen, false, came, sizeof came);
    tb_mysql_report_difference(s, c->statement, captured, came);
    if (c->expected.error)
        return TB_RESPONSE_MISMATCH;
    host()->count(s, tb_mysql_config.counter[TB_MYSQL_REFUSED], 1);
    snprintf(reason, sizeof reason, "mysql: the target refuses user '%.60s': %s",
             tb_mysql_mapped(tb_mysql_config.user_map, c->login->user), came);
    return give_up(s, reason);
}

static enum tb_response_status over(struct tb_session *s, struct tb_mysql_dialogue *d,
                                    const struct tb_mysql_command *c)
{
    struct tb_mysql_session *session = host()->session_state(s);
    struct tb_mysql_outcome seen = {.results = 1};
    struct tb_mysql_in in = tb_mysql_in(d->payload.data, d->payload.len);

    session->logs_in = false;

    if (tb_mysql_in_number(&in, 1) == TB_MYSQL_ERR) {
        seen.error = (uint16_t) tb_mysql_in_number(&in, 2);
        tb_mysql_in_number(&in, 1);
        const uint8_t *state = tb_mysql_in_bytes(&in, sizeof seen.state);
        if (state)
            memcpy(seen.state, state, sizeof seen.state);
    }
    seen.shape = c->expected.shape; /* an OK is an OK */
    tb_mysql_report_latency(s, c);
    return judge(s, c, &seen);
}

enum tb_response_status tb_mysql_dialogue_answer(struct tb_session *s,
                                                 const struct tb_mysql_command *c,
                                                 const uint8_t *data, size_t len, size_t *used)
{
    struct tb_mysql_dialogue *d = dialogue_of(s);
    enum tb_response_status status = TB_RESPONSE_MORE;
    uint8_t seq;

    if (!d)
        return give_up(s, "mysql: out of memory");
    for (size_t at = 0; at < len && status == TB_RESPONSE_MORE;) {
        int rc = collect(d, data + at, len - at, used, &seq);
        *used = at += *used;
        if (rc == 0)
            return TB_RESPONSE_MORE;
        if (rc < 0 || d->payload.len == 0)
            return give_up(s, "mysql: the target's log-in is not MySQL's");
        switch (d->payload.data[0]) {
        case TB_MYSQL_OK:
        case TB_MYSQL_ERR:
            status = over(s, d, c);
            end_dialogue(s);
            return status;
        case TB_MYSQL_EOF:
            status = switch_plugin(s, d, c, seq);
            break;
        case MORE_DATA:
            status = more_data(s, d, c, seq);
            break;
        case NEXT_FACTOR:
            return give_up(s, "mysql: the target wants a second factor, which is not supported");
        default:
            return give_up(s, "mysql: the target's log-in is not MySQL's");
        }
    }
    return status;
}
