/*
 * atoll run and atoll check.
 *
 * run, in the order of what it needs: the config; the name, in the runtime directory; the host's resources that
 * are there; the loop with everything that it watches; the terminal; the files and sockets that are made; the
 * starter; the seal; the processes. Everything up to the seal is refused with nothing left behind and no file changed; from then on
 * the end of the VM is the end of the command.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/host/runtime_dir.h"
#include "common/program/process_title.h"
#include "config/config.h"
#include "config/config_load.h"
#include "config/config_pack.h"
#include "config/nearest.h"
#include "config/problem.h"
#include "policy/policy_directory.h"
#include "supervisor/host/cgroup.h"
#include "supervisor/host/detach.h"
#include "supervisor/host/inherited.h"
#include "supervisor/host/link_watch.h"
#include "supervisor/host/log_file.h"
#include "supervisor/host/log_output.h"
#include "supervisor/host/own_process.h"
#include "supervisor/host/reach.h"
#include "supervisor/host/record.h"
#include "supervisor/host/relay.h"
#include "supervisor/host/resources.h"
#include "supervisor/host/terminal.h"
#include "supervisor/monitor/monitor.h"
#include "supervisor/vm/spawn.h"
#include "supervisor/vm/starter.h"
#include "supervisor/vm/supervisor_seal.h"
#include "supervisor/vm/vm.h"
#include "supervisor/vm/vm_configure.h"

/* How often it is looked whether the shell has put us into the foreground (fg), which nothing tells of. Only while we are
 * in the background. */
#define FOREGROUND_US UINT64_C(250000)
/* How often it is looked whether the log has become too long. */
#define LOG_US UINT64_C(2000000)
/* What SIGTERM gives the guest to power off. */
#define POWER_OFF_US UINT64_C(30000000)
#define SIGNALS_MAX  8
/* The file of a record; see record.h. What it names is trusted as the operator's other words are. */
#define RECORD_ENV "ATOLL_POLICY_RECORD"

struct run {
	struct config_file file;
	struct inherited inherited;
	struct runtime_dir dir;
	struct resources resources;
	struct file_claims claims;
	struct vm vm;
	struct loop *loop;
	struct monitor *monitor;
	struct link_watch *links;
	struct cgroups *cgroups;
	struct starter *starter;
	struct loop_watch *signals[SIGNALS_MAX];
	size_t signal_count;
	bool terminal; /* stdio is one */
	struct loop_watch *foreground_timer;

