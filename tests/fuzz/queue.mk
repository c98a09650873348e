# The queue wire: rings, and the session of vhost-user.
EXTRA_DIST += tests/fuzz/corpus/fuzz_virtqueue/batch tests/fuzz/corpus/fuzz_virtqueue/direct \
	tests/fuzz/corpus/fuzz_virtqueue/indirect tests/fuzz/corpus/fuzz_virtqueue/loop \
	tests/fuzz/corpus/fuzz_vhost_user_backend/plain tests/fuzz/corpus/fuzz_vhost_user_backend/qemu \
	tests/fuzz/corpus/fuzz_vhost_user_backend/slots tests/fuzz/corpus/fuzz_vhost_user_backend/status
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_virtqueue tests/fuzz/fuzz_vhost_user_backend
tests_fuzz_fuzz_virtqueue_SOURCES = tests/fuzz/fuzz_virtqueue.c
tests_fuzz_fuzz_virtqueue_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_virtqueue_LDADD = common/libcommon.la
tests_fuzz_fuzz_vhost_user_backend_SOURCES = tests/fuzz/fuzz_vhost_user_backend.c
tests_fuzz_fuzz_vhost_user_backend_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_vhost_user_backend_LDADD = common/libcommon.la
endif
