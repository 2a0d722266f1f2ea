# SPDX-License-Identifier: BSD-2-Clause
# Checks that look at the source rather than run it, and those that run the tests differently.
EXTRA_DIST += %D%/check %D%/check-layering %D%/demo \
	%D%/install-packages %D%/lab %D%/packages

tb_sources = find core modules include tests bench examples -name '*.[ch]'

bashcompdir = $(datadir)/bash-completion/completions
dist_bashcomp_DATA = %D%/completion/tcpburn

# bash looks for a file of the program's name.
install-data-hook:
	cd '$(DESTDIR)$(bashcompdir)' && for p in intercept tcpcopy; do ln -sf tcpburn $$p; done

.PHONY: check-layering format format-check lint check-valgrind coverage

check-layering:
	$(srcdir)/tools/check-layering $(srcdir)

format-check:
	cd $(srcdir) && $(tb_sources) | xargs clang-format --dry-run -Werror

format:
	cd $(srcdir) && $(tb_sources) | xargs clang-format -i

# config.h is in the build folder; the rest of the flags are those of the build. Uninitialized
# variables are left to clang-tidy and the compilers: cppcheck takes filling one by pointer for reading.
lint: all
	clang-tidy --quiet --warnings-as-errors='*' \
		$$(find $(srcdir)/core $(srcdir)/modules -name '*.c') -- -std=gnu11 -I. \
		$(AM_CPPFLAGS) -I$(srcdir)/modules $(JANSSON_CFLAGS) $(PCAP_CFLAGS) $(ZLIB_CFLAGS) $(CAPNG_CFLAGS)
	cppcheck --quiet --error-exitcode=1 --inline-suppr --library=posix \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		--suppress=ctuuninitvar --suppress=uninitvar \
		-D__linux__ -D_GNU_SOURCE -I. -I$(srcdir)/core -I$(srcdir)/include -I$(srcdir)/modules \
		$(srcdir)/core $(srcdir)/modules

check-valgrind:
	+$(MAKE) $(AM_MAKEFLAGS) check TESTS="$$(printf '%s\n' $(check_PROGRAMS) | grep -E "^tests/(unit|script)/.*test$$")" \
		TEST_LOG_FLAGS='$(LIBTOOL) --mode=execute valgrind -q --leak-check=full --error-exitcode=9'

# After ./configure --enable-gcov.
coverage: check
	$(MKDIR_P) coverage
	gcovr --root $(srcdir) --object-directory . --exclude '.*tests/' --print-summary \
		--html-details coverage/index.html core modules

clean-local: clean-coverage
.PHONY: clean-coverage
clean-coverage:
	rm -rf coverage
	find . -name '*.gcda' -o -name '*.gcno' | xargs rm -f
