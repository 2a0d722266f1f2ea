/* SPDX-License-Identifier: BSD-2-Clause */
/* What a loaded capture holds that its user should know before it is played. See replay.h. */
#include "replay.h"

#include "base/log.h"

enum { TLS_HANDSHAKE = 0x16, TLS_MAJOR = 3 }; /* RFC 8446 §5.1: type and version of a record */

#define LONG_THINK_US (10 * 60 * UINT64_C(1000000))

static bool is_tls(const struct tb_script *s)
{
    const struct tb_request *first = tb_script_first(s);
    const uint8_t *bytes;

    if (!first)
        return false;
    struct tb_run run = tb_request_run(first);
    return tb_run_next(&run, &bytes) > 1 && bytes[0] == TLS_HANDSHAKE && bytes[1] == TLS_MAJOR;
}

static uint64_t longest_think_us(const struct tb_script *s)
{
    uint64_t longest = 0;

    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r))
        if (r->think_us > longest)
            longest = r->think_us;
    return longest;
}

void tb_replay_remarks(const struct tb_replay *r)
{
    const struct tb_trace *t = &r->trace;
    uint64_t longest = 0;
    uint32_t tls = 0;

    if (t->warning[0])
        tb_log(TB_LOG_WARN, "%s", t->warning);
    for (uint32_t i = 0; i < t->session_count; i++) {
        uint64_t think = longest_think_us(t->sessions[i]);
        tls += is_tls(t->sessions[i]);
        if (think > longest)
            longest = think;
    }
    if (tls > 0)
        tb_log(TB_LOG_WARN,
               "%u of %u sessions are TLS: their bytes are played as they are, but a TLS server "
               "will refuse them, because every handshake has keys of its own; capture behind "
               "the TLS end point instead",
               tls, t->session_count);
    if (tb_pacing_scale_us(&r->pacing, longest) > LONG_THINK_US)
        tb_log(TB_LOG_WARN,
               "a client pauses for %.0f minutes, and so will its user (a clock set forward during "
               "the capture?): -a N divides pauses, -a 0 leaves them out",
               (double) tb_pacing_scale_us(&r->pacing, longest) / 60e6);
}
