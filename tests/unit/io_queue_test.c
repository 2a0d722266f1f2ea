/* SPDX-License-Identifier: BSD-2-Clause */
/* The back-ends that need no kernel device: memory, pcap file, a pair joined; waiting and waking;
 * the offload header and the error counters all back-ends share. */
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/cursor.h"
#include "io/backend.h"
#include "io/backends.h"

static struct tb_frame frame(const char *src, const char *dst, const void *payload, uint32_t len)
{
    struct tb_addr from, to;
    assert_int_equal(tb_addr_parse(src, &from), 0);
    assert_int_equal(tb_addr_parse(dst, &to), 0);
    struct tb_frame_spec spec = {
        .src = &from, .dst = &to, .sport = 1024, .dport = 80, .flags = TB_TCP_ACK};
    struct tb_frame f;
    tb_frame_build(&f, &spec, payload, len);
    return f;
}

static struct tb_io *mem(void)
{
    struct tb_io *io;
    assert_int_equal(tb_mem_open(&io, 0), 0);
    return io;
}

static void memory_gives_injected_packets_in_order(void **state)
{
    (void) state;
    struct tb_io *io = mem();
    struct tb_packet packets[2];
    assert_int_equal(tb_io_recv(io, packets, 2), 0);
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(tb_mem_inject(io, (uint8_t[]){i, i}, i + 1u > 2 ? 2 : i + 1u), 0);
    assert_int_equal(tb_io_recv(io, packets, 2), 2);
    /* Injecting does not disturb what was handed up. */
    static const uint8_t large[5000];
    assert_int_equal(tb_mem_inject(io, large, sizeof large), 0);
    assert_int_equal(packets[0].len, 1);
    assert_int_equal(packets[0].data[0], 0);
    assert_int_equal(packets[1].len, 2);
    assert_int_equal(packets[1].data[0], 1);
    assert_int_equal(tb_io_recv(io, packets, 2), 2);
    assert_int_equal(packets[0].data[0], 2);
    assert_int_equal(packets[1].len, sizeof large);
    assert_int_equal(tb_io_recv(io, packets, 2), 0);
    assert_int_equal(io->counters.received, 4);
    tb_io_close(io);
}

static void memory_keeps_sent_packets_whole_with_checksum(void **state)
{
    (void) state;
    struct tb_io *io = mem();
    char payload[] = "GET / HTTP/1.1\r\n\r\n";
    struct tb_frame f = frame("198.19.0.1", "198.18.0.2", payload, sizeof payload);
    tb_io_send(io, &f, 1);
    memset(payload, 'x', sizeof payload); /* ours again after send() */
    uint8_t packet[128];
    uint32_t len = tb_mem_take(io, packet, sizeof packet);
    struct tb_ip ip;
    assert_int_equal(tb_ip_parse(packet, len, &ip), 0);
    assert_true(tb_segment_checksum_ok(&ip));
    assert_memory_equal(packet + 40, "GET /", 5);
    assert_int_equal(tb_mem_take(io, packet, sizeof packet), 0);
    assert_int_equal(io->counters.sent, 1);
    tb_io_close(io);
}

static void memory_takes_nodes_again(void **state)
{
    (void) state;
    struct tb_io *io = mem();
    struct tb_packet p;
    assert_int_equal(tb_mem_inject(io, (const uint8_t *) "a", 1), 0);
    assert_int_equal(tb_io_recv(io, &p, 1), 1);
    const uint8_t *first = p.data;
    assert_int_equal(tb_io_recv(io, &p, 1), 0); /* gives it back */
    assert_int_equal(tb_mem_inject(io, (const uint8_t *) "b", 1), 0);
    assert_int_equal(tb_io_recv(io, &p, 1), 1);
    assert_ptr_equal(p.data, first);
    tb_io_close(io);
}

static void join_sends_through_one_and_receives_through_the_other(void **state)
{
    (void) state;
    struct tb_io *tx = mem(), *rx = mem(), *io;
    assert_int_equal(tb_io_join(tx, rx, &io, NULL), 0);
    struct tb_frame f = frame("fd00:19::1", "fd00:18::2", "x", 1);
    struct tb_packet p;
    uint8_t packet[128];
    assert_int_equal(tb_mem_inject(rx, (const uint8_t *) "y", 1), 0);
    assert_int_equal(tb_io_recv(io, &p, 1), 1);
    tb_io_send(io, &f, 1);
    assert_int_equal(tb_mem_take(rx, packet, sizeof packet), 0);
    assert_int_equal(tb_mem_take(tx, packet, sizeof packet), 61);
    assert_int_equal(io->counters.received, 1);
    assert_int_equal(io->counters.sent, 1);
    tb_io_close(io);
}

