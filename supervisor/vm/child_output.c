/*
 * The pipe that a process has as its standard output and error.
 */
#include "supervisor/vm/child_output.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/escape.h"

#define READ_AT_ONCE 4096

int child_output_open(struct child_output *output, int *child_fd)
{
	int ends[2];

	*output = (struct child_output){.fd = -1};
	/* The process's end does not block either, at first: when we are stopped, it loses a line and goes on. */
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	output->fd = ends[0];
	*child_fd = ends[1];
	return 0;
}

static void output_end_line(struct child_output *output, child_output_fn line, void *argument)
{
	char text[ESCAPE_BYTE_MAX * CHILD_OUTPUT_LINE_MAX + 1];

	if (output->used == 0)
		return;
	escape_text(output->line, output->used, ESCAPE_TEXT, text, sizeof(text));
	output->used = 0;
	line(argument, text);
}

int child_output_read(struct child_output *output, child_output_fn line, void *argument)
{
	char bytes[READ_AT_ONCE];
	ssize_t size = read(output->fd, bytes, sizeof(bytes));

	if (size < 0)
		return errno == EINTR ? 1 : -errno;
	for (ssize_t i = 0; i < size; i++) {
		if (bytes[i] == '\n' || output->used == sizeof(output->line))
			output_end_line(output, line, argument);
		if (bytes[i] != '\n')
			output->line[output->used++] = bytes[i];
	}
	if (size == 0)
		output_end_line(output, line, argument);
	return size > 0;
}

void child_output_close(struct child_output *output, child_output_fn line, void *argument)
{
	if (output->fd < 0)
		return;
	output_end_line(output, line, argument);
	close(output->fd);
	output->fd = -1;
}
