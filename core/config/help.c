/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows from a table of options alone: names, suggestions, --help. Called by the rest of
 * core/config.
 */
#include <string.h>

#include "config/table.h"
#include "config/value.h"

int tb_option_find(const struct tb_option_set *set, const char *name)
{
    for (unsigned i = 0; i < set->count; i++)
        if (!strcmp(set->option[i].name, name))
            return (int) i;
    return -1;
}

const char *tb_option_label(const struct tb_option *option, char buf[64])
{
    if (option->letter)
        snprintf(buf, 64, "-%c, --%s", option->letter, option->name);
    else
        snprintf(buf, 64, "--%s", option->name);
    return buf;
}

const char *tb_option_suggest(const struct tb_option_set *set, const char *name, const char *dashes,
                              char buf[80])
{
    const char *names[TB_OPTION_MAX + 1] = {NULL};

    for (unsigned i = 0; i < set->count; i++)
        names[i] = set->option[i].name;
    const char *near = tb_value_nearest(name, names);
    buf[0] = '\0';
    if (near)
        snprintf(buf, 80, "; did you mean %s%s?", dashes, near);
    return buf;
}

/* --- help ------------------------------------------------------------------------------------- */

static void help_option(FILE *out, const struct tb_option *option)
{
    char left[48];
    const char *space = option->argument ? " " : "", *argument = option->argument;

    if (option->letter)
        snprintf(left, sizeof left, "-%c, --%s%s%s", option->letter, option->name, space,
                 argument ? argument : "");
    else
        snprintf(left, sizeof left, "    --%s%s%s", option->name, space, argument ? argument : "");
    fprintf(out, "  %-26s %s", left, option->help);
    if (option->fallback)
        fprintf(out, " (%s)", option->type == TB_OPTION_FLAG ? "default" : option->fallback);
    fputc('\n', out);
}

void tb_option_help(const struct tb_option_set *set, FILE *out)
{
    fputs(set->help_head, out);
    for (unsigned group = 0; set->titles[group]; group++) {
        fprintf(out, "\n%s:\n", set->titles[group]);
        for (unsigned i = 0; i < set->count; i++)
            if (set->option[i].group == group)
                help_option(out, &set->option[i]);
    }
    fputs(set->help_tail, out);
}
