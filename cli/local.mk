# cli/: the `atoll` command.
bin_PROGRAMS += cli/atoll
cli_atoll_SOURCES = \
	cli/command_audit.c \
	cli/command_list.c \
	cli/command_monitor.c \
	cli/command_policy.c \
	cli/command_run.c \
	cli/commands.h \
	cli/main.c \
	cli/supervisor_start.c cli/supervisor_start.h
cli_atoll_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS)
cli_atoll_LDADD = audit/libaudit.la config/libconfigfile.la policy/libfilters.la policy/libpolicytools.la $(JANSSON_LIBS)

dist_man_MANS += docs/man/atoll.1
