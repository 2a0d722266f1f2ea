# SPDX-License-Identifier: BSD-2-Clause
check_PROGRAMS += tests/unit/report.test
tests_unit_report_test_SOURCES = %D%/report_test.c
tests_unit_report_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_report_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
TESTS += tests/unit/report.test

check_PROGRAMS += tests/unit/timeline.test
tests_unit_timeline_test_SOURCES = %D%/timeline_test.c
tests_unit_timeline_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_timeline_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
TESTS += tests/unit/timeline.test
