/* SPDX-License-Identifier: BSD-2-Clause */
/* Which sessions a capture holds: beginnings, ends, port reuse, and why some are not used. */
#include <errno.h>
#include "trace/flow.h"
#include "trace_build.h"

static void plays_a_session_from_its_syn(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    shake_hands(&c, &n);
    client_says(&c, &n, "hello");
    server_says(&c, &n, "world!");
    close_both(&c, &n);
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 1);
    const struct tb_script *s = t.sessions[0];
    assert_stream(s, "hello");
    assert_true(tb_addr_eq(&s->client, &n.addr[0]));
    assert_int_equal(s->client_port, 4000);
    assert_int_equal(s->start_us, (uint64_t) START_S * 1000000);
    assert_int_equal(s->syn.mss, 1460);
    assert_int_equal(s->syn.wscale, 7);
    assert_true(s->syn.sack_permitted);
    assert_false(s->syn.timestamps);
    assert_true(tb_script_complete(s));
    assert_int_equal(t.packets, 8);
    assert_int_equal(t.requests, 1);
    assert_int_equal(t.client_bytes, 5);
    assert_int_equal(skipped_in_all(&t), 0);
    tb_trace_free(&t);
}

static void plays_a_session_without_client_bytes(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    shake_hands(&c, &n);
    close_both(&c, &n);
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 1);
    assert_int_equal(t.sessions[0]->requests, 0);
    assert_null(tb_script_first(t.sessions[0]));
    tb_trace_free(&t);
}

static void plays_a_session_whose_end_was_not_captured(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    shake_hands(&c, &n);
    client_says(&c, &n, "hello");
    server_says(&c, &n, "world!");
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 1);
    assert_int_equal(t.sessions[0]->end.client, TB_END_NONE);
    assert_int_equal(t.sessions[0]->end.server, TB_END_NONE);
    tb_trace_free(&t);
}

static void counts_bytes_in_the_syn(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, "fast");
    segment(&c, &n, TB_FROM_SERVER, 0, 5, SYN | ACK, NULL);
    segment(&c, &n, TB_FROM_CLIENT, 5, 1, ACK, " open");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "fast open");
    tb_trace_free(&t);
}

static void counts_bytes_in_the_syn_sent_again_once(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, "fast");
    segment(&c, &n, TB_FROM_SERVER, 0, 1, SYN | ACK, NULL);
    segment(&c, &n, TB_FROM_CLIENT, 1, 1, ACK, "fast open");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "fast open");
    tb_trace_free(&t);
}

static void takes_repeated_syns_for_one_session(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, NULL);
    wait_us(&c, 1000 * MS);
    shake_hands(&c, &n);
    client_says(&c, &n, "hello");
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, NULL);
    server_says(&c, &n, "world!");
    close_both(&c, &n);
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, NULL);
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 1);
    assert_int_equal(t.sessions[0]->start_us, (uint64_t) START_S * 1000000);
    assert_int_equal(skipped_in_all(&t), 0);
    tb_trace_free(&t);
}

static void knows_a_port_used_again_by_the_isn(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn first = new_conn(4000), second = first;
    second.isn[0] += 1000000;
    second.isn[1] += 2000000;
    shake_hands(&c, &first);
    client_says(&c, &first, "one");
    server_says(&c, &first, "1");
    shake_hands(&c, &second); /* the end of the first was not captured */
    segment(&c, &first, TB_FROM_CLIENT, 0, 0, SYN, NULL);
    client_says(&c, &second, "two");
    segment(&c, &first, TB_FROM_SERVER, 2, 4, FIN | ACK, NULL);
    server_says(&c, &second, "2");
    close_both(&c, &second);
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 2);
    assert_stream(t.sessions[0], "one");
    assert_stream(t.sessions[1], "two");
    assert_int_equal(t.sessions[1]->end.client, TB_END_FIN);
    assert_int_equal(skipped_in_all(&t), 0);
    tb_trace_free(&t);
}

static void knows_a_port_used_again_after_the_end(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    for (int i = 0; i < 5; i++) {
        shake_hands(&c, &n);
        client_says(&c, &n, "again");
        close_both(&c, &n);
        n.isn[0] += 70000;
        n.isn[1] += 90000;
        wait_us(&c, i % 2 ? MS : 10000 * MS);
    }
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 5);
    for (int i = 0; i < 5; i++)
        assert_stream(t.sessions[i], "again");
    tb_trace_free(&t);
}

static void does_not_need_the_syn_ack(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    say_flags(&c, &n, TB_FROM_CLIENT, SYN, NULL);
    c.lose = true;
    say_flags(&c, &n, TB_FROM_SERVER, SYN | ACK, NULL);
    client_acks(&c, &n);
    client_says(&c, &n, "hello");
    server_says(&c, &n, "world!");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hello");
    assert_int_equal(request_at(t.sessions[0], 0)->response_bytes, 6);
    tb_trace_free(&t);
}

