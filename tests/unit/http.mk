# SPDX-License-Identifier: BSD-2-Clause
unit_http = \
	tests/unit/http_learn.test \
	tests/unit/http_message.test \
	tests/unit/http_play.test
check_PROGRAMS += $(unit_http)
TESTS += $(unit_http)

unit_http_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/modules
unit_http_libs = modules/http/libhttp.la $(CMOCKA_LIBS) $(JANSSON_LIBS)
unit_http_host = tests/unit/module_host.c tests/unit/module_host.h tests/unit/unit.h

tests_unit_http_learn_test_SOURCES = %D%/http_learn_test.c $(unit_http_host)
tests_unit_http_learn_test_CPPFLAGS = $(unit_http_cppflags)
tests_unit_http_learn_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_http_learn_test_LDADD = $(unit_http_libs)

tests_unit_http_message_test_SOURCES = %D%/http_message_test.c %D%/unit.h
tests_unit_http_message_test_CPPFLAGS = $(unit_http_cppflags)
tests_unit_http_message_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_http_message_test_LDADD = $(unit_http_libs)

tests_unit_http_play_test_SOURCES = %D%/http_play_test.c $(unit_http_host)
tests_unit_http_play_test_CPPFLAGS = $(unit_http_cppflags)
tests_unit_http_play_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_http_play_test_LDADD = $(unit_http_libs)
