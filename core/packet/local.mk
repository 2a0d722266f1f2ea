# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/addr.h %D%/checksum.h %D%/frame.h %D%/linktype.h %D%/seq.h %D%/view.h
