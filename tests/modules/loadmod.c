/* SPDX-License-Identifier: BSD-2-Clause */
/* loadmod NAME|PATH [DIR]: load a module as the programs do; prints file, name and version, or why
 * not (status 1). For the scripts here. */
#include "module/loader.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct tb_loaded_module m;
    struct tb_err err;
    if (argc < 2 || argc > 3) {
        fputs("usage: loadmod NAME|PATH [DIR]\n", stderr);
        return 2;
    }
    if (tb_module_load(&m, argv[1], argc > 2 ? argv[2] : NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%s %s %s\n", m.path, m.ops.name, m.ops.version);
    tb_module_unload(&m);
    return 0;
}
