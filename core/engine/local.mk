# SPDX-License-Identifier: BSD-2-Clause
core_libtbcore_la_SOURCES += \
	%D%/ending.c %D%/engine.c %D%/engine.h %D%/host.c %D%/input.c \
	%D%/live.c %D%/live.h %D%/live_limits.c %D%/live_pair.c %D%/live_pair.h %D%/live_share.c \
	%D%/live_share.h %D%/live_state.h %D%/modules.c %D%/modules.h \
	%D%/pacing.c %D%/pacing.h %D%/plan.c %D%/plan.h %D%/player.c %D%/response.c \
	%D%/stats.c %D%/stats.h %D%/user.h %D%/verdict.c %D%/worker.c %D%/worker.h
