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

# One for each kind of thread, and ROLE.process, the union of a role's; filters.h has the same list.
POLICY_FILTERS = \
	policy/compiled/blk.main policy/compiled/blk.process policy/compiled/blk.queue \
	policy/compiled/blk-hand.main policy/compiled/blk-hand.process policy/compiled/blk-hand.queue \
	policy/compiled/console.main policy/compiled/console-hand.main \
	policy/compiled/core.attendant policy/compiled/core.main policy/compiled/core.process policy/compiled/core.vcpu \
	policy/compiled/net.main policy/compiled/net-hand.main \
	policy/compiled/rng.main policy/compiled/rng-hand.main \
	policy/compiled/supervisor.main policy/compiled/supervisor-sealed.main \
	policy/compiled/undertaker.main policy/compiled/undertaker-hand.main
POLICY_TEXTS = \
	policy/common.policy policy/groups.policy policy/process.policy \
	policy/blk.main.policy policy/blk.queue.policy policy/blk-hand.main.policy policy/blk-hand.queue.policy \
	policy/console.main.policy policy/console-hand.main.policy \
	policy/core.attendant.policy policy/core.main.policy policy/core.vcpu.policy \
	policy/net.main.policy policy/net-hand.main.policy \
	policy/rng.main.policy policy/rng-hand.main.policy \
	policy/supervisor.main.policy policy/supervisor-sealed.main.policy \
	policy/undertaker.main.policy policy/undertaker-hand.main.policy
POLICY_SOURCES = $(POLICY_FILTERS:=.c)
POLICY_MANIFESTS = $(POLICY_FILTERS:=.json)

policy_libfilters_la_SOURCES = policy/filters.c policy/filters.h
nodist_policy_libfilters_la_SOURCES = $(POLICY_SOURCES)

# One run makes all; what it makes depends on its stamp.
policy/compiled/filters.stamp: $(POLICY_TEXTS) policy/atoll-policyc$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) policy/compiled && rm -f $@ && \
		names=; for filter in $(POLICY_FILTERS); do names="$$names $${filter##*/}"; done; \
		policy/atoll-policyc$(EXEEXT) $(srcdir)/policy policy/compiled $$names && \
		echo made >$@
$(POLICY_SOURCES) $(POLICY_MANIFESTS): policy/compiled/filters.stamp
	@test -f $@ || { rm -f policy/compiled/filters.stamp; $(MAKE) $(AM_MAKEFLAGS) policy/compiled/filters.stamp; }

policydir = $(pkgdatadir)/policy
dist_policy_DATA = $(POLICY_TEXTS)
nodist_policy_DATA = $(POLICY_MANIFESTS)
CLEANFILES += policy/compiled/filters.stamp $(POLICY_SOURCES) $(POLICY_MANIFESTS)
dist_man_MANS += docs/man/atoll-policy.1 docs/man/atoll-policy.5
