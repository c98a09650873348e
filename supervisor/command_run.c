/*
 * atoll run and atoll check.
 *
 * run, in the order of what it needs: the config; the name, in the runtime directory; the host's resources;
 * the loop with everything that it watches; the terminal; the processes. Everything up to the resources is
 * refused with nothing left behind; from then on the end of the VM is the end of the command.
 */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "supervisor/commands.h"
#include "supervisor/config.h"
#include "supervisor/detach.h"
#include "supervisor/link_watch.h"
#include "supervisor/log_output.h"
#include "supervisor/monitor.h"
#include "supervisor/problem.h"
#include "supervisor/process_title.h"
#include "supervisor/record.h"
#include "supervisor/relay.h"
#include "supervisor/resources.h"
#include "supervisor/runtime_dir.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor_seal.h"
#include "supervisor/terminal.h"
#include "supervisor/vm.h"

/* What SIGTERM gives the guest to power off. */
#define POWER_OFF_US UINT64_C(30000000)
#define SIGNALS_MAX  8
/* The file of a record; see record.h. What it names is trusted as the operator's other words are. */
#define RECORD_ENV "ATOLL_POLICY_RECORD"

struct run {
	struct config_file file;
	struct runtime_dir dir;
	struct resources resources;
	struct vm vm;
	struct loop *loop;
	struct monitor *monitor;
	struct link_watch *links;
	struct loop_watch *signals[SIGNALS_MAX];
	size_t signal_count;

	const char **no_sandbox; /* operands of --no-sandbox; NULL: all */
	size_t no_sandbox_count;
	bool detached;
	const char *log_file;
	int tell_fd; /* to the command that was typed; -1: it waits for nothing */
	int log_fd;  /* of a detached VM, until it is its stderr */
	bool stop_asked;
	int exit_status;
};

/* --- problems that are not in the file alone --- */

/* What a runtime directory's error means to the operator. */
static void run_name_problem(struct run *run, struct problems *problems, int error, pid_t holder)
{
	const char *name = run->file.config->name;
	unsigned line = config_file_line(&run->file, "name");
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
	else if (error == -ENOENT && path[0] == '\0')
		problem_add_host(
			problems, 1, "host",
			"no runtime directory: XDG_RUNTIME_DIR is not set; set it, or ATOLL_RUNTIME_DIR");
	else
		problem_add_host(
			problems, 1, "host",
			"runtime directory %s: %s; make it, or set ATOLL_RUNTIME_DIR to one that is yours",
			path, strerror(-error));
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

static void check_name(struct run *run, struct problems *problems)
{
	int base_fd, result = runtime_base_open(&base_fd, 0);
	pid_t holder = 0;

	if (result == -ENOENT) {
		result = check_base_parent();
	} else if (result == 0) {
		result = runtime_vm_find(base_fd, run->file.config->name, &holder);
		if (result == 1)
			result = -EBUSY;
		else if (result == 0 && faccessat(base_fd, ".", W_OK | X_OK, 0) < 0)
			result = -errno;
		close(base_fd);
	}
	if (result < 0)
		run_name_problem(run, problems, result, holder);
}

int command_check(int argc, char **argv)
{
	struct problems problems = {0};
	struct run run = {0};
	int status;

	while (command_option(argc, argv, NULL, &status) != -1)
		;
	if (status >= 0)
		return status;
	if (!command_operands(argc, argv, 1))
		return EXIT_STATUS_USAGE;
	config_file_load(argv[optind], false, &run.file, &problems);
	if (run.file.config != NULL) {
		check_name(&run, &problems);
		resources_open(&run.file, NULL, &run.resources, &problems);
		resources_close(&run.resources);
	}
	problems_print(&problems, argv[optind], false);
	/* What the host lacks is for run to refuse. */
	status = problems_exit_status(&problems) == EXIT_STATUS_USAGE ? EXIT_STATUS_USAGE : EXIT_STATUS_OK;
	problems_clear(&problems);
	config_file_clear(&run.file);
	return status;
}

/* --- signals --- */

static void run_terminate(int signal_number, void *argument)
{
	struct run *run = argument;

	if (signal_number == SIGQUIT || run->stop_asked) {
		vm_kill(&run->vm, EXIT_STATUS_FAILED, strsignal(signal_number));
		return;
	}
	run->stop_asked = true;
	if (run->vm.state == VM_RUNNING)
		log_notice("%s: asking the guest to power off; a second signal ends it at once",
			   strsignal(signal_number));
	vm_power_button(&run->vm, POWER_OFF_US);
}

static void run_suspend(int signal_number, void *argument)
{
	struct run *run = argument;

	(void)signal_number;
	relay_pause(run->vm.relay, true);
	terminal_restore();
	/* We go on here after SIGCONT; the guest was not stopped. */
	raise(SIGSTOP);
	terminal_resume();
	relay_pause(run->vm.relay, false);
}

static void run_continue(int signal_number, void *argument)
{
	(void)signal_number;
	(void)argument;
	terminal_resume();
}

static void run_resize(int signal_number, void *argument)
{
	struct run *run = argument;
	unsigned columns, rows;

	(void)signal_number;
	terminal_size(STDIN_FILENO, &columns, &rows);
	if (columns > 0)
		vm_console_resize(&run->vm, columns, rows);
}

static int run_watch_signal(struct run *run, int signal_number, loop_signal_fn callback)
{
	struct loop_watch *watch = loop_watch_signal(run->loop, signal_number, callback, run);

	if (watch == NULL)
		return -errno;
	run->signals[run->signal_count++] = watch;
	return 0;
}

static int run_watch_signals(struct run *run, bool terminal)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	int result = 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && result == 0; i++)
		result = run_watch_signal(run, ends[i], run_terminate);
	if (!terminal || result < 0)
		return result;
	/* To set a terminal from the background would stop us. */
	signal(SIGTTOU, SIG_IGN);
	result = run_watch_signal(run, SIGTSTP, run_suspend);
	if (result == 0)
		result = run_watch_signal(run, SIGCONT, run_continue);
	if (result == 0)
		result = run_watch_signal(run, SIGWINCH, run_resize);
	return result;
}

