# The queue wire.
common_libcommon_la_SOURCES += \
	common/vhost-user/vhost_user_backend.c common/vhost-user/vhost_user_backend.h \
	common/vhost-user/vhost_user_backend_parts.h \
	common/vhost-user/vhost_user_backend_requests.c \
	common/vhost-user/vhost_user_backend_vring.c \
	common/vhost-user/vhost_user_message.c common/vhost-user/vhost_user_message.h
