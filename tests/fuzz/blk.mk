# Requests of atoll-blk.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_blk_request/beyond \
	tests/fuzz/corpus/fuzz_blk_request/discard \
	tests/fuzz/corpus/fuzz_blk_request/flush-get-id \
	tests/fuzz/corpus/fuzz_blk_request/indirect \
	tests/fuzz/corpus/fuzz_blk_request/read \
	tests/fuzz/corpus/fuzz_blk_request/read-only \
	tests/fuzz/corpus/fuzz_blk_request/write \
	tests/fuzz/corpus/fuzz_blk_request/write-through \
	tests/fuzz/corpus/fuzz_blk_request/write-zeroes
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_blk_request
tests_fuzz_fuzz_blk_request_SOURCES = tests/fuzz/fuzz_blk_request.c
tests_fuzz_fuzz_blk_request_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_blk_request_LDADD = dev-blk/libblk.la common/libcommon.la
endif
