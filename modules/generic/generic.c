/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The generic module, for any protocol: no hooks. The host cuts requests where the direction of
 * the stream changes and counts responses in bytes (module.h).
 */
#include "module.h"

extern const struct tb_module tb_module_entry;

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_module),
    .name = "generic",
    .version = "1.0",
};
