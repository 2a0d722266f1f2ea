/* SPDX-License-Identifier: BSD-2-Clause */
/* One seed from beginning to end in virtual time, which jumps from event to event. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sim.h"

enum { SPINS_MOST = 3000 };

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "simulator: %s\n", what);
    abort();
}

/* Every address pair of the plan, to be found by address and port. */
static void make_slots(struct sim *s)
{
    uint32_t gens = s->plan.generations, size = 4;

    s->slots = s->users * gens;
    while (size < 2 * s->slots)
        size *= 2;
    s->slot_mask = size - 1;
    s->slot = calloc(s->slots, sizeof *s->slot);
    s->slot_of = calloc(size, sizeof *s->slot_of);
    need(s->slot && s->slot_of, "memory");
    for (uint32_t i = 0; i < s->slots; i++) {
        struct slot *k = &s->slot[i];
        k->user = i / gens;
        k->generation = i % gens;
        tb_plan_path(&s->plan, k->user, k->generation, &k->path);
        uint32_t h = tb_addr_low32(&k->path.src) * 0x9E3779B1u + k->path.sport * 40503u;
        while (s->slot_of[h & s->slot_mask])
            h++;
        s->slot_of[h & s->slot_mask] = i + 1;
    }
}

static void start(struct sim *s)
{
    struct tb_err err = {""};

    modules_init(s);
    s->config.plan = &s->plan;
    s->config.pacing = &s->pacing;
    need(tb_plan_init(&s->plan, &s->plan_input, &err) == 0, err.text);
    if (s->config.plays > 1 && tb_rng_below(&s->rng, 2))
        s->plan.generations = 1; /* pairs are used again at once */
    need(tb_pacing_init(&s->pacing, &s->pacing_input) == 0, "pacing");
    make_slots(s);
    for (uint32_t i = 0; i < s->plan_input.workers; i++) {
        net_open(s, &s->io[i], s->gso_max);
        s->worker[i] = malloc(sizeof *s->worker[i]);
        need(s->worker[i], "memory");
        need(tb_worker_init(s->worker[i], &s->config, &s->io[i].io, i, s->epoch_us, &err) == 0,
             err.text);
        s->worker[i]->begin_us = s->begin_us;
    }
}

static void finish(struct sim *s)
{
    for (uint32_t i = 0; i < s->plan_input.workers; i++) {
        tb_worker_fini(s->worker[i]);
        free(s->worker[i]);
        net_close(&s->io[i]);
    }
    for (uint32_t i = 0; i < s->heap_count; i++)
        if (s->heap[i].kind != EV_PEER)
            free(s->heap[i].what);
    free(s->heap);
    peer_free_all(s);
    watch_free_all(s);
    story_forget(s);
    tb_plan_fini(&s->plan);
    tb_pacing_fini(&s->pacing);
    free(s->slot);
    free(s->slot_of);
}

/* --- the run ---------------------------------------------------------------------------------- */

static void to_client(struct sim *s, struct packet *p)
{
    const uint8_t *at = p->data + (p->data[0] >> 4 == 6 ? 36 : 16);
    uint32_t head = p->data[0] >> 4 == 6 ? 40 : 20, worker = 0;
    uint32_t dst = (uint32_t) at[0] << 24 | (uint32_t) at[1] << 16 | (uint32_t) at[2] << 8 | at[3];
    uint16_t port = (uint16_t) (p->data[head + 2] << 8 | p->data[head + 3]);

    if (s->plan_input.workers > 1)
        worker = tb_steer_worker(dst, port, s->plan_input.workers);
    p->next = NULL;
    *s->io[worker].end = p;
    s->io[worker].end = &p->next;
}

static bool happen(struct sim *s)
{
    struct event e;
    bool any = false;

    while (!s->failed && net_pop(s, s->now_us, &e)) {
        any = true;
        switch (e.kind) {
        case EV_TO_SERVER:
            peer_input(s, ((struct packet *) e.what)->data, ((struct packet *) e.what)->len);
            free(e.what);
            break;
        case EV_TO_CLIENT:
            to_client(s, e.what);
            break;
        case EV_PEER:
            peer_run(e.what);
            break;
        }
    }
    return any;
}

static bool is_done(const struct sim *s)
{
    for (uint32_t i = 0; i < s->plan_input.workers; i++)
        if (!tb_worker_is_done(s->worker[i]))
            return false;
    return true;
}

static uint64_t next_us(const struct sim *s)
{
    uint64_t next = net_next_us(s);

    for (uint32_t i = 0; i < s->plan_input.workers; i++) {
        uint64_t at = tb_worker_is_done(s->worker[i]) ? SIM_NONE : tb_worker_next_us(s->worker[i]);
        if (at < next)
            next = at;
    }
    if (s->abort_us > s->now_us && s->abort_us < next)
        next = s->abort_us;
    return next;
}

static void turn(struct sim *s)
{
    for (uint32_t i = 0; i < s->plan_input.workers; i++) {
        if (s->abort_us && s->now_us >= s->abort_us)
            tb_worker_stop(s->worker[i], TB_STOP_ABORT);
        unsigned n = 0;
        while (tb_worker_tick(s->worker[i], s->now_us, s->real_us) && !s->failed)
            if (++n > SPINS_MOST)
                sim_fail(s, NULL, "a worker has always more to do at once");
    }
    watch_turn_over(s);
    judge_turn_over(s);
}

static void run(struct sim *s)
{
    uint64_t most_us = s->begin_us + UINT64_C(40000) * 3600 * SEC;
    uint32_t spins = 0;

    while (!s->failed && !is_done(s)) {
        uint64_t next = next_us(s), sent = s->packets_out;
        if (next == SIM_NONE || next > most_us) {
            sim_fail(s, NULL, "nothing will ever happen again, but the run is not over");
            return;
        }
        spins++;
        if (next > s->now_us + SEC && s->weather.clean)
            judge_idle(s);
        if (next > s->now_us) {
            s->real_us += next - s->now_us;
            s->now_us = next;
            spins = 0;
        }
        if (happen(s))
            spins = 0;
        turn(s);
        if (s->packets_out != sent)
            spins = 0;
        if (spins > SPINS_MOST)
            sim_fail(s, NULL, "the engine turns without doing anything");
    }
}

bool world_play(uint64_t seed, FILE *trace, char *why, size_t room)
{
    struct sim *s = calloc(1, sizeof *s);

    need(s, "memory");
    s->seed = seed;
    s->rng.state = seed * UINT64_C(0x2545F4914F6CDD1D) + 1;
    s->trace = trace;
    story_tell(s);
    start(s);
    run(s);
    if (!s->failed)
        judge_end(s);
    bool fine = !s->failed;
    if (!fine)
        snprintf(why, room, "%s", s->why);
    finish(s);
    free(s);
    return fine;
}
