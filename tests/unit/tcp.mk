# SPDX-License-Identifier: BSD-2-Clause
unit_tcp = \
	tests/unit/tcp_close.test \
	tests/unit/tcp_open.test \
	tests/unit/tcp_ranges.test \
	tests/unit/tcp_receive.test \
	tests/unit/tcp_recovery.test \
	tests/unit/tcp_send.test
check_PROGRAMS += $(unit_tcp)
TESTS += $(unit_tcp)

unit_tcp_rig = tests/unit/tcp_rig.c tests/unit/tcp_rig.h tests/unit/unit.h

tests_unit_tcp_close_test_SOURCES = %D%/tcp_close_test.c $(unit_tcp_rig)
tests_unit_tcp_close_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_tcp_close_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_tcp_open_test_SOURCES = %D%/tcp_open_test.c $(unit_tcp_rig)
tests_unit_tcp_open_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_tcp_open_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_tcp_ranges_test_SOURCES = %D%/tcp_ranges_test.c %D%/unit.h
tests_unit_tcp_ranges_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_tcp_ranges_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_tcp_receive_test_SOURCES = %D%/tcp_receive_test.c $(unit_tcp_rig)
tests_unit_tcp_receive_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_tcp_receive_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_tcp_recovery_test_SOURCES = %D%/tcp_recovery_test.c $(unit_tcp_rig)
tests_unit_tcp_recovery_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_tcp_recovery_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_tcp_send_test_SOURCES = %D%/tcp_send_test.c $(unit_tcp_rig)
tests_unit_tcp_send_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_tcp_send_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
