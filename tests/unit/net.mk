# Taps, and atoll-net.
if HAVE_CMOCKA
TESTS += tests/unit/test_tap
check_PROGRAMS += tests/unit/test_tap
tests_unit_test_tap_SOURCES = tests/unit/test_tap.c
tests_unit_test_tap_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_tap_LDADD = $(UNIT_LIBS)

TESTS += tests/unit/test_net_rules
check_PROGRAMS += tests/unit/test_net_rules
tests_unit_test_net_rules_SOURCES = tests/unit/test_net_rules.c
tests_unit_test_net_rules_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_net_rules_LDADD = dev-net/libnet.la $(UNIT_LIBS)
endif
