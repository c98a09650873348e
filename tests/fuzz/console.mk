# The register wire, and the UART.
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
	tests/fuzz/corpus/fuzz_uart16550/transmit
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_vfio_user_backend tests/fuzz/fuzz_uart16550
tests_fuzz_fuzz_vfio_user_backend_SOURCES = tests/fuzz/fuzz_vfio_user_backend.c
tests_fuzz_fuzz_vfio_user_backend_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_vfio_user_backend_LDADD = common/libcommon.la
tests_fuzz_fuzz_uart16550_SOURCES = tests/fuzz/fuzz_uart16550.c
tests_fuzz_fuzz_uart16550_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_uart16550_LDADD = dev-console/libconsole.la common/libcommon.la
endif
