/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker's turn: packets in, timers, starts, output. See worker.h. */
#include "engine/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/large.h"

enum {
    RCV_WND = 1 << 20,        /* receive window announced; responses are consumed as they come */
    LINGER_US = 50000,        /* stay that long after the last end, to answer repeated FINs … */
    LINGER_LOSSY_US = 500000, /* … longer when packets were lost */
    LINGER_CLOSING_US =
        1000000, /* … for servers that have not closed yet: since one of them did … */
    LINGER_MOST_US = 30000000 /* … and at most */
};

void tb_worker_touch(struct tb_worker *w, struct tb_user *u)
{
    if (u->flags & TB_USER_DIRTY)
        return;
    if (w->dirty_count == TB_WORKER_DIRTY) { /* of live sessions many may end at once */
        tb_wheel_set(&w->wheel, tb_user_index(w, u), tb_wheel_tick_of(&w->wheel, w->tcp.now_us));
        return;
    }
    u->flags |= TB_USER_DIRTY;
    w->dirty[w->dirty_count++] = tb_user_index(w, u);
}

struct tb_session *tb_worker_session(struct tb_worker *w, struct tb_user *u)
{
    w->session.worker = w;
    w->session.user = u;
    w->session.module = tb_user_script(w, u)->module;
    return &w->session;
}

uint64_t *tb_worker_module_due(const struct tb_worker *w, const struct tb_user *u)
{
    if (!w->module_state)
        return NULL;
    return (uint64_t *) (void *) (w->module_state +
                                  (size_t) tb_user_index(w, u) * w->module_state_bytes);
}

struct tb_tcp_syn tb_worker_syn(const struct tb_worker *w, const struct tb_user *u)
{
    const struct tb_syn *s = &tb_user_script(w, u)->syn;

    return (struct tb_tcp_syn){
        .mss = s->mss < w->config->mss ? s->mss : w->config->mss,
        .wscale = s->wscale,
        .sack = s->sack_permitted,
        .ts = s->timestamps,
    };
}

/* --- hooks of the TCP layer
 * ----------------------------------------------------------------------- */

static struct tb_worker *worker_of(struct tb_tcp_env *env)
{
    return (struct tb_worker *) (void *) ((char *) env - offsetof(struct tb_worker, tcp));
}

static void deliver(struct tb_tcp_env *env, struct tb_tcp *c, const uint8_t *data, uint32_t len)
{
    struct tb_worker *w = worker_of(env);
    struct tb_user *u = tb_user_of(c);

    if (!tb_ending_refuses_data(w, u) && u->phase >= TB_PHASE_PLAYING)
        tb_response_data(w, u, data, len);
}

static void release(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy *tcp_busy)
{
    struct tb_worker *w = worker_of(env);
    struct tb_user *u = tb_user_of(c);
    struct tb_busy *b = (struct tb_busy *) tcp_busy;

    if (b->module_busy) {
        const struct tb_module *m = tb_user_module(w, u);
        if (m->busy_end)
            m->busy_end(tb_worker_session(w, u), tb_pool_at(&w->module_busy, b->module_busy));
    }
    tb_response_forget(w, b);
}

static void flush(struct tb_tcp_env *env)
{
    struct tb_worker *w = worker_of(env);

    if (env->frame_count > 0)
        tb_io_send(w->io, env->frames, env->frame_count);
    env->frame_count = 0;
    env->gather_used = 0;
}

/* --- life
 * ------------------------------------------------------------------------------------------- */

/* Slots for live sessions. */
static int make_slots(struct tb_worker *w)
{
    w->user_count = w->config->live->users;
    w->users = calloc(w->user_count, sizeof *w->users); /* each is made when it is first taken */
    return w->users ? tb_wheel_init(&w->wheel, w->user_count, w->begin_us) : -ENOMEM;
}

