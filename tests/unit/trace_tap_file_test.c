/* SPDX-License-Identifier: BSD-2-Clause */
/* Captures handed out as if they passed by now: when, how often, and as which connections. */
#include <errno.h>
#include "trace/flow.h"
#include "trace/tap_file.h"
#include "trace_build.h"

enum { MOST = 64, S = 1000 * MS };
#define BEGIN_US 1800000000000000ull

/* A tap on one capture, or the same one several times. */
struct rig {
    struct mem_file file;
    const char *files[2];
    struct tb_tap_files_setup setup;
    struct tb_tap *tap;
    struct tb_tapped packets[MOST];
    uint32_t count;
};

static void rig_prepare(struct rig *r, struct cap *c)
{
    *r = (struct rig){.file = new_file(c->out.b, c->out.len)};
    free_cap(c);
    r->files[0] = r->files[1] = r->file.path;
    r->setup = (struct tb_tap_files_setup){
        .files = r->files, .file_count = 1, .accelerate = 1, .loops = 1, .start_us = BEGIN_US};
}

static void rig_open(struct rig *r)
{
    struct tb_err err = {""};
    if (tb_tap_files_open(&r->setup, &r->tap, &err) < 0)
        fail_msg("%s", err.text);
}

static void rig_close(struct rig *r)
{
    tb_tap_close(r->tap);
    close(r->file.fd);
}

/* How many pass by `us` after the beginning. */
static uint32_t passed_by(struct rig *r, uint64_t us)
{
    r->count = tb_tap_recv(r->tap, r->packets, MOST, BEGIN_US + us);
    return r->count;
}

/* Three packets, 0, 10 and 2010 ms after the beginning. */
static struct cap three_packets(void)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, NULL);
    wait_us(&c, 10 * MS);
    segment(&c, &n, TB_FROM_SERVER, 0, 1, SYN | ACK, NULL);
    wait_us(&c, 2 * S);
    segment(&c, &n, TB_FROM_CLIENT, 1, 1, ACK, "hello");
    return c;
}

static void packets_pass_at_the_distances_captured(void **state)
{
    (void) state;
    struct cap c = three_packets();
    struct rig r;
    rig_prepare(&r, &c);
    rig_open(&r);
    assert_int_equal(passed_by(&r, 0), 1);
    assert_int_equal(r.packets[0].time_us, BEGIN_US);
    assert_int_equal(tb_tap_next_us(r.tap), BEGIN_US + 10 * MS);
    assert_int_equal(passed_by(&r, 10 * MS - 1), 0);
    assert_int_equal(passed_by(&r, 12 * MS), 1);
    assert_int_equal(r.packets[0].time_us, BEGIN_US + 10 * MS); /* not when it was asked for */
    assert_false(r.tap->is_over);
    assert_int_equal(passed_by(&r, 3 * S), 1);
    assert_int_equal(r.packets[0].time_us, BEGIN_US + 2010 * MS);
    assert_true(r.tap->is_over);
    assert_int_equal(tb_tap_next_us(r.tap), UINT64_MAX);
    assert_int_equal(passed_by(&r, 4 * S), 0);
    assert_int_equal(tb_tap_drops(r.tap), 0);
    rig_close(&r);
}

static void what_is_not_tcp_does_not_pass(void **state)
{
    (void) state;
    struct cap c = new_cap(LINK_ETHERNET), some = three_packets();
    static const uint8_t udp[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17}, cut[12] = {0x45};
    struct rig r;
    add_packet(&c, udp, sizeof udp);
    add_packet(&c, cut, sizeof cut);
    add_bytes(&c.out, some.out.b + 24, some.out.len - 24);
    free_cap(&some);
    rig_prepare(&r, &c);
    rig_open(&r);
    assert_int_equal(passed_by(&r, 3 * S), 3);
    rig_close(&r);
}

static void the_first_packet_passes_when_it_is_asked_for(void **state)
{
    (void) state;
    struct cap c = three_packets();
    struct rig r;
    rig_prepare(&r, &c);
    r.setup.start_us = 0;
    rig_open(&r);
    assert_int_equal(passed_by(&r, 5 * S), 1);
    assert_int_equal(r.packets[0].time_us, BEGIN_US + 5 * S);
    assert_int_equal(tb_tap_next_us(r.tap), BEGIN_US + 5 * S + 10 * MS);
    rig_close(&r);
}

static void faster_when_accelerated(void **state)
{
    (void) state;
    struct cap c = three_packets();
    struct rig r;
    rig_prepare(&r, &c);
    r.setup.accelerate = 2.5;
    rig_open(&r);
    assert_int_equal(passed_by(&r, 0), 1);
    assert_int_equal(tb_tap_next_us(r.tap), BEGIN_US + 4 * MS);
    assert_int_equal(passed_by(&r, 804 * MS), 2);
    assert_int_equal(r.packets[1].time_us, BEGIN_US + 804 * MS);
    rig_close(&r);
}

