# atoll-net: its rings, its frames and its commands.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_net/command-bad \
	tests/fuzz/corpus/fuzz_net/command-filter \
	tests/fuzz/corpus/fuzz_net/command-offloads \
	tests/fuzz/corpus/fuzz_net/link \
	tests/fuzz/corpus/fuzz_net/polled \
	tests/fuzz/corpus/fuzz_net/receive \
	tests/fuzz/corpus/fuzz_net/receive-held \
	tests/fuzz/corpus/fuzz_net/receive-merged \
	tests/fuzz/corpus/fuzz_net/receive-pieces \
	tests/fuzz/corpus/fuzz_net/receive-small \
	tests/fuzz/corpus/fuzz_net/send \
	tests/fuzz/corpus/fuzz_net/send-bad \
	tests/fuzz/corpus/fuzz_net/send-indirect \
	tests/fuzz/corpus/fuzz_net/stopped
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_device_state/blk-header \
	tests/fuzz/corpus/fuzz_device_state/blk-lost \
	tests/fuzz/corpus/fuzz_device_state/blk-mode \
	tests/fuzz/corpus/fuzz_device_state/blk-ours \
	tests/fuzz/corpus/fuzz_device_state/blk-positive \
	tests/fuzz/corpus/fuzz_device_state/net-count \
	tests/fuzz/corpus/fuzz_device_state/net-header \
	tests/fuzz/corpus/fuzz_device_state/net-offloads \
	tests/fuzz/corpus/fuzz_device_state/net-open \
	tests/fuzz/corpus/fuzz_device_state/net-ours \
	tests/fuzz/corpus/fuzz_device_state/net-overflow \
	tests/fuzz/corpus/fuzz_device_state/net-tables
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_net
tests_fuzz_fuzz_net_SOURCES = tests/fuzz/fuzz_net.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_net_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_net_LDADD = dev-net/libnet.la common/libcommon.la
noinst_PROGRAMS += tests/fuzz/fuzz_device_state
tests_fuzz_fuzz_device_state_SOURCES = tests/fuzz/fuzz_device_state.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_device_state_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_device_state_LDADD = dev-net/libnet.la dev-blk/libblk.la common/libcommon.la
endif
