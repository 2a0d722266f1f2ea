/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers of the options that are more than a number or a string; named in the option table.
 * Each takes one item (lists: one element), and returns 0, -EINVAL with words, or -ENOMEM.
 */
#ifndef TB_CONFIG_ITEMS_H
#define TB_CONFIG_ITEMS_H

#include "config/options.h"

int tb_item_transfer(void *options, const char *text, struct tb_err *err);
int tb_item_clients(void *options, const char *text, struct tb_err *err);
/* "local:IFACE" or "ADDR[:PORT]". */
int tb_item_intercept(void *options, const char *text, struct tb_err *err);
/* "true" or "false". */
int tb_item_tun(void *options, const char *text, struct tb_err *err);
/* "K/N". */
int tb_item_shard(void *options, const char *text, struct tb_err *err);
/* Accepts anything: the file is read before the command line's values are set. */
int tb_item_config(void *options, const char *text, struct tb_err *err);

/* For checks of the whole: are these names that devices can have? "-i, --device" is a label.
 * Whether there are such devices, only privileges tell. */
int tb_devices_check(const struct tb_strings *devices, const char *label, struct tb_err *err);

/* For items of lists: one more element of `size` bytes at the end of *array. 0, -E2BIG or -ENOMEM.
 */
int tb_item_append(void **array, uint32_t *count, const void *element, size_t size,
                   struct tb_err *err);

#endif
