# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/advice.c %D%/advice.h %D%/fail_on.c %D%/figures.c %D%/figures.h %D%/json.c %D%/report.h \
	%D%/status.c %D%/summary.c %D%/timeline.c %D%/timeline.h %D%/units.c %D%/writer.c %D%/units.h
