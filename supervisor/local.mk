# supervisor/: what holds a VM. An archive of its parts, so that tests can link them.
noinst_LTLIBRARIES += supervisor/libsupervisor.la
supervisor_libsupervisor_la_SOURCES =
supervisor_libsupervisor_la_LIBADD = policy/libpolicy.la config/libconfig.la common/libcommon.la

include supervisor/vm/local.mk
include supervisor/host/local.mk
include supervisor/monitor/local.mk
