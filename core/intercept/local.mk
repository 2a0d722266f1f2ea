# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/capture.c %D%/capture.h %D%/devices.c %D%/devices.h %D%/figures.c \
	%D%/figures.h %D%/filter.c %D%/filter.h %D%/readdress.c %D%/readdress.h %D%/watch.c %D%/watch.h
