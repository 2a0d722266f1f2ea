/* SPDX-License-Identifier: BSD-2-Clause */
/* A shared object that happens to export our symbol: must be refused. */
#include "module.h"

extern const struct tb_module tb_module_entry;

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = 0x12345678,
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_module),
    .name = "bad_magic",
    .version = "1.0",
};
