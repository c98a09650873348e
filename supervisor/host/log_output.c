/*
 * The supervisor's lines. What can be opened a second time, non-blocking, is (a terminal, a pipe); a socket is used
 * with MSG_DONTWAIT; a regular file does not wait for anybody. What is left is what may not be opened again, a
 * terminal of another user's for instance: it is asked for room first, and given little at a time.
 */
#include "supervisor/host/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/report.h"

#define FLUSH_MS  1000
#define LITTLE	  128
#define WORDS_MAX 128

static struct {
	struct loop *loop;
	struct loop_watch *watch; /* NULL: it cannot be watched, and does not wait */
	int fd;
	bool owned, socket, started;
	size_t used;
	unsigned dropped; /* lines */
	char data[LOG_OUTPUT_ROOM];
} output;

static ssize_t output_write_some(const char *data, size_t size)
{
	struct pollfd room = {.fd = output.fd, .events = POLLOUT};

	if (output.socket)
		return send(output.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (!output.owned && output.watch != NULL) {
		if (poll(&room, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		if (size > LITTLE)
			size = LITTLE;
	}
	return write(output.fd, data, size);
}

/* Writes what there is room for, and returns how much that was. What nobody can read any more is gone. */
static size_t output_try(const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t written = output_write_some(data + done, size - done);

		if (written >= 0)
			done += (size_t)written;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return size;
	}
	return done;
}

static void output_keep(const char *data, size_t size)
{
	memcpy(output.data + output.used, data, size);
	output.used += size;
	if (output.watch != NULL && output.used > 0)
		loop_watch_set_events(output.watch, LOOP_WRITE);
}

/* When there is room for the word as well as for what it tells of. */
static void output_tell_dropped(size_t more)
{
	char words[WORDS_MAX], line[LOG_LINE_MAX];
	struct log_record record = {
		.level = LOG_LEVEL_WARNING, .program = "atoll", .object = "", .text = words};
	size_t size;

	if (output.dropped == 0)
		return;
	record.time_us = clock_us(CLOCK_REALTIME);
	snprintf(words, sizeof(words), "%u lines dropped: nobody took what is written to standard error",
		 output.dropped);
	size = log_format_line(&record, line);
	if (output.used + size + more > sizeof(output.data))
		return;
	output_keep(line, size);
	output.dropped = 0;
}

static void output_flush(void)
{
	size_t done = output_try(output.data, output.used);

	output.used -= done;
	memmove(output.data, output.data + done, output.used);
	if (output.used == 0 && output.watch != NULL)
		loop_watch_set_events(output.watch, 0);
}

static void output_writable(int fd, unsigned events, void *argument)
{
	(void)fd;
	(void)events;
	(void)argument;
	output_flush();
	output_tell_dropped(0);
}

void log_output_write(const char *lines, size_t size)
{
	size_t done = 0;

	if (!output.started) {
		while (write(STDERR_FILENO, lines, size) < 0 && errno == EINTR)
			;
		return;
	}
	if (output.used > 0)
		output_flush();
	output_tell_dropped(size);
	if (output.used == 0 && output.dropped == 0)
		done = output_try(lines, size);
	if (done == size)
		return;
	if (output.dropped > 0 || size - done > sizeof(output.data) - output.used)
		output.dropped++;
	else
		output_keep(lines + done, size - done);
}

void log_output_record(const struct log_record *record, void *argument)
{
	char line[LOG_LINE_MAX];

	(void)argument;
	if (output.started)
		log_output_write(line, log_format_line(record, line));
	else
		log_write_line(STDERR_FILENO, record);
}

bool log_output_started(void)
{
	return output.started;
}

/* A second description of standard error, or standard error itself. Sets whether it can be watched. */
static int output_open(bool *watched)
{
	struct stat status;
	int fd, flags;

	if (fstat(STDERR_FILENO, &status) < 0)
		return -errno;
	output.fd = STDERR_FILENO;
	output.owned = false;
	output.socket = S_ISSOCK(status.st_mode);
	*watched = output.socket || S_ISFIFO(status.st_mode) ||
		   (S_ISCHR(status.st_mode) && isatty(STDERR_FILENO));
	if (!*watched || output.socket)
		return 0;
	flags = fcntl(STDERR_FILENO, F_GETFL);
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | (flags & O_APPEND));
	if (fd >= 0) {
		output.fd = fd;
		output.owned = true;
	}
	return 0;
}

static void output_close(void)
{
	loop_unwatch(output.watch);
	output.watch = NULL;
	if (output.owned)
		close(output.fd);
	output.owned = output.started = false;
}

int log_output_start(struct loop *loop)
{
	bool watched = false;
	int result = output_open(&watched);

	if (result < 0)
		return result;
	output.loop = loop;
	if (watched) {
		output.watch = loop_watch_fd(loop, output.fd, 0, output_writable, NULL);
		if (output.watch == NULL) {
			output_close();
			return -ENOMEM;
		}
	}
	output.started = true;
	log_set_sink(log_output_record, NULL);
	report_set_output(log_output_write);
	return 0;
}

void log_output_stop(void)
{
	struct timespec wait = {.tv_nsec = FLUSH_MS / 20 * 1000000L};

	if (!output.started)
		return;
	output_tell_dropped(0);
	for (unsigned i = 0; i < 20 && output.used > 0; i++) {
		output_flush();
		output_tell_dropped(0);
		if (output.used > 0)
			nanosleep(&wait, NULL);
	}
	output.used = 0;
	output.dropped = 0;
	output_close();
	log_set_sink(NULL, NULL);
	report_set_output(NULL);
}

void log_output_become(int fd)
{
	bool started = output.started;

	log_output_stop();
	dup2(fd, STDERR_FILENO);
	if (started)
		log_output_start(output.loop);
}
