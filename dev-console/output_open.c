/*
 * An output's beginning and end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "dev-console/output_parts.h"

static int output_set_nonblocking(int fd)
{
	int flags;

	if (fd < 0)
		return 0;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/* A file's offset, if it has one, tells how much of the output it has. */
static void output_look_up_offset(struct output *output)
{
	off_t offset = output->kind == OUTPUT_FILE ? lseek(output->out_fd, 0, SEEK_CUR) : -1;

	if (offset >= 0)
		console_state_file_offset(output->state, (uint64_t)offset);
}

static int output_open(struct output *output)
{
	int result = output_set_nonblocking(output->in_fd);

	if (result == 0)
		result = output_set_nonblocking(output->out_fd);
	if (result < 0)
		return result;
	switch (output->kind) {
	case OUTPUT_LISTENER:
		output->listen_fd = output->in_fd;
		output->in_fd = -1;
		output->listen_watch =
			loop_watch_fd(output->loop, output->listen_fd, LOOP_READ, output_acceptable, output);
		return output->listen_watch != NULL ? 0 : -ENOMEM;
	case OUTPUT_PTY:
		output->out_fd = output->in_fd;
		/* It may be open: a predecessor's peer is still there. */
		output->attached = output->input_open = !output_hung_up(output);
		return output_watch_peer(output);
	case OUTPUT_STREAM:
		output->attached = output->input_open = true;
		return output_watch_peer(output);
	case OUTPUT_FILE:
		output->attached = true;
		output_look_up_offset(output);
		return output_watch_peer(output);
	default:
		return 0;
	}
}

int output_new(struct loop *loop, enum output_kind kind, int in_fd, int out_fd, struct console_state *state,
	       struct output **output)
{
	struct output *new = calloc(1, sizeof(*new));
	int result = -ENOMEM;

	if (new == NULL)
		return -ENOMEM;
	*new = (struct output){.loop = loop,
			       .kind = kind,
			       .in_fd = in_fd,
			       .out_fd = out_fd,
			       .listen_fd = -1,
			       .state = state};
	new->look_timer = loop_watch_timer(loop, output_look, new);
	if (new->look_timer != NULL)
		result = output_open(new);
	/* What a predecessor gathered was for a peer that has gone since. */
	if (result == 0 && !new->attached)
		output_drop(new);
	if (result < 0) {
		new->in_fd = new->out_fd = new->listen_fd = -1;
		output_free(new);
		return result;
	}
	*output = new;
	return 0;
}

void output_free(struct output *output)
{
	if (output == NULL)
		return;
	loop_unwatch(output->in_watch);
	loop_unwatch(output->out_watch);
	loop_unwatch(output->listen_watch);
	loop_unwatch(output->look_timer);
	if (output->in_fd >= 0)
		close(output->in_fd);
	if (output->out_fd >= 0 && output->out_fd != output->in_fd)
		close(output->out_fd);
	if (output->listen_fd >= 0)
		close(output->listen_fd);
	free(output);
}

void output_set_owner(struct output *output, const struct output_ops *ops, void *owner)
{
	output->ops = ops;
	output->owner = owner;
	output->input_wanted = true;
	output_update_watches(output);
}

const struct output_counters *output_counters(const struct output *output)
{
	return &output->counters;
}
