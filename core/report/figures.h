/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The figures of a run by name, as --fail-on knows them. Private to core/report.
 */
#ifndef TB_REPORT_FIGURES_H
#define TB_REPORT_FIGURES_H

#include "report/report.h"

enum tb_figure_kind { TB_FIGURE_COUNT, TB_FIGURE_TIME };

/* What a percentage of the figure is relative to. */
enum tb_figure_base {
    TB_BASE_NONE,
    TB_BASE_SESSIONS,
    TB_BASE_REQUESTS,
    TB_BASE_PACKETS_SENT,
    TB_BASE_PACKETS_RECEIVED,
    TB_BASE_CAPTURED
};

struct tb_figure {
    enum tb_figure_kind kind;
    enum tb_figure_base base;
    double value, whole; /* count or microseconds; what 100 % are */
};

/* Look `name` up; with `in` NULL only kind and base are filled in. False: there is no such figure.
 */
bool tb_figure_find(const char *name, const struct tb_report_input *in, struct tb_figure *out);

/* All names for a message, in `buf`. */
const char *tb_figure_names(char buf[768]);

/* Captured sessions that were not used. */
uint64_t tb_figure_skipped(const struct tb_report_input *in);

#endif
