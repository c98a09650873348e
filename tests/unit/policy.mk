# The policies' language, evaluator, checks and compiler.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_policy
TESTS += tests/unit/test_policy
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c
tests_unit_test_policy_CPPFLAGS = $(UNIT_CPPFLAGS) -DPOLICY_TEXTS_DIR='"$(abs_top_srcdir)/policy"'
tests_unit_test_policy_LDADD = policy/libpolicytools.la policy/libpolicy.la $(UNIT_LIBS)
endif
