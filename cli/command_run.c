/*
 * atoll run and atoll check: the config is loaded and looked through here; then the command becomes atoll-supervisor, which
 * has what the config names.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/supervisor_start.h"
#include "common/base/log.h"
#include "config/config_load.h"
#include "config/config_pack.h"
#include "config/launch.h"
#include "config/nearest.h"

static bool run_is_named(const char *id, struct nearest *nearest)
{
	nearest_try(nearest, id);
	return strcmp(id, nearest->word) == 0;
}

/* Whether each --no-sandbox names a process that the config has. */
static bool run_check_no_sandbox(const struct launch *launch)
{
	for (size_t i = 0; i < launch->no_sandbox_count; i++) {
		struct config_entry entry = {0};
		const char *name = launch->no_sandbox[i];
		struct nearest nearest = nearest_begin(name != NULL ? name : "");
		char hint[64];

		bool known = name == NULL || strcmp(name, "core") == 0;

		nearest_try(&nearest, "core");
		while (config_next_device(launch->file.config, &entry))
			known |= run_is_named(entry.device->id, &nearest);
		if (known)
			continue;
		report_error("usage: --no-sandbox=%s: the config has no device of that id; %sname one, or "
			     "\"core\"",
			     name, nearest_hint(&nearest, hint, sizeof(hint)));
		return false;
	}
	return true;
}

/* Loads the file. Reports and returns the status, or 0. */
static int run_load(struct launch *launch, const char *path)
{
	int status;

	config_file_load(path, launch->detached, &launch->file, &launch->problems);
	status = problems_exit_status(&launch->problems);
	problems_print(&launch->problems, path, true);
	if (status == EXIT_STATUS_OK && !run_check_no_sandbox(launch))
		status = EXIT_STATUS_USAGE;
	return status;
}

static void run_clear(struct launch *launch)
{
	problems_clear(&launch->problems);
	config_file_clear(&launch->file);
	free((void *)launch->no_sandbox);
}

static void run_add_no_sandbox(struct launch *launch, const char *name)
{
	const char **names = realloc(launch->no_sandbox, (launch->no_sandbox_count + 1) * sizeof(*names));

	if (names == NULL)
		abort();
	launch->no_sandbox = names;
	names[launch->no_sandbox_count++] = name;
}

/* The options; returns the operand or NULL with *status. */
static const char *run_options(struct launch *launch, int argc, char **argv, int *status)
{
	static const struct option options[] = {{"detach", no_argument, NULL, 'd'},
						{"log-file", required_argument, NULL, 'l'},
						{"no-sandbox", optional_argument, NULL, 's'},
						{NULL, 0, NULL, 0}};
	int option;

	while ((option = command_option(argc, argv, options, status)) != -1) {
		if (option == 'd')
			launch->detached = true;
		else if (option == 's')
			run_add_no_sandbox(launch, optarg);
		else
			launch->log_file = optarg;
	}
	if (*status >= 0)
		return NULL;
	*status = EXIT_STATUS_USAGE;
	if (!command_operands(argc, argv, 1))
		return NULL;
	if (launch->log_file != NULL && !launch->detached) {
		report_error("usage: --log-file goes with --detach; redirect standard error instead");
		return NULL;
	}
	return argv[optind];
}

int command_run(int argc, char **argv)
{
	struct launch launch = {.mode = LAUNCH_RUN};
	int status;
	const char *path = run_options(&launch, argc, argv, &status);

	if (path != NULL)
		status = run_load(&launch, path);
	launch.log_level = log_get_level();
	if (path != NULL && status == EXIT_STATUS_OK) {
		report_error("%s", supervisor_become(&launch));
		status = EXIT_STATUS_FAILED;
	}
	run_clear(&launch);
	return status;
}

int run_and_wait(const char *path)
{
	struct launch launch = {.mode = LAUNCH_RUN, .log_level = log_get_level()};
	int status = run_load(&launch, path);

	if (status == EXIT_STATUS_OK)
		status = supervisor_run(&launch);
	run_clear(&launch);
	return status;
}

int command_check(int argc, char **argv)
{
	struct launch launch = {.mode = LAUNCH_CHECK};
	int status;

	while (command_option(argc, argv, NULL, &status) != -1)
		;
	if (status >= 0)
		return status;
	if (!command_operands(argc, argv, 1))
		return EXIT_STATUS_USAGE;
	launch.log_level = log_get_level();
	config_file_load(argv[optind], false, &launch.file, &launch.problems);
	/* It tells them with the host's; without it the file's can be told nonetheless. */
	if (launch.file.config != NULL)
		problem_add_host(&launch.problems, 1, "host", "%s", supervisor_become(&launch));
	problems_print(&launch.problems, argv[optind], false);
	status = problems_exit_status(&launch.problems) == EXIT_STATUS_USAGE ? EXIT_STATUS_USAGE
									     : EXIT_STATUS_OK;
	run_clear(&launch);
	return status;
}