static void dump_writes_a_pcap_file(void **state)
{
    (void) state;
    char path[] = "io_dump_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct tb_io *io;
    struct tb_err err;
    const uint64_t real_us = 1700000000000007;
    assert_int_equal(tb_dump_open(path, &real_us, &io, &err), 0);
    assert_int_equal(io->caps.gso_max, 0);
    struct tb_frame frames[2] = {frame("198.19.0.1", "198.18.0.2", "abc", 3),
                                 frame("fd00:19::1", "fd00:18::2", NULL, 0)};
    tb_io_send(io, frames, 2);
    assert_int_equal(io->counters.sent, 2);
    tb_io_close(io);
    uint8_t file[512];
    ssize_t len = read(fd, file, sizeof file);
    close(fd);
    unlink(path);
    assert_int_equal(len, 24 + 16 + 43 + 16 + 60);
    uint32_t magic, linktype, seconds, microseconds, captured;
    memcpy(&magic, file, 4);
    memcpy(&linktype, file + 20, 4);
    memcpy(&seconds, file + 24, 4);
    memcpy(&microseconds, file + 24 + 4, 4);
    memcpy(&captured, file + 24 + 8, 4);
    assert_int_equal(magic, 0xa1b2c3d4);
    assert_int_equal(linktype, 101);
    assert_int_equal(seconds, 1700000000);
    assert_int_equal(microseconds, 7);
    assert_int_equal(captured, 43);
    struct tb_ip ip;
    assert_int_equal(tb_ip_parse(file + 40, captured, &ip), 0);
    assert_true(tb_segment_checksum_ok(&ip));
}

static void dump_answers_as_a_server_that_only_acknowledges(void **state)
{
    (void) state;
    struct tb_io *io;
    const uint64_t real_us = 0;
    assert_int_equal(tb_dump_open("/dev/null", &real_us, &io, NULL), 0);
    struct tb_frame request = frame("198.19.0.1", "198.18.0.2", "abc", 3);
    struct tb_packet p;
    struct tb_segment seg;
    tb_io_send(io, &request, 1);
    assert_int_equal(tb_io_recv(io, &p, 1), 1);
    assert_int_equal(tb_segment_parse(p.data, p.len, &seg), 0);
    assert_int_equal(seg.flags, TB_TCP_ACK);
    assert_int_equal(seg.ack, 3);
    assert_int_equal(seg.dport, 1024);
    assert_int_equal(tb_io_recv(io, &p, 1), 0);
    tb_io_close(io);
}

