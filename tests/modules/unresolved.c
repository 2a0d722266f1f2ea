/* SPDX-License-Identifier: BSD-2-Clause */
/* Needs a function nobody has: must be refused in the words of the linker, when it is loaded. */
#include "module.h"

extern const struct tb_module tb_module_entry;

int64_t tb_test_no_such_function(struct tb_session *s);

static int64_t end(struct tb_session *s, enum tb_verdict verdict)
{
    return tb_test_no_such_function(s);
}

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_module),
    .name = "unresolved",
    .version = "1.0",
    .session_end = end,
};
