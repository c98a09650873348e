# supervisor/: the `atoll` command. An archive of its parts, so that tests can link them, and a main.
noinst_LTLIBRARIES += supervisor/libsupervisor.la
bin_PROGRAMS += supervisor/atoll

supervisor_libsupervisor_la_SOURCES = \
	supervisor/cgroup.c supervisor/cgroup.h \
	supervisor/child_output.c supervisor/child_output.h \
	supervisor/child_process.c supervisor/child_process.h \
	supervisor/config.c supervisor/config.h \
	supervisor/config_check.c \
	supervisor/config_schema.c supervisor/config_schema.h \
	supervisor/config_tree.c supervisor/config_tree.h \
	supervisor/config_value.c supervisor/config_value.h \
	supervisor/console_file.c supervisor/console_file.h \
	supervisor/detach.c supervisor/detach.h \
	supervisor/inherited.c supervisor/inherited.h \
	supervisor/file_claims.c supervisor/file_claims.h \
	supervisor/heartbeat.c supervisor/heartbeat.h \
	supervisor/link_watch.c supervisor/link_watch.h \
	supervisor/log_file.c supervisor/log_file.h \
	supervisor/log_output.c supervisor/log_output.h \
	supervisor/monitor.c supervisor/monitor.h \
	supervisor/monitor_client.c supervisor/monitor_client.h \
	supervisor/nearest.c supervisor/nearest.h \
	supervisor/problem.c supervisor/problem.h \
	supervisor/process_title.c supervisor/process_title.h \
	supervisor/own_process.c supervisor/own_process.h \
	supervisor/processor.c supervisor/processor.h \
	supervisor/policy_directory.c supervisor/policy_directory.h \
	supervisor/reach.c supervisor/reach.h \
	supervisor/record.c supervisor/record.h \
	supervisor/relay.c supervisor/relay.h \
	supervisor/report.c supervisor/report.h \
	supervisor/resources.c supervisor/resources.h \
	supervisor/restart.c supervisor/restart.h \
	supervisor/runtime_dir.c supervisor/runtime_dir.h \
	supervisor/spawn.c supervisor/spawn.h \
	supervisor/starter.c supervisor/starter.h \
	supervisor/terminal.c supervisor/terminal.h \
	supervisor/vm.c supervisor/vm.h \
	supervisor/vm_configure.c \
	supervisor/vm_device.c supervisor/vm_device.h
supervisor_libsupervisor_la_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS) $(YAML_CFLAGS)
supervisor_libsupervisor_la_LIBADD = policy/libpolicy.la common/libcommon.la $(CYAML_LIBS) $(YAML_LIBS)

# atoll audit: an archive of its own, for its tests.
noinst_LTLIBRARIES += supervisor/libaudit.la
supervisor_libaudit_la_SOURCES = \
	supervisor/audit.h \
	supervisor/audit_expect.c supervisor/audit_expect.h \
	supervisor/audit_fds.c \
	supervisor/audit_gather.c \
	supervisor/audit_judge.c supervisor/audit_judge.h \
	supervisor/audit_judge_fds.c \
	supervisor/audit_judge_filters.c \
	supervisor/audit_outside.c \
	supervisor/audit_print.c \
	supervisor/audit_proc.c supervisor/audit_proc.h \
	supervisor/audit_proc_files.c supervisor/audit_proc_text.h \
	supervisor/audit_shares.c \
	supervisor/audit_sockets.c supervisor/audit_sockets.h \
	supervisor/audit_trace.c supervisor/audit_trace.h
supervisor_libaudit_la_LIBADD = policy/libfilters.la supervisor/libsupervisor.la $(JANSSON_LIBS)

supervisor_atoll_SOURCES = \
	supervisor/main.c supervisor/commands.h \
	supervisor/command_audit.c supervisor/command_list.c supervisor/command_monitor.c supervisor/command_policy.c \
	supervisor/command_run.c supervisor/supervisor_seal.c supervisor/supervisor_seal.h
supervisor_atoll_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS)
supervisor_atoll_LDADD = supervisor/libaudit.la supervisor/libsupervisor.la policy/libfilters.la policy/libpolicytools.la $(JANSSON_LIBS)

dist_man_MANS += docs/man/atoll.1 docs/man/atoll-audit.1 docs/man/atoll.yaml.5
