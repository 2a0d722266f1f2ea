/* SPDX-License-Identifier: BSD-2-Clause */
/* Built with a later minor version, whose table is longer: must load. */
#include "module.h"

struct longer_module {
    struct tb_module known;
    void *later[20];
};

extern const struct longer_module tb_module_entry;

TB_MODULE_EXPORT const struct longer_module tb_module_entry = {
    .known =
        {
            .magic = TB_MODULE_MAGIC,
            .abi = TB_MODULE_ABI + 7,
            .size = sizeof(struct longer_module),
            .name = "newer",
            .version = "9.0",
        },
};
