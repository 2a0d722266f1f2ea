/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When an answer is complete, and what it was (modules/mysql/answer.c). Every stream is read whole,
 * byte by byte and in random pieces; a byte that follows must be left alone.
 */
#include "mysql_build.h"

static struct tb_mysql_answer read_pieces(const struct stream *s, enum tb_mysql_form form,
                                          bool no_eof, unsigned mode, enum tb_mysql_event *event,
                                          size_t *end)
{
    struct tb_mysql_answer a;
    tb_mysql_answer_begin(&a, form, no_eof);
    *event = TB_MYSQL_MORE;
    for (*end = 0; *end < s->out.len && *event == TB_MYSQL_MORE;) {
        size_t n = s->out.len - *end, used, piece = 1;
        if (mode > 1) {
            mode = mode * 1103515245u + 12345u;
            piece = 1 + (mode >> 16) % 17;
        }
        if (mode && piece < n)
            n = piece;
        uint8_t *copy = exact_copy(s->out.data + *end, n);
        *event = tb_mysql_answer_feed(&a, copy, n, &used);
        free(copy);
        assert_in_range(used, 1, n);
        *end += used;
    }
    return a;
}

/* The stream is exactly one answer. */
static struct tb_mysql_answer complete(struct stream *s, enum tb_mysql_form form, bool no_eof)
{
    struct tb_mysql_answer a = {0};
    size_t len = s->out.len;
    BYTES(s, TB_MYSQL_OK); /* of the next answer */
    for (unsigned mode = 0; mode < 20; mode++) {
        enum tb_mysql_event event;
        size_t end;
        a = read_pieces(s, form, no_eof, mode, &event, &end);
        assert_int_equal(event, TB_MYSQL_DONE);
        assert_int_equal(end, len);
    }
    forget(s);
    return a;
}

static void bad(struct stream *s, enum tb_mysql_form form, bool no_eof)
{
    for (unsigned mode = 0; mode < 5; mode++) {
        enum tb_mysql_event event;
        size_t end;
        read_pieces(s, form, no_eof, mode, &event, &end);
        assert_int_equal(event, TB_MYSQL_BAD);
    }
    forget(s);
}

static void ok_tells_the_rows_affected(void **state)
{
    struct stream s = {0};
    ok(&s, 3, 2);
    struct tb_mysql_answer a = complete(&s, TB_FORM_RESULTS, false);
    assert_int_equal(a.outcome.rows, 3);
    assert_int_equal(a.outcome.columns, 0);
    assert_int_equal(a.outcome.error, 0);
}

static void error_tells_code_and_state(void **state)
{
    struct stream s = {0};
    error(&s, 1146);
    struct tb_mysql_answer a = complete(&s, TB_FORM_RESULTS, true);
    assert_int_equal(a.outcome.error, 1146);
    assert_memory_equal(a.outcome.state, "42S02", 5);
}

static void result_set_ends_with_its_second_eof(void **state)
{
    struct stream s = {0};
    result_set(&s, 3, 5, 2);
    struct tb_mysql_answer a = complete(&s, TB_FORM_RESULTS, false);
    assert_int_equal(a.outcome.columns, 3);
    assert_int_equal(a.outcome.rows, 5);
}

static void result_set_without_eofs_ends_with_an_ok(void **state)
{
    struct stream s = {0};
    BYTES(&s, 2);
    definitions(&s, 2);
    rows(&s, 4);
    eof_ok(&s, 2);
    struct tb_mysql_answer a = complete(&s, TB_FORM_RESULTS, true);
    assert_int_equal(a.outcome.columns, 2);
    assert_int_equal(a.outcome.rows, 4);
}

static void error_may_end_rows(void **state)
{
    struct stream s = {0};
    BYTES(&s, 1);
    definitions(&s, 1);
    eof(&s, 2);
    rows(&s, 2);
    error(&s, 1317);
    assert_int_equal(complete(&s, TB_FORM_RESULTS, false).outcome.error, 1317);
}

static void more_results_go_on_to_the_last(void **state)
{
    struct stream s = {0};
    result_set(&s, 1, 2, 2 | TB_MYSQL_MORE_RESULTS);
    ok(&s, 7, 2 | TB_MYSQL_MORE_RESULTS);
    result_set(&s, 4, 1, 2 | TB_MYSQL_MORE_RESULTS);
    ok(&s, 0, 2); /* as a CALL ends */
    struct tb_mysql_answer a = complete(&s, TB_FORM_RESULTS, false);
    assert_int_equal(a.outcome.results, 4);
    assert_int_equal(a.outcome.columns, 1);
    assert_int_equal(a.outcome.rows, 2 + 7 + 1);
}

