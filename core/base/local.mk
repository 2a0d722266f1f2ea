# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/arena.c %D%/arena.h %D%/clock.c %D%/clock.h %D%/cursor.h %D%/err.c %D%/err.h \
	%D%/histogram.c %D%/histogram.h %D%/large.h %D%/log.c %D%/log.h %D%/pool.c %D%/pool.h %D%/rng.h \
	%D%/siphash.c %D%/siphash.h %D%/wheel.c %D%/wheel.h
