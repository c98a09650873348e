# What every program of the family needs: log, loop, descriptors, escaping, the control wire.
common_libcommon_la_SOURCES += \
	common/base/clock.h \
	common/base/control_wire.c common/base/control_wire.h \
	common/base/crash_point.h \
	common/base/escape.c common/base/escape.h \
	common/base/eventfd_wire.c common/base/eventfd_wire.h \
	common/base/fd_passing.c common/base/fd_passing.h \
	common/base/fd_wait.c common/base/fd_wait.h \
	common/base/line_file.c common/base/line_file.h \
	common/base/log.c common/base/log.h \
	common/base/log_limit.c common/base/log_limit.h \
	common/base/log_record.c common/base/log_record.h \
	common/base/loop.c common/base/loop.h \
	common/base/mac.c common/base/mac.h \
	common/base/names.c common/base/names.h \
	common/base/pack.c common/base/pack.h \
	common/base/peers.c common/base/peers.h \
	common/base/proc.c common/base/proc.h \
	common/base/report.c common/base/report.h \
	common/base/sealed_memfd.c common/base/sealed_memfd.h \
	common/base/seccomp_filter.h \
	common/base/spare_devices.h \
	common/base/socket_path.c common/base/socket_path.h \
	common/base/syscall_names.c common/base/syscall_names.h

# The names of x86-64's system calls: the table is what the kernel's headers say on the machine that builds.
nodist_common_libcommon_la_SOURCES = common/base/syscall_table.h
BUILT_SOURCES += common/base/syscall_table.h
CLEANFILES += common/base/syscall_table.h
common/base/syscall_table.h: Makefile
	$(AM_V_GEN)$(MKDIR_P) common/base && echo '#include <asm/unistd_64.h>' | $(CC) -E -dM - | LC_ALL=C sort | \
		$(SED) -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9][0-9]*\)$$/[\2] = "\1",/p' >$@.part && test -s $@.part && \
		mv $@.part $@
common/base/syscall_names.lo: common/base/syscall_table.h

# For tests: a device process that dies at a chosen step (configure --enable-crash-points).
if ENABLE_CRASH_POINTS
common_libcommon_la_SOURCES += common/base/crash_point.c
else
EXTRA_DIST += common/base/crash_point.c
endif
