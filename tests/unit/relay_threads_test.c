/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * relay/server with all its threads: a control thread, two lanes, clients that read, that do not
 * read, and that come and go with sessions. Run it built with --enable-tsan as well.
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "packet/view.h"
#include "packet/wire.h"
#include "relay_server_rig.h"

enum { LANES = 2, TURNS = 1000, PER_TURN = 12, TO_READER = TURNS * PER_TURN / 4 };

struct world {
    struct rrig rig;
    struct rrig_peer reader, sleeper, guest;
    int stop[2];
    atomic_bool done;
    uint32_t guests;
};

static struct world *w;

/* Read and say hello by blocking calls: the loop turns in the control thread. */
static void join(struct rrig_peer *p, const struct tb_relay_hello *hello)
{
    static _Thread_local uint8_t frame[TB_RELAY_HEAD + TB_RELAY_CONTROL_MAX];
    size_t len = tb_relay_hello_put(frame, sizeof frame, hello);

    rrig_dial(&w->rig, p);
    assert_int_equal(send(p->fd, frame, len, MSG_NOSIGNAL), (ssize_t) len);
}

static uint8_t next_frame(struct rrig_peer *p)
{
    struct tb_relay_head head;

    memmove(p->input, p->input + p->taken, p->len - p->taken);
    p->len -= p->taken;
    p->taken = 0;
    while (tb_relay_head_get(p->input, p->len, &head) < 0 || p->len < TB_RELAY_HEAD + head.len) {
        ssize_t n = recv(p->fd, p->input + p->len, sizeof p->input - p->len, 0);
        if (n <= 0)
            return 0;
        p->len += (uint32_t) n;
    }
    p->payload = p->input + TB_RELAY_HEAD;
    p->payload_len = head.len;
    p->taken = TB_RELAY_HEAD + head.len;
    return head.type;
}

static void *control(void *arg)
{
    event_base_dispatch(w->rig.base);
    return NULL;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    event_base_loopbreak(w->rig.base);
}

/* Packets for the reader (numbered), the sleeper (large), the guest's range and a guest's session.
 */
static void *lane_thread(void *arg)
{
    static const char *const to[] = {"198.18.0.1", "198.18.1.1", "198.18.2.1", "203.0.113.1"};
    uint32_t number = (uint32_t) (uintptr_t) arg, sent = 0, len[4];
    struct tb_relay_lane *lane = tb_relay_server_lane(w->rig.server, number);
    static uint8_t packets[LANES][4][2048];

    for (int i = 0; i < 4; i++)
        len[i] = rrig_packet(packets[number][i], sizeof *packets[number], to[i],
                             (uint16_t) (1000 + number), i == 1 ? 1400 : 0);
    packets[number][3][33] = TB_TCP_SYN | TB_TCP_ACK; /* kept while no guest has registered it */
    for (int turn = 0; turn < TURNS; turn++) {
        tb_relay_lane_begin(lane);
        for (int i = 0; i < PER_TURN; i++) {
            uint8_t *packet = packets[number][i % 4];
            if (i % 4 == 0)
                tb_put_be32(packet + 24, sent++); /* the sequence number */
            tb_relay_lane_packet(lane, packet, len[i % 4], len[i % 4], tb_clock_real_us());
        }
        tb_relay_lane_end(lane);
    }
    return NULL;
}

/* Come, register a session, read until a ping is answered, and go. */
static void *guest_thread(void *arg)
{
    struct tb_endpoint session = {.port = 1000};
    struct tb_relay_hello *hello = malloc(sizeof *hello);
    struct tb_relay_ping ping = {.client_us = 1};
    uint8_t frames[128], type;

    if (!hello)
        return NULL;
    tb_addr_parse("203.0.113.1", &session.addr);
    size_t len = tb_relay_sessions_put(frames, sizeof frames, TB_RELAY_REGISTER, &session, 1);
    len += tb_relay_ping_put(frames + len, sizeof frames - len, TB_RELAY_PING, &ping);
    rrig_hello(hello, 3);
    hello->flags = TB_RELAY_WANT_REGISTER;
    rrig_add_range(hello, "198.18.2.0", 256);
    while (!atomic_load(&w->done)) {
        join(&w->guest, hello);
        if (send(w->guest.fd, frames, len, MSG_NOSIGNAL) == (ssize_t) len)
            do
                type = next_frame(&w->guest);
            while (type != TB_RELAY_PONG && type != 0);
        w->guests++;
        rrig_disconnect(&w->guest);
    }
    free(hello);
    return NULL;
}

