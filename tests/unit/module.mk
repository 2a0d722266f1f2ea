# SPDX-License-Identifier: BSD-2-Clause
unit_module = \
	tests/unit/example_line.test \
	tests/unit/module_loader.test
check_PROGRAMS += $(unit_module)
TESTS += $(unit_module)

tests_unit_example_line_test_SOURCES = examples/line/line.c %D%/example_line_test.c \
	%D%/module_host.c %D%/module_host.h %D%/unit.h
tests_unit_example_line_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_example_line_test_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS)

tests_unit_module_loader_test_SOURCES = %D%/module_loader_test.c %D%/unit.h
tests_unit_module_loader_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_module_loader_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
