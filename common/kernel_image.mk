# Kernel images: what boots, and why a file does not. Asked by the supervisor, loaded from by the core.
common_libcommon_la_SOURCES += common/kernel_image.c common/kernel_image.h
