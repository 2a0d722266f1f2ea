# SPDX-License-Identifier: BSD-2-Clause
# HTTP messages, for the modules that speak HTTP.
noinst_LTLIBRARIES += modules/httpmsg/libhttpmsg.la
modules_httpmsg_libhttpmsg_la_SOURCES = \
	%D%/message.c %D%/message.h %D%/pairing.c %D%/pairing.h %D%/reading.c %D%/reading.h
modules_httpmsg_libhttpmsg_la_CPPFLAGS = -I$(top_srcdir)/include
