# tests/fuzz/
include tests/fuzz/machine.mk
