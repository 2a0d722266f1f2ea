# SPDX-License-Identifier: BSD-2-Clause
unit_intercept = tests/unit/process.test tests/unit/config_intercept.test tests/unit/intercept.test
check_PROGRAMS += $(unit_intercept)
TESTS += $(unit_intercept)

tests_unit_process_test_SOURCES = %D%/process_test.c %D%/unit.h
tests_unit_process_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_process_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_config_intercept_test_SOURCES = %D%/config_intercept_test.c %D%/config_rig.h %D%/unit.h
tests_unit_config_intercept_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_config_intercept_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_intercept_test_SOURCES = %D%/intercept_test.c %D%/run_filter.h %D%/unit.h
tests_unit_intercept_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_intercept_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
