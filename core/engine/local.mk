# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += %D%/stats.c %D%/stats.h
