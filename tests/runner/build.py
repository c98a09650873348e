"""Builds: one tree a flavour below build/, each built once a run, by the functions of tests/setup.sh that ./demo uses too."""
import os
import shlex
import subprocess
import threading

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
FLAVOURS = {
    "check": ["--prefix=/usr/local", "--enable-werror"],
    "sanitize": ["--enable-werror", "--enable-sanitizers"],
    "fuzz": ["--enable-fuzzing", "CC=clang"],
}


class Failed(Exception):
    """A command failed. The log has all that it said."""

    def __init__(self, what, log):
        super().__init__(what)
        self.log = log


def tail(path, lines=40):
    try:
        with open(path, errors="replace") as file:
            return "".join(file.readlines()[-lines:])
    except OSError as error:
        return str(error)


class Builds:
    def __init__(self, logs):
        self.logs, self.done = logs, {}
        self.locks = {name: threading.Lock() for name in FLAVOURS}

    def shell(self, script):
        """A piece of bash with setup.sh's functions."""
        return subprocess.run(["bash", "-c", 'set -uo pipefail; top=%s logs=%s; . "$top/tests/setup.sh"; %s' %
                               (shlex.quote(TOP), shlex.quote(self.logs), script), "check"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def run(self, name, command, **more):
        """A command whose output is a log; Failed if it fails."""
        log = os.path.join(self.logs, name + ".log")
        with open(log, "wb") as file:
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, **more).returncode != 0:
                raise Failed(" ".join(command[:4]), log)
        return log

    def prepare(self):
        """What all flavours share: configure."""
        self.shell("prepare_configure")

    def folder(self, flavour):
        return os.path.join(TOP, "build", flavour)

    def build(self, flavour):
        """Its folder, built; by whoever comes first. Failed if it does not build. The guests, who wait for time to pass, come
        first."""
        with self.locks[flavour]:
            if flavour not in self.done:
                options = " ".join(map(shlex.quote, FLAVOURS[flavour]))
                good = self.shell('renice -n 10 $$ >/dev/null; build_tree "$top/build/%s" %s' % (flavour, options)).returncode == 0
                self.done[flavour] = good
            if not self.done[flavour]:
                names = [os.path.join(self.logs, "%s-%s.log" % (what, flavour)) for what in ("make", "configure")]
                raise Failed("the build \"%s\"" % flavour, next((name for name in names if os.path.exists(name)), self.logs))
            return self.folder(flavour)

    def stage(self):
        """The ordinary build, installed into build/check/stage, and the environment that the tests of programs need."""
        folder = self.build("check")
        staged = self.shell('stage_tree "$top/build/check" && printf "%s\\n" "$ATOLL" "$ATOLL_LIBEXEC_DIR" "$ATOLL_POLICY_DIR"')
        if staged.returncode != 0:
            raise Failed("make install", os.path.join(self.logs, "install-check.log"))
        atoll, libexec, policy = staged.stdout.decode().split("\n")[:3]
        self.run("e2e-helpers", ["make", "-C", folder, "e2e-helpers"])
        return {
            "ATOLL": atoll, "ATOLL_LIBEXEC_DIR": libexec, "ATOLL_POLICY_DIR": policy,
            "ATOLL_GUEST_DIR": os.path.join(folder, "tests", "guest"),
            "ATOLL_BENCH_DIR": os.path.join(folder, "tests", "bench"),
            "ATOLL_HELPER_DIR": os.path.join(folder, "tests", "e2e", "helpers"),
        }
