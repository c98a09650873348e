# Guest memory and what lies in it: virtqueues, the inflight region; and a device's state for its successor.
common_libcommon_la_SOURCES += \
	common/ring/device_state.c common/ring/device_state.h \
	common/ring/guest_memory.c common/ring/guest_memory.h \
	common/ring/inflight.c common/ring/inflight.h \
	common/ring/state_page.c common/ring/state_page.h \
	common/ring/virtqueue.c common/ring/virtqueue.h \
	common/ring/virtqueue_chain.c
