/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JSON files: --config (every long option name a key, plus "modules") and --module-config.
 * Called by parse.c, and by the programs for the options of the module in use. The files are the
 * user's, but may be wrong in every way: each message names file, line and key.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/table.h"

enum { FILE_MAX_BYTES = 4 << 20 }; /* a configuration is never this long; a capture is */

struct config_file {
    const char *path;
    char *text;
    json_t *root;
};

/* --- reading ---------------------------------------------------------------------------------- */

static int read_text(const char *path, char **out, struct tb_err *err)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t len = 0;
    int rc;

    if (!f)
        return tb_err_set(err, -EINVAL, "cannot open '%s': %s", path, strerror(errno));
    text = malloc(FILE_MAX_BYTES + 1);
    if (!text) {
        rc = tb_err_set(err, -ENOMEM, "out of memory");
        goto out;
    }
    len = fread(text, 1, FILE_MAX_BYTES + 1, f);
    if (ferror(f))
        rc = tb_err_set(err, -EINVAL, "cannot read '%s': %s", path, strerror(errno));
    else if (len > FILE_MAX_BYTES)
        rc = tb_err_set(err, -EINVAL, "%s: longer than %d bytes, so no configuration", path,
                        (int) FILE_MAX_BYTES);
    else if (memchr(text, '\0', len))
        rc = tb_err_set(err, -EINVAL, "%s: holds zero bytes, so it is not JSON", path);
    else
        rc = 0;
out:
    fclose(f);
    if (rc) {
        free(text);
        return rc;
    }
    text[len] = '\0';
    char *shrunk = realloc(text, len + 1);
    *out = shrunk ? shrunk : text;
    return 0;
}

int tb_config_json_load(const char *path, json_t **out, char **text_out, struct tb_err *err)
{
    json_error_t where;
    char *text = NULL;
    int rc = read_text(path, &text, err);

    if (rc)
        return rc;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!root) {
        rc = tb_err_set(err, -EINVAL, "%s:%d: %s", path, where.line, where.text);
    } else if (!json_is_object(root)) {
        rc = tb_err_set(err, -EINVAL, "%s:1: must be a JSON object, { … }", path);
        json_decref(root);
    }
    if (rc || !text_out)
        free(text);
    else
        *text_out = text;
    if (!rc)
        *out = root;
    return rc;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* The end of the string literal that begins at `p` (its quote), behind the closing quote. The text
 * is known to be JSON. */
static const char *string_end(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

/* The line of `key` among the keys of the outermost object; 1 when it is written with escapes. */
static int line_of_key(const char *text, const char *key)
{
    size_t key_len = strlen(key);
    int line = 1, depth = 0;

    for (const char *p = text; *p;) {
        if (*p == '"') {
            const char *end = string_end(p), *next = end;
            while (isspace((unsigned char) *next))
                next++;
            if (depth == 1 && *next == ':' && (size_t) (end - p) == key_len + 2 &&
                !memcmp(p + 1, key, key_len))
                return line;
            p = end; /* JSON strings hold no line breaks */
            continue;
        }
        line += *p == '\n';
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        p++;
    }
    return 1;
}

/* Put "FILE:LINE: "KEY": " before the message. */
static int at_key(const struct config_file *file, const char *key, int rc, struct tb_err *err)
{
    return tb_err_prefix(err, rc, "%s:%d: \"%s\"", file->path, line_of_key(file->text, key), key);
}

/* --- values ----------------------------------------------------------------------------------- */

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "null";
    }
}

static int wrong_type(const struct tb_option *option, const json_t *value, struct tb_err *err)
{
    char expected[128];
    return tb_err_set(err, -EINVAL, "%s, not %s", tb_option_expected(option, expected),
                      type_name(value));
}

static int set_number(void *o, const struct tb_option *option, const json_t *value,
                      struct tb_err *err)
{
    char expected[128];

    if (option->type == TB_OPTION_DECIMAL && json_is_number(value))
        return tb_option_set_decimal(o, option, json_number_value(value), err);
    if (!json_is_integer(value))
        return wrong_type(option, value, err);
    if (json_integer_value(value) < 0)
        return tb_err_set(err, -EINVAL, "%s, not %lld", tb_option_expected(option, expected),
                          (long long) json_integer_value(value));
    return tb_option_set_whole(o, option, (uint64_t) json_integer_value(value), err);
}

/* Items of an array are taken whole: a file name may hold a comma there. */
static int set_array(void *o, const struct tb_option *option, const json_t *array,
                     struct tb_err *err)
{
    const json_t *item;
    size_t i;
    int rc = 0;

    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item))
            return tb_err_set(err, -EINVAL, "must hold strings only, not %s", type_name(item));
        rc = tb_option_set_item(o, option, json_string_value(item), err);
        if (rc)
            break;
    }
    return rc;
}

