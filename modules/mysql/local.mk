# SPDX-License-Identifier: BSD-2-Clause
# A convenience library, which tests link directly, and a thin module around it.
noinst_LTLIBRARIES += modules/mysql/libmysql.la
modules_mysql_libmysql_la_SOURCES = \
	%D%/answer.c %D%/answer.h %D%/auth.c %D%/auth.h %D%/command.c %D%/command.h \
	%D%/compress.c %D%/compress.h %D%/dialogue.c %D%/learn.c %D%/login.c %D%/login.h \
	%D%/mysql.c %D%/mysql.h %D%/packet.c %D%/packet.h %D%/plan.c %D%/play.c %D%/report.c \
	%D%/statement.c %D%/statement.h %D%/wire.c %D%/wire.h
modules_mysql_libmysql_la_CPPFLAGS = -D_GNU_SOURCE -I$(top_srcdir)/include
modules_mysql_libmysql_la_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(SODIUM_CFLAGS) $(ZSTD_CFLAGS)
mysql_libs = $(OPENSSL_LIBS) $(SODIUM_LIBS) $(ZSTD_LIBS) $(ZLIB_LIBS) $(JANSSON_LIBS)

pkglib_LTLIBRARIES += modules/mysql/mysql.la
modules_mysql_mysql_la_SOURCES =
modules_mysql_mysql_la_LIBADD = modules/mysql/libmysql.la $(mysql_libs)
modules_mysql_mysql_la_LDFLAGS = -module -avoid-version \
	-export-symbols-regex '^tb_module_entry$$' $(TB_MODULE_LDFLAGS)
