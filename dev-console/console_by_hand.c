/*
 * atoll-console by hand: its options, and the output that they name: a pseudo-terminal, a file, or what the shell gave it,
 * whose size the driver is told if it is a terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/host/pty.h"
#include "dev-console/console.h"

const struct device_option console_options[] = {
	{"type", "TYPE", "virtio (default; over vhost-user) or serial (over vfio-user)"},
	{"pty", NULL, "make a pseudo-terminal, and print its name"},
	{"log-file", "FILE", "append the guest's output to FILE"},
	{"stdio", NULL, "use standard input and output"},
	{0},
};

int console_option(void *device, const char *name, const char *value)
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

int console_open_by_hand(void *device)
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

void console_close_by_hand(void *device)
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
int console_watch_terminal(struct console *console, struct loop *loop)
{
	if (console->terminal_fd < 0)
		return 0;
	console->resize_watch = loop_watch_signal(loop, SIGWINCH, console_terminal_resized, console);
	if (console->resize_watch == NULL)
		return -ENOMEM;
	console_look_at_terminal(console);
	return 0;
}
