/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of base/siphash: the test vectors of its authors. */
#include "unit.h"
#include "base/siphash.h"

static void agrees_with_the_published_vectors(void **state)
{
    /* key 00 01 … 0f; input the first n bytes of 00 01 02 …; output as little-endian bytes */
    static const struct {
        size_t len;
        uint64_t hash;
    } vector[] = {
        {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd}, {2, 0x0d6c8009d9a94f5a},
        {3, 0x85676696d7fb7e2d},  {4, 0xcf2794e0277187b7}, {5, 0x18765564cd99a68d},
        {6, 0xcbc9466e58fee3ce},  {7, 0xab0200f58b01d137}, {8, 0x93f5f5799a932462},
        {15, 0xa129ca6149be45e5},
    };
    uint8_t key[16], input[16];
    for (int i = 0; i < 16; i++)
        key[i] = input[i] = (uint8_t) i;
    for (size_t i = 0; i < sizeof vector / sizeof vector[0]; i++) {
        uint8_t *copy = exact_copy(input, vector[i].len);
        assert_int_equal(tb_siphash(key, copy, vector[i].len), vector[i].hash);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_published_vectors)};
    return cmocka_run_group_tests_name("base/siphash", tests, NULL, NULL);
}
