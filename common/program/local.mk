# How a program of the family begins, and talks to its supervisor.
common_libcommon_la_SOURCES += \
	common/program/process_title.c common/program/process_title.h \
	common/program/program_path.c common/program/program_path.h \
	common/program/child.c common/program/child.h \
	common/program/device_program.c common/program/device_program.h
