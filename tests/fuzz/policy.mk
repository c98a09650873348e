# The parser of policies, and the reader of records.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_policy_parse/actions \
	tests/fuzz/corpus/fuzz_policy_parse/bad \
	tests/fuzz/corpus/fuzz_policy_parse/conditions \
	tests/fuzz/corpus/fuzz_policy_parse/groups \
	tests/fuzz/corpus/fuzz_policy_parse/include \
	tests/fuzz/corpus/fuzz_policy_parse/include-policy \
	tests/fuzz/corpus/fuzz_policy_parse/plain \
	tests/fuzz/corpus/fuzz_policy_parse/uring \
	tests/fuzz/corpus/fuzz_policy_record/bad \
	tests/fuzz/corpus/fuzz_policy_record/calls \
	tests/fuzz/corpus/fuzz_policy_record/cut \
	tests/fuzz/corpus/fuzz_policy_record/nul \
	tests/fuzz/corpus/fuzz_policy_record/refused \
	tests/fuzz/corpus/fuzz_policy_record/ring \
	tests/fuzz/corpus/fuzz_policy_record/terminal
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_policy_parse tests/fuzz/fuzz_policy_record
tests_fuzz_fuzz_policy_parse_SOURCES = tests/fuzz/fuzz_policy_parse.c
tests_fuzz_fuzz_policy_parse_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_policy_parse_LDADD = policy/libpolicytools.la policy/libpolicy.la common/libcommon.la
tests_fuzz_fuzz_policy_record_SOURCES = tests/fuzz/fuzz_policy_record.c
tests_fuzz_fuzz_policy_record_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_policy_record_LDADD = policy/libpolicytools.la policy/libpolicy.la common/libcommon.la
endif
