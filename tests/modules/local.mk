# SPDX-License-Identifier: BSD-2-Clause
# Modules for tests only. Without an -rpath libtool would make no shared object of them.
tests_modules = \
	tests/modules/bad_magic.la \
	tests/modules/bad_size.la \
	tests/modules/double.la \
	tests/modules/newer.la \
	tests/modules/no_entry.la \
	tests/modules/older.la \
	tests/modules/stale_abi.la \
	tests/modules/unresolved.la
check_LTLIBRARIES += $(tests_modules)
tests_modules_ldflags = -module -avoid-version -rpath /nowhere

tests_modules_bad_magic_la_SOURCES = %D%/bad_magic.c
tests_modules_bad_magic_la_LDFLAGS = $(tests_modules_ldflags)
tests_modules_bad_size_la_SOURCES = %D%/bad_size.c
tests_modules_bad_size_la_LDFLAGS = $(tests_modules_ldflags)
tests_modules_double_la_SOURCES = %D%/double.c
tests_modules_double_la_LDFLAGS = $(tests_modules_ldflags)
tests_modules_newer_la_SOURCES = %D%/newer.c
tests_modules_newer_la_LDFLAGS = $(tests_modules_ldflags)
tests_modules_no_entry_la_SOURCES = %D%/no_entry.c
tests_modules_no_entry_la_LDFLAGS = $(tests_modules_ldflags)
tests_modules_older_la_SOURCES = %D%/older.c
tests_modules_older_la_LDFLAGS = $(tests_modules_ldflags)
tests_modules_stale_abi_la_SOURCES = %D%/stale_abi.c
tests_modules_stale_abi_la_LDFLAGS = $(tests_modules_ldflags)
tests_modules_unresolved_la_SOURCES = %D%/unresolved.c
tests_modules_unresolved_la_LDFLAGS = $(tests_modules_ldflags) -Wl,-z,undefs

check_PROGRAMS += tests/modules/loadmod
tests_modules_loadmod_SOURCES = %D%/loadmod.c
tests_modules_loadmod_LDADD = core/libtbcore.la

dist_check_SCRIPTS += %D%/example.sh %D%/search.sh
TESTS += %D%/example.sh %D%/search.sh
EXTRA_DIST += tests/fuzz/fuzz_http.c
