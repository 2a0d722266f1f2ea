# SPDX-License-Identifier: BSD-2-Clause
noinst_PROGRAMS += bench/sink
bench_sink_SOURCES = %D%/sink.c
bench_sink_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS)
bench_sink_LDADD = $(OPENSSL_LIBS)

noinst_PROGRAMS += bench/mysqlsink
bench_mysqlsink_SOURCES = %D%/mysqlsink.c
bench_mysqlsink_CFLAGS = $(AM_CFLAGS)

noinst_PROGRAMS += bench/pace
bench_pace_SOURCES = %D%/pace.c
bench_pace_CFLAGS = $(AM_CFLAGS)

noinst_PROGRAMS += bench/blast
bench_blast_SOURCES = %D%/blast.c
bench_blast_CFLAGS = $(AM_CFLAGS)
bench_blast_LDADD = core/libtbcore.la

EXTRA_DIST += %D%/README.md %D%/baseline.json %D%/compare %D%/figures.py %D%/million \
	%D%/run %D%/soak %D%/tcpcopy %D%/workloads.py

# Sessions of all kinds over a lossy network for long, as root: half an hour, or MINUTES.
MINUTES = 30
.PHONY: soak
soak: all
	TB_BUILDDIR='$(abs_top_builddir)' $(PYTHON3) $(srcdir)/bench/soak --minutes $(MINUTES)

noinst_PROGRAMS += bench/engine
bench_engine_SOURCES = %D%/engine.c
bench_engine_CFLAGS = $(AM_CFLAGS)
bench_engine_LDADD = core/libtbcore.la

noinst_PROGRAMS += bench/relay_bench
bench_relay_bench_SOURCES = %D%/relay_bench.c tests/unit/relay_server_rig.c \
	tests/unit/relay_server_rig.h
bench_relay_bench_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
bench_relay_bench_LDADD = core/libtbcore.la

TESTS += tests/unit/bench_compare_test.py
EXTRA_DIST += tests/unit/bench_compare_test.py
