# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/background.c %D%/confine.c %D%/keeper.c %D%/privilege.c %D%/process.h