static void takes_a_syn_that_stands_behind_its_answer(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    segment(&c, &n, TB_FROM_SERVER, 0, 1, SYN | ACK, NULL);
    segment(&c, &n, TB_FROM_CLIENT, 1, 1, ACK, NULL);
    segment(&c, &n, TB_FROM_CLIENT, 1, 1, ACK, "hello");
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, NULL);
    segment(&c, &n, TB_FROM_SERVER, 1, 6, ACK, "world!");
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 1);
    assert_stream(t.sessions[0], "hello");
    assert_int_equal(t.sessions[0]->syn.mss, 1460);
    assert_int_equal(skipped_in_all(&t), 0);
    tb_trace_free(&t);
}

static void skips_sessions_without_syn_once(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn with_synack = new_conn(4000), middle = new_conn(4001), server_side = new_conn(4002);
    c.lose = true;
    shake_hands(&c, &with_synack);
    client_says(&c, &with_synack, "hello");
    middle.next[0] = middle.next[1] = 5000;
    client_says(&c, &middle, "hello");
    server_says(&c, &middle, "world!");
    close_both(&c, &middle);
    segment(&c, &middle, TB_FROM_SERVER, 5006, 5006, ACK | FIN, NULL);
    server_says(&c, &server_side, "pushed");
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped(&t, "no_syn"), 3);
    assert_int_equal(skipped_in_all(&t), 3);
    tb_trace_free(&t);
}

static void does_not_count_the_tail_of_a_session_again(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    shake_hands(&c, &n);
    client_says(&c, &n, "hello");
    close_both(&c, &n);
    for (int i = 0; i < 3; i++) {
        wait_us(&c, 20000 * MS); /* long enough for the connection to be forgotten */
        segment(&c, &n, TB_FROM_SERVER, 1, 7, ACK | FIN, NULL);
        segment(&c, &n, TB_FROM_CLIENT, 7, 2, ACK, NULL);
        segment(&c, &n, TB_FROM_CLIENT, 7, 0, RST, NULL);
    }
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 1);
    assert_int_equal(skipped_in_all(&t), 0);
    tb_trace_free(&t);
}

static void does_not_count_a_lone_reset(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    segment(&c, &n, TB_FROM_CLIENT, 7, 0, RST, NULL);
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped_in_all(&t), 0);
    tb_trace_free(&t);
}

static void skips_unanswered_syns(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    for (int i = 0; i < 4; i++)
        segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, NULL);
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped(&t, "unanswered"), 1);
    assert_int_equal(skipped_in_all(&t), 1);
    tb_trace_free(&t);
}

static void skips_refused_syns(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    struct tb_frame f;
    uint8_t ip[200];
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, NULL);
    struct tb_frame_spec rst = {.src = &n.addr[1],
                                .dst = &n.addr[0],
                                .sport = 80,
                                .dport = 4000,
                                .ack = n.isn[0] + 1,
                                .flags = RST | ACK};
    tb_frame_build(&f, &rst, NULL, 0);
    add_packet(&c, ip, tb_frame_flatten(&f, ip, sizeof ip));
    segment(&c, &n, TB_FROM_CLIENT, 0, 0, SYN, NULL); /* a duplicate */
    struct tb_trace t = load_nothing(&c);
    assert_int_equal(skipped(&t, "refused"), 1);
    assert_int_equal(skipped_in_all(&t), 1);
    tb_trace_free(&t);
}

static void skips_connections_to_other_servers_once(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn used = new_conn(4000), port = new_conn(4001), addr = new_conn(4002);
    struct tb_service services[] = {{.addr = addr_of("10.0.0.2"), .port = 80}};
    port.port[1] = 81;
    addr.addr[1] = addr_of("10.0.0.3");
    struct conn *all[] = {&used, &port, &addr};
    for (int i = 0; i < 3; i++) {
        shake_hands(&c, all[i]);
        client_says(&c, all[i], "hello");
        segment(&c, all[i], TB_FROM_CLIENT, 0, 0, SYN, NULL);
        close_both(&c, all[i]);
    }
    struct tb_trace t =
        load_with(&c, (struct tb_trace_options){.services = services, .service_count = 1});
    assert_int_equal(t.session_count, 1);
    assert_int_equal(skipped(&t, "no_transfer"), 2);
    assert_int_equal(skipped_in_all(&t), 2);
    tb_trace_free(&t);
}

static void tells_which_service_was_meant(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn a = new_conn(4000), b = new_conn(4001);
    struct tb_service services[] = {{.any_addr = true, .port = 81},
                                    {.addr = addr_of("10.0.0.2"), .port = 80}};
    shake_hands(&c, &a);
    b.port[1] = 81;
    shake_hands(&c, &b);
    struct tb_trace t =
        load_with(&c, (struct tb_trace_options){.services = services, .service_count = 2});
    assert_int_equal(t.sessions[0]->transfer, 1);
    assert_int_equal(t.sessions[1]->transfer, 0);
    tb_trace_free(&t);
}

