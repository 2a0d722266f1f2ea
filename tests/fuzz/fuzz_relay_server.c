/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of relay/server: the input is what a stranger sends, over a socket pair instead of a
 * listening socket. The first byte says how it comes: in pieces of which size, behind a good hello
 * (to get at what follows one) or not, and whether the rest is handed in as a packet as well; with
 * both, an answer of the target is there before its session may be registered. A client that was
 * there before must notice nothing, and nothing may be left behind.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "packet/view.h"
#include "relay/server_parts.h"
#include "relay_server_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BEHIND_HELLO = 0x80, AS_PACKET = 0x40, PIECE = 0x3f };

static struct rrig rig;
static struct rrig_peer client;

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* A server with a client that owns 198.18.0.0/16 and wants payload. Kept from input to input. */
static void open_once(void)
{
    static struct tb_relay_hello hello;

    if (rig.server)
        return;
    tb_log_set_level(TB_LOG_ERROR);
    rrig_init(&rig);
    rig.options.silence_us = UINT64_MAX;
    rrig_open(&rig, 1);
    rrig_hello(&hello, 1);
    hello.flags = TB_RELAY_WANT_PAYLOAD;
    rrig_add_range(&hello, "198.18.0.0", 65536);
    rrig_join(&rig, &client, &hello);
}

/* A stranger's connection; our end of it. */
static int come(void)
{
    struct tb_addr addr;
    int fd[2];

    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
    check(tb_addr_parse("192.0.2.1", &addr) == 0);
    check(tb_server_conn_new(rig.server, fd[0], &addr, 1234, tb_clock_mono_us()) == 0);
    return fd[1];
}

static void say(int fd, const uint8_t *data, size_t size, size_t piece)
{
    while (size > 0) {
        size_t take = size < piece ? size : piece;
        if (send(fd, data, take, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t) take)
            return; /* closed by the server, or more than a socket takes */
        data += take;
        size -= take;
        rrig_turn(&rig);
    }
}

static void say_hello(int fd)
{
    static struct tb_relay_hello hello;
    static uint8_t frame[1024];

    rrig_hello(&hello, 2);
    hello.flags = TB_RELAY_WANT_REGISTER | TB_RELAY_WANT_WATCH;
    hello.target_count = 1;
    say(fd, frame, tb_relay_hello_put(frame, sizeof frame, &hello), sizeof frame);
}

static void hand_in(const uint8_t *data, size_t size, uint64_t real_us)
{
    struct tb_relay_lane *lane = tb_relay_server_lane(rig.server, 0);
    uint8_t *exact = malloc(size ? size : 1);

    check(exact != NULL);
    memcpy(exact, data, size);
    tb_relay_lane_begin(lane);
    tb_relay_lane_packet(lane, exact, (uint32_t) size, (uint32_t) size, real_us);
    tb_relay_lane_end(lane);
    free(exact);
}

/* A SYN-ACK to 203.0.113.1 port 1. */
static void hand_in_answer(void)
{
    uint8_t packet[64];
    uint32_t len = rrig_packet(packet, sizeof packet, "203.0.113.1", 1, 0);

    packet[33] = TB_TCP_SYN | TB_TCP_ACK;
    hand_in(packet, len, tb_clock_real_us());
}

/* The client gets its pong, and before it nothing that it cannot decode. */
static void expect_client_is_fine(void)
{
    struct tb_relay_ping ping = {.client_us = 5};
    struct tb_relay_reader reader;
    struct tb_relay_record r;
    uint8_t frame[64], type;
    int rc;

    rrig_send(&rig, &client, frame, tb_relay_ping_put(frame, sizeof frame, TB_RELAY_PING, &ping));
    while ((type = rrig_frame(&rig, &client)) != TB_RELAY_PONG) {
        check(type == TB_RELAY_RECORDS);
        check(tb_relay_reader_init(&reader, client.payload, client.payload_len) == 0);
        while ((rc = tb_relay_reader_next(&reader, &r)) == 1)
            ;
        check(rc == 0);
    }
}

static void expect_nothing_is_left(void)
{
    struct tb_relay_server_figures f;

    tb_relay_server_figures(rig.server, &f);
    check(f.clients == 1 && f.connections == 1 && f.sessions == 0 && f.buffered_bytes == 0);
    check(rig.server->waiting == 0 && rig.server->routes.count == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    open_once();
    size_t piece = data[0] & PIECE ? data[0] & PIECE : 65536;
    int fd = come();
    if (data[0] & BEHIND_HELLO)
        say_hello(fd);
    if ((data[0] & BEHIND_HELLO) && (data[0] & AS_PACKET))
        hand_in_answer();
    say(fd, data + 1, size - 1, piece);
    if (data[0] & AS_PACKET)
        hand_in(data + 1, size - 1, tb_clock_real_us());
    close(fd);
    rrig_turn(&rig);
    rrig_turn(&rig);
    expect_client_is_fine();
    expect_nothing_is_left();
    return 0;
}
