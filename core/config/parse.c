/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From argv to a program's options, in three steps: find out what the command line gives, read the
 * JSON file for what it does not give, then set the command line's values. That order is what makes
 * a list on the command line replace the file's. Called at start-up, through each program's own
 * tb_…_parse().
 */

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config/table.h"
#include "config/value.h"

/* --- setting one option ----------------------------------------------------------------------- */

static void *field(void *o, const struct tb_option *option)
{
    return (char *) o + option->at;
}

static void mark_has(void *o, const struct tb_option *option)
{
    if (option->has)
        *(bool *) ((char *) o + option->has) = true;
}

int tb_strings_add(struct tb_strings *list, const char *text, size_t len)
{
    char **grown = realloc(list->item, (list->count + 1) * sizeof *grown);

    if (!grown)
        return -ENOMEM;
    list->item = grown;
    grown[list->count] = strndup(text, len);
    if (!grown[list->count])
        return -ENOMEM;
    list->count++;
    return 0;
}

const char *tb_option_expected(const struct tb_option *option, char buf[128])
{
    switch (option->type) {
    case TB_OPTION_FLAG:
    case TB_OPTION_ACTION:
        return "must be true or false";
    case TB_OPTION_BIT:
        return "must be 0 or 1";
    case TB_OPTION_U32:
    case TB_OPTION_U64:
        snprintf(buf, 128, "must be a whole number from %.0f to %.0f", option->min, option->max);
        return buf;
    case TB_OPTION_DECIMAL:
        snprintf(buf, 128, "must be a number from %.15g to %.15g", option->min, option->max);
        return buf;
    case TB_OPTION_STRINGS:
    case TB_OPTION_LIST:
        snprintf(buf, 128, "must be a list, %s", option->argument);
        return buf;
    case TB_OPTION_STRING:
    case TB_OPTION_WORD:
        break;
    }
    snprintf(buf, 128, "must be a text, %s", option->argument);
    return buf;
}

static int refuse(const struct tb_option *option, const char *text, struct tb_err *err)
{
    char expected[128];
    return tb_err_set(err, -EINVAL, "%s, not '%s'", tb_option_expected(option, expected), text);
}

void tb_option_set_flag(void *o, const struct tb_option *option, bool on)
{
    if (option->item)
        (void) option->item(o, on ? "true" : "false", NULL);
    else
        *(bool *) field(o, option) = on;
}

int tb_option_set_whole(void *o, const struct tb_option *option, uint64_t value, struct tb_err *err)
{
    double max = option->type == TB_OPTION_BIT ? 1 : option->max;

    if ((double) value < option->min || (double) value > max) {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long) value);
        return refuse(option, text, err);
    }
    if (option->type == TB_OPTION_BIT)
        *(bool *) field(o, option) = value;
    else if (option->type == TB_OPTION_U32)
        *(uint32_t *) field(o, option) = (uint32_t) value;
    else
        *(uint64_t *) field(o, option) = value;
    mark_has(o, option);
    return 0;
}

int tb_option_set_decimal(void *o, const struct tb_option *option, double value, struct tb_err *err)
{
    if (!(value >= option->min && value <= option->max)) {
        char text[40];
        snprintf(text, sizeof text, "%.15g", value);
        return refuse(option, text, err);
    }
    *(double *) field(o, option) = value;
    mark_has(o, option);
    return 0;
}

int tb_option_set_item(void *o, const struct tb_option *option, const char *text,
                       struct tb_err *err)
{
    if (!*text)
        return tb_err_set(err, -EINVAL, "an item of the list is empty");
    if (option->type == TB_OPTION_LIST)
        return option->item(o, text, err);
    if (tb_strings_add(field(o, option), text, strlen(text)))
        return tb_err_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int set_list(void *o, const struct tb_option *option, const char *text, struct tb_err *err)
{
    int rc = 0;

    while (!rc) {
        size_t len = strcspn(text, ",");
        char *item = strndup(text, len);
        if (!item)
            return tb_err_set(err, -ENOMEM, "out of memory");
        rc = tb_option_set_item(o, option, item, err);
        free(item);
        if (!text[len])
            break;
        text += len + 1;
    }
    return rc;
}

static int set_string(void *o, const struct tb_option *option, const char *text, struct tb_err *err)
{
    char **string = field(o, option);

    if (!*text)
        return tb_err_set(err, -EINVAL, "must not be empty");
    char *copy = strdup(text);
    if (!copy)
        return tb_err_set(err, -ENOMEM, "out of memory");
    free(*string);
    *string = copy;
    return 0;
}

int tb_option_set_text(void *o, const struct tb_option *option, const char *text,
                       struct tb_err *err)
{
    uint64_t whole;
    double decimal;

