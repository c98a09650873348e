# dev-rng/: atoll-rng, one file over the library.
pkglibexec_PROGRAMS += dev-rng/atoll-rng
dev_rng_atoll_rng_SOURCES = dev-rng/main.c
dev_rng_atoll_rng_LDADD = policy/libfilters.la common/libcommon.la

# What management tools look for; the same order of search as QEMU's own back ends.
vhostuser_DATA += dev-rng/50-atoll-rng.json
EXTRA_DIST += dev-rng/README.md dev-rng/50-atoll-rng.json.in
CLEANFILES += dev-rng/50-atoll-rng.json
dev-rng/50-atoll-rng.json: dev-rng/50-atoll-rng.json.in Makefile
	$(AM_V_GEN)$(MKDIR_P) dev-rng && \
	$(SED) 's|@pkglibexecdir[@]|$(pkglibexecdir)|' $(srcdir)/dev-rng/50-atoll-rng.json.in >$@.part && mv $@.part $@

dist_man_MANS += docs/man/atoll-rng.8
