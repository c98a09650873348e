#!/usr/bin/env python3
"""check.py STEP...: what ./check does once python3 and the other packages are there; see ./check --help.

One thread builds and runs the steps that need nothing but this machine's processors; beside it a pool of workers runs
the bats files, here and in emulated machines (pool.py).
"""
import argparse
import fcntl
import json
import os
import shutil
import signal
import sys
import time

import machine
import steps
from build import TOP, Builds, Failed, tail
from pool import Pool
from report import Report
from worker import be_reaper, descendants


class Run:
    """All that the steps share."""

    def __init__(self, options):
        self.options = options
        self.cache, self.logs = os.path.join(TOP, ".cache"), os.path.join(TOP, "build", "logs")
        shutil.rmtree(os.path.join(self.logs, "bats"), ignore_errors=True)
        os.makedirs(self.logs, exist_ok=True)
        os.makedirs(self.cache, exist_ok=True)
        self.report, self.builds = Report(self.logs), Builds(self.logs)
        self.environment, self.kvm, self.pool = {}, None, None
        # How long each test took the last time: the longest begin first.
        self.times = os.path.join(self.cache, "test-times.json")
        try:
            with open(self.times) as file:
                self.known = json.load(file)
        except (OSError, ValueError):
            self.known = {}

    def keep_times(self):
        with open(self.times + ".part", "w") as file:
            json.dump(self.known, file, indent=0, sort_keys=True)
        os.rename(self.times + ".part", self.times)

    def one(self, step):
        """A step, whose failing command is a failure of the run."""
        with self.report.step(step.__name__):
            try:
                step(self)
            except Failed as failed:
                self.report.fault(step.__name__, str(failed), tail(failed.log), failed.log)

    def open_pool(self, wanted):
        """Programs, kernel, the decision, workers."""
        self.environment = self.builds.stage()
        kernel = os.path.join(self.cache, "kernel")
        self.builds.run("fetch-kernel", [os.path.join(TOP, "tests", "bed", "fetch-kernel"), kernel])
        self.environment.update(ATOLL_BED_KERNEL=kernel, ATOLL_LINUX_ASSETS=os.path.join(self.cache, "linux"))
        if self.options.soak:
            self.environment["ATOLL_TEST_SOAK"] = "1"
        if "guests" in wanted or "linux" in wanted:
            self.kvm, why = machine.kvm(self.environment, self.options.emulated)
            self.report.say(machine.sentence(self.kvm, why))
        folder = os.path.join(TOP, "build", "run")
        shutil.rmtree(folder, ignore_errors=True)
        self.pool = Pool(self.report, folder, self.environment, kernel, self.known)

    def start_pool(self, builds):
        """As many workers as there are jobs for. An emulated machine takes a processor to itself: where only Linux guests
        need them, they start behind the builds, which would stretch each test's time threefold."""
        places = {job.place for job in self.pool.jobs}
        if "bed" in places and not (builds and self.kvm != "none"):
            self.pool.start("bed", 2)
        if "here" in places:
            self.pool.start("here", 2 if self.kvm == "hardware" and os.geteuid() == 0 else 1)

    def builds_are_done(self):
        if any(job.place == "bed" for job in self.pool.jobs) and not self.pool.has("bed"):
            self.pool.start("bed", 2)

    def all(self, wanted):
        chosen = lambda group: [step for step in group if step.__name__ in wanted]
        self.builds.prepare()
        try:
            if chosen(steps.POOLED):
                with self.report.step("build"):
                    self.open_pool(wanted)
                for step in chosen(steps.POOLED):
                    step(self)
                if self.options.files and not self.pool.jobs:
                    sys.exit("check: none of these files has such a test: " + " ".join(self.options.files))
                self.start_pool(chosen(steps.BUILDING))
        except Failed as failed:
            self.report.fault("build", str(failed), tail(failed.log), failed.log)
            return
        for step in chosen(steps.BUILDING):
            self.one(step)
        if self.pool:
            self.builds_are_done()
            with self.report.step("waiting for the guests"):
                self.pool.wait()
        for step in chosen(steps.BEHIND):
            self.one(step)


def alone():
    """Two at once in one checkout would pull the builds from under each other."""
    os.makedirs(os.path.join(TOP, "build"), exist_ok=True)
    lock = open(os.path.join(TOP, "build", "lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("check: another ./check is at work in this checkout; wait for it, or use another one")
    return lock


def end_all():
    """Whatever a step that was interrupted left running."""
    for number in signal.SIGTERM, signal.SIGKILL:
        left = descendants(os.getpid())
        for pid in left:
            try:
                os.kill(pid, number)
            except OSError:
                pass
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.1)
            except OSError:
                return # nobody is left


def main():
    names = [step.__name__ for step in steps.ALL]
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--emulated", action="store_true")
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--filter", default="")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    options.quick = "quick" in options.words
    options.files = [os.path.basename(word) for word in options.words if word.endswith(".bats")]
    wanted = [word for word in options.words if word in names]
    if options.quick:
        wanted += steps.QUICK
    if options.files:
        wanted += ["e2e", "guests", "linux"]
    wanted = wanted or names
    if "cover" in wanted and "guests" not in wanted:
        wanted.append("guests")
    if options.list:
        for step in steps.ALL:
            print("%-10s %s" % (step.__name__, step.__doc__))
            if step in steps.POOLED:
                run = argparse.Namespace(options=options)
                tests = steps.bats_tests(run, "linux" if step is steps.linux else "e2e")
                files = {}
                for test in tests:
                    if step is steps.linux or ("guest" in test.tags) == (step is steps.guests):
                        files[test.file] = files.get(test.file, 0) + 1
                for name, count in sorted(files.items()):
                    print("             %-24s %d tests" % (name, count))
        return 0
    lock = alone()
    be_reaper()
    run = Run(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run.all(wanted)
        return run.report.end()
    except KeyboardInterrupt:
        return 130
    finally:
        if run.pool:
            run.pool.stop()
            run.keep_times()
        end_all()


if __name__ == "__main__":
    sys.exit(main())
