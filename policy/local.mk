# policy/: the policies of system calls, their compiler and tools, and the filters made from them.
#
# libpolicy: texts and what they say; libpolicycompile: libseccomp, for the build and for `atoll policy`; libfilters: the
# compiled filters, of which a program that links it gets those it names; libpolicytools: what `atoll policy` does.
noinst_LTLIBRARIES += policy/libpolicy.la policy/libpolicycompile.la policy/libfilters.la policy/libpolicytools.la
noinst_PROGRAMS += policy/atoll-policyc

policy_libpolicy_la_SOURCES = \
	policy/bpf_interpreter.c policy/bpf_interpreter.h \
	policy/policy.h \
	policy/policy_directory.c policy/policy_directory.h \
	policy/policy_calls.c policy/policy_constants.c policy/policy_constants_headers.h policy/policy_names.h \
	policy/policy_evaluate.c \
	policy/policy_lint.c \
	policy/policy_load.c \
	policy/policy_memory.c policy/policy_memory.h \
	policy/policy_parse.c policy/policy_parser.h \
	policy/policy_parse_conditions.c \
	policy/policy_parse_rule.c \
	policy/policy_parse_words.c \
	policy/policy_problem.c \
	policy/policy_replay.c \
	policy/policy_union.c policy/policy_union.h \
	policy/sha256.c policy/sha256.h
policy_libpolicy_la_LIBADD = common/libcommon.la
# What of the constants there is, is asked of the headers of the machine that builds.
EXTRA_DIST += policy/constants.list policy/make-constants
nodist_policy_libpolicy_la_SOURCES = policy/policy_constants_tables.h
BUILT_SOURCES += policy/policy_constants_tables.h
CLEANFILES += policy/policy_constants_tables.h
policy/policy_constants_tables.h: policy/constants.list policy/make-constants policy/policy_constants_headers.h Makefile
	$(AM_V_GEN)$(MKDIR_P) policy && $(srcdir)/policy/make-constants $(srcdir)/policy/constants.list \
		$(srcdir)/policy/policy_constants_headers.h $(CC) $(CPPFLAGS) -D_GNU_SOURCE >$@.part && mv $@.part $@
policy/policy_constants.lo: policy/policy_constants_tables.h

policy_libpolicycompile_la_SOURCES = \
	policy/policy_compile.c policy/policy_compile.h \
	policy/policy_write.c
policy_libpolicycompile_la_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)
policy_libpolicycompile_la_LIBADD = policy/libpolicy.la $(SECCOMP_LIBS) $(JANSSON_LIBS)

policy_libpolicytools_la_SOURCES = \
	policy/policy_check.c policy/policy_check.h \
	policy/policy_cover.c policy/policy_cover.h \
	policy/policy_diff.c policy/policy_diff.h \
	policy/policy_explain.c \
	policy/policy_record.c policy/policy_record.h
policy_libpolicytools_la_LIBADD = policy/libpolicycompile.la policy/libpolicy.la policy/libfilters.la $(JANSSON_LIBS)

policy_atoll_policyc_SOURCES = policy/policyc.c
policy_atoll_policyc_LDADD = policy/libpolicycompile.la policy/libpolicy.la common/libcommon.la

POLICY_NAMES = \
	blk.main blk.queue blk-hand.main blk-hand.queue console.main \
	console-hand.main core.attendant core.main core.vcpu net.main \
	net-hand.main supervisor.main supervisor-sealed.main undertaker.main undertaker-hand.main
POLICY_UNIONS = blk.process blk-hand.process core.process
POLICY_TEXTS = \
	policy/common.policy policy/groups.policy policy/process.policy policy/blk.main.policy \
	policy/blk.queue.policy policy/blk-hand.main.policy policy/blk-hand.queue.policy policy/console.main.policy \
	policy/console-hand.main.policy policy/core.attendant.policy policy/core.main.policy policy/core.vcpu.policy \
	policy/net.main.policy policy/net-hand.main.policy policy/supervisor.main.policy policy/supervisor-sealed.main.policy \
	policy/undertaker.main.policy \
	policy/undertaker-hand.main.policy
POLICY_SOURCES = \
	policy/compiled/blk.main.c policy/compiled/blk.process.c policy/compiled/blk.queue.c policy/compiled/blk-hand.main.c \
	policy/compiled/blk-hand.process.c policy/compiled/blk-hand.queue.c policy/compiled/console.main.c policy/compiled/console-hand.main.c \
	policy/compiled/core.attendant.c policy/compiled/core.main.c policy/compiled/core.process.c policy/compiled/core.vcpu.c \
	policy/compiled/net.main.c policy/compiled/net-hand.main.c policy/compiled/supervisor.main.c policy/compiled/supervisor-sealed.main.c policy/compiled/undertaker.main.c \
	policy/compiled/undertaker-hand.main.c
POLICY_MANIFESTS = \
	policy/compiled/blk.main.json policy/compiled/blk.process.json policy/compiled/blk.queue.json policy/compiled/blk-hand.main.json \
	policy/compiled/blk-hand.process.json policy/compiled/blk-hand.queue.json policy/compiled/console.main.json policy/compiled/console-hand.main.json \
	policy/compiled/core.attendant.json policy/compiled/core.main.json policy/compiled/core.process.json policy/compiled/core.vcpu.json \
	policy/compiled/net.main.json policy/compiled/net-hand.main.json policy/compiled/supervisor.main.json policy/compiled/supervisor-sealed.main.json policy/compiled/undertaker.main.json \
	policy/compiled/undertaker-hand.main.json

policy_libfilters_la_SOURCES = policy/filters.c policy/filters.h
nodist_policy_libfilters_la_SOURCES = $(POLICY_SOURCES)

# One run makes all; what it makes depends on its stamp.
policy/compiled/filters.stamp: $(POLICY_TEXTS) policy/atoll-policyc$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) policy/compiled && rm -f $@ && \
		policy/atoll-policyc$(EXEEXT) $(srcdir)/policy policy/compiled $(POLICY_NAMES) $(POLICY_UNIONS) && \
		echo made >$@
$(POLICY_SOURCES) $(POLICY_MANIFESTS): policy/compiled/filters.stamp
	@test -f $@ || { rm -f policy/compiled/filters.stamp; $(MAKE) $(AM_MAKEFLAGS) policy/compiled/filters.stamp; }

policydir = $(pkgdatadir)/policy
dist_policy_DATA = $(POLICY_TEXTS)
nodist_policy_DATA = $(POLICY_MANIFESTS)
CLEANFILES += policy/compiled/filters.stamp $(POLICY_SOURCES) $(POLICY_MANIFESTS)
dist_man_MANS += docs/man/atoll-policy.1 docs/man/atoll-policy.5