static void column_counts_of_all_results_matter(void **state)
{
    struct stream s = {0};
    result_set(&s, 1, 1, 2 | TB_MYSQL_MORE_RESULTS);
    result_set(&s, 4, 1, 2);
    struct tb_mysql_outcome four = complete(&s, TB_FORM_RESULTS, false).outcome;
    result_set(&s, 1, 1, 2 | TB_MYSQL_MORE_RESULTS);
    result_set(&s, 5, 1, 2);
    struct tb_mysql_outcome five = complete(&s, TB_FORM_RESULTS, false).outcome;
    assert_true(tb_mysql_outcome_differs(&four, &five, false));
    assert_false(tb_mysql_outcome_differs(&four, &four, true));
}

static void open_cursor_ends_with_the_first_eof(void **state)
{
    struct stream s = {0};
    BYTES(&s, 2);
    definitions(&s, 2);
    eof(&s, 2 | TB_MYSQL_CURSOR_OPEN);
    assert_int_equal(complete(&s, TB_FORM_RESULTS, false).outcome.columns, 2);
    BYTES(&s, 2);
    definitions(&s, 2);
    eof_ok(&s, 2 | TB_MYSQL_CURSOR_OPEN);
    assert_int_equal(complete(&s, TB_FORM_RESULTS, true).outcome.rows, 0);
}

static void skipped_definitions_still_leave_the_eof(void **state)
{
    struct stream s = {0};
    BYTES(&s, 3, 0); /* three columns, metadata not sent */
    eof(&s, 2);
    rows(&s, 1);
    eof(&s, 2);
    assert_int_equal(complete(&s, TB_FORM_RESULTS, false).outcome.columns, 3);
    BYTES(&s, 3, 1); /* sent */
    definitions(&s, 3);
    rows(&s, 1);
    eof_ok(&s, 2);
    assert_int_equal(complete(&s, TB_FORM_RESULTS, true).outcome.rows, 1);
}

static void progress_is_not_the_end(void **state)
{
    struct stream s = {0};
    for (unsigned i = 0; i < 3; i++) /* FF FF FF, strings 1, stage, stages, progress, text */
        BYTES(&s, 0xff, 0xff, 0xff, 1, 1, 2, 0, 0, 0, 4, 'c', 'o', 'p', 'y');
    ok(&s, 0, 2);
    assert_int_equal(complete(&s, TB_FORM_RESULTS, false).outcome.error, 0);
}

static void local_infile_is_an_answer(void **state)
{
    struct stream s = {0};
    BYTES(&s, TB_MYSQL_INFILE, 'f');
    assert_true(complete(&s, TB_FORM_RESULTS, true).outcome.infile);
}

static void row_longer_than_a_packet_is_one_row(void **state)
{
    struct stream s = {0};
    size_t len = TB_MYSQL_PACKET_MAX + 10;
    uint8_t *row = calloc(1, len);
    assert_non_null(row);
    row[0] = TB_MYSQL_EOF; /* an eight-byte length, as of a long field */
    BYTES(&s, 1);
    definitions(&s, 1);
    packet(&s, row, len);
    packet(&s, row, TB_MYSQL_PACKET_MAX); /* ends in an empty packet */
    eof_ok(&s, 2);
    struct tb_mysql_answer a;
    size_t used;
    tb_mysql_answer_begin(&a, TB_FORM_RESULTS, true);
    assert_int_equal(tb_mysql_answer_feed(&a, s.out.data, s.out.len, &used), TB_MYSQL_DONE);
    assert_int_equal(used, s.out.len);
    assert_int_equal(a.outcome.rows, 2);
    free(row);
    forget(&s);
}

static void prepare_tells_id_parameters_and_columns(void **state)
{
    static const unsigned kinds[][2] = {{0, 0}, {2, 0}, {0, 3}, {2, 3}};
    for (unsigned i = 0; i < 4; i++) {
        struct stream s = {0};
        prepared(&s, 0x1234, kinds[i][0], kinds[i][1]);
        struct tb_mysql_answer a = complete(&s, TB_FORM_PREPARE, false);
        assert_int_equal(a.statement, 0x1234);
        assert_int_equal(a.outcome.params, kinds[i][0]);
        assert_int_equal(a.outcome.columns, kinds[i][1]);
    }
    struct stream s = {0};
    error(&s, 1064);
    assert_int_equal(complete(&s, TB_FORM_PREPARE, false).outcome.error, 1064);
}

static void prepare_without_eofs(void **state)
{
    struct stream s = {0};
    BYTES(&s, 0, 9, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 1); /* id 9, 2 columns, 1 parameter, sent */
    definitions(&s, 3);
    assert_int_equal(complete(&s, TB_FORM_PREPARE, true).statement, 9);
    BYTES(&s, 0, 9, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0); /* … not sent */
    assert_int_equal(complete(&s, TB_FORM_PREPARE, true).outcome.columns, 2);
}

