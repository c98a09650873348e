# Disk images, their locks, and atoll-blk.
if HAVE_CMOCKA
TESTS += tests/unit/test_disk_image
check_PROGRAMS += tests/unit/test_disk_image
tests_unit_test_disk_image_SOURCES = tests/unit/test_disk_image.c
tests_unit_test_disk_image_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_disk_image_LDADD = $(UNIT_LIBS)

TESTS += tests/unit/test_blk
check_PROGRAMS += tests/unit/test_blk
tests_unit_test_blk_SOURCES = tests/unit/test_blk.c tests/unit/blk_guest.c tests/unit/blk_guest.h
tests_unit_test_blk_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_blk_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fdatasync,--wrap=io_uring_submit,--wrap=preadv2,--wrap=pwritev2 \
	-Wl,--wrap=vhost_user_backend_queue_broken
tests_unit_test_blk_LDADD = dev-blk/libblk.la $(UNIT_LIBS)

TESTS += tests/unit/test_blk_crash
check_PROGRAMS += tests/unit/test_blk_crash
tests_unit_test_blk_crash_SOURCES = tests/unit/test_blk_crash.c
tests_unit_test_blk_crash_CPPFLAGS = $(UNIT_CPPFLAGS) -DENABLE_CRASH_POINTS
tests_unit_test_blk_crash_LDADD = dev-blk/libblk_crash.la $(UNIT_LIBS)

# Starts the program itself.
TESTS += tests/unit/test_blk_program
check_PROGRAMS += tests/unit/test_blk_program
tests_unit_test_blk_program_SOURCES = tests/unit/test_blk_program.c
tests_unit_test_blk_program_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_blk_program_LDADD = $(UNIT_LIBS)
EXTRA_tests_unit_test_blk_program_DEPENDENCIES = dev-blk/atoll-blk$(EXEEXT)
endif
