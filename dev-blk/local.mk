# dev-blk/: atoll-blk. The device is an archive, so that tests can link it; the program is main.c over it.
noinst_LTLIBRARIES += dev-blk/libblk.la
dev_blk_libblk_la_SOURCES = \
	dev-blk/virtio_blk_spec.h \
	dev-blk/blk_disk.c dev-blk/blk_disk.h \
	dev-blk/blk_engine.c dev-blk/blk_engine.h \
	dev-blk/blk_engine_kind.c dev-blk/blk_engine_kind.h \
	dev-blk/blk_engine_sync.c dev-blk/blk_engine_sync.h \
	dev-blk/blk_engine_uring.c dev-blk/blk_engine_uring.h \
	dev-blk/blk_request.h dev-blk/blk_request_steps.h \
	dev-blk/blk_request_advance.c dev-blk/blk_request_parse.c dev-blk/blk_request_range.c \
	dev-blk/blk_queue.h dev-blk/blk_queue_parts.h \
	dev-blk/blk_queue_round.c dev-blk/blk_queue_thread.c \
	dev-blk/blk_state.c dev-blk/blk_state.h \
	dev-blk/blk_device.c dev-blk/blk_device.h
dev_blk_libblk_la_CFLAGS = $(AM_CFLAGS) $(URING_CFLAGS)
dev_blk_libblk_la_LIBADD = common/libcommon.la $(URING_LIBS)

# The same with crash points (common/base/crash_point.h), for tests; what it takes from common/ with it.
check_LTLIBRARIES += dev-blk/libblk_crash.la
dev_blk_libblk_crash_la_SOURCES = $(dev_blk_libblk_la_SOURCES) common/ring/virtqueue.c common/ring/inflight.c common/base/crash_point.c
dev_blk_libblk_crash_la_CPPFLAGS = $(AM_CPPFLAGS) -DENABLE_CRASH_POINTS
dev_blk_libblk_crash_la_CFLAGS = $(dev_blk_libblk_la_CFLAGS)
dev_blk_libblk_crash_la_LIBADD = $(URING_LIBS)

pkglibexec_PROGRAMS += dev-blk/atoll-blk
dev_blk_atoll_blk_SOURCES = dev-blk/main.c dev-blk/blk_program.h dev-blk/blk_by_hand.c dev-blk/blk_supervised.c
dev_blk_atoll_blk_LDADD = policy/libfilters.la dev-blk/libblk.la common/libcommon.la

# What management tools look for; the same order of search as QEMU's own back ends.
vhostuser_DATA += dev-blk/50-atoll-blk.json
EXTRA_DIST += dev-blk/50-atoll-blk.json.in
CLEANFILES += dev-blk/50-atoll-blk.json
dev-blk/50-atoll-blk.json: dev-blk/50-atoll-blk.json.in Makefile
	$(AM_V_GEN)$(MKDIR_P) dev-blk && \
	$(SED) 's|@pkglibexecdir[@]|$(pkglibexecdir)|' $(srcdir)/dev-blk/50-atoll-blk.json.in >$@.part && mv $@.part $@

dist_man_MANS += docs/man/atoll-blk.8
EXTRA_DIST += dev-blk/README.md
