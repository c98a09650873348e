# Taps, and atoll-net.
if HAVE_CMOCKA
TESTS += tests/unit/test_tap
check_PROGRAMS += tests/unit/test_tap
tests_unit_test_tap_SOURCES = tests/unit/test_tap.c
tests_unit_test_tap_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_tap_LDADD = $(UNIT_LIBS)
endif
