"""What ./check says: progress as it happens, each failure at once and again at the end, where the time went, one last line.

All output but the last line goes to standard error. Any thread may call anything here.
"""
import contextlib
import os
import sys
import threading
import time

SLOWEST = 10


class Report:
    def __init__(self, logs):
        self.logs, self.lock, self.started = logs, threading.RLock(), time.monotonic()
        self.passed = self.failed = self.skipped = self.planned = 0
        self.failures, self.skips, self.times, self.steps = [], [], [], {}

    # --- talking ---

    def say(self, text):
        with self.lock:
            print("check: " + text, file=sys.stderr, flush=True)

    note = say

    def progress(self, verdict, text):
        done = self.passed + self.failed + self.skipped
        seconds = int(time.monotonic() - self.started)
        self.say("[%d/%d %d:%02d] %-7s %s" % (done, self.planned, seconds // 60, seconds % 60, verdict, text))

    # --- results ---

    def plan(self, count):
        """So many results more are to be expected. What else comes (unit tests) is counted when it is there."""
        with self.lock:
            self.planned += count

    def good(self, step, text, seconds=None, planned=False):
        with self.lock:
            self.passed += 1
            self.planned += not planned
            if seconds is not None:
                self.times.append((seconds, step, text))
            self.progress("ok", "%s: %s%s" % (step, text, "" if seconds is None else " (%.0f s)" % seconds))

    def count(self, step, name, passed):
        """Results of one program that are not worth a line each."""
        with self.lock:
            self.passed += passed
            self.planned += passed
            self.progress("ok", "%s: %s: %d tests" % (step, name, passed))

    def fault(self, step, name, text, log, seconds=None, planned=False):
        """A failure: said now, and at the end with the file to read."""
        with self.lock:
            self.failed += 1
            self.planned += not planned
            self.failures.append((step, name, log))
            if seconds is not None:
                self.times.append((seconds, step, name))
            self.progress("FAILED", "%s: %s" % (step, name))
            for line in text.splitlines()[-60:]:
                print("    " + line, file=sys.stderr)
            print("    see %s" % log, file=sys.stderr, flush=True)

    def skip(self, step, name, reason, planned=False):
        with self.lock:
            self.skipped += 1
            self.planned += not planned
            self.skips.append((step, name, reason))
            self.progress("skipped", "%s: %s: %s" % (step, name, reason))

    def result(self, job, test, what, seconds, text, reason):
        """One test of a bats file; see worker.py."""
        name = "%s: %s" % (test.file, test.name) + (", as an ordinary user's" if job.who == "user" else "")
        where = "" if job.place == "here" else "." + job.place
        log = os.path.join(self.logs, "bats", "%s%s.log" % (test.file, where + (".user" if job.who == "user" else "")))
        with self.lock:
            os.makedirs(os.path.dirname(log), exist_ok=True)
            with open(log, "a") as file:
                file.write("%s: %s (%.1f s)%s\n" % (what, name, seconds, " " + reason if reason else ""))
                file.write("".join("    " + line + "\n" for line in text))
            for line in text:
                # What a test has to say though it passed.
                if line.startswith("# numbers: "):
                    self.say(line[2:])
            if what == "passed":
                self.good(job.step, name, seconds, planned=True)
            elif what == "skipped":
                self.skip(job.step, name, reason, planned=True)
            else:
                self.fault(job.step, name, "\n".join(text), log, seconds, planned=True)

    @contextlib.contextmanager
    def step(self, name):
        """A step's beginning and end."""
        started = time.monotonic()
        self.say("%s" % name)
        try:
            yield
        finally:
            with self.lock:
                self.steps[name] = self.steps.get(name, 0) + time.monotonic() - started

    # --- the end ---

    def end(self):
        """The summary, and the line that machines read. The exit status."""
        total = time.monotonic() - self.started
        if self.steps:
            self.say("time of each step (several run at once): " +
                     ", ".join("%s %.0f s" % pair for pair in sorted(self.steps.items(), key=lambda pair: -pair[1])))
        if len(self.times) > 1:
            self.say("the slowest tests:")
            for seconds, step, name in sorted(self.times, reverse=True)[:SLOWEST]:
                print("    %6.1f s  %s: %s" % (seconds, step, name), file=sys.stderr)
        for step, name, reason in self.skips:
            self.say("skipped: %s: %s: %s" % (step, name, reason))
        for step, name, log in self.failures:
            self.say("FAILED: %s: %s; see %s" % (step, name, log))
        self.say("done in %d min %02d s" % divmod(int(total), 60))
        sys.stderr.flush()
        if self.passed + self.failed + self.skipped == 0:
            print("check: no test was run", file=sys.stderr)
        print("%d passed, %d failed%s" % (self.passed, self.failed, ", %d skipped" % self.skipped if self.skipped else ""))
        return 1 if self.failed or self.passed == 0 else 0
