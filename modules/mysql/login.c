/* SPDX-License-Identifier: BSD-2-Clause */
/* See login.h. */
#include "login.h"

#include <string.h>

enum {
    SSL_REQUEST = 32, /* bytes of a log-in that stops before the user name */
    UTF8MB4_GENERAL_CI = 45,
    MYSQL8_COLLATION_FIRST = 255, /* utf8mb4_0900_ai_ci and what came with it */
    MYSQL8_COLLATION_LAST = 323,
    MARIADB_COLLATION_FIRST = 576 /* NOPAD and UCA-14.0.0 */
};

/* These we never agree to: the session would not be plain MySQL any more. */
static const uint32_t never = TB_MYSQL_COMPRESS | TB_MYSQL_SSL | TB_MYSQL_ZSTD |
                              TB_MYSQL_QUERY_ATTRIBUTES | TB_MYSQL_MULTI_FACTOR;
/* And these always, because the log-in is ours. */
static const uint32_t always = TB_MYSQL_PROTOCOL_41 | TB_MYSQL_SECURE_CONNECTION;

int tb_mysql_greeting_parse(const uint8_t *payload, size_t len, struct tb_mysql_greeting *out)
{
    struct tb_mysql_in in = tb_mysql_in(payload, len);
    struct tb_mysql_greeting g = {0};
    size_t version_len, plugin_len;

    if (tb_mysql_in_number(&in, 1) != 10)
        return -1;
    const char *version = tb_mysql_in_text(&in, &version_len);
    tb_mysql_in_number(&in, 4); /* connection id */
    const uint8_t *nonce1 = tb_mysql_in_bytes(&in, 8);
    tb_mysql_in_number(&in, 1);
    g.capabilities = (uint32_t) tb_mysql_in_number(&in, 2);
    if (in.failed)
        return -1;
    tb_mysql_in_number(&in, 3); /* collation, status */
    g.capabilities |= (uint32_t) tb_mysql_in_number(&in, 2) << 16;
    tb_mysql_in_number(&in, 1); /* length of the nonce: known */
    tb_mysql_in_number(&in, 6);
    uint32_t extended = (uint32_t) tb_mysql_in_number(&in, 4);
    const uint8_t *nonce2 = tb_mysql_in_bytes(&in, TB_MYSQL_NONCE - 8);
    if (in.failed || !(g.capabilities & TB_MYSQL_PROTOCOL_41))
        return -1;
    memcpy(g.nonce, nonce1, 8);
    memcpy(g.nonce + 8, nonce2, TB_MYSQL_NONCE - 8);
    tb_mysql_in_number(&in, 1);
    const char *plugin = tb_mysql_in_text(&in, &plugin_len);
    g.is_mariadb = !(g.capabilities & TB_MYSQL_LONG_PASSWORD) ||
                   (version_len >= 7 && memmem(version, version_len, "MariaDB", 7) != NULL);
    if (!(g.capabilities & TB_MYSQL_LONG_PASSWORD))
        g.extended = extended;
    bool two_digits =
        version_len > 1 && version[0] >= '1' && version[1] >= '0' && version[1] <= '9';
    g.is_mysql8 = !g.is_mariadb && version_len > 0 && (two_digits || version[0] >= '8');
    g.plugin = g.capabilities & TB_MYSQL_PLUGIN_AUTH
                   ? (uint8_t) tb_mysql_plugin_named(plugin, plugin_len)
                   : TB_PLUGIN_NATIVE;
    if (g.plugin == TB_PLUGIN_UNKNOWN) /* of the server, not of our user: it will say so */
        g.plugin = TB_PLUGIN_NATIVE;
    *out = g;
    return 0;
}