static int set_value(void *o, const struct tb_option *option, const json_t *value,
                     struct tb_err *err)
{
    bool list = option->type == TB_OPTION_STRINGS || option->type == TB_OPTION_LIST;

    switch (option->type) {
    case TB_OPTION_FLAG:
        if (!json_is_boolean(value))
            return wrong_type(option, value, err);
        tb_option_set_flag(o, option, json_is_true(value));
        return 0;
    case TB_OPTION_BIT:
    case TB_OPTION_U32:
    case TB_OPTION_U64:
    case TB_OPTION_DECIMAL:
        return set_number(o, option, value, err);
    default:
        if (list && json_is_array(value))
            return set_array(o, option, value, err);
        if (!json_is_string(value))
            return wrong_type(option, value, err);
        return tb_option_set_text(o, option, json_string_value(value), err);
    }
}

/* Of no effect, but a mistake all the same. */
static int try_value(const struct tb_option_set *set, const struct tb_option *option,
                     const json_t *value, struct tb_err *err)
{
    void *unused = calloc(1, set->size);
    int rc =
        unused ? set_value(unused, option, value, err) : tb_err_set(err, -ENOMEM, "out of memory");

    if (unused)
        set->free(unused);
    free(unused);
    return rc;
}

static int set_key(const struct tb_option_set *set, void *o, const char *key, const json_t *value,
                   uint8_t given[TB_OPTION_MAX], struct tb_err *err)
{
    int rc = set->other_key ? set->other_key(o, key, value, err) : -ENOENT;
    int index = tb_option_find(set, key);
    char hint[80];

    if (rc != -ENOENT)
        return rc;
    if (index < 0)
        return tb_err_set(err, -EINVAL, "unknown key%s", tb_option_suggest(set, key, "", hint));

    const struct tb_option *option = &set->option[index];
    if (option->type == TB_OPTION_ACTION || !strcmp(key, "config"))
        return tb_err_set(err, -EINVAL, "belongs on the command line only");
    if (tb_option_shadowed(set, option, given))
        return try_value(set, option, value, err);
    given[index] = TB_GIVEN_FILE | (json_is_false(value) ? TB_GIVEN_OFF : 0);
    return set_value(o, option, value, err);
}

int tb_config_file_read(const struct tb_option_set *set, void *o, const char *path,
                        uint8_t given[TB_OPTION_MAX], struct tb_err *err)
{
    struct config_file file = {.path = path};
    const char *key;
    const json_t *value;
    int rc = tb_config_json_load(path, &file.root, &file.text, err);

    if (rc)
        return tb_err_prefix(err, rc, "--config");
    json_object_foreach(file.root, key, value)
    {
        rc = set_key(set, o, key, value, given, err);
        if (rc) {
            at_key(&file, key, rc, err);
            break;
        }
    }
    json_decref(file.root);
    free(file.text);
    return rc;
}

/* --- module options --------------------------------------------------------------------------- */

int tb_options_other_key(void *options, const char *key, const json_t *value, struct tb_err *err)
{
    struct tb_options *o = options;
    const json_t *object;
    const char *name;

    if (strcmp(key, "modules") != 0)
        return -ENOENT;
    if (!json_is_object(value))
        return tb_err_set(err, -EINVAL, "must be an object, {\"NAME\": {…}}, not %s",
                          type_name(value));
    json_object_foreach((json_t *) value, name, object)
    {
        if (!json_is_object(object))
            return tb_err_set(err, -EINVAL,
                              "\"%s\" must be an object with the module's options, "
                              "not %s",
                              name, type_name(object));
    }
    o->modules = json_incref((json_t *) value);
    return 0;
}

/* The module's object in a --module-config file: under "modules", under its name, or the file's own
 * object. */
static json_t *module_object(json_t *root, const char *module)
{
    json_t *modules = json_object_get(root, "modules");
    json_t *named = json_object_get(json_is_object(modules) ? modules : root, module);

    if (json_is_object(named))
        return named;
    return json_is_object(modules) ? NULL : root;
}

int tb_options_module_config(const struct tb_options *o, const char *module, json_t **out,
                             struct tb_err *err)
{
    json_t *root = NULL, *object = NULL;

    if (o->module_config) {
        int rc = tb_config_json_load(o->module_config, &root, NULL, err);
        if (rc)
            return tb_err_prefix(err, rc, "--module-config");
        object = json_incref(module_object(root, module));
        json_decref(root);
    } else if (o->modules) {
        object = json_incref(json_object_get(o->modules, module));
    }
    if (!object)
        object = json_object();
    if (!object)
        return tb_err_set(err, -ENOMEM, "out of memory");
    *out = object;
    return 0;
}
