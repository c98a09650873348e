# tests/e2e/: bats over whole programs. Misbehaving programs that the tests need are built by `make e2e-helpers`.
E2E_HELPERS =
EXTRA_PROGRAMS += $(E2E_HELPERS)

.PHONY: e2e-helpers
e2e-helpers: $(E2E_HELPERS)
EXTRA_DIST += tests/e2e/install.bats tests/e2e/by-hand.bats tests/e2e/front-end.py
E2E_HELPERS += tests/e2e/helpers/recorded
tests_e2e_helpers_recorded_SOURCES = tests/e2e/helpers/recorded.c
tests_e2e_helpers_recorded_LDADD = common/libcommon.la
EXTRA_DIST += tests/e2e/qemu-blk.bats tests/e2e/qemu-blk-init
EXTRA_DIST += tests/e2e/qemu-net.bats tests/e2e/qemu-net-init
E2E_HELPERS += tests/e2e/helpers/largest_frames
tests_e2e_helpers_largest_frames_SOURCES = tests/e2e/helpers/largest_frames.c

# Runs atoll-core without a supervisor, and a guest that ends in each way there is.
EXTRA_DIST += tests/e2e/core.bash tests/e2e/core.bats tests/e2e/core-attach.bats tests/e2e/core-devices.bats tests/e2e/helpers/end_guest.S
E2E_HELPERS += tests/e2e/helpers/core_harness
tests_e2e_helpers_core_harness_SOURCES = tests/e2e/helpers/core_harness.c
tests_e2e_helpers_core_harness_LDADD = supervisor/libsupervisor.la policy/libfilters.la policy/libpolicy.la common/libcommon.la

CLEANFILES += tests/e2e/helpers/end_guest
e2e-helpers: tests/e2e/helpers/end_guest
tests/e2e/helpers/end_guest: tests/e2e/helpers/end_guest.S
	$(AM_V_GEN)$(MKDIR_P) tests/e2e/helpers && $(CC) -m32 -nostdlib -static -no-pie -Wl,-Ttext=0x100000 -Wl,--section-start=.note.pvh=0x101000 -Wl,-e,start \
		-Wl,--build-id=none -Wl,-n -o $@ $<

# The supervisor, with real processes and with ones that misbehave.
EXTRA_DIST += tests/e2e/limits.bats
EXTRA_DIST += tests/e2e/vm.bash tests/e2e/cli.bats tests/e2e/config.bats tests/e2e/life.bats
E2E_HELPERS += tests/e2e/helpers/fake_child
tests_e2e_helpers_fake_child_SOURCES = tests/e2e/helpers/fake_child.c
tests_e2e_helpers_fake_child_LDADD = policy/libfilters.la common/libcommon.la

# A host whose clock was set back, for who is started with it.
EXTRA_DIST += tests/e2e/helpers/clock_back.c
CLEANFILES += tests/e2e/helpers/clock_back.so
e2e-helpers: tests/e2e/helpers/clock_back.so
tests/e2e/helpers/clock_back.so: tests/e2e/helpers/clock_back.c
	$(AM_V_GEN)$(MKDIR_P) tests/e2e/helpers && $(CC) -shared -fPIC -O2 -o $@ $<

# A supervisor that was taken over, and its starter.
EXTRA_DIST += tests/e2e/supervisor.bats tests/e2e/starter.bats tests/e2e/helpers/taken_over.c
CLEANFILES += tests/e2e/helpers/taken_over.so
e2e-helpers: tests/e2e/helpers/taken_over.so
tests/e2e/helpers/taken_over.so: tests/e2e/helpers/taken_over.c
	$(AM_V_GEN)$(MKDIR_P) tests/e2e/helpers && $(CC) -shared -fPIC -O2 -Wall -Wextra -Werror -o $@ $<

# Bare-metal guests under atoll run.
EXTRA_DIST += tests/e2e/paths.bats
EXTRA_DIST += tests/e2e/guest.bash tests/e2e/guest-blk.bats tests/e2e/guest-console.bats tests/e2e/guest-net.bats \
	tests/e2e/guest-pci.bats

# The policies and their tools.
EXTRA_DIST += tests/e2e/policy.bats tests/e2e/numbers.bats

# Processes in the jail, behind each filter, that try to get out.
EXTRA_DIST += tests/e2e/jail.bats
E2E_HELPERS += tests/e2e/helpers/intruder
tests_e2e_helpers_intruder_SOURCES = tests/e2e/helpers/intruder.c
tests_e2e_helpers_intruder_LDADD = policy/libfilters.la policy/libpolicy.la common/libcommon.la

