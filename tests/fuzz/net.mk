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
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_net
tests_fuzz_fuzz_net_SOURCES = tests/fuzz/fuzz_net.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_net_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_net_LDADD = dev-net/libnet.la common/libcommon.la
endif
