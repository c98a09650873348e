"""One bare-metal guest under Atoll and under the distribution's QEMU, in turns.

The same ELF file measures requests and accesses from inside (guest-bench.c); from outside come the time from exec to
the guest's first line and the memory of all processes beyond guest RAM. The disk is on tmpfs: what is measured is the
way to the device and back.
"""
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

from .common import Failure, family, memory_kib, summary, turns, wait_for

RAM_MIB = 64
PASSED = 33
# What is measured: name, unit, what it is. All are better when smaller.
MEASURES = [
    ("read-4k-1", "us", "4 KiB random read, depth 1"),
    ("read-4k-32", "us", "4 KiB random read, depth 32"),
    ("write-4k-1", "us", "4 KiB random write, depth 1"),
    ("write-4k-32", "us", "4 KiB random write, depth 32"),
    ("read-128k-1", "us", "128 KiB sequential read, depth 1"),
    ("read-128k-8", "us", "128 KiB sequential read, depth 8"),
    ("uart-lsr", "us", "UART: a read of LSR"),
    ("uart-scr", "us", "UART: a read of SCR"),
    ("first-line", "ms", "exec to the guest's first line"),
    ("memory", "MiB", "memory beyond guest RAM, all processes"),
]


class Peer:
    """A way to run the guest. command() may start helpers; they are in self.helpers until stop()."""

    def __init__(self, name, options):
        self.name, self.options, self.helpers = name, options, []

    def serving(self, run):
        """The process that serves the disk, once it does."""
        raise NotImplementedError

    def stop(self):
        for helper in self.helpers:
            helper.kill()
            helper.wait()
        self.helpers = []


class Atoll(Peer):
    def command(self, cmdline, disk):
        config = {
            "name": "bench-%d" % os.getpid(), "memory": "%dMiB" % RAM_MIB, "debug-exit": True, "on-reset": "exit",
            "rng": False,  # the peer's machine has none
            "boot": {"kernel": self.options.guest, "cmdline": cmdline},
            "consoles": [{"id": "serial", "type": "serial", "output": "stdio"}],
        }
        if disk:
            config["disks"] = [{"id": "bench", "path": self.options.image}]
            # So many restarts are no trouble here.
            config["restart"] = {"backoff": "1ms", "limit": 1000}
        path = os.path.join(self.options.work, "atoll.yaml")
        with open(path, "w") as file:
            json.dump(config, file)
        return [self.options.atoll, "run", path]

    def serving(self, run):
        while True:
            listed = json.loads(subprocess.check_output([self.options.atoll, "list", "--json"]))
            disk = [process for process in listed[0]["processes"] if process["role"] == "blk"][0]
            if disk["state"] == "running":
                return disk["pid"]
            if disk["state"] == "failed":
                run.fail("lost its disk")
            time.sleep(0.005)


class Qemu(Peer):
    MACHINE = ["-M", "q35", "-object", "memory-backend-memfd,id=ram,size=%dM,share=on" % RAM_MIB,
               "-machine", "memory-backend=ram"]

    def base(self, cmdline):
        return ["qemu-system-x86_64", *self.MACHINE, "-enable-kvm", "-cpu", "host,-arch-capabilities",
                "-m", str(RAM_MIB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
                "-kernel", self.options.guest, "-append", cmdline]

    def command(self, cmdline, disk):
        command = self.base(cmdline)
        if disk:
            command += ["-object", "iothread,id=io", "-drive",
                        "if=none,id=d,format=raw,aio=io_uring,file=" + self.options.image,
                        "-device", "virtio-blk-pci,disable-legacy=on,drive=d,iothread=io"]
        return command


class QemuVhostUser(Qemu):
    def command(self, cmdline, disk):
        command = self.base(cmdline)
        if disk:
            path = os.path.join(self.options.work, "qsd.sock")
            if os.path.exists(path):
                os.unlink(path)
            self.helpers.append(subprocess.Popen(
                ["qemu-storage-daemon", "--blockdev", "driver=file,aio=io_uring,node-name=f,filename=" + self.options.image,
                 "--object", "iothread,id=io", "--export",
                 "type=vhost-user-blk,id=e,node-name=f,writable=on,iothread=io,addr.type=unix,addr.path=" + path]))
            wait_for(lambda: os.path.exists(path), 5 * self.options.patience, "qemu-storage-daemon")
            command += ["-chardev", "socket,id=c,path=" + path,
                        "-device", "vhost-user-blk-pci,disable-legacy=on,chardev=c"]
        return command


class QemuReconnect(Qemu):
    """A back end that a shell starts again, and a QEMU that looks for it each second."""

    def command(self, cmdline, disk):
        path = os.path.join(self.options.work, "again.sock")
        program = os.path.join(os.environ["ATOLL_LIBEXEC_DIR"], "atoll-blk")
        self.helpers.append(subprocess.Popen(
            ["sh", "-c", "while :; do rm -f $2; $1 --socket-path=$2 --blk-file=$3 2>/dev/null; done", "sh", program, path,
             self.options.image], start_new_session=True))
        wait_for(lambda: os.path.exists(path), 5 * self.options.patience, "atoll-blk")
        return self.base(cmdline) + ["-chardev", "socket,id=c,reconnect=1,path=" + path,
                                     "-device", "vhost-user-blk-pci,disable-legacy=on,chardev=c"]

    def serving(self, run):
        """The innermost process: what the shell started waits outside of the sandbox."""
        wait_for(lambda: len(family(self.helpers[0].pid)) == 3, 5 * self.options.patience, "atoll-blk")
        return family(self.helpers[0].pid)[-1]

    def stop(self):
        for helper in self.helpers:
            os.killpg(helper.pid, signal.SIGKILL)
        super().stop()


class QemuMicrovm(Qemu):
    """QEMU's own small machine: no PCI, so only start-up and memory."""
    MACHINE = ["-M", "microvm,pit=off,pic=off,rtc=off,isa-serial=on",
               "-object", "memory-backend-memfd,id=ram,size=%dM,share=on" % RAM_MIB, "-machine", "memory-backend=ram"]


class Run:
    """One guest from exec to its end; its output line by line."""

    def __init__(self, peer, cmdline, disk):
        command = peer.command(cmdline, disk)
        self.peer, self.errors = peer, tempfile.TemporaryFile(dir=peer.options.work)
        self.text, self.started = "", time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        start_new_session=True)

    def wait_for(self, word, seconds=60, count=1):
        """The time at which the line `word` came, for the count-th time."""
        deadline = time.monotonic() + seconds * self.peer.options.patience
        while len(re.findall(r"^%s\r?\n" % word, self.text, re.M)) < count:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                self.fail("did not print \"%s\"" % word)
            self.text += chunk.decode(errors="replace")
        return time.monotonic()

    def end(self, seconds=30):
        try:
            rest, _ = self.process.communicate(timeout=seconds * self.peer.options.patience)
        except subprocess.TimeoutExpired:
            self.fail("did not end")
        self.text += rest.decode(errors="replace")
        self.peer.stop()
        if self.process.returncode != PASSED:
            self.fail("ended with status %d" % self.process.returncode)

    def fail(self, what):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.peer.stop()
        self.errors.seek(0)
        raise Failure("%s: the guest %s\n%s%s" % (self.peer.name, what, self.text[-500:],
                                                  self.errors.read().decode(errors="replace")[-1000:]))


