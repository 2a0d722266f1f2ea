/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log says of an intercept server: see client_peer.h. */
#include "relay/client_peer.h"

#include "base/log.h"

enum {
    QUIET_US = 1000000, /* between two lines about one server */
    QUIET_RETRY_US = 10000000
};

/* May a line about the server be written now? Then none for `pause_us`. */
static bool may_speak(struct tb_relay_peer *p, uint64_t now_us, uint64_t pause_us)
{
    unsigned long long until = atomic_load(&p->quiet_until_us);

    return now_us >= until &&
           atomic_compare_exchange_strong(&p->quiet_until_us, &until, now_us + pause_us);
}

void tb_relay_peer_lost(struct tb_relay_peer *p, uint64_t now_us, const char *why)
{
    int fine = TB_RELAY_PEER_FINE;

    if (!atomic_load(&p->greeted) ||
        !atomic_compare_exchange_strong(&p->loss, &fine, TB_RELAY_PEER_LOST))
        return;
    atomic_store(&p->lost_us, now_us);
    if (!may_speak(p, now_us, QUIET_US))
        return;
    atomic_store(&p->loss, TB_RELAY_PEER_LAMENTED);
    tb_log(TB_LOG_WARN, "the channel to %s is lost: %s; trying again", p->name, why);
}

void tb_relay_peer_no_luck(struct tb_relay_peer *p, uint64_t now_us, const char *why)
{
    if (atomic_load(&p->loss) == TB_RELAY_PEER_FINE || !may_speak(p, now_us, QUIET_RETRY_US))
        return;
    atomic_store(&p->loss, TB_RELAY_PEER_LAMENTED);
    tb_log(TB_LOG_WARN, "no channel to %s: %s; trying again", p->name, why);
}

void tb_relay_peer_back(struct tb_relay_peer *p, uint64_t now_us)
{
    atomic_store(&p->greeted, true);
    if (atomic_exchange(&p->loss, TB_RELAY_PEER_FINE) != TB_RELAY_PEER_LAMENTED)
        return;
    uint64_t since_us = atomic_load(&p->lost_us);
    tb_log(TB_LOG_INFO, "the channel to %s is back after %.1f s", p->name,
           now_us > since_us ? (double) (now_us - since_us) / 1e6 : 0);
}

void tb_relay_peer_taken(struct tb_relay_peer *p, uint64_t now_us, uint32_t count,
                         const struct tb_endpoint *first)
{
    char text[TB_ENDPOINT_TEXT];

    if (!may_speak(p, now_us, QUIET_US))
        return;
    tb_log(TB_LOG_WARN,
           "%s: another client has registered %s and %u more of our sessions: their answers go "
           "there; programs that share a target need client ports of their own (-f) or -c",
           p->name, tb_endpoint_format(first, text), count - 1);
}