	const char **no_sandbox; /* operands of --no-sandbox; NULL: all */
	size_t no_sandbox_count;
	bool detached;
	const char *log_file;
	pid_t waiting;	     /* the command that was typed, which waits for us; 0: none */
	int tell_fd;	     /* to the command that was typed; -1: it waits for nothing */
	struct log_file log; /* of a detached VM */
	struct loop_watch *log_timer;
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

static void check_name(struct run *run, struct problems *problems)
{
	int base_fd, result = runtime_base_open(&base_fd, 0);
	pid_t holder = 0;

	if (result == -ENOENT) {
		result = check_base_parent();
	} else if (result == 0) {
		result = runtime_dir_look(base_fd, run->file.config->name, &holder);
		if (result == 0 && faccessat(base_fd, ".", W_OK | X_OK, 0) < 0)
			result = -errno;
		close(base_fd);
	}
	if (result < 0)
		run_name_problem(run, problems, result, holder);
}

/* Told before everything that would fail because of it: sockets, maps of ids and locks are found by its paths. */
static void check_proc(struct problems *problems)
{
	if (access("/proc/self/fd", F_OK) < 0)
		problem_add_host(problems, 1, "host",
				 "/proc is not there: %s; mount /proc, as in \"mount -t proc proc "
				 "/proc\"",
				 strerror(errno));
}

int command_check(int argc, char **argv)
{
	struct problems problems = {0};
	struct spawn_problem lacks;
	struct run run = {0};
	int status, result;

	while (command_option(argc, argv, NULL, &status) != -1)
		;
	if (status >= 0)
		return status;
	if (!command_operands(argc, argv, 1))
		return EXIT_STATUS_USAGE;
	config_file_load(argv[optind], false, &run.file, &problems);
	if (run.file.config != NULL) {
		check_name(&run, &problems);
		check_proc(&problems);
		result = spawn_probe(&lacks);
		if (result < 0)
			problem_add_host(&problems, 1, "host", "a process in a sandbox %s: %s; %s",
					 lacks.step, strerror(-result), lacks.remedy);
		resources_open(&run.file, NULL, &run.claims, &run.resources, &problems);
		cgroups_look(&run.file, &run.resources, 0, &problems);
		file_claims_clear(&run.claims);
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

/* The terminal is ours in the foreground only: there it is raw and read. */
static void run_take_terminal(void *argument)
{
	struct run *run = argument;
	bool ours;

	terminal_resume();
	ours = terminal_is_ours();
	if (run->vm.relay != NULL)
		relay_pause(run->vm.relay, !ours);
	if (!ours)
		loop_timer_arm(run->foreground_timer, FOREGROUND_US);
}

static void run_suspend(int signal_number, void *argument)
{
	struct run *run = argument;

	(void)signal_number;
	if (run->vm.relay != NULL)
		relay_pause(run->vm.relay, true);
	terminal_restore();
	/* We go on here after SIGCONT; the guest was not stopped. */
	own_process_signal(SIGSTOP);
	run_take_terminal(run);
}

static void run_continue(int signal_number, void *argument)
{
	(void)signal_number;
	run_take_terminal(argument);
}

static void run_resize(int signal_number, void *argument)
{
	struct run *run = argument;
	unsigned columns, rows;

	(void)signal_number;
	run_take_terminal(run);
	terminal_size(STDIN_FILENO, &columns, &rows);
	if (columns > 0)
		vm_console_resize(&run->vm, columns, rows);
}

/* As for every program without a terminal: the log may have been moved away. */
static void run_hang_up(int signal_number, void *argument)
{
	struct run *run = argument;

	/* Passed on by the command that was typed, whose terminal has gone. */
	if (!run->detached || run->tell_fd >= 0) {
		run_terminate(signal_number, argument);
		return;
	}
	log_file_reopen(&run->log);
	log_notice("the log begins here: %s", strsignal(signal_number));
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
	static const int ends[] = {SIGTERM, SIGINT, SIGQUIT};
	int result = run_watch_signal(run, SIGHUP, run_hang_up);

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
	log_file_take(&run->log);
	loop_timer_arm(run->log_timer, LOG_US);
	detach_tell(run->tell_fd, EXIT_STATUS_OK);
	run->tell_fd = -1;
}

static void run_bound_log(void *argument)
{
	struct run *run = argument;

	log_file_bound(&run->log);
	loop_timer_arm(run->log_timer, LOG_US);
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

static bool run_is_named(const char *id, struct nearest *nearest)
{
	nearest_try(nearest, id);
	return strcmp(id, nearest->word) == 0;
}

/* Whether each --no-sandbox names a process that the config has. */
static bool run_check_no_sandbox(const struct run *run)
{
	const struct config *config = run->file.config;

	for (size_t i = 0; i < run->no_sandbox_count; i++) {
		const char *name = run->no_sandbox[i];
		struct nearest nearest = nearest_begin(name != NULL ? name : "");
		char hint[64];

		bool known = name == NULL || strcmp(name, "core") == 0;

		nearest_try(&nearest, "core");
		for (unsigned d = 0; d < config->disks_count; d++)
			known |= run_is_named(config->disks[d].id, &nearest);
		for (unsigned n = 0; n < config->networks_count; n++)
			known |= run_is_named(config->networks[n].id, &nearest);
		for (unsigned c = 0; c < config->consoles_count; c++)
			known |= run_is_named(config->consoles[c].id, &nearest);
		if (known)
			continue;
		report_error("usage: --no-sandbox=%s: the config has no device of that id; %sname one, or "
			     "\"core\"",
			     name, nearest_hint(&nearest, hint, sizeof(hint)));
		return false;
	}
	return true;
}

/* What the VM uses beside what its config names. */
static void run_claim_files(struct run *run)
{
	const char *record = getenv(RECORD_ENV);

	/* A shell's > has emptied them already; but nothing is written over a second time. */
	if (!run->detached)
		file_claims_add_fd(&run->claims, STDOUT_FILENO, FILE_LOG, "the standard output");
	file_claims_add_fd(&run->claims, STDERR_FILENO, FILE_LOG, "the standard error");
	if (run->detached && log_file_choose(&run->log, run->log_file, run->file.config->name) == 0)
		file_claims_add_path(&run->claims, run->log.path, FILE_LOG, "the log file");
	if (record != NULL && *record != '\0')
		file_claims_add_path(&run->claims, record, FILE_LOG, "the record");
}

/* Prints them, and returns the status: 0 if there are none. */
static int run_tell_problems(struct problems *problems, const char *path)
{
	int status = problems_exit_status(problems);

	problems_print(problems, path, true);
	problems_clear(problems);
	return status;
}

/* Reports and returns the status, or 0 and everything that the config names and that is there is ours. */
static int run_open(struct run *run, const char *path)
{
	struct problems problems = {0};
	pid_t holder;
	int result;

	config_file_load(path, run->detached, &run->file, &problems);
	if (problems.count == 0 && !run_check_no_sandbox(run))
		return EXIT_STATUS_USAGE;
	/* What else would be refused is asked of the host only when the file itself is in order: run takes
	 * locks. */
	if (problems.count == 0)
		check_proc(&problems);
	if (problems.count == 0) {
		result = runtime_dir_take(run->file.config->name, &run->dir, &holder);
		if (result < 0)
			run_name_problem(run, &problems, result, holder);
		run_claim_files(run);
		/* Also without a directory, so that what the host lacks is told at once; what runs already has
		 * its images. */
		if (result != -EBUSY)
			resources_open(&run->file, result < 0 ? NULL : &run->dir, &run->claims,
				       &run->resources, &problems);
		/* Told with the rest; they are made last. */
		cgroups_look(&run->file, &run->resources, run->waiting, &problems);
	}
	return run_tell_problems(&problems, path);
}

/* The same for what is not there yet: nothing else is in the VM's way now. */
static int run_make(struct run *run, const char *path)
{
	struct problems problems = {0};
	const char *other = NULL;

	int result;

	if (run->detached) {
		result = log_file_open(&run->log, &run->dir);
		if (result < 0)
			problem_add_host(&problems, 1, "host",
					 "log file %s: %s; name another with --log-file", run->log.path,
					 strerror(-result));
		else
			other = file_claims_add_fd(&run->claims, run->log.fd, FILE_LOG, "the log file");
		if (other != NULL)
			problem_add(&problems, 1, "host",
				    "log file %s: the same file as %s; name another with --log-file",
				    run->log.path, other);
	}
	resources_make(&run->file, &run->dir, &run->claims, &run->resources, &problems);
	if (problems.count == 0)
		run->vm.cgroups = run->cgroups =
			cgroups_make(&run->file, &run->resources, run->waiting, &problems);
	return run_tell_problems(&problems, path);
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
	bool stdio = run_has_stdio(run);
	int result;

	run->terminal = stdio && isatty(STDIN_FILENO);
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
		result = run_watch_signals(run, run->terminal);
	if (result == 0 && stdio)
		result = relay_new(run->loop, STDIN_FILENO, STDOUT_FILENO, run->terminal, &run_relay_ops, run,
				   &run->vm.relay);
	if (result == 0 && run->terminal) {
		run->foreground_timer = loop_watch_timer(run->loop, run_take_terminal, run);
		if (run->foreground_timer == NULL)
			return -ENOMEM;
		terminal_size(STDIN_FILENO, &run->vm.columns, &run->vm.rows);
	}
	if (result == 0 && run->detached) {
		run->log_timer = loop_watch_timer(run->loop, run_bound_log, run);
		if (run->log_timer == NULL)
			result = -ENOMEM;
	}
	return result;
}

/* The last line of a detached VM's log, whatever else is logged. */
static void run_log_end(const struct run *run)
{
	enum log_level level = log_get_level();

	if (!run->detached || run->tell_fd >= 0)
		return;
	log_set_level(LOG_LEVEL_NOTICE);
	log_notice("the VM has ended, with status %d: %s", run->exit_status,
		   run->vm.why[0] != '\0' ? run->vm.why : "see the lines above");
	log_set_level(level);
}

static void run_clean_up(struct run *run)
{
	terminal_restore();
	for (size_t i = 0; i < run->signal_count; i++)
		loop_unwatch(run->signals[i]);
	loop_unwatch(run->foreground_timer);
	loop_unwatch(run->log_timer);
	relay_free(run->vm.relay);
	run->vm.relay = NULL;
	if (run->loop != NULL)
		vm_release(&run->vm);
	/* It is in one of them. */
	starter_free(run->starter);
	cgroups_remove(run->cgroups);
	if (record_close(run->vm.record) < 0 && run->exit_status == EXIT_STATUS_OK)
		run->exit_status = EXIT_STATUS_FAILED;
	link_watch_free(run->links);
	resources_close(&run->resources);
	/* Before the monitor's connections close: who waits for the VM's end there finds nothing of it any
	 * more. */
	runtime_dir_remove(&run->dir);
	run_log_end(run);
	monitor_free(run->monitor);
	log_output_stop();
	loop_free(run->loop);
	config_file_clear(&run->file);
	file_claims_clear(&run->claims);
	if (run->log.fd >= 0)
		close(run->log.fd);
}

/* The process that makes all others, while this one still may. */
static int run_fork_starter(struct run *run)
{
	struct starter_table table = {0};
	char title[128];
	int result = vm_starter_table(&run->vm, &table);

	snprintf(title, sizeof(title), "atoll-starter: %s", run->file.config->name);
	if (result == 0)
		result = starter_fork(&table, title, supervisor_seal_starter, &run->starter);
	starter_table_clear(&table);
	if (result == 0)
		result = starter_watch(run->starter, run->loop);
	if (result < 0)
		report_error(
			"run: cannot make the process that starts the others: %s; see that this host can "
			"start more processes",
			strerror(-result));
	run->vm.starter = run->starter;
	return result;
}

/* The names of threads that are recorded; and what `atoll policy record` reads and removes when the VM has ended. */
static void run_reach_record(struct reach *reach)
{
	const char *path = getenv(RECORD_ENV);
	char real[PATH_MAX];

	reach_add_path(reach, AT_FDCWD, "/proc", JAIL_PATH_READ_FILE);
	reach_add_path(reach, AT_FDCWD, policy_directory(), JAIL_PATH_READ_DIR | JAIL_PATH_READ_FILE);
	reach_add_path(reach, AT_FDCWD, path, JAIL_PATH_READ_FILE);
	if (realpath(path, real) != NULL)
		reach_add_folder(reach, real, JAIL_PATH_REMOVE_FILE);
}

static int run_seal(struct run *run)
{
	struct reach reach = {0};
	int result;

	reach_add_runtime_dir(&reach, &run->dir);
	reach_add_log(&reach, &run->log);
	reach_add_resources(&reach, &run->resources);
	cgroups_reach(run->cgroups, &reach);
	if (run->vm.record != NULL)
		run_reach_record(&reach);
	result = supervisor_seal(&reach);
	reach_clear(&reach);
	return result;
}

static int run_vm(struct run *run, const char *path)
{
	int result, status = run_open(run, path);
	char title[128];

	if (status != EXIT_STATUS_OK)
		return status;
	snprintf(title, sizeof(title), "atoll: %s", run->file.config->name);
	process_title_set(title);
	log_identify("atoll", run->file.config->name);
	result = run_prepare(run);
	if (result < 0) {
		report_error("%s: cannot prepare: %s; see that this host has files and memory left",
			     run->file.config->name, strerror(-result));
		return EXIT_STATUS_FAILED;
	}
	status = run_make(run, path);
	if (status != EXIT_STATUS_OK)
		return status;
	inherited_close(&run->inherited);
	config_file_forget_lines(&run->file);
	file_claims_clear(&run->claims);
	/* Whose folder it was may remove or unmount it. */
	if (run->detached && (spawn_fix_paths() < 0 || chdir("/") < 0))
		log_warning("the VM keeps its folder in use: %s", strerror(errno));
	if (run_fork_starter(run) < 0)
		return EXIT_STATUS_HOST;
	if (run_seal(run) < 0)
		return EXIT_STATUS_FAILED;
	resources_empty(run->file.config, &run->resources);
	if (run->terminal) {
		result = terminal_take(STDIN_FILENO);
		if (result < 0) {
			report_error("run: cannot set the terminal: %s; redirect the standard input",
				     strerror(-result));
			return EXIT_STATUS_FAILED;
		}
		run_take_terminal(run);
	}
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
	struct run run = {.dir = {.fd = -1}, .tell_fd = -1, .log = {.fd = -1}};
	int status, result;
	char *path = run_options(&run, argc, argv, &status);

	if (path == NULL)
		return status;
	inherited_note(&run.inherited);
	run.resources = (struct resources){.kvm_fd = -1, .kernel_fd = -1, .initrd_fd = -1};
	result = run.detached ? detach_fork(&run.tell_fd) : 0;
	/* Unless it is gone already, and we were given to the first process. */
	if (run.detached && getppid() > 1)
		run.waiting = getppid();
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
	inherited_close(&run.inherited);
	if (run.tell_fd >= 0)
		detach_tell(run.tell_fd, status);
	free((void *)run.log_file);
	for (size_t i = 0; i < run.no_sandbox_count; i++)
		free((void *)run.no_sandbox[i]);
	free(run.no_sandbox);
	free(path);
	return status;
}
