# tests/unit/: cmocka, one program a library.
UNIT_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
UNIT_LIBS = common/libcommon.la $(CMOCKA_LIBS)

include tests/unit/base.mk
include tests/unit/blk.mk
include tests/unit/machine.mk
include tests/unit/net.mk
include tests/unit/pci.mk
include tests/unit/policy.mk
include tests/unit/queue.mk
include tests/unit/console.mk
include tests/unit/supervisor.mk
include tests/unit/audit.mk
include tests/unit/bench.mk
