"""The outage: what a guest sees when the process that serves its disk gets SIGKILL while requests are in flight: the
longest time without a completion. Under Atoll the supervisor starts the successor. QEMU's comparable way is a
vhost-user-blk device with reconnect=1, whose back end, here atoll-blk, is started again by a shell."""
import os
import random
import re
import select
import signal
import statistics
import sys
import time

from .common import percentile
from .machines import Atoll, QemuReconnect, Run

# Each of QEMU's kills takes more than a second.
KILLS_QEMU = 10


def measure_one(peer, kills, ticks_per_us):
    """The outage of each kill, in milliseconds; the kills are at random moments of the work."""
    run = Run(peer, "only=outage", True)
    run.wait_for("steady")
    outages = []
    for count in range(-1, kills):
        if count >= 0:
            victim = os.pidfd_open(peer.serving(run))
            time.sleep(random.uniform(0.02, 0.05))
            signal.pidfd_send_signal(victim, signal.SIGKILL)
            # Nothing completes any more when it is gone, before its successor's first.
            select.select([victim], [], [])
            os.close(victim)
        run.process.stdin.write(b"x")
        run.process.stdin.flush()
        run.wait_for(r"outage \d+", count=count + 2)
        if count >= 0:
            outages.append(int(re.findall(r"^outage (\d+)", run.text, re.M)[-1]) / ticks_per_us / 1000)
    run.process.stdin.write(b"q")
    run.process.stdin.flush()
    run.end()
    return outages


def measure(options, ticks_per_us):
    """The ways and their outages, as they go into the JSON."""
    found = {}
    for peer, name, kills in [
            (Atoll("atoll", options), "atoll", options.kills),
            (QemuReconnect("qemu", options), "qemu, reconnect=1, atoll-blk started again", min(options.kills, KILLS_QEMU))]:
        print("bench: %d kills: %s" % (kills, name), file=sys.stderr)
        try:
            values = measure_one(peer, kills, ticks_per_us)
        finally:
            peer.stop()
        found[name] = {"median": statistics.median(values), "p99": percentile(values, 99), "samples": values}
    return found


def show(outages, out):
    """One row a way: how often, median, p99, worst."""
    print("%-52s %6s %9s %9s %9s" % ("outage of a disk at depth 32, ms", "kills", "median", "p99", "worst"), file=out)
    for name, values in outages.items():
        print("%-52s %6d %9.2f %9.2f %9.2f" % (name, len(values["samples"]), values["median"], values["p99"],
                                               max(values["samples"])), file=out)
    ours, other = (values["p99"] for values in outages.values())
    print("p99: QEMU's %.1f times Atoll's" % (other / ours), file=out)
