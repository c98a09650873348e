/* Starting the supervisor; see supervisor_start.h. */
#include "cli/supervisor_start.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/report.h"
#include "common/program/program_path.h"

#define SUPERVISOR "atoll-supervisor"

const char *supervisor_become(const struct launch *launch)
{
	static char why[PATH_MAX + 256];
	char path[PATH_MAX], option[32];
	char *arguments[] = {path, option, NULL};
	int fd = launch_send(launch);

	program_path(SUPERVISOR, path, sizeof(path));
	if (fd < 0) {
		snprintf(why, sizeof(why),
			 "cannot hand the config to %s: %s; see that this host has memory left", path,
			 strerror(-fd));
		return why;
	}
	snprintf(option, sizeof(option), "--fd=%d", fd);
	execv(path, arguments);
	snprintf(why, sizeof(why), "cannot start %s: %s; %s", path, strerror(errno),
		 errno == ENOENT ? PROGRAM_MISSING_REMEDY : "see that it is a program that may be executed");
	close(fd);
	return why;
}

static volatile pid_t supervisor_pid;

/* What a terminal's keys send is for the supervisor as well, which has got it. */
static void pass_on(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code != SI_KERNEL)
		kill(supervisor_pid, number);
}

int supervisor_run(struct launch *launch)
{
	static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_RESTART | SA_SIGINFO};
	sigset_t set, before;
	siginfo_t info = {0};
	pid_t parent = getpid(), child;

	/* Until there is a process to pass them on to. */
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, &before);
	launch->waited = true;
	child = fork();
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		/* The guest has the time to power off that it has when the command itself is ended. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() == parent)
			report_error("%s", supervisor_become(launch));
		_exit(EXIT_STATUS_FAILED);
	}
	supervisor_pid = child;
	for (size_t i = 0; child > 0 && i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaction(passed_on[i], &action, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (child < 0) {
		report_error(
			"run: cannot start the supervisor: %s; see that this host can start more processes",
			strerror(errno));
		return EXIT_STATUS_FAILED;
	}
	while (waitid(P_PID, (id_t)child, &info, WEXITED) < 0)
		if (errno != EINTR)
			return EXIT_STATUS_FAILED;
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		signal(passed_on[i], SIG_DFL);
	if (info.si_code == CLD_EXITED)
		return info.si_status;
	report_error("run: the supervisor was ended: %s; see the kernel's log", strsignal(info.si_status));
	return EXIT_STATUS_FAILED;
}
