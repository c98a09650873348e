/*
 * atoll-console: one port of a VM. A serial port's registers over vfio-user, or a virtio-console over
 * vhost-user; what is behind it on the host is an output. This file is the options, the control messages and
 * nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/host/pty.h"
#include "common/program/device_program.h"
#include "dev-console/console_state.h"
#include "dev-console/output.h"
#include "dev-console/serial.h"
#include "dev-console/virtio_console.h"
#include "policy/filters.h"

/* How long the host may take the last words of a guest. */
#define CONSOLE_DRAIN_MS 2000

struct console {
	struct device_program *program;
	enum output_kind kind;
	int in_fd;
	int out_fd;
	int state_fd; /* -1: none, by hand */
	bool resume;
	uint64_t max_bytes; /* of a file; 0: as many as come */
	struct console_state state;
	struct output *output;
	bool is_serial;
	/* One of the two. */
	struct serial *serial;
	struct virtio_console *virtio;
	uint16_t columns;
	uint16_t rows;

	/* By hand. */
	unsigned outputs_chosen;
	const char *log_file;
	bool terminal_changed;
	struct termios terminal;
	int terminal_fd; /* of the output's, the one that tells the size; -1: it is no terminal */
	struct loop_watch *resize_watch;
};

/* --- By hand --- */

static const struct device_option console_options[] = {
	{"type", "TYPE", "virtio (default; over vhost-user) or serial (over vfio-user)"},
	{"pty", NULL, "make a pseudo-terminal, and print its name"},
	{"log-file", "FILE", "append the guest's output to FILE"},
	{"stdio", NULL, "use standard input and output"},
	{NULL, NULL, NULL},
};

static int console_option(void *device, const char *name, const char *value)
{
	struct console *console = device;

	if (strcmp(name, "type") == 0) {
		console->is_serial = strcmp(value, "serial") == 0;
		if (console->is_serial || strcmp(value, "virtio") == 0)
			return 0;
		log_error("--type=%s: no such type; choose virtio or serial", value);
		return -EINVAL;
	}
	console->outputs_chosen++;
	console->log_file = value;
	if (strcmp(name, "pty") == 0)
		console->kind = OUTPUT_PTY;
	else if (strcmp(name, "log-file") == 0)
		console->kind = OUTPUT_FILE;
	else
		console->kind = OUTPUT_STREAM;
	return 0;
}

static int console_open_pty(struct console *console)
{
	char name[64];

	console->in_fd = pty_open(name, sizeof(name));
	if (console->in_fd < 0) {
		log_error("--pty: cannot make a pseudo-terminal: %s; is /dev/pts mounted?",
			  strerror(-console->in_fd));
		return -ENODEV;
	}
	printf("%s\n", name);
	fflush(stdout);
	return 0;
}

static int console_open_log_file(struct console *console)
{
	int error;

	console->out_fd = open(console->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	if (console->out_fd >= 0)
		return 0;
	error = errno;
	log_error("--log-file=%s: %s", console->log_file, strerror(error));
	return error == EACCES || error == EPERM ? -EACCES : -EINVAL;
}

/*
 * A description of our own of what is open at fd: the output makes it non-blocking, and the shell that shares
 * the original must not notice. Sockets cannot be opened again.
 */
static int console_reopen(int fd, int flags)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, flags | O_CLOEXEC | O_NOCTTY);
	return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int console_open_stdio(struct console *console)
{
	struct termios raw;

	console->in_fd = console_reopen(STDIN_FILENO, O_RDONLY);
	console->out_fd = console_reopen(STDOUT_FILENO, O_WRONLY | O_APPEND);
	if (console->in_fd < 0 || console->out_fd < 0) {
		log_error("--stdio: standard input or output is closed");
		return -EINVAL;
	}
	console->terminal_fd = isatty(console->out_fd)	? console->out_fd
			       : isatty(console->in_fd) ? console->in_fd
							: -1;
	if (tcgetattr(STDIN_FILENO, &console->terminal) < 0)
		return 0;
	/* Every key is the guest's, except those that end this program. */
	raw = console->terminal;
	cfmakeraw(&raw);
	raw.c_lflag |= ISIG;
	console->terminal_changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	return 0;
}

