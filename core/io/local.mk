# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/backend.c %D%/backend.h %D%/backends.h %D%/blackhole.c %D%/blackhole.h %D%/capture.c \
	%D%/dump.c %D%/expression.c %D%/expression.h %D%/glance.h %D%/io.c %D%/io.h %D%/link.c %D%/mem.c %D%/netlink.c %D%/netlink.h \
	%D%/nexthop.c %D%/nexthop.h %D%/overlap.c %D%/overlap.h %D%/pace.h %D%/prefix.c %D%/prefix.h \
	%D%/rate.h %D%/raw.c %D%/ring.c %D%/ring.h %D%/softnet.c %D%/softnet.h %D%/steer.c %D%/steer.h %D%/tap.h %D%/tap_device.c %D%/tap_filter.c \
	%D%/tap_filter.h %D%/tun.c %D%/xdp.c %D%/xdp.h