    switch (option->type) {
    case TB_OPTION_FLAG:
    case TB_OPTION_ACTION:
        tb_option_set_flag(o, option, !strcmp(text, "true"));
        return 0;
    case TB_OPTION_BIT:
    case TB_OPTION_U32:
    case TB_OPTION_U64:
        if (tb_value_whole(text, &whole))
            return refuse(option, text, err);
        return tb_option_set_whole(o, option, whole, err);
    case TB_OPTION_DECIMAL:
        if (tb_value_decimal(text, &decimal))
            return refuse(option, text, err);
        return tb_option_set_decimal(o, option, decimal, err);
    case TB_OPTION_STRING:
        return set_string(o, option, text, err);
    case TB_OPTION_WORD:
        return option->item(o, text, err);
    case TB_OPTION_STRINGS:
    case TB_OPTION_LIST:
        break;
    }
    return set_list(o, option, text, err);
}

/* --- the command line ------------------------------------------------------------------------- */

/* One option as found on the command line; values are set only after the JSON file is read. */
struct occurrence {
    int option;
    const char *text; /* points into argv; "true" and "false" for flags */
};

struct command {
    struct occurrence *seen;
    unsigned count;
    const char *config; /* the last --config */
    bool action;        /* --help or --version */
};

/* What getopt returns for a long name: 256 + table index, or with --no- in front NEGATED + index.
 */
enum { LONG_BASE = 256, NEGATED = 512, LETTERS_MAX = 2 * TB_OPTION_MAX + 2 };

struct getopt_tables {
    char letters[LETTERS_MAX];
    struct option longs[2 * TB_OPTION_MAX + 1];
    char negated[TB_OPTION_MAX][32]; /* the names behind "no-…" entries */
};

static void build_getopt_tables(const struct tb_option_set *set, struct getopt_tables *t)
{
    char *letter = t->letters;
    unsigned count = 0;

    memset(t, 0, sizeof *t);
    *letter++ = ':'; /* tell missing arguments from unknown options */
    for (unsigned i = 0; i < set->count; i++) {
        const struct tb_option *option = &set->option[i];
        if (option->letter)
            *letter++ = option->letter;
        if (option->letter && option->argument)
            *letter++ = ':';
        t->longs[count++] =
            (struct option){option->name, option->argument != NULL, NULL, LONG_BASE + (int) i};
        if (option->type != TB_OPTION_FLAG)
            continue;
        snprintf(t->negated[i], sizeof t->negated[i], "no-%s", option->name);
        t->longs[count++] = (struct option){t->negated[i], 0, NULL, NEGATED + (int) i};
    }
}

static int index_of(const struct tb_option_set *set, int value)
{
    if (value >= NEGATED)
        return value - NEGATED;
    if (value >= LONG_BASE)
        return value - LONG_BASE;
    for (unsigned i = 0; i < set->count; i++)
        if (set->option[i].letter == value)
            return (int) i;
    return -1;
}

/* getopt said '?' or ':'; `word` is the argument it was looking at, if that was a long option. */
static int usage_error(const struct tb_option_set *set, int said, const char *word,
                       struct tb_err *err)
{
    int index = optopt ? index_of(set, optopt) : -1;
    char label[64], hint[80], name[64];

    if (said == ':' && index >= 0) {
        const struct tb_option *option = &set->option[index];
        return tb_err_set(err, -EINVAL, "%s needs an argument, %s", tb_option_label(option, label),
                          option->argument);
    }
    if (index >= 0)
        return tb_err_set(err, -EINVAL, "'%s': %s takes no argument", word,
                          tb_option_label(&set->option[index], label));
    if (optopt) /* an unknown letter; an unknown long name leaves it 0 */
        return tb_err_set(err, -EINVAL, "unknown option '-%c'; '%s --help' lists them", optopt,
                          set->program);

    snprintf(name, sizeof name, "%.*s", (int) strcspn(word + 2, "="), word + 2);
    if (!*tb_option_suggest(set, name, "--", hint))
        snprintf(hint, sizeof hint, "; '%s --help' lists them", set->program);
    return tb_err_set(err, -EINVAL, "unknown or ambiguous option '--%s'%s", name, hint);
}

/* Walk argv once. Stops early at --help and --version. */
static int scan(const struct tb_option_set *set, void *o, int argc, char **argv,
                struct command *command, uint8_t given[TB_OPTION_MAX], struct tb_err *err)
{
    struct getopt_tables tables;
    int value;