static int console_open_by_hand(void *device)
{
	struct console *console = device;

	if (console->outputs_chosen != 1) {
		log_error("give one of --pty, --log-file=FILE and --stdio");
		return -EINVAL;
	}
	switch (console->kind) {
	case OUTPUT_PTY:
		return console_open_pty(console);
	case OUTPUT_FILE:
		return console_open_log_file(console);
	default:
		return console_open_stdio(console);
	}
}

static void console_close_by_hand(void *device)
{
	const struct console *console = device;

	if (console->terminal_changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &console->terminal);
}

/* The terminal's size as it is now, for the driver. */
static void console_look_at_terminal(struct console *console)
{
	struct winsize size;

	if (ioctl(console->terminal_fd, TIOCGWINSZ, &size) == 0)
		virtio_console_resize(console->virtio, size.ws_col, size.ws_row);
}

static void console_terminal_resized(int signal_number, void *argument)
{
	(void)signal_number;
	console_look_at_terminal(argument);
}

/* The terminal's driver tells its whole foreground group of another size, so also the process in the jail. */
static int console_watch_terminal(struct console *console, struct loop *loop)
{
	if (console->terminal_fd < 0)
		return 0;
	console->resize_watch = loop_watch_signal(loop, SIGWINCH, console_terminal_resized, console);
	if (console->resize_watch == NULL)
		return -ENOMEM;
	console_look_at_terminal(console);
	return 0;
}

/* --- Supervised --- */

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

static int console_configure(void *device, struct device_configuration *configuration)
{
	const Atoll__Control__ConsoleConfigure *configure = configuration->message->console;
	struct console *console = device;

	if (configuration->state_fd < 0 ||
	    console_take_size(console, configure->columns, configure->rows) < 0 ||
	    console_take_output(console, configure->output, configuration) < 0 ||
	    (configure->max_bytes > 0 && console->kind != OUTPUT_FILE)) {
		log_error("the configuration is not one of a console");
		return -EPROTO;
	}
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
	return control_send(child_control_fd(device_program_child(console->program)), &envelope, NULL, 0);
}

static int console_file_await(void *owner, int timeout_ms)
{
	const struct console *console = owner;

	return child_take_one(device_program_child(console->program), timeout_ms);
}

static const struct output_file_ops console_file_ops = {
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

static int console_message(void *device, struct control_message *message)
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

static void console_statistics(void *device, struct child *child)
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

/* --- Both --- */

static void console_session_end(void *argument, int error)
{
	struct console *console = argument;

	device_program_session_ended(console->program, error);
}

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
		return serial_new(loop, console->output, &console->state, console_session_end, console,
				  &console->serial);
	result = virtio_console_new(loop, console->output, &console->state, console_session_end, console,
				    &console->virtio);
	if (result < 0)
		return result;
	virtio_console_resize(console->virtio, console->columns, console->rows);
	return console_watch_terminal(console, loop);
}

static int console_session_start(void *device, struct device_program *program, int socket_fd)
{
	struct console *console = device;

	console->program = program;
	return console->is_serial ? serial_start(console->serial, socket_fd)
				  : virtio_console_start(console->virtio, socket_fd);
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

static const struct device_program_ops console_program = {
	.program = "atoll-console",
	.summary =
		"A console of a virtual machine: a 16550A over vfio-user, or virtio-console over vhost-user.",
	.capabilities = "{\n  \"type\": \"console\"\n}\n",
	.options = console_options,
	.option = console_option,
	.open_by_hand = console_open_by_hand,
	.close_by_hand = console_close_by_hand,
	.kind = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_CONSOLE,
	.configure = console_configure,
	.prepare = console_prepare,
	.filter = &filter_console_main,
	.hand_filter = &filter_console_hand_main,
	.session_start = console_session_start,
	.session_stop = console_session_stop,
	.message = console_message,
	.statistics = console_statistics,
	.close = console_close,
};

int main(int argc, char **argv)
{
	static struct console console = {.in_fd = -1, .out_fd = -1, .state_fd = -1, .terminal_fd = -1};

	return device_program_main(argc, argv, &console_program, &console);
}
