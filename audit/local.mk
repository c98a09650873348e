# audit/: what a VM's processes may do, read from the kernel and held against what is written; a library, and its printing.
noinst_LTLIBRARIES += audit/libaudit.la
audit_libaudit_la_SOURCES = \
	audit/audit.h \
	audit/audit_check.c audit/audit_check.h \
	audit/audit_expect.c audit/audit_expect.h \
	audit/audit_fds.c \
	audit/audit_gather.c \
	audit/audit_judge.c audit/audit_judge_parts.h \
	audit/audit_judge_family.c \
	audit/audit_judge_fds.c audit/audit_judge_fds.h \
	audit/audit_judge_filters.c audit/audit_judge_filters.h \
	audit/audit_judge_namespaces.c \
	audit/audit_judge_rights.c \
	audit/audit_judge_room.c \
	audit/audit_judge_unseen.c \
	audit/audit_outside.c \
	audit/audit_print.c \
	audit/audit_proc.c audit/audit_proc.h \
	audit/audit_proc_files.c \
	audit/audit_proc_text.h \
	audit/audit_shares.c \
	audit/audit_sockets.c audit/audit_sockets.h \
	audit/audit_trace.c audit/audit_trace.h
audit_libaudit_la_LIBADD = policy/libfilters.la common/libcommon.la $(JANSSON_LIBS)

dist_man_MANS += docs/man/atoll-audit.1
