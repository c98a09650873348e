/*
 * What tests/bench/bench measures of a device's process alone: a driver without a guest, at the other end of its
 * vhost-user socket. Rings are in memory that both share, kicks are eventfds, completions are polled.
 *
 *   device-bench disk SOCKET IMAGE   the disk behind SOCKET, whose image is the file IMAGE
 *   device-bench net SOCKET TAP      the interface behind SOCKET, whose tap is TAP in this network namespace
 *   device-bench calls               nothing, but whether system calls can be counted as --count says
 *
 *   --slice=MS         the time of each measurement (300)
 *   --count=PID[,...]  counts the system calls of these processes, too, in a pass of its own
 *   --count-slice=MS   the time of that pass (100)
 *   --tracepoint=ID    the kernel's number of the tracepoint raw_syscalls:sys_enter, for --count
 *
 * Prints a line of JSON for each measurement, then "idle", and stays connected until its input ends, so that the
 * device's memory can be looked at. Whatever goes wrong ends it with a line that says so, and status 1.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench_disk.h"
#include "tests/bench/bench_net.h"
#include "tests/bench/bench_say.h"

void bench_fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("device-bench: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static uint64_t parse_number(const char *name, const char *text)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		bench_fail("--%s=%s: not a number", name, text);
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"slice", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'c'},
		{"count-slice", required_argument, NULL, 'C'},
		{"tracepoint", required_argument, NULL, 't'},
		{0},
	};
	struct bench_slices slices = {.timed_ms = 300, .counted_ms = 100};
	int option, index;

	while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (option == 's')
			slices.timed_ms = parse_number(options[index].name, optarg);
		else if (option == 'C')
			slices.counted_ms = parse_number(options[index].name, optarg);
		else if (option == 't')
			slices.calls.tracepoint = parse_number(options[index].name, optarg);
		else if (option == 'c')
			slices.calls.pids = optarg;
		else
			return 2;
	}
	argv += optind;
	if (argc - optind == 1 && strcmp(argv[0], "calls") == 0 && bench_calls_wanted(&slices.calls)) {
		bench_calls_start(&slices.calls);
		bench_calls_read();
		return 0;
	}
	if (argc - optind != 3 || (strcmp(argv[0], "disk") != 0 && strcmp(argv[0], "net") != 0))
		bench_fail("usage: device-bench disk SOCKET IMAGE | device-bench net SOCKET TAP");
	setlinebuf(stdout);
	if (strcmp(argv[0], "disk") == 0)
		bench_disk(argv[1], argv[2], &slices);
	else
		bench_net(argv[1], argv[2], &slices);
	puts("idle");
	while (getchar() != EOF) {
	}
	return 0;
}