/* --- what the parts tell --- */

static void run_command_key(void *owner, enum terminal_command command)
{
	struct run *run = owner;

	if (command == TERMINAL_COMMAND_HELP)
		relay_print(run->vm.relay, terminal_help);
	else if (command == TERMINAL_COMMAND_END)
		vm_kill(&run->vm, EXIT_STATUS_OK, "Ctrl-a x");
}

static void run_console_drained(void *owner)
{
	struct run *run = owner;

	vm_console_drained(&run->vm);
}

static const struct relay_ops run_relay_ops = {run_command_key, run_console_drained};

/* Now errors are the log's: the command that was typed may go. */
static void run_vm_running(void *owner)
{
	struct run *run = owner;

	if (run->tell_fd < 0)
		return;
	/* Its standard error too, which a second description would keep. */
	log_output_stop();
	dup2(run->log_fd, STDERR_FILENO);
	close(run->log_fd);
	run->log_fd = -1;
	log_output_start(run->loop);
	detach_tell(run->tell_fd, EXIT_STATUS_OK);
	run->tell_fd = -1;
}

static void run_vm_ended(void *owner, int exit_status)
{
	struct run *run = owner;

	run->exit_status = exit_status;
	loop_stop(run->loop);
}

static void run_vm_statistics(void *owner, uint64_t serial)
{
	struct run *run = owner;

	monitor_statistics(run->monitor, serial);
}

static void run_vm_answered(void *owner, uint64_t ticket, const char *error)
{
	struct run *run = owner;

	/* It is not there yet, or not any more, when nobody can have asked. */
	if (run->monitor != NULL)
		monitor_answered(run->monitor, ticket, error);
}

static const struct vm_ops run_vm_ops = {run_vm_running, run_vm_ended, run_vm_statistics, run_vm_answered};

static void run_link_changed(void *owner, unsigned interface_index, bool up)
{
	struct run *run = owner;

	vm_link_changed(&run->vm, interface_index, up);
}

/* --- run, in its order --- */

