/* SPDX-License-Identifier: BSD-2-Clause */
/* The handshake of --check against a made-up peer, and the list of findings (core/check). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check/findings.h"
#include "check/host.h"
#include "check/probe.h"
#include "io/io.h"
#include "packet/view.h"

/* --- a peer behind struct tb_io --------------------------------------------------------------- */

struct peer {
    struct tb_io io;
    uint8_t flags;       /* of the answer to a SYN; 0: none */
    uint8_t then;        /* of the answer to what follows the handshake; 0: none */
    uint32_t deaf_to;    /* segments to ignore first */
    uint32_t ack_off_by; /* added to the right acknowledgement */
    uint32_t syns, acks, rsts;
    uint32_t rst_seq;
    uint16_t rst_window;
    uint8_t answer[128];
    uint32_t answer_len; /* 0: nothing to receive */
};

static void answer(struct peer *peer, const struct tb_segment *seg, uint8_t flags)
{
    bool syn = seg->flags & TB_TCP_SYN;
    struct tb_frame frame;

    if (!flags || peer->deaf_to) {
        peer->deaf_to -= peer->deaf_to > 0;
        return;
    }
    tb_frame_build(&frame,
                   &(struct tb_frame_spec){.src = &seg->dst,
                                           .dst = &seg->src,
                                           .sport = seg->dport,
                                           .dport = seg->sport,
                                           .seq = syn ? 1000 : 1001,
                                           .ack = seg->seq + 1 + peer->ack_off_by,
                                           .flags = flags},
                   NULL, 0);
    peer->answer_len = tb_frame_flatten(&frame, peer->answer, sizeof peer->answer);
}

static void peer_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct peer *peer = (struct peer *) io;
    uint8_t packet[128];
    struct tb_segment seg;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = tb_frame_flatten(&frames[i], packet, sizeof packet);
        assert_int_equal(tb_segment_parse(packet, len, &seg), 0);
        if (seg.flags & TB_TCP_RST) {
            peer->rsts++;
            peer->rst_seq = seg.seq;
            peer->rst_window = seg.window;
        } else if (seg.flags & TB_TCP_SYN) {
            assert_int_equal(seg.opt.mss, 1460);
            peer->syns++;
            answer(peer, &seg, peer->flags);
        } else {
            assert_int_equal(seg.ack, 1001);
            if (peer->acks++ % 2) /* of each two, the one before the window must be answered */
                answer(peer, &seg, peer->then);
        }
    }
}

static uint32_t peer_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct peer *peer = (struct peer *) io;

    if (!peer->answer_len || !max)
        return 0;
    packets[0] = (struct tb_packet){.data = peer->answer, .len = peer->answer_len};
    peer->answer_len = 0;
    return 1;
}

static void peer_wait(struct tb_io *io, uint64_t timeout_us)
{
}

static const struct tb_io_ops peer_ops = {
    .name = "peer", .recv = peer_recv, .send = peer_send, .wait = peer_wait};

enum { SYN_ACK = TB_TCP_SYN | TB_TCP_ACK };

/* Runs one probe against the peer, with hardly any patience. */
static struct tb_probe probe(struct peer *peer)
{
    static const struct tb_probe_patience patience = {3, 200};
    struct tb_probe p = {.isn = UINT32_MAX, .client.port = 20000, .target.port = 80};

    peer->io.ops = &peer_ops;
    tb_addr_parse("198.19.0.1", &p.client.addr);
    tb_addr_parse("10.0.0.5", &p.target.addr);
    tb_probe_run(&peer->io, &p, 1, &patience);
    return p;
}

static void handshake_is_confirmed_and_ended_with_a_marked_rst(void **state)
{
    struct peer peer = {.flags = SYN_ACK, .then = TB_TCP_ACK};

    assert_int_equal(probe(&peer).answer, TB_PROBE_OPEN);
    assert_int_equal(peer.syns, 1);
    assert_int_equal(peer.acks, 2);
    assert_int_equal(peer.rsts, 1);
    assert_int_equal(peer.rst_seq, 0); /* the ISN was 2^32 - 1 */
    assert_int_equal(peer.rst_window, TB_PROBE_MARK);
}

static void rst_is_told_from_silence(void **state)
{
    struct peer refusing = {.flags = TB_TCP_RST | TB_TCP_ACK}, silent = {0};

    assert_int_equal(probe(&refusing).answer, TB_PROBE_REFUSED);
    assert_int_equal(refusing.rsts, 0);
    assert_int_equal(probe(&silent).answer, TB_PROBE_SILENCE);
    assert_int_equal(silent.syns, 3);
}

