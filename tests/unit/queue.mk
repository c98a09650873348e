# The queue wire: guest memory, virtqueues, vhost-user.
if HAVE_CMOCKA
TESTS += tests/unit/test_undertaker
check_PROGRAMS += tests/unit/test_undertaker
tests_unit_test_undertaker_SOURCES = tests/unit/test_undertaker.c
tests_unit_test_undertaker_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_undertaker_LDADD = dev-undertaker/libundertaker.la $(UNIT_LIBS)

# Starts the program that is no more than a table.
TESTS += tests/unit/test_device_program
check_PROGRAMS += tests/unit/test_device_program
tests_unit_test_device_program_SOURCES = tests/unit/test_device_program.c
tests_unit_test_device_program_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_device_program_LDADD = $(UNIT_LIBS)
EXTRA_tests_unit_test_device_program_DEPENDENCIES = dev-rng/atoll-rng$(EXEEXT)

QUEUE_TESTS = tests/unit/test_inflight tests/unit/test_virtqueue tests/unit/test_virtqueue_race \
	tests/unit/test_vhost_user
check_PROGRAMS += $(QUEUE_TESTS)
TESTS += $(QUEUE_TESTS)
tests_unit_test_virtqueue_SOURCES = tests/unit/test_virtqueue.c
tests_unit_test_virtqueue_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_virtqueue_LDADD = $(UNIT_LIBS)
tests_unit_test_virtqueue_race_SOURCES = tests/unit/test_virtqueue_race.c
tests_unit_test_virtqueue_race_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_virtqueue_race_LDADD = $(UNIT_LIBS)
# With crash points, whatever the build has: it dies in its own copies of these.
tests_unit_test_inflight_SOURCES = tests/unit/test_inflight.c common/ring/virtqueue.c common/ring/inflight.c
tests_unit_test_inflight_CPPFLAGS = $(UNIT_CPPFLAGS) -DENABLE_CRASH_POINTS
tests_unit_test_inflight_LDADD = $(UNIT_LIBS)
tests_unit_test_vhost_user_SOURCES = tests/unit/test_vhost_user.c
tests_unit_test_vhost_user_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_vhost_user_LDADD = $(UNIT_LIBS)
endif
