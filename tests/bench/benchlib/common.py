"""What every part of the benchmark uses: failing, waiting, processes and their memory, and samples."""
import glob
import os
import re
import shutil
import statistics
import time


class Failure(Exception):
    """The bench ends, with this line."""


class LeftOut(Exception):
    """A part cannot be measured here, for this reason; the others can."""


# Where a program comes from that may be missing, on Debian 12.
PACKAGES = {
    "qemu-storage-daemon": "qemu-system-common",
    "qemu-system-x86_64": "qemu-system-x86",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}


def need_programs(*names):
    for name in names:
        if not shutil.which(name):
            raise Failure("%s: not found; install the package %s" % (name, PACKAGES[name]))


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure("%s: nothing within %d s" % (what, seconds))
        time.sleep(0.005)


def family(pid):
    """pid and all its descendants."""
    pids = [pid]
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        with open(path) as file:
            for child in file.read().split():
                pids += family(int(child))
    return pids


def memory_kib(pids, ram):
    """PSS of all mappings but the guest's RAM: memfd mappings of at least `ram` bytes. None: we have no right to ask."""
    total = 0
    for pid in pids:
        size = name = None
        try:
            with open("/proc/%d/smaps" % pid) as file:
                for line in file:
                    header = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+\s*(.*)", line)
                    if header:
                        size, name = int(header[2], 16) - int(header[1], 16), header[3]
                    elif line.startswith("Pss:") and not (name.startswith("/memfd:") and size >= ram):
                        total += int(line.split()[1])
        except PermissionError:
            return None
    return total


def percentile(values, percent):
    """The smallest value that so many are not above."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]


def summary(samples):
    """One value of each round, as it goes into the JSON."""
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "samples": samples}


def turns(peers, round_number):
    """The order of a round: forth and back, so that nobody is always the first."""
    return peers if round_number % 2 == 0 else peers[::-1]


def make_image(path, mib):
    """A disk image that is no zeros anywhere."""
    block = os.urandom(1 << 20)
    with open(path, "wb") as image:
        for _ in range(mib):
            image.write(block)
