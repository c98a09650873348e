# tests/: each kind of test in its folder.
include tests/unit/local.mk
include tests/guest/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk
