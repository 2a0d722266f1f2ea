/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/stream: what goes directly, what waits, what is dropped. */
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "relay/stream.h"

enum { FRAME = 10000, PIECE = 32 * 1024 };

struct pair {
    struct tb_stream_memory memory;
    struct tb_stream stream;
    int other;
    uint8_t next_sent, next_read; /* every byte of a frame is its number */
};

static void open_pair(struct pair *p, uint64_t each, uint64_t all, uint64_t small)
{
    int fd[2];

    *p = (struct pair){.memory = {each, all, small, 0}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    tb_stream_init(&p->stream, &p->memory, fd[0], NULL);
    p->other = fd[1];
}

static void close_pair(struct pair *p)
{
    tb_stream_fini(&p->stream);
    close(p->other);
    assert_int_equal(p->memory.used, 0);
}

/* Send the next frame; a dropped one leaves no gap in the numbers. */
static int send_frame(struct pair *p)
{
    uint8_t frame[FRAME];

    memset(frame, p->next_sent, sizeof frame);
    int rc = tb_stream_send(&p->stream, frame, sizeof frame, 1);
    p->next_sent += rc >= 0;
    return rc;
}

/* Send until something waits. */
static void fill(struct pair *p)
{
    int rc;

    while ((rc = send_frame(p)) == 0)
        ;
    assert_int_equal(rc, TB_STREAM_WAITS);
}

/* Read and drain until there is nothing more: whole frames, in order, none missing. */
static void read_frames(struct pair *p)
{
    uint8_t frame[FRAME];
    size_t have = 0;

    for (;;) {
        bool waits = tb_stream_drain(&p->stream) == TB_STREAM_WAITS;
        ssize_t n = recv(p->other, frame + have, sizeof frame - have, 0);
        if (n < 0 && !waits)
            break;
        have += n > 0 ? (size_t) n : 0;
        if (have < sizeof frame)
            continue;
        for (size_t i = 0; i < sizeof frame; i++)
            assert_int_equal(frame[i], p->next_read);
        p->next_read++;
        have = 0;
    }
    assert_int_equal(have, 0);
    assert_int_equal(p->next_read, p->next_sent);
}

static void a_frame_leaves_at_once_while_nothing_waits(void **state)
{
    struct pair p;
    uint8_t got[FRAME];

    open_pair(&p, 1 << 20, 1 << 30, 0);
    assert_int_equal(send_frame(&p), 0);
    assert_int_equal(recv(p.other, got, sizeof got, 0), FRAME);
    assert_int_equal(p.memory.used, 0);
    close_pair(&p);
}

static void frames_that_wait_come_whole_and_in_order(void **state)
{
    struct pair p;

    open_pair(&p, 1 << 20, 1 << 30, 0);
    fill(&p);
    for (int i = 0; i < 20; i++)
        assert_int_equal(send_frame(&p), 0);
    assert_true(p.memory.used > 0);
    read_frames(&p);
    assert_int_equal(p.memory.used, 0);
    assert_int_equal(send_frame(&p), 0);
    read_frames(&p);
    close_pair(&p);
}

static void beyond_the_bound_whole_frames_are_dropped_and_counted(void **state)
{
    struct pair p;
    int rc = 0;

    open_pair(&p, 4 * PIECE, 1 << 30, 0);
    fill(&p);
    while (rc == 0)
        rc = send_frame(&p);
    assert_int_equal(rc, -ENOBUFS);
    assert_int_equal(tb_stream_dropped(&p.stream), 1);
    assert_true(p.memory.used <= 4 * PIECE);
    read_frames(&p);
    close_pair(&p);
}

static void control_frames_are_let_in_a_little_beyond_the_bound(void **state)
{
    struct pair p;
    uint8_t pong[24] = {0};
    int sent = 0;

    open_pair(&p, 4 * PIECE, 1 << 30, 0);
    fill(&p);
    while (send_frame(&p) == 0)
        ;
    while (tb_stream_send(&p.stream, pong, sizeof pong, 0) == 0)
        sent++;
    assert_true(sent > 1000 && sent < 10000);
    assert_int_equal(tb_stream_dropped(&p.stream), 1);
    close_pair(&p);
}

static void when_all_streams_hold_too_much_each_may_hold_little(void **state)
{
    struct pair p;
    int rc = 0;

    open_pair(&p, 1 << 20, 1, 2 * PIECE);
    fill(&p);
    while (rc == 0)
        rc = send_frame(&p);
    assert_int_equal(rc, -ENOBUFS);
    assert_true(p.memory.used <= 2 * PIECE);
    close_pair(&p);
}

static void a_stream_whose_other_end_is_gone_is_broken(void **state)
{
    struct pair p;

    open_pair(&p, 1 << 20, 1 << 30, 0);
    close(p.other);
    assert_int_equal(send_frame(&p), -EPIPE);
    assert_int_equal(send_frame(&p), -EPIPE);
    assert_int_equal(tb_stream_drain(&p.stream), -EPIPE);
    p.other = dup(0);
    close_pair(&p);
}

static void what_the_other_end_sends_is_read(void **state)
{
    struct pair p;
    char got[8] = "";

    open_pair(&p, 1 << 20, 1 << 30, 0);
    assert_int_equal(tb_stream_read(&p.stream, got, sizeof got), -EAGAIN);
    assert_int_equal(send(p.other, "hi", 3, 0), 3);
    assert_int_equal(tb_stream_read(&p.stream, got, sizeof got), 3);
    assert_string_equal(got, "hi");
    shutdown(p.other, SHUT_WR);
    assert_int_equal(tb_stream_read(&p.stream, got, sizeof got), 0);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_leaves_at_once_while_nothing_waits),
        cmocka_unit_test(frames_that_wait_come_whole_and_in_order),
        cmocka_unit_test(beyond_the_bound_whole_frames_are_dropped_and_counted),
        cmocka_unit_test(control_frames_are_let_in_a_little_beyond_the_bound),
        cmocka_unit_test(when_all_streams_hold_too_much_each_may_hold_little),
        cmocka_unit_test(a_stream_whose_other_end_is_gone_is_broken),
        cmocka_unit_test(what_the_other_end_sends_is_read),
    };
    return cmocka_run_group_tests_name("relay/stream", tests, NULL, NULL);
}
