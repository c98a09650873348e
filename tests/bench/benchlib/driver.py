"""The driver of device processes (device-bench.c) as bench runs it, and how it may count system calls."""
import json
import os
import select
import subprocess
import tempfile
import time

from .common import Failure

# What /sys shows of the kernel's tracepoints, where it is mounted.
TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
TRACEPOINT = "events/raw_syscalls/sys_enter/id"


class Counting:
    """How system calls are counted: `tracepoint` and `how`, or `tracepoint` None and `how` the reason why not."""

    def __init__(self, options):
        self.tracepoint, self.how = self.find()
        if self.tracepoint is not None:
            ended = subprocess.run([options.driver, "calls", "--tracepoint=%d" % self.tracepoint, "--count=%d" % os.getpid()],
                                   stderr=subprocess.PIPE, text=True)
            if ended.returncode != 0:
                self.tracepoint, self.how = None, ended.stderr.strip()

    def find(self):
        for place in TRACEFS:
            try:
                with open(os.path.join(place, TRACEPOINT)) as file:
                    return int(file.read()), "raw_syscalls:sys_enter of all threads, in a pass that is not timed"
            except OSError:
                pass
        if os.geteuid() != 0:
            return None, "to count system calls needs root"
        # Not mounted: in a mount namespace of its own, so that nothing is changed for others.
        ended = subprocess.run(["unshare", "--mount", "sh", "-c", "mount -t tracefs tracefs %s && cat %s/%s" %
                                (TRACEFS[0], TRACEFS[0], TRACEPOINT)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if ended.returncode == 0:
            return int(ended.stdout), "raw_syscalls:sys_enter of all threads, in a pass that is not timed"
        return None, "this kernel has no tracepoint raw_syscalls:sys_enter"


class Driver:
    """device-bench from its start until it waits, connected, for its end."""

    def __init__(self, options, counting, arguments, pids, prefix=()):
        command = [*prefix, options.driver, *arguments, "--slice=%d" % options.slice,
                   "--count-slice=%d" % options.count_slice]
        if counting.tracepoint is not None:
            command += ["--tracepoint=%d" % counting.tracepoint, "--count=%s" % ",".join(map(str, pids))]
        self.errors = tempfile.TemporaryFile(dir=options.work)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)

    def measurements(self, name, seconds):
        """What it measured, by name."""
        text, deadline = "", time.monotonic() + seconds
        while not text.endswith("idle\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                self.stop()
                self.errors.seek(0)
                said = self.errors.read().decode(errors="replace").strip()
                raise Failure("%s: %s" % (name, said or "the driver came to no end within %d s" % seconds))
            text += chunk.decode()
        return {found["name"]: found for found in map(json.loads, text.splitlines()[:-1])}

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
