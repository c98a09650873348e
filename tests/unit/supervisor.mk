# The supervisor: its config, its runtime directory, its terminal.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_config tests/unit/test_launch tests/unit/test_processor tests/unit/test_restart tests/unit/test_starter tests/unit/test_supervisor
TESTS += tests/unit/test_config tests/unit/test_launch tests/unit/test_processor tests/unit/test_restart tests/unit/test_starter tests/unit/test_supervisor
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_config_LDADD = config/libconfigfile.la $(UNIT_LIBS)
tests_unit_test_launch_SOURCES = tests/unit/test_launch.c
tests_unit_test_launch_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_launch_LDADD = config/libconfigfile.la $(UNIT_LIBS)
tests_unit_test_processor_SOURCES = tests/unit/test_processor.c
tests_unit_test_processor_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_processor_LDADD = supervisor/libsupervisor.la $(UNIT_LIBS)
tests_unit_test_restart_SOURCES = tests/unit/test_restart.c
tests_unit_test_restart_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_restart_LDADD = supervisor/libsupervisor.la $(UNIT_LIBS)
tests_unit_test_starter_SOURCES = tests/unit/test_starter.c
tests_unit_test_starter_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_starter_LDADD = supervisor/libsupervisor.la $(UNIT_LIBS)
tests_unit_test_supervisor_SOURCES = tests/unit/test_supervisor.c
tests_unit_test_supervisor_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_supervisor_LDADD = supervisor/libsupervisor.la $(UNIT_LIBS)
endif
