/* SPDX-License-Identifier: BSD-2-Clause */
/* What the figures of a run suggest to look at. Private to core/report and its tests. */
#ifndef TB_REPORT_ADVICE_H
#define TB_REPORT_ADVICE_H

#include "report/report.h"

struct tb_advice {
    unsigned count;
    char line[16][400]; /* most important first; printable characters only */
};

/* `advice` is zeroed; stays empty when all is well. */
void tb_advice_collect(struct tb_advice *advice, const struct tb_report_input *in);

#endif
