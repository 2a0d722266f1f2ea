/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of each program's options share: a command line in one expression, a JSON file,
 * and what holds for every table. Before including it, say whose options these are: RIG_PROGRAM,
 * RIG_OPTIONS (the struct), RIG_PARSE, RIG_FREE and RIG_SET.
 */
#ifndef TB_UNIT_CONFIG_RIG_H
#define TB_UNIT_CONFIG_RIG_H

#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "config/table.h"

struct parsed {
    RIG_OPTIONS o;
    struct tb_err err;
    int rc;
};

static inline struct parsed parse_words(const char *const *words)
{
    struct parsed p = {.err = {""}};
    char *argv[48] = {(char *) (uintptr_t) RIG_PROGRAM};
    int argc = 1;

    for (; *words; words++)
        argv[argc++] = (char *) (uintptr_t) *words;
    p.rc = RIG_PARSE(&p.o, argc, argv, &p.err);
    return p;
}

#define PARSE(...) parse_words((const char *const[]){__VA_ARGS__, NULL})

/* Parses, expects success, and runs the statements with `o` in reach. */
#define WITH(statements, ...)                  \
    do {                                       \
        struct parsed p_ = PARSE(__VA_ARGS__); \
        const RIG_OPTIONS *o = &p_.o;          \
        assert_string_equal(p_.err.text, "");  \
        assert_int_equal(p_.rc, 0);            \
        statements;                            \
        RIG_FREE(&p_.o);                       \
    } while (0)

/* Parses, expects -EINVAL with `words` in the message. */
#define REFUSED(words, ...)                                     \
    do {                                                        \
        struct parsed p_ = PARSE(__VA_ARGS__);                  \
        assert_int_equal(p_.rc, -EINVAL);                       \
        if (!strstr(p_.err.text, words))                        \
            fail_msg("'%s' is not in: %s", words, p_.err.text); \
        assert_null(strchr(p_.err.text, '\n'));                 \
        RIG_FREE(&p_.o);                                        \
    } while (0)

/* A JSON file that lives for one test, which unlinks it. */
static inline const char *json_file(const char *text)
{
    static char path[64];
    int fd;

    strcpy(path, "/tmp/tb-config-test-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
    close(fd);
    return path;
}

/* --- tests of every table --------------------------------------------------------------------- */

static void help_names_every_option_within_100_columns(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    tb_option_help(&RIG_SET, f);
    fclose(f);
    for (unsigned i = 0; i < RIG_SET.count; i++) {
        char label[64];
        assert_non_null(strstr(text, tb_option_label(&RIG_SET.option[i], label)));
    }
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
        assert_in_range(end - line, 0, 100);
    free(text);
}

static void table_is_sound(void **state)
{
    for (unsigned i = 0; i < RIG_SET.count; i++) {
        const struct tb_option *a = &RIG_SET.option[i];
        assert_int_equal(tb_option_find(&RIG_SET, a->name), i);
        for (unsigned j = 0; j < i; j++)
            assert_true(!a->letter || a->letter != RIG_SET.option[j].letter);
        for (unsigned r = 0; r < 3 && a->rivals[r]; r++)
            assert_true(tb_option_find(&RIG_SET, a->rivals[r]) >= 0 && a->rival_why);
    }
}

/* The manual page describes each option under its names. */
static void manual_describes_every_option(void **state)
{
    const char *root = getenv("TB_SRCDIR");
    char path[4096], line[512];

    snprintf(path, sizeof path, "%s/docs/%s.1", root ? root : ".", RIG_PROGRAM);
    for (unsigned i = 0; i < RIG_SET.count; i++) {
        FILE *f = fopen(path, "r");
        char name[40];
        bool found = false;
        if (!f)
            fail_msg("cannot open %s", path);
        snprintf(name, sizeof name, " Fl -%s", RIG_SET.option[i].name);
        while (!found && fgets(line, sizeof line, f)) {
            const char *at = strstr(line, name);
            found = at && !strncmp(line, ".It", 3) && strchr(" ,\n", at[strlen(name)]);
        }
        fclose(f);
        if (!found)
            fail_msg("--%s is not in %s", RIG_SET.option[i].name, path);
    }
}

#define TABLE_TESTS                                               \
    cmocka_unit_test(help_names_every_option_within_100_columns), \
        cmocka_unit_test(table_is_sound), cmocka_unit_test(manual_describes_every_option)

#endif
