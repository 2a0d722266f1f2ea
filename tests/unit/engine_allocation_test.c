/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rule 1 of the design: after warm-up a turn of the engine takes no memory from the system. The
 * linker puts the counters below between the engine and libc (--wrap, see engine.mk).
 */
#include "engine_rig.h"

#include <stdlib.h>
#include <sys/mman.h>

/* --- counting --------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
bool __real_tb_worker_tick(struct tb_worker *w, uint64_t now_us, uint64_t real_us);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
bool __wrap_tb_worker_tick(struct tb_worker *w, uint64_t now_us, uint64_t real_us);

static struct {
    uint64_t warm_at; /* sessions started by then are the warm-up */
    bool inside;      /* a turn of a warm engine */
    unsigned allocations, turns;
} counted;

static void count(void)
{
    counted.allocations += counted.inside;
}

void *__wrap_malloc(size_t size)
{
    count();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    count();
    return __real_calloc(number, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    count();
    return __real_realloc(p, size);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    count();
    return __real_mmap(at, len, prot, flags, fd, offset);
}

bool __wrap_tb_worker_tick(struct tb_worker *w, uint64_t now_us, uint64_t real_us)
{
    counted.inside = w->stats.started >= counted.warm_at;
    counted.turns += counted.inside;
    bool more = __real_tb_worker_tick(w, now_us, real_us);
    counted.inside = false;
    return more;
}

/* --- tests ------------------------------------------------------------------------------------ */

enum { USERS = 20, PLAYS = 40, WARM = USERS * PLAYS / 2 };

static const struct tb_host *host;

/* Every request in two pieces, one of them the module's own. */
static enum tb_request_action send_pieces(struct tb_session *s, const struct tb_request_info *r)
{
    if (!r)
        return TB_REQUEST_SEND;
    assert_int_equal(host->send(s, r->data, 50), 0);
    assert_int_equal(host->send_captured(s, 50, r->len - 50), 0);
    return TB_REQUEST_REPLACED;
}

static enum tb_response_status take_all(struct tb_session *s, const uint8_t *data, size_t len,
                                        unsigned flags, size_t *used)
{
    uint32_t *so_far = host->busy_state(s);

    (void) data;
    *used = len;
    if (flags || (*so_far += (uint32_t) len) < 3000)
        return TB_RESPONSE_MORE;
    *so_far = 0;
    return TB_RESPONSE_COMPLETE;
}

static void play(struct world *w)
{
    counted.warm_at = WARM;
    counted.allocations = counted.turns = 0;
    w->plan_input.users = USERS;
    w->config.plays = PLAYS;
    SESSION(w, {.request = 900, .response = 3000},
            {.request = 3000, .response = 3000, .think_us = 5 * MILLISECONDS});
    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, USERS * PLAYS);
    assert_true(counted.turns > 100);
}

static void warm_engine_takes_no_memory(void **state)
{
    play(*state);
    assert_int_equal(counted.allocations, 0);
}

static void warm_engine_with_a_rewriting_module_takes_no_memory(void **state)
{
    struct world *w = *state;
    host = &w->host;
    w->module.needs_payload = true;
    w->module.busy_size = sizeof(uint32_t);
    w->module.request = send_pieces;
    w->module.response = take_all;

    play(w);
    assert_int_equal(counted.allocations, 0);
}

static void counters_see_the_warm_up(void **state)
{
    struct world *w = *state;
    counted.warm_at = 0;
    counted.allocations = 0;
    SESSION(w, {.request = 900, .response = 3000});

    world_run(w);
    assert_true(counted.allocations > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(warm_engine_takes_no_memory),
        WORLD_TEST(warm_engine_with_a_rewriting_module_takes_no_memory),
        WORLD_TEST(counters_see_the_warm_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
