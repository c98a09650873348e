"""Device processes alone, at this machine's own speed: no guest and no /dev/kvm are in it.

A process serves its vhost-user socket, and device-bench is its driver. Disks are compared: the same image, on tmpfs, is
served by atoll-blk and by QEMU's qemu-storage-daemon in turns. For atoll-net there is no fair peer: nothing in Debian 12
serves a tap over vhost-user and sleeps when there is nothing to do.
"""
import os
import subprocess
import sys
import tempfile

from .common import Failure, LeftOut, family, memory_kib, need_programs, summary, turns, wait_for
from .driver import Counting, Driver

# Name, what it is, whether its percentiles are shown.
DISKS = [
    ("read-4k-1", "4 KiB random read, depth 1", True),
    ("read-4k-32", "4 KiB random read, depth 32", False),
    ("write-4k-1", "4 KiB random write, depth 1", True),
    ("write-4k-32", "4 KiB random write, depth 32", False),
    ("read-128k-16", "128 KiB sequential read, depth 16", False),
    ("write-128k-16", "128 KiB sequential write, depth 16", False),
]
NETWORKS = [
    ("out-64-1", "64-byte frame out, one at a time", True),
    ("out-64", "64-byte frame out", False),
    ("out-1514", "1514-byte frame out", False),
    ("out-64k", "64 KiB frame out, offload", False),
    ("in-64-1", "64-byte frame in, one at a time", True),
    ("in-64", "64-byte frame in", False),
    ("in-1514", "1514-byte frame in", False),
    ("in-64k", "64 KiB frame in, offload", False),
]
PERCENTILES = ("p50", "p99", "p99.9")
NO_PEER = "no peer: nothing in Debian 12 serves a tap over vhost-user without polling"
# The driver shares at least so much with the device (bench_link.h).
SHARED = 16 << 20
TAP = "atollbench"


class Device:
    """A program that serves a vhost-user socket. It is there from start() to stop()."""
    process = None

    def __init__(self, name, options):
        self.name, self.options, self.prefix = name, options, []

    def command(self, path):
        raise NotImplementedError

    def start(self):
        path = os.path.join(self.options.work, self.name + ".sock")
        if os.path.exists(path):
            os.unlink(path)
        self.errors = tempfile.TemporaryFile(dir=self.options.work)
        self.process = subprocess.Popen([*self.prefix, *self.command(path)], stdin=subprocess.DEVNULL, stderr=self.errors)
        wait_for(lambda: os.path.exists(path) or self.process.poll() is not None, 10, self.name)
        if self.process.poll() is not None:
            raise Failure("%s: %s" % (self.name, self.said()))
        return path

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip() or "it ended without a word"

    # Whether it is ours, and must end when it is told to.
    ours = True

    def stop(self):
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            # Seen of a qemu-storage-daemon that was told to end when its client had just gone.
            process.kill()
            process.wait()
            if self.ours:
                raise Failure("%s did not end within 10 s of SIGTERM" % self.name)


class AtollBlk(Device):
    def command(self, path):
        return [os.path.join(self.options.libexec, "atoll-blk"), "--socket-path=" + path, "--blk-file=" + self.options.image]


class StorageDaemon(Device):
    ours = False

    def command(self, path):
        return ["qemu-storage-daemon",
                "--blockdev", "driver=file,aio=io_uring,node-name=f,filename=" + self.options.image,
                "--object", "iothread,id=io", "--export",
                "type=vhost-user-blk,id=e,node-name=f,writable=on,iothread=io,addr.type=unix,addr.path=" + path]


class AtollNet(Device):
    def command(self, path):
        return [os.path.join(self.options.libexec, "atoll-net"), "--socket-path=" + path, "--tap=" + TAP]


