# SPDX-License-Identifier: BSD-2-Clause
unit_base = \
	tests/unit/base_cursor.test \
	tests/unit/base_err.test \
	tests/unit/base_histogram.test \
	tests/unit/base_log.test \
	tests/unit/base_memory.test \
	tests/unit/base_siphash.test \
	tests/unit/base_wheel.test
check_PROGRAMS += $(unit_base)
TESTS += $(unit_base)

tests_unit_base_cursor_test_SOURCES = %D%/base_cursor_test.c %D%/unit.h
tests_unit_base_cursor_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_cursor_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_base_err_test_SOURCES = %D%/base_err_test.c %D%/unit.h
tests_unit_base_err_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_err_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_base_histogram_test_SOURCES = %D%/base_histogram_test.c %D%/unit.h
tests_unit_base_histogram_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_histogram_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_base_log_test_SOURCES = %D%/base_log_test.c %D%/unit.h
tests_unit_base_log_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_log_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_base_memory_test_SOURCES = %D%/base_memory_test.c %D%/unit.h
tests_unit_base_memory_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_memory_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_base_siphash_test_SOURCES = %D%/base_siphash_test.c %D%/unit.h
tests_unit_base_siphash_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_siphash_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_base_wheel_test_SOURCES = %D%/base_wheel_test.c %D%/unit.h
tests_unit_base_wheel_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_wheel_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
