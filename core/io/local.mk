# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/backend.c %D%/backend.h %D%/backends.h %D%/dump.c %D%/io.c %D%/io.h %D%/mem.c \
	%D%/netlink.c %D%/netlink.h %D%/overlap.c %D%/overlap.h %D%/prefix.c %D%/prefix.h \
	%D%/steer.c %D%/steer.h %D%/tun.c
