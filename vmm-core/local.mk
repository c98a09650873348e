# vmm-core/: atoll-core. Its parts are in an archive of their own so that the unit tests can link them.
noinst_LTLIBRARIES += vmm-core/libcore.la
vmm_core_libcore_la_SOURCES =
vmm_core_libcore_la_LIBADD = common/libcommon.la

include vmm-core/machine.mk
include vmm-core/pci.mk
