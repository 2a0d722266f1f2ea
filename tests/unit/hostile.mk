# SPDX-License-Identifier: BSD-2-Clause
# Hostile servers and networks; tests/fuzz has the targets that look for more.
unit_hostile = \
	tests/unit/engine_hostile.test \
	tests/unit/tcp_hostile.test
check_PROGRAMS += $(unit_hostile)
TESTS += $(unit_hostile)

tests_unit_engine_hostile_test_SOURCES = %D%/engine_hostile_test.c %D%/unit.h \
	tests/unit/worker_rig.c tests/unit/worker_rig.h
tests_unit_engine_hostile_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_hostile_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_tcp_hostile_test_SOURCES = %D%/tcp_hostile_test.c $(unit_tcp_rig)
tests_unit_tcp_hostile_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_tcp_hostile_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
