# SPDX-License-Identifier: BSD-2-Clause
bin_PROGRAMS += tcpburn
tcpburn_SOURCES = %D%/tcpburn.c
tcpburn_LDADD = core/libtbcore.la
tcpburn_CFLAGS = $(AM_CFLAGS)
