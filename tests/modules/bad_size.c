/* SPDX-License-Identifier: BSD-2-Clause */
/* Forgot .size: must be refused. */
#include "module.h"

extern const struct tb_module tb_module_entry;

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = TB_MODULE_ABI,
    .name = "bad_size",
    .version = "1.0",
};
