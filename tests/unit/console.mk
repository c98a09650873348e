# The register wire, and atoll-console.
if HAVE_CMOCKA
console_tests = tests/unit/test_vfio_user tests/unit/test_output tests/unit/test_virtio_console tests/unit/test_serial tests/unit/test_uart16550 \
	tests/unit/test_console_state
TESTS += $(console_tests)
check_PROGRAMS += $(console_tests)
tests_unit_test_uart16550_SOURCES = tests/unit/test_uart16550.c
tests_unit_test_uart16550_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_uart16550_LDADD = dev-console/libconsole.la $(UNIT_LIBS)
tests_unit_test_vfio_user_SOURCES = tests/unit/test_vfio_user.c
tests_unit_test_vfio_user_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_vfio_user_LDADD = $(UNIT_LIBS)
tests_unit_test_output_SOURCES = tests/unit/test_output.c
tests_unit_test_output_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_output_LDADD = dev-console/libconsole.la $(UNIT_LIBS)
tests_unit_test_serial_SOURCES = tests/unit/test_serial.c
tests_unit_test_serial_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_serial_LDADD = dev-console/libconsole.la $(UNIT_LIBS)
tests_unit_test_virtio_console_SOURCES = tests/unit/test_virtio_console.c
tests_unit_test_virtio_console_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_virtio_console_LDADD = dev-console/libconsole.la $(UNIT_LIBS)
tests_unit_test_console_state_SOURCES = tests/unit/test_console_state.c
tests_unit_test_console_state_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_console_state_LDADD = dev-console/libconsole.la $(UNIT_LIBS)
tests_unit_test_console_state_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=read -Wl,--wrap=write -Wl,--wrap=sendmsg \
	-Wl,--wrap=console_state_commit -Wl,--wrap=console_state_written \
	-Wl,--wrap=virtqueue_push -Wl,--wrap=virtqueue_publish
endif
