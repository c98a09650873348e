# Kernel images.
EXTRA_DIST += tests/fuzz/corpus/fuzz_kernel_image/bzimage tests/fuzz/corpus/fuzz_kernel_image/pvh32 \
	tests/fuzz/corpus/fuzz_kernel_image/pvh64 tests/fuzz/corpus/fuzz_kernel_image/pvh64-386
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_kernel_image
tests_fuzz_fuzz_kernel_image_SOURCES = tests/fuzz/fuzz_kernel_image.c
tests_fuzz_fuzz_kernel_image_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_kernel_image_LDADD = common/libcommon.la
endif
