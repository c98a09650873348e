# dev-console/: atoll-console. The devices are in an archive of their own so that the tests can link them.
noinst_LTLIBRARIES += dev-console/libconsole.la
dev_console_libconsole_la_SOURCES = \
	dev-console/uart16550.c dev-console/uart16550.h \
	dev-console/console_state.c dev-console/console_state.h \
	dev-console/output.h dev-console/output_parts.h \
	dev-console/output_file.c dev-console/output_open.c dev-console/output_peer.c \
	dev-console/output_read.c dev-console/output_write.c \
	dev-console/serial.c dev-console/serial.h \
	dev-console/virtio_console.c dev-console/virtio_console.h \
	dev-console/virtio_console_spec.h
dev_console_libconsole_la_LIBADD = common/libcommon.la

pkglibexec_PROGRAMS += dev-console/atoll-console
dev_console_atoll_console_SOURCES = dev-console/main.c dev-console/console.h dev-console/console_by_hand.c \
	dev-console/console_supervised.c
dev_console_atoll_console_LDADD = policy/libfilters.la dev-console/libconsole.la common/libcommon.la

vhostuser_DATA += dev-console/50-atoll-console.json
EXTRA_DIST += dev-console/50-atoll-console.json.in
CLEANFILES += dev-console/50-atoll-console.json
dev-console/50-atoll-console.json: dev-console/50-atoll-console.json.in Makefile
	$(AM_V_GEN)$(MKDIR_P) dev-console && \
	$(SED) 's|@pkglibexecdir[@]|$(pkglibexecdir)|' $(srcdir)/dev-console/50-atoll-console.json.in >$@.part && mv $@.part $@

dist_man_MANS += docs/man/atoll-console.8
EXTRA_DIST += dev-console/README.md
