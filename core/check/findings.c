/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of what a check found; see findings.h. */
#include "check/findings.h"

#include <stdarg.h>

struct tb_finding *tb_findings_add(struct tb_findings *list, enum tb_finding_level level,
                                   const char *fmt, ...)
{
    /* When full, the last one is written over: the caller always has something to hold. */
    uint32_t at = list->count < TB_FINDINGS_MAX ? list->count++ : TB_FINDINGS_MAX - 1;
    struct tb_finding *finding = &list->item[at];
    va_list args;

    finding->level = level;
    finding->command[0] = '\0';
    va_start(args, fmt);
    vsnprintf(finding->text, sizeof finding->text, fmt, args);
    va_end(args);
    return finding;
}

void tb_finding_command(struct tb_finding *finding, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(finding->command, sizeof finding->command, fmt, args);
    va_end(args);
}

const struct tb_finding *tb_findings_wrong(const struct tb_findings *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->item[i].level == TB_FINDING_WRONG)
            return &list->item[i];
    return NULL;
}

void tb_findings_print(const struct tb_findings *list, FILE *out)
{
    static const char *const words[] = {
        [TB_FINDING_OK] = "ok", [TB_FINDING_NOTE] = "note", [TB_FINDING_WRONG] = "WRONG"};

    for (uint32_t i = 0; i < list->count; i++) {
        const struct tb_finding *f = &list->item[i];
        fprintf(out, "%-6s %s\n", words[f->level], f->text);
        if (f->command[0])
            fprintf(out, "%-6s   %s\n", "", f->command);
    }
}
