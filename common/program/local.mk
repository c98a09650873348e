# How a program of the family begins, and talks to its supervisor.
common_libcommon_la_SOURCES += \
	common/program/process_title.c common/program/process_title.h \
	common/program/program_path.c common/program/program_path.h \
	common/program/child.c common/program/child.h \
	common/program/virtio_server.c common/program/virtio_server.h \
	common/program/device_program.h common/program/device_main.c \
	common/program/device_life.c common/program/device_life.h \
	common/program/device_supervised.c \
	common/program/device_by_hand.c \
	common/program/device_options.c common/program/device_options.h \
	common/program/device_socket.c common/program/device_socket.h \
	common/program/device_pair.c common/program/device_pair.h \
	common/program/device_session.c
