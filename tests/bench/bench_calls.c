/* System calls of other processes, by the kernel's count: see bench_calls.h. */
#include "tests/bench/bench_calls.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bench/bench_say.h"

#define COUNTERS_MAX 256

static int counters[COUNTERS_MAX];
static unsigned counter_count;

static void count_thread(int tid, uint64_t tracepoint)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attributes),
		.config = tracepoint,
		.inherit = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attributes, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0 && errno == ESRCH)
		return; /* it has ended meanwhile */
	if (fd < 0)
		bench_fail("the system calls of thread %d cannot be counted: %s", tid, strerror(errno));
	if (counter_count == COUNTERS_MAX)
		bench_fail("the device has more than %d threads", COUNTERS_MAX);
	counters[counter_count++] = fd;
}

static void count_process(long pid, uint64_t tracepoint)
{
	char path[64];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%ld/task", pid);
	tasks = opendir(path);
	if (tasks == NULL)
		bench_fail("%s: %s", path, strerror(errno));
	while ((entry = readdir(tasks)) != NULL) {
		if (entry->d_name[0] != '.')
			count_thread(atoi(entry->d_name), tracepoint);
	}
	closedir(tasks);
}

void bench_calls_start(const struct bench_calls *calls)
{
	const char *at = calls->pids;
	char *end;

	for (;;) {
		long pid = strtol(at, &end, 10);

		if (end == at || pid <= 0)
			bench_fail("\"%s\" is no list of process ids", calls->pids);
		count_process(pid, calls->tracepoint);
		if (*end != ',')
			break;
		at = end + 1;
	}
	if (counter_count == 0)
		bench_fail("no thread of the processes %s is there", calls->pids);
}

uint64_t bench_calls_read(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < counter_count; i++) {
		uint64_t count;

		if (read(counters[i], &count, sizeof(count)) != sizeof(count))
			bench_fail("a counter of system calls cannot be read: %s", strerror(errno));
		sum += count;
	}
	return sum;
}

void bench_calls_stop(void)
{
	while (counter_count > 0)
		close(counters[--counter_count]);
}