/* The numbers of both lanes come complete and in order. */
static void expect_all(struct rrig_peer *p)
{
    uint32_t expected[LANES] = {0};
    struct tb_relay_reader reader;
    struct tb_relay_record r;
    struct tb_segment seg;

    while (expected[0] < TO_READER || expected[1] < TO_READER) {
        assert_int_equal(next_frame(p), TB_RELAY_RECORDS);
        assert_int_equal(tb_relay_reader_init(&reader, p->payload, p->payload_len), 0);
        while (tb_relay_reader_next(&reader, &r) == 1) {
            assert_int_equal(tb_segment_parse(r.data, r.len, &seg), 0);
            assert_true(seg.dport == 1000 || seg.dport == 1001);
            assert_int_equal(seg.seq, expected[seg.dport - 1000]++);
        }
    }
}

static void lanes_clients_and_control_do_not_disturb_each_other(void **state)
{
    pthread_t control_id, guest_id, lane_id[LANES];
    struct tb_relay_hello *hello = calloc(1, sizeof *hello);
    struct tb_relay_server_figures f;

    assert_non_null(hello);
    w = calloc(1, sizeof *w);
    assert_non_null(w);
    rrig_init(&w->rig);
    w->rig.options.silence_us = UINT64_C(3600) * 1000000;
    rrig_open(&w->rig, LANES);
    assert_int_equal(pipe(w->stop), 0);
    struct event *stop = event_new(w->rig.base, w->stop[0], EV_READ, on_stop, NULL);
    event_add(stop, NULL);
    assert_int_equal(pthread_create(&control_id, NULL, control, NULL), 0);

    rrig_hello(hello, 1);
    rrig_add_range(hello, "198.18.0.0", 256);
    join(&w->reader, hello);
    assert_int_equal(next_frame(&w->reader), TB_RELAY_WELCOME);
    rrig_hello(hello, 2);
    hello->flags = TB_RELAY_WANT_PAYLOAD;
    rrig_add_range(hello, "198.18.1.0", 256);
    join(&w->sleeper, hello);
    assert_int_equal(next_frame(&w->sleeper), TB_RELAY_WELCOME);

    assert_int_equal(pthread_create(&guest_id, NULL, guest_thread, NULL), 0);
    for (uintptr_t i = 0; i < LANES; i++)
        assert_int_equal(pthread_create(&lane_id[i], NULL, lane_thread, (void *) i), 0);
    expect_all(&w->reader);
    for (int i = 0; i < LANES; i++)
        pthread_join(lane_id[i], NULL);
    atomic_store(&w->done, true);
    pthread_join(guest_id, NULL);
    assert_int_equal(write(w->stop[1], "", 1), 1);
    pthread_join(control_id, NULL);

    tb_relay_server_figures(w->rig.server, &f);
    assert_int_equal(f.packets, LANES * TURNS * PER_TURN);
    assert_int_equal(f.records + f.unrouted + f.dropped, f.packets);
    assert_true(w->guests > 0);
    rrig_disconnect(&w->reader);
    rrig_disconnect(&w->sleeper);
    event_free(stop);
    close(w->stop[0]);
    close(w->stop[1]);
    rrig_close(&w->rig);
    free(w);
    free(hello);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_clients_and_control_do_not_disturb_each_other),
    };
    tb_log_set_level(TB_LOG_WARN);
    return cmocka_run_group_tests_name("relay/server threads", tests, NULL, NULL);
}