static void fetch_field_list_and_statistics(void **state)
{
    struct stream s = {0};
    rows(&s, 3);
    eof(&s, 2 | 0x80);
    assert_int_equal(complete(&s, TB_FORM_ROWS, false).outcome.rows, 3);
    definitions(&s, 4);
    eof(&s, 2);
    assert_int_equal(complete(&s, TB_FORM_FIELDS, false).outcome.columns, 4);
    packet(&s, "Uptime: 5", 9);
    complete(&s, TB_FORM_TEXT, false);
    eof(&s, 2); /* SET_OPTION */
    complete(&s, TB_FORM_OK, false);
}

static void other_bytes_are_not_the_protocol(void **state)
{
    struct stream s = {0};
    packet(&s, "", 0);
    bad(&s, TB_FORM_RESULTS, false);
    BYTES(&s, 0xfe, 0, 0, 2, 0);
    bad(&s, TB_FORM_RESULTS, false);
    BYTES(&s, 5, 6, 7);
    bad(&s, TB_FORM_OK, false);
    BYTES(&s, 1);
    definitions(&s, 1);
    rows(&s, 1); /* where an EOF must be */
    bad(&s, TB_FORM_RESULTS, false);
    BYTES(&s, 0, 1, 0);
    bad(&s, TB_FORM_PREPARE, false);
}

static void hole_within_a_row_is_survived(void **state)
{
    struct stream s = {0};
    struct tb_mysql_answer a;
    size_t used;
    char row[200];
    memset(row, 50, sizeof row);
    BYTES(&s, 1);
    definitions(&s, 1);
    eof(&s, 2);
    size_t begin = s.out.len;
    packet(&s, row, sizeof row);
    eof(&s, 2);
    tb_mysql_answer_begin(&a, TB_FORM_RESULTS, false);
    tb_mysql_answer_feed(&a, s.out.data, begin + 60, &used);
    assert_true(tb_mysql_answer_skip(&a, 100));
    size_t at = begin + 160;
    assert_int_equal(tb_mysql_answer_feed(&a, s.out.data + at, s.out.len - at, &used),
                     TB_MYSQL_DONE);
    assert_int_equal(a.outcome.rows, 1);

    tb_mysql_answer_begin(&a, TB_FORM_RESULTS, false);
    tb_mysql_answer_feed(&a, s.out.data, begin + 60, &used);
    assert_false(tb_mysql_answer_skip(&a, 1000)); /* reaches into the next packet */
    forget(&s);
}

static void outcome_is_told_in_words(void **state)
{
    char text[80];
    struct tb_mysql_outcome o = {.columns = 3, .results = 1, .rows = 5};
    tb_mysql_outcome_text(&o, false, text, sizeof text);
    assert_string_equal(text, "ok, 3 columns");
    tb_mysql_outcome_text(&o, true, text, sizeof text);
    assert_string_equal(text, "ok, 3 columns, 5 rows");
    o = (struct tb_mysql_outcome){.error = 1146, .state = {'4', '2', 'S', '0', '2'}};
    tb_mysql_outcome_text(&o, true, text, sizeof text);
    assert_string_equal(text, "ERR 1146 (42S02)");
    tb_mysql_outcome_text(&o, true, text, 6); /* no room is no harm */
    assert_string_equal(text, "ERR 1");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ok_tells_the_rows_affected),
        cmocka_unit_test(error_tells_code_and_state),
        cmocka_unit_test(result_set_ends_with_its_second_eof),
        cmocka_unit_test(result_set_without_eofs_ends_with_an_ok),
        cmocka_unit_test(error_may_end_rows),
        cmocka_unit_test(more_results_go_on_to_the_last),
        cmocka_unit_test(column_counts_of_all_results_matter),
        cmocka_unit_test(open_cursor_ends_with_the_first_eof),
        cmocka_unit_test(skipped_definitions_still_leave_the_eof),
        cmocka_unit_test(progress_is_not_the_end),
        cmocka_unit_test(local_infile_is_an_answer),
        cmocka_unit_test(row_longer_than_a_packet_is_one_row),
        cmocka_unit_test(prepare_tells_id_parameters_and_columns),
        cmocka_unit_test(prepare_without_eofs),
        cmocka_unit_test(fetch_field_list_and_statistics),
        cmocka_unit_test(other_bytes_are_not_the_protocol),
        cmocka_unit_test(hole_within_a_row_is_survived),
        cmocka_unit_test(outcome_is_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
