# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/tcp.h %D%/open.c %D%/in.c %D%/out.c %D%/timer.c %D%/ranges.c
