/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The http module: HTTP/1.x requests cut exactly, responses framed exactly and compared with the
 * captured ones. This file reads the options and holds the module table.
 */
#include "http.h"

#include <stdio.h>
#include <string.h>

struct tb_http_config tb_http_config;

static int refuse(char *err, size_t err_len, const char *key, const char *want)
{
    snprintf(err, err_len, "http: \"%s\" must be %s", key, want);
    return -1;
}

static int read_check(struct tb_http_config *c, const json_t *value)
{
    static const char *const names[] = {[TB_HTTP_CHECK_CLASS] = "class",
                                        [TB_HTTP_CHECK_STATUS] = "status",
                                        [TB_HTTP_CHECK_NONE] = "none"};
    const char *text = json_string_value(value);
    for (unsigned i = 0; text && i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            c->check = (enum tb_http_check) i;
            return 0;
        }
    }
    return -1;
}

static bool is_status(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 100 &&
           json_integer_value(value) <= 999;
}

/* "accept": [[200, 304], …] */
static int read_accept(struct tb_http_config *c, const json_t *value)
{
    if (!json_is_array(value) || json_array_size(value) > TB_HTTP_ACCEPT_MAX)
        return -1;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *pair = json_array_get(value, i);
        const json_t *captured = json_array_get(pair, 0), *seen = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || !is_status(captured) || !is_status(seen))
            return -1;
        c->accept[i].captured = (uint16_t) json_integer_value(captured);
        c->accept[i].seen = (uint16_t) json_integer_value(seen);
    }
    c->accept_count = (unsigned) json_array_size(value);
    return 0;
}

static int read_option(struct tb_http_config *c, const char *key, const json_t *value, char *err,
                       size_t err_len)
{
    if (strcmp(key, "check") == 0) {
        if (read_check(c, value))
            return refuse(err, err_len, key, "\"class\", \"status\" or \"none\"");
    } else if (strcmp(key, "digest") == 0) {
        if (!json_is_boolean(value))
            return refuse(err, err_len, key, "true or false");
        c->digest = json_is_true(value);
    } else if (strcmp(key, "accept") == 0) {
        if (read_accept(c, value))
            return refuse(err, err_len, key,
                          "a list of at most 64 pairs [captured status, status as good]");
    } else {
        snprintf(err, err_len, "http: unknown option \"%s\" (known: check, digest, accept)", key);
        return -1;
    }
    return 0;
}

static int configure(const struct tb_host *host, const json_t *options, char *err, size_t err_len)
{
    struct tb_http_config c = {.host = host};
    /* jansson's iterators want a pointer they could write through; they do not. */
    json_t *object = (json_t *) options;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        if (read_option(&c, json_object_iter_key(at), json_object_iter_value(at), err, err_len))
            return -1;
    }
    static const char *const names[TB_HTTP_CLASSES] = {"status_1xx", "status_2xx", "status_3xx",
                                                       "status_4xx", "status_5xx"};
    for (unsigned i = 0; i < TB_HTTP_CLASSES; i++)
        c.status_counter[i] = host->counter(host, names[i]);
    c.not_http_counter = host->counter(host, "not_http");
    tb_http_config = c;
    return 0;
}

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_module),
    .busy_size = sizeof(struct tb_http_reading),
    .needs_payload = true,
    .name = "http",
    .version = "1.0",
    .configure = configure,
    .learn_begin = tb_http_learn_begin,
    .learn_data = tb_http_learn_data,
    .learn_end = tb_http_learn_end,
    .response = tb_http_response,
    .stands_alone = true,
};
