# tests/fuzz/: libFuzzer targets, each with its corpus; ./check fuzz runs them.
FUZZ_SUPPORT = tests/fuzz/fuzz_support.c tests/fuzz/fuzz_support.h
include tests/fuzz/machine.mk
include tests/fuzz/blk.mk
include tests/fuzz/console.mk
include tests/fuzz/control.mk
include tests/fuzz/net.mk
include tests/fuzz/pci.mk
include tests/fuzz/policy.mk
include tests/fuzz/queue.mk
include tests/fuzz/supervisor.mk
