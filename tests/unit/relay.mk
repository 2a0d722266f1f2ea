# SPDX-License-Identifier: BSD-2-Clause
unit_relay = \
	tests/unit/relay_frame.test \
	tests/unit/relay_late.test \
	tests/unit/relay_route.test \
	tests/unit/relay_server.test \
	tests/unit/relay_server_records.test \
	tests/unit/relay_server_routing.test \
	tests/unit/relay_server_strangers.test \
	tests/unit/relay_stream.test \
	tests/unit/relay_threads.test \
	tests/unit/relay_tls.test
check_PROGRAMS += $(unit_relay)
TESTS += $(unit_relay)

unit_relay_rig = tests/unit/relay_server_rig.c tests/unit/relay_server_rig.h
unit_relay_world = $(unit_relay_rig) tests/unit/relay_server_world.h

tests_unit_relay_server_test_SOURCES = %D%/relay_server_test.c %D%/unit.h $(unit_relay_world)
tests_unit_relay_server_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_server_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_server_records_test_SOURCES = %D%/relay_server_records_test.c %D%/unit.h $(unit_relay_world)
tests_unit_relay_server_records_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_server_records_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_server_routing_test_SOURCES = %D%/relay_server_routing_test.c %D%/unit.h $(unit_relay_world)
tests_unit_relay_server_routing_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_server_routing_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_server_strangers_test_SOURCES = %D%/relay_server_strangers_test.c %D%/unit.h $(unit_relay_world)
tests_unit_relay_server_strangers_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_server_strangers_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_tls_test_SOURCES = %D%/relay_tls_test.c %D%/unit.h
tests_unit_relay_tls_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_tls_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_frame_test_SOURCES = %D%/relay_frame_test.c %D%/unit.h
tests_unit_relay_frame_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_frame_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_late_test_SOURCES = %D%/relay_late_test.c %D%/unit.h
tests_unit_relay_late_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_late_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_route_test_SOURCES = %D%/relay_route_test.c %D%/unit.h
tests_unit_relay_route_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_route_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_threads_test_SOURCES = %D%/relay_threads_test.c %D%/unit.h $(unit_relay_rig)
tests_unit_relay_threads_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_threads_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_stream_test_SOURCES = %D%/relay_stream_test.c %D%/unit.h
tests_unit_relay_stream_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_stream_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