static int make_users(struct tb_worker *w)
{
    const struct tb_plan *plan = w->config->plan;

    if (w->config->live)
        return make_slots(w);

    w->user_count = plan->worker_users[w->index];
    w->users = tb_large_new(w->user_count ? w->user_count : 1, sizeof *w->users);
    if (!w->users || tb_wheel_init(&w->wheel, w->user_count, w->begin_us) < 0)
        return -ENOMEM;
    for (uint32_t id = plan->shard, i = 0; i < w->user_count; id += plan->shards) {
        if (tb_plan_worker(plan, id) != w->index)
            continue;
        w->users[i].tcp.owner = id;
        w->users[i].session = id % plan->session_count;
        w->users[i].due_us = TB_NEVER;
        i++;
    }
    if (!w->config->open_loop)
        return 0;
    w->free_users = malloc(((size_t) w->user_count + 1) * sizeof *w->free_users);
    if (!w->free_users)
        return -ENOMEM;
    for (uint32_t i = 0; i < w->user_count; i++)
        w->free_users[i] = i;
    w->free_count = w->user_count;
    return 0;
}

static int make_module_state(struct tb_worker *w)
{
    uint32_t state = 0, busy = 0;
    bool timers = false;

    for (uint32_t i = 0; i < w->config->module_count; i++) {
        const struct tb_module *m = w->config->modules[i].ops;
        if (m->session_size > state)
            state = m->session_size;
        if (m->busy_size > busy)
            busy = m->busy_size;
        timers |= m->timer != NULL;
    }
    tb_pool_init(&w->module_busy, busy ? busy : 16);
    if (!timers && state == 0)
        return 0;
    w->module_state_bytes = (uint32_t) (sizeof(uint64_t) + ((state + 7) & ~7u));
    w->module_state = calloc(w->user_count ? w->user_count : 1, w->module_state_bytes);
    if (!w->module_state)
        return -ENOMEM;
    for (uint32_t i = 0; i < w->user_count; i++)
        *tb_worker_module_due(w, &w->users[i]) = TB_NEVER;
    return 0;
}

int tb_worker_init(struct tb_worker *w, const struct tb_engine_config *config, struct tb_io *io,
                   uint32_t index, uint64_t begin_us, struct tb_err *err)
{
    memset(w, 0, sizeof *w);
    w->config = config;
    w->io = io;
    w->index = index;
    w->begin_us = begin_us;
    tb_tcp_env_init(&w->tcp, sizeof(struct tb_busy));
    tb_pool_init(&w->pendings, sizeof(struct tb_pending));
    tb_pool_init(&w->held, sizeof(struct tb_held));
    tb_pool_init(&w->module_busy, 16);
    w->tcp.now_us = w->tcp.epoch_us = begin_us;
    memcpy(w->tcp.isn_key, config->isn_key, sizeof w->tcp.isn_key);
    w->tcp.mtu = config->mtu;
    w->tcp.gso_max = io->caps.gso_max;
    w->tcp.rcv_wnd = RCV_WND;
    w->tcp.timeout_us = config->timeout_us;
    w->tcp.frames = w->frames;
    w->tcp.frame_room = TB_WORKER_BATCH;
    w->tcp.gather = w->gather;
    w->tcp.gather_room = sizeof w->gather;
    w->tcp.flush = flush;
    w->tcp.deliver = deliver;
    w->tcp.release = release;
    if (make_users(w) < 0 || make_module_state(w) < 0)
        return tb_err_set(err, -ENOMEM, "out of memory for %u users", w->user_count);
    w->arrivals_over = w->user_count == 0;
    if (!config->live)
        return 0;
    int rc = tb_live_open(config->live, w, &w->live, err);
    w->live_users = rc == 0 ? tb_live_users(w->live) : NULL;
    return rc;
}

void tb_worker_fini(struct tb_worker *w)
{
    for (uint32_t i = 0; w->users && i < w->user_count; i++)
        tb_tcp_release(&w->tcp, &w->users[i].tcp);
    tb_live_close(w->live);
    w->live = NULL;
    tb_tcp_env_fini(&w->tcp);
    tb_pool_fini(&w->pendings);
    tb_pool_fini(&w->held);
    tb_pool_fini(&w->module_busy);
    free(w->users);
    tb_wheel_fini(&w->wheel);
    free(w->free_users);
    free(w->module_state);
    free(w->scratch);
    w->users = NULL;
    w->free_users = NULL;
    w->module_state = NULL;
    w->scratch = NULL;
}