/* Reports and returns the status, or 0 and everything that the config names is ours. */
static int run_open(struct run *run, const char *path)
{
	struct problems problems = {0};
	pid_t holder;
	int result, status;

	config_file_load(path, run->detached, &run->file, &problems);
	/* What else would be refused is asked of the host only when the file itself is in order: run takes
	 * locks. */
	if (problems.count == 0) {
		result = runtime_dir_take(run->file.config->name, &run->dir, &holder);
		if (result < 0)
			run_name_problem(run, &problems, result, holder);
		/* Also without a directory, so that what the host lacks is told at once; what runs already has
		 * its images. */
		if (result != -EBUSY)
			resources_open(&run->file, result < 0 ? NULL : &run->dir, &run->resources, &problems);
	}
	if (problems.count == 0 && run->detached) {
		run->log_fd = detach_open_log(run->log_file, &run->dir);
		if (run->log_fd < 0)
			problem_add_host(
				&problems, 1, "host", "log file %s: %s; name another with --log-file",
				run->log_file != NULL ? run->log_file : RUNTIME_LOG, strerror(-run->log_fd));
	}
	problems_print(&problems, path, true);
	status = problems_exit_status(&problems);
	problems_clear(&problems);
	return status;
}

/* Whether each --no-sandbox names a process that the config has. */
static bool run_check_no_sandbox(const struct run *run)
{
	const struct config *config = run->file.config;

	for (size_t i = 0; i < run->no_sandbox_count; i++) {
		const char *name = run->no_sandbox[i];
		bool known = name == NULL || strcmp(name, "core") == 0;

		for (unsigned d = 0; !known && d < config->disks_count; d++)
			known = strcmp(config->disks[d].id, name) == 0;
		for (unsigned n = 0; !known && n < config->networks_count; n++)
			known = strcmp(config->networks[n].id, name) == 0;
		for (unsigned c = 0; !known && c < config->consoles_count; c++)
			known = strcmp(config->consoles[c].id, name) == 0;
		if (known)
			continue;
		report_error(
			"usage: --no-sandbox=%s: the config has no device of that id; name one, or \"core\"",
			name);
		return false;
	}
	return true;
}

static bool run_has_stdio(const struct run *run)
{
	for (unsigned i = 0; i < run->file.config->consoles_count; i++)
		if (run->file.config->consoles[i].output == CONFIG_OUTPUT_STDIO)
			return true;
	return false;
}

static int run_prepare_record(struct run *run)
{
	const char *path = getenv(RECORD_ENV);
	int result;

	if (path == NULL || *path == '\0')
		return 0;
	result = record_open(run->loop, path, &run->vm.record);
	if (result < 0)
		return result;
	spawn_recording();
	log_warning("what its processes call is recorded in %s instead of being refused: do not let a guest "
		    "run that you "
		    "do not trust",
		    path);
	return 0;
}

static int run_prepare(struct run *run)
{
	bool stdio = run_has_stdio(run), terminal = stdio && isatty(STDIN_FILENO);
	int result;

	run->loop = loop_new();
	if (run->loop == NULL)
		return -errno;
	result = log_output_start(run->loop);
	if (result < 0)
		return result;
	result = vm_init(&run->vm, run->loop, run->file.config, &run->resources, &run_vm_ops, run);
	run->vm.no_sandbox = run->no_sandbox;
	run->vm.no_sandbox_count = run->no_sandbox_count;
	if (result == 0)
		result = run_prepare_record(run);
	if (result == 0)
		result = monitor_new(run->loop, &run->dir, &run->vm, &run->monitor);
	if (result == 0 && run->resources.network_count > 0)
		result = link_watch_new(run->loop, run_link_changed, run, &run->links);
	if (result == 0)
		result = run_watch_signals(run, terminal);
	if (result == 0 && stdio)
		result = relay_new(run->loop, STDIN_FILENO, STDOUT_FILENO, terminal, &run_relay_ops, run,
				   &run->vm.relay);
	if (result == 0 && terminal) {
		terminal_size(STDIN_FILENO, &run->vm.columns, &run->vm.rows);
		result = terminal_take(STDIN_FILENO);
	}
	return result;
}

