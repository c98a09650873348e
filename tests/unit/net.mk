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

TESTS += tests/unit/test_net
check_PROGRAMS += tests/unit/test_net
tests_unit_test_net_SOURCES = tests/unit/test_net.c tests/unit/net_talk.c tests/unit/net_talk.h \
	tests/unit/net_guest.c tests/unit/net_guest.h
tests_unit_test_net_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_net_LDADD = dev-net/libnet.la $(UNIT_LIBS)

TESTS += tests/unit/test_net_control
check_PROGRAMS += tests/unit/test_net_control
tests_unit_test_net_control_SOURCES = tests/unit/test_net_control.c tests/unit/net_talk.c tests/unit/net_talk.h \
	tests/unit/net_guest.c tests/unit/net_guest.h
tests_unit_test_net_control_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_net_control_LDADD = dev-net/libnet.la $(UNIT_LIBS)
endif
