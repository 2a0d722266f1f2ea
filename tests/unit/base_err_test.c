/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of base/err: what ends up in a message. */
#include "unit.h"
#include <errno.h>
#include "base/err.h"

static void set_formats_and_returns_the_code(void **state)
{
    struct tb_err err;
    assert_int_equal(tb_err_set(&err, -EINVAL, "%s: %d", "users", 7), -EINVAL);
    assert_string_equal(err.text, "users: 7");
}

static void null_err_is_accepted(void **state)
{
    assert_int_equal(tb_err_set(NULL, -EIO, "x"), -EIO);
    assert_int_equal(tb_err_prefix(NULL, -EIO, "x"), -EIO);
}

static void set_may_quote_the_old_message(void **state)
{
    struct tb_err err;
    tb_err_set(&err, -EIO, "disk full");
    tb_err_set(&err, -EIO, "cannot write (%s)", err.text);
    assert_string_equal(err.text, "cannot write (disk full)");
}

static void prefix_goes_before_the_message(void **state)
{
    struct tb_err err;
    tb_err_set(&err, -EIO, "no such key");
    assert_int_equal(tb_err_prefix(&err, -ENOENT, "%s:%d", "a.json", 3), -ENOENT);
    assert_string_equal(err.text, "a.json:3: no such key");
}

static void long_messages_are_cut_at_the_end(void **state)
{
    struct tb_err err;
    char longest[2 * sizeof err.text];
    memset(longest, 'm', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    tb_err_set(&err, -EIO, "%s", longest);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);

    tb_err_prefix(&err, -EIO, "where");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "where: mmm", 10);

    for (size_t prefix_len = sizeof err.text - 5; prefix_len < sizeof err.text + 5; prefix_len++) {
        tb_err_set(&err, -EIO, "old");
        tb_err_prefix(&err, -EIO, "%.*s", (int) prefix_len, longest);
        size_t expected = prefix_len + 2 + 3 < sizeof err.text ? prefix_len + 5 : strlen(err.text);
        assert_int_equal(strlen(err.text), expected);
        assert_true(strlen(err.text) < sizeof err.text);
        assert_memory_equal(err.text, longest, sizeof err.text - 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_formats_and_returns_the_code),
        cmocka_unit_test(null_err_is_accepted),
        cmocka_unit_test(set_may_quote_the_old_message),
        cmocka_unit_test(prefix_goes_before_the_message),
        cmocka_unit_test(long_messages_are_cut_at_the_end),
    };
    return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
