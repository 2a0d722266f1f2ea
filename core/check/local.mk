# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/assistant.c %D%/assistant.h %D%/check.c %D%/check.h %D%/explain.c %D%/findings.c \
	%D%/findings.h %D%/host.c %D%/host.h %D%/judge.c %D%/judge.h %D%/kernel.c %D%/kernel.h \
	%D%/path.h %D%/probe.c %D%/probe.h %D%/rules.c %D%/rules.h %D%/sight.c %D%/sight.h \
	%D%/target.c %D%/target.h %D%/three.c %D%/words.c %D%/words.h
