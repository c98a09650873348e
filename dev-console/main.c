/*
 * atoll-console: one port of a VM. A serial port's registers over vfio-user, or a virtio-console over vhost-user; what is
 * behind it on the host is an output. Which one that is, console_by_hand.c or console_supervised.c says.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "dev-console/console.h"
#include "policy/filters.h"

/* How long the host may take the last words of a guest. */
#define CONSOLE_DRAIN_MS 2000

/* The page is mapped, and its descriptor of no more use. */
static int console_open_state(struct console *console)
{
	int result = console_state_open(&console->state,
					console->is_serial ? CONSOLE_KIND_SERIAL : CONSOLE_KIND_VIRTIO,
					console->state_fd, console->resume);

	if (console->state_fd >= 0)
		close(console->state_fd);
	console->state_fd = -1;
	return result;
}

static int console_prepare(void *device, struct loop *loop)
{
	struct console *console = device;
	int result = console_open_state(console);

	if (result < 0)
		return result;
	result = output_new(loop, console->kind, console->in_fd, console->out_fd, &console->state,
			    &console->output);

	if (result < 0) {
		log_error("cannot use the console's output: %s", strerror(-result));
		return result;
	}
	console->in_fd = console->out_fd = -1;
	if (console->max_bytes > 0)
		output_bound_file(console->output, console->max_bytes, &console_file_ops, console);
	if (console->is_serial)
		return serial_new(loop, console->output, &console->state, &console->serial);
	result = virtio_console_new(loop, console->output, &console->state, &console->virtio);
	if (result < 0)
		return result;
	virtio_console_resize(console->virtio, console->columns, console->rows);
	return console_watch_terminal(console, loop);
}

static int console_session_start(void *device, struct loop *loop, int socket_fd,
				 device_session_ended_fn ended, void *argument)
{
	struct console *console = device;

	(void)loop;
	return console->is_serial ? serial_start(console->serial, socket_fd, ended, argument)
				  : virtio_console_start(console->virtio, socket_fd, ended, argument);
}

static void console_session_stop(void *device)
{
	struct console *console = device;

	if (console->is_serial)
		serial_stop(console->serial);
	else
		virtio_console_stop(console->virtio);
}

static void console_close(void *device)
{
	struct console *console = device;

	if (console->output != NULL && output_drain(console->output, CONSOLE_DRAIN_MS) < 0)
		log_warning("the host did not take the last of the guest's output");
	/* resize_watch stays: a sealed process may not take a signal's handler back. */
	serial_free(console->serial);
	virtio_console_free(console->virtio);
	output_free(console->output);
	console_state_close(&console->state);
	if (console->state_fd >= 0)
		close(console->state_fd);
	if (console->in_fd >= 0)
		close(console->in_fd);
	if (console->out_fd >= 0 && console->out_fd != console->in_fd)
		close(console->out_fd);
}

static const struct device_program program = {
	.name = "atoll-console",
	.summary =
		"A console of a virtual machine: a 16550A over vfio-user, or virtio-console over vhost-user.",
	.capabilities = "{\n  \"type\": \"console\"\n}\n",
	.kind = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_CONSOLE,
	.has_state = true,
	.filter = &filter_console_main,
	.hand_filter = &filter_console_hand_main,
	.options = console_options,
	.option = console_option,
	.open_by_hand = console_open_by_hand,
	.close_by_hand = console_close_by_hand,
	.configure = console_configure,
	.message = console_message,
	.statistics = console_statistics,
	.prepare = console_prepare,
	.session_start = console_session_start,
	.session_stop = console_session_stop,
	.close = console_close,
};

int main(int argc, char **argv)
{
	static struct console console = {.in_fd = -1, .out_fd = -1, .state_fd = -1, .terminal_fd = -1};

	return device_program_main(argc, argv, &program, &console);
}
