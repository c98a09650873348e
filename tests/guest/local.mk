# tests/guest/: bare-metal guests, PVH ELF files that boot in Atoll and in QEMU alike. They share no flag with the
# programs of the host: no PIE, no SSE, no stack protector, no C library.
GUESTS = tests/guest/guest-attach tests/guest/guest-blk tests/guest/guest-console tests/guest/guest-net \
	tests/guest/guest-pci tests/guest/guest-rng tests/guest/guest-undertaker
noinst_PROGRAMS += $(GUESTS)
noinst_LIBRARIES = tests/guest/libguest.a

GUEST_COMPILE = -std=gnu17 $(WARNING_CFLAGS) $(GUEST_CFLAGS)
GUEST_LINK = $(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
	-Wl,-T,$(srcdir)/tests/guest/lib/guest.ld -o $@

tests_guest_libguest_a_SOURCES = \
	tests/guest/lib/blk.c tests/guest/lib/blk.h \
	tests/guest/lib/cpus.c \
	tests/guest/lib/entry.S \
	tests/guest/lib/guest.h \
	tests/guest/lib/interrupts.c \
	tests/guest/lib/memory.c \
	tests/guest/lib/net.c tests/guest/lib/net.h \
	tests/guest/lib/pci.c tests/guest/lib/pci.h \
	tests/guest/lib/platform.c \
	tests/guest/lib/print.c \
	tests/guest/lib/virtio.c tests/guest/lib/virtio.h \
	tests/guest/lib/virtqueue.c
tests_guest_libguest_a_CFLAGS = $(GUEST_COMPILE)
tests_guest_libguest_a_CCASFLAGS = -g0

tests_guest_guest_attach_SOURCES = tests/guest/guest-attach.c
tests_guest_guest_attach_CFLAGS = $(GUEST_COMPILE)
tests_guest_guest_attach_LDADD = tests/guest/libguest.a
tests_guest_guest_attach_LINK = $(GUEST_LINK)

tests_guest_guest_blk_SOURCES = tests/guest/guest-blk.c
tests_guest_guest_blk_CFLAGS = $(GUEST_COMPILE)
tests_guest_guest_blk_LDADD = tests/guest/libguest.a
tests_guest_guest_blk_LINK = $(GUEST_LINK)

tests_guest_guest_console_SOURCES = tests/guest/guest-console.c
tests_guest_guest_console_CFLAGS = $(GUEST_COMPILE)
tests_guest_guest_console_LDADD = tests/guest/libguest.a
tests_guest_guest_console_LINK = $(GUEST_LINK)

tests_guest_guest_net_SOURCES = tests/guest/guest-net.c
tests_guest_guest_net_CFLAGS = $(GUEST_COMPILE)
tests_guest_guest_net_LDADD = tests/guest/libguest.a
tests_guest_guest_net_LINK = $(GUEST_LINK)

tests_guest_guest_pci_SOURCES = tests/guest/guest-pci.c
tests_guest_guest_pci_CFLAGS = $(GUEST_COMPILE)
tests_guest_guest_pci_LDADD = tests/guest/libguest.a
tests_guest_guest_pci_LINK = $(GUEST_LINK)

tests_guest_guest_rng_SOURCES = tests/guest/guest-rng.c
tests_guest_guest_rng_CFLAGS = $(GUEST_COMPILE)
tests_guest_guest_rng_LDADD = tests/guest/libguest.a
tests_guest_guest_rng_LINK = $(GUEST_LINK)

tests_guest_guest_undertaker_SOURCES = tests/guest/guest-undertaker.c
tests_guest_guest_undertaker_CFLAGS = $(GUEST_COMPILE)
tests_guest_guest_undertaker_LDADD = tests/guest/libguest.a
tests_guest_guest_undertaker_LINK = $(GUEST_LINK)

EXTRA_DIST += tests/guest/lib/guest.ld
EXTRA_DIST += tests/guest/run-under-qemu tests/guest/README.md