/* --- starts
 * --------------------------------------------------------------------------------------------- */

static bool plays_left(const struct tb_worker *w, const struct tb_user *u)
{
    return w->stop == TB_STOP_NONE && (w->config->plays == 0 || u->plays < w->config->plays);
}

static void take_free_user(struct tb_worker *w, uint64_t late_us)
{
    uint32_t i = w->free_users[w->free_first];

    w->free_first = (w->free_first + 1) % w->user_count;
    w->free_count--;
    tb_player_start(w, &w->users[i], late_us);
}

/* When the arrival `back` before the next one was due; 0: the next one itself. */
static uint64_t arrival_us(const struct tb_worker *w, uint64_t back)
{
    uint64_t n = w->next_round * w->user_count + w->next_user - back;
    const struct tb_user *u = &w->users[n % w->user_count];
    uint64_t k = n / w->user_count * w->config->plan->users + u->tcp.owner;

    return w->begin_us + tb_pacing_start_us(w->config->pacing, k);
}

static void next_arrival(struct tb_worker *w)
{
    if (++w->next_user < w->user_count)
        return;
    w->next_user = 0;
    w->next_round++;
    if (w->config->plays != 0 && w->next_round == w->config->plays)
        w->arrivals_over = true;
}

/* Open loop: arrivals that had to wait, the oldest first. */
static void start_late(struct tb_worker *w)
{
    for (uint32_t n = 0; w->backlog > 0 && w->free_count > 0 && n < TB_WORKER_BATCH; n++) {
        uint64_t due = arrival_us(w, w->backlog--);
        w->stats.late++;
        take_free_user(w, w->tcp.now_us - due);
    }
}

/* Closed loop: the arrival's own user starts if it is free; one still busy with an earlier play
 * starts as soon as that is over. Open loop: any free user; without one, the arrival waits. */
static void start_due(struct tb_worker *w)
{
    for (uint32_t n = 0; !w->live && !w->arrivals_over && n < TB_WORKER_BATCH; n++) {
        struct tb_user *u = &w->users[w->next_user];
        if (arrival_us(w, 0) > w->tcp.now_us)
            return;
        next_arrival(w);
        if (w->config->open_loop) {
            if (w->free_count > 0 && w->backlog == 0)
                take_free_user(w, 0);
            else
                w->backlog++;
        } else if (u->phase == TB_PHASE_IDLE && u->due_us == TB_NEVER && plays_left(w, u)) {
            tb_player_start(w, u, 0);
        }
    }
}

void tb_worker_play_over(struct tb_worker *w, struct tb_user *u, int64_t again_us)
{
    uint32_t i = tb_user_index(w, u);

    if (again_us >= 0 && w->stop == TB_STOP_NONE) {
        u->flags |= TB_USER_AGAIN;
        u->due_us = w->tcp.now_us + (uint64_t) again_us;
        w->restarts++;
        return;
    }
    if (w->live)
        return;
    if (w->config->open_loop) {
        /* Not started here, even if arrivals wait: our caller is not done with this play. */
        w->free_users[(w->free_first + w->free_count++) % w->user_count] = i;
        return;
    }
    bool passed = w->next_round > u->plays || (w->next_round == u->plays && w->next_user > i);
    if (passed && plays_left(w, u)) {
        u->due_us = w->tcp.now_us; /* it was due while busy */
        w->restarts++;
    }
}

/* --- the end
 * ------------------------------------------------------------------------------------------- */

void tb_worker_stop(struct tb_worker *w, enum tb_stop how)
{
    if (how <= w->stop)
        return;
    w->stop = how;
    w->sweep = 0;
    w->arrivals_over = true;
    w->backlog = 0;
}

/* --duration and --grace. */
static void check_duration(struct tb_worker *w)
{
    uint64_t duration = w->config->duration_us;
    uint64_t run_us = w->tcp.now_us > w->begin_us ? w->tcp.now_us - w->begin_us : 0;

    if (duration == 0 || run_us < duration)
        return;
    tb_worker_stop(w, TB_STOP_STARTING);
    if (run_us >= duration + w->config->grace_us)
        tb_worker_stop(w, TB_STOP_CUT);
}