static void ignores_a_reset_outside_the_window(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n = new_conn(4000);
    shake_hands(&c, &n);
    client_says(&c, &n, "hello");
    segment(&c, &n, TB_FROM_SERVER, 0x30000000, 6, RST | ACK, NULL);
    segment(&c, &n, TB_FROM_CLIENT, 0x50000000, 1, RST, NULL);
    server_says(&c, &n, "world!");
    client_says(&c, &n, "more");
    struct tb_trace t = load(&c);
    assert_stream(t.sessions[0], "hellomore");
    assert_int_equal(t.sessions[0]->end.client, TB_END_NONE);
    assert_int_equal(t.sessions[0]->end.server, TB_END_NONE);
    tb_trace_free(&t);
}

static void numbers_sessions_by_their_syn(void **state)
{
    struct cap c = new_cap(LINK_ETHERNET);
    struct conn n[3] = {new_conn(4000), new_conn(4001), new_conn(4002)};
    c.now_us = 5000 * MS;
    shake_hands(&c, &n[0]);
    c.now_us = 1000 * MS; /* a file that is not in order */
    shake_hands(&c, &n[1]);
    c.now_us = 1000 * MS;
    shake_hands(&c, &n[2]);
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, 3);
    assert_int_equal(t.sessions[0]->client_port, 4001);
    assert_int_equal(t.sessions[1]->client_port, 4002);
    assert_int_equal(t.sessions[2]->client_port, 4000);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(t.sessions[i]->number, i);
    tb_trace_free(&t);
}

static void keeps_many_connections_apart(void **state)
{
    enum { COUNT = 5000 };
    struct cap c = new_cap(LINK_RAW);
    static struct conn n[COUNT];
    char text[24];
    for (int i = 0; i < COUNT; i++) {
        n[i] = new_conn((uint16_t) (1024 + i));
        shake_hands(&c, &n[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "from %d", i);
        client_says(&c, &n[i], text);
    }
    for (int i = 0; i < COUNT; i += 2)
        close_both(&c, &n[i]);
    for (int i = 0; i < COUNT; i++)
        client_says(&c, &n[i], "!"); /* of half of them, behind their end */
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, i % 2 ? "from %d!" : "from %d", i);
        assert_stream(t.sessions[i], text);
    }
    assert_int_equal(skipped_in_all(&t), 0);
    tb_trace_free(&t);
}

/* Ended connections wait for late packets; of more than fit the oldest gives way. */
static void a_crowd_may_end_at_once(void **state)
{
    enum { COUNT = TB_FLOW_LINGER_MAX + 100 };
    struct cap c = new_cap(LINK_RAW);
    struct conn first = new_conn(1024), n;
    for (int i = 0; i < COUNT; i++) {
        n = new_conn((uint16_t) (1024 + i));
        shake_hands(&c, &n);
        client_says(&c, &n, "hello");
        close_both(&c, &n);
    }
    segment(&c, &first, TB_FROM_CLIENT, 1, 1, ACK, "hello"); /* known, and no session of its own */
    struct tb_trace t = load(&c);
    assert_int_equal(t.session_count, COUNT);
    assert_int_equal(t.client_bytes, COUNT * 5);
    assert_int_equal(skipped_in_all(&t), 0);
    tb_trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plays_a_session_from_its_syn),
        cmocka_unit_test(plays_a_session_without_client_bytes),
        cmocka_unit_test(plays_a_session_whose_end_was_not_captured),
        cmocka_unit_test(counts_bytes_in_the_syn),
        cmocka_unit_test(counts_bytes_in_the_syn_sent_again_once),
        cmocka_unit_test(takes_repeated_syns_for_one_session),
        cmocka_unit_test(knows_a_port_used_again_by_the_isn),
        cmocka_unit_test(knows_a_port_used_again_after_the_end),
        cmocka_unit_test(does_not_need_the_syn_ack),
        cmocka_unit_test(takes_a_syn_that_stands_behind_its_answer),
        cmocka_unit_test(skips_sessions_without_syn_once),
        cmocka_unit_test(does_not_count_the_tail_of_a_session_again),
        cmocka_unit_test(does_not_count_a_lone_reset),
        cmocka_unit_test(skips_unanswered_syns),
        cmocka_unit_test(skips_refused_syns),
        cmocka_unit_test(skips_connections_to_other_servers_once),
        cmocka_unit_test(tells_which_service_was_meant),
        cmocka_unit_test(ignores_a_reset_outside_the_window),
        cmocka_unit_test(numbers_sessions_by_their_syn),
        cmocka_unit_test(keeps_many_connections_apart),
        cmocka_unit_test(a_crowd_may_end_at_once),
    };
    return cmocka_run_group_tests_name("trace_flow", tests, NULL, NULL);
}
