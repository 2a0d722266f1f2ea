# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/check.c %D%/check.h %D%/findings.c %D%/findings.h %D%/host.c %D%/host.h %D%/probe.c \
	%D%/probe.h
