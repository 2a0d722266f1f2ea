/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's table of options: each is described once, and the command line, the JSON file, --help
 * and every message are driven by that. Every program has a table and a struct of its own; what
 * reads them is the same. Private to core/config and its tests.
 */
#ifndef TB_CONFIG_TABLE_H
#define TB_CONFIG_TABLE_H

#include <stdio.h>
#include "config/options.h"

enum tb_option_type {
    TB_OPTION_FLAG,    /* bool; no argument, --no-NAME turns it off; a JSON boolean */
    TB_OPTION_BIT,     /* bool; the argument 0 or 1 */
    TB_OPTION_U32,     /* whole number */
    TB_OPTION_U64,     /* the same */
    TB_OPTION_DECIMAL, /* double, not negative */
    TB_OPTION_STRING,  /* char *, never empty */
    TB_OPTION_STRINGS, /* struct tb_strings: a list */
    TB_OPTION_WORD,    /* read by `item` */
    TB_OPTION_LIST,    /* a list; each item is read by `item` */
    TB_OPTION_ACTION   /* bool; --help and --version: nothing else is looked at, no JSON key */
};

struct tb_option {
    char letter;          /* 0: long name only */
    const char *name;     /* long name and JSON key */
    const char *argument; /* its name in --help; NULL for flags */
    enum tb_option_type type;
    unsigned group;       /* of the set's titles */
    size_t at;            /* offset in the program's struct */
    size_t has;           /* offset of a bool set when given; 0: none */
    double min, max;      /* numbers only */
    const char *fallback; /* default as one would write it; NULL: zero, nothing */
    int (*item)(void *o, const char *text, struct tb_err *err);
    const char *help; /* one line without the default */
    /* Options that exclude this one (up to three), and why; of those rivals, what the command line
     * says replaces what the file says. */
    const char *rivals[3];
    const char *rival_why;
};

/* Room for one flag per option, indexed like the table: where a value came from. */
enum { TB_OPTION_MAX = 80 };
enum tb_given {
    TB_GIVEN_DEFAULT = 0,
    TB_GIVEN_FILE = 1,
    TB_GIVEN_COMMAND = 2,
    TB_GIVEN_OFF = 4 /* with one of the two: a flag given as false, which asks for nothing */
};

/* All options of one program. */
struct tb_option_set {
    const char *program;
    const struct tb_option *option; /* [count] */
    unsigned count;
    size_t size;               /* of the struct that is filled */
    const char *const *titles; /* of the groups; ends with NULL */
    const char *help_head, *help_tail;
    const char *surplus; /* what to say of words that belong to no option */
    /* A key of the JSON file that is no option: 0, -EINVAL with words, or -ENOENT: unknown to it as
     * well. May be NULL. */
    int (*other_key)(void *o, const char *key, const json_t *value, struct tb_err *err);
    /* The checks of the whole: what is missing, what clashes, and defaults that depend on the rest.
     */
    int (*validate)(void *o, const uint8_t given[TB_OPTION_MAX], struct tb_err *err);
    void (*free)(void *o); /* all it holds, with tb_option_set_free() for what the table knows */
};

extern const struct tb_option_set tb_tcpburn_set, tb_intercept_set, tb_tcpcopy_set;

/* Fill the zeroed struct `o`: defaults, then the JSON file named by an option "config", then the
 * command line. Stops early at an action (--help), which sets its bool. 0, or -EINVAL with words;
 * to be freed in either case. */
int tb_option_set_parse(const struct tb_option_set *set, void *o, int argc, char **argv,
                        struct tb_err *err);
/* Frees strings and lists of strings; what items made is their owner's. */
void tb_option_set_free(const struct tb_option_set *set, void *o);

/* The table index of long name `name`, or -1. */
int tb_option_find(const struct tb_option_set *set, const char *name);

/* "-u, --users" or "--rate". */
const char *tb_option_label(const struct tb_option *option, char buf[64]);

/* "; did you mean --users?", or nothing, for a `name` that is no option; `dashes` is put before the
 * name. */
const char *tb_option_suggest(const struct tb_option_set *set, const char *name, const char *dashes,
                              char buf[80]);

void tb_option_help(const struct tb_option_set *set, FILE *out);

/* Was the option given, on the command line or in the file? */
bool tb_option_given(const struct tb_option_set *set, const uint8_t given[TB_OPTION_MAX],
                     const char *name);

/* --- setting one option ------------------------------------------------------------------------
 */

/* Set an option from text (of the command line or a default; lists: comma-separated, added to what
 * is there), a number, or one list item. Messages begin with "must be …" or tell their own story;
 * the caller says where. 0, -EINVAL or -ENOMEM. */
int tb_option_set_text(void *o, const struct tb_option *option, const char *text,
                       struct tb_err *err);
int tb_option_set_whole(void *o, const struct tb_option *option, uint64_t value,
                        struct tb_err *err);
int tb_option_set_decimal(void *o, const struct tb_option *option, double value,
                          struct tb_err *err);
int tb_option_set_item(void *o, const struct tb_option *option, const char *text,
                       struct tb_err *err);
/* Flags and actions. */
void tb_option_set_flag(void *o, const struct tb_option *option, bool on);

/* "must be a whole number from 1 to 16" and the like, by the option's type. */
const char *tb_option_expected(const struct tb_option *option, char buf[128]);

/* Append a copy of text[0…len). 0 or -ENOMEM. */
int tb_strings_add(struct tb_strings *list, const char *text, size_t len);
void tb_strings_free(struct tb_strings *list);

/* --- file.c, validate.c ------------------------------------------------------------------------
 */

/* Set from the JSON file at `path` whatever `given` does not already have from the command line. */
int tb_config_file_read(const struct tb_option_set *set, void *o, const char *path,
                        uint8_t given[TB_OPTION_MAX], struct tb_err *err);

/* A whole JSON text file; `text_out` is for looking up lines, may be NULL; else free() it. */
int tb_config_json_load(const char *path, json_t **out, char **text_out, struct tb_err *err);

/* True when the command line gave the option or one of its rivals, so that a file's value for it
 * does not count. */
bool tb_option_shadowed(const struct tb_option_set *set, const struct tb_option *option,
                        const uint8_t given[TB_OPTION_MAX]);

/* tcpburn's key "modules", and its checks. */
int tb_options_other_key(void *o, const char *key, const json_t *value, struct tb_err *err);
int tb_options_validate(void *o, const uint8_t given[TB_OPTION_MAX], struct tb_err *err);
/* Those of them that hold for every program that plays sessions, with the options of `set`. */
int tb_options_validate_run(const struct tb_option_set *set, struct tb_options *o,
                            const uint8_t given[TB_OPTION_MAX], struct tb_err *err);
/* -EINVAL, and the words for a command line without -x. */
int tb_no_transfer(struct tb_err *err);

#endif
