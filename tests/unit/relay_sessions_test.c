/* SPDX-License-Identifier: BSD-2-Clause */
/* What a client's connection says of registered sessions. The test is the owner of the sessions
 * (those of a table, by number) and the server: it keeps what the frames leave registered. */
#include "unit.h"
#include "relay/client_sessions.h"
#include "relay/frame.h"

enum { SESSIONS = 5000, ROOM = 64 * 1024, ONE = TB_RELAY_HEAD + TB_RELAY_SESSION_BYTES };

struct world {
    struct tb_relay_gather g;
    bool owned[SESSIONS], known[SESSIONS]; /* by the owner; by the server */
    uint32_t frames, walked;
    uint8_t out[ROOM];
};

static struct tb_endpoint session(uint32_t i)
{
    static const uint8_t first[4] = {203, 0, 113, 0};
    return (struct tb_endpoint){tb_addr_plus(tb_addr_v4(first), i / 1000), (uint16_t) (i % 1000)};
}

static uint32_t number_of(const struct tb_endpoint *s)
{
    struct tb_endpoint first = session(0);
    return (tb_addr_low32(&s->addr) - tb_addr_low32(&first.addr)) * 1000 + s->port;
}

static bool next_owned(void *ctx, uint64_t *cursor, struct tb_endpoint *out)
{
    struct world *w = ctx;

    while (*cursor < SESSIONS && !w->owned[*cursor])
        ++*cursor;
    if (*cursor == SESSIONS)
        return false;
    w->walked++;
    *out = session((uint32_t) (*cursor)++);
    return true;
}

static struct world *a_world(void)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->g.walk = next_owned;
    w->g.ctx = w;
    w->g.columns = 1;
    return w;
}

/* The server takes the frames of w->out. */
static void take(struct world *w, size_t len)
{
    static struct tb_endpoint sessions[TB_RELAY_SESSIONS_MAX];
    struct tb_relay_head head;

    for (size_t at = 0; at < len; at += TB_RELAY_HEAD + head.len) {
        assert_int_equal(tb_relay_head_get(w->out + at, len - at, &head), 0);
        int count = tb_relay_sessions_get(w->out + at + TB_RELAY_HEAD, head.len, sessions);
        assert_true(count >= 0);
        w->frames++;
        if (head.type == TB_RELAY_UNREGISTER && count == 0)
            memset(w->known, 0, sizeof w->known);
        for (int i = 0; i < count; i++)
            w->known[number_of(&sessions[i])] = head.type == TB_RELAY_REGISTER;
    }
}

static void come(struct world *w, uint32_t i, size_t room)
{
    struct tb_endpoint s = session(i);

    w->owned[i] = true;
    take(w, tb_relay_gather_come(&w->g, &s, w->out, room));
}

static void go(struct world *w, uint32_t i, size_t room)
{
    struct tb_endpoint s = session(i);

    w->owned[i] = false;
    take(w, tb_relay_gather_go(&w->g, &s, w->out, room));
}

static void flush(struct world *w, size_t room)
{
    size_t len = tb_relay_gather_write(&w->g, w->out, room);

    assert_true(len <= room);
    take(w, len);
}

static void assert_all_known(const struct world *w)
{
    assert_false(tb_relay_gather_has_more(&w->g));
    assert_memory_equal(w->known, w->owned, sizeof w->known);
}

static void what_a_turn_brings_leaves_in_a_frame_of_each_kind(void **state)
{
    (void) state;
    struct world *w = a_world();

    for (uint32_t i = 0; i < 10; i++)
        come(w, i, ROOM);
    flush(w, ROOM);
    assert_int_equal(w->frames, 1);
    for (uint32_t i = 0; i < 10; i++) {
        go(w, i, ROOM);
        come(w, 100 + i, ROOM);
    }
    flush(w, ROOM);
    assert_int_equal(w->frames, 3);
    assert_int_equal(w->walked, 0);
    assert_all_known(w);
    free(w);
}

static void a_port_may_be_used_again_in_the_turn_it_became_free(void **state)
{
    (void) state;
    struct world *w = a_world();

    come(w, 7, ROOM);
    flush(w, ROOM);
    go(w, 7, ROOM);
    come(w, 7, ROOM);
    flush(w, ROOM);
    assert_true(w->known[7]);
    assert_all_known(w);
    free(w);
}

static void a_session_that_came_and_went_in_one_turn_is_gone(void **state)
{
    (void) state;
    struct world *w = a_world();

    come(w, 6, ROOM);
    come(w, 7, ROOM);
    come(w, 8, ROOM);
    go(w, 7, ROOM);
    flush(w, ROOM);
    assert_false(w->known[7]);
    assert_all_known(w);
    free(w);
}

