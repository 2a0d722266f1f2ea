# SPDX-License-Identifier: BSD-2-Clause
# Scripted TCP tests: one program plays every *.pkt below. README.md describes the language.
check_PROGRAMS += tests/script/script.test
TESTS += tests/script/script.test

tests_script_script_test_SOURCES = %D%/engine.c %D%/kernel.c %D%/main.c %D%/parse.c %D%/play.c \
	%D%/script.h
tests_script_script_test_LDADD = core/libtbcore.la

EXTRA_DIST += %D%/README.md %D%/handshake %D%/data %D%/loss %D%/close %D%/attack
