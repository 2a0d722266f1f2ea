/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of base/log: lines in a file, levels, rotation, limiting. */
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "base/log.h"

struct files {
    char dir[32], log[64], moved[64];
};

static int set_up(void **state)
{
    struct files *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/tb_log_XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->log, sizeof f->log, "%s/log", f->dir);
    snprintf(f->moved, sizeof f->moved, "%s/log.1", f->dir);
    *state = f;
    return tb_log_open(f->log);
}

static int tear_down(void **state)
{
    struct files *f = *state;
    tb_log_set_level(TB_LOG_INFO);
    (void) tb_log_open(NULL);
    (void) unlink(f->log);
    (void) unlink(f->moved);
    (void) rmdir(f->dir);
    free(f);
    return 0;
}

/* The whole file, in static room. */
static const char *content(const char *path)
{
    static char text[16384];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static int count_lines(const char *text)
{
    int n = 0;
    while ((text = strchr(text, '\n'))) {
        n++;
        text++;
    }
    return n;
}

static void line_has_time_level_and_message(void **state)
{
    struct files *f = *state;
    tb_log(TB_LOG_WARN, "lost %d packets", 3);
    const char *text = content(f->log);
    unsigned y, mo, d, h, mi, s, ms;
    int at = 0;
    assert_int_equal(
        sscanf(text, "%4u-%2u-%2u %2u:%2u:%2u.%3u %n", &y, &mo, &d, &h, &mi, &s, &ms, &at), 7);
    assert_string_equal(text + at, "warning: lost 3 packets\n");
}

static void lines_above_the_level_are_left_out(void **state)
{
    struct files *f = *state;
    tb_log(TB_LOG_DEBUG, "not shown");
    tb_log_set_level(TB_LOG_ERROR);
    tb_log(TB_LOG_WARN, "not shown either");
    tb_log(TB_LOG_ERROR, "shown");
    assert_int_equal(count_lines(content(f->log)), 1);
}

static void control_characters_cannot_forge_lines(void **state)
{
    struct files *f = *state;
    tb_log(TB_LOG_INFO, "peer said %s", "a\nb\x1b[31m\x7f");
    const char *text = content(f->log);
    assert_int_equal(count_lines(text), 1);
    assert_non_null(strstr(text, "peer said a?b?[31m?\n"));
}

static void too_long_lines_are_cut_but_end_properly(void **state)
{
    struct files *f = *state;
    char longest[5000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    tb_log(TB_LOG_INFO, "%s", longest);
    tb_log(TB_LOG_INFO, "next");
    const char *text = content(f->log);
    assert_int_equal(count_lines(text), 2);
    assert_non_null(strstr(text, "xx\n"));
    assert_non_null(strstr(text, "info: next\n"));
}

static void opening_again_follows_a_rotated_file(void **state)
{
    struct files *f = *state;
    tb_log(TB_LOG_INFO, "first");
    assert_int_equal(rename(f->log, f->moved), 0);
    tb_log(TB_LOG_INFO, "second");
    assert_int_equal(tb_log_open(f->log), 0);
    tb_log(TB_LOG_INFO, "third");
    assert_int_equal(count_lines(content(f->moved)), 2);
    assert_int_equal(count_lines(content(f->log)), 1);
}

static void a_file_that_cannot_be_opened_leaves_the_old_one(void **state)
{
    struct files *f = *state;
    assert_int_equal(tb_log_open("/nonexistent-folder/log"), -ENOENT);
    tb_log(TB_LOG_INFO, "still here");
    assert_int_equal(count_lines(content(f->log)), 1);
}

static void limited_lines_are_counted_and_told(void **state)
{
    struct files *f = *state;
    struct tb_log_limit limit = {0};
    tb_log_limited(&limit, TB_LOG_INFO, "reset by peer");
    for (int i = 0; i < 5; i++)
        if (limit.next_us) {
            limit.next_us = UINT64_MAX; /* the second is not over, however slow the machine */
            tb_log_limited(&limit, TB_LOG_INFO, "reset by peer");
        }
    assert_int_equal(limit.left_out, 5);
    assert_int_equal(count_lines(content(f->log)), 1);
    limit.next_us = 0; /* the second is over */
    tb_log_limited(&limit, TB_LOG_INFO, "reset by peer");
    const char *text = content(f->log);
    assert_int_equal(count_lines(text), 2);
    assert_non_null(strstr(text, "reset by peer (5 more like this left out)\n"));
    assert_int_equal(limit.left_out, 0);
}

#define log_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(line_has_time_level_and_message),
        log_test(lines_above_the_level_are_left_out),
        log_test(control_characters_cannot_forge_lines),
        log_test(too_long_lines_are_cut_but_end_properly),
        log_test(opening_again_follows_a_rotated_file),
        log_test(a_file_that_cannot_be_opened_leaves_the_old_one),
        log_test(limited_lines_are_counted_and_told),
    };
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