static void a_turn_may_bring_more_than_a_frame_holds(void **state)
{
    (void) state;
    struct world *w = a_world();

    for (uint32_t i = 0; i < 3 * TB_RELAY_GATHER_MAX; i++)
        come(w, i, ROOM);
    for (uint32_t i = 0; i < 2 * TB_RELAY_GATHER_MAX; i++)
        go(w, i, ROOM);
    flush(w, ROOM);
    assert_int_equal(w->g.delayed, 0);
    assert_all_known(w);
    free(w);
}

static void a_new_connection_says_all_there_are_as_there_is_room(void **state)
{
    (void) state;
    struct world *w = a_world();
    int turns = 0;

    for (uint32_t i = 0; i < SESSIONS; i += 2)
        w->owned[i] = true;
    tb_relay_gather_restart(&w->g);
    for (; tb_relay_gather_has_more(&w->g); turns++) {
        /* Some go before they are said, some after; some come. */
        go(w, (uint32_t) turns * 10, 0);
        go(w, SESSIONS - 2 - (uint32_t) turns * 10, 0);
        come(w, (uint32_t) turns * 2 + 1, 0);
        flush(w, 4096);
    }
    assert_true(turns >= SESSIONS / 2 * TB_RELAY_SESSION_BYTES / 4096);
    assert_all_known(w);
    free(w);
}

static void sessions_that_find_no_room_are_said_when_there_is_some(void **state)
{
    (void) state;
    struct world *w = a_world();

    for (uint32_t i = 0; i < 2 * TB_RELAY_GATHER_MAX; i++)
        come(w, i, 0);
    assert_int_equal(w->g.delayed, TB_RELAY_GATHER_MAX);
    for (int turn = 0; turn < 3; turn++)
        flush(w, ONE - 1);
    assert_int_equal(w->frames, 0);
    while (tb_relay_gather_has_more(&w->g))
        flush(w, ROOM);
    assert_all_known(w);
    free(w);
}

static void sessions_that_go_while_there_is_no_room_are_not_left_behind(void **state)
{
    (void) state;
    struct world *w = a_world();

    for (uint32_t i = 0; i < 4 * TB_RELAY_GATHER_MAX; i++)
        come(w, i, ROOM);
    flush(w, ROOM);
    for (uint32_t i = 0; i < 3 * TB_RELAY_GATHER_MAX; i++)
        go(w, i, 0);
    come(w, SESSIONS - 1, 0);
    assert_true(w->known[0]);
    while (tb_relay_gather_has_more(&w->g))
        flush(w, ROOM);
    assert_all_known(w);
    free(w);
}

static void a_lost_connection_has_nothing_more_to_say(void **state)
{
    (void) state;
    struct world *w = a_world();

    come(w, 1, ROOM);
    go(w, 2, ROOM);
    tb_relay_gather_forget(&w->g);
    assert_false(tb_relay_gather_has_more(&w->g));
    flush(w, ROOM);
    assert_int_equal(w->frames, 0);
    free(w);
}

static void several_connections_share_the_sessions(void **state)
{
    (void) state;
    struct world *w = a_world();
    uint32_t frames = 0;

    memset(w->owned, true, sizeof w->owned);
    w->g.columns = 3;
    for (w->g.column = 0; w->g.column < 3; w->g.column++) {
        tb_relay_gather_restart(&w->g);
        while (tb_relay_gather_has_more(&w->g))
            flush(w, ROOM);
        assert_true(w->frames > frames);
        frames = w->frames;
    }
    assert_true(frames < 2 + SESSIONS / TB_RELAY_GATHER_MAX + 3);
    assert_all_known(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_turn_brings_leaves_in_a_frame_of_each_kind),
        cmocka_unit_test(a_port_may_be_used_again_in_the_turn_it_became_free),
        cmocka_unit_test(a_session_that_came_and_went_in_one_turn_is_gone),
        cmocka_unit_test(a_turn_may_bring_more_than_a_frame_holds),
        cmocka_unit_test(a_new_connection_says_all_there_are_as_there_is_room),
        cmocka_unit_test(sessions_that_find_no_room_are_said_when_there_is_some),
        cmocka_unit_test(sessions_that_go_while_there_is_no_room_are_not_left_behind),
        cmocka_unit_test(a_lost_connection_has_nothing_more_to_say),
        cmocka_unit_test(several_connections_share_the_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
