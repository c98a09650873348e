"""Machines without a KVM that runs them: the same half of the bench inside the emulated machine of tests/bed.

Everything is some tens of times slower there, so it is given less: shorter slices, fewer kills. Its ratios are of one run
and one kind of machine, as everywhere; its times say nothing of any other."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

from .common import Failure, LeftOut

SLICE_MS = 200
KILLS = 5
LIMIT_S = 900
HERE = os.path.dirname(os.path.abspath(__file__))
BED = os.path.join(HERE, "..", "..", "bed")


def available(options):
    """Ends with the reason if there can be no emulated machine here."""
    if os.geteuid() != 0:
        raise LeftOut("the emulated machine needs root, to show this machine's files inside")
    if not shutil.which("qemu-system-x86_64") or not os.path.exists("/usr/lib/qemu/virtiofsd"):
        raise LeftOut("the emulated machine needs the packages qemu-system-x86 and qemu-system-common")
    if not os.path.exists(os.path.join(options.kernel, "release")):
        if subprocess.run([os.path.join(BED, "fetch-kernel"), options.kernel]).returncode != 0:
            raise LeftOut("there is no kernel for the emulated machine in %s" % options.kernel)


def measure(options):
    """What this half found inside."""
    available(options)
    # Not below /dev, where the machine inside has its own.
    with tempfile.TemporaryDirectory(prefix="atoll-bench.") as share:
        return measure_in(share, options)


def measure_in(share, options):
    found = os.path.join(share, "machines.json")
    command = ["env", *["%s=%s" % (name, value) for name, value in os.environ.items() if name.startswith("ATOLL_")
                        and name != "ATOLL_RUNTIME_DIR"],
               sys.executable, os.path.join(HERE, "..", "bench"), "--inside", "--half", "machines",
               "--atoll", options.atoll, "--libexec", options.libexec, "--guest", options.guest, "--driver", options.driver,
               "--rounds", str(options.rounds), "--slice", str(min(options.slice, SLICE_MS)),
               "--kills", str(min(options.kills, KILLS)), "--json", found]
    if options.only:
        command += ["--only", ",".join(options.only)]
    print("bench: machines: in the emulated machine, which takes some minutes", file=sys.stderr)
    # On standard error: standard output is the table's.
    ended = subprocess.run([os.path.join(BED, "bed"), "-k", options.kernel, "-s", share, "-t", str(LIMIT_S), "--", *command],
                           stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if ended.returncode != 0 or not os.path.exists(found):
        raise Failure("the emulated machine ended with status %d" % ended.returncode)
    with open(found) as file:
        return json.load(file)["machines"]
