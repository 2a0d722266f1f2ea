/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of what a check found: each finding is a line for people and, where something is to be
 * done, the command that does it. Every kind of check adds to one list.
 */
#ifndef TB_CHECK_FINDINGS_H
#define TB_CHECK_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum tb_finding_level {
    TB_FINDING_OK,
    TB_FINDING_NOTE, /* does not forbid, but may be the reason for trouble */
    TB_FINDING_WRONG /* forbids */
};

enum { TB_FINDINGS_MAX = 128, TB_FINDING_TEXT = 448, TB_FINDING_COMMAND = 512 };

struct tb_finding {
    enum tb_finding_level level;
    char text[TB_FINDING_TEXT];
    char command[TB_FINDING_COMMAND]; /* empty: nothing to run */
};

struct tb_findings {
    uint32_t count;
    struct tb_finding item[TB_FINDINGS_MAX];
};

/* Add one; when the list is full it takes the place of the last (the first are the ones to mend
 * first). Returns it, for tb_finding_command(); never NULL. */
struct tb_finding *tb_findings_add(struct tb_findings *list, enum tb_finding_level level,
                                   const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The command that mends it. */
void tb_finding_command(struct tb_finding *finding, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The first that forbids, or NULL. */
const struct tb_finding *tb_findings_wrong(const struct tb_findings *list);

void tb_findings_print(const struct tb_findings *list, FILE *out);

#endif
