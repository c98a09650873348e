# The register wire: vfio-user. The archive is common/local.mk's.
common_libcommon_la_SOURCES += \
	common/vfio_user_spec.h \
	common/vfio_user_message.c common/vfio_user_message.h \
	common/vfio_user_capabilities.c \
	common/vfio_user_backend.c common/vfio_user_backend.h
common_libcommon_la_LIBADD += $(JANSSON_LIBS)
