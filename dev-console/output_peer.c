/*
 * Who takes the output. "attached" says whether somebody does. Kinds differ in how a peer comes and goes:
 *
 *   stream    is there from the start, and may go once
 *   pty       the kernel tells a hang-up for as long as the other side is closed, and does not tell when it
 *             is opened again: looked for by a timer
 *   listener  comes by accept(2), goes by closing its socket. An end of file is the end of its input alone: who has
 *             said all that he has to say (`echo COMMAND | nc -N -U`) waits for the answer
 *
 * A peer that goes may leave an owner behind that waits for room, and there is room then: output_detach() sees to it
 * that the owner is told, by the timer, whoever noticed that the peer was gone.
 *
 * epoll tells a hang-up only of descriptors that something else is watched for as well. A peer whose input is
 * not wanted at the moment is therefore looked after by the same timer.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dev-console/output_parts.h"

/* How soon we see that a pty was opened. */
#define OUTPUT_LOOK_US 100000

/* --- Watching --- */

bool output_changes_peers(const struct output *output)
{
	return output->kind == OUTPUT_PTY || output->kind == OUTPUT_LISTENER;
}

static void output_look_again(struct output *output, enum output_looking looking)
{
	if (output->looking == looking)
		return;
	output->looking = looking;
	if (looking == OUTPUT_LOOK_NEVER)
		loop_timer_disarm(output->look_timer);
	else
		loop_timer_arm(output->look_timer, looking == OUTPUT_LOOK_SOON ? OUTPUT_LOOK_US : 0);
}

void output_update_watches(struct output *output)
{
	bool reading = output->input_open && output->input_wanted;
	bool unseen = output->kind == OUTPUT_PTY && !output->attached;
	/* No way to wait for input: in_fd is a file. */
	bool polled = reading && output->in_watch == NULL;

	if (output->in_watch != NULL)
		loop_watch_set_events(output->in_watch, reading ? LOOP_READ : 0);
	if (output->out_watch != NULL)
		loop_watch_set_events(output->out_watch, output->blocked ? LOOP_WRITE : 0);
	if (output->listen_watch != NULL)
		loop_watch_set_events(output->listen_watch, output->attached ? 0 : LOOP_READ);
	if (polled || output->room_owed)
		output_look_again(output, OUTPUT_LOOK_NOW);
	else if (unseen || output->file_unasked ||
		 (output_changes_peers(output) && output->attached && !reading))
		output_look_again(output, OUTPUT_LOOK_SOON);
	else
		output_look_again(output, OUTPUT_LOOK_NEVER);
}

/* Input may be there. */
static void output_give_input(struct output *output)
{
	if (output->ops != NULL)
		output->ops->input(output->owner);
}

static void output_readable(int fd, unsigned events, void *argument)
{
	(void)fd;
	(void)events;
	output_give_input(argument);
}

void output_go_on(struct output *output)
{
	output->blocked = false;
	output_flush(output);
	if (output->ops != NULL && output_room(output) > 0)
		output->ops->room(output->owner);
}

static void output_writable(int fd, unsigned events, void *argument)
{
	(void)fd;
	(void)events;
	output_go_on(argument);
}

int output_watch_peer(struct output *output)
{
	struct stat status;

	if (fstat(output->out_fd, &status) == 0 && !S_ISREG(status.st_mode)) {
		output->out_watch = loop_watch_fd(output->loop, output->out_fd, 0, output_writable, output);
		if (output->out_watch == NULL)
			return -ENOMEM;
	}
	if (output->in_fd >= 0 && fstat(output->in_fd, &status) == 0 &&
	    (S_ISSOCK(status.st_mode) || S_ISFIFO(status.st_mode) || isatty(output->in_fd))) {
		output->in_watch = loop_watch_fd(output->loop, output->in_fd, 0, output_readable, output);
		if (output->in_watch == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* --- Peers come and go --- */

bool output_hung_up(const struct output *output)
{
	struct pollfd peer = {.fd = output->out_fd};

	return poll(&peer, 1, 0) == 1 && peer.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void output_attach(struct output *output)
{
	output->attached = true;
	output->input_open = true;
	output_update_watches(output);
}

void output_detach(struct output *output)
{
	output_drop(output);
	output->attached = false;
	output->input_open = false;
	output->blocked = false;
	output->room_owed = true;
	if (output->kind == OUTPUT_LISTENER) {
		loop_unwatch(output->in_watch);
		loop_unwatch(output->out_watch);
		output->in_watch = output->out_watch = NULL;
		close(output->in_fd);
		output->in_fd = output->out_fd = -1;
	}
	output_update_watches(output);
}

void output_acceptable(int fd, unsigned events, void *argument)
{
	struct output *output = argument;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (client < 0)
		return;
	output->in_fd = output->out_fd = client;
	if (output_watch_peer(output) < 0)
		output_detach(output);
	else
		output_attach(output);
}

/* What was put off: the owner is told that there is room, a file is asked for again. */
static void output_make_up(struct output *output)
{
	if (output->room_owed) {
		output->room_owed = false;
		if (output->ops != NULL)
			output->ops->room(output->owner);
	}
	if (output->file_unasked) {
		output->file_unasked = false;
		output_go_on(output);
	}
}

void output_look(void *argument)
{
	struct output *output = argument;

	output->looking = OUTPUT_LOOK_NEVER;
	output_make_up(output);
	if (!output_changes_peers(output)) {
		/* An input that cannot be watched has its turn. */
		if (output->input_open && output->input_wanted && output->in_watch == NULL)
			output_give_input(output);
		output_update_watches(output);
	} else if (output->attached && output_hung_up(output)) {
		output_detach(output);
	} else if (!output->attached && output->kind == OUTPUT_PTY && !output_hung_up(output)) {
		output_attach(output);
	} else {
		output_update_watches(output);
	}
}
