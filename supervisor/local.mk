# supervisor/: what holds a VM: atoll-supervisor. Its parts are in an archive of their own so that the tests can link them.
# What reads YAML (libconfigfile) and JSON, and what audits, is the command's; tests/e2e/supervisor.bats looks.
noinst_LTLIBRARIES += supervisor/libsupervisor.la
supervisor_libsupervisor_la_SOURCES = \
	supervisor/run.c supervisor/run.h supervisor/run_parts.h \
	supervisor/run_check.c supervisor/run_check.h \
	supervisor/run_record.c supervisor/run_record.h \
	supervisor/run_signals.c supervisor/run_signals.h
supervisor_libsupervisor_la_LIBADD = policy/libpolicy.la config/libconfig.la common/libcommon.la

include supervisor/vm/local.mk
include supervisor/host/local.mk
include supervisor/monitor/local.mk

pkglibexec_PROGRAMS += supervisor/atoll-supervisor
supervisor_atoll_supervisor_SOURCES = supervisor/main.c
supervisor_atoll_supervisor_LDADD = supervisor/libsupervisor.la policy/libfilters.la

dist_man_MANS += docs/man/atoll-supervisor.8
