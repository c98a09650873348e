# The supervisor: its config file; what the command hands it; what its processes and commands send it.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_config/aliases \
	tests/fuzz/corpus/fuzz_config/everything \
	tests/fuzz/corpus/fuzz_config/flow \
	tests/fuzz/corpus/fuzz_config/least \
	tests/fuzz/corpus/fuzz_config/two-documents \
	tests/fuzz/corpus/fuzz_config/types-and-values \
	tests/fuzz/corpus/fuzz_config/wrong-shapes \
	tests/fuzz/corpus/fuzz_config/wrong-values \
	tests/fuzz/corpus/fuzz_launch/counts \
	tests/fuzz/corpus/fuzz_launch/cut \
	tests/fuzz/corpus/fuzz_launch/everything \
	tests/fuzz/corpus/fuzz_launch/least \
	tests/fuzz/corpus/fuzz_launch/lengths \
	tests/fuzz/corpus/fuzz_launch/no-magic \
	tests/fuzz/corpus/fuzz_launch/other-version \
	tests/fuzz/corpus/fuzz_launch/problems \
	tests/fuzz/corpus/fuzz_monitor/broken-words \
	tests/fuzz/corpus/fuzz_monitor/commands \
	tests/fuzz/corpus/fuzz_monitor/death \
	tests/fuzz/corpus/fuzz_monitor/flood \
	tests/fuzz/corpus/fuzz_monitor/life \
	tests/fuzz/corpus/fuzz_monitor/panic-held \
	tests/fuzz/corpus/fuzz_monitor/reset \
	tests/fuzz/corpus/fuzz_monitor/violation
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_config tests/fuzz/fuzz_launch tests/fuzz/fuzz_monitor
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_config_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS)
tests_fuzz_fuzz_config_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_config_LDADD = config/libconfigfile.la
tests_fuzz_fuzz_launch_SOURCES = tests/fuzz/fuzz_launch.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_launch_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS)
tests_fuzz_fuzz_launch_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_launch_LDADD = config/libconfigfile.la
tests_fuzz_fuzz_monitor_SOURCES = tests/fuzz/fuzz_monitor.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_monitor_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS)
tests_fuzz_fuzz_monitor_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer \
	-Wl,--wrap=starter_start -Wl,--wrap=starter_pid -Wl,--wrap=starter_process_is_stopped \
	-Wl,--wrap=pidfd_send_signal -Wl,--wrap=waitid -Wl,--wrap=runtime_dir_listen \
	-Wl,--wrap=timerfd_create -Wl,--wrap=timerfd_settime -Wl,--wrap=log_write_line -Wl,--wrap=report_error
tests_fuzz_fuzz_monitor_LDADD = supervisor/libsupervisor.la config/libconfigfile.la
endif
