# SPDX-License-Identifier: BSD-2-Clause
unit_packet = \
	tests/unit/packet_addr.test \
	tests/unit/packet_checksum.test \
	tests/unit/packet_frame.test \
	tests/unit/packet_ip.test \
	tests/unit/packet_linktype.test \
	tests/unit/packet_tcp.test \
	tests/unit/packet_vxlan.test
check_PROGRAMS += $(unit_packet)
TESTS += $(unit_packet)

tests_unit_packet_addr_test_SOURCES = %D%/packet_addr_test.c %D%/unit.h
tests_unit_packet_addr_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_packet_addr_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_packet_checksum_test_SOURCES = %D%/packet_checksum_test.c %D%/unit.h
tests_unit_packet_checksum_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_packet_checksum_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_packet_frame_test_SOURCES = %D%/packet_frame_test.c %D%/unit.h
tests_unit_packet_frame_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_packet_frame_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_packet_ip_test_SOURCES = %D%/packet_ip_test.c %D%/unit.h %D%/packet_build.h
tests_unit_packet_ip_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_packet_ip_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_packet_linktype_test_SOURCES = %D%/packet_linktype_test.c %D%/unit.h %D%/packet_build.h
tests_unit_packet_linktype_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_packet_linktype_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_packet_tcp_test_SOURCES = %D%/packet_tcp_test.c %D%/unit.h %D%/packet_build.h
tests_unit_packet_tcp_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_packet_tcp_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_packet_vxlan_test_SOURCES = %D%/packet_vxlan_test.c %D%/unit.h %D%/packet_build.h
tests_unit_packet_vxlan_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_packet_vxlan_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
