# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/capture.c %D%/capture.h \
	%D%/draft.c %D%/draft.h %D%/draft_end.c %D%/draft_feed.h %D%/draft_memory.c \
	%D%/ended.c %D%/ended.h \
	%D%/filter.c %D%/filter.h \
	%D%/flow.c %D%/flow.h \
	%D%/fragment.c %D%/fragment.h \
	%D%/load.c %D%/trace.h \
	%D%/order.c \
	%D%/pcap.c %D%/pcapng.c \
	%D%/reader.c %D%/reader.h \
	%D%/reassembly.c %D%/reassembly.h \
	%D%/script.h \
	%D%/skip.c \
	%D%/table.c %D%/table.h %D%/tap_file.c %D%/tap_file.h \
	%D%/verify.c %D%/verify.h
