# SPDX-License-Identifier: BSD-2-Clause
unit_comet = \
	tests/unit/comet_learn.test \
	tests/unit/comet_play.test \
	tests/unit/comet_stamp.test \
	tests/unit/comet_ws.test
check_PROGRAMS += $(unit_comet)
TESTS += $(unit_comet)

unit_comet_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/modules
unit_comet_libs = modules/comet/libcomet.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)
unit_comet_host = tests/unit/module_host.c tests/unit/module_host.h tests/unit/unit.h

tests_unit_comet_learn_test_SOURCES = %D%/comet_learn_test.c $(unit_comet_host)
tests_unit_comet_learn_test_CPPFLAGS = $(unit_comet_cppflags)
tests_unit_comet_learn_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_comet_learn_test_LDADD = $(unit_comet_libs)

tests_unit_comet_play_test_SOURCES = %D%/comet_play_test.c $(unit_comet_host)
tests_unit_comet_play_test_CPPFLAGS = $(unit_comet_cppflags)
tests_unit_comet_play_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_comet_play_test_LDADD = $(unit_comet_libs)

tests_unit_comet_stamp_test_SOURCES = %D%/comet_stamp_test.c %D%/unit.h
tests_unit_comet_stamp_test_CPPFLAGS = $(unit_comet_cppflags)
tests_unit_comet_stamp_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_comet_stamp_test_LDADD = $(unit_comet_libs)

tests_unit_comet_ws_test_SOURCES = %D%/comet_ws_test.c %D%/unit.h
tests_unit_comet_ws_test_CPPFLAGS = $(unit_comet_cppflags)
tests_unit_comet_ws_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_comet_ws_test_LDADD = $(unit_comet_libs)
