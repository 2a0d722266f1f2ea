# SPDX-License-Identifier: BSD-2-Clause
# Not built here: tests/modules/example.sh does, the way a module author would.
EXTRA_DIST += %D%/line/Makefile %D%/line/line.c
