/* SPDX-License-Identifier: BSD-2-Clause */
/* What the client sends, looked at segment by segment; between watch.c and sent.c. */
#ifndef TB_SIM_SENT_H
#define TB_SIM_SENT_H

#include "watch.h"

/* Has a retransmission or a probe been due for longer than any timeout may take? */
void sent_check_timer(struct conn *c);
/* In clear weather the client does not leave an open window unused. */
void sent_check_window_used(struct conn *c);
/* RFC 6928. */
uint64_t sent_initial_window(const struct conn *c);

/* cwnd.c: the handshake is over; `acked` bytes were acknowledged, up to `to`; a fast retransmission
 * was seen; a timeout was (`is_first`: of these bytes); or something that can be either. */
void cwnd_open(struct conn *c);
void cwnd_acked(struct conn *c, uint64_t to, uint64_t acked);
void cwnd_fast_retransmit(struct conn *c);
void cwnd_timeout(struct conn *c, bool is_first);
void cwnd_forget(struct conn *c);
/* May the client, in SACK recovery, send this again? */
void cwnd_repeat(struct conn *c, uint64_t from, uint64_t to);
/* May the client send up to `to`? */
void cwnd_check(struct conn *c, uint64_t to);
void cwnd_turn_over(struct conn *c);

/* watch.c: is an acknowledgement late? */
void watch_check_ack_time(struct conn *c);

#endif
