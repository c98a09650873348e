# The core's exits, interrupts, PCI, and the front ends of the device wires. KVM is ours (fake_core.c).
FAKE_CORE = tests/unit/fake_core.c tests/unit/fake_core.h
FAKE_CORE_WRAPS = -Wl,--wrap=ioctl
FAKE_BACKEND = tests/unit/fake_backend.c tests/unit/fake_backend.h
if HAVE_CMOCKA
PCI_TESTS = tests/unit/test_exit_router tests/unit/test_pci \
	tests/unit/test_vhost_user_frontend tests/unit/test_virtio_pci \
	tests/unit/test_vfio_user_client tests/unit/test_successor tests/unit/test_device_link \
	tests/unit/test_virtio_backend tests/unit/test_device_set
check_PROGRAMS += $(PCI_TESTS)
TESTS += $(PCI_TESTS)
tests_unit_test_exit_router_SOURCES = tests/unit/test_exit_router.c
tests_unit_test_exit_router_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_exit_router_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_pci_SOURCES = tests/unit/test_pci.c $(FAKE_CORE)
tests_unit_test_pci_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_pci_LDFLAGS = $(AM_LDFLAGS) $(FAKE_CORE_WRAPS)
tests_unit_test_pci_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_vhost_user_frontend_SOURCES = tests/unit/test_vhost_user_frontend.c $(FAKE_BACKEND)
tests_unit_test_vhost_user_frontend_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_vhost_user_frontend_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=vhost_user_receive_timeout
tests_unit_test_vhost_user_frontend_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_virtio_pci_SOURCES = tests/unit/test_virtio_pci.c $(FAKE_CORE) $(FAKE_BACKEND)
tests_unit_test_virtio_pci_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_virtio_pci_LDFLAGS = $(AM_LDFLAGS) $(FAKE_CORE_WRAPS)
tests_unit_test_virtio_pci_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_vfio_user_client_SOURCES = tests/unit/test_vfio_user_client.c $(FAKE_CORE)
tests_unit_test_vfio_user_client_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_vfio_user_client_LDFLAGS = $(AM_LDFLAGS) $(FAKE_CORE_WRAPS) -Wl,--wrap=setsockopt
tests_unit_test_vfio_user_client_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_successor_SOURCES = tests/unit/test_successor.c $(FAKE_CORE) $(FAKE_BACKEND)
tests_unit_test_successor_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_successor_LDFLAGS = $(AM_LDFLAGS) $(FAKE_CORE_WRAPS) -Wl,--wrap=vhost_user_receive_timeout
tests_unit_test_successor_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_device_link_SOURCES = tests/unit/test_device_link.c
tests_unit_test_device_link_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_device_link_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=loop_timer_arm
tests_unit_test_device_link_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_device_set_SOURCES = tests/unit/test_device_set.c tests/unit/test_vcpu.h $(FAKE_CORE) $(FAKE_BACKEND)
tests_unit_test_device_set_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_device_set_LDFLAGS = $(AM_LDFLAGS) $(FAKE_CORE_WRAPS) -Wl,--wrap=vhost_user_receive_timeout
tests_unit_test_device_set_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_virtio_backend_SOURCES = tests/unit/test_virtio_backend.c $(FAKE_CORE)
tests_unit_test_virtio_backend_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_virtio_backend_LDFLAGS = $(AM_LDFLAGS) $(FAKE_CORE_WRAPS)
tests_unit_test_virtio_backend_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
endif
