/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's bytes come out once and in order, whatever network and capture did to the packets.
 */
#include <errno.h>
#include "trace_build.h"

/* A connection that has shaken hands. */
static struct conn opened(struct cap *c)
{
    struct conn n = new_conn(4000);
    *c = new_cap(LINK_ETHERNET);
    shake_hands(c, &n);
    return n;
}

static void client_sends(struct cap *c, const struct conn *n, uint32_t seq, const char *data)
{
    segment(c, n, TB_FROM_CLIENT, seq, n->next[1], ACK, data);
}

static void takes_a_retransmission_once(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_sends(&c, &n, 1, "hello");
    client_sends(&c, &n, 1, "hello");
    client_sends(&c, &n, 6, " world");
    client_sends(&c, &n, 1, "hello world");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hello world");
    tb_trace_free(&t);
}

static void keeps_what_came_in_order(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_sends(&c, &n, 1, "abc");
    client_sends(&c, &n, 1, "xyzdef");
    client_sends(&c, &n, 3, "XYZYg");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "abcdefg");
    tb_trace_free(&t);
}

/* As Linux's TCP does, which decided what the server read. */
static void of_overlapping_segments_takes_the_one_that_begins_first(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_sends(&c, &n, 3, "XXef"); /* they wait for the first byte */
    client_sends(&c, &n, 9, "ij");
    client_sends(&c, &n, 5, "YYghZZk");
    client_sends(&c, &n, 1, "abcd");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "abcdefghZZk");
    tb_trace_free(&t);
}

static void puts_segments_into_order(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_sends(&c, &n, 9, "ij");
    client_sends(&c, &n, 5, "ef");
    client_sends(&c, &n, 3, "cdefgh"); /* overlaps what is held already */
    client_sends(&c, &n, 1, "ab");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "abcdefghij");
    tb_trace_free(&t);
}

static void puts_every_permutation_into_order(void **state)
{
    static const char *parts[5] = {"one", "two", "three", "four", "five"};
    static const uint32_t seq[5] = {1, 4, 7, 12, 16};
    for (int order = 0; order < 120; order++) {
        struct cap c;
        struct conn n = opened(&c);
        int left[5] = {0, 1, 2, 3, 4};
        for (int k = 5, code = order; k > 0; code /= k, k--) {
            int at = code % k, part = left[at];
            left[at] = left[k - 1];
            client_sends(&c, &n, seq[part], parts[part]);
        }
        struct tb_trace t = load(&c);
        assert_stream(t.sessions[0], "onetwothreefourfive");
        tb_trace_free(&t);
    }
}

/* Memory is bounded, whatever waits for a byte that does not come. */
static void gives_up_a_gap_with_too_many_pieces_behind_it(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    for (uint32_t i = 0; i < 16500; i++)
        client_sends(&c, &n, 2 + i, "x");
    client_sends(&c, &n, 1, "y");
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped(&t, "hole"), 1);
    tb_trace_free(&t);
}

static void passes_the_wrap_of_sequence_numbers(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    n.isn[0] = 0xfffffffa;
    n.isn[1] = 0xfffffffd;
    shake_hands(&c, &n);
    client_says(&c, &n, "before and after");
    server_says(&c, &n, "the same here");
    client_says(&c, &n, "more");
    close_both(&c, &n);
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "before and aftermore");
    assert_int_equal(request_at(t.sessions[0], 0)->response_bytes, 13);
    assert_int_equal(t.sessions[0]->end.client, TB_END_FIN);
    tb_trace_free(&t);
}

static void ignores_keep_alive_probes(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    segment(&c, &n, TB_FROM_CLIENT, 0, 1, ACK, "\x7f");
    client_says(&c, &n, "hello");
    segment(&c, &n, TB_FROM_CLIENT, 5, 1, ACK, "\x7f");
    segment(&c, &n, TB_FROM_SERVER, 0, 6, ACK, "\x7f");
    client_says(&c, &n, " world");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hello world");
    assert_int_equal(record_count(t.sessions[0]), 1);
    tb_trace_free(&t);
}

static void takes_the_byte_of_a_window_probe(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "hello");
    client_sends(&c, &n, 6, " ");
    client_sends(&c, &n, 6, " world");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hello world");
    tb_trace_free(&t);
}

static void ignores_segments_far_away(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "hello");
    client_sends(&c, &n, 0x40000000, "from another life");
    client_sends(&c, &n, 0xa0000000, "and another");
    client_says(&c, &n, " world");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hello world");
    tb_trace_free(&t);
}

static void skips_a_session_with_a_hole(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "hello");
    c.lose = true;
    client_says(&c, &n, "lost");
    server_says(&c, &n, "world!"); /* acknowledges what was not captured */
    client_says(&c, &n, "more");
    close_both(&c, &n);
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped(&t, "hole"), 1);
    tb_trace_free(&t);
}

static void finds_a_hole_at_the_end(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "hello");
    c.lose = true;
    client_says(&c, &n, "lost");
    server_acks(&c, &n);
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped(&t, "hole"), 1);
    tb_trace_free(&t);
}

