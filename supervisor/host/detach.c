/*
 * Detaching. The fork comes first and everything is opened in the child, so that locks and sockets have one
 * owner.
 */
#include "supervisor/host/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/report.h"

static volatile pid_t detach_child;

static void detach_pass_on(int signal_number)
{
	kill(detach_child, signal_number);
}

/* The parent. */
static _Noreturn void detach_wait(pid_t child, int fd)
{
	static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_handler = detach_pass_on, .sa_flags = SA_RESTART};
	uint8_t status;
	ssize_t size;

	detach_child = child;
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaction(passed_on[i], &action, NULL);
	do
		size = read(fd, &status, sizeof(status));
	while (size < 0 && errno == EINTR);
	/* No word: it was killed. */
	if (size != sizeof(status))
		report_error("run: the supervisor ended during start-up; see above, and the kernel's log");
	_exit(size == sizeof(status) ? status : EXIT_STATUS_FAILED);
}

int detach_fork(int *tell_fd)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		int result = -errno;

		close(fds[0]);
		close(fds[1]);
		return result;
	}
	if (child > 0) {
		close(fds[1]);
		detach_wait(child, fds[0]);
	}
	close(fds[0]);
	*tell_fd = fds[1];
	return setsid() < 0 ? -errno : 0;
}

int detach_stdio(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), result = 0;

	if (fd < 0)
		return -errno;
	if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		result = -errno;
	close(fd);
	return result;
}

void detach_tell(int tell_fd, int exit_status)
{
	uint8_t status = (uint8_t)exit_status;
	ssize_t ignored;

	do
		ignored = write(tell_fd, &status, sizeof(status));
	while (ignored < 0 && errno == EINTR);
	close(tell_fd);
}
