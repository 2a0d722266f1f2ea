# SPDX-License-Identifier: BSD-2-Clause
check_PROGRAMS += tests/unit/trace_dump
tests_unit_trace_dump_SOURCES = %D%/trace_dump.c
tests_unit_trace_dump_LDADD = core/libtbcore.la
