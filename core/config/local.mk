# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/addresses.c %D%/file.c %D%/help.c %D%/intercept.c %D%/intercept.h %D%/items.c %D%/items.h \
	%D%/options.h %D%/parse.c %D%/rows.h %D%/table.c %D%/table.h %D%/tcpcopy.c %D%/tcpcopy.h \
	%D%/validate.c %D%/value.c %D%/value.h
