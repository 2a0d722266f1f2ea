/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of base/cursor: values, and what happens at the end. */
#include "unit.h"
#include "base/cursor.h"

static const uint8_t bytes[] = {0x01, 0x02, 0x83, 0x84, 0x85, 0x86, 0x87};

static void reads_numbers_in_both_byte_orders(void **state)
{
    struct tb_cursor c = tb_cursor_init(bytes, sizeof bytes);
    assert_int_equal(tb_cursor_u8(&c), 0x01);
    assert_int_equal(tb_cursor_be16(&c), 0x0283);
    assert_int_equal(tb_cursor_be32(&c), 0x84858687);
    assert_int_equal(tb_cursor_left(&c), 0);
    c = tb_cursor_init(bytes, sizeof bytes);
    tb_cursor_skip(&c, 1);
    assert_int_equal(tb_cursor_le16(&c), 0x8302);
    assert_int_equal(tb_cursor_le32(&c), 0x87868584);
    assert_false(c.failed);
}

static void a_read_past_the_end_gives_zero_and_stays(void **state)
{
    uint8_t *copy = exact_copy(bytes, 3);
    struct tb_cursor c = tb_cursor_init(copy, 3);
    assert_int_equal(tb_cursor_be32(&c), 0);
    assert_true(c.failed);
    assert_int_equal(tb_cursor_left(&c), 3);
    assert_null(tb_cursor_bytes(&c, SIZE_MAX));
    assert_int_equal(tb_cursor_be16(&c), 0x0102);
    assert_int_equal(tb_cursor_le16(&c), 0);
    assert_int_equal(tb_cursor_u8(&c), 0x83);
    assert_int_equal(tb_cursor_u8(&c), 0);
    assert_true(c.failed);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numbers_in_both_byte_orders),
        cmocka_unit_test(a_read_past_the_end_gives_zero_and_stays),
    };
    return cmocka_run_group_tests_name("base/cursor", tests, NULL, NULL);
}
