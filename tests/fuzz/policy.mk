# The parser of policies.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_policy_parse/actions \
	tests/fuzz/corpus/fuzz_policy_parse/bad \
	tests/fuzz/corpus/fuzz_policy_parse/conditions \
	tests/fuzz/corpus/fuzz_policy_parse/include \
	tests/fuzz/corpus/fuzz_policy_parse/plain \
	tests/fuzz/corpus/fuzz_policy_parse/uring
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_policy_parse
tests_fuzz_fuzz_policy_parse_SOURCES = tests/fuzz/fuzz_policy_parse.c
tests_fuzz_fuzz_policy_parse_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_policy_parse_LDADD = policy/libpolicytools.la policy/libpolicy.la common/libcommon.la
endif