static char *copy_text(const char *text, size_t len)
{
    char *copy = tb_mysql_memory(NULL, len + 1);

    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

/* User names are compared and printed: bytes behind the end of a broken one do not matter. */
static int take_user(struct tb_mysql_in *in, struct tb_mysql_login *out)
{
    size_t len;
    const char *user = tb_mysql_in_text(in, &len);

    out->user = copy_text(user, len);
    return out->user ? 0 : -1;
}

static int take_schema(struct tb_mysql_in *in, struct tb_mysql_login *out)
{
    size_t len;
    const char *schema = tb_mysql_in_text(in, &len);

    if (len == 0)
        return 0;
    out->schema = copy_text(schema, len);
    return out->schema ? 0 : -1;
}

static int take_attributes(struct tb_mysql_in *in, struct tb_mysql_login *out)
{
    size_t len;
    const uint8_t *list = tb_mysql_in_string(in, &len);

    if (!list || len == 0)
        return 0;
    out->attributes = tb_mysql_memory(NULL, len);
    if (!out->attributes)
        return -1;
    memcpy(out->attributes, list, len);
    out->attributes_len = len;
    return 0;
}

int tb_mysql_login_parse(const uint8_t *payload, size_t len, struct tb_mysql_login *out)
{
    struct tb_mysql_in in = tb_mysql_in(payload, len);
    size_t auth_len, plugin_len;

    *out = (struct tb_mysql_login){0};
    uint32_t caps = out->capabilities = (uint32_t) tb_mysql_in_number(&in, 4);
    if (in.failed || !(caps & TB_MYSQL_PROTOCOL_41))
        return -1;
    if (len == SSL_REQUEST && (caps & TB_MYSQL_SSL))
        return -2;
    out->packet_max = (uint32_t) tb_mysql_in_number(&in, 4);
    out->collation = (uint32_t) tb_mysql_in_number(&in, 1);
    tb_mysql_in_bytes(&in, 19);
    uint32_t extended = (uint32_t) tb_mysql_in_number(&in, 4);
    out->extended = caps & TB_MYSQL_LONG_PASSWORD ? 0 : extended;
    if (in.failed || take_user(&in, out) < 0)
        return -1;
    if (caps & TB_MYSQL_PLUGIN_AUTH_LENENC)
        tb_mysql_in_string(&in, &auth_len);
    else if (caps & TB_MYSQL_SECURE_CONNECTION)
        tb_mysql_in_bytes(&in, auth_len = tb_mysql_in_number(&in, 1));
    else
        tb_mysql_in_text(&in, &auth_len);
    if (in.failed)
        return -1;
    out->has_secret = auth_len > 0;
    if ((caps & TB_MYSQL_CONNECT_WITH_DB) && take_schema(&in, out) < 0)
        return -1;
    if (caps & TB_MYSQL_PLUGIN_AUTH)
        tb_mysql_in_text(&in, &plugin_len);
    return caps & TB_MYSQL_CONNECT_ATTRS ? take_attributes(&in, out) : 0;
}

int tb_mysql_change_user_parse(const uint8_t *payload, size_t len, uint32_t capabilities,
                               struct tb_mysql_login *out)
{
    struct tb_mysql_in in = tb_mysql_in(payload, len);
    size_t plugin_len;

    *out = (struct tb_mysql_login){.capabilities = capabilities};
    tb_mysql_in_number(&in, 1); /* the command */
    if (in.failed || take_user(&in, out) < 0)
        return -1;
    uint64_t auth_len = tb_mysql_in_number(&in, 1);
    tb_mysql_in_bytes(&in, auth_len);
    if (in.failed || take_schema(&in, out) < 0)
        return -1;
    out->has_secret = auth_len > 0;
    if (tb_mysql_in_left(&in) >= 2)
        out->collation = (uint32_t) tb_mysql_in_number(&in, 2);
    if (capabilities & TB_MYSQL_PLUGIN_AUTH)
        tb_mysql_in_text(&in, &plugin_len);
    return capabilities & TB_MYSQL_CONNECT_ATTRS ? take_attributes(&in, out) : 0;
}

void tb_mysql_login_free(struct tb_mysql_login *login)
{
    if (!login)
        return;
    tb_mysql_free(login->user);
    tb_mysql_free(login->schema);
    tb_mysql_free(login->attributes);
}

uint32_t tb_mysql_capabilities_kept(uint32_t client, uint32_t server)
{
    return (client & server & ~never) | always | TB_MYSQL_PLUGIN_AUTH;
}

uint32_t tb_mysql_capabilities_agreed(uint32_t kept, uint32_t *extended,
                                      const struct tb_mysql_greeting *target)
{
    uint32_t agreed = (kept & target->capabilities) | always;

    *extended &= target->extended;
    /* With this bit clear a MariaDB server reads the extended ones. */
    if (*extended)
        return agreed & ~(uint32_t) TB_MYSQL_LONG_PASSWORD;
    return agreed | TB_MYSQL_LONG_PASSWORD;
}

uint32_t tb_mysql_collation_for(uint32_t collation, bool is_mysql8, bool is_mariadb)
{
    bool of_mysql8 = collation >= MYSQL8_COLLATION_FIRST && collation <= MYSQL8_COLLATION_LAST;

    if ((of_mysql8 && !is_mysql8) || (collation >= MARIADB_COLLATION_FIRST && !is_mariadb))
        return UTF8MB4_GENERAL_CI;
    return collation;
}

static void put_attributes(struct tb_mysql_out *out, const struct tb_mysql_login *login)
{
    tb_mysql_out_lenenc(out, login->attributes_len);
    tb_mysql_out_bytes(out, login->attributes, login->attributes_len);
}

void tb_mysql_login_build(struct tb_mysql_out *out, const struct tb_mysql_login *login,
                          const struct tb_mysql_greeting *target, uint32_t capabilities,
                          uint32_t extended, const uint8_t *auth, size_t auth_len)
{
    uint32_t collation =
        tb_mysql_collation_for(login->collation, target->is_mysql8, target->is_mariadb);
    const char *plugin = tb_mysql_plugin_name((enum tb_mysql_plugin) target->plugin);

    if (login->schema)
        capabilities |= TB_MYSQL_CONNECT_WITH_DB;
    else
        capabilities &= ~(uint32_t) TB_MYSQL_CONNECT_WITH_DB;
    tb_mysql_out_number(out, capabilities, 4);
    tb_mysql_out_number(out, login->packet_max, 4);
    tb_mysql_out_number(out, collation, 1);
    tb_mysql_out_zeros(out, 19);
    tb_mysql_out_number(out, extended, 4);
    tb_mysql_out_text(out, login->user, strlen(login->user));
    tb_mysql_out_number(out, auth_len, 1); /* below 251 both forms of the length are one byte */
    tb_mysql_out_bytes(out, auth, auth_len);
    if (login->schema)
        tb_mysql_out_text(out, login->schema, strlen(login->schema));
    if (capabilities & TB_MYSQL_PLUGIN_AUTH)
        tb_mysql_out_text(out, plugin, strlen(plugin));
    if (capabilities & TB_MYSQL_CONNECT_ATTRS)
        put_attributes(out, login);
}

void tb_mysql_change_user_build(struct tb_mysql_out *out, const struct tb_mysql_login *login,
                                enum tb_mysql_plugin plugin, uint32_t capabilities,
                                uint32_t collation, const uint8_t *auth, size_t auth_len)
{
    const char *schema = login->schema ? login->schema : "";
    const char *name = tb_mysql_plugin_name(plugin);

    tb_mysql_out_number(out, TB_COM_CHANGE_USER, 1);
    tb_mysql_out_text(out, login->user, strlen(login->user));
    tb_mysql_out_number(out, auth_len, 1);
    tb_mysql_out_bytes(out, auth, auth_len);
    tb_mysql_out_text(out, schema, strlen(schema));
    tb_mysql_out_number(out, collation, 2);
    if (capabilities & TB_MYSQL_PLUGIN_AUTH)
        tb_mysql_out_text(out, name, strlen(name));
    if (capabilities & TB_MYSQL_CONNECT_ATTRS)
        put_attributes(out, login);
}
