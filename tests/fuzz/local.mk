# tests/fuzz/
include tests/fuzz/machine.mk
include tests/fuzz/blk.mk
include tests/fuzz/queue.mk
