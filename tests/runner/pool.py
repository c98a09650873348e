"""Hands out jobs of bats tests to workers: worker.py, in this machine or in an emulated one (tests/bed/bed).

A machine is started once and does many jobs. One that ends or stands still is replaced, and its unfinished tests run in
the next one; a test under which two machines ended is failed.
"""
import json
import os
import shutil
import subprocess
import threading
import time

import bats_file

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
# A bed's times mean nothing; its tests may take so many times what they may take on KVM itself.
BED_PATIENCE = 12
# Here tests share the processors with other tests and with builds.
HERE_PATIENCE = 3
# Tests of one job, and their seconds as far as they are known from the last time.
JOB_TESTS, JOB_SECONDS = 16, 120
# So often the wait for the last tests tells of itself.
WORD_SECONDS = 60


class Job:
    """Some tests of one file. place: "bed" or "here"; who: "root" (whoever runs ./check), or "user"."""

    def __init__(self, step, place, who, tests, ready=None):
        self.step, self.place, self.who, self.tests, self.ready = step, place, who, tests, ready
        self.path = tests[0].path

    def seconds(self, known):
        return sum(known.get(key(self, test), test.limit / 4) for test in self.tests)


def key(job, test):
    """What a test's time is remembered by."""
    return "%s %s %s: %s" % (job.place, job.who, test.file, test.name)


def jobs_of(step, place, who, tests, known, ready=None):
    """Tests in jobs: of one file each, not too many, so that two workers end at about the same time."""
    jobs, part, seconds = [], [], 0
    for test in tests:
        takes = known.get("%s %s %s: %s" % (place, who, test.file, test.name), 5)
        # A job is recorded as a whole or not at all.
        if part and (part[0].path != test.path or ("record" in part[0].tags) != ("record" in test.tags) or len(part) == JOB_TESTS or seconds + takes > JOB_SECONDS):
            jobs.append(Job(step, place, who, part, ready))
            part, seconds = [], 0
        part.append(test)
        seconds += takes
    return jobs + ([Job(step, place, who, part, ready)] if part else [])


