"""Where guests run: decided here, once, and said. No test asks by itself.

    hardware   a KVM on the processor's own virtualization: everything runs on it
    software   a KVM that runs bare-metal guests but no kernel: those run on it, Linux in emulated machines
    none       no KVM that runs a guest: everything that needs one runs in emulated machines
"""
import os
import shlex
import subprocess

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))


def kvm(environment, emulated):
    """(one of the three, why not better). environment: of the built programs, of which one is tried."""
    if emulated:
        return "none", "as asked for with --emulated"
    said = subprocess.run(["bash", "-c", 'top=%s; . "$top/tests/setup.sh"; kvm_kind' % shlex.quote(TOP), "check"],
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    kind, _, why = said.partition(" ")
    if kind == "none":
        return kind, why
    # Whatever it promises, a guest must run to its end.
    helpers = environment["ATOLL_HELPER_DIR"]
    tried = subprocess.run(["timeout", "20", os.path.join(helpers, "core_harness"), "-d", "-m", "16", "-a", "o",
                            os.path.join(environment["ATOLL_LIBEXEC_DIR"], "atoll-core"), os.path.join(helpers, "end_guest")],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if tried.returncode != 0 or "end KIND_POWER_OFF 0" not in tried.stdout:
        return "none", "a guest of a few instructions does not run on this machine's /dev/kvm"
    return kind, why


def sentence(kind, why):
    return {
        "hardware": "guests run on this machine's KVM",
        "software": "guests run on this machine's KVM, Linux guests in an emulated machine: " + why,
        "none": "guests run in an emulated machine: " + why,
    }[kind]