static void as_fast_as_it_is_read_without_acceleration(void **state)
{
    (void) state;
    struct cap c = three_packets();
    struct rig r;
    rig_prepare(&r, &c);
    r.setup.accelerate = 0;
    rig_open(&r);
    assert_int_equal(tb_tap_next_us(r.tap), 0);
    assert_int_equal(passed_by(&r, 7), 3);
    assert_int_equal(r.packets[2].time_us, BEGIN_US + 7);
    assert_true(r.tap->is_over);
    rig_close(&r);
}

static void long_pauses_are_shortened(void **state)
{
    (void) state;
    struct cap c = three_packets();
    struct rig r;
    rig_prepare(&r, &c);
    r.setup.gap_ms = 100;
    rig_open(&r);
    assert_int_equal(passed_by(&r, 110 * MS - 1), 2);
    assert_int_equal(r.packets[1].time_us, BEGIN_US + 10 * MS);
    assert_int_equal(tb_tap_next_us(r.tap), BEGIN_US + 110 * MS);
    rig_close(&r);
}

static void packets_are_handed_out_from_the_ip_header_on(void **state)
{
    (void) state;
    static const struct {
        uint32_t linktype, head;
    } links[] = {
        {LINK_NULL, 4}, {LINK_ETHERNET, 14}, {LINK_RAW, 0}, {LINK_SLL, 16}, {LINK_SLL2, 20}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        struct cap c = new_cap(links[i].linktype);
        struct conn n = new_conn(4000);
        struct tb_segment seg;
        struct rig r;
        c.snaplen = links[i].head + 20 + 20 + 3;
        segment(&c, &n, TB_FROM_CLIENT, 1, 1, ACK, "hello world");
        rig_prepare(&r, &c);
        rig_open(&r);
        assert_int_equal(passed_by(&r, 0), 1);
        assert_int_equal(r.packets[0].wire_len, 51);
        assert_int_equal(tb_segment_parse(r.packets[0].data, r.packets[0].len, &seg), 0);
        assert_int_equal(seg.sport, 4000);
        assert_memory_equal(seg.payload, "hel", 3);
        rig_close(&r);
    }
}

static void padding_is_no_part_of_a_packet(void **state)
{
    (void) state;
    uint8_t frame[60] = {[12] = 8}, ip[SEGMENT_MAX];
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    struct rig r;
    uint32_t len = make_segment(&n, TB_FROM_CLIENT, 1, 1, ACK, NULL, 0, ip);
    memcpy(frame + 14, ip, len);
    add_record(&c, frame, sizeof frame);
    rig_prepare(&r, &c);
    rig_open(&r);
    assert_int_equal(passed_by(&r, 0), 1);
    assert_int_equal(r.packets[0].len, 40);
    assert_int_equal(r.packets[0].wire_len, 40);
    rig_close(&r);
}

static void damaged_packets_do_not_pass(void **state)
{
    (void) state;
    enum { GOOD = 40 };
    struct cap c = new_cap(LINK_RAW);
    struct conn n = new_conn(4000);
    struct rig r;
    for (int i = 0; i < GOOD; i++)
        segment(&c, &n, TB_FROM_CLIENT, 1, 1, ACK, "hello");
    c.out.b[c.out.len - 1] ^= 1;
    rig_prepare(&r, &c);
    rig_open(&r);
    assert_int_equal(passed_by(&r, 0), GOOD - 1);
    rig_close(&r);
}

static void what_the_filter_leaves_out_does_not_pass(void **state)
{
    (void) state;
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000), other = new_conn(4001);
    struct tb_segment seg;
    struct rig r;
    segment(&c, &n, TB_FROM_CLIENT, 1, 1, ACK, "hello");
    segment(&c, &other, TB_FROM_CLIENT, 1, 1, ACK, "world");
    rig_prepare(&r, &c);
    r.setup.filter = "port 4001";
    rig_open(&r);
    assert_int_equal(passed_by(&r, 0), 1);
    assert_int_equal(tb_segment_parse(r.packets[0].data, r.packets[0].len, &seg), 0);
    assert_int_equal(seg.sport, 4001);
    rig_close(&r);
}

