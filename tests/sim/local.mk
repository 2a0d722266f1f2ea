# SPDX-License-Identifier: BSD-2-Clause
# The simulator: 2,000 seeds in make check, more with make sim-soak SEEDS=N.
check_PROGRAMS += tests/sim/sim.test
TESTS += tests/sim/sim.test

tests_sim_sim_test_SOURCES = %D%/main.c %D%/world.c %D%/story.c %D%/modules.c %D%/net.c %D%/wire.c \
	%D%/peer.c %D%/peer.h %D%/app.c %D%/watch.c %D%/watch.h %D%/sent.c %D%/sent.h %D%/cwnd.c \
	%D%/judge.c %D%/sim.h
EXTRA_DIST += %D%/mutate %D%/mutations.txt
tests_sim_sim_test_LDADD = core/libtbcore.la

SEEDS = 100000
SIM_FIRST = 1000000
.PHONY: sim-soak
sim-soak: tests/sim/sim.test
	tests/sim/sim.test --first $(SIM_FIRST) --seeds $(SEEDS)

# Plants mistakes in a copy of the tree: does the simulator notice? Takes minutes.
.PHONY: mutation-test
mutation-test: tests/sim/sim.test
	TB_BUILDDIR='$(abs_top_builddir)' $(PYTHON3) $(top_srcdir)/tests/sim/mutate $(MUTATIONS)
