# Taps: opened by the supervisor, and by atoll-net that is run by hand.
common_libcommon_la_SOURCES += common/tap.c common/tap.h
