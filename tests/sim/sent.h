/* SPDX-License-Identifier: BSD-2-Clause */
/* What the client sends, looked at segment by segment; between watch.c and sent.c. */
#ifndef TB_SIM_SENT_H
#define TB_SIM_SENT_H

#include "watch.h"

/* Has a retransmission or a probe been due for longer than any timeout may take? */
void sent_check_timer(struct conn *c);
/* In clear weather the client does not leave an open window unused. */
void sent_check_window_used(struct conn *c);
/* watch.c: is an acknowledgement late? */
void watch_check_ack_time(struct conn *c);

#endif
