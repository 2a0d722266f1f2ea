/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mysql module: captured sessions log in to another server, with its passwords and plugins, and
 * their statements are compared with what the capture shows. This file reads the options and holds
 * the module table. Passwords are never logged or reported.
 */
#include "mysql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct tb_mysql_config tb_mysql_config;

/* --- memory ----------------------------------------------------------------------------------- */

void *tb_mysql_memory(void *old, size_t bytes)
{
    const struct tb_host *host = tb_mysql_config.host;

    return host ? host->memory(old, bytes) : realloc(old, bytes); /* parsers alone, in tests */
}

void *tb_mysql_new(size_t bytes)
{
    void *p = tb_mysql_memory(NULL, bytes);

    return p ? memset(p, 0, bytes) : NULL;
}

void tb_mysql_free(void *p)
{
    if (p && tb_mysql_config.host)
        tb_mysql_config.host->memory(p, 0);
    else
        free(p);
}

/* --- names and passwords ---------------------------------------------------------------------- */

const char *tb_mysql_mapped(const json_t *map, const char *name)
{
    const char *mapped = json_string_value(json_object_get(map, name));

    return mapped ? mapped : name;
}

const char *tb_mysql_password(const char *captured, bool has_secret)
{
    const struct tb_mysql_config *c = &tb_mysql_config;
    const json_t *password = json_object_get(c->users, tb_mysql_mapped(c->user_map, captured));

    if (!password)
        password = json_object_get(c->users, captured);
    if (password)
        return json_string_value(password);
    return has_secret ? json_string_value(c->default_password) : "";
}

/* --- options ---------------------------------------------------------------------------------- */

static int refuse(char *err, size_t err_len, const char *key, const char *want)
{
    snprintf(err, err_len, "mysql: \"%s\" must be %s", key, want);
    return -1;
}

static int read_check(struct tb_mysql_config *c, const json_t *value)
{
    static const char *const names[] = {[TB_MYSQL_CHECK_OUTCOME] = "outcome",
                                        [TB_MYSQL_CHECK_ROWS] = "rows",
                                        [TB_MYSQL_CHECK_NONE] = "none"};
    const char *text = json_string_value(value);

    for (unsigned i = 0; text && i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            c->check = (enum tb_mysql_check) i;
            return 0;
        }
    }
    return -1;
}

/* An object of strings, kept. */
static int read_map(json_t **map, const json_t *value)
{
    json_t *object = (json_t *) value;
    void *at;

    if (!json_is_object(object))
        return -1;
    for (at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        if (!json_is_string(json_object_iter_value(at)))
            return -1;
    *map = json_incref(object);
    return 0;
}

static int read_option(struct tb_mysql_config *c, const char *key, const json_t *value, char *err,
                       size_t err_len)
{
    static const char map_wanted[] = "an object of strings, { \"name\": \"…\" }";
    json_t **map = strcmp(key, "users") == 0        ? &c->users
                   : strcmp(key, "user_map") == 0   ? &c->user_map
                   : strcmp(key, "schema_map") == 0 ? &c->schema_map
                                                    : NULL;

    if (map)
        return read_map(map, value) < 0 ? refuse(err, err_len, key, map_wanted) : 0;
    if (strcmp(key, "default_password") == 0) {
        if (!json_is_string(value))
            return refuse(err, err_len, key, "a string");
        c->default_password = json_incref((json_t *) value);
    } else if (strcmp(key, "check") == 0) {
        if (read_check(c, value) < 0)
            return refuse(err, err_len, key, "\"outcome\", \"rows\" or \"none\"");
    } else if (strcmp(key, "read_only") == 0) {
        if (!json_is_boolean(value))
            return refuse(err, err_len, key, "true or false");
        c->read_only = json_is_true(value);
    } else {
        snprintf(err, err_len,
                 "mysql: unknown option \"%s\" (known: users, default_password, user_map, "
                 "schema_map, check, read_only)",
                 key);
        return -1;
    }
    return 0;
}

static void forget(struct tb_mysql_config *c)
{
    json_decref(c->users);
    json_decref(c->user_map);
    json_decref(c->schema_map);
    json_decref(c->default_password);
    *c = (struct tb_mysql_config){0};
}

/* Everybody on this machine can read the passwords. */
static void warn_of_readers(const struct tb_mysql_config *c)
{
    const struct tb_host *h = c->host;
    struct stat st;

    if (!h->options_file || (!c->users && !c->default_password) ||
        stat(h->options_file, &st) != 0 || !(st.st_mode & S_IROTH))
        return;
    h->log(1, "'%s' holds passwords and everybody can read it: chmod 600 '%s'", h->options_file,
           h->options_file);
}

static int configure(const struct tb_host *host, const json_t *options, char *err, size_t err_len)
{
    static const char *const names[TB_MYSQL_COUNTERS] = {
        [TB_MYSQL_LOGINS] = "logins",
        [TB_MYSQL_REFUSED] = "logins_refused",
        [TB_MYSQL_NO_PASSWORD] = "no_password",
        [TB_MYSQL_SKIPPED] = "skipped_writes",
        [TB_MYSQL_NOT_PREPARED] = "skipped_not_prepared",
        [TB_MYSQL_INFILE_DROPPED] = "skipped_infile",
    };
    struct tb_mysql_config c = {.host = host};
    /* jansson's iterators want a pointer they could write through; they do not. */
    json_t *object = (json_t *) options;

    if (host->size < offsetof(struct tb_host, learn_live) + sizeof host->learn_live) {
        snprintf(err, err_len, "mysql: this program is too old for the module");
        return -1;
    }
    if (tb_mysql_auth_init() < 0) {
        snprintf(err, err_len, "mysql: libcrypto or libsodium does not work");
        return -1;
    }
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        if (read_option(&c, json_object_iter_key(at), json_object_iter_value(at), err, err_len)) {
            forget(&c);
            return -1;
        }
    }
    for (unsigned i = 0; i < TB_MYSQL_COUNTERS; i++)
        c.counter[i] = host->counter(host, names[i]);
    forget(&tb_mysql_config);
    tb_mysql_config = c;
    warn_of_readers(&c);
    return 0;
}

static void unload(void *const *workers, uint32_t count)
{
    tb_mysql_report_free(workers, count);
    tb_mysql_plans_free();
    tb_mysql_statements_free();
    forget(&tb_mysql_config);
}

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_module),
    .session_size = sizeof(struct tb_mysql_session),
    .busy_size = sizeof(struct tb_mysql_busy),
    .needs_payload = true,
    .name = "mysql",
    .version = "1.0",
    .configure = configure,
    .learn_begin = tb_mysql_learn_begin,
    .learn_data = tb_mysql_learn_data,
    .learn_end = tb_mysql_learn_end,
    .session_start = tb_mysql_session_start,
    .request = tb_mysql_request,
    .response = tb_mysql_response,
    .busy_end = tb_mysql_busy_end,
    .session_end = tb_mysql_session_end,
    .worker_size = sizeof(struct tb_mysql_worker),
    .report = tb_mysql_report,
    .unload = unload,
    .forget_request = tb_mysql_forget_request,
    .forget_session = tb_mysql_forget_session,
};
