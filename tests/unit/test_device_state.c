/*
 * What a device's process leaves to its successor (C1): a commit is whole wherever the process is ended, at each
 * instruction of it; and pages that no process of ours can have left are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/ring/device_state.h"

#define WORDS 6

struct record {
	uint64_t words[WORDS];
};

static const struct device_state_layout layout = {3, sizeof(struct record), sizeof(struct record)};
/* What the same program knew before the last two words were there. */
static const struct device_state_layout shorter = {3, sizeof(struct record) - 16, sizeof(struct record) - 16};
/* What it knows now. */
static const struct device_state_layout grown = {3, sizeof(struct record), sizeof(struct record) - 16};

static int page_fd;
static struct device_state state;
static struct device_state_page *page;

static struct record record_of(uint64_t value)
{
	struct record record;

	for (unsigned i = 0; i < WORDS; i++)
		record.words[i] = value;
	return record;
}

static void begin(const struct device_state_layout *of, uint64_t value)
{
	struct record record = record_of(value);

	assert_int_equal(device_state_open(&state, DEVICE_STATE_NET, of, page_fd), 0);
	page = state.page;
	device_state_begin(&state, &record);
}

static int set_up(void **unused)
{
	(void)unused;
	assert_int_equal(state_page_create(&page_fd), 0);
	begin(&layout, 1);
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	device_state_close(&state);
	close(page_fd);
	return 0;
}

/* What a successor finds; NULL and the record, or what is wrong. */
static const char *take(const struct device_state_layout *of, struct record *record)
{
	struct device_state successor;
	const char *problem;

	assert_int_equal(device_state_open(&successor, DEVICE_STATE_NET, of, page_fd), 0);
	problem = device_state_take(&successor, record);
	device_state_close(&successor);
	return problem;
}

static void expect(uint64_t value)
{
	struct record record = record_of(99), wanted = record_of(value);

	assert_null(take(&layout, &record));
	assert_memory_equal(&record, &wanted, sizeof(record));
}

/* --- Going on --- */

static void a_record_is_taken_over(void **unused)
{
	struct device_state successor;
	struct record record;

	(void)unused;
	expect(1);
	for (uint64_t i = 2; i < 10; i++) {
		record = record_of(i);
		device_state_commit(&state, &record);
		expect(i);
	}
	/* A successor commits behind that. */
	assert_int_equal(device_state_open(&successor, DEVICE_STATE_NET, &layout, page_fd), 0);
	assert_null(device_state_take(&successor, &record));
	record = record_of(10);
	device_state_commit(&successor, &record);
	device_state_close(&successor);
	expect(10);
	/* Beginning anew. */
	begin(&layout, 5);
	expect(5);
}

static void a_page_is_empty_until_it_is_begun(void **unused)
{
	struct record record = record_of(7), before = record;

	(void)unused;
	assert_false(device_state_empty(&state));
	device_state_clear(&state);
	assert_true(device_state_empty(&state));
	assert_non_null(take(&layout, &record));
	assert_memory_equal(&record, &before, sizeof(record));
	begin(&layout, 2);
	assert_false(device_state_empty(&state));
	expect(2);
}

/* A program of tomorrow has more in its record, and takes over from one of today; not the other way round. */
static void a_record_grows_at_its_end(void **unused)
{
	struct record record = record_of(99);

	(void)unused;
	device_state_close(&state);
	begin(&shorter, 4);
	assert_null(take(&grown, &record));
	for (unsigned i = 0; i < WORDS; i++)
		assert_int_equal(record.words[i], i < WORDS - 2 ? 4 : 0);
	assert_non_null(take(&layout, &record));
	begin(&grown, 5);
	assert_non_null(take(&shorter, &record));
	expect(5);
}

/* By hand there is no page of the supervisor's, and before it is opened there is none at all. */
static void a_state_without_a_page(void **unused)
{
	struct device_state own = {0};
	struct record record = record_of(3);

	(void)unused;
	device_state_commit(&own, &record);
	device_state_close(&own);
	assert_int_equal(device_state_open(&own, DEVICE_STATE_NET, &layout, -1), 0);
	assert_true(device_state_empty(&own));
	device_state_begin(&own, &record);
	assert_null(device_state_take(&own, &record));
	device_state_close(&own);
}

/* --- Ends --- */

