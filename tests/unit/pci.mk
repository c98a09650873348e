# The core's exits, interrupts, PCI, and the front ends of the device wires. KVM is ours (fake_core.c).
FAKE_CORE = tests/unit/fake_core.c tests/unit/fake_core.h
FAKE_CORE_WRAPS = -Wl,--wrap=ioctl
if HAVE_CMOCKA
PCI_TESTS = tests/unit/test_exit_router tests/unit/test_pci
check_PROGRAMS += $(PCI_TESTS)
TESTS += $(PCI_TESTS)
tests_unit_test_exit_router_SOURCES = tests/unit/test_exit_router.c
tests_unit_test_exit_router_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_exit_router_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_pci_SOURCES = tests/unit/test_pci.c $(FAKE_CORE)
tests_unit_test_pci_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_pci_LDFLAGS = $(AM_LDFLAGS) $(FAKE_CORE_WRAPS)
tests_unit_test_pci_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
endif