static void finds_a_hole_before_the_fin(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "hello");
    c.lose = true;
    client_says(&c, &n, "lost");
    client_fin(&c, &n);
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped(&t, "hole"), 1);
    tb_trace_free(&t);
}

static void plays_up_to_the_hole_when_asked(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "hello");
    server_says(&c, &n, "world!");
    c.lose = true;
    client_says(&c, &n, "lost");
    client_says(&c, &n, "more");
    close_both(&c, &n);
    struct tb_trace t = load_with(&c, (struct tb_trace_options){.partial = true});
    assert_int_equal(skipped_in_all(&t), 0);
    assert_stream(t.sessions[0], "hello");
    assert_int_equal(t.sessions[0]->end.client, TB_END_NONE);
    assert_int_equal(t.sessions[0]->end.server, TB_END_NONE);
    assert_true(tb_script_complete(t.sessions[0]));
    tb_trace_free(&t);
}

static void finds_out_about_a_hole_before_the_end(void **state)
{
    /* Held bytes must not pile up behind a hole that nothing will fill. */
    struct cap c;
    struct conn n = opened(&c);
    c.lose = true;
    client_says(&c, &n, "lost");
    for (int i = 0; i < 200; i++) {
        client_says(&c, &n, "more");
        server_acks(&c, &n);
    }
    struct tb_trace t = load_with(&c, (struct tb_trace_options){.partial = true});
    assert_stream(t.sessions[0], "");
    tb_trace_free(&t);
}

static void skips_truncated_packets(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn whole = new_conn(4000), cut = new_conn(4001);
    c.snaplen = 80;
    shake_hands(&c, &whole);
    shake_hands(&c, &cut);
    client_says(&c, &whole, "short");
    server_says(&c, &whole, "a response that is much longer than what was kept of it");
    client_says(&c, &cut, "a request that is much longer than what was kept of it");
    server_acks(&c, &cut);
    close_both(&c, &whole);
    close_both(&c, &cut);
    struct tb_trace t = load(&c);
    assert_int_equal(skipped(&t, "truncated"), 1);
    assert_int_equal(t.session_count, 1);
    assert_stream(t.sessions[0], "short");
    assert_int_equal(request_at(t.sessions[0], 0)->response_bytes, 55);
    tb_trace_free(&t);
}

static void plays_the_whole_part_of_truncated_sessions_when_asked(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    c.snaplen = 60;
    shake_hands(&c, &n);
    client_says(&c, &n, "short");
    server_says(&c, &n, "ok");
    client_says(&c, &n, "longer than the six bytes kept");
    close_both(&c, &n);
    struct tb_trace t = load_with(&c, (struct tb_trace_options){.partial = true});
    assert_stream(t.sessions[0], "shortlonger");
    assert_int_equal(t.sessions[0]->end.client, TB_END_NONE);
    tb_trace_free(&t);
}

static void fills_a_truncated_packet_from_another_copy(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    c.snaplen = 58;
    client_sends(&c, &n, 1, "hello world");
    c.snaplen = 0;
    client_sends(&c, &n, 1, "XXXXo world");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hello world");
    tb_trace_free(&t);
}

static void counts_server_bytes_that_were_not_captured(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "first ");
    c.lose = true;
    server_says(&c, &n, "lost ");
    server_says(&c, &n, "last");
    client_says(&c, &n, "two");
    c.lose = true;
    server_says(&c, &n, "lost as a whole");
    client_acks(&c, &n);
    client_says(&c, &n, "three");
    c.lose = true;
    server_says(&c, &n, "the last one, too");
    client_acks(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_stream(s, "onetwothree");
    assert_int_equal(s->requests, 3);
    assert_int_equal(request_at(s, 0)->response_bytes, 15);
    assert_int_equal(request_at(s, 1)->response_bytes, 15);
    assert_int_equal(request_at(s, 2)->response_bytes, 17);
    tb_trace_free(&t);
}

static void puts_the_server_into_order_too(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    segment(&c, &n, TB_FROM_SERVER, 7, 4, ACK, "last");
    segment(&c, &n, TB_FROM_SERVER, 1, 4, ACK, "first ");
    n.next[1] = 11;
    client_says(&c, &n, "two");
    struct tb_trace t = load(&c);
    assert_int_equal(request_at(t.sessions[0], 0)->response_bytes, 10);
    assert_int_equal(t.sessions[0]->requests, 2);
    tb_trace_free(&t);
}

static void takes_a_request_before_the_response_that_acknowledges_it(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "1");
    segment(&c, &n, TB_FROM_SERVER, 2, 7, ACK, "22"); /* its request comes later in the file */
    segment(&c, &n, TB_FROM_CLIENT, 4, 2, ACK, "two");
    segment(&c, &n, TB_FROM_CLIENT, 7, 7, ACK, "three"); /* before the rest of what it follows */
    segment(&c, &n, TB_FROM_SERVER, 4, 7, ACK, "222");
    segment(&c, &n, TB_FROM_SERVER, 7, 12, ACK, "3");
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->requests, 3);
    assert_request(request_at(s, 1), "two");
    assert_int_equal(request_at(s, 1)->response_bytes, 5);
    assert_request(request_at(s, 2), "three");
    assert_int_equal(request_at(s, 2)->response_bytes, 1);
    tb_trace_free(&t);
}

