# SPDX-License-Identifier: BSD-2-Clause
unit_trace = \
	tests/unit/trace_draft.test \
	tests/unit/trace_flow.test \
	tests/unit/trace_formats.test \
	tests/unit/trace_mutation.test \
	tests/unit/trace_reassembly.test \
	tests/unit/trace_table.test \
	tests/unit/trace_tap_file.test
check_PROGRAMS += $(unit_trace) tests/unit/trace_dump
TESTS += $(unit_trace)
dist_check_SCRIPTS += %D%/trace_manifest_test.py %D%/trace_hostile_test.py
TESTS += %D%/trace_manifest_test.py %D%/trace_hostile_test.py
EXTRA_DIST += tests/captures/hostile.py tests/captures/packets.py

tests_unit_trace_dump_SOURCES = %D%/trace_dump.c
tests_unit_trace_dump_LDADD = core/libtbcore.la

tests_unit_trace_draft_test_SOURCES = %D%/trace_draft_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_draft_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_draft_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_trace_flow_test_SOURCES = %D%/trace_flow_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_flow_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_flow_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_trace_formats_test_SOURCES = %D%/trace_formats_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_formats_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_formats_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS) $(ZLIB_LIBS)

tests_unit_trace_mutation_test_SOURCES = %D%/trace_mutation_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_mutation_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_mutation_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS) $(ZLIB_LIBS)

tests_unit_trace_reassembly_test_SOURCES = %D%/trace_reassembly_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_reassembly_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_reassembly_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_trace_table_test_SOURCES = %D%/trace_table_test.c %D%/unit.h
tests_unit_trace_table_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_table_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_trace_tap_file_test_SOURCES = %D%/trace_tap_file_test.c %D%/trace_build.h %D%/unit.h
tests_unit_trace_tap_file_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_trace_tap_file_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

EXTRA_DIST += tests/fuzz/fuzz_trace.c
EXTRA_DIST += \
	tests/captures/comet.pcap.gz \
	tests/captures/halfclose.pcap \
	tests/captures/http-any-sll.pcap \
	tests/captures/http-any-sll2.pcap \
	tests/captures/http-gz.pcap.gz \
	tests/captures/http-ipv6.pcap.gz \
	tests/captures/http-keepalive.pcap.gz \
	tests/captures/http-loopback.pcap.gz \
	tests/captures/http-mixed.pcap.gz \
	tests/captures/http-nanosec.pcap \
	tests/captures/http-noise.pcap.gz \
	tests/captures/http-pcapng.pcapng \
	tests/captures/http-pipelined.pcap.gz \
	tests/captures/http-rawip.pcap \
	tests/captures/http-realloss.pcap.gz \
	tests/captures/http-short.pcap.gz \
	tests/captures/http-snaplen96.pcap \
	tests/captures/http-thinktime.pcap.gz \
	tests/captures/http-tso.pcap.gz \
	tests/captures/http-vlan.pcap \
	tests/captures/line-protocol.pcap.gz \
	tests/captures/lossy-client.pcap.gz \
	tests/captures/lossy-dup.pcap.gz \
	tests/captures/lossy-handshake.pcap.gz \
	tests/captures/lossy-mix.pcap.gz \
	tests/captures/lossy-reorder.pcap.gz \
	tests/captures/lossy-server.pcap.gz \
	tests/captures/manifest.json \
	tests/captures/midstream.pcap.gz \
	tests/captures/noend.pcap.gz \
	tests/captures/port-reuse.pcap \
	tests/captures/redis-pipeline.pcap.gz \
	tests/captures/redis-pubsub.pcap \
	tests/captures/rst-client.pcap.gz \
	tests/captures/rst-server.pcap \
	tests/captures/websocket.pcap.gz
