"""The steps of ./check. Each is a function of the run; what it finds goes to the report.

Those that run bats files only say which tests they want: a pool runs the tests of all of them, while the other steps
build and test one after the other.
"""
import concurrent.futures
import glob
import os
import re
import subprocess
import tempfile
import threading
import time

import bats_file
import pool
import rooms
from build import TOP, Failed, tail

FUZZ_SECONDS = int(os.environ.get("FUZZ_SECONDS", "5"))
SOURCES = ["common", "proto", "vmm-core", "dev-*", "cli", "config", "audit", "supervisor", "policy", "tests"]


def format(run):
    """the sources are as clang-format leaves them, and include each other as their rooms may"""
    listed = [path for folder in SOURCES for kind in ("c", "h")
              for path in glob.glob(os.path.join(TOP, folder, "**", "*." + kind), recursive=True)]
    said = subprocess.run(["clang-format", "--dry-run", *sorted(listed)], cwd=TOP, stderr=subprocess.PIPE).stderr
    log = os.path.join(run.logs, "format.log")
    with open(log, "wb") as file:
        file.write(said)
    if said:
        run.report.fault("format", "sources are not as clang-format leaves them", tail(log, 20), log)
    else:
        run.report.good("format", "%d sources" % len(listed))
    said = rooms.problems()
    log = os.path.join(run.logs, "rooms.log")
    with open(log, "w") as file:
        file.write("\n".join(said))
    if said:
        run.report.fault("format", "sources include what they may not (tests/runner/rooms.py)", tail(log, 20), log)
    else:
        run.report.good("format", "%d rooms, and no circle" % len(rooms.ROOMS))


def unit(run):
    """an ordinary build, warnings as errors, and its unit tests"""
    run.builds.build("check")
    run.report.good("unit", "the build, warnings as errors")
    unit_tests(run, "unit", "check")


def sanitize(run):
    """the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"""
    run.builds.build("sanitize")
    unit_tests(run, "sanitize", "sanitize")


def unit_tests(run, step, flavour):
    """Every result of every unit test; a program that ends badly without a failed test counts as one."""
    folder = run.builds.folder(flavour)
    for old in glob.glob(os.path.join(folder, "tests", "unit", "*.trs")):
        os.unlink(old)
    try:
        run.builds.run("make-check-" + flavour, ["make", "-C", folder, "-j%d" % os.cpu_count(), "-k", "check"])
    except Failed:
        pass # the logs tell which
    results = sorted(glob.glob(os.path.join(folder, "tests", "unit", "*.trs")))
    for result in results:
        name, log = os.path.basename(result)[:-4], result[:-4] + ".log"
        text = tail(log, 100000)
        good = len(re.findall(r"^ok\b(?!.*# (?:SKIP|skip))", text, re.M))
        bad = re.findall(r"^not ok\b(?!.*# (?:SKIP|skip)).*$", text, re.M)
        for skipped in re.findall(r"^(?:not )?ok\b.*# (?:SKIP|skip).*$", text, re.M):
            run.report.skip(step, name, skipped)
        if good:
            run.report.count(step, name, good)
        for line in bad:
            run.report.fault(step, "%s: %s" % (name, line), text[text.index(line):][:3000], log)
        with open(result) as file:
            if re.search(r"^:test-result: *(FAIL|ERROR)", file.read(), re.M) and not bad:
                run.report.fault(step, name + " ended badly", tail(log), log)
    if not results:
        log = os.path.join(run.logs, "make-check-%s.log" % flavour)
        run.report.fault(step, "no unit test was run", tail(log), log)


def fuzz(run):
    """each fuzz target, from its corpus, for FUZZ_SECONDS (5) seconds"""
    folder = run.builds.build("fuzz")
    logs = os.path.join(run.logs, "fuzz")
    os.makedirs(logs, exist_ok=True)
    targets = sorted(path for path in glob.glob(os.path.join(folder, "tests", "fuzz", "fuzz_*")) if re.search(r"/fuzz_\w+$", path))

    def one(target):
        name = os.path.basename(target)
        corpus, log = os.path.join(TOP, "tests", "fuzz", "corpus", name), os.path.join(logs, name + ".log")
        if not os.path.isdir(corpus) or not os.listdir(corpus):
            run.report.fault("fuzz", name + " has no committed corpus", "", corpus)
            return
        with tempfile.TemporaryDirectory() as found:
            try:
                run.builds.run("fuzz/" + name, [target, "-max_total_time=%d" % FUZZ_SECONDS, "-timeout=10",
                                                "-rss_limit_mb=2048", found, corpus], cwd=logs)
                run.report.good("fuzz", name)
            except Failed:
                run.report.fault("fuzz", name, tail(log, 30), log)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(one, targets))
    if not targets:
        run.report.fault("fuzz", "no fuzz target was built", "", folder)


def dist(run):
    """make distcheck"""
    folder = run.builds.build("check")
    run.builds.run("distcheck", ["make", "-C", folder, "distcheck"])
    run.report.good("dist", "make distcheck")