# atoll audit, and an atoll-blk with another filter than policy/ compiled.
EXTRA_DIST += tests/e2e/audit.bats tests/e2e/audit-guest.bats
E2E_HELPERS += tests/e2e/helpers/swapped_blk
tests_e2e_helpers_swapped_blk_SOURCES = $(dev_blk_atoll_blk_SOURCES) tests/e2e/helpers/swapped_filter.c
tests_e2e_helpers_swapped_blk_CPPFLAGS = $(AM_CPPFLAGS)
tests_e2e_helpers_swapped_blk_LDADD = $(dev_blk_atoll_blk_LDADD)

EXTRA_DIST += tests/e2e/guest-rng.bats tests/e2e/restart.bats tests/e2e/runner.bats tests/e2e/undertaker.bats
EXTRA_DIST += tests/e2e/restart-console.bats
EXTRA_DIST += tests/e2e/violation.bats

# Another allocator in every process.
EXTRA_DIST += tests/e2e/allocator.bats

# Hosts that lack something.
EXTRA_DIST += tests/e2e/host.bats
E2E_HELPERS += tests/e2e/helpers/without
tests_e2e_helpers_without_SOURCES = tests/e2e/helpers/without.c
tests_e2e_helpers_without_LDADD = common/libcommon.la

# A disk's process that dies where it is told to.
EXTRA_DIST += tests/e2e/crash-points.bats
E2E_HELPERS += tests/e2e/helpers/crash_blk
tests_e2e_helpers_crash_blk_SOURCES = $(dev_blk_atoll_blk_SOURCES)
tests_e2e_helpers_crash_blk_CPPFLAGS = $(AM_CPPFLAGS) -DENABLE_CRASH_POINTS
tests_e2e_helpers_crash_blk_LDADD = dev-blk/libblk_crash.la $(dev_blk_atoll_blk_LDADD)

# Ones whose queue's thread aborts: at an assertion, by its heap; or calls what it may not.
EXTRA_DIST += tests/e2e/helpers/aborting_queue.c
E2E_HELPERS += tests/e2e/helpers/aborting_blk tests/e2e/helpers/aborting_heap_blk tests/e2e/helpers/violating_blk
ABORTING_FILES = $(dev_blk_atoll_blk_SOURCES) tests/e2e/helpers/aborting_queue.c
ABORTING_WRAP = $(AM_LDFLAGS) -Wl,--wrap=virtqueue_pop
tests_e2e_helpers_aborting_blk_SOURCES = $(ABORTING_FILES)
tests_e2e_helpers_aborting_blk_CPPFLAGS = $(AM_CPPFLAGS) -UNDEBUG
tests_e2e_helpers_aborting_blk_LDFLAGS = $(ABORTING_WRAP)
tests_e2e_helpers_aborting_blk_LDADD = $(dev_blk_atoll_blk_LDADD)
tests_e2e_helpers_aborting_heap_blk_SOURCES = $(ABORTING_FILES)
tests_e2e_helpers_aborting_heap_blk_CPPFLAGS = $(AM_CPPFLAGS) -DABORT_BY_HEAP
tests_e2e_helpers_aborting_heap_blk_LDFLAGS = $(ABORTING_WRAP)
tests_e2e_helpers_aborting_heap_blk_LDADD = $(dev_blk_atoll_blk_LDADD)
tests_e2e_helpers_violating_blk_SOURCES = $(ABORTING_FILES)
tests_e2e_helpers_violating_blk_CPPFLAGS = $(AM_CPPFLAGS) -DVIOLATE
tests_e2e_helpers_violating_blk_LDFLAGS = $(ABORTING_WRAP)
tests_e2e_helpers_violating_blk_LDADD = $(dev_blk_atoll_blk_LDADD)

# One that dies before it has noted that data was lost.
E2E_HELPERS += tests/e2e/helpers/forgetful_blk
tests_e2e_helpers_forgetful_blk_SOURCES = $(dev_blk_atoll_blk_SOURCES) tests/e2e/helpers/forgetful_disk.c
tests_e2e_helpers_forgetful_blk_CPPFLAGS = $(AM_CPPFLAGS)
tests_e2e_helpers_forgetful_blk_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=blk_disk_lost
tests_e2e_helpers_forgetful_blk_LDADD = $(dev_blk_atoll_blk_LDADD)

# make bench, in slices too short to mean anything.
EXTRA_DIST += tests/e2e/bench.bats
