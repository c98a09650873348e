/*
 * Preloaded (LD_PRELOAD) into atoll: a supervisor that somebody has taken over. At SIGUSR2 it tries what TAKEN_OVER
 * names, and writes to its standard error what came of it: "taken over: WHAT: done", or the error's name.
 *
 * TAKEN_OVER is a list of WHATs with blanks in between, tried in that order. TAKEN_OVER_FILE is a file of somebody's,
 * and TAKEN_OVER_SOCKET a path at which somebody listens; TAKEN_OVER_OWN is a folder that is in the supervisor's reach,
 * and TAKEN_OVER_PID a process of somebody's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PLACE_MAX 400

static char whats[1024], file[PLACE_MAX], own[PLACE_MAX];
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static pid_t other;

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd;
}

static const char *beside(const char *path, const char *name)
{
	static char text[2 * PLACE_MAX];

	snprintf(text, sizeof(text), "%s%s", path, name);
	return text;
}

/* --- What Landlock refuses --- */

static int try_create(void)
{
	return opened(beside(file, ".canary"), O_WRONLY | O_CREAT);
}

static int try_write(void)
{
	return opened(file, O_WRONLY);
}

static int try_read(void)
{
	return opened(file, O_RDONLY);
}

static int try_remove(void)
{
	return unlink(file);
}

static int try_rename(void)
{
	return rename(file, beside(file, ".moved"));
}

static int try_list(void)
{
	return opened("/", O_RDONLY | O_DIRECTORY);
}

static int try_memory(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)other);
	return opened(path, O_RDWR);
}

/* A directory in /proc is as good as a pidfd. */
static int try_pidfd(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", (int)other);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fd;
	return (int)syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
}

/* What it may: else no refusal says anything. */
static int try_own(void)
{
	return opened(beside(own, "/canary"), O_WRONLY | O_CREAT);
}

/* --- What ends it --- */

static int try_connect(void)
{
	int fds[2];

	/* One that there may be; that it is connected comes after the address. */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return -1;
	return connect(fds[0], (const struct sockaddr *)&address, sizeof(address));
}

static int try_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int try_internet(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static int try_datagrams(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_DGRAM, 0, fds);
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static int try_execute(void)
{
	return execl("/bin/true", "true", NULL);
}

static int try_signal(void)
{
	return kill(other, SIGTERM);
}

static int try_thread_signal(void)
{
	return (int)syscall(SYS_tgkill, other, other, SIGTERM);
}

static int try_open_process(void)
{
	return (int)syscall(SYS_pidfd_open, other, 0);
}

/* Who owns a descriptor is signalled. */
static int try_owner(void)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 || fcntl(fds[0], F_SETOWN, other) < 0 ||
	    fcntl(fds[0], F_SETSIG, SIGTERM) < 0 || fcntl(fds[0], F_SETFL, O_ASYNC) < 0)
		return -1;
	return write(fds[1], "x", 1) < 0 ? -1 : 0;
}

static int try_socket_owner(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 ? -1 : ioctl(fds[0], SIOCSPGRP, &other);
}

static int try_limits(void)
{
	const struct rlimit none = {0, 0};

	return prlimit(other, RLIMIT_NOFILE, &none, NULL);
}

static int try_rights(void)
{
	return chmod(file, 0666);
}

static int try_times(void)
{
	return utimes(file, NULL);
}

static int try_user(void)
{
	return setresuid(1, 1, 1);
}

static int try_mount(void)
{
	return mount("none", own, "tmpfs", 0, NULL);
}

static int try_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int try_memory_of_user(void)
{
	return shmget(0x61746f6c, 4096, 0600);
}

static int try_ring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int try_type(void)
{
	return ioctl(STDERR_FILENO, TIOCSTI, "x");
}

static const struct {
	const char *what;
	int (*try)(void);
} attempts[] = {
	{"create", try_create},
	{"write", try_write},
	{"read", try_read},
	{"remove", try_remove},
	{"rename", try_rename},
	{"list", try_list},
	{"memory", try_memory},
	{"pidfd", try_pidfd},
	{"own", try_own},
	{"connect", try_connect},
	{"socket", try_socket},
	{"internet", try_internet},
	{"datagrams", try_datagrams},
	{"fork", try_fork},
	{"execute", try_execute},
	{"signal", try_signal},
	{"thread-signal", try_thread_signal},
	{"open-process", try_open_process},
	{"owner", try_owner},
	{"socket-owner", try_socket_owner},
	{"limits", try_limits},
	{"rights", try_rights},
	{"times", try_times},
	{"user", try_user},
	{"mount", try_mount},
	{"namespace", try_namespace},
	{"memory-of-user", try_memory_of_user},
	{"ring", try_ring},
	{"type", try_type},
};

static void say(const char *what, const char *result)
{
	char line[256];
	int length = snprintf(line, sizeof(line), "taken over: %s: %s\n", what, result);

	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		abort();
}

static const char *error_name(int error)
{
	return error == EACCES ? "EACCES" : error == EPERM ? "EPERM" : "another error";
}

static void attempt(const char *what)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		if (strcmp(attempts[i].what, what) == 0) {
			say(what, "tries");
			say(what, attempts[i].try() < 0 ? error_name(errno) : "done");
			return;
		}
	say(what, "there is no such attempt");
}

static void taken_over(int number)
{
	int saved = errno;
	char *rest = whats, *what;

	(void)number;
	while ((what = strsep(&rest, " ")) != NULL)
		attempt(what);
	errno = saved;
}

static void take(const char *name, char *place, size_t size)
{
	const char *value = getenv(name);

	snprintf(place, size, "%s", value != NULL ? value : "");
}

static void __attribute__((constructor)) begin(void)
{
	struct sigaction action = {.sa_handler = taken_over};

	take("TAKEN_OVER", whats, sizeof(whats));
	take("TAKEN_OVER_FILE", file, sizeof(file));
	take("TAKEN_OVER_SOCKET", address.sun_path, sizeof(address.sun_path));
	take("TAKEN_OVER_OWN", own, sizeof(own));
	other = atoi(getenv("TAKEN_OVER_PID") != NULL ? getenv("TAKEN_OVER_PID") : "0");
	if (whats[0] != '\0')
		sigaction(SIGUSR2, &action, NULL);
}