static void run_clean_up(struct run *run)
{
	terminal_restore();
	for (size_t i = 0; i < run->signal_count; i++)
		loop_unwatch(run->signals[i]);
	relay_free(run->vm.relay);
	run->vm.relay = NULL;
	if (run->loop != NULL)
		vm_release(&run->vm);
	if (record_close(run->vm.record) < 0 && run->exit_status == EXIT_STATUS_OK)
		run->exit_status = EXIT_STATUS_FAILED;
	link_watch_free(run->links);
	resources_close(&run->resources);
	/* Before the monitor's connections close: who waits for the VM's end there finds nothing of it any
	 * more. */
	runtime_dir_remove(&run->dir);
	monitor_free(run->monitor);
	log_output_stop();
	loop_free(run->loop);
	config_file_clear(&run->file);
	if (run->log_fd >= 0)
		close(run->log_fd);
}

static int run_vm(struct run *run, const char *path)
{
	int result, status = run_open(run, path);
	char title[128];

	if (status != EXIT_STATUS_OK)
		return status;
	if (!run_check_no_sandbox(run))
		return EXIT_STATUS_USAGE;
	config_file_forget_lines(&run->file);
	snprintf(title, sizeof(title), "atoll: %s", run->file.config->name);
	process_title_set(title);
	log_identify("atoll", run->file.config->name);
	result = run_prepare(run);
	if (result < 0) {
		report_error("%s: cannot prepare: %s; see that this host has files and memory left",
			     run->file.config->name, strerror(-result));
		return EXIT_STATUS_FAILED;
	}
	if (supervisor_seal() < 0)
		return EXIT_STATUS_FAILED;
	vm_launch(&run->vm);
	/* What parsing took goes back to the host: a supervisor lives long. */
	malloc_trim(0);
	if (!run->vm.over)
		result = loop_run(run->loop);
	return result < 0 ? EXIT_STATUS_FAILED : run->exit_status;
}

static void run_add_no_sandbox(struct run *run, const char *name)
{
	const char **names = realloc(run->no_sandbox, (run->no_sandbox_count + 1) * sizeof(*names));

	if (names == NULL)
		abort();
	run->no_sandbox = names;
	/* A copy: the title is written over argv. */
	names[run->no_sandbox_count++] = name != NULL ? strdup(name) : NULL;
}

/* The options; returns the operand or NULL with *status. */
static char *run_options(struct run *run, int argc, char **argv, int *status)
{
	static const struct option options[] = {{"detach", no_argument, NULL, 'd'},
						{"log-file", required_argument, NULL, 'l'},
						{"no-sandbox", optional_argument, NULL, 's'},
						{NULL, 0, NULL, 0}};
	int option;

	while ((option = command_option(argc, argv, options, status)) != -1) {
		if (option == 'd')
			run->detached = true;
		else if (option == 's')
			run_add_no_sandbox(run, optarg);
		else
			run->log_file = strdup(optarg);
	}
	if (*status >= 0)
		return NULL;
	*status = EXIT_STATUS_USAGE;
	if (!command_operands(argc, argv, 1))
		return NULL;
	if (run->log_file != NULL && !run->detached) {
		report_error("usage: --log-file goes with --detach; redirect standard error instead");
		return NULL;
	}
	/* A copy: the title is written over argv. */
	return strdup(argv[optind]);
}

int command_run(int argc, char **argv)
{
	struct run run = {.dir = {.fd = -1}, .tell_fd = -1, .log_fd = -1};
	int status, result;
	char *path = run_options(&run, argc, argv, &status);

	if (path == NULL)
		return status;
	run.resources = (struct resources){.kvm_fd = -1, .kernel_fd = -1, .initrd_fd = -1};
	result = run.detached ? detach_fork(&run.tell_fd) : 0;
	if (result == 0 && run.detached)
		result = detach_stdio();
	if (result < 0) {
		report_error("run: cannot detach: %s; see that this host can start more processes",
			     strerror(-result));
		status = EXIT_STATUS_FAILED;
	} else {
		status = run_vm(&run, path);
	}
	run_clean_up(&run);
	if (run.tell_fd >= 0)
		detach_tell(run.tell_fd, status);
	free((void *)run.log_file);
	for (size_t i = 0; i < run.no_sandbox_count; i++)
		free((void *)run.no_sandbox[i]);
	free(run.no_sandbox);
	free(path);
	return status;
}
