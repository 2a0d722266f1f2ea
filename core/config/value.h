/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strict reading of values from the command line and from JSON text: a number is digits and nothing
 * else, a MAC is six pairs. Private to core/config.
 */
#ifndef TB_CONFIG_VALUE_H
#define TB_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only: no sign, no blanks, no exponent. -EINVAL when it is not that, -ERANGE when
 * it does not fit; `out` is then untouched. */
int tb_value_whole(const char *text, uint64_t *out);

/* The same with an optional fraction ("2", "0.25"). */
int tb_value_decimal(const char *text, double *out);

/* A port, 1 to 65535. */
int tb_value_port(const char *text, uint16_t *out);

/* "02:00:5e:10:00:01". */
int tb_value_mac(const char *text, uint8_t out[6]);

/* The entry of `names` (ends with NULL) that `word` was probably meant to be, or NULL: one of which
 * it is the beginning, or the one at the smallest edit distance, at most 3 and half its length. */
const char *tb_value_nearest(const char *word, const char *const *names);

#endif
