# SPDX-License-Identifier: BSD-2-Clause
# Model check of trace loading: captures made up from seeds. More: tests/model/model.test --seeds N.
check_PROGRAMS += tests/model/model.test
TESTS += tests/model/model.test

tests_model_model_test_SOURCES = %D%/main.c %D%/session.c %D%/capture.c %D%/model.h
tests_model_model_test_LDADD = core/libtbcore.la $(ZLIB_LIBS)
