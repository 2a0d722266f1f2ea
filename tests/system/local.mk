# SPDX-License-Identifier: BSD-2-Clause
# System tests: hosts in network namespaces, real servers. Root; skipped with a reason without it.
SYSTEM_TESTS = \
	%D%/replay_tun.py %D%/replay_local.py %D%/loss.py %D%/corruption.py %D%/many.py %D%/trouble.py \
	%D%/hostile.py %D%/bad_input.py %D%/cli.py %D%/mysql.py %D%/comet.py \
	%D%/three_hosts.py %D%/three_hosts_trouble.py %D%/check_three_hosts.py
EXTRA_DIST += $(SYSTEM_TESTS) %D%/lab.py %D%/three.py %D%/four.py %D%/recorder.py %D%/captures.py \
	%D%/comet_client.py %D%/comet_lab.py \
	tests/servers/comet.py tests/servers/connlog.py tests/servers/httpapp.py \
	tests/servers/lineproto.py tests/servers/make-www.py tests/servers/nginx.conf.in \
	tests/servers/oddserver.py tests/servers/pushserver.py tests/servers/rawserver.py tests/servers/rude.py \
	tests/servers/wsserver.py \
	tests/servers/mysqlcapture.py tests/servers/mysqlserver.py tests/servers/mysql-clients \
	tests/captures/mysql

SYSTEM_TESTS += %D%/registered.py %D%/intercept_capture.py %D%/intercept_process.py %D%/strangers.py
SYSTEM_TESTS += %D%/lost_channel.py
SYSTEM_TESTS += %D%/tcpcopy_cli.py %D%/tcpcopy.py %D%/tcpcopy_protocols.py %D%/tcpcopy_harm.py
EXTRA_DIST += %D%/channel.py

include tests/system/io.mk
include tests/system/tap.mk
include tests/system/tcp.mk

# One after the other (-j1): they share the machine's cores with the servers they start.
.PHONY: check-system
check-system: all $(check_LTLIBRARIES)
	+$(MAKE) $(AM_MAKEFLAGS) -j1 check-TESTS TESTS='$(SYSTEM_TESTS)'

# Everything in every combination, where check-system tries each thing in one of them.
.PHONY: check-system-all
check-system-all:
	+TB_ALL=1 $(MAKE) $(AM_MAKEFLAGS) check-system
