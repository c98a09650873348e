/*
 * atoll-console under the supervisor: which output it is given, and what the two say to each other later: of the
 * terminal's size, of a file that is full, and what was counted.
 */
#include <errno.h>

#include "common/base/log.h"
#include "dev-console/console.h"

/* What the message's output is to us; -EPROTO for one that we do not know. */
static int console_take_output(struct console *console, Atoll__Control__ConsoleConfigure__Output output,
			       struct device_configuration *configuration)
{
	size_t fds = output == ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_NULL ? 0 : 1;
	int fd;

	if (configuration->fd_count != fds)
		return -EPROTO;
	if (fds == 0) {
		console->kind = OUTPUT_DISCARD;
		return 0;
	}
	fd = configuration->fds[0];
	switch (output) {
	case ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_STREAM:
		console->kind = OUTPUT_STREAM;
		console->in_fd = console->out_fd = fd;
		break;
	case ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_PTY:
		console->kind = OUTPUT_PTY;
		console->in_fd = fd;
		break;
	case ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_FILE:
		console->kind = OUTPUT_FILE;
		console->out_fd = fd;
		break;
	case ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_LISTENER:
		console->kind = OUTPUT_LISTENER;
		console->in_fd = fd;
		break;
	default:
		return -EPROTO;
	}
	configuration->fds[0] = -1;
	return 0;
}

static int console_take_size(struct console *console, uint32_t columns, uint32_t rows)
{
	if (columns > UINT16_MAX || rows > UINT16_MAX)
		return -EPROTO;
	console->columns = (uint16_t)columns;
	console->rows = (uint16_t)rows;
	return 0;
}

int console_configure(void *device, struct device_configuration *configuration)
{
	const Atoll__Control__ConsoleConfigure *configure = configuration->message->console;
	struct console *console = device;

	if (console_take_size(console, configure->columns, configure->rows) < 0 ||
	    console_take_output(console, configure->output, configuration) < 0 ||
	    (configure->max_bytes > 0 && console->kind != OUTPUT_FILE)) {
		log_error("the configuration is not one of a console");
		return -EPROTO;
	}
	console->child = configuration->child;
	console->is_serial = configure->serial;
	console->resume = configuration->message->resume;
	console->max_bytes = configure->max_bytes;
	console->state_fd = configuration->state_fd;
	configuration->state_fd = -1;
	return 0;
}

static int console_file_full(void *owner)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__ConsoleFull full = ATOLL__CONTROL__CONSOLE_FULL__INIT;
	const struct console *console = owner;

	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_FULL;
	envelope.console_full = &full;
	return control_send(child_control_fd(console->child), &envelope, NULL, 0);
}

static int console_file_await(void *owner, int timeout_ms)
{
	const struct console *console = owner;

	return child_take_one(console->child, timeout_ms);
}

const struct output_file_ops console_file_ops = {
	.full = console_file_full,
	.await = console_file_await,
};

/* The answer to console_file_full(). */
static int console_take_file(struct console *console, struct control_message *message)
{
	bool refused = message->envelope->console_file->refused;
	int result;

	if (message->fd_count != (refused ? 0 : 1))
		return -EPROTO;
	result = output_replace_file(console->output, refused ? -1 : message->fds[0]);
	if (result == 0 && !refused)
		message->fds[0] = -1;
	return result;
}

int console_message(void *device, struct control_message *message)
{
	struct console *console = device;

	if (message->envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_FILE)
		return console_take_file(console, message);
	if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_RESIZE ||
	    console_take_size(console, message->envelope->console_resize->columns,
			      message->envelope->console_resize->rows) < 0)
		return -EPROTO;
	/* A serial line has no way to tell a size. */
	if (console->virtio != NULL)
		virtio_console_resize(console->virtio, console->columns, console->rows);
	return 0;
}

void console_statistics(void *device, struct child *child)
{
	const struct console *console = device;
	const struct output_counters *output = output_counters(console->output);

	child_counter(child, "bytes-out", output->written);
	child_counter(child, "bytes-in", output->read);
	child_counter(child, "bytes-dropped", output->dropped);
	if (console->serial != NULL) {
		struct serial_counters serial = serial_counters(console->serial);

		child_counter(child, "register-reads", serial.register_reads);
		child_counter(child, "register-writes", serial.register_writes);
		child_counter(child, "interrupts", serial.interrupts);
		child_counter(child, "characters-lost", serial.lost);
	}
}