def demo(run):
    """./demo --batch"""
    log = run.builds.run("demo", [os.path.join(TOP, "demo"), "--batch"] + (["--emulated"] if run.options.emulated else []))
    if "the guest powered off" in tail(log, 5):
        run.report.good("demo", "./demo --batch")
    else:
        run.report.fault("demo", "./demo --batch", tail(log), log)


def debians(run):
    """Debian 12, 13 and unstable: built and tested under each one's compiler, a guest under each one's libraries"""
    log = os.path.join(run.logs, "debians.log")
    with open(log, "wb") as file:
        subprocess.run([os.path.join(TOP, "tests", "debians", "run"), "-c", run.cache], stdin=subprocess.DEVNULL, stdout=file,
                       stderr=subprocess.STDOUT)
    text = tail(log, 100000)
    told = re.findall(r"^(ok|not ok) \d+ (.*)\n((?:# .*\n)*)", text, re.M)
    for verdict, name, why in told:
        if verdict == "ok":
            run.report.good("debians", name)
        else:
            run.report.fault("debians", name, why, log)
    planned = re.search(r"^1\.\.(\d+)$", text, re.M)
    if not planned or int(planned[1]) != len(told):
        run.report.fault("debians", "it told fewer results than it planned", tail(log), log)


def select(run, tests):
    """The tests of this run, by the options."""
    if run.options.quick:
        tests = [test for test in tests if "quick" in test.tags]
    if not run.options.soak:
        tests = [test for test in tests if "soak" not in test.tags]
    if run.options.files:
        tests = [test for test in tests if test.file in run.options.files]
    if run.options.filter:
        tests = [test for test in tests if re.search(run.options.filter, test.name)]
    return tests


def of_user(run, tests):
    """Those that run as an ordinary user's too."""
    if run.options.quick:
        return []
    return [test for test in tests if "user" in test.tags or ("user-soak" in test.tags and run.options.soak)]


def bats_tests(run, folder):
    return select(run, [test for path in sorted(glob.glob(os.path.join(TOP, "tests", folder, "*.bats")))
                        for test in bats_file.read(path)])


def e2e(run):
    """the programs as a user runs them, where no guest is needed: command line, config files, foreign front ends"""
    tests = [test for test in bats_tests(run, "e2e") if "guest" not in test.tags]
    run.pool.add(pool.jobs_of("e2e", "here", "root", tests, run.known))


def guests(run):
    """bare-metal guests: every device, restarts, the audit; as root and as an ordinary user"""
    place = "bed" if run.kvm == "none" else "here"
    tests = [test for test in bats_tests(run, "e2e") if "guest" in test.tags]
    run.pool.add(pool.jobs_of("guests", place, "root", tests, run.known))
    run.pool.add(pool.jobs_of("guests", place, "user", of_user(run, tests), run.known))


def linux(run):
    """unmodified Linux guests; as root and as an ordinary user"""
    place = "here" if run.kvm == "hardware" else "bed"
    tests = bats_tests(run, "linux")
    ready = threading.Event()
    for who, mine in ("root", tests), ("user", of_user(run, tests)):
        run.pool.add([job for test in mine for job in pool.jobs_of("linux", place, who, [test], run.known, ready)])

    def assets():
        command = [os.path.join(TOP, "tests", "linux", "make-assets"), run.cache]
        if os.geteuid() != 0:
            command = ["sudo", "--"] + command
        try:
            run.builds.run("linux-assets", command)
        except Failed as failed:
            run.report.fault("linux", "what the Linux guests need", tail(failed.log), failed.log)
        ready.set()

    threading.Thread(target=assets, daemon=True).start()


def cover(run):
    """every rule of every policy is needed by one of the guests, as recorded in the step "guests", which it brings along"""
    log = os.path.join(run.logs, "cover.log")
    if not run.pool.records:
        run.report.fault("cover", "nothing was recorded", "", log)
        return
    with open(log, "wb") as file:
        status = subprocess.run([run.environment["ATOLL"], "policy", "cover", *run.pool.records], stdout=file,
                                stderr=subprocess.STDOUT, env=dict(os.environ, **run.environment)).returncode
    text = tail(log, 100000)
    if status == 0:
        run.report.good("cover", text.splitlines()[-1])
    else:
        bad = [line for line in text.splitlines() if "NOT NEEDED" in line or line.startswith("refused")]
        run.report.fault("cover", "a rule that no test needs, or a call that no rule allows", "\n".join(bad[:40]), log)


# In this order; the first group one after the other while the pool runs the second; the third behind both.
BUILDING = [format, unit, sanitize, fuzz, dist, demo, debians]
POOLED = [e2e, guests, linux]
BEHIND = [cover]
ALL = [format, unit, sanitize, fuzz, dist, e2e, guests, linux, cover, demo, debians]
QUICK = ["unit", "guests", "linux"]
