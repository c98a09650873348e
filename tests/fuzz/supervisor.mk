# The supervisor: its config file.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_config/aliases \
	tests/fuzz/corpus/fuzz_config/everything \
	tests/fuzz/corpus/fuzz_config/flow \
	tests/fuzz/corpus/fuzz_config/least \
	tests/fuzz/corpus/fuzz_config/two-documents \
	tests/fuzz/corpus/fuzz_config/wrong-shapes \
	tests/fuzz/corpus/fuzz_config/wrong-values
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_config
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_config_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS)
tests_fuzz_fuzz_config_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_config_LDADD = supervisor/libsupervisor.la
endif
