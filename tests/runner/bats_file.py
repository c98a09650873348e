"""What a bats file says of its tests: their names, tags and limits, read without running anything.

Tags are bats' own (`# bats file_tags=...`, `# bats test_tags=...`). Those that mean something to ./check:

    guest      needs a KVM that runs bare-metal guests
    linux      needs a KVM that runs an unmodified Linux
    user       is run once more as an ordinary user's
    user-soak  so it is in `make soak` alone
    record     its processes' calls are recorded, for the step "cover"
    quick      is part of `./check quick`
    soak       is part of `make soak` alone
    alone      counts on a processor that nothing else uses: nothing runs beside it
    limit:N    may take N seconds (60) where guests run on KVM itself; everywhere else, PATIENCE times that
"""
import os
import re

LIMIT = 60
_tags = re.compile(r"^\s*#\s*bats\s+(file|test)_tags\s*=\s*(.*?)\s*$")
_test = re.compile(r"^\s*@test\s+(.*\S)\s*\{(?:.*)$")


class Test:
    """One test of a file."""

    def __init__(self, path, name, tags):
        self.path, self.name, self.tags = path, name, tags
        limits = [int(tag[6:]) for tag in tags if re.fullmatch(r"limit:\d+", tag)]
        self.limit = limits[-1] if limits else LIMIT

    @property
    def file(self):
        return os.path.basename(self.path)

    def __repr__(self):
        return "%s: %s" % (self.file, self.name)


def _unquote(text):
    """A test's name as bats tells it: @test "name" { or @test 'name' {. (No quotes inside: bats' own filter fails them.)"""
    quoted = re.match(r"""(["'])(.*)\1$""", text)
    if not quoted:
        return text
    return re.sub(r"\\([\"\\$`])", r"\1", quoted[2]) if quoted[1] == '"' else quoted[2]


def read(path):
    """The tests of a file, in its order."""
    tests, of_file, of_test = [], set(), set()
    with open(path) as file:
        for line in file:
            found = _tags.match(line)
            if found:
                tags = {tag.strip() for tag in found[2].split(",") if tag.strip()}
                if found[1] == "file":
                    of_file = tags
                else:
                    of_test |= tags
                continue
            # What follows the name may hold a brace too: the name ends at its own quote.
            found = re.match(r"""^\s*@test\s+("(?:[^"\\]|\\.)*"|'[^']*')\s*\{""", line) or _test.match(line)
            if found:
                tests.append(Test(path, _unquote(found[1]), of_file | of_test))
                of_test = set()
    return tests


def pattern(names):
    """A regular expression, as bats --filter takes it, for exactly these tests."""
    return "^(%s)$" % "|".join(re.sub(r"([][\\.^$*+?(){}|])", r"\\\1", name) for name in names)
