# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/addr.c %D%/addr.h %D%/checksum.c %D%/checksum.h %D%/frame.c %D%/frame.h \
	%D%/linktype.c %D%/linktype.h %D%/seq.h %D%/view.c %D%/view.h %D%/vxlan.c \
	%D%/vxlan.h %D%/wire.h
