#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What TCP scripts (tests/script) say of the kernel's own TCP holds: it is played the same exchange,
and does the same, or differs where the script says so (and how is shown)."""
import os
import re
import subprocess

import lab


def main(l):
    program = lab.BUILD / "tests" / "script" / "script.test"
    done = subprocess.run([program, "--kernel"], capture_output=True, text=True, check=False,
                          timeout=300, env=dict(os.environ, TB_SRCDIR=str(lab.SRC)))
    result = re.compile(r"^(not )?ok \d+ - (.*)")
    lines = done.stdout.splitlines()
    for i, line in enumerate(lines):
        found = result.match(line)
        if found:
            words = lines[i + 1] if i + 1 < len(lines) else ""
            l.ok(not found[1], "the kernel: " + found[2], words.lstrip("# "))
        elif line.startswith("# the kernel:"):
            print(line)
    l.ok(l.count > 0, "there are scripts that ask the kernel", done.stdout + done.stderr)


with lab.Test() as the_lab:
    main(the_lab)
