# The queue wire: guest memory, virtqueues, vhost-user. The archive is common/local.mk's.
common_libcommon_la_SOURCES += \
	common/guest_memory.c common/guest_memory.h \
	common/crash_point.h \
	common/inflight.c common/inflight.h \
	common/virtqueue.c common/virtqueue.h \
	common/vhost_user_spec.h \
	common/vhost_user_message.c common/vhost_user_message.h \
	common/vhost_user_backend.c common/vhost_user_backend.h

# For tests: a device process that dies at a chosen step (configure --enable-crash-points).
if ENABLE_CRASH_POINTS
common_libcommon_la_SOURCES += common/crash_point.c
else
EXTRA_DIST += common/crash_point.c
endif
