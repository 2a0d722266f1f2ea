# SPDX-License-Identifier: BSD-2-Clause
# A convenience library, which tests link directly, and a thin module around it.
noinst_LTLIBRARIES += modules/http/libhttp.la
modules_http_libhttp_la_SOURCES = \
	%D%/http.c %D%/http.h %D%/learn.c %D%/play.c
modules_http_libhttp_la_CPPFLAGS = -I$(top_srcdir)/include -I$(top_srcdir)/modules
modules_http_libhttp_la_LIBADD = modules/httpmsg/libhttpmsg.la

pkglib_LTLIBRARIES += modules/http/http.la
modules_http_http_la_SOURCES =
modules_http_http_la_LIBADD = modules/http/libhttp.la $(JANSSON_LIBS)
modules_http_http_la_LDFLAGS = -module -avoid-version \
	-export-symbols-regex '^tb_module_entry$$' $(TB_MODULE_LDFLAGS)
