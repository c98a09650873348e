# vmm-core/: atoll-core. Its parts are in an archive of their own so that the unit tests can link them.
noinst_LTLIBRARIES += vmm-core/libcore.la
vmm_core_libcore_la_SOURCES = \
	vmm-core/device_set.c vmm-core/device_set.h \
	vmm-core/machine.c vmm-core/machine.h
vmm_core_libcore_la_LIBADD = common/libcommon.la

include vmm-core/machine/local.mk
include vmm-core/boot/local.mk
include vmm-core/kvm/local.mk
include vmm-core/pci/local.mk
include vmm-core/wire/local.mk
include vmm-core/virtio/local.mk

pkglibexec_PROGRAMS += vmm-core/atoll-core
vmm_core_atoll_core_SOURCES = vmm-core/main.c
vmm_core_atoll_core_LDADD = policy/libfilters.la vmm-core/libcore.la

dist_man_MANS += docs/man/atoll-core.8
