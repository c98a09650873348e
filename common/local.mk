# common/: what more than one process needs; small libraries with one header each, in one archive.
noinst_LTLIBRARIES += common/libcommon.la
common_libcommon_la_SOURCES =
common_libcommon_la_LIBADD = proto/libproto.la $(EVENT_LIBS) $(CAP_LIBS)

include common/spec/local.mk
include common/base/local.mk
include common/roles/local.mk
include common/ring/local.mk
include common/vhost-user/local.mk
include common/vfio-user/local.mk
include common/jail/local.mk
include common/host/local.mk
include common/program/local.mk
