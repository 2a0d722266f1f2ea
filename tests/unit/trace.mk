# SPDX-License-Identifier: BSD-2-Clause
unit_trace = \
	tests/unit/trace_draft.test \
	tests/unit/trace_flow.test \
	tests/unit/trace_reassembly.test
check_PROGRAMS += $(unit_trace) tests/unit/trace_dump
TESTS += $(unit_trace)
dist_check_SCRIPTS += %D%/trace_manifest_test.py
TESTS += %D%/trace_manifest_test.py

tests_unit_trace_dump_SOURCES = %D%/trace_dump.c
tests_unit_trace_dump_LDADD = core/libtbcore.la

tests_unit_trace_draft_test_SOURCES = %D%/trace_draft_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_draft_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_draft_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_trace_flow_test_SOURCES = %D%/trace_flow_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_flow_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_flow_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_trace_reassembly_test_SOURCES = %D%/trace_reassembly_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_reassembly_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_reassembly_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
