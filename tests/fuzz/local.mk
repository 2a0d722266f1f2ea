# SPDX-License-Identifier: BSD-2-Clause
# Fuzz targets. make check gives each its corpus; make fuzz TIME=SECONDS looks for more with
# libFuzzer (clang), in a folder of its own: build/fuzz, where findings and new inputs stay.
FUZZ_TARGETS = comet config http live mysql packet relay_client relay_frame relay_server tcp trace

fuzz_tests = \
	tests/fuzz/fuzz_comet.test \
	tests/fuzz/fuzz_config.test \
	tests/fuzz/fuzz_http.test \
	tests/fuzz/fuzz_live.test \
	tests/fuzz/fuzz_mysql.test \
	tests/fuzz/fuzz_packet.test \
	tests/fuzz/fuzz_relay_client.test \
	tests/fuzz/fuzz_relay_frame.test \
	tests/fuzz/fuzz_relay_server.test \
	tests/fuzz/fuzz_tcp.test \
	tests/fuzz/fuzz_trace.test
check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)
EXTRA_DIST += tests/fuzz/corpus

tests_fuzz_fuzz_comet_test_SOURCES = %D%/fuzz_comet.c %D%/replay.c
tests_fuzz_fuzz_comet_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/modules
tests_fuzz_fuzz_comet_test_LDADD = modules/comet/libcomet.la $(JANSSON_LIBS) $(OPENSSL_LIBS)

tests_fuzz_fuzz_config_test_SOURCES = %D%/fuzz_config.c %D%/replay.c
tests_fuzz_fuzz_config_test_LDADD = core/libtbcore.la

tests_fuzz_fuzz_http_test_SOURCES = %D%/fuzz_http.c %D%/replay.c
tests_fuzz_fuzz_http_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/modules
tests_fuzz_fuzz_http_test_LDADD = modules/http/libhttp.la $(JANSSON_LIBS)

tests_fuzz_fuzz_live_test_SOURCES = %D%/fuzz_live.c %D%/replay.c tests/unit/check.h
tests_fuzz_fuzz_live_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_live_test_LDADD = core/libtbcore.la

tests_fuzz_fuzz_mysql_test_SOURCES = %D%/fuzz_mysql.c %D%/replay.c
tests_fuzz_fuzz_mysql_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/modules
tests_fuzz_fuzz_mysql_test_LDADD = modules/mysql/libmysql.la $(mysql_libs)

tests_fuzz_fuzz_packet_test_SOURCES = %D%/fuzz_packet.c %D%/replay.c
tests_fuzz_fuzz_packet_test_LDADD = core/libtbcore.la

tests_fuzz_fuzz_relay_client_test_SOURCES = %D%/fuzz_relay_client.c %D%/replay.c \
	tests/unit/relay_rig.c tests/unit/relay_rig.h
tests_fuzz_fuzz_relay_client_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_relay_client_test_LDADD = core/libtbcore.la

tests_fuzz_fuzz_relay_frame_test_SOURCES = %D%/fuzz_relay_frame.c %D%/replay.c
tests_fuzz_fuzz_relay_frame_test_LDADD = core/libtbcore.la

tests_fuzz_fuzz_relay_server_test_SOURCES = %D%/fuzz_relay_server.c %D%/replay.c \
	tests/unit/relay_server_rig.c tests/unit/relay_server_rig.h
tests_fuzz_fuzz_relay_server_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_relay_server_test_LDADD = core/libtbcore.la

tests_fuzz_fuzz_tcp_test_SOURCES = %D%/fuzz_tcp.c %D%/replay.c \
	tests/unit/worker_rig.c tests/unit/worker_rig.h
tests_fuzz_fuzz_tcp_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_tcp_test_LDADD = core/libtbcore.la modules/http/libhttp.la

tests_fuzz_fuzz_trace_test_SOURCES = %D%/fuzz_trace.c %D%/replay.c
tests_fuzz_fuzz_trace_test_LDADD = core/libtbcore.la

TIME = 60
FUZZ_CC = clang
FUZZ_CFLAGS = -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_LINK = -fsanitize=fuzzer,address,undefined
fuzz_folder = $(abs_top_builddir)/build/fuzz

# Sources, not objects of the normal build: everything is compiled with clang's coverage. Of the
# modules only http keeps the name of its table, which fuzz_tcp uses.
fuzz_core = $(core_libtbcore_la_SOURCES) $(modules_http_libhttp_la_SOURCES) \
	$(modules_mysql_libmysql_la_SOURCES) $(modules_httpmsg_libhttpmsg_la_SOURCES) \
	$(modules_comet_libcomet_la_SOURCES) \
	tests/unit/worker_rig.c tests/unit/relay_rig.c tests/unit/relay_server_rig.c
.PHONY: fuzz
fuzz:
	@$(MKDIR_P) $(fuzz_folder)/objects
	@cd $(abs_top_srcdir) && for f in $(fuzz_core); do \
		case $$f in \
		modules/http/*.c) entry=;; \
		modules/*.c) entry=-Dtb_module_entry=`echo $$f | cut -d/ -f2`_entry;; \
		*.c) entry=;; \
		*) continue;; \
		esac; \
		o=$(fuzz_folder)/objects/`echo $$f | tr / _`.o; \
		$(FUZZ_CC) $(DEFS) -I$(abs_top_builddir) -Icore -Iinclude -Imodules -Itests/unit \
			-D_GNU_SOURCE -DTB_PKGLIBDIR='"$(pkglibdir)"' $(FUZZ_CFLAGS) $$entry \
			-c $$f -o $$o \
			|| exit 1; \
	done
	@for t in $(FUZZ_TARGETS); do \
		case $$t in mysql) entry=-Dtb_module_entry=mysql_entry;; *) entry=;; esac; \
		$(FUZZ_CC) -D_GNU_SOURCE -I$(top_srcdir)/core -I$(top_srcdir)/include \
			-I$(top_srcdir)/modules -I$(top_srcdir)/tests/unit $(FUZZ_CFLAGS) $(FUZZ_LINK) \
			$$entry $(top_srcdir)/tests/fuzz/fuzz_$$t.c $(fuzz_folder)/objects/*.o \
			$(PCAP_LIBS) $(mysql_libs) $(CAPNG_LIBS) $(LTDL_LIBS) \
			$(EVENT_LIBS) $(SECCOMP_LIBS) -lm -lpthread \
			-o $(fuzz_folder)/fuzz_$$t || exit 1; \
		$(MKDIR_P) $(fuzz_folder)/new/$$t; \
		echo "fuzz_$$t for $(TIME) s"; \
		$(fuzz_folder)/fuzz_$$t -max_total_time=$(TIME) -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=$(fuzz_folder)/$$t- $(fuzz_folder)/new/$$t \
			$(abs_top_srcdir)/tests/fuzz/corpus/$$t || exit 1; \
	done
