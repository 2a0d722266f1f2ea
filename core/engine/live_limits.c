/* SPDX-License-Identifier: BSD-2-Clause */
/* How many live sessions are played: what memory and time allow; see live_state.h. */
#include "engine/live_state.h"

#include "base/log.h"
#include "engine/modules.h"

enum {
    SHED_FOR_MEMORY = 64, /* sessions given up per look */
    SHED_FOR_TIME = 1024,
    KEEP_UP_US = 50000, /* after that, until the tap is asked again */
    BACKLOG_MOST = 4,   /* eighths, unless they are about to be read … */
    BACKLOG_FULL = 6    /* … and then */
};

uint64_t tb_live_memory(const struct tb_live *l)
{
    const struct tb_worker *w = l->w;
    const struct tb_pool *pools[] = {
        &l->flows.pool, &w->held,      &w->pendings,   &w->module_busy,
        &w->tcp.busy,   &w->tcp.spans, &w->tcp.copies, &w->tcp.blocks,
    };
    uint64_t sum = l->flows.drafting.bytes_in_use + l->flows.reassembly.held_server_bytes +
                   l->flows.reassembly.held_client_bytes + tb_host_memory_bytes();

    for (unsigned i = 0; i < sizeof pools / sizeof *pools; i++)
        sum += pools[i]->in_use * pools[i]->object_bytes;
    return sum;
}

/* Has it something that the target has not got yet? */
static bool is_unplayed(const struct tb_worker *w, const struct tb_user *u)
{
    const struct tb_script *s = tb_user_script(w, u);

    return u->phase == TB_PHASE_CONNECTING || !tb_tcp_is_acked(&w->tcp, &u->tcp) ||
           (u->sent ? tb_script_next(u->sent) : tb_script_first(s)) != NULL;
}

/* All that the session has is given back at once, unless another replica plays it, too. */
static void give_up(struct tb_live *l, uint32_t slot)
{
    struct tb_user *u = tb_live_slot_user(l, slot);

    l->users[slot].waits = false;
    tb_verdict_set(l->w, u, TB_VERDICT_SHED);
    if (u->due_us != TB_NEVER)
        return;
    tb_tcp_release(&l->w->tcp, &u->tcp);
    tb_live_retire(l, u);
}

void tb_live_keep_memory(struct tb_live *l)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        uint32_t slot = l->oldest, next;
        for (unsigned n = 0; n < SHED_FOR_MEMORY && slot != TB_LIVE_NOBODY; slot = next) {
            struct tb_user *u = tb_live_slot_user(l, slot);
            if (tb_live_memory(l) <= l->config->memory_bytes)
                return;
            next = l->users[slot].newer;
            bool is_over = u->phase == TB_PHASE_IDLE && !l->users[slot].waits;
            if (is_over || (pass == 0 && !is_unplayed(l->w, u)))
                continue;
            l->w->stats.live.shed_memory++;
            give_up(l, slot);
            n++;
        }
    }
}

/* Those beyond what is allowed now. */
static void shed_running(struct tb_live *l)
{
    uint64_t now = l->w->tcp.now_us;
    uint32_t slot = l->oldest, next;

    for (unsigned n = 0; slot != TB_LIVE_NOBODY; slot = next) {
        const struct tb_live_user *lu = &l->users[slot];
        next = lu->newer;
        bool is_over = tb_live_slot_user(l, slot)->phase == TB_PHASE_IDLE && !lu->waits;
        if (is_over ||
            tb_live_share_keeps(&l->share, &lu->script->client, lu->script->client_port, now))
            continue;
        if (n++ == SHED_FOR_TIME)
            return;
        l->w->stats.live.shed_cpu++;
        give_up(l, slot);
    }
    l->sheds = false;
}

static void look_at_share(struct tb_live *l)
{
    uint64_t now = l->w->tcp.now_us;

    l->share_look_us = now + TB_LIVE_SHARE_LOOK_US;
    tb_tap_groups(l->tap, tb_live_share_look(&l->share, now));
}

/* What is captured piles up, and is not less than at the last look. */
static bool is_behind(struct tb_live *l)
{
    uint32_t backlog = tb_tap_backlog(l->tap), before = l->backlog;

    l->backlog = backlog;
    return backlog >= BACKLOG_MOST && backlog >= before &&
           (before >= BACKLOG_MOST || backlog >= BACKLOG_FULL);
}

void tb_live_keep_up(struct tb_live *l)
{
    static struct tb_log_limit limit;
    uint64_t now = l->w->tcp.now_us;

    if (now >= l->keep_up_us && is_behind(l)) {
        tb_live_share_behind(&l->share);
        l->sheds = true;
        l->keep_up_us = now + KEEP_UP_US;
        look_at_share(l);
        tb_log_limited(&limit, TB_LOG_WARN,
                       "more is captured than can be copied in time: some sessions are given up; "
                       "give it more processors (--workers), or a smaller share (-r)");
    }
    if (l->sheds)
        shed_running(l);
    if (now >= l->share_look_us)
        look_at_share(l);
}

void tb_live_busy(struct tb_live *l, double share)
{
    l->sheds |= tb_live_share_busy(&l->share, share);
    look_at_share(l);
}