class Machine:
    """A worker and where it runs. One job at a time."""

    def __init__(self, name, place, folder, environment, kernel):
        self.name, self.place, self.folder, self.environment, self.kernel = name, place, folder, environment, kernel
        self.process, self.number, self.offset = None, 0, 0
        self.begun = None # (the test that runs, since when)

    def start(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "jobs"))
        os.makedirs(os.path.join(self.folder, "scratch"))
        open(os.path.join(self.folder, "events"), "w").close()
        self.number = self.offset = 0
        environment = dict(self.environment, ATOLL_SCRATCH=os.path.join(self.folder, "scratch"),
                           ATOLL_TEST_PATIENCE=str(BED_PATIENCE if self.place == "bed" else HERE_PATIENCE))
        command = ["env", *("%s=%s" % pair for pair in environment.items()),
                   "python3", os.path.join(TOP, "tests", "runner", "worker.py"), self.folder]
        if self.place == "bed":
            # One processor: with two, emulated by two threads, one in ten guests of four processors dies in its first
            # second, under QEMU as under Atoll.
            command = [os.path.join(TOP, "tests", "bed", "bed"), "-1", "-c", "1", "-k", self.kernel, "-s", self.folder,
                       "-t", "86400", "--"] + command
            if os.geteuid() != 0:
                command = ["sudo", "--"] + command
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=TOP,
                                            start_new_session=True)

    def give(self, job, tests):
        patience = BED_PATIENCE if self.place == "bed" else HERE_PATIENCE
        prefix = [os.path.join(TOP, "tests", "runner", "as-user"), TOP] if job.who == "user" else []
        environment = {}
        if any("record" in test.tags for test in tests) and job.who != "user":
            environment["ATOLL_POLICY_RECORD"] = os.path.join(self.folder, "record.jsonl")
        path = os.path.join(self.folder, "jobs", "%d.json" % self.number)
        with open(path + ".part", "w") as file:
            json.dump({"file": job.path, "prefix": prefix, "environment": environment,
                       "tests": [{"name": test.name, "limit": test.limit * patience} for test in tests]}, file)
        os.rename(path + ".part", path)
        self.number += 1

    def events(self):
        """What happened since; whole lines."""
        with open(os.path.join(self.folder, "events"), "rb") as file:
            file.seek(self.offset)
            text = file.read()
        whole = text[:text.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def stop(self, at_once=False):
        if self.process is None:
            return
        open(os.path.join(self.folder, "stop"), "w").close()
        try:
            self.process.wait(0 if at_once else 120)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait()
        self.process = None


class Pool:
    def __init__(self, report, folder, environment, kernel, known):
        self.report, self.folder, self.environment, self.kernel, self.known = report, folder, environment, kernel, known
        self.jobs, self.lock, self.threads, self.machines = [], threading.Condition(), [], []
        self.ended, self.stopped, self.records = False, False, []

    def add(self, jobs):
        with self.lock:
            self.jobs += jobs
            self.report.plan(sum(len(job.tests) for job in jobs))
            self.lock.notify_all()

    def has(self, place):
        """How many workers were started there."""
        return sum(machine.place == place for machine in self.machines)

    def start(self, place, count):
        first = self.has(place)
        for number in range(first, first + count):
            name = "%s%d" % (place, number)
            machine = Machine(name, place, os.path.join(self.folder, name), self.environment, self.kernel)
            thread = threading.Thread(target=self.guarded, args=(machine,), daemon=True)
            self.machines.append(machine)
            self.threads.append(thread)
            thread.start()

    def wait(self):
        """To the end of all jobs; no more may be added."""
        with self.lock:
            self.ended = True
            self.lock.notify_all()
        quiet = time.monotonic() + WORD_SECONDS
        while any(thread.is_alive() for thread in self.threads):
            time.sleep(0.2)
            if time.monotonic() >= quiet:
                self.report.note("still waiting for: %s; %d more" % (", ".join(self.running()) or "a machine's start",
                                                                 sum(len(job.tests) for job in self.jobs)))
                quiet = time.monotonic() + WORD_SECONDS

    def running(self):
        """The tests that run now, with what they have taken so far."""
        begun = [machine.begun for machine in self.machines]
        return ["%s: %s (%.0f s so far)" % (one[0].file, one[0].name, time.monotonic() - one[1]) for one in begun if one]

    def stop(self):
        """At once, whatever runs: without results, and without machines in the place of those that end now."""
        self.stopped = True
        for machine in self.machines:
            machine.stop(at_once=True)

    def take(self, place):
        """The longest job of that place whose needs are there; None when there will be none."""
        with self.lock:
            while True:
                mine = [job for job in self.jobs if job.place == place]
                ready = [job for job in mine if job.ready is None or job.ready.is_set()]
                if ready:
                    job = max(ready, key=lambda job: job.seconds(self.known))
                    self.jobs.remove(job)
                    return job
                if self.ended and not mine:
                    return None
                self.lock.wait(1)

    def guarded(self, machine):
        try:
            self.run(machine)
        except Exception as error: # a fault of ours must not look like success
            self.report.fault("guests", "the runner itself", "%s: %r" % (machine.name, error), machine.folder)
            raise
        finally:
            machine.stop()

    def run(self, machine):
        while True:
            job = self.take(machine.place)
            if job is None or self.stopped:
                return
            if machine.process is None:
                machine.start()
            left, deaths = list(job.tests), 0
            while left:
                machine.give(job, left)
                left = self.follow(machine, job, left)
                if self.stopped:
                    return
                if not left:
                    break
                deaths += 1
                self.keep_record(machine)
                end = subprocess.run(["tail", "-n", "20", machine.log], capture_output=True, text=True).stdout
                self.report.note("%s ended by itself under %s; %s\n%s" %
                                 (machine.name, left[0], "another takes over" if deaths < 2 else "for the second time", end))
                if deaths == 2:
                    lost = left.pop(0)
                    self.report.result(job, lost, "failed", 0, ["# two machines ended under it:", *("# " + line for line in end.splitlines())], "")
                    deaths = 0
                machine.start()
            self.keep_record(machine)

    def keep_record(self, machine):
        path = os.path.join(machine.folder, "record.jsonl")
        if os.path.exists(path):
            kept = os.path.join(self.folder, "record-%d.jsonl" % len(self.records))
            shutil.move(path, kept)
            self.records.append(kept)

    def follow(self, machine, job, tests):
        """Until the job's end, or the machine's. The tests that have no result, that which ran first."""
        left, begun = list(tests), None
        by_name = {test.name: test for test in tests}
        process = machine.process # stop() takes it away from under this thread
        while process is not None and not self.stopped:
            dead = process.poll() is not None
            for event in machine.events():
                if event["what"] == "begin":
                    begun = event["test"]
                    machine.begun = (by_name[begun], time.monotonic())
                elif event["what"] == "end":
                    return []
                else:
                    test = by_name[event["test"]]
                    machine.begun = None
                    if test in left:
                        left.remove(test)
                        self.known[key(job, test)] = round(event["seconds"], 1)
                        self.report.result(job, test, event["what"], event["seconds"], event["text"], event["reason"])
            if dead:
                machine.process = machine.begun = None
                return sorted(left, key=lambda test: test.name != begun)
            time.sleep(0.2)
        return left
