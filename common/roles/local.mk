# What processes and devices there are: a table each.
common_libcommon_la_SOURCES += \
	common/roles/device_type.h \
	common/roles/fd_kind.h \
	common/roles/role.c common/roles/role.h
