/*
 * A device's program by hand: its command line. See device_options.h.
 */
#include "common/program/device_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "config.h"

enum {
	OPTION_SOCKET_PATH = 256,
	OPTION_FD,
	OPTION_PRINT_CAPABILITIES,
	OPTION_NO_SANDBOX,
	OPTION_VERSION,
	OPTION_OWN, /* + index into the device's */
};

#define OPTIONS_MAX 32

/* --- Reading --- */

/* The common options and the device's own, as getopt_long() wants them. */
static void options_build(const struct device_program *program, struct option *table)
{
	static const struct option common[] = {
		{"socket-path", required_argument, NULL, OPTION_SOCKET_PATH},
		{"fd", required_argument, NULL, OPTION_FD},
		{"print-capabilities", no_argument, NULL, OPTION_PRINT_CAPABILITIES},
		{"no-sandbox", no_argument, NULL, OPTION_NO_SANDBOX},
		{"verbose", no_argument, NULL, 'v'},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, OPTION_VERSION},
	};
	const struct device_option *own = program->options;
	size_t count = sizeof(common) / sizeof(common[0]);

	memcpy(table, common, sizeof(common));
	for (size_t i = 0; own != NULL && own[i].name != NULL && count < OPTIONS_MAX - 1; i++) {
		table[count++] = (struct option){
			.name = own[i].name,
			.has_arg = own[i].argument != NULL ? required_argument : no_argument,
			.val = OPTION_OWN + (int)i,
		};
	}
	table[count] = (struct option){0};
}

/* A whole decimal number. */
static int option_parse(const char *text, unsigned min, unsigned max, unsigned *number)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
		return -EINVAL;
	*number = (unsigned)value;
	return 0;
}

int device_option_number(const char *name, const char *value, const char *what, unsigned min, unsigned max,
			 const char *unit, unsigned *number)
{
	int result = option_parse(value, min, max, number);

	if (result < 0)
		log_error("--%s=%s: not %s; give %u to %u%s", name, value, what, min, max, unit);
	return result;
}

static int option_fd(const char *text, int *fd)
{
	unsigned number;

	if (option_parse(text, 0, 1 << 20, &number) < 0) {
		log_error("--fd=%s: not a descriptor's number", text);
		return -EINVAL;
	}
	*fd = (int)number;
	return 0;
}

static void option_log_level(int change)
{
	int level = (int)log_get_level() + change;

	if (level >= LOG_LEVEL_ERROR && level <= LOG_LEVEL_DEBUG)
		log_set_level((enum log_level)level);
}

/* What getopt_long() has found, with its argument. 0 or -EINVAL (logged, or said). */
static int option_take(const struct device_program *program, void *device, int option,
		       struct device_options *options)
{
	switch (option) {
	case OPTION_SOCKET_PATH:
		options->socket_path = optarg;
		return 0;
	case OPTION_FD:
		return option_fd(optarg, &options->fd);
	case OPTION_PRINT_CAPABILITIES:
		options->print = DEVICE_PRINT_CAPABILITIES;
		return 0;
	case OPTION_NO_SANDBOX:
		options->no_sandbox = true;
		return 0;
	case OPTION_VERSION:
		options->print = DEVICE_PRINT_VERSION;
		return 0;
	case 'h':
		options->print = DEVICE_PRINT_HELP;
		return 0;
	case 'v':
		option_log_level(1);
		return 0;
	case 'q':
		option_log_level(-1);
		return 0;
	case '?':
		fprintf(stderr, "%s: bad usage; see `%s --help`\n", program->name, program->name);
		return -EINVAL;
	default:
		return program->option(device, program->options[option - OPTION_OWN].name, optarg);
	}
}

int device_options_read(const struct device_program *program, void *device, int argc, char **argv,
			struct device_options *options)
{
	struct option table[OPTIONS_MAX];
	int option;

	*options = (struct device_options){.fd = -1};
	options_build(program, table);
	while ((option = getopt_long(argc, argv, "vqh", table, NULL)) != -1) {
		if (option_take(program, device, option, options) < 0)
			return -EINVAL;
		if (options->print != DEVICE_PRINT_NOTHING)
			return 0;
	}
	if (optind < argc) {
		log_error("unexpected argument \"%s\"; see `%s --help`", argv[optind], program->name);
		return -EINVAL;
	}
	if ((options->socket_path != NULL) == (options->fd >= 0)) {
		log_error("give either --socket-path=PATH or --fd=N; see `%s --help`", program->name);
		return -EINVAL;
	}
	return 0;
}

/* --- Printing --- */

static void print_help(const struct device_program *program)
{
	printf("Usage: %s --socket-path=PATH [OPTION...]\n"
	       "       %s --fd=N [OPTION...]\n"
	       "%s\n\nOptions:\n",
	       program->name, program->name, program->summary);
	for (const struct device_option *option = program->options; option != NULL && option->name != NULL;
	     option++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument != NULL ? "=" : "",
			 option->argument != NULL ? option->argument : "");
		printf("  %-28s %s\n", left, option->help);
	}
	printf("  --socket-path=PATH           listen there and serve one front end after the other\n"
	       "  --fd=N                       serve the connected or listening socket N\n"
	       "  --print-capabilities         print the capabilities as JSON and exit\n"
	       "  --no-sandbox                 for debugging: keep all rights of this user\n"
	       "  -v, --verbose                log more; twice: still more\n"
	       "  -q, --quiet                  log less\n"
	       "  -h, --help                   print this and exit\n"
	       "      --version                print the version and exit\n");
}

int device_options_print(const struct device_program *program, enum device_print print)
{
	switch (print) {
	case DEVICE_PRINT_HELP:
		print_help(program);
		break;
	case DEVICE_PRINT_VERSION:
		printf("%s %s\n", program->name, PACKAGE_VERSION);
		break;
	case DEVICE_PRINT_CAPABILITIES:
		fputs(program->capabilities, stdout);
		/* A program reads these: half of them are none. */
		return fflush(stdout) == 0 ? 0 : -EIO;
	default:
		break;
	}
	return 0;
}
