# proto/: the control plane's schema, its generated code, and the framing. Calls nothing of ours.
noinst_LTLIBRARIES += proto/libproto-generated.la proto/libproto.la

CONTROL_GENERATED = proto/control.pb-c.c proto/control.pb-c.h
BUILT_SOURCES += $(CONTROL_GENERATED)
CLEANFILES += $(CONTROL_GENERATED)
EXTRA_DIST += proto/control.proto

proto/control.pb-c.h: proto/control.pb-c.c
proto/control.pb-c.c: $(srcdir)/proto/control.proto
	$(AM_V_GEN)$(MKDIR_P) proto && $(PROTOC_C) -I$(srcdir)/proto --c_out=proto $(srcdir)/proto/control.proto

# Generated code is not held to our warnings.
nodist_proto_libproto_generated_la_SOURCES = $(CONTROL_GENERATED)
proto_libproto_generated_la_CFLAGS = -std=gnu17 $(HARDENING_CFLAGS) $(PROTOBUF_C_CFLAGS)

proto_libproto_la_SOURCES = proto/control_frame.c proto/control_frame.h
proto_libproto_la_LIBADD = proto/libproto-generated.la $(PROTOBUF_C_LIBS)
