#!/usr/bin/env python3
"""self_test.py: what the runner does with tests that hang, machines that end, and results of every kind. Run by
tests/e2e/runner.bats, in a folder of its own; the "emulated machines" here are plain processes."""
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import bats_file
import pool
import rooms
from report import Report

BATS = r'''
# bats file_tags=guest
setup() { echo "a word of setup"; }
@test "good (with [odd] signs)" { true; }
# bats test_tags=limit:1,quick
@test "hangs" { sleep 300; }
@test "behind it" { echo "# numbers: 42" >&3; }
@test "bad" { echo "why it is bad"; false; }
@test "skipped" { skip "no reason"; }
# bats test_tags=limit:20
@test 'leaves something that holds the output' { sleep 300 & }
@test "last" { true; }
'''


class Silent(Report):
    """A report that keeps what it is told."""

    def __init__(self, logs):
        super().__init__(logs)
        self.said = []

    def say(self, text):
        self.said.append(text)

    note = say


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("BATS_TEST_TMPDIR"))
        self.path = os.path.join(self.folder, "some.bats")
        with open(self.path, "w") as file:
            file.write(BATS)
        os.environ["ATOLL_TEST_PATIENCE"] = "1"
        os.environ["ATOLL_TEST_SLACK"] = "3"
        # What a test of this kind says of a failure looks like one of ours: it goes to the log alone.
        self.stderr, sys.stderr = sys.stderr, open(os.path.join(self.folder, "stderr"), "w")

    def tearDown(self):
        sys.stderr.close()
        sys.stderr = self.stderr
        shutil.rmtree(self.folder)

    def test_names_tags_and_limits_are_read(self):
        tests = bats_file.read(self.path)
        self.assertEqual([test.name for test in tests][:3],
                         ['good (with [odd] signs)', "hangs", "behind it"])
        self.assertEqual(tests[1].tags, {"guest", "limit:1", "quick"})
        self.assertEqual([test.limit for test in tests], [60, 1, 60, 60, 60, 20, 60])

    def run_pool(self, machine_class, step="guests"):
        report = Silent(os.path.join(self.folder, "logs"))
        the_pool = pool.Pool(report, os.path.join(self.folder, "run"), dict(os.environ), "", {})
        original, pool.Machine = pool.Machine, machine_class
        try:
            the_pool.add(pool.jobs_of(step, "here", "root", bats_file.read(self.path), {}))
            the_pool.start("here", 1)
            the_pool.wait()
        finally:
            pool.Machine = original
        return report

    def test_a_test_that_hangs_is_ended_and_the_others_run(self):
        report = self.run_pool(Here)
        failed = [name for _, name, _ in report.failures]
        # Whoever left something behind, it is seen when bats does not end.
        self.assertEqual(failed, ["some.bats: hangs", "some.bats: bad", "some.bats: last"])
        self.assertEqual((report.passed, report.failed, report.skipped), (3, 3, 1))
        self.assertIn("numbers: 42", report.said)
        self.assertTrue(any("skipped" in line and "no reason" in line for line in report.said))
        with open(report.failures[0][2]) as file:
            log = file.read()
        self.assertIn("ended at its limit", log)
        self.assertIn("sleep 300", log)
        self.assertIn("why it is bad", log)
        self.assertIn("a word of setup", log)

    def test_a_machine_that_ends_is_replaced_and_its_tests_run_in_the_next(self):
        # The first machine ends under the second test; so does the second; then that test is failed, and the rest runs.
        Dying.starts = 0
        report = self.run_pool(Dying)
        self.assertEqual(Dying.starts, 3)
        self.assertEqual(report.passed + report.failed + report.skipped, 7)
        self.assertEqual([name for _, name, _ in report.failures][0], "some.bats: hangs")
        self.assertEqual(len([line for line in report.said if "ended by itself under" in line]), 2)

    def test_a_file_that_does_not_load_fails_each_of_its_tests(self):
        with open(self.path, "a") as file:
            file.write("setup_file() { false; }\n")
        report = self.run_pool(Here)
        self.assertEqual((report.passed, report.failed), (0, 7))

    def test_sources_that_include_what_they_may_not_are_told(self):
        table = {"low": [], "high": ["low"], "high/deep": ["low/one.h"]}
        good = {"low/one.h": [], "low/two.h": [], "low/two.c": [(1, "low/two.h"), (2, "low/one.h")],
                "high/a.c": [(1, "low/two.h"), (2, "config.h")], "high/deep/b.c": [(1, "low/one.h")]}
        self.assertEqual(rooms.problems(good, table), [])
        for path, included, told in (("low/one.h", "high/a.h", "low/one.h:7: there is no high/a.h"),
                                     ("low/two.c", "high/a.c", "low/two.c:7: low may not include high/a.c"),
                                     ("high/deep/b.c", "low/two.h", "high/deep/b.c:7: high/deep may not include low/two.h"),
                                     ("attic/c.c", "low/one.h", "attic/c.c: its folder is no room")):
            found = dict(good, **{path: [(7, included)]})
            self.assertIn(told, "\n".join(rooms.problems(found, table)))
        found = dict(good, **{"low/one.h": [(3, "low/two.h")]})
        self.assertEqual(rooms.problems(found, table), ["a circle: low/one, low/two"])

    def test_a_run_without_a_result_is_no_success(self):
        self.assertEqual(Silent(self.folder).end(), 1)


class Here(pool.Machine):
    """As the real one, with the limits as they are written."""

    def give(self, job, tests):
        pool.HERE_PATIENCE = 1
        super().give(job, tests)

    def start(self):
        pool.HERE_PATIENCE = 1
        super().start()


class Dying(Here):
    starts = 0

    def give(self, job, tests):
        # The test under which it ends must not end before, however busy this machine is.
        pool.HERE_PATIENCE = 300
        super(Here, self).give(job, tests)
        pool.HERE_PATIENCE = 1

    def start(self):
        super().start()
        Dying.starts += 1
        if Dying.starts < 3:
            threading.Thread(target=self.die, daemon=True).start()

    def die(self):
        process, events = self.process, os.path.join(self.folder, "events")
        while process.poll() is None:
            with open(events) as file:
                if '"test": "hangs", "what": "begin"' in file.read():
                    subprocess.run(["pkill", "-KILL", "-P", str(process.pid)])
                    process.kill()
                    return
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
