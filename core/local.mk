# SPDX-License-Identifier: BSD-2-Clause
bin_PROGRAMS += tcpburn
# What tcpburn and tcpcopy have in common.
replay_sources = %D%/program.c %D%/program.h %D%/replay.c %D%/replay.h %D%/replay_io.c
tcpburn_SOURCES = %D%/tcpburn.c %D%/dry.c %D%/remarks.c $(replay_sources)
tcpburn_LDADD = core/libtbcore.la
tcpburn_CFLAGS = $(AM_CFLAGS)

bin_PROGRAMS += intercept
intercept_SOURCES = %D%/intercept.c
intercept_LDADD = core/libtbcore.la
intercept_CFLAGS = $(AM_CFLAGS)

bin_PROGRAMS += tcpcopy
tcpcopy_SOURCES = %D%/tcpcopy.c %D%/copy.c %D%/copy.h $(replay_sources)
tcpcopy_LDADD = core/libtbcore.la
tcpcopy_CFLAGS = $(AM_CFLAGS)
