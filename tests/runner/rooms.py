"""Which folder may include which, and that no files include each other in a circle.

A room is a folder of sources. It may include what it has itself, and what its line names, a folder with all that is in it.
Tests may include everything. What is here is what docs/architecture.md tells.

    python3 tests/runner/rooms.py       prints what is wrong, and exits with 1 if anything is
"""
import collections
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

DEVICE = ["common", "proto", "policy/filters.h"]
# What a config says, without what reads YAML.
CONFIG = ["config/" + name for name in ("config.h", "config_check.h", "config_pack.h", "launch.h", "nearest.h", "problem.h")]
ROOMS = {
    "proto": [],
    "common/spec": [],
    "common/base": ["proto"],
    "common/roles": ["common/spec", "common/host"],
    "common/ring": ["common/spec", "common/base"],
    "common/jail": ["common/base", "proto"],
    "common/host": ["common/base"],
    "common/vhost-user": ["common/spec", "common/base", "common/ring"],
    "common/vfio-user": ["common/spec", "common/base"],
    "common/program": ["common/base", "common/jail", "common/ring", "common/vhost-user", "proto"],
    "policy": ["common/base"],
    "vmm-core/machine": ["common/base", "common/spec", "proto"],
    "vmm-core/boot": ["vmm-core/machine", "common/base", "common/host"],
    "vmm-core/kvm": ["vmm-core/boot", "vmm-core/machine", "common/base", "common/jail"],
    "vmm-core/pci": ["vmm-core/machine", "common/base"],
    "vmm-core/wire": ["vmm-core/machine", "common", "proto"],
    "vmm-core/virtio": ["vmm-core/machine", "vmm-core/pci", "vmm-core/wire", "common"],
    "vmm-core": ["vmm-core", "common", "proto", "policy/filters.h"],
    "config": ["common/base", "common/roles"],
    "audit": ["common", "policy", "proto"],
    "supervisor/host": CONFIG + ["common", "policy", "proto"],
    "supervisor/vm": CONFIG + ["supervisor/host", "common", "policy", "proto"],
    "supervisor/monitor": CONFIG + ["supervisor/host", "supervisor/vm", "common", "proto"],
    "supervisor": CONFIG + ["supervisor", "common", "policy", "proto"],
    "cli": ["config", "audit", "common", "policy", "proto"],
}
ROOMS.update({os.path.basename(folder): DEVICE for folder in glob.glob(os.path.join(TOP, "dev-*"))})
# Made by the build, and what includes find without a folder.
GENERATED = re.compile(r"\.pb-c\.h$|^config\.h$|_table\.h$|_tables\.h$")


def sources():
    """The sources that have a room, and what each includes: {path: [(line, included path)]}."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h"], cwd=TOP,
                            stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    found = {}
    for path in listed:
        if path.startswith("tests/") or not os.path.exists(os.path.join(TOP, path)):
            continue
        with open(os.path.join(TOP, path)) as file:
            found[path] = [(number, match.group(1)) for number, line in enumerate(file, 1)
                           if (match := re.match(r'\s*#\s*include "([^"]+)"', line))]
    return found


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def wrong_directions(found, rooms):
    for path, includes in found.items():
        room = os.path.dirname(path)
        if room not in rooms:
            yield "%s: its folder is no room; give it a line in tests/runner/rooms.py" % path
            continue
        for line, included in includes:
            if included in found or not GENERATED.search(included):
                if included not in found:
                    yield "%s:%d: there is no %s" % (path, line, included)
                elif os.path.dirname(included) != room and not any(inside(included, other) for other in rooms[room]):
                    yield "%s:%d: %s may not include %s" % (path, line, room, included)


def circles(found):
    """Files that include each other in a circle; a source and its header are one."""
    def unit(path):
        return os.path.splitext(path)[0]
    edges = collections.defaultdict(set)
    for path, includes in found.items():
        edges[unit(path)] |= {unit(included) for _, included in includes if included in found and unit(included) != unit(path)}
    index, low, stack, circle = {}, {}, [], []

    def visit(node): # Tarjan's strongly connected components
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            members = []
            while not members or members[-1] != node:
                members.append(stack.pop())
            if len(members) > 1:
                circle.append(sorted(members))
    for node in sorted(edges):
        if node not in index:
            visit(node)
    return ["a circle: " + ", ".join(members) for members in circle]


def problems(found=None, rooms=None):
    found = sources() if found is None else found
    return list(wrong_directions(found, ROOMS if rooms is None else rooms)) + circles(found)


if __name__ == "__main__":
    said = problems()
    print("\n".join(said) or "as they should be")
    sys.exit(1 if said else 0)
