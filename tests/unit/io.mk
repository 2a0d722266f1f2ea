# SPDX-License-Identifier: BSD-2-Clause
unit_io = tests/unit/io_glance.test tests/unit/io_prefix.test tests/unit/io_queue.test \
	tests/unit/io_softnet.test tests/unit/io_steer.test tests/unit/io_tap.test
check_PROGRAMS += $(unit_io)
TESTS += $(unit_io)

tests_unit_io_glance_test_SOURCES = %D%/io_glance_test.c %D%/unit.h
tests_unit_io_glance_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_io_glance_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_io_prefix_test_SOURCES = %D%/io_prefix_test.c %D%/unit.h
tests_unit_io_prefix_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_io_prefix_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_io_queue_test_SOURCES = %D%/io_queue_test.c %D%/unit.h
tests_unit_io_queue_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_io_queue_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_io_softnet_test_SOURCES = %D%/io_softnet_test.c %D%/unit.h
tests_unit_io_softnet_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_io_softnet_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_io_steer_test_SOURCES = %D%/io_steer_test.c %D%/run_filter.h %D%/unit.h
tests_unit_io_steer_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_io_steer_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_io_tap_test_SOURCES = %D%/io_tap_test.c %D%/run_filter.h %D%/unit.h
tests_unit_io_tap_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_io_tap_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
