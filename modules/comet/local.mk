# SPDX-License-Identifier: BSD-2-Clause
noinst_LTLIBRARIES += modules/comet/libcomet.la
modules_comet_libcomet_la_SOURCES = \
	%D%/comet.c %D%/comet.h %D%/http.c %D%/key.c %D%/learn.c %D%/play.c %D%/report.c \
	%D%/socket.c %D%/stamp.c %D%/stamp.h %D%/ws.c %D%/ws.h
modules_comet_libcomet_la_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/modules
modules_comet_libcomet_la_LIBADD = modules/httpmsg/libhttpmsg.la

pkglib_LTLIBRARIES += modules/comet/comet.la
modules_comet_comet_la_SOURCES =
modules_comet_comet_la_LIBADD = modules/comet/libcomet.la $(JANSSON_LIBS) $(OPENSSL_LIBS)
modules_comet_comet_la_LDFLAGS = -module -avoid-version \
	-export-symbols-regex '^tb_module_entry$$' $(TB_MODULE_LDFLAGS)
