# The names of x86-64's system calls: the table is what the kernel's headers say on the machine that builds.
common_libcommon_la_SOURCES += common/syscall_names.c common/syscall_names.h
nodist_common_libcommon_la_SOURCES = common/syscall_table.h
BUILT_SOURCES += common/syscall_table.h
CLEANFILES += common/syscall_table.h
common/syscall_table.h: Makefile
	$(AM_V_GEN)$(MKDIR_P) common && echo '#include <asm/unistd_64.h>' | $(CC) -E -dM - | LC_ALL=C sort | \
		$(SED) -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9][0-9]*\)$$/[\2] = "\1",/p' >$@.part && test -s $@.part && \
		mv $@.part $@
common/syscall_names.lo: common/syscall_table.h
