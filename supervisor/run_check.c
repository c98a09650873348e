/* What would be in a run's way, and `atoll check`; see run_check.h. */
#include "supervisor/run_check.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/report.h"
#include "common/host/runtime_dir.h"
#include "supervisor/host/cgroup.h"
#include "supervisor/host/file_claims.h"
#include "supervisor/host/resources.h"
#include "supervisor/vm/spawn.h"

void run_name_problem(const struct config_file *file, struct problems *problems, int error, pid_t holder)
{
	const char *name = file->config->name;
	unsigned line = config_file_line(file, "name");
	char path[PATH_MAX] = "";

	runtime_base_path(path, sizeof(path));
	if (error == -EBUSY && holder > 0)
		problem_add(
			problems, line, "name",
			"\"%s\" is already running, as process %d; end it with \"atoll stop %s\", or choose "
			"another name",
			name, (int)holder, name);
	else if (error == -EBUSY)
		problem_add(
			problems, line, "name",
			"\"%s\" is already running; end it with \"atoll stop %s\", or choose another name",
			name, name);
	else if (error == -RUNTIME_ERROR_FOREIGN)
		problem_add(problems, line, "name",
			    "%s/%s is in the way: %s; move it away, or choose another name", path, name,
			    runtime_strerror(error));
	else if (error == -ENOENT && path[0] == '\0')
		problem_add_host(
			problems, 1, "host",
			"no runtime directory: XDG_RUNTIME_DIR is not set; set it, or ATOLL_RUNTIME_DIR");
	else
		problem_add_host(
			problems, 1, "host",
			"runtime directory %s: %s; make it, or set ATOLL_RUNTIME_DIR to one that is yours",
			path, runtime_strerror(error));
}

/* Whether run could make the runtime directory, which is not there. */
static int check_base_parent(void)
{
	char path[PATH_MAX];
	int result = runtime_base_path(path, sizeof(path));

	if (result == 0 && access(dirname(path), W_OK | X_OK) < 0)
		result = -errno;
	return result;
}

static void check_name(const struct config_file *file, struct problems *problems)
{
	int base_fd, result = runtime_base_open(&base_fd, 0);
	pid_t holder = 0;

	if (result == -ENOENT) {
		result = check_base_parent();
	} else if (result == 0) {
		result = runtime_dir_look(base_fd, file->config->name, &holder);
		if (result == 0 && faccessat(base_fd, ".", W_OK | X_OK, 0) < 0)
			result = -errno;
		close(base_fd);
	}
	if (result < 0)
		run_name_problem(file, problems, result, holder);
}

void run_check_proc(struct problems *problems)
{
	if (access("/proc/self/fd", F_OK) < 0)
		problem_add_host(problems, 1, "host",
				 "/proc is not there: %s; mount /proc, as in \"mount -t proc proc "
				 "/proc\"",
				 strerror(errno));
}

int run_check(struct launch *launch)
{
	struct problems *problems = &launch->problems;
	const struct config_file *file = &launch->file;
	struct resources resources = {0};
	struct file_claims claims = {0};
	struct spawn_problem lacks;
	int result;

	check_name(file, problems);
	run_check_proc(problems);
	result = spawn_probe(&lacks);
	if (result < 0)
		problem_add_host(problems, 1, "host", "a process in a sandbox %s: %s; %s", lacks.step,
				 strerror(-result), lacks.remedy);
	resources_open(file, NULL, &claims, &resources, problems);
	cgroups_look(file, &resources, 0, problems);
	file_claims_clear(&claims);
	resources_close(&resources);
	problems_print(problems, file->path, false);
	/* What the host lacks is for run to refuse. */
	return problems_exit_status(problems) == EXIT_STATUS_USAGE ? EXIT_STATUS_USAGE : EXIT_STATUS_OK;
}
