# dev-net/: atoll-net. The device is an archive, so that tests can link it; the program is main.c over it.
noinst_LTLIBRARIES += dev-net/libnet.la
dev_net_libnet_la_SOURCES = \
	dev-net/virtio_net_spec.h \
	dev-net/net_filter.c dev-net/net_filter.h \
	dev-net/net_header.c dev-net/net_header.h \
	dev-net/net_port.c dev-net/net_port.h \
	dev-net/net_control.c dev-net/net_control.h \
	dev-net/net_rx.c dev-net/net_rx.h \
	dev-net/net_state.c dev-net/net_state.h \
	dev-net/net_tx.c dev-net/net_tx.h \
	dev-net/net_device.c dev-net/net_device.h
dev_net_libnet_la_LIBADD = common/libcommon.la

pkglibexec_PROGRAMS += dev-net/atoll-net
dev_net_atoll_net_SOURCES = dev-net/main.c dev-net/net_program.h dev-net/net_by_hand.c dev-net/net_supervised.c
dev_net_atoll_net_LDADD = policy/libfilters.la dev-net/libnet.la common/libcommon.la

# What management tools look for; the same order of search as QEMU's own back ends.
vhostuser_DATA += dev-net/50-atoll-net.json
EXTRA_DIST += dev-net/50-atoll-net.json.in
CLEANFILES += dev-net/50-atoll-net.json
dev-net/50-atoll-net.json: dev-net/50-atoll-net.json.in Makefile
	$(AM_V_GEN)$(MKDIR_P) dev-net && \
	$(SED) 's|@pkglibexecdir[@]|$(pkglibexecdir)|' $(srcdir)/dev-net/50-atoll-net.json.in >$@.part && mv $@.part $@

dist_man_MANS += docs/man/atoll-net.8
EXTRA_DIST += dev-net/README.md