/* End what is still open, a batch a turn: sessions that are only held leave when the duration is
 * over; later all are cut or aborted. */
static void sweep(struct tb_worker *w)
{
    enum tb_verdict verdict = w->stop == TB_STOP_CUT ? TB_VERDICT_CUT : TB_VERDICT_ABORTED;

    if (w->stop == TB_STOP_NONE)
        return;
    for (uint32_t n = 0; n < TB_WORKER_BATCH && w->sweep < w->user_count; w->sweep++) {
        struct tb_user *u = &w->users[w->sweep];
        if (w->stop >= TB_STOP_CUT && u->phase != TB_PHASE_IDLE)
            tb_verdict_set(w, u, verdict);
        else if (u->phase == TB_PHASE_HOLDING && tb_user_module(w, u)->holds)
            tb_ending_leave(w, u, false);
        else
            continue;
        n++;
    }
}

/* What is still half-closed when nobody wants to wait any longer. */
static void reset_half_closed(struct tb_worker *w)
{
    for (uint32_t i = 0; i < w->user_count && w->half_closed > 0; i++) {
        struct tb_user *u = &w->users[i];
        struct tb_tcp *c = &u->tcp;
        struct tb_tcp_path path;
        if (c->state == TB_TCP_CLOSED || c->state == TB_TCP_TIME_WAIT)
            continue;
        tb_user_path(w, u, &path);
        tb_tcp_abort(&w->tcp, c, &path);
        w->half_closed--;
    }
    w->half_closed = 0;
    flush(&w->tcp);
}

static bool is_played(const struct tb_worker *w)
{
    return w->arrivals_over && w->stats.open == 0 && w->backlog == 0 &&
           (w->restarts == 0 || w->stop != TB_STOP_NONE);
}

/* Servers that still close, one after the other, are not cut off: a million may take them long. */
static void linger(struct tb_worker *w)
{
    uint64_t now = w->tcp.now_us;

    if (!is_played(w))
        return;
    if (w->linger_until_us == 0)
        w->linger_most_us = now + LINGER_MOST_US;
    bool closing =
        w->half_closed < w->linger_half_closed && w->stop < TB_STOP_CUT && now < w->linger_most_us;
    if (w->linger_until_us == 0 || closing) {
        w->linger_half_closed = w->half_closed;
        w->linger_until_us = now + (w->half_closed             ? LINGER_CLOSING_US
                                    : w->tcp.retransmitted > 0 ? LINGER_LOSSY_US
                                                               : LINGER_US);
    }
    if (now >= w->linger_until_us && w->half_closed > 0)
        reset_half_closed(w);
}

bool tb_worker_is_done(const struct tb_worker *w)
{
    return is_played(w) && w->linger_until_us != 0 && w->tcp.now_us >= w->linger_until_us;
}

/* --- the turn
 * -------------------------------------------------------------------------------------------- */

static void arm(struct tb_worker *w, struct tb_user *u)
{
    uint64_t play_us = tb_player_deadline(w, u);
    uint32_t tick = tb_tcp_deadline(&u->tcp);

    if (play_us != TB_NEVER) {
        uint32_t t = tb_wheel_tick_of(&w->wheel, play_us);
        if (tick == 0 || (int32_t) (t - tick) < 0)
            tick = t ? t : 1;
    }
    if (tick == 0)
        return;
    /* One armed too early only looks again; moving it at every packet would cost more. */
    uint32_t i = tb_user_index(w, u);
    if (tb_wheel_is_armed(&w->wheel, i) && (int32_t) (tb_wheel_due(&w->wheel, i) - tick) <= 0)
        return;
    tb_wheel_set(&w->wheel, i, tick);
}

/* Give back what is not needed any more of a live session. */
static void settle_live(struct tb_worker *w, struct tb_user *u)
{
    if (u->phase == TB_PHASE_PLAYING)
        tb_live_trim(w->live, u);
    else if (u->phase == TB_PHASE_IDLE && u->due_us == TB_NEVER && !u->tcp.busy &&
             !tb_live_resume(w->live, u))
        tb_live_retire(w->live, u);
}

