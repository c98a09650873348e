# atoll audit: reading processes, judging what was read.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_audit tests/unit/test_audit_proc tests/unit/test_audit_trace
TESTS += tests/unit/test_audit tests/unit/test_audit_proc tests/unit/test_audit_trace
tests_unit_test_audit_SOURCES = tests/unit/test_audit.c
tests_unit_test_audit_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_audit_LDADD = audit/libaudit.la $(UNIT_LIBS)
tests_unit_test_audit_proc_SOURCES = tests/unit/test_audit_proc.c
tests_unit_test_audit_proc_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_audit_proc_LDADD = audit/libaudit.la $(UNIT_LIBS)
tests_unit_test_audit_trace_SOURCES = tests/unit/test_audit_trace.c
tests_unit_test_audit_trace_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_audit_trace_LDADD = audit/libaudit.la $(UNIT_LIBS)
endif