class Namespace:
    """A network namespace with a tap in it and nothing else. It is there until close()."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        wait_for(lambda: self.holder.poll() is not None or self.there(), 5, "a network namespace")
        if self.holder.poll() is not None:
            raise LeftOut("a network namespace cannot be made here, even by root")
        self.enter = ["nsenter", "--net=/proc/%d/ns/net" % self.holder.pid, "--"]
        # No IPv6, which says something by itself.
        self.run("ip", "tuntap", "add", "dev", TAP, "mode", "tap")
        self.run("sh", "-c", "[ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6" % TAP)
        self.run("ip", "link", "set", TAP, "addrgenmode", "none", "up")

    def there(self):
        try:
            return os.readlink("/proc/%d/ns/net" % self.holder.pid) != os.readlink("/proc/self/ns/net")
        except OSError:
            return False

    def run(self, *command):
        ended = subprocess.run([*self.enter, *command], stderr=subprocess.PIPE, text=True)
        if ended.returncode != 0:
            self.close()
            raise Failure("%s: %s" % (" ".join(command), ended.stderr.strip()))

    def close(self):
        self.holder.kill()
        self.holder.wait()


def measure_device(device, arguments, counting, options):
    """One run of the driver over a fresh process; what it measured, and the process's memory."""
    path = device.start()
    try:
        pids = family(device.process.pid)
        driver = Driver(options, counting, [arguments[0], path, *arguments[1:]], pids, device.prefix)
        try:
            found = driver.measurements(device.name, 60 + options.slice / 20)
            memory = memory_kib(pids, SHARED)
        finally:
            driver.stop()
    finally:
        device.stop()
    return found, memory


def measure_in_turns(devices, arguments, counting, options, what):
    """All rounds, as they go into the JSON: by device, by name of the measurement, each value with its samples."""
    samples = {device.name: {} for device in devices}
    for round_number in range(options.rounds):
        print("bench: %s: round %d of %d" % (what, round_number + 1, options.rounds), file=sys.stderr)
        for device in turns(devices, round_number):
            found, memory = measure_device(device, arguments, counting, options)
            mine = samples[device.name]
            for name, values in found.items():
                for key in ("us", "calls", *PERCENTILES):
                    if values.get(key) is not None:
                        mine.setdefault(name, {}).setdefault(key, []).append(values[key])
            if memory is not None:
                mine.setdefault("memory", {}).setdefault("MiB", []).append(memory / 1024)
    return {device: {name: {key: summary(values) for key, values in found.items()} for name, found in names.items()}
            for device, names in samples.items()}


def measure_disks(options):
    devices = [AtollBlk("atoll-blk", options), StorageDaemon("qemu-storage-daemon", options)]
    devices = [device for device in devices if not options.only or device.name in options.only]
    counting = Counting(options)
    return {"rounds": options.rounds, "slice-ms": options.slice, "calls-counted": counting.how,
            "peers": measure_in_turns(devices, ["disk", options.image], counting, options, "disks")}


def measure_networks(options):
    if os.geteuid() != 0:
        raise LeftOut("a network namespace and a tap need root")
    if not os.path.exists("/dev/net/tun"):
        raise LeftOut("there is no /dev/net/tun; load the module: modprobe tun")
    need_programs("ip", "unshare", "nsenter")
    device, namespace, counting = AtollNet("atoll-net", options), Namespace(), Counting(options)
    device.prefix = namespace.enter
    try:
        return {"rounds": options.rounds, "slice-ms": options.slice, "calls-counted": counting.how, "note": NO_PEER,
                "peers": measure_in_turns([device], ["net", TAP], counting, options, "networks")}
    finally:
        namespace.close()


def rows(found, measures):
    """What report.table() takes: for each peer the value and the calls."""
    result = []
    for name, text, percentiles in measures:
        peers = {peer: values[name] for peer, values in found["peers"].items()}
        result.append((text + ", us", {peer: {"value": values["us"], "calls": values.get("calls")}
                                       for peer, values in peers.items()}))
        for key in PERCENTILES if percentiles else ():
            result.append(("    %s, us" % key, {peer: {"value": values[key]} for peer, values in peers.items()}))
    memory = {peer: {"value": values["memory"]["MiB"]} for peer, values in found["peers"].items() if "memory" in values}
    result.append(("memory without what it shares, MiB", memory))
    return result
