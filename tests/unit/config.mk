# SPDX-License-Identifier: BSD-2-Clause
check_PROGRAMS += tests/unit/config.test tests/unit/check.test tests/unit/check_reasons.test
TESTS += tests/unit/config.test tests/unit/check.test tests/unit/check_reasons.test

tests_unit_config_test_SOURCES = %D%/config_test.c %D%/config_rig.h %D%/unit.h
tests_unit_config_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_config_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_check_test_SOURCES = %D%/check_test.c
tests_unit_check_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_check_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_check_reasons_test_SOURCES = %D%/check_reasons_test.c
tests_unit_check_reasons_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_check_reasons_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
