/*
 * A file's bound. At it another file is asked of the owner, and what is gathered waits for the answer; after a refusal
 * output is dropped for a while, and then the owner is asked again.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/control_wire.h"
#include "dev-console/output_parts.h"

void output_bound_file(struct output *output, uint64_t max, const struct output_file_ops *ops, void *owner)
{
	output->file_max = max;
	output->file_ops = ops;
	output->file_owner = owner;
}

bool output_file_full(const struct output *output)
{
	return output->file_max > 0 && console_state_offset(output->state) >= output->file_max;
}

bool output_file_filled(const struct output *output)
{
	struct stat status;

	return output->file_max > 0 && fstat(output->out_fd, &status) == 0 &&
	       (uint64_t)status.st_size >= output->file_max;
}

void output_next_file(struct output *output)
{
	int result;

	if (output->file_refused_ms != 0 &&
	    clock_ms(CLOCK_MONOTONIC) - output->file_refused_ms <= CONSOLE_REFUSED_US / 1000) {
		output_drop(output);
		return;
	}
	result = output->file_ops->full(output->file_owner);
	output->file_unasked = result == -EAGAIN;
	output->file_asked = result == 0;
	output->blocked = result == 0 || result == -EAGAIN;
	if (!output->blocked)
		output_drop(output);
	output_update_watches(output);
}

int output_replace_file(struct output *output, int fd)
{
	if (!output->file_asked)
		return -EPROTO;
	output->file_asked = output->blocked = false;
	if (fd >= 0) {
		console_state_new_file(output->state);
		close(output->out_fd);
		output->out_fd = fd;
		output->file_refused_ms = 0;
	} else {
		output->file_refused_ms = clock_ms(CLOCK_MONOTONIC);
		output_drop(output);
	}
	/* output_drain() goes on by itself. */
	if (!output->draining)
		output_go_on(output);
	return 0;
}
