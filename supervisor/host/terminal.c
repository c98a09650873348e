/*
 * The terminal on stdio.
 */
#include "supervisor/host/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "supervisor/host/own_process.h"

#define KEY_ESCAPE '\001' /* Ctrl-a */

const char terminal_help[] = "\r\n"
			     "Ctrl-a x  end the VM at once\r\n"
			     "Ctrl-a a  type Ctrl-a\r\n"
			     "Ctrl-a h  this help\r\n";

static int terminal_fd = -1;
static struct termios terminal_saved;
static volatile sig_atomic_t terminal_raw;

void terminal_restore(void)
{
	int saved_errno = errno;

	if (terminal_raw) {
		terminal_raw = 0;
		/* Now, not when all output is out: a terminal that was stopped would hold us up. */
		tcsetattr(terminal_fd, TCSANOW, &terminal_saved);
	}
	errno = saved_errno;
}

/* The handler resets itself (SA_RESETHAND), so the signal ends the process the second time. */
static void terminal_crash(int signal_number)
{
	terminal_restore();
	own_process_signal(signal_number);
}

static int terminal_make_raw(void)
{
	struct termios raw = terminal_saved;

	cfmakeraw(&raw);
	/* Log lines of the VM's processes come to the same terminal and end in a bare newline. */
	raw.c_oflag |= OPOST;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(terminal_fd, TCSANOW, &raw) < 0)
		return -errno;
	terminal_raw = 1;
	return 0;
}

int terminal_take(int fd)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
	struct sigaction action = {.sa_handler = terminal_crash, .sa_flags = SA_RESETHAND | SA_NODEFER};

	if (tcgetattr(fd, &terminal_saved) < 0)
		return errno == ENOTTY ? -ENOTTY : -errno;
	if (terminal_fd < 0)
		atexit(terminal_restore);
	terminal_fd = fd;
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigaction(crashes[i], &action, NULL);
	return terminal_is_ours() ? terminal_make_raw() : 0;
}

bool terminal_is_ours(void)
{
	pid_t foreground = tcgetpgrp(terminal_fd);

	/* A terminal that is not our controlling one (setsid(1), a serial line) has no background for us. */
	return foreground < 0 || foreground == getpgrp();
}

void terminal_resume(void)
{
	if (terminal_fd < 0)
		return;
	if (!terminal_is_ours()) {
		/* The program that has the terminal now has set it as it wants it. */
		terminal_raw = 0;
		return;
	}
	if (terminal_raw)
		return;
	/* The shell may have changed its settings meanwhile; those are the ones to come back to. */
	if (tcgetattr(terminal_fd, &terminal_saved) == 0)
		terminal_make_raw();
}

bool terminal_is_raw(void)
{
	return terminal_raw != 0;
}

void terminal_size(int fd, unsigned *columns, unsigned *rows)
{
	struct winsize size;

	*columns = *rows = 0;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0) {
		*columns = size.ws_col;
		*rows = size.ws_row;
	}
}

size_t terminal_keys_filter(struct terminal_keys *keys, const char *typed, size_t size, char *out,
			    size_t *out_size, enum terminal_command *command)
{
	size_t taken = 0, passed = 0;

	*command = TERMINAL_COMMAND_NONE;
	while (taken < size && *command == TERMINAL_COMMAND_NONE) {
		char key = typed[taken++];

		if (!keys->escaped) {
			if (key == KEY_ESCAPE)
				keys->escaped = true;
			else
				out[passed++] = key;
			continue;
		}
		keys->escaped = false;
		switch (key) {
		case 'a':
		case KEY_ESCAPE:
			out[passed++] = KEY_ESCAPE;
			break;
		case 'x':
			*command = TERMINAL_COMMAND_END;
			break;
		case 'h':
		case '?':
			*command = TERMINAL_COMMAND_HELP;
			break;
		default:
			/* A slip of the finger; nothing happens, as in QEMU. */
			break;
		}
	}
	*out_size = passed;
	return taken;
}
