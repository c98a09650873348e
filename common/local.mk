# common/: what more than one process needs; small libraries with one header each, in one archive.
noinst_LTLIBRARIES += common/libcommon.la

common_libcommon_la_SOURCES = \
	common/log.c common/log.h \
	common/log_record.c common/log_record.h \
	common/log_limit.c common/log_limit.h \
	common/eventfd_wire.c common/eventfd_wire.h \
	common/escape.c common/escape.h \
	common/line_file.c common/line_file.h \
	common/peers.c common/peers.h \
	common/loop.c common/loop.h \
	common/fd_passing.c common/fd_passing.h \
	common/control_wire.c common/control_wire.h \
	common/child.c common/child.h \
	common/device_program.c common/device_program.h \
	common/jail.h common/jail_enter.c common/jail_fork.c common/jail_user.c common/jail_user.h common/jail_landlock.c common/jail_seal.c \
	common/jail_record.c common/jail_record.h \
	common/jail_violation.c common/jail_violation.h \
	common/pty.c common/pty.h \
	common/seccomp_filter.h \
	common/state_page.c common/state_page.h \
	common/device_state.c common/device_state.h \
	common/virtio_spec.h
common_libcommon_la_LIBADD = proto/libproto.la $(EVENT_LIBS) $(CAP_LIBS)

include common/queue.mk
include common/register.mk
include common/syscall_names.mk
include common/image.mk
include common/kernel_image.mk
include common/tap.mk
