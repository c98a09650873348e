# dev-undertaker/: atoll-undertaker. An archive for tests, and the program over it.
noinst_LTLIBRARIES += dev-undertaker/libundertaker.la
dev_undertaker_libundertaker_la_SOURCES = dev-undertaker/undertaker.c dev-undertaker/undertaker.h
dev_undertaker_libundertaker_la_LIBADD = common/libcommon.la

pkglibexec_PROGRAMS += dev-undertaker/atoll-undertaker
dev_undertaker_atoll_undertaker_SOURCES = dev-undertaker/main.c
dev_undertaker_atoll_undertaker_LDADD = policy/libfilters.la dev-undertaker/libundertaker.la common/libcommon.la

dist_man_MANS += docs/man/atoll-undertaker.8
EXTRA_DIST += dev-undertaker/README.md
