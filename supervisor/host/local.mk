# What is opened of the host for a VM, and given back.
supervisor_libsupervisor_la_SOURCES += \
	supervisor/host/cgroup.c supervisor/host/cgroup.h \
	supervisor/host/cgroup_dir.c supervisor/host/cgroup_dir.h \
	supervisor/host/cgroup_limits.c \
	supervisor/host/cgroup_look.c \
	supervisor/host/cgroup_make.c \
	supervisor/host/cgroup_own.c supervisor/host/cgroup_own.h \
	supervisor/host/cgroup_remove.c \
	supervisor/host/cgroup_set.c supervisor/host/cgroup_set.h \
	supervisor/host/console_file.c supervisor/host/console_file.h \
	supervisor/host/detach.c supervisor/host/detach.h \
	supervisor/host/file_claims.c supervisor/host/file_claims.h \
	supervisor/host/inherited.c supervisor/host/inherited.h \
	supervisor/host/link_watch.c supervisor/host/link_watch.h \
	supervisor/host/log_file.c supervisor/host/log_file.h \
	supervisor/host/log_output.c supervisor/host/log_output.h \
	supervisor/host/own_process.c supervisor/host/own_process.h \
	supervisor/host/processor.c supervisor/host/processor.h \
	supervisor/host/reach.c supervisor/host/reach.h \
	supervisor/host/record.c supervisor/host/record.h \
	supervisor/host/relay.c supervisor/host/relay.h \
	supervisor/host/resources.c supervisor/host/resources.h \
	supervisor/host/terminal.c supervisor/host/terminal.h
