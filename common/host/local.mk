# What is opened of the host, by the supervisor or by a program that is run by hand.
common_libcommon_la_SOURCES += \
	common/host/disk_image.c common/host/disk_image.h \
	common/host/image_lock.c common/host/image_lock.h \
	common/host/kernel_image.c common/host/kernel_image.h \
	common/host/monitor_client.c common/host/monitor_client.h \
	common/host/pty.c common/host/pty.h \
	common/host/runtime_dir.c common/host/runtime_dir.h \
	common/host/tap.c common/host/tap.h
