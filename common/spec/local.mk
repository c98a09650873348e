# What the specifications define, as they name it: virtio, vhost-user, vfio-user.
common_libcommon_la_SOURCES += \
	common/spec/vfio_user_spec.h \
	common/spec/vhost_user_spec.h \
	common/spec/virtio_spec.h
