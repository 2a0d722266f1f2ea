/* SPDX-License-Identifier: BSD-2-Clause */
/* A module of the interface before ours: must be refused, naming both versions. */
#include "module.h"

extern const struct tb_module tb_module_entry;

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = (TB_MODULE_ABI_MAJOR - 1) << 16 | 9,
    .size = sizeof(struct tb_module),
    .name = "stale_abi",
    .version = "1.0",
};
