# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += %D%/client.h %D%/frame.c %D%/frame.h %D%/route.c %D%/route.h \
	%D%/server.c %D%/server.h %D%/server_clients.c %D%/server_conn.c %D%/server_lane.c \
	%D%/server_parts.h %D%/stream.c %D%/stream.h \
	%D%/tls.c %D%/tls.h
