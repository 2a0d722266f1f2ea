# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += %D%/client.h %D%/frame.c %D%/frame.h %D%/server.h \
	%D%/tls.c %D%/tls.h
