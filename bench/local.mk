# SPDX-License-Identifier: BSD-2-Clause
noinst_PROGRAMS += bench/sink
bench_sink_SOURCES = %D%/sink.c
bench_sink_CFLAGS = $(AM_CFLAGS)
EXTRA_DIST += %D%/run %D%/README.md
