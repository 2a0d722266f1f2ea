/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of packet/view, TCP half: header fields, every option, bad options, cut captures. */
#include "packet_build.h"
#include <errno.h>
#include "packet/view.h"

/* A segment with these options and `payload` bytes of 'x' behind it. */
static struct packet segment(const uint8_t *options, uint8_t options_len, uint16_t payload)
{
    struct packet p = {.len = 0};
    put_ipv4(&p, TB_PROTO_TCP, (uint16_t) (20 + options_len + payload));
    put_tcp(&p, options_len);
    put_bytes(&p, options, options_len);
    put_fill(&p, 'x', payload);
    return p;
}

static int parse(const struct packet *p, uint32_t len, struct tb_segment *seg)
{
    uint8_t *copy = exact_copy(p->b, len);
    int ret = tb_segment_parse(copy, len, seg);
    if (ret == 0)
        seg->payload = p->b + (seg->payload - copy);
    free(copy);
    return ret;
}

/* The options as parsed from a segment; `options` must be padded to four bytes. */
#define OPTIONS(...) \
    parse_options((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
static struct tb_tcp_options parse_options(const uint8_t *options, size_t len)
{
    assert_true(len % 4 == 0 && len <= 40);
    struct packet p = segment(options, (uint8_t) len, 0);
    struct tb_segment seg;
    memset(&seg, 0xee, sizeof seg);
    assert_int_equal(parse(&p, p.len, &seg), 0);
    return seg.opt;
}

static void assert_no_options(const struct tb_tcp_options *o)
{
    assert_int_equal(o->mss, 0);
    assert_int_equal(o->wscale, -1);
    assert_false(o->sack_permitted);
    assert_false(o->has_ts);
    assert_int_equal(o->sack_count, 0);
    assert_int_equal(o->tsval, 0);
    assert_int_equal(o->tsecr, 0);
}

static void header_fields_are_read(void **state)
{
    struct packet p = segment(NULL, 0, 7);
    struct tb_segment seg;
    assert_int_equal(parse(&p, p.len, &seg), 0);
    char buf[TB_ADDR_TEXT];
    assert_string_equal(tb_addr_format(&seg.src, buf), "10.0.0.1");
    assert_string_equal(tb_addr_format(&seg.dst, buf), "10.0.0.2");
    assert_int_equal(seg.sport, 4000);
    assert_int_equal(seg.dport, 80);
    assert_int_equal(seg.seq, 0x01020304);
    assert_int_equal(seg.ack, 0x05060708);
    assert_int_equal(seg.window, 0x1234);
    assert_int_equal(seg.flags, TB_TCP_PSH | TB_TCP_ACK);
    assert_ptr_equal(seg.payload, p.b + 40);
    assert_int_equal(seg.payload_len, 7);
    assert_int_equal(seg.payload_claimed, 7);
    assert_no_options(&seg.opt);
}

static void parsing_in_two_steps_gives_the_same(void **state)
{
    static const uint8_t ts[] = {1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9};
    struct packet p = segment(ts, sizeof ts, 33);
    struct tb_ip ip;
    struct tb_segment once, twice;
    memset(&once, 0, sizeof once);
    memset(&twice, 0, sizeof twice);
    assert_int_equal(tb_segment_parse(p.b, p.len, &once), 0);
    assert_int_equal(tb_ip_parse(p.b, p.len, &ip), 0);
    assert_int_equal(tb_tcp_parse(&ip, &twice), 0);
    assert_int_equal(once.opt.tsval, 7);
    assert_int_equal(twice.opt.tsval, 7);
    assert_int_equal(once.opt.tsecr, twice.opt.tsecr);
    assert_ptr_equal(once.payload, twice.payload);
    assert_int_equal(once.payload_len, twice.payload_len);
}

static void segment_cut_within_its_options_is_refused(void **state)
{
    static const uint8_t ts[] = {1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9};
    struct packet p = segment(ts, sizeof ts, 0);
    struct tb_segment seg;

    assert_int_equal(tb_segment_parse(p.b, p.len, &seg), 0);
    assert_int_equal(tb_segment_parse(p.b, p.len - 4, &seg), -EBADMSG);
}

static void syn_options_of_linux(void **state)
{
    /* <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7> */
    struct tb_tcp_options o =
        OPTIONS(2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7);
    assert_int_equal(o.mss, 1460);
    assert_true(o.sack_permitted);
    assert_true(o.has_ts);
    assert_int_equal(o.tsval, 1);
    assert_int_equal(o.wscale, 7);
}

static void timestamps_are_found_in_any_layout(void **state)
{
    struct tb_tcp_options o = OPTIONS(1, 1, 8, 10, 0x80, 0, 0, 1, 0xff, 0, 0, 2);
    assert_true(o.has_ts);
    assert_int_equal(o.tsval, 0x80000001);
    assert_int_equal(o.tsecr, 0xff000002);
    o = OPTIONS(8, 10, 0x80, 0, 0, 1, 0xff, 0, 0, 2, 1, 1);
    assert_true(o.has_ts);
    assert_int_equal(o.tsval, 0x80000001);
    assert_int_equal(o.tsecr, 0xff000002);
}

static void sack_blocks_beside_timestamps(void **state)
{
    struct tb_tcp_options o =
        OPTIONS(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 26, 0, 0, 0, 10, 0, 0, 0, 20, 0, 0, 0,
                30, 0, 0, 0, 40, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1);
    assert_true(o.has_ts);
    assert_int_equal(o.sack_count, 3);
    assert_int_equal(o.sack[0].left, 10);
    assert_int_equal(o.sack[1].right, 40);
    assert_int_equal(o.sack[2].left, 0xffffffff);
    assert_int_equal(o.sack[2].right, 1);
}

static void four_sack_blocks_fill_the_room(void **state)
{
    uint8_t options[36] = {1, 1, 5, 34, [35] = 44};
    struct tb_tcp_options o = parse_options(options, sizeof options);
    assert_int_equal(o.sack_count, 4);
    assert_int_equal(o.sack[3].right, 44);
}

static void window_scale_is_at_most_14(void **state)
{
    assert_int_equal(OPTIONS(3, 3, 0, 0).wscale, 0);
    assert_int_equal(OPTIONS(3, 3, 14, 0).wscale, 14);
    assert_int_equal(OPTIONS(3, 3, 15, 0).wscale, 14);
    assert_int_equal(OPTIONS(3, 3, 255, 0).wscale, 14);
}

static void unknown_options_are_skipped(void **state)
{
    struct tb_tcp_options o = OPTIONS(34, 6, 1, 2, 3, 4, 254, 2, 2, 4, 2, 0);
    assert_int_equal(o.mss, 512);
}

static void nothing_counts_behind_the_end_of_options(void **state)
{
    struct tb_tcp_options o = OPTIONS(0, 0, 0, 0, 2, 4, 2, 0);
    assert_no_options(&o);
}

static void options_of_wrong_length_end_the_list(void **state)
{
    static const uint8_t bad[][8] = {
        {2, 3, 9, 1},             /* MSS of one byte */
        {3, 4, 9, 9},             /* window scale of two */
        {4, 3, 9, 1},             /* SACK permitted with a byte */
        {8, 4, 9, 9},             /* timestamps of two bytes */
        {5, 2, 1, 1},             /* SACK without blocks */
        {5, 8, 1, 1, 1, 1, 1, 1}, /* SACK with three quarters of one */
        {99, 0, 1, 1},            /* lengths that would not move on … */
        {99, 1, 1, 1},            /* … or lead backwards */
        {99, 200, 1, 1},          /* beyond the header */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t options[16] = {2, 4, 1, 2}; /* MSS 258, the bad one, MSS 512 */
        memcpy(options + 4, bad[i], 8);
        memcpy(options + 12, (const uint8_t[]){2, 4, 2, 0}, 4);
        struct tb_tcp_options o = parse_options(options, sizeof options);
        assert_int_equal(o.mss, 258);
        o.mss = 0;
        assert_no_options(&o);
    }
}

static void an_option_cut_by_the_header_end_is_ignored(void **state)
{
    struct tb_tcp_options o = OPTIONS(1, 1, 1, 8);
    assert_no_options(&o);
    o = OPTIONS(1, 1, 8, 10, 0, 0, 0, 1);
    assert_no_options(&o);
}

static void contradicting_header_lengths_are_refused(void **state)
{
    struct packet p = segment(NULL, 0, 0);
    struct tb_segment seg;
    for (unsigned words = 0; words < 16; words++) {
        p.b[20 + 12] = (uint8_t) (words << 4);
        assert_int_equal(parse(&p, p.len, &seg), words == 5 ? 0 : -EBADMSG);
    }
}

static void a_capture_cut_anywhere_reads_what_is_there(void **state)
{
    static const uint8_t options[] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
    struct packet p = segment(options, sizeof options, 50);
    struct tb_segment seg;
    struct tb_ip ip;
    for (uint32_t len = 20; len <= p.len; len++) {
        uint8_t *copy = exact_copy(p.b, len);
        assert_int_equal(tb_ip_parse(copy, len, &ip), 0);
        int rc = tb_tcp_parse(&ip, &seg);
        free(copy);
        assert_int_equal(rc, len < 40 ? -EBADMSG : 0);
        if (rc < 0)
            continue;
        assert_int_equal(seg.payload_len, len > 52 ? len - 52 : 0);
        assert_int_equal(seg.payload_claimed, 50);
        assert_int_equal(seg.opt.has_ts, len >= 52);
    }
}

static void checksum_is_judged_only_when_all_is_there(void **state)
{
    /* 10.0.0.1.4000 > 10.0.0.2.80: Flags [P.], seq 16909060:16909062, ack 84281096, win 4660 */
    struct packet p = segment(NULL, 0, 2);
    struct tb_ip ip;
    assert_int_equal(tb_ip_parse(p.b, p.len, &ip), 0);
    assert_false(tb_segment_checksum_ok(&ip));
    /* 0a00+0001+0a00+0002+0006+0016 + 0fa0+0050+0102+0304+0506+0708+5018+1234+7878 = 10ee7 → 0ee8
     */
    tb_put_be16(p.b + 20 + 16, 0xffff - 0x0ee8);
    assert_true(tb_segment_checksum_ok(&ip));
    assert_int_equal(tb_ip_parse(p.b, p.len - 1, &ip), 0);
    assert_false(tb_segment_checksum_ok(&ip));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_fields_are_read),
        cmocka_unit_test(parsing_in_two_steps_gives_the_same),
        cmocka_unit_test(segment_cut_within_its_options_is_refused),
        cmocka_unit_test(syn_options_of_linux),
        cmocka_unit_test(timestamps_are_found_in_any_layout),
        cmocka_unit_test(sack_blocks_beside_timestamps),
        cmocka_unit_test(four_sack_blocks_fill_the_room),
        cmocka_unit_test(window_scale_is_at_most_14),
        cmocka_unit_test(unknown_options_are_skipped),
        cmocka_unit_test(nothing_counts_behind_the_end_of_options),
        cmocka_unit_test(options_of_wrong_length_end_the_list),
        cmocka_unit_test(an_option_cut_by_the_header_end_is_ignored),
        cmocka_unit_test(contradicting_header_lengths_are_refused),
        cmocka_unit_test(a_capture_cut_anywhere_reads_what_is_there),
        cmocka_unit_test(checksum_is_judged_only_when_all_is_there),
    };
    return cmocka_run_group_tests_name("packet/view, TCP", tests, NULL, NULL);
}
