# SPDX-License-Identifier: BSD-2-Clause
noinst_LTLIBRARIES += modules/generic/libgeneric.la
modules_generic_libgeneric_la_SOURCES = %D%/generic.c
modules_generic_libgeneric_la_CPPFLAGS = -I$(top_srcdir)/include

pkglib_LTLIBRARIES += modules/generic/generic.la
modules_generic_generic_la_SOURCES =
modules_generic_generic_la_LIBADD = modules/generic/libgeneric.la
modules_generic_generic_la_LDFLAGS = -module -avoid-version \
	-export-symbols-regex '^tb_module_entry$$' $(TB_MODULE_LDFLAGS)
