# SPDX-License-Identifier: BSD-2-Clause
# The client end of the intercept channel.
unit_relay_client = \
	tests/unit/relay_client.test \
	tests/unit/relay_client_clock.test \
	tests/unit/relay_client_link.test \
	tests/unit/relay_client_once.test \
	tests/unit/relay_sessions.test
check_PROGRAMS += $(unit_relay_client)
TESTS += $(unit_relay_client)

tests_unit_relay_client_test_SOURCES = %D%/relay_client_test.c %D%/unit.h
tests_unit_relay_client_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_client_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_client_clock_test_SOURCES = %D%/relay_client_clock_test.c %D%/unit.h
tests_unit_relay_client_clock_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_client_clock_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_client_link_test_SOURCES = %D%/relay_client_link_test.c %D%/relay_rig.c \
	%D%/relay_rig.h %D%/unit.h
tests_unit_relay_client_link_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_client_link_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_client_once_test_SOURCES = %D%/relay_client_once_test.c %D%/unit.h
tests_unit_relay_client_once_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_client_once_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_relay_sessions_test_SOURCES = %D%/relay_sessions_test.c %D%/unit.h
tests_unit_relay_sessions_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_relay_sessions_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
