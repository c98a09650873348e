# Disk images: what is one, and who has it.
common_libcommon_la_SOURCES += \
	common/disk_image.c common/disk_image.h \
	common/image_lock.c common/image_lock.h
