/* SPDX-License-Identifier: BSD-2-Clause */
/* A shared object without tb_module_entry: must be refused. */
#include "module.h"

int tb_test_something_else(void);

TB_MODULE_EXPORT int tb_test_something_else(void)
{
    return 1;
}
