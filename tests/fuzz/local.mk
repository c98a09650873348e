# tests/fuzz/: libFuzzer targets, each with its corpus; ./check fuzz runs them.
include tests/fuzz/machine.mk
include tests/fuzz/blk.mk
include tests/fuzz/console.mk
include tests/fuzz/queue.mk
