# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += %D%/client.c %D%/client.h %D%/client_clock.c %D%/client_clock.h \
	%D%/client_link.c %D%/client_link.h %D%/client_once.c %D%/client_once.h \
	%D%/client_peer.c %D%/client_peer.h %D%/client_sessions.c %D%/client_sessions.h
core_libtbcore_la_SOURCES += %D%/late.c %D%/late.h %D%/route.c %D%/route.h %D%/server.c %D%/server.h \
	%D%/server_clients.c %D%/server_conn.c %D%/server_lane.c %D%/server_parts.h \
	%D%/stream.c %D%/stream.h
core_libtbcore_la_SOURCES += %D%/frame.c %D%/frame.h %D%/tls.c %D%/tls.h
