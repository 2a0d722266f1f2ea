# SPDX-License-Identifier: BSD-2-Clause
# The packet I/O back-ends against a kernel's TCP. Included by local.mk.
check_PROGRAMS += tests/system/io_probe
tests_system_io_probe_SOURCES = %D%/io_probe.c
tests_system_io_probe_LDADD = core/libtbcore.la
tests_system_io_probe_CFLAGS = $(AM_CFLAGS)

EXTRA_DIST += %D%/io_lab.py %D%/io_server.py

check-system: tests/system/io_probe
