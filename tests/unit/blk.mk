# Disk images, their locks, and atoll-blk.
if HAVE_CMOCKA
TESTS += tests/unit/test_disk_image
check_PROGRAMS += tests/unit/test_disk_image
tests_unit_test_disk_image_SOURCES = tests/unit/test_disk_image.c
tests_unit_test_disk_image_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_disk_image_LDADD = $(UNIT_LIBS)
endif
