/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The comet module: sessions that are held open, with what the server pushes counted. This file
 * reads the options and holds the module table.
 */
#include "comet.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { MOST_SECONDS = 100000000 };

struct tb_comet_config tb_comet_config;

bool tb_comet_matches(const struct tb_comet_patterns *p, const char *target)
{
    for (unsigned i = 0; i < p->count; i++)
        if (fnmatch(p->text[i], target, 0) == 0)
            return true;
    return false;
}

static int refuse(char *err, size_t err_len, const char *key, const char *want)
{
    snprintf(err, err_len, "comet: \"%s\" must be %s", key, want);
    return -1;
}

static bool read_seconds(const json_t *value, uint64_t *us)
{
    double s = json_number_value(value);
    if (!json_is_number(value) || s < 0 || s > MOST_SECONDS)
        return false;
    *us = (uint64_t) (s * 1e6);
    return true;
}

static bool read_pattern(struct tb_comet_patterns *p, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) >= TB_COMET_PATTERN_BYTES || p->count == TB_COMET_PATTERNS)
        return false;
    strcpy(p->text[p->count++], text);
    return true;
}

/* A pattern, or a list of them. */
static bool read_patterns(struct tb_comet_patterns *p, const json_t *value)
{
    p->count = 0;
    if (!json_is_array(value))
        return read_pattern(p, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!read_pattern(p, json_array_get(value, i)))
            return false;
    return true;
}

/* false, true, or {"first_s": 1, "most_s": 30} */
static bool read_reconnect(struct tb_comet_config *c, const json_t *value)
{
    c->reconnects = json_is_true(value) || json_is_object(value);
    if (json_is_boolean(value))
        return true;
    const char *key;
    json_t *item;
    json_object_foreach((json_t *) value, key, item)
    {
        bool first = strcmp(key, "first_s") == 0, most = strcmp(key, "most_s") == 0;
        if ((!first && !most) ||
            !read_seconds(item, first ? &c->reconnect_first_us : &c->reconnect_most_us))
            return false;
    }
    return json_is_object(value) && c->reconnect_first_us > 0 &&
           c->reconnect_first_us <= c->reconnect_most_us;
}

static int read_option(struct tb_comet_config *c, const char *key, const json_t *value, char *err,
                       size_t err_len)
{
    if (strcmp(key, "hold_s") == 0) {
        if (!read_seconds(value, &c->hold_us))
            return refuse(err, err_len, key, "a number of seconds (0: to the end of the run)");
        c->has_hold = true;
        if (c->hold_us == 0)
            c->hold_us = UINT64_MAX;
    } else if (strcmp(key, "heartbeat_s") == 0) {
        if (!read_seconds(value, &c->heartbeat_us))
            return refuse(err, err_len, key, "a number of seconds (0: none)");
        c->has_heartbeat = true;
    } else if (strcmp(key, "reconnect") == 0) {
        if (!read_reconnect(c, value))
            return refuse(err, err_len, key,
                          "false, true or {\"first_s\": SECONDS, \"most_s\": SECONDS}, the first "
                          "above 0 and at most the other");
    } else if (strcmp(key, "poll") == 0) {
        if (!read_patterns(&c->poll, value))
            return refuse(err, err_len, key, "a pattern like \"/poll*\", or a list of at most 32");
        c->has_poll = true;
    } else if (strcmp(key, "exclude") == 0) {
        if (!read_patterns(&c->exclude, value))
            return refuse(err, err_len, key, "a pattern like \"/pub*\", or a list of at most 32");
    } else if (strcmp(key, "push") == 0) {
        const char *unit = json_string_value(value);
        c->by_line = unit && strcmp(unit, "line") == 0;
        if (!c->by_line && (!unit || strcmp(unit, "chunk") != 0))
            return refuse(err, err_len, key, "\"chunk\" or \"line\"");
    } else {
        snprintf(err, err_len,
                 "comet: unknown option \"%s\" (known: hold_s, heartbeat_s, reconnect, poll, "
                 "exclude, push)",
                 key);
        return -1;
    }
    return 0;
}

static int configure(const struct tb_host *host, const json_t *options, char *err, size_t err_len)
{
    struct tb_comet_config c = {
        .host = host, .reconnect_first_us = 1000000, .reconnect_most_us = 30000000};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *) options, key, value)
    {
        if (read_option(&c, key, value, err, err_len))
            return -1;
    }
    if (getrandom(c.secret, sizeof c.secret, 0) != (ssize_t) sizeof c.secret) {
        snprintf(err, err_len, "comet: no random numbers: %s", strerror(errno));
        return -1;
    }
    tb_comet_config = c;
    tb_comet_report_begin(host);
    return 0;
}

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_module),
    .session_size = sizeof(struct tb_comet_session),
    .busy_size = sizeof(struct tb_comet_open),
    .needs_payload = true,
    .name = "comet",
    .version = "1.0",
    .configure = configure,
    .learn_begin = tb_comet_learn_begin,
    .learn_data = tb_comet_learn_data,
    .learn_end = tb_comet_learn_end,
    .session_start = tb_comet_session_start,
    .request = tb_comet_request,
    .response = tb_comet_response,
    .timer = tb_comet_timer,
    .session_end = tb_comet_session_end,
    .worker_size = sizeof(struct tb_comet_worker),
    .report = tb_comet_report,
    .unload = tb_comet_unload,
    .holds = true,
};
