/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding, loading and checking modules; see loader.h.
 *
 * libltdl does the loading, so that libtool's .la files and uninstalled modules work. It binds
 * lazily and its own messages hide what the linker said ("file not found" for an unresolved
 * symbol), so the file is first opened with dlopen(RTLD_NOW), for its words and its strictness.
 */
#include "module/loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <ltdl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_LEN = sizeof((struct tb_loaded_module *) 0)->path,
    /* All of the first version's fields up to here must be there. */
    MODULE_SIZE_MIN = offsetof(struct tb_module, configure),
    MODULE_SIZE_MAX = 64 * 1024
};

/* A search: where, and what was tried so far, for the message. */
struct search {
    struct tb_loaded_module *m;
    const char *name;
    char tried[700];
    bool tried_cut;
};

/* --- files ------------------------------------------------------------------------------------ */

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n > k && strcmp(s + n - k, suffix) == 0;
}

static bool is_file(const char *path)
{
    return access(path, F_OK) == 0;
}

static bool format_path(char out[PATH_LEN], const char *dir, size_t dir_len, const char *middle,
                        const char *name, size_t name_len, const char *suffix)
{
    int n = snprintf(out, PATH_LEN, "%.*s%s%.*s%s", (int) dir_len, dir, middle, (int) name_len,
                     name, suffix);
    return n >= 0 && n < PATH_LEN;
}

/* The shared object that `path` (a file, or one without its suffix) stands for: itself, with .so,
 * or in the .libs folder beside it, where libtool keeps what is not installed. */
static bool shared_object(const char *path, char out[PATH_LEN])
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t dir_len = (size_t) (base - path), len = strlen(base);
    if (ends_with(base, ".la"))
        len -= 3;
    else if (ends_with(base, ".so"))
        return format_path(out, path, strlen(path), "", "", 0, "") && is_file(out);
    if (format_path(out, path, dir_len, "", base, len, ".so") && is_file(out))
        return true;
    return format_path(out, path, dir_len, ".libs/", base, len, ".so") && is_file(out);
}

/* --- loading and checking --------------------------------------------------------------------- */

static int check_table(const struct tb_module *t, const char *path, struct tb_err *err)
{
    if (t->magic != TB_MODULE_MAGIC)
        return tb_err_set(err, -ENOEXEC,
                          "module %s: not a tcpburn module: its table begins with %08x instead of "
                          "%08x",
                          path, t->magic, TB_MODULE_MAGIC);
    if (t->abi >> 16 != TB_MODULE_ABI_MAJOR)
        return tb_err_set(err, -ENOEXEC,
                          "module %s: built for module interface %u.%u, this tcpburn has %u.%u: "
                          "rebuild it with this version's module.h",
                          path, t->abi >> 16, t->abi & 0xffff, TB_MODULE_ABI_MAJOR,
                          TB_MODULE_ABI_MINOR);
    if (t->size < MODULE_SIZE_MIN || t->size > MODULE_SIZE_MAX)
        return tb_err_set(err, -ENOEXEC,
                          "module %s: its table claims %u bytes, expected about %zu: set .size to "
                          "sizeof(struct tb_module)",
                          path, t->size, sizeof *t);
    if (!t->name || !*t->name || !t->version)
        return tb_err_set(err, -ENOEXEC, "module %s: its table has no name or no version", path);
    return 0;
}

/* Look at the opened object; fills m->ops. */
static int read_table(struct tb_loaded_module *m, struct tb_err *err)
{
    const struct tb_module *table = lt_dlsym(m->handle, "tb_module_entry");
    if (!table)
        return tb_err_set(
            err, -ENOEXEC,
            "module %s: exports no symbol tb_module_entry, so it is no tcpburn module", m->path);
    int rc = check_table(table, m->path, err);
    if (rc)
        return rc;
    m->ops = (struct tb_module){0};
    memcpy(&m->ops, table, table->size < sizeof m->ops ? table->size : sizeof m->ops);
    return 0;
}

/* Open with libltdl; `path` as it was asked for, m->path the file it stands for. */
static int open_module(struct tb_loaded_module *m, const char *path, struct tb_err *err)
{
    void *probe = dlopen(m->path, RTLD_NOW | RTLD_LOCAL);
    if (!probe)
        return tb_err_set(err, -ENOEXEC, "module cannot be loaded: %s", dlerror());
    int rc = 0;
    if (lt_dlinit()) {
        rc = tb_err_set(err, -ENOEXEC, "module %s: libltdl: %s", m->path, lt_dlerror());
        goto out;
    }
    m->handle = lt_dlopenext(path);
    if (!m->handle) /* an .la file that points elsewhere, for example */
        m->handle = lt_dlopenext(m->path);
    if (m->handle) {
        rc = read_table(m, err);
    } else {
        rc = tb_err_set(err, -ENOEXEC, "module %s: libltdl: %s", m->path, lt_dlerror());
        lt_dlexit();
    }
out:
    dlclose(probe);
    return rc;
}

