# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += %D%/loader.c %D%/loader.h