static void dump_names_a_file_it_cannot_write(void **state)
{
    (void) state;
    struct tb_io *io;
    struct tb_err err;
    const uint64_t real_us = 1700000000000007;
    assert_int_equal(tb_dump_open("no/such/folder/x.pcap", &real_us, &io, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no/such/folder/x.pcap"));
}

static void a_wake_ends_the_next_wait_once(void **state)
{
    (void) state;
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t value;
    errno = ENOENT;
    tb_backend_wake(fd);
    assert_int_equal(errno, ENOENT); /* as a signal handler must leave it */
    tb_backend_wait(NULL, -1, fd, UINT64_MAX);
    assert_int_equal(read(fd, &value, sizeof value), -1); /* the wake was used up */
    close(fd);
}

static void a_wait_without_time_leaves_a_wake_for_the_next_one(void **state)
{
    (void) state;
    int fd = eventfd(0, EFD_NONBLOCK);
    tb_backend_wake(fd);
    tb_backend_wait(NULL, -1, fd, 0);
    tb_backend_wait(NULL, -1, fd, UINT64_MAX); /* would not return otherwise */
    close(fd);
}

static void a_dead_descriptor_does_not_end_a_wake(void **state)
{
    (void) state;
    int pipes[2], fd = eventfd(0, EFD_NONBLOCK);
    assert_int_equal(pipe(pipes), 0);
    close(pipes[1]); /* hung up for ever */
    tb_backend_wait(NULL, pipes[0], fd, 2000);
    tb_backend_wake(fd);
    tb_backend_wait(NULL, pipes[0], fd, 2000);
    uint64_t value;
    assert_int_equal(read(fd, &value, sizeof value), -1);
    close(pipes[0]);
    close(fd);
}

/* An io of no kind, of which only also_fd counts. */
static void a_further_descriptor_ends_every_wait_while_it_is_readable(void **state)
{
    (void) state;
    int wake_fd = eventfd(0, EFD_NONBLOCK);
    struct tb_io io = {.also_fd = eventfd(1, EFD_NONBLOCK)};
    uint64_t value;
    tb_backend_wait(&io, -1, wake_fd, UINT64_MAX);
    tb_backend_wait(&io, -1, wake_fd, UINT64_MAX);
    assert_int_equal(read(io.also_fd, &value, sizeof value), sizeof value); /* is left to us */
    tb_backend_wake(wake_fd);
    tb_backend_wait(&io, -1, wake_fd, UINT64_MAX);
    assert_int_equal(read(wake_fd, &value, sizeof value), -1);
    close(io.also_fd);
    close(wake_fd);
}

static void a_zeroed_io_does_not_wait_for_standard_input(void **state)
{
    (void) state;
    struct tb_io io = {0};
    assert_int_equal(tb_backend_also(&io).fd, -1);
    io.also_fd = -1; /* what a tap without a descriptor has */
    assert_int_equal(tb_backend_also(&io).fd, -1);
    assert_int_equal(tb_backend_also(NULL).fd, -1);
}

static int waited_for; /* also_fd of the last wait_note() */

static void wait_note(struct tb_io *io, uint64_t timeout_us)
{
    waited_for = io->also_fd;
    (void) timeout_us;
}

static void a_joined_pair_waits_for_its_own_further_descriptor(void **state)
{
    (void) state;
    static const struct tb_io_ops ops = {.wait = wait_note};
    struct tb_io rx = {.ops = &ops}, *tx = mem(), *joined;
    assert_int_equal(tb_io_join(tx, &rx, &joined, NULL), 0);
    joined->also_fd = 17;
    tb_io_wait(joined, UINT64_MAX);
    assert_int_equal(waited_for, 17);
    joined->also_fd = 0;
    tb_io_wait(joined, UINT64_MAX);
    assert_int_equal(waited_for, 0);
    tb_io_close(tx);
    free(joined);
}

static void refusals_are_counted_by_kind(void **state)
{
    (void) state;
    struct tb_io_counters c = {0};
    static const int errors[] = {ENOBUFS,  ENOMEM,   EAGAIN, EPERM,       EACCES,
                                 EMSGSIZE, ENETDOWN, ENXIO,  EHOSTUNREACH};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        tb_backend_count_error(&c, errors[i]);
    assert_int_equal(c.enobufs, 3);
    assert_int_equal(c.eperm, 2);
    assert_int_equal(c.emsgsize, 1);
    assert_int_equal(c.enetdown, 2);
    assert_int_equal(c.other_errors, 1);
}

static void long_payloads_ask_for_segmentation(void **state)
{
    (void) state;
    static const uint8_t payload[3000];
    struct virtio_net_hdr h;
    struct tb_frame v4 = frame("198.19.0.1", "198.18.0.2", payload, sizeof payload);
    struct tb_frame v6 = frame("fd00:19::1", "fd00:18::2", payload, sizeof payload);
    v4.gso_size = v6.gso_size = 1400;
    tb_backend_vnet_header(&h, &v4, 0);
    assert_int_equal(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(h.gso_size, 1400);
    assert_int_equal(h.hdr_len, 40);
    assert_int_equal(h.csum_start, 20);
    assert_int_equal(h.csum_offset, 16);
    tb_backend_vnet_header(&h, &v6, 14);
    assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
    assert_int_equal(h.hdr_len, 74);
    assert_int_equal(h.csum_start, 54);
    v4.gso_size = 3000;
    tb_backend_vnet_header(&h, &v4, 0);
    assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_gives_injected_packets_in_order),
        cmocka_unit_test(memory_keeps_sent_packets_whole_with_checksum),
        cmocka_unit_test(memory_takes_nodes_again),
        cmocka_unit_test(join_sends_through_one_and_receives_through_the_other),
        cmocka_unit_test(dump_writes_a_pcap_file),
        cmocka_unit_test(dump_answers_as_a_server_that_only_acknowledges),
        cmocka_unit_test(dump_names_a_file_it_cannot_write),
        cmocka_unit_test(a_wake_ends_the_next_wait_once),
        cmocka_unit_test(a_wait_without_time_leaves_a_wake_for_the_next_one),
        cmocka_unit_test(a_dead_descriptor_does_not_end_a_wake),
        cmocka_unit_test(a_further_descriptor_ends_every_wait_while_it_is_readable),
        cmocka_unit_test(a_zeroed_io_does_not_wait_for_standard_input),
        cmocka_unit_test(a_joined_pair_waits_for_its_own_further_descriptor),
        cmocka_unit_test(refusals_are_counted_by_kind),
        cmocka_unit_test(long_payloads_ask_for_segmentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