static void silence_after_the_handshake_is_told(void **state)
{
    struct peer peer = {.flags = SYN_ACK};

    assert_int_equal(probe(&peer).answer, TB_PROBE_DEAF);
    assert_int_equal(peer.acks, 2 * 3);
    assert_int_equal(peer.rsts, 1);
}

static void reset_after_the_handshake_is_told(void **state)
{
    struct peer peer = {.flags = SYN_ACK, .then = TB_TCP_RST};

    assert_int_equal(probe(&peer).answer, TB_PROBE_KILLED);
    assert_int_equal(peer.rsts, 0);
}

static void lost_segments_are_sent_again(void **state)
{
    struct peer peer = {.flags = SYN_ACK, .then = TB_TCP_ACK, .deaf_to = 2};

    assert_int_equal(probe(&peer).answer, TB_PROBE_OPEN);
    assert_int_equal(peer.syns, 3);
}

static void answer_to_something_else_is_ignored(void **state)
{
    struct peer peer = {.flags = SYN_ACK, .ack_off_by = 5};

    assert_int_equal(probe(&peer).answer, TB_PROBE_SILENCE);
    assert_int_equal(peer.rsts, 0);
}

/* --- findings --------------------------------------------------------------------------------- */

static void findings_print_text_and_command(void **state)
{
    struct tb_findings *list = calloc(1, sizeof *list);
    char *text = NULL;
    size_t len;

    assert_null(tb_findings_wrong(list));
    tb_findings_add(list, TB_FINDING_OK, "device %s is up", "eth0");
    assert_null(tb_findings_wrong(list));
    tb_finding_command(tb_findings_add(list, TB_FINDING_WRONG, "no route"), "ip route add %s",
                       "10.0.0.0/8");
    assert_string_equal(tb_findings_wrong(list)->text, "no route");

    FILE *f = open_memstream(&text, &len);
    tb_findings_print(list, f);
    fclose(f);
    assert_string_equal(text, "ok     device eth0 is up\n"
                              "WRONG  no route\n"
                              "         ip route add 10.0.0.0/8\n");
    free(text);
    free(list);
}

static void full_list_keeps_the_first(void **state)
{
    struct tb_findings *list = calloc(1, sizeof *list);

    for (int i = 0; i < TB_FINDINGS_MAX + 5; i++)
        tb_findings_add(list, TB_FINDING_NOTE, "%d", i);
    assert_int_equal(list->count, TB_FINDINGS_MAX);
    assert_string_equal(list->item[0].text, "0");
    assert_string_equal(list->item[TB_FINDINGS_MAX - 1].text, "132");
    free(list);
}

/* --- host ------------------------------------------------------------------------------------- */

static void connect_tells_listening_from_refusing(void **state)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    struct tb_endpoint targets[2] = {0};
    int results[2];
    int listening = socket(AF_INET, SOCK_STREAM, 0), closed = socket(AF_INET, SOCK_STREAM, 0);

    /* A bound socket that does not listen keeps its port from everybody else. */
    assert_int_equal(bind(listening, (struct sockaddr *) &sin, sizeof sin), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(bind(closed, (struct sockaddr *) &sin, sizeof sin), 0);
    tb_addr_parse("127.0.0.1", &targets[0].addr);
    targets[1].addr = targets[0].addr;
    getsockname(listening, (struct sockaddr *) &sin, &len);
    targets[0].port = ntohs(sin.sin_port);
    getsockname(closed, (struct sockaddr *) &sin, &len);
    targets[1].port = ntohs(sin.sin_port);

    tb_host_connect(targets, 2, 5000000, 0, results);
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], ECONNREFUSED);
    close(listening);
    close(closed);
}

static void missing_device_and_setting_are_told(void **state)
{
    struct tb_findings *list = calloc(1, sizeof *list);
    struct tb_addr addr;

    assert_true(tb_host_check_device(list, "lo"));
    assert_false(tb_host_check_device(list, "no-such-dev"));
    assert_string_equal(tb_findings_wrong(list)->command, "ip -brief link");
    assert_false(tb_host_address_of("no-such-dev", true, &addr));
    assert_int_equal(tb_host_sysctl("net/ipv4/no_such_setting"), -1);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_is_confirmed_and_ended_with_a_marked_rst),
        cmocka_unit_test(rst_is_told_from_silence),
        cmocka_unit_test(silence_after_the_handshake_is_told),
        cmocka_unit_test(reset_after_the_handshake_is_told),
        cmocka_unit_test(lost_segments_are_sent_again),
        cmocka_unit_test(answer_to_something_else_is_ignored),
        cmocka_unit_test(findings_print_text_and_command),
        cmocka_unit_test(full_list_keeps_the_first),
        cmocka_unit_test(connect_tells_listening_from_refusing),
        cmocka_unit_test(missing_device_and_setting_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
