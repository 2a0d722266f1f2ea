# SPDX-License-Identifier: BSD-2-Clause
unit_engine = \
	tests/unit/engine_allocation.test \
	tests/unit/engine_ending.test \
	tests/unit/engine_hold.test \
	tests/unit/engine_life.test \
	tests/unit/engine_live.test \
	tests/unit/engine_live_share.test \
	tests/unit/engine_module.test \
	tests/unit/engine_modules.test \
	tests/unit/engine_network.test \
	tests/unit/engine_pacing.test \
	tests/unit/engine_plan.test \
	tests/unit/engine_player.test \
	tests/unit/engine_run.test
check_PROGRAMS += $(unit_engine)
TESTS += $(unit_engine)

unit_engine_rig = tests/unit/engine_rig.c tests/unit/engine_rig.h tests/unit/fake_server.c \
	tests/unit/fake_server.h tests/unit/unit.h

tests_unit_engine_allocation_test_SOURCES = %D%/engine_allocation_test.c $(unit_engine_rig)
tests_unit_engine_allocation_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_allocation_test_LDFLAGS = -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc \
	-Wl,--wrap=mmap -Wl,--wrap=tb_worker_tick
tests_unit_engine_allocation_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
tests_unit_engine_ending_test_SOURCES = %D%/engine_ending_test.c $(unit_engine_rig)
tests_unit_engine_ending_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_ending_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_hold_test_SOURCES = %D%/engine_hold_test.c $(unit_engine_rig)
tests_unit_engine_hold_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_hold_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_life_test_SOURCES = %D%/engine_life_test.c $(unit_engine_rig)
tests_unit_engine_life_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_life_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_live_test_SOURCES = %D%/engine_live_test.c $(unit_engine_rig)
tests_unit_engine_live_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_live_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_live_share_test_SOURCES = %D%/engine_live_share_test.c %D%/unit.h
tests_unit_engine_live_share_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_live_share_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_module_test_SOURCES = %D%/engine_module_test.c $(unit_engine_rig)
tests_unit_engine_module_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_module_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_modules_test_SOURCES = %D%/engine_modules_test.c %D%/trace_build.h %D%/unit.h
tests_unit_engine_modules_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_modules_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS) $(JANSSON_LIBS)

tests_unit_engine_network_test_SOURCES = %D%/engine_network_test.c $(unit_engine_rig)
tests_unit_engine_network_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_network_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_pacing_test_SOURCES = %D%/engine_pacing_test.c %D%/unit.h
tests_unit_engine_pacing_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_pacing_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_plan_test_SOURCES = %D%/engine_plan_test.c %D%/unit.h
tests_unit_engine_plan_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_plan_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_player_test_SOURCES = %D%/engine_player_test.c $(unit_engine_rig)
tests_unit_engine_player_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_player_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)

tests_unit_engine_run_test_SOURCES = %D%/engine_run_test.c $(unit_engine_rig)
tests_unit_engine_run_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_run_test_LDADD = core/libtbcore.la $(CMOCKA_LIBS)