    build_getopt_tables(set, &tables);
    optind = 0; /* glibc: begin anew, also after an earlier parse in this process */
    opterr = 0;
    for (;;) {
        optopt = 0;
        value = getopt_long(argc, argv, tables.letters, tables.longs, NULL);
        if (value == -1)
            break;
        if (value == '?' || value == ':')
            return usage_error(set, value, argv[optind - 1], err);

        const int index = index_of(set, value);
        const struct tb_option *option = &set->option[index];
        const char *text = optarg ? optarg : value >= NEGATED ? "false" : "true";
        if (option->type == TB_OPTION_ACTION) {
            tb_option_set_flag(o, option, true);
            command->action = true;
            return 0;
        }
        if (!strcmp(option->name, "config"))
            command->config = text;
        given[index] = TB_GIVEN_COMMAND | (value >= NEGATED ? TB_GIVEN_OFF : 0);
        command->seen[command->count++] = (struct occurrence){index, text};
    }
    if (optind < argc)
        return tb_err_set(err, -EINVAL,
                          "surplus word '%s': every argument belongs to an option; %s",
                          argv[optind], set->surplus);
    return 0;
}

static int set_defaults(const struct tb_option_set *set, void *o, struct tb_err *err)
{
    for (unsigned i = 0; i < set->count; i++) {
        const struct tb_option *option = &set->option[i];
        if (!option->fallback)
            continue;
        int rc = tb_option_set_text(o, option, option->fallback, err);
        if (rc)
            return rc;
        if (option->has)
            *(bool *) ((char *) o + option->has) = false;
    }
    return 0;
}

static int set_command(const struct tb_option_set *set, void *o, const struct command *command,
                       struct tb_err *err)
{
    for (unsigned i = 0; i < command->count; i++) {
        const struct tb_option *option = &set->option[command->seen[i].option];
        char label[64];
        int rc = tb_option_set_text(o, option, command->seen[i].text, err);
        if (rc)
            return tb_err_prefix(err, rc, "%s", tb_option_label(option, label));
    }
    return 0;
}

/* Letters of one word are one occurrence each, so argv entries alone are no upper bound. */
static size_t occurrences_max(int argc, char **argv)
{
    size_t max = 1;
    for (int i = 1; i < argc; i++)
        max += strlen(argv[i]) + 1;
    return max;
}

/* --- options that exclude each other -----------------------------------------------------------
 */

bool tb_option_given(const struct tb_option_set *set, const uint8_t given[TB_OPTION_MAX],
                     const char *name)
{
    return given[tb_option_find(set, name)] != TB_GIVEN_DEFAULT;
}

bool tb_option_shadowed(const struct tb_option_set *set, const struct tb_option *option,
                        const uint8_t given[TB_OPTION_MAX])
{
    if (given[option - set->option] & TB_GIVEN_COMMAND)
        return true;
    for (unsigned i = 0; i < 3 && option->rivals[i]; i++)
        if (given[tb_option_find(set, option->rivals[i])] & TB_GIVEN_COMMAND)
            return true;
    return false;
}

static bool asks(const uint8_t given[TB_OPTION_MAX], unsigned option)
{
    return given[option] != TB_GIVEN_DEFAULT && !(given[option] & TB_GIVEN_OFF);
}

static int check_rivals(const struct tb_option_set *set, const uint8_t given[TB_OPTION_MAX],
                        struct tb_err *err)
{
    for (unsigned i = 0; i < set->count; i++) {
        const struct tb_option *option = &set->option[i];
        for (unsigned r = 0; r < 3 && option->rivals[r]; r++) {
            unsigned rival = (unsigned) tb_option_find(set, option->rivals[r]);
            char a[64], b[64];
            if (asks(given, i) && asks(given, rival))
                return tb_err_set(err, -EINVAL, "%s and %s exclude each other: %s; drop one",
                                  tb_option_label(option, a),
                                  tb_option_label(&set->option[rival], b), option->rival_why);
        }
    }
    return 0;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

int tb_option_set_parse(const struct tb_option_set *set, void *o, int argc, char **argv,
                        struct tb_err *err)
{
    uint8_t given[TB_OPTION_MAX] = {0};
    struct command command = {0};
    int rc;

    command.seen = calloc(occurrences_max(argc, argv), sizeof *command.seen);
    if (!command.seen)
        return tb_err_set(err, -ENOMEM, "out of memory");

    rc = set_defaults(set, o, err);
    if (!rc)
        rc = scan(set, o, argc, argv, &command, given, err);
    if (rc || command.action)
        goto out;
    if (command.config)
        rc = tb_config_file_read(set, o, command.config, given, err);
    if (!rc)
        rc = set_command(set, o, &command, err);
    if (!rc)
        rc = check_rivals(set, given, err);
    if (!rc)
        rc = set->validate(o, given, err);
out:
    free(command.seen);
    return rc;
}

void tb_strings_free(struct tb_strings *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        free(list->item[i]);
    free(list->item);
}

void tb_option_set_free(const struct tb_option_set *set, void *o)
{
    for (unsigned i = 0; i < set->count; i++) {
        const struct tb_option *option = &set->option[i];
        if (option->type == TB_OPTION_STRING)
            free(*(char **) field(o, option));
        else if (option->type == TB_OPTION_STRINGS)
            tb_strings_free(field(o, option));
    }
}