static void files_and_filters_that_are_none_are_refused(void **state)
{
    (void) state;
    struct cap c = three_packets();
    struct rig r;
    struct tb_err err;
    rig_prepare(&r, &c);
    r.setup.filter = "porto 80";
    assert_int_equal(tb_tap_files_open(&r.setup, &r.tap, &err), -EINVAL);
    assert_non_null(strstr(err.text, "porto 80"));
    r.setup.filter = NULL;
    r.setup.file_count = 2;
    r.files[1] = "/no/such/file";
    assert_int_equal(tb_tap_files_open(&r.setup, &r.tap, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/no/such/file"));
    close(r.file.fd);
}

/* --- sessions -----------------------------------------------------------------------------------
 */

/* The sessions that flows see in all that passes. */
static struct tb_trace sessions_of(struct rig *r)
{
    static const struct tb_service port_80 = {.any_addr = true, .port = 80};
    const struct tb_trace_options o = {.services = &port_80, .service_count = 1};
    struct tb_trace t;
    struct tb_flows f;
    struct tb_segment seg;
    memset(&t, 0, sizeof t);
    tb_arena_init(&t.bytes, 1 << 16);
    tb_arena_init(&t.records, 1 << 16);
    assert_int_equal(tb_flows_init(&f, &t, &o), 0);
    for (uint64_t us = 0; !r->tap->is_over; us += 100 * S) {
        passed_by(r, us);
        for (uint32_t i = 0; i < r->count; i++)
            if (tb_segment_parse(r->packets[i].data, r->packets[i].len, &seg) == 0)
                tb_flows_segment(&f, &seg, r->packets[i].time_us);
    }
    tb_flows_finish(&f);
    tb_flows_fini(&f);
    return t;
}

static void assert_all_hello(const struct tb_trace *t, uint32_t sessions)
{
    assert_int_equal(t->session_count, sessions);
    assert_int_equal(skipped_in_all(t), 0);
    for (uint32_t i = 0; i < sessions; i++)
        assert_stream(t->sessions[i], "hello");
}

static struct cap a_session(bool closed)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    shake_hands(&c, &n);
    wait_us(&c, 10 * MS);
    client_says(&c, &n, "hello");
    server_says(&c, &n, "world");
    if (closed)
        close_both(&c, &n);
    return c;
}

static void each_loop_has_sessions_of_its_own(void **state)
{
    (void) state;
    for (int closed = 0; closed < 2; closed++) {
        struct cap c = a_session(closed);
        struct rig r;
        rig_prepare(&r, &c);
        r.setup.loops = 5;
        rig_open(&r);
        struct tb_trace t = sessions_of(&r);
        assert_all_hello(&t, 5);
        for (uint32_t i = 0; i < 5; i++) /* at once, one after the other */
            assert_int_equal(t.sessions[i]->start_us, BEGIN_US + i * 11 * MS);
        tb_trace_free(&t);
        rig_close(&r);
    }
}

static void several_files_are_one_capture(void **state)
{
    (void) state;
    struct cap c = a_session(true);
    struct rig r;
    rig_prepare(&r, &c);
    r.setup.file_count = 2; /* the same packets again: retransmissions, not another session */
    rig_open(&r);
    struct tb_trace t = sessions_of(&r);
    assert_all_hello(&t, 1);
    tb_trace_free(&t);
    rig_close(&r);
}

static void a_capture_of_nothing_ends_however_often_it_is_played(void **state)
{
    (void) state;
    struct cap c = new_cap(LINK_ETHERNET);
    struct rig r;
    rig_prepare(&r, &c);
    r.setup.loops = UINT32_MAX;
    rig_open(&r);
    assert_int_equal(passed_by(&r, 0), 0);
    assert_true(r.tap->is_over);
    rig_close(&r);
}

static void a_damaged_capture_passes_as_far_as_it_is_whole(void **state)
{
    (void) state;
    struct cap c = a_session(true);
    struct rig r;
    c.out.len -= 5;
    rig_prepare(&r, &c);
    r.setup.loops = 2;
    rig_open(&r);
    struct tb_trace t = sessions_of(&r);
    assert_all_hello(&t, 2);
    tb_trace_free(&t);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_pass_at_the_distances_captured),
        cmocka_unit_test(what_is_not_tcp_does_not_pass),
        cmocka_unit_test(the_first_packet_passes_when_it_is_asked_for),
        cmocka_unit_test(faster_when_accelerated),
        cmocka_unit_test(as_fast_as_it_is_read_without_acceleration),
        cmocka_unit_test(long_pauses_are_shortened),
        cmocka_unit_test(packets_are_handed_out_from_the_ip_header_on),
        cmocka_unit_test(padding_is_no_part_of_a_packet),
        cmocka_unit_test(damaged_packets_do_not_pass),
        cmocka_unit_test(what_the_filter_leaves_out_does_not_pass),
        cmocka_unit_test(files_and_filters_that_are_none_are_refused),
        cmocka_unit_test(each_loop_has_sessions_of_its_own),
        cmocka_unit_test(several_files_are_one_capture),
        cmocka_unit_test(a_capture_of_nothing_ends_however_often_it_is_played),
        cmocka_unit_test(a_damaged_capture_passes_as_far_as_it_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
