/* SPDX-License-Identifier: BSD-2-Clause */
/* The example module (examples/line) tested the way docs/MODULES.md shows: hooks called directly,
 * against a host that records. */
#include "unit.h"
#include "module_host.h"

extern const struct tb_module tb_module_entry;

static const struct tb_module *const line = &tb_module_entry;

static void configure(const char *options)
{
    char err[200] = "";
    assert_int_equal(host_configure(line, options, err, sizeof err), 0);
}

static void say(struct tb_learn *l, void *state, enum tb_direction dir, const char *text)
{
    host_learn(line, l, state, dir, text, strlen(text));
}

static void learns_lines_in_pieces(void **state)
{
    configure("{}");
    struct tb_learn l = {0};
    void *s = line->learn_begin(&l);
    say(&l, s, TB_SERVER_BYTES, "220 hello\r\n");
    say(&l, s, TB_CLIENT_BYTES, "ONE\r\nTW");
    say(&l, s, TB_SERVER_BYTES, "250 o");
    say(&l, s, TB_CLIENT_BYTES, "O\r\n");
    say(&l, s, TB_SERVER_BYTES, "k\r\n550 no\r\n");
    line->learn_end(&l, s, true);
    assert_int_equal(l.greetings, 1);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.request[0].end, 5);
    assert_int_equal(l.request[1].end, 10);
    assert_int_equal(l.request[0].response_end, 19);
    assert_int_equal(l.request[1].response_end, 27);
    assert_memory_equal(&l.request[0].note, "250 ok\r\0", 8);
}

static void rejects_sessions_with_holes(void **state)
{
    configure("{}");
    struct tb_learn l = {0};
    void *s = line->learn_begin(&l);
    host_learn(line, &l, s, TB_SERVER_BYTES, NULL, 10);
    line->learn_end(&l, s, false);
    assert_string_equal(l.rejected, "line_hole");
}

static void puts_numbers_in_front_when_asked_to(void **state)
{
    struct tb_session s = {0};
    configure("{}");
    assert_int_equal(host_request(line, &s, 0, "ONE\r\n", 5), TB_REQUEST_SEND);
    assert_int_equal(s.sent_len, 0);
    configure("{\"number\": true}");
    assert_int_equal(host_request(line, &s, 0, "ONE\r\n", 5), TB_REQUEST_SEND);
    assert_int_equal(s.sent_len, 2);
    assert_memory_equal(s.sent, "1 ", 2);
    assert_int_equal(line->request(&s, NULL), TB_REQUEST_SEND);
    assert_int_equal(s.sent_len, 2);
}

static uint64_t note(const char *start)
{
    uint64_t n = 0;
    for (unsigned i = 0; start[i] && i < 8; i++)
        n |= (uint64_t) (uint8_t) start[i] << 8 * i;
    return n;
}

static void compares_the_first_word(void **state)
{
    struct tb_session s = {0};
    size_t used;
    configure("{}");
    host_await(&s, note("250 ok"));
    host_await(&s, note("250 ok"));
    assert_int_equal(host_respond(line, &s, "25", 2, 0, &used), TB_RESPONSE_MORE);
    assert_int_equal(host_respond(line, &s, "0 fine\r\n550 no\r\n", 16, 0, &used),
                     TB_RESPONSE_COMPLETE);
    assert_int_equal(used, 8);
    assert_int_equal(host_respond(line, &s, "550 no\r\n", 8, 0, &used), TB_RESPONSE_MISMATCH);
    assert_string_equal(s.captured, "250");
    assert_string_equal(s.seen, "550");
    assert_int_equal(s.counts[host_counter("lines")], 2);
}

static void refuses_unknown_options(void **state)
{
    char err[200] = "";
    assert_int_not_equal(host_configure(line, "{\"numbr\": true}", err, sizeof err), 0);
    assert_non_null(strstr(err, "\"numbr\""));
    assert_int_not_equal(host_configure(line, "{\"number\": 1}", err, sizeof err), 0);
    assert_non_null(strstr(err, "\"number\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_lines_in_pieces),
        cmocka_unit_test(rejects_sessions_with_holes),
        cmocka_unit_test(puts_numbers_in_front_when_asked_to),
        cmocka_unit_test(compares_the_first_word),
        cmocka_unit_test(refuses_unknown_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
