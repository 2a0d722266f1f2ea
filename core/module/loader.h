/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding, loading and checking protocol modules (libltdl). Called by the programs at start-up.
 */
#ifndef TB_MODULE_LOADER_H
#define TB_MODULE_LOADER_H

#include "base/err.h"
#include "module.h"

/* A loaded module. `ops` is a zero-extended copy: fields the module was not built with are 0. */
struct tb_loaded_module {
    struct tb_module ops;
    void *handle; /* of libltdl */
    char path[4096];
};

/* Load `name`. With a slash: exactly that file. Without: a trailing ".so" is dropped, and it is
 * looked for in `module_dir` (may be NULL), each directory of $TCPBURN_MODULE_PATH, the build tree
 * (relative to the running program), and the installed module directory.
 * -ENOENT: not found, every path tried is named; -ENOEXEC: found, but not loadable (the linker's
 * own words), without the entry, or of another ABI (version found and expected). */
int tb_module_load(struct tb_loaded_module *m, const char *name, const char *module_dir,
                   struct tb_err *err);
/* NULL or a zeroed struct are fine. */
void tb_module_unload(struct tb_loaded_module *m);

#endif
