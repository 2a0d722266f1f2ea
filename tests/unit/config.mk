# SPDX-License-Identifier: BSD-2-Clause
unit_config = tests/unit/config.test tests/unit/config_tcpcopy.test tests/unit/check.test \
	tests/unit/check_reasons.test
check_PROGRAMS += $(unit_config)
TESTS += $(unit_config)

tests_unit_config_test_SOURCES = %D%/config_test.c %D%/config_rig.h %D%/unit.h
tests_unit_config_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_config_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_config_tcpcopy_test_SOURCES = %D%/config_tcpcopy_test.c %D%/config_rig.h %D%/unit.h
tests_unit_config_tcpcopy_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_config_tcpcopy_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_check_test_SOURCES = %D%/check_test.c
tests_unit_check_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_check_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_check_reasons_test_SOURCES = %D%/check_reasons_test.c
tests_unit_check_reasons_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_check_reasons_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
