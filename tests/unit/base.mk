# The base libraries: log, fd passing, control wire, loop, device program; the jail.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_base
TESTS += tests/unit/test_base
tests_unit_test_base_SOURCES = tests/unit/test_base.c tests/unit/test_fds.h
tests_unit_test_base_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_base_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_device_state
TESTS += tests/unit/test_device_state
tests_unit_test_device_state_SOURCES = tests/unit/test_device_state.c
tests_unit_test_device_state_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_device_state_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_jail
TESTS += tests/unit/test_jail
tests_unit_test_jail_SOURCES = tests/unit/test_jail.c
tests_unit_test_jail_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_jail_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=jail_user_verify
tests_unit_test_jail_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_jail_record
TESTS += tests/unit/test_jail_record
tests_unit_test_jail_record_SOURCES = tests/unit/test_jail_record.c
tests_unit_test_jail_record_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_jail_record_LDADD = $(UNIT_LIBS)
endif