/* --- searching -------------------------------------------------------------------------------- */

static void note_tried(struct search *q, const char *path)
{
    size_t n = strlen(q->tried);
    int k = snprintf(q->tried + n, sizeof q->tried - n, "%s%s.so", n ? ", " : "", path);
    if (k < 0 || (size_t) k >= sizeof q->tried - n) {
        q->tried[n] = '\0';
        q->tried_cut = true;
    }
}

/* Try DIR[/MIDDLE]/NAME. 1: nothing there; 0: loaded; negative: there, but bad. */
static int try_dir(struct search *q, const char *dir, size_t dir_len, const char *middle,
                   struct tb_err *err)
{
    char path[PATH_LEN];
    if (!format_path(path, dir, dir_len, middle, q->name, strlen(q->name), ""))
        return 1;
    if (shared_object(path, q->m->path))
        return open_module(q->m, path, err);
    note_tried(q, path);
    return 1;
}

/* Each directory of a colon-separated list. */
static int try_list(struct search *q, const char *list, struct tb_err *err)
{
    int rc = 1;
    while (list && rc == 1) {
        size_t n = strcspn(list, ":");
        if (n)
            rc = try_dir(q, list, n, "/", err);
        list = list[n] ? list + n + 1 : NULL;
    }
    return rc;
}

/* modules/NAME/ of the tree the running program was built in, if it was: libtool may have put the
 * program itself into .libs. */
static int try_build_tree(struct search *q, struct tb_err *err)
{
    char exe[PATH_LEN], mark[PATH_LEN], middle[300];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0 || strlen(q->name) > 255)
        return 1;
    exe[n] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(exe, '/');
        if (!slash)
            return 1;
        *slash = '\0';
        if (!ends_with(exe, "/.libs"))
            break;
    }
    if (!format_path(mark, exe, strlen(exe), "/", "config.status", 13, "") || !is_file(mark))
        return 1;
    snprintf(middle, sizeof middle, "/modules/%s/", q->name);
    return try_dir(q, exe, strlen(exe), middle, err);
}

static int search(struct search *q, const char *module_dir, struct tb_err *err)
{
    int rc = 1;
    if (module_dir && *module_dir)
        rc = try_dir(q, module_dir, strlen(module_dir), "/", err);
    if (rc == 1)
        rc = try_list(q, getenv("TCPBURN_MODULE_PATH"), err);
    if (rc == 1)
        rc = try_build_tree(q, err);
    if (rc == 1)
        rc = try_dir(q, TB_PKGLIBDIR, strlen(TB_PKGLIBDIR), "/", err);
    const char *more = q->tried_cut ? " and more" : "";
    if (rc == 1)
        return tb_err_set(err, -ENOENT,
                          "module \"%s\" not found (see --module-dir and TCPBURN_MODULE_PATH); "
                          "tried %s%s",
                          q->name, q->tried, more);
    if (rc < 0 && err && q->tried[0])
        return tb_err_set(err, rc, "%s (tried before: %s%s)", err->text, q->tried, more);
    return rc;
}

int tb_module_load(struct tb_loaded_module *m, const char *name, const char *module_dir,
                   struct tb_err *err)
{
    char stem[256];
    int rc;
    *m = (struct tb_loaded_module){0};
    if (strchr(name, '/')) {
        if (shared_object(name, m->path))
            rc = open_module(m, name, err);
        else
            rc = tb_err_set(err, -ENOENT, "no such module file: %s", name);
    } else {
        size_t n = strlen(name) - (ends_with(name, ".so") ? 3 : 0);
        if (n == 0 || n >= sizeof stem)
            return tb_err_set(err, -ENOENT, "module \"%.40s\": not a module name", name);
        memcpy(stem, name, n);
        stem[n] = '\0';
        struct search q = {.m = m, .name = stem};
        rc = search(&q, module_dir, err);
    }
    if (rc)
        tb_module_unload(m);
    return rc;
}

void tb_module_unload(struct tb_loaded_module *m)
{
    if (!m)
        return;
    if (m->handle) {
        lt_dlclose(m->handle);
        lt_dlexit();
    }
    *m = (struct tb_loaded_module){0};
}
