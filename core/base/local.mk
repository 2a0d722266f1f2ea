# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/arena.h %D%/clock.h %D%/cursor.h %D%/err.h %D%/histogram.h %D%/log.h %D%/pool.h \
	%D%/rng.h %D%/siphash.h %D%/wheel.h
