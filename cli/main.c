/*
 * atoll: the one command that a person types. See atoll(1).
 *
 * A table of commands; each is a function in a file of its own. Here is what they share: options, help, usage
 * errors.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <config.h> /* not our folder's */

#include "cli/commands.h"
#include "common/base/log.h"
#include "config/nearest.h"

struct command {
	const char *name;
	const char *arguments;
	const char *summary;
	command_fn run;
	const char *options; /* help lines of its own options, or "" */
};

static const struct command commands[] = {
	{"run", "[OPTION...] CONFIG", "launch the VM that CONFIG describes", command_run,
	 "  --detach         in the background; return when the VM runs\n"
	 "  --log-file=FILE  where a detached VM logs (default: NAME/log in the runtime directory)\n"
	 "  --no-sandbox[=ID]\n"
	 "                   for debugging: start the device ID, or \"core\", or everything, with all rights "
	 "of\n"
	 "                   this user; may be repeated\n"},
	{"check", "CONFIG", "say what is wrong with CONFIG, and warn of what this host lacks for it",
	 command_check, ""},
	{"list", "[--json]", "show the running VMs and their processes", command_list,
	 "  --json  for programs, with counters\n"},
	{"stop", "[--timeout=SECONDS] NAME", "press the power button; kill the VM if it does not help",
	 command_stop, "  --timeout=SECONDS  how long the guest has (default: 60)\n"},
	{"kill", "NAME", "end the VM at once", command_kill, ""},
	{"pause", "NAME", "stop the guest's processors", command_pause, ""},
	{"resume", "NAME", "let the guest's processors go on", command_resume, ""},
	{"reset", "NAME", "start the VM anew, as its reset button would", command_reset, ""},
	{"restart", "NAME DEVICE", "replace a device's process under the running guest, or revive it",
	 command_restart, ""},
	{"audit", "[--json] NAME", "hold what a VM's processes may do against what is written", command_audit,
	 "  --json  for programs, with all facts\n"},
	{"policy",
	 "check [FILE|FOLDER...] | explain ROLE[.THREAD] CALL [ARGUMENT...] | compile [--c|--json] FILE|NAME "
	 "| diff A B | record [--output=FILE] CONFIG | cover RECORD...",
	 "check, explain, compile and compare what processes may call", command_policy,
	 "  check    lint the texts, and run their filters over every call against what the texts say\n"
	 "  explain  say what happens to a call, and which line of which file says so\n"
	 "  compile  print the filter: its instructions, or with --c or --json as C or as a manifest\n"
	 "  diff     compare two policies or folders of them, or policies with a record of calls\n"
	 "  record   run a VM whose processes are not refused anything, and print what they called\n"
	 "  cover    say for each rule which test needed it, from records of a test suite\n"},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *command_current;

static int help_print(void)
{
	printf("Usage: atoll COMMAND [OPTION...] [ARGUMENT...]\n"
	       "Run virtual machines, each a family of small processes.\n\nCommands:\n");
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		printf("  %-7s %s\n", commands[i].name, commands[i].summary);
	printf("\nOptions of every command:\n"
	       "  -v, --verbose  log more; twice: everything\n"
	       "  -q, --quiet    log warnings and errors only; twice: errors\n"
	       "  -h, --help     print this, or the help of a command\n"
	       "      --version  print the version\n\n"
	       "atoll(1) tells more, atoll.yaml(5) what stands in CONFIG.\n");
	return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

static int help_print_command(const struct command *command)
{
	printf("Usage: atoll %s %s\n%c%s.\n%s%s", command->name, command->arguments, command->summary[0] - 32,
	       command->summary + 1, command->options[0] != '\0' ? "\n" : "", command->options);
	return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

static int version_print(void)
{
	printf("atoll " PACKAGE_VERSION "\n");
	return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}

static void log_level_move(int steps)
{
	int level = (int)log_get_level() + steps;

	log_set_level(level < LOG_LEVEL_ERROR	? LOG_LEVEL_ERROR
		      : level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG
						: (enum log_level)level);
}

enum {
	OPTION_VERSION = 0x100, /* those of commands are letters */
	OPTIONS_MAX = 8,
};

int command_option(int argc, char **argv, const struct option *options, int *status)
{
	static const struct option shared[] = {{"verbose", no_argument, NULL, 'v'},
					       {"quiet", no_argument, NULL, 'q'},
					       {"help", no_argument, NULL, 'h'},
					       {"version", no_argument, NULL, OPTION_VERSION}};
	struct option all[OPTIONS_MAX + 5] = {0};
	size_t count = 0;
	int option;

	while (count < OPTIONS_MAX && options != NULL && options[count].name != NULL) {
		all[count] = options[count];
		count++;
	}
	memcpy(&all[count], shared, sizeof(shared));
	*status = -1;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":vqh", all, NULL)) != -1) {
		switch (option) {
		case 'v':
			log_level_move(1);
			continue;
		case 'q':
			log_level_move(-1);
			continue;
		case 'h':
			*status =
				command_current != NULL ? help_print_command(command_current) : help_print();
			return -1;
		case OPTION_VERSION:
			*status = version_print();
			return -1;
		case '?':
		case ':':
			if (option == '?' && optopt != 0 && optopt < 0x100)
				report_error("usage: unknown option \"-%c\"; see atoll %s--help", optopt,
					     command_current != NULL ? "COMMAND " : "");
			else
				report_error("usage: %s \"%s\"; see atoll %s--help",
					     option == ':' ? "an argument is missing behind"
							   : "unknown option, or one that takes no argument:",
					     argv[optind - 1], command_current != NULL ? "COMMAND " : "");
			*status = EXIT_STATUS_USAGE;
			return -1;
		default:
			return option;
		}
	}
	return -1;
}

bool command_operands(int argc, char **argv, int count)
{
	if (argc - optind == count)
		return true;
	if (argc - optind > count)
		report_error("usage: unexpected argument \"%s\"; use atoll %s %s", argv[optind + count],
			     command_current->name, command_current->arguments);
	else
		report_error("usage: an argument is missing; use atoll %s %s", command_current->name,
			     command_current->arguments);
	return false;
}

/* Closed standard descriptors would be taken by the next thing that is opened. */
static int open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct nearest nearest;
	char **operands, hint[64];
	int status, count;

	if (open_standard_descriptors() < 0) {
		report_error("/dev/null: %s; mount /dev as other programs need it", strerror(errno));
		return EXIT_STATUS_HOST;
	}
	signal(SIGPIPE, SIG_IGN);
	/* A limit on the length of files is an error in words. */
	signal(SIGXFSZ, SIG_IGN);
	log_identify("atoll", "");
	/* The options in front of the command; '+' stops at it. */
	setenv("POSIXLY_CORRECT", "1", 1);
	command_option(argc, argv, NULL, &status);
	unsetenv("POSIXLY_CORRECT");
	if (status >= 0)
		return status;
	if (optind == argc) {
		report_error("usage: a command is missing; see atoll --help");
		return EXIT_STATUS_USAGE;
	}
	operands = argv + optind;
	count = argc - optind;
	for (size_t i = 0; i < COMMANDS_COUNT; i++) {
		if (strcmp(operands[0], commands[i].name) != 0)
			continue;
		command_current = &commands[i];
		optind = 0; /* glibc: start anew */
		return commands[i].run(count, operands);
	}
	nearest = nearest_begin(operands[0]);
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		nearest_try(&nearest, commands[i].name);
	report_error("usage: unknown command \"%s\"; %ssee atoll --help", operands[0],
		     nearest_hint(&nearest, hint, sizeof(hint)));
	return EXIT_STATUS_USAGE;
}
