/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading modules and refusing bad ones (module/loader.h), with the modules of tests/modules.
 * tests/modules/search.sh covers where they are looked for. */
#include "unit.h"
#include "module/loader.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char modules[2048]; /* tests/modules in the build tree */

static int find_modules(void **state)
{
    const char *build = getenv("TB_BUILDDIR");
    snprintf(modules, sizeof modules, "%s/tests/modules", build ? build : ".");
    return unsetenv("TCPBURN_MODULE_PATH");
}

static void is_refused(const char *name, int code, const char *const *words)
{
    struct tb_loaded_module m;
    struct tb_err err = {""};
    assert_int_equal(tb_module_load(&m, name, modules, &err), code);
    assert_null(m.handle);
    for (; *words; words++) {
        if (!strstr(err.text, *words))
            fail_msg("\"%s\" not in: %s", *words, err.text);
    }
    assert_int_equal(tb_module_load(&m, name, modules, NULL), code); /* words are optional */
}

#define IS_REFUSED(name, code, ...) is_refused(name, code, (const char *const[]){__VA_ARGS__, NULL})

static void is_loaded(const char *name, const char *module_name)
{
    struct tb_loaded_module m;
    struct tb_err err = {""};
    if (tb_module_load(&m, name, modules, &err))
        fail_msg("%s", err.text);
    assert_string_equal(m.ops.name, module_name);
    assert_non_null(m.handle);
    assert_int_equal(m.path[0], modules[0]);
    tb_module_unload(&m);
    assert_null(m.handle);
}

static void loads_by_name_with_or_without_suffix(void **state)
{
    is_loaded("double", "double");
    is_loaded("double.so", "double");
}

static void loads_by_path_as_given(void **state)
{
    static const char *const forms[] = {"double", "double.la", ".libs/double", ".libs/double.so"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char path[3000];
        snprintf(path, sizeof path, "%s/%s", modules, forms[i]);
        is_loaded(path, "double");
    }
}

static void loads_twice_at_once(void **state)
{
    struct tb_loaded_module a, b;
    assert_int_equal(tb_module_load(&a, "double", modules, NULL), 0);
    assert_int_equal(tb_module_load(&b, "newer", modules, NULL), 0);
    assert_string_equal(a.ops.name, "double");
    assert_string_equal(b.ops.name, "newer");
    tb_module_unload(&a);
    assert_string_equal(b.ops.name, "newer");
    tb_module_unload(&b);
}

static void missing_module_is_told_with_the_paths_tried(void **state)
{
    char first[3000];
    snprintf(first, sizeof first, "%s/nonesuch.so", modules);
    IS_REFUSED("nonesuch", -ENOENT, "\"nonesuch\"", first, TB_PKGLIBDIR "/nonesuch.so");
    IS_REFUSED("/nowhere/at/all.so", -ENOENT, "/nowhere/at/all.so");
    IS_REFUSED("", -ENOENT, "not a module name");
}

static void very_long_names_are_refused(void **state)
{
    char name[6000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    IS_REFUSED(name, -ENOENT, "not a module name");
    name[0] = '/';
    IS_REFUSED(name, -ENOENT, "no such module file");
}

static void long_search_path_is_cut_in_the_message_only(void **state)
{
    char list[4000] = "";
    for (size_t i = 0; i + 101 < sizeof list; i += 100)
        snprintf(list + i, 101, "/nowhere/%090zu:", i);
    assert_int_equal(setenv("TCPBURN_MODULE_PATH", list, 1), 0);
    IS_REFUSED("nonesuch", -ENOENT, "\"nonesuch\"", "and more");
    assert_int_equal(unsetenv("TCPBURN_MODULE_PATH"), 0);
}

static void stale_interface_is_told_with_both_versions(void **state)
{
    char want[20];
    snprintf(want, sizeof want, "has %d.%d", TB_MODULE_ABI_MAJOR, TB_MODULE_ABI_MINOR);
    IS_REFUSED("stale_abi", -ENOEXEC, "stale_abi.so", "interface 0.9", want);
}

static void foreign_objects_are_refused(void **state)
{
    IS_REFUSED("bad_magic", -ENOEXEC, "bad_magic.so", "12345678");
    IS_REFUSED("no_entry", -ENOEXEC, "no_entry.so", "tb_module_entry");
    IS_REFUSED("bad_size", -ENOEXEC, "bad_size.so", "0 bytes");
}

static void unresolved_symbol_is_named(void **state)
{
    IS_REFUSED("unresolved", -ENOEXEC, "unresolved.so", "tb_test_no_such_function");
}

static void file_that_is_no_object_is_refused_in_the_linkers_words(void **state)
{
    char path[] = "/tmp/tb_module_XXXXXX.so";
    int fd = mkstemps(path, 3);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text\n", 5), 5);
    close(fd);
    IS_REFUSED(path, -ENOEXEC, path, ":");
    unlink(path);
}

static void shorter_table_of_an_older_module_is_extended_with_zeros(void **state)
{
    struct tb_loaded_module m;
    assert_int_equal(tb_module_load(&m, "older", modules, NULL), 0);
    assert_string_equal(m.ops.name, "older");
    assert_null(m.ops.session_end);
    tb_module_unload(&m);
}

static void longer_table_of_a_newer_minor_version_is_accepted(void **state)
{
    is_loaded("newer", "newer");
}

static void unload_accepts_nothing(void **state)
{
    struct tb_loaded_module m = {0};
    tb_module_unload(&m);
    tb_module_unload(NULL);
    assert_null(m.handle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_by_name_with_or_without_suffix),
        cmocka_unit_test(loads_by_path_as_given),
        cmocka_unit_test(loads_twice_at_once),
        cmocka_unit_test(missing_module_is_told_with_the_paths_tried),
        cmocka_unit_test(very_long_names_are_refused),
        cmocka_unit_test(long_search_path_is_cut_in_the_message_only),
        cmocka_unit_test(stale_interface_is_told_with_both_versions),
        cmocka_unit_test(foreign_objects_are_refused),
        cmocka_unit_test(unresolved_symbol_is_named),
        cmocka_unit_test(file_that_is_no_object_is_refused_in_the_linkers_words),
        cmocka_unit_test(shorter_table_of_an_older_module_is_extended_with_zeros),
        cmocka_unit_test(longer_table_of_a_newer_minor_version_is_accepted),
        cmocka_unit_test(unload_accepts_nothing),
    };
    return cmocka_run_group_tests(tests, find_modules, NULL);
}
