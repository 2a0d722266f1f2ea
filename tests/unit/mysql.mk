# SPDX-License-Identifier: BSD-2-Clause
unit_mysql = \
	tests/unit/mysql_answer.test \
	tests/unit/mysql_learn.test \
	tests/unit/mysql_login.test \
	tests/unit/mysql_play.test \
	tests/unit/mysql_statement.test
check_PROGRAMS += $(unit_mysql)
TESTS += $(unit_mysql)

unit_mysql_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/modules
unit_mysql_libs = modules/mysql/libmysql.la $(CMOCKA_LIBS) $(mysql_libs)
unit_mysql_host = tests/unit/module_host.c tests/unit/module_host.h %D%/mysql_build.h \
	tests/unit/unit.h

tests_unit_mysql_answer_test_SOURCES = %D%/mysql_answer_test.c %D%/mysql_build.h %D%/unit.h
tests_unit_mysql_answer_test_CPPFLAGS = $(unit_mysql_cppflags)
tests_unit_mysql_answer_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mysql_answer_test_LDADD = $(unit_mysql_libs)

tests_unit_mysql_learn_test_SOURCES = %D%/mysql_learn_test.c $(unit_mysql_host)
tests_unit_mysql_learn_test_CPPFLAGS = $(unit_mysql_cppflags)
tests_unit_mysql_learn_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mysql_learn_test_LDADD = $(unit_mysql_libs)

tests_unit_mysql_login_test_SOURCES = %D%/mysql_login_test.c %D%/mysql_build.h %D%/unit.h
tests_unit_mysql_login_test_CPPFLAGS = $(unit_mysql_cppflags)
tests_unit_mysql_login_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mysql_login_test_LDADD = $(unit_mysql_libs)

tests_unit_mysql_play_test_SOURCES = %D%/mysql_play_test.c $(unit_mysql_host)
tests_unit_mysql_play_test_CPPFLAGS = $(unit_mysql_cppflags)
tests_unit_mysql_play_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mysql_play_test_LDADD = $(unit_mysql_libs)

tests_unit_mysql_statement_test_SOURCES = %D%/mysql_statement_test.c %D%/unit.h
tests_unit_mysql_statement_test_CPPFLAGS = $(unit_mysql_cppflags)
tests_unit_mysql_statement_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mysql_statement_test_LDADD = $(unit_mysql_libs)