static void infers_a_fin_that_was_acknowledged(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "hello");
    server_says(&c, &n, "world!");
    client_acks(&c, &n);
    c.lose = true;
    client_fin(&c, &n);
    wait_us(&c, 5 * MS);
    server_fin(&c, &n);
    client_acks(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script_end *e = &t.sessions[0]->end;
    assert_int_equal(e->client, TB_END_FIN);
    assert_int_equal(e->server, TB_END_FIN);
    assert_false(e->server_first);
    assert_int_equal(e->waits_for, 1);
    tb_trace_free(&t);
}

static void infers_the_servers_fin_too(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "hello");
    server_says(&c, &n, "world!");
    c.lose = true;
    server_fin(&c, &n);
    client_acks(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script_end *e = &t.sessions[0]->end;
    assert_int_equal(e->server, TB_END_FIN);
    assert_true(e->server_fin);
    assert_int_equal(e->server_responses, 1);
    assert_int_equal(e->client, TB_END_NONE);
    tb_trace_free(&t);
}

static void takes_long_streams(void **state)
{
    enum { PART = 1000, PARTS = 700 };
    struct cap c;
    struct conn n = opened(&c);
    char *all = malloc(PART * PARTS + 1), *part = malloc(PART + 1);
    for (int i = 0; i < PART * PARTS; i++)
        all[i] = (char) ('!' + (i * 31 + i / 97) % 90);
    all[PART * PARTS] = part[PART] = 0;
    for (int i = 0; i < PARTS; i++) {
        memcpy(part, all + i * PART, PART);
        client_says(&c, &n, part);
        if (i % 50 == 49)
            server_says(&c, &n, "go on");
    }
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], all);
    assert_int_equal(t.sessions[0]->requests, PARTS / 50);
    free(all);
    free(part);
    tb_trace_free(&t);
}

static void spends_little_memory_beside_the_payload(void **state)
{
    /* Interleaved sessions that never end: chunks grow with their session. */
    enum { SESSIONS = 400, ROUNDS = 40, LEN = 120 };
    struct cap c = new_cap(LINK_ETHERNET);
    static struct conn n[SESSIONS];
    char text[LEN + 1];
    memset(text, 'x', LEN);
    text[LEN] = 0;
    for (int i = 0; i < SESSIONS; i++) {
        n[i] = new_conn((uint16_t) (5000 + i));
        shake_hands(&c, &n[i]);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < SESSIONS; i++) {
            client_says(&c, &n[i], text);
            server_says(&c, &n[i], "ok");
        }
    struct tb_trace t = load(&c);
    uint64_t payload = (uint64_t) SESSIONS * ROUNDS * LEN;
    assert_int_equal(t.client_bytes, payload);
    uint64_t chunk = 1 << 20; /* the arenas' last pieces may be empty */
    assert_true(t.bytes.total_bytes <= payload * 13 / 10 + chunk);
    assert_true(t.records.total_bytes <= SESSIONS * 128 + SESSIONS * ROUNDS * 64 + chunk);
    tb_trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_retransmission_once),
        cmocka_unit_test(keeps_what_came_in_order),
        cmocka_unit_test(of_overlapping_segments_takes_the_one_that_begins_first),
        cmocka_unit_test(puts_segments_into_order),
        cmocka_unit_test(puts_every_permutation_into_order),
        cmocka_unit_test(gives_up_a_gap_with_too_many_pieces_behind_it),
        cmocka_unit_test(passes_the_wrap_of_sequence_numbers),
        cmocka_unit_test(ignores_keep_alive_probes),
        cmocka_unit_test(takes_the_byte_of_a_window_probe),
        cmocka_unit_test(ignores_segments_far_away),
        cmocka_unit_test(skips_a_session_with_a_hole),
        cmocka_unit_test(finds_a_hole_at_the_end),
        cmocka_unit_test(finds_a_hole_before_the_fin),
        cmocka_unit_test(plays_up_to_the_hole_when_asked),
        cmocka_unit_test(finds_out_about_a_hole_before_the_end),
        cmocka_unit_test(skips_truncated_packets),
        cmocka_unit_test(plays_the_whole_part_of_truncated_sessions_when_asked),
        cmocka_unit_test(fills_a_truncated_packet_from_another_copy),
        cmocka_unit_test(counts_server_bytes_that_were_not_captured),
        cmocka_unit_test(puts_the_server_into_order_too),
        cmocka_unit_test(takes_a_request_before_the_response_that_acknowledges_it),
        cmocka_unit_test(infers_a_fin_that_was_acknowledged),
        cmocka_unit_test(infers_the_servers_fin_too),
        cmocka_unit_test(takes_long_streams),
        cmocka_unit_test(spends_little_memory_beside_the_payload),
    };
    return cmocka_run_group_tests_name("trace_reassembly", tests, NULL, NULL);
}
