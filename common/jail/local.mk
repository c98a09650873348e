# How a process is sealed.
common_libcommon_la_SOURCES += \
	common/jail/jail.h \
	common/jail/jail_enter.c \
	common/jail/jail_fork.c \
	common/jail/jail_landlock.c \
	common/jail/jail_record.c common/jail/jail_record.h \
	common/jail/jail_seal.c \
	common/jail/jail_user.c common/jail/jail_user.h \
	common/jail/jail_violation.c common/jail/jail_violation.h
