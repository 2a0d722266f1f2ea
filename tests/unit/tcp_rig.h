/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One TCP connection on a bench: tests give it segments and time and look at what it sends.
 * Numbers are those of tcpdump and packetdrill: each side's SYN is 0, its first byte 1. Every
 * segment sent is checked to be well-formed and to carry the right bytes of the stream.
 */
#ifndef TB_TCP_RIG_H
#define TB_TCP_RIG_H

#include "unit.h"
#include "tcp/tcp.h"

enum {
    SYN = TB_TCP_SYN,
    ACK = TB_TCP_ACK,
    FIN = TB_TCP_FIN,
    RST = TB_TCP_RST,
    PSH = TB_TCP_PSH,
    MSS = 1000, /* what the server announces unless a test says otherwise */
    RIG_FRAMES = 64,
    RIG_SENT = 512
};

#define MILLISECONDS UINT64_C(1000)
#define SECONDS      UINT64_C(1000000)

struct rig {
    struct tb_tcp_env env;
    struct tb_tcp c;
    struct tb_tcp_path path;
    struct tb_tcp_syn syn, server; /* options of the two SYNs; set before connecting */
    uint32_t iss, irs;
    uint32_t server_ts; /* the server's clock when ours is 0 */
    uint64_t queued;    /* bytes of the client's stream so far */
    uint64_t delivered; /* of the server's */
    unsigned events;    /* of the last give() or pass() */
    void (*on_deliver)(struct rig *r);
    struct tb_frame frames[RIG_FRAMES];
    uint8_t gather[4000];
    struct sent {
        struct tb_segment seg;
        uint64_t at_us;
        uint16_t gso_size;
    } sent[RIG_SENT];
    uint32_t sent_count, sent_seen;
};

/* A segment from the server. Left out: seq 1, ack 1 (0 without the ACK flag), a window of 65535,
 * timestamps of the server's clock if both sides use them. */
struct given {
    uint8_t flags;
    uint32_t seq, ack, len;
    uint16_t window;
    bool zero_window, no_ts;
    uint32_t tsval;
    uint32_t sack[4][2];
};

/* What a segment sent must look like; PSH is not compared. */
struct expected {
    uint8_t flags;
    uint32_t seq, ack, len;
};

/* cmocka's setup and teardown: *state is a rig that is not connected yet; the teardown checks that
 * nothing is left in any pool. */
int rig_setup(void **state);
int rig_teardown(void **state);
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

/* tb_tcp_open() and output: the SYN is sent. */
void rig_open(struct rig *r);
/* The same, with this initial sequence number. */
void rig_open_at(struct rig *r, uint32_t iss);
/* Open, the server's SYN-ACK, our ACK; nothing left to be expected. The round trip takes no time,
 * so the retransmission timeout is 200 ms. */
void rig_connect(struct rig *r);

/* Queue `len` bytes of the client's stream, borrowed or as a copy; send what may be sent. */
void rig_send(struct rig *r, uint32_t len);
void rig_send_copy(struct rig *r, uint32_t len);
/* Queue the FIN. */
void rig_close(struct rig *r);
void rig_abort(struct rig *r);

/* Give it a segment, then let it send; the events. */
unsigned rig_give(struct rig *r, struct given g);
#define GIVE(r, ...) rig_give(r, (struct given){__VA_ARGS__})

/* The server acknowledges everything at once, as often as it takes; what was sent is forgotten. */
void rig_ack_all(struct rig *r);

/* Let time pass, with timers at their times; the events. */
unsigned rig_pass(struct rig *r, uint64_t us);

/* The next segment sent must be this. */
const struct tb_segment *rig_expect(struct rig *r, struct expected e, const char *file, int line);
#define EXPECT(r, ...) rig_expect(r, (struct expected){__VA_ARGS__}, __FILE__, __LINE__)
void rig_expect_nothing(struct rig *r, const char *file, int line);
#define EXPECT_NOTHING(r) rig_expect_nothing(r, __FILE__, __LINE__)
/* When the segment looked at last was sent, counted from the start of the test. */
uint64_t rig_sent_at_us(const struct rig *r);
/* Forget what was sent and not looked at. */
void rig_skip_sent(struct rig *r);

#endif
