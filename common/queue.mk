# The queue wire: guest memory, virtqueues, vhost-user. The archive is common/local.mk's.
common_libcommon_la_SOURCES += \
	common/guest_memory.c common/guest_memory.h \
	common/virtqueue.c common/virtqueue.h
