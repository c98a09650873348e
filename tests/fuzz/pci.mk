# The core's side of the device wires, and of the guest.
EXTRA_DIST += \
	tests/fuzz/corpus/fuzz_vhost_user_frontend/acknowledged \
	tests/fuzz/corpus/fuzz_vhost_user_frontend/hang-up \
	tests/fuzz/corpus/fuzz_vhost_user_frontend/lies \
	tests/fuzz/corpus/fuzz_vhost_user_frontend/notices \
	tests/fuzz/corpus/fuzz_vhost_user_frontend/plain \
	tests/fuzz/corpus/fuzz_vfio_user_client/cancelled \
	tests/fuzz/corpus/fuzz_vfio_user_client/errors \
	tests/fuzz/corpus/fuzz_vfio_user_client/hang-up \
	tests/fuzz/corpus/fuzz_vfio_user_client/pieces \
	tests/fuzz/corpus/fuzz_vfio_user_client/session \
	tests/fuzz/corpus/fuzz_virtio_pci/capability \
	tests/fuzz/corpus/fuzz_virtio_pci/driver \
	tests/fuzz/corpus/fuzz_virtio_pci/master \
	tests/fuzz/corpus/fuzz_virtio_pci/move \
	tests/fuzz/corpus/fuzz_virtio_pci/status-order
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz_vhost_user_frontend tests/fuzz/fuzz_vfio_user_client tests/fuzz/fuzz_virtio_pci
tests_fuzz_fuzz_vhost_user_frontend_SOURCES = tests/fuzz/fuzz_vhost_user_frontend.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_vhost_user_frontend_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer \
	-Wl,--wrap=vhost_user_send -Wl,--wrap=vhost_user_receive_timeout
tests_fuzz_fuzz_vhost_user_frontend_LDADD = vmm-core/libcore.la
tests_fuzz_fuzz_vfio_user_client_SOURCES = tests/fuzz/fuzz_vfio_user_client.c $(FUZZ_SUPPORT)
tests_fuzz_fuzz_vfio_user_client_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer \
	-Wl,--wrap=vfio_user_send -Wl,--wrap=vfio_user_stream_receive
tests_fuzz_fuzz_vfio_user_client_LDADD = vmm-core/libcore.la
tests_fuzz_fuzz_virtio_pci_SOURCES = tests/fuzz/fuzz_virtio_pci.c $(FUZZ_SUPPORT) $(FAKE_CORE)
tests_fuzz_fuzz_virtio_pci_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer $(FAKE_CORE_WRAPS) -Wl,--wrap=vhost_user_send
tests_fuzz_fuzz_virtio_pci_LDADD = vmm-core/libcore.la
endif
