#!/usr/bin/env python3
"""worker.py DIR: runs jobs of bats tests, one after the other, wherever it is started: here or in an emulated machine.

DIR is shared with who hands out the jobs (pool.py); it is all that the two share, and it holds

    jobs/N.json   a job: {"file", "tests": [{"name", "limit"}], "prefix": [...], "environment": {}}, N counting from 0
    events        what happens, a line of JSON each: {"job", "test", "what", ...}
    stop          when it is there, the worker ends after the job that it is doing

A test that is still going at its limit is ended, with all that it started, and counts as failed; the tests behind it are
run by another bats. As root each bats is the first process of a PID namespace: nothing of it can be left, and tests that
look for their processes find no others.
"""
import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

import bats_file

RESULT = re.compile(r"^(ok|not ok) (\d+) (.*?)(?: in (\d+)ms)?(?: # skip ?(.*))?$")
# How long a bats may take to begin its first test, and to end after its last.
SLACK = int(os.environ.get("ATOLL_TEST_SLACK", "60"))


def be_reaper():
    """From now on this process is the parent of its descendants' orphans: none gets away."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) # PR_SET_CHILD_SUBREAPER


def descendants(pid):
    """The processes below pid."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % entry) as file:
                parents.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(entry))
        except OSError:
            pass
    found, left = [], [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


class Bats:
    """One bats for some tests of one file."""

    def __init__(self, worker, job, tests):
        self.worker, self.job, self.tests = worker, job, tests
        self.current, self.text, self.done = None, [], []
        command = job.get("prefix", []) + ["bats", "--formatter", "cat", "--timing",
                                           "--filter", bats_file.pattern([test["name"] for test in tests]), job["file"]]
        if os.geteuid() == 0:
            command = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"] + command
        environment = dict(os.environ, **job.get("environment", {}))
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=environment, cwd=os.path.dirname(job["file"]), start_new_session=True)
        self.deadline = time.monotonic() + SLACK * worker.patience
        self.buffer = b""

    def limit_of(self, name):
        return next((test["limit"] for test in self.tests if test["name"] == name), bats_file.LIMIT * self.worker.patience)

    def run(self):
        """Runs to the end, or to a limit. The names of the tests that have a result."""
        output = self.process.stdout.fileno()
        while True:
            ready, _, _ = select.select([output], [], [], max(0, self.deadline - time.monotonic()))
            if not ready:
                self.overdue()
                break
            chunk = os.read(output, 65536)
            if not chunk:
                break
            self.buffer += chunk
            *lines, self.buffer = self.buffer.split(b"\n")
            for line in lines:
                self.line(line.decode(errors="replace"))
        self.kill()
        self.flush()
        return self.done

    def line(self, line):
        begin = re.match(r"^begin (\d+) (.*)$", line)
        result = RESULT.match(line)
        if begin and self.current is None:
            self.flush()
            self.current = begin[2]
            self.started = time.monotonic()
            self.deadline = self.started + self.limit_of(self.current)
            self.worker.tell(self.job, self.current, "begin")
        elif result and self.current is not None and result[3] == self.current:
            what = "failed" if result[1] == "not ok" else "skipped" if result[5] is not None else "passed"
            self.pending = {"what": what, "seconds": time.monotonic() - self.started, "reason": result[5] or ""}
            self.finished, self.current = self.current, None
            self.deadline = time.monotonic() + SLACK * self.worker.patience
        elif not re.match(r"^(1\.\.\d+|suite .*)$", line):
            self.text.append(line)

    pending = None

    def flush(self):
        """Tells the last result, once the lines that belong to it are there."""
        if self.pending:
            self.worker.tell(self.job, self.finished, text=self.text, **self.pending)
            self.done.append(self.finished)
        # What is said before a test is of no result: kept for one that does not come.
        self.text = [] if self.pending else self.text
        self.pending = None

    def overdue(self):
        if self.current is not None:
            took = time.monotonic() - self.started
            self.text.append("# ended at its limit, after %.0f s; what was left of it:" % took)
            self.text += ["#   " + line for line in self.processes()]
            self.pending = {"what": "failed", "seconds": took, "reason": ""}
            self.finished, self.current = self.current, None
        elif self.pending:
            self.pending["what"] = "failed"
            self.text.append("# bats did not end after it: something that a test of this file started holds its output open")
            self.text += ["#   " + line for line in self.processes()]

    def processes(self):
        """All that the bats started, as ps shows it."""
        ours = set(descendants(self.process.pid))
        listed = subprocess.run(["ps", "-e", "-o", "pid=,stat=,etimes=,args="], capture_output=True, text=True).stdout
        return [line.strip()[:200] for line in listed.splitlines() if int(line.split(None, 1)[0]) in ours][-40:]

    def kill(self):
        if self.process.poll() is None:
            # By the event where bats has ended by itself: it closes its output a moment before.
            try:
                self.process.wait(0.5 * self.worker.patience if not self.overrun() else 0)
            except subprocess.TimeoutExpired:
                pass
        if self.process.poll() is None:
            self.process.kill() # as root the namespace with it
        self.process.wait()
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except OSError:
                pass
        self.process.stdout.close()

    def overrun(self):
        return time.monotonic() >= self.deadline


class Worker:
    def __init__(self, folder):
        self.folder = folder
        self.patience = int(os.environ.get("ATOLL_TEST_PATIENCE", "1"))
        self.events = open(os.path.join(folder, "events"), "a", buffering=1)

    def tell(self, job, test, what, **more):
        json.dump({"job": job["number"], "test": test, "what": what, **more}, self.events)
        self.events.write("\n")
        self.events.flush()

    def do(self, job):
        left = list(job["tests"])
        while left:
            bats = Bats(self, job, left)
            done = bats.run()
            # Without any result there will be none: a file that does not load, a setup_file that hangs.
            if not done:
                for test in left:
                    self.tell(job, test["name"], "failed", seconds=0, reason="",
                              text=["# bats told no result of it; it said:"] + ["# " + line for line in bats.text[-40:]])
                break
            left = [test for test in left if test["name"] not in done]
        self.tell(job, None, "end")

    def serve(self):
        be_reaper()
        number = 0
        while True:
            path = os.path.join(self.folder, "jobs", "%d.json" % number)
            if os.path.exists(path):
                with open(path) as file:
                    job = json.load(file)
                job["number"] = number
                self.do(job)
                number += 1
            elif os.path.exists(os.path.join(self.folder, "stop")):
                return
            else:
                # Over a file system that is shared between machines nothing tells of a new file.
                time.sleep(0.1)


if __name__ == "__main__":
    Worker(sys.argv[1]).serve()
