# SPDX-License-Identifier: BSD-2-Clause
# Taps on live traffic. Included by local.mk.
check_PROGRAMS += tests/system/tap_probe
tests_system_tap_probe_SOURCES = %D%/tap_probe.c
tests_system_tap_probe_LDADD = core/libtbcore.la $(ZLIB_LIBS)
tests_system_tap_probe_CFLAGS = $(AM_CFLAGS)

EXTRA_DIST += %D%/tap_traffic.py

check-system: tests/system/tap_probe