/* Only the two of them are looked at. */
static void the_slot_that_does_not_count_is_nobodys(void **unused)
{
	struct record record = record_of(2);

	(void)unused;
	device_state_commit(&state, &record);
	memset(&page->slots[(page->commits + 1) & 1], 0xa5, sizeof(page->slots[0]));
	expect(2);
	record = record_of(3);
	device_state_commit(&state, &record);
	expect(3);
}

/* The child: commits three records, and is looked at between any two instructions of that. */
static void commit_traced(void)
{
	struct record record;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(77);
	raise(SIGSTOP);
	for (uint64_t i = 2; i <= 4; i++) {
		record = record_of(i);
		device_state_commit(&state, &record);
	}
	_exit(0);
}

static void a_commit_is_whole_at_each_instruction(void **unused)
{
	uint64_t last = 1, steps = 0;
	int status;
	pid_t pid;

	(void)unused;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		commit_traced();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	while (!WIFEXITED(status)) {
		struct record record = record_of(99), wanted;

		assert_true(WIFSTOPPED(status));
		assert_null(take(&layout, &record));
		/* The old one or the next one, and never back. */
		assert_true(record.words[0] == last || record.words[0] == last + 1);
		last = record.words[0];
		wanted = record_of(last);
		assert_memory_equal(&record, &wanted, sizeof(record));
		steps++;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(last, 4);
	assert_true(steps > 100);
}

/* --- Hostile pages --- */

static struct device_state_slot *counting(void)
{
	return &page->slots[page->commits & 1];
}

static void seal(void)
{
	struct device_state_slot *slot = counting();

	slot->checksum = device_state_checksum(slot->sequence, slot->record, slot->length);
}

#define REFUSED(change)                                                 \
	do {                                                            \
		struct record taken = record_of(99), untouched = taken; \
                                                                        \
		begin(&layout, 1);                                      \
		change;                                                 \
		if (take(&layout, &taken) == NULL)                      \
			fail_msg("%s was taken over", #change);         \
		assert_memory_equal(&taken, &untouched, sizeof(taken)); \
		device_state_close(&state);                             \
	} while (0)

static void hostile_pages_are_refused(void **unused)
{
	(void)unused;
	device_state_close(&state);
	REFUSED(page->format = 0);
	REFUSED(page->format = DEVICE_STATE_FORMAT + 1);
	REFUSED(page->format = UINT32_MAX);
	REFUSED(page->kind = DEVICE_STATE_BLK);
	REFUSED(page->kind = UINT32_MAX);
	REFUSED(page->version = layout.version - 1);
	REFUSED(page->version = layout.version + 1);
	REFUSED(page->commits = 1);
	REFUSED(page->commits = 2);
	REFUSED(page->commits = UINT32_MAX);
	REFUSED(counting()->sequence = 2);
	REFUSED((counting()->length = 0, seal()));
	REFUSED((counting()->length = sizeof(struct record) - 8, seal()));
	REFUSED((counting()->length = sizeof(struct record) - 1));
	REFUSED((counting()->length = sizeof(struct record) + 8, seal()));
	REFUSED((counting()->length = DEVICE_STATE_RECORD_MAX, seal()));
	REFUSED(counting()->length = UINT32_MAX);
	REFUSED(counting()->length = UINT32_MAX - 7);
	REFUSED(counting()->checksum++);
	REFUSED(counting()->checksum = 0);
	/* One bit, anywhere. */
	for (unsigned i = 0; i < sizeof(struct record) * 8; i++)
		REFUSED(counting()->record[i / 8] ^= (uint8_t)(1u << i % 8));
	REFUSED(memset(page, 0, sizeof(*page)));
	REFUSED(memset(page, 0xff, sizeof(*page)));
	begin(&layout, 1);
}

static void what_is_no_page_is_refused(void **unused)
{
	struct device_state other;
	int small = memfd_create("small", MFD_CLOEXEC);

	(void)unused;
	assert_int_equal(ftruncate(small, (off_t)STATE_PAGE_SIZE - 1), 0);
	assert_int_equal(device_state_open(&other, DEVICE_STATE_NET, &layout, small), -EINVAL);
	close(small);
	assert_int_equal(device_state_open(&other, DEVICE_STATE_NET, &layout, small), -EBADF);
}

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_record_is_taken_over),
		T(a_page_is_empty_until_it_is_begun),
		T(a_record_grows_at_its_end),
		T(a_state_without_a_page),
		T(the_slot_that_does_not_count_is_nobodys),
		T(a_commit_is_whole_at_each_instruction),
		T(hostile_pages_are_refused),
		T(what_is_no_page_is_refused),
	};

	log_set_sink(ignore_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
