# The register wire.
common_libcommon_la_SOURCES += \
	common/vfio-user/vfio_user_backend.c common/vfio-user/vfio_user_backend.h \
	common/vfio-user/vfio_user_capabilities.c \
	common/vfio-user/vfio_user_message.c common/vfio-user/vfio_user_message.h
common_libcommon_la_LIBADD += $(JANSSON_LIBS)
