#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What bench/compare decides, and what bench/run's tables and goals say."""
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
SRC = pathlib.Path(os.environ.get("srcdir") or pathlib.Path(__file__).resolve().parents[2])
sys.path.insert(0, str(SRC.resolve() / "bench"))
import figures
from figures import Figure

TESTS = []


def test(function):
    TESTS.append(function)


def compared(*results, machine=None):
    """Exit status and output of bench/compare A B."""
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / name for name in ("a.json", "b.json")]
        for file, result in zip(files, results):
            figures.write(file, result)
        if machine:
            files[1].write_text(json.dumps(json.loads(files[1].read_text()) | {"machine": machine}))
        p = subprocess.run([sys.executable, SRC / "bench" / "compare", *files],
                           capture_output=True, text=True, check=False)
        return p.returncode, p.stdout + p.stderr


def rate(*ours, wrk=None):
    return {"K": [Figure("requests/s", ours, "more", others={"wrk": wrk}, peer="wrk")]}


@test
def what_lies_within_the_spread_is_the_same():
    assert figures.compare([90, 100, 110], [85, 92, 95], "more") == "same"
    assert figures.compare([90, 100, 110], [101, 120, 140], "less") == "slower"
    assert figures.compare([80, 100, 101], [79, 85, 102], "more") == "same"


@test
def both_medians_outside_of_the_others_spread_is_a_change():
    assert figures.compare([90, 100, 110], [70, 80, 95], "more") == "slower"
    assert figures.compare([70, 80, 95], [90, 100, 110], "more") == "faster"
    assert figures.compare([90, 100, 110], [70, 80, 95], "less") == "faster"


@test
def three_percent_are_no_change_however_steady():
    assert figures.compare([100], [97.5], "more") == "same"
    assert figures.compare([100], [96], "more") == "slower"
    assert figures.compare([118], [121], "less") == "same"
    assert figures.compare([118], [122], "less") == "slower"


@test
def what_has_no_better_side_is_not_compared():
    assert figures.compare([100], [1], None) == "same"


@test
def exit_status_says_whether_something_got_worse():
    status, words = compared(rate(100, 101, 102), rate(80, 81, 82))
    assert status == 1 and "worse" in words and "requests/s" in words, words
    status, words = compared(rate(80, 81, 82), rate(100, 101, 102))
    assert status == 0 and "better" in words, words
    status, words = compared(rate(100, 101, 102), rate(99, 101, 103))
    assert status == 0 and "1 as before" in words, words


@test
def the_ratio_to_wrk_counts_where_both_have_one():
    slow_day = rate(50, 50.5, 51, wrk=[25, 25.2, 25.5])
    status, words = compared(rate(100, 101, 102, wrk=[50, 50.5, 51]), slow_day)
    assert status == 0 and "1 as before" in words, words
    status, words = compared(rate(100, 101, 102), slow_day)
    assert status == 1, words


@test
def another_machine_has_its_own_absolute_figures():
    machine = {"cpu": "another", "cpus": 1, "kernel": "0"}
    status, words = compared(rate(100), rate(50), machine=machine)
    assert status == 2 and "another machine" in words, words
    status, words = compared(rate(100, wrk=[50]), rate(50, wrk=[50]), machine=machine)
    assert status == 1, words


@test
def what_was_not_measured_is_said_and_is_no_fault():
    both = rate(100) | {"E": [Figure("ns per packet", [80], "less")]}
    status, words = compared(both, rate(100))
    assert status == 0 and "not measured: E ns per packet" in words, words


@test
def a_file_without_results_is_refused():
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write("{}")
        file.flush()
        p = subprocess.run([sys.executable, SRC / "bench" / "compare", file.name],
                           capture_output=True, text=True, check=False)
    assert p.returncode == 2 and "no results of bench/run" in p.stderr, p.stderr


@test
def goals_are_for_the_median():
    assert Figure("a", [90, 100, 200], least=100).holds
    assert not Figure("a", [90, 99, 200], least=100).holds
    assert Figure("a", [1, 2, 9], most=2).holds
    assert not Figure("a", [], most=2).holds


@test
def a_goal_that_is_a_ratio_needs_its_peer():
    assert Figure("a", [200, 200], least=2, others={"wrk": [100, 90]}, peer="wrk").holds
    assert not Figure("a", [200, 200], least=2.5, others={"wrk": [100, 90]}, peer="wrk").holds
    assert not Figure("a", [200], least=2, others={"wrk": []}, peer="wrk").has_goal


@test
def a_table_shows_medians_spreads_and_missed_goals():
    words = figures.table({"K": [Figure("requests/s", [1000, 3000, 2000], least=4,
                                        others={"wrk": [1000, 1000, 1000]}, peer="wrk")]})
    assert "2,000 (1,000-3,000)" in words and "2 (1-3)" in words and ">= 4 MISSED" in words, words
    assert "wrk 1,000" in words, words


@test
def the_baseline_can_be_read():
    results, machine = figures.read(figures.BASELINE)
    assert results["K"] and machine["cpus"] > 0


print("1..%d" % len(TESTS))
for nth, function in enumerate(TESTS):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            function()
        print("ok %d - %s" % (nth + 1, function.__name__))
    except Exception as error:
        print("not ok %d - %s" % (nth + 1, function.__name__))
        print("# %s: %s" % (type(error).__name__, str(error).replace("\n", "\n# ")))