/* Send what `u` has to send, start its next play if that is due, set its timer. */
static void settle(struct tb_worker *w, struct tb_user *u)
{
    struct tb_tcp_path path;
    struct tb_tcp_syn syn = {0};

    if (u->tcp.state == TB_TCP_SYN_SENT)
        syn = tb_worker_syn(w, u);
    tb_user_path(w, u, &path);
    tb_tcp_output(&w->tcp, &u->tcp, &path, &syn);
    if (u->phase == TB_PHASE_IDLE && u->due_us <= w->tcp.now_us) {
        w->restarts--;
        u->due_us = TB_NEVER;
        if (w->stop == TB_STOP_NONE) {
            tb_player_start(w, u, 0);
            syn = tb_worker_syn(w, u);
            tb_user_path(w, u, &path);
            tb_tcp_output(&w->tcp, &u->tcp, &path, &syn);
        }
    }
    u->flags &= (uint16_t) ~TB_USER_DIRTY;
    const struct tb_busy *b = tb_user_busy(w, u);
    if (b &&
        (u->phase == TB_PHASE_IDLE ||
         (!b->first_pending && b->give_up_us == 0 && !b->module_keeps && !b->first_held)) &&
        (u->tcp.state == TB_TCP_CLOSED || tb_tcp_is_quiet(&w->tcp, &u->tcp)))
        tb_tcp_release(&w->tcp, &u->tcp);
    if (w->live)
        settle_live(w, u);
    arm(w, u);
}

/* All that are due first, so that their records are on the way while the earlier ones' are used. */
static uint32_t take_timers(struct tb_worker *w)
{
    uint32_t due[TB_WORKER_BATCH], n = 0;

    while (n < TB_WORKER_BATCH && w->user_count > 0) {
        uint32_t i = tb_wheel_pop(&w->wheel, w->tcp.now_us);
        if (i == TB_WHEEL_NONE)
            break;
        tb_user_prefetch(&w->users[i]);
        due[n++] = i;
    }
    for (uint32_t k = 0; k < n; k++) {
        struct tb_user *u = &w->users[due[k]];
        tb_worker_touch(w, u);
        unsigned events = tb_tcp_timer(&w->tcp, &u->tcp);
        if (events)
            tb_player_events(w, u, events);
        tb_player_timer(w, u);
    }
    return n;
}

bool tb_worker_tick(struct tb_worker *w, uint64_t now_us, uint64_t real_us)
{
    w->tcp.now_us = now_us;
    w->tcp.real_us = real_us;
    uint32_t packets = tb_worker_input(w);
    w->seen_us = now_us;
    bool live_more = w->live && tb_live_take(w->live);
    uint32_t timers = take_timers(w);
    check_duration(w);
    if (w->live && tb_live_is_over(w->live))
        w->arrivals_over = true;
    start_late(w);
    start_due(w);
    sweep(w);
    if (w->live)
        tb_live_announce(w->live);
    for (uint32_t i = 0; i < w->dirty_count; i++)
        settle(w, &w->users[w->dirty[i]]);
    w->dirty_count = 0;
    flush(&w->tcp);
    linger(w);
    return packets == TB_WORKER_BATCH || timers == TB_WORKER_BATCH || live_more;
}

uint64_t tb_worker_next_us(const struct tb_worker *w)
{
    const struct tb_engine_config *c = w->config;
    uint64_t at = w->user_count > 0 ? tb_wheel_next_us(&w->wheel) : UINT64_MAX;
    uint64_t others[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

    if (w->live)
        others[0] = tb_live_next_us(w->live);
    else if (!w->arrivals_over)
        others[0] = arrival_us(w, 0);
    if (c->duration_us && w->stop < TB_STOP_CUT)
        others[1] = w->begin_us + c->duration_us + (w->stop == TB_STOP_STARTING ? c->grace_us : 0);
    if (w->linger_until_us)
        others[2] = w->linger_until_us;
    if ((w->stop != TB_STOP_NONE && w->sweep < w->user_count) ||
        (w->backlog > 0 && w->free_count > 0))
        others[3] = 0;
    for (unsigned i = 0; i < 4; i++)
        if (others[i] < at)
            at = others[i];
    return at;
}
