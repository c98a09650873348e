# The register wire, and both devices of a console.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_vfio_user_backend/access \
	tests/fuzz/corpus/fuzz_vfio_user_backend/dma \
	tests/fuzz/corpus/fuzz_vfio_user_backend/info \
	tests/fuzz/corpus/fuzz_vfio_user_backend/irqs \
	tests/fuzz/corpus/fuzz_vfio_user_backend/multi \
	tests/fuzz/corpus/fuzz_vfio_user_backend/pieces \
	tests/fuzz/corpus/fuzz_vfio_user_backend/unknown \
	tests/fuzz/corpus/fuzz_vfio_user_backend/version \
	tests/fuzz/corpus/fuzz_uart16550/errors \
	tests/fuzz/corpus/fuzz_uart16550/loopback \
	tests/fuzz/corpus/fuzz_uart16550/modem \
	tests/fuzz/corpus/fuzz_uart16550/probe \
	tests/fuzz/corpus/fuzz_uart16550/receive \
	tests/fuzz/corpus/fuzz_uart16550/transmit \
	tests/fuzz/corpus/fuzz_console_state/file-serial \
	tests/fuzz/corpus/fuzz_console_state/file-virtio \
	tests/fuzz/corpus/fuzz_console_state/ours-serial \
	tests/fuzz/corpus/fuzz_console_state/ours-virtio \
	tests/fuzz/corpus/fuzz_console_state/page-serial \
	tests/fuzz/corpus/fuzz_console_state/page-virtio \
	tests/fuzz/corpus/fuzz_console_state/record-serial \
	tests/fuzz/corpus/fuzz_console_state/record-virtio \
	tests/fuzz/corpus/fuzz_console_state/record-virtio-behind \
	tests/fuzz/corpus/fuzz_console_state/version \
	tests/fuzz/corpus/fuzz_virtio_console/back-pressure \
	tests/fuzz/corpus/fuzz_virtio_console/broken \
	tests/fuzz/corpus/fuzz_virtio_console/indirect \
	tests/fuzz/corpus/fuzz_virtio_console/input \
	tests/fuzz/corpus/fuzz_virtio_console/restart
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_vfio_user_backend tests/fuzz/fuzz_uart16550 tests/fuzz/fuzz_virtio_console tests/fuzz/fuzz_console_state
tests_fuzz_fuzz_vfio_user_backend_SOURCES = tests/fuzz/fuzz_vfio_user_backend.c
tests_fuzz_fuzz_vfio_user_backend_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_vfio_user_backend_LDADD = common/libcommon.la
tests_fuzz_fuzz_uart16550_SOURCES = tests/fuzz/fuzz_uart16550.c
tests_fuzz_fuzz_uart16550_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_uart16550_LDADD = dev-console/libconsole.la common/libcommon.la
tests_fuzz_fuzz_virtio_console_SOURCES = tests/fuzz/fuzz_virtio_console.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_virtio_console_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=vhost_user_backend_queue_broken
tests_fuzz_fuzz_virtio_console_LDADD = dev-console/libconsole.la common/libcommon.la
tests_fuzz_fuzz_console_state_SOURCES = tests/fuzz/fuzz_console_state.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_console_state_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_console_state_LDADD = dev-console/libconsole.la common/libcommon.la
endif
