# The machine: kernel images, guest RAM and boot data, CPUID, the chipset, ACPI.
if HAVE_CMOCKA
MACHINE_TESTS = tests/unit/test_kernel_image tests/unit/test_machine tests/unit/test_acpi \
	tests/unit/test_vm
check_PROGRAMS += $(MACHINE_TESTS)
TESTS += $(MACHINE_TESTS)
tests_unit_test_kernel_image_SOURCES = tests/unit/test_kernel_image.c
tests_unit_test_kernel_image_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_kernel_image_LDADD = $(UNIT_LIBS)
tests_unit_test_machine_SOURCES = tests/unit/test_machine.c tests/unit/test_ram.h
tests_unit_test_machine_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_machine_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_acpi_SOURCES = tests/unit/test_acpi.c
tests_unit_test_acpi_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_acpi_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
tests_unit_test_vm_SOURCES = tests/unit/test_vm.c
tests_unit_test_vm_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_vm_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ioctl
tests_unit_test_vm_LDADD = vmm-core/libcore.la $(UNIT_LIBS)
endif
