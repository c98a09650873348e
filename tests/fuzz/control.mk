# The control wire.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_control_frame/attach-device \
	tests/fuzz/corpus/fuzz_control_frame/attach-new \
	tests/fuzz/corpus/fuzz_control_frame/console-file \
	tests/fuzz/corpus/fuzz_control_frame/core-configure \
	tests/fuzz/corpus/fuzz_control_frame/descriptors-too-many \
	tests/fuzz/corpus/fuzz_control_frame/detach-device \
	tests/fuzz/corpus/fuzz_control_frame/guest-event \
	tests/fuzz/corpus/fuzz_control_frame/monitor \
	tests/fuzz/corpus/fuzz_control_frame/nothing \
	tests/fuzz/corpus/fuzz_control_frame/statistics \
	tests/fuzz/corpus/fuzz_control_frame/too-large
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_control_frame
tests_fuzz_fuzz_control_frame_SOURCES = tests/fuzz/fuzz_control_frame.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_control_frame_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_control_frame_LDADD = common/libcommon.la
endif
