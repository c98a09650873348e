/*
 * atoll-supervisor: what the command becomes for `atoll run` and `atoll check`. See atoll-supervisor(8).
 *
 * It is executed in the command's own process with the record of config/launch.h, has the config checked again, and runs the
 * VM or says what is in its way. Errors are told as the command's.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config.h"

#include "common/base/log.h"
#include "common/base/report.h"
#include "common/program/process_title.h"
#include "config/config_check.h"
#include "config/launch.h"
#include "supervisor/run.h"
#include "supervisor/run_check.h"

#define PROGRAM "atoll-supervisor"

static int print_help(FILE *stream, int status)
{
	fputs("Usage: " PROGRAM " --fd=N | --help | --version\n"
	      "Holds an Atoll VM: its files, its processes, their successors. atoll(1) becomes it\n"
	      "for \"atoll run\" and \"atoll check\", with what is to be done as descriptor N; it has\n"
	      "no use of its own. See " PROGRAM "(8).\n",
	      stream);
	return status;
}

/* The operand of --fd, or -1. */
static int descriptor(const char *argument)
{
	static const char option[] = "--fd=";
	char *end;
	long fd;

	if (strncmp(argument, option, sizeof(option) - 1) != 0)
		return -1;
	argument += sizeof(option) - 1;
	fd = strtol(argument, &end, 10);
	return *argument < '0' || *argument > '9' || *end != '\0' || fd <= STDERR_FILENO || fd > 1 << 20
		       ? -1
		       : (int)fd;
}

static const char *launch_problem(int error)
{
	switch (error) {
	case -EPERM:
		return "it is not sealed";
	case -EPROTO:
		return "it is not what atoll hands over";
	case -EPROTONOSUPPORT:
		return "it is of another version of atoll";
	default:
		return strerror(-error);
	}
}

/* What config_check() works out, and whether it finds anything that it did not find in the command. */
static int check_again(struct launch *launch)
{
	struct problems problems = {0};
	int status;

	config_check(&launch->file, launch->detached, &problems);
	status = launch->mode == LAUNCH_RUN ? problems_exit_status(&problems) : EXIT_STATUS_OK;
	if (status != EXIT_STATUS_OK)
		problems_print(&problems, launch->file.path, true);
	problems_clear(&problems);
	return status;
}

int main(int argc, char **argv)
{
	struct launch launch;
	int fd, result, status;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_help(stdout, EXIT_STATUS_OK);
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf(PROGRAM " " PACKAGE_VERSION "\n") < 0 ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
	fd = argc == 2 ? descriptor(argv[1]) : -1;
	if (fd < 0)
		return print_help(stderr, EXIT_STATUS_USAGE);
	signal(SIGPIPE, SIG_IGN);
	/* A limit on the length of files is an error in words. */
	signal(SIGXFSZ, SIG_IGN);
	process_title_init(argc, argv);
	log_identify("atoll", "");
	result = launch_receive(fd, &launch);
	if (result < 0) {
		report_error("supervisor: descriptor %d: %s; start a VM with \"atoll run\"%s", fd,
			     launch_problem(result),
			     result == -EPROTONOSUPPORT ? ", of the same installation" : "");
		return EXIT_STATUS_USAGE;
	}
	close(fd);
	/* Who looks at processes from outside sees the command that was typed. */
	prctl(PR_SET_NAME, "atoll");
	log_set_level((enum log_level)launch.log_level);
	status = check_again(&launch);
	if (status == EXIT_STATUS_OK)
		status = launch.mode == LAUNCH_CHECK ? run_check(&launch) : run_to_end(&launch);
	launch_clear(&launch);
	return status;
}
