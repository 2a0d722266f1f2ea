# SPDX-License-Identifier: BSD-2-Clause
# System tests: hosts in network namespaces, real servers. Root; skipped with a reason without it.
# In the order in which they begin: those that take a minute first.
SYSTEM_TESTS = \
	%D%/mysql.py %D%/check_three_hosts.py %D%/tcpcopy_harm.py %D%/lost_channel.py \
	%D%/replay_tun.py %D%/comet.py %D%/tcpcopy.py %D%/three_hosts_trouble.py %D%/hostile.py \
	%D%/kernel.py %D%/loss.py %D%/tcpcopy_protocols.py %D%/tap_device.py %D%/upload.py \
	%D%/three_hosts.py %D%/replay_local.py %D%/io_capture.py %D%/cli.py %D%/trouble.py \
	%D%/many.py %D%/intercept_process.py %D%/strangers.py %D%/tcpcopy_cli.py %D%/corruption.py \
	%D%/io_tun.py %D%/intercept_capture.py %D%/registered.py %D%/bad_input.py
EXTRA_DIST += $(SYSTEM_TESTS) %D%/lab.py %D%/three.py %D%/four.py %D%/recorder.py %D%/captures.py \
	%D%/channel.py %D%/comet_client.py %D%/comet_lab.py \
	tests/servers/comet.py tests/servers/connlog.py tests/servers/httpapp.py \
	tests/servers/lineproto.py tests/servers/make-www.py tests/servers/nginx.conf.in \
	tests/servers/oddserver.py tests/servers/pushserver.py tests/servers/rawserver.py tests/servers/rude.py \
	tests/servers/wsserver.py \
	tests/servers/mysqlcapture.py tests/servers/mysqlserver.py tests/servers/mysql-clients \
	tests/captures/mysql

include tests/system/io.mk
include tests/system/tap.mk
include tests/system/tcp.mk

# Several at once, each on hosts of its own: most of their time they wait for a time-out or a server.
SYSTEM_JOBS = 4
.PHONY: check-system
check-system: all $(check_LTLIBRARIES)
	+$(MAKE) $(AM_MAKEFLAGS) -j$(SYSTEM_JOBS) check-TESTS TESTS='$(SYSTEM_TESTS)'

# Everything in every combination, where check-system tries each thing in one of them.
.PHONY: check-system-all
check-system-all:
	+TB_ALL=1 $(MAKE) $(AM_MAKEFLAGS) check-system