def measure_start(peer):
    run = Run(peer, "only=first", False)
    first = run.wait_for("first") - run.started
    run.end()
    return {"first-line": first * 1000}


def measure_inside(peer, slice_ms, ticks_per_us):
    run = Run(peer, "hold slice=%d" % slice_ms, True)
    run.wait_for("idle")
    pids = family(run.process.pid) + [helper.pid for helper in peer.helpers]
    memory = memory_kib(pids, RAM_MIB << 19)
    found = {} if memory is None else {"memory": memory / 1024}
    run.process.stdin.write(b"x")
    run.process.stdin.flush()
    run.end()
    for name, unit, _ in MEASURES:
        match = re.search(r"^%s (\d+)\r?$" % name, run.text, re.M)
        if unit == "us":
            if not match:
                run.fail("did not measure " + name)
            found[name] = int(match[1]) / ticks_per_us
    return found


def ticks_per_microsecond():
    """The TSC's rate: the kernel's own value where it tells, else the processor's clock as it says."""
    try:
        with open("/sys/devices/system/cpu/cpu0/tsc_freq_khz") as file:
            return int(file.read()) / 1000
    except OSError:
        with open("/proc/cpuinfo") as file:
            return float(re.search(r"cpu MHz\s*: ([\d.]+)", file.read())[1])


def peers_of(options):
    return [Atoll("atoll", options), Qemu("qemu", options), QemuVhostUser("qemu+qsd", options), QemuMicrovm("microvm", options)]


def probe(options):
    """Whether this machine's KVM runs the guest: None, or the reason why not."""
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "there is no right to /dev/kvm"
    try:
        measure_start(Atoll("atoll", options))
    except Failure as failure:
        return "the guest does not run on this machine's /dev/kvm (%s)" % str(failure).splitlines()[0]
    return None


def measure(options):
    """All rounds, as they go into the JSON."""
    peers = [peer for peer in peers_of(options) if not options.only or peer.name in options.only]
    samples, rate = {peer.name: {} for peer in peers}, ticks_per_microsecond()
    try:
        for round_number in range(options.rounds):
            print("bench: machines: round %d of %d" % (round_number + 1, options.rounds), file=sys.stderr)
            for peer in turns(peers, round_number):
                found = measure_start(peer)
                if not isinstance(peer, QemuMicrovm):
                    found.update(measure_inside(peer, options.slice, rate))
                for name, value in found.items():
                    samples[peer.name].setdefault(name, []).append(value)
    finally:
        for peer in peers:
            peer.stop()
    return {"rounds": options.rounds, "slice-ms": options.slice, "tsc_per_us": rate,
            "unit": {name: unit for name, unit, _ in MEASURES},
            "peers": {peer: {name: summary(values) for name, values in found.items()}
                      for peer, found in samples.items()}}


def rows(found):
    """What report.table() takes."""
    return [("%s, %s" % (text, unit), {peer: {"value": values[name]} for peer, values in found["peers"].items() if name in values})
            for name, unit, text in MEASURES]
