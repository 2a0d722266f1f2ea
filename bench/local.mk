# SPDX-License-Identifier: BSD-2-Clause
noinst_PROGRAMS += bench/sink
bench_sink_SOURCES = %D%/sink.c
bench_sink_CFLAGS = $(AM_CFLAGS)

noinst_PROGRAMS += bench/mysqlsink
bench_mysqlsink_SOURCES = %D%/mysqlsink.c
bench_mysqlsink_CFLAGS = $(AM_CFLAGS)

noinst_PROGRAMS += bench/pace
bench_pace_SOURCES = %D%/pace.c
bench_pace_CFLAGS = $(AM_CFLAGS)

noinst_PROGRAMS += bench/io_bench
bench_io_bench_SOURCES = %D%/io_bench.c
bench_io_bench_CFLAGS = $(AM_CFLAGS)
bench_io_bench_LDADD = core/libtbcore.la

EXTRA_DIST += %D%/comet_soak %D%/goodput %D%/run %D%/tcpcopy %D%/million %D%/README.md

# Comet sessions held for long, as root: half an hour, or MINUTES.
MINUTES = 30
.PHONY: soak-comet
soak-comet: all
	TB_BUILDDIR='$(abs_top_builddir)' $(PYTHON3) $(srcdir)/bench/comet_soak --minutes $(MINUTES)

noinst_PROGRAMS += bench/engine
bench_engine_SOURCES = %D%/engine.c
bench_engine_CFLAGS = $(AM_CFLAGS)
bench_engine_LDADD = core/libtbcore.la

noinst_PROGRAMS += bench/relay_bench
bench_relay_bench_SOURCES = %D%/relay_bench.c tests/unit/relay_server_rig.c \
	tests/unit/relay_server_rig.h
bench_relay_bench_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
bench_relay_bench_LDADD = core/libtbcore.la
