/*
 * run, in the order of what it needs: the name, in the runtime directory; the host's resources that are there; the loop with
 * everything that it watches; the terminal; the files and sockets that are made; the starter; the seal; the processes.
 * Everything up to the seal is refused with nothing left behind and no file changed; from then on the end of the VM is the end
 * of the command.
 */
#include "supervisor/run.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/report.h"
#include "common/program/process_title.h"
#include "config/config_pack.h"
#include "supervisor/host/detach.h"
#include "supervisor/host/log_output.h"
#include "supervisor/host/reach.h"
#include "supervisor/host/record.h"
#include "supervisor/host/relay.h"
#include "supervisor/host/terminal.h"
#include "supervisor/run_check.h"
#include "supervisor/run_parts.h"
#include "supervisor/run_record.h"
#include "supervisor/run_signals.h"
#include "supervisor/vm/spawn.h"
#include "supervisor/vm/supervisor_seal.h"
#include "supervisor/vm/vm_configure.h"

/* How often it is looked whether the log has become too long. */
#define LOG_US UINT64_C(2000000)

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

/* What the VM uses beside what its config names. */
static void run_claim_files(struct run *run)
{
	/* A shell's > has emptied them already; but nothing is written over a second time. */
	if (!run->launch->detached)
		file_claims_add_fd(&run->claims, STDOUT_FILENO, FILE_LOG, "the standard output");
	file_claims_add_fd(&run->claims, STDERR_FILENO, FILE_LOG, "the standard error");
	if (run->launch->detached &&
	    log_file_choose(&run->log, run->launch->log_file, run->config->name) == 0)
		file_claims_add_path(&run->claims, run->log.path, FILE_LOG, "the log file");
	run_claim_record(run);
}

/* Prints them, and returns the status: 0 if there are none. */
static int run_tell_problems(struct problems *problems, const char *path)
{
	int status = problems_exit_status(problems);

	problems_print(problems, path, true);
	problems_clear(problems);
	return status;
}

/*
 * Reports and returns the status, or 0 and everything that the config names and that is there is ours. The file itself is in
 * order: run takes locks.
 */
static int run_open(struct run *run)
{
	struct problems problems = {0};
	pid_t holder;
	int result;

	run_check_proc(&problems);
	if (problems.count == 0) {
		result = runtime_dir_take(run->config->name, &run->dir, &holder);
		if (result < 0)
			run_name_problem(run->file, &problems, result, holder);
		run_claim_files(run);
		/* Also without a directory, so that what the host lacks is told at once; what runs already has
		 * its images. */
		if (result != -EBUSY)
			resources_open(run->file, result < 0 ? NULL : &run->dir, &run->claims,
				       &run->resources, &problems);
		/* Told with the rest; they are made last. */
		cgroups_look(run->file, &run->resources, run->waiting, &problems);
	}
	return run_tell_problems(&problems, run->file->path);
}

/* The same for what is not there yet: nothing else is in the VM's way now. */
static int run_make(struct run *run)
{
	struct problems problems = {0};
	const char *other = NULL;
	int result;

	if (run->launch->detached) {
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
	resources_make(run->file, &run->dir, &run->claims, &run->resources, &problems);
	if (problems.count == 0)
		run->vm.cgroups = run->cgroups =
			cgroups_make(run->file, &run->resources, run->waiting, &problems);
	return run_tell_problems(&problems, run->file->path);
}

static bool run_has_stdio(const struct run *run)
{
	for (unsigned i = 0; i < run->config->consoles_count; i++)
		if (run->config->consoles[i].output == CONFIG_OUTPUT_STDIO)
			return true;
	return false;
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
	result = vm_init(&run->vm, run->loop, run->config, &run->resources, &run_vm_ops, run);
	run->vm.no_sandbox = run->launch->no_sandbox;
	run->vm.no_sandbox_count = run->launch->no_sandbox_count;
	if (result == 0)
		result = run_prepare_record(run);
	if (result == 0)
		result = monitor_new(run->loop, &run->dir, &run->vm, &run->monitor);
	if (result == 0 && run->config->networks_count > 0)
		result = link_watch_new(run->loop, run_link_changed, run, &run->links);
	if (result == 0)
		result = run_watch_signals(run);
	if (result == 0 && stdio)
		result = relay_new(run->loop, STDIN_FILENO, STDOUT_FILENO, run->terminal, &run_relay_ops, run,
				   &run->vm.relay);
	if (result == 0 && run->terminal) {
		run->foreground_timer = loop_watch_timer(run->loop, run_take_terminal, run);
		if (run->foreground_timer == NULL)
			return -ENOMEM;
		terminal_size(STDIN_FILENO, &run->vm.columns, &run->vm.rows);
	}
	if (result == 0 && run->launch->detached) {
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

	if (!run->launch->detached || run->tell_fd >= 0)
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

	snprintf(title, sizeof(title), "atoll-starter: %s", run->config->name);
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

static int run_seal(struct run *run)
{
	struct reach reach = {0};
	int result;

	reach_add_runtime_dir(&reach, &run->dir);
	reach_add_log(&reach, &run->log);
	resources_reach(&run->resources, &reach);
	cgroups_reach(run->cgroups, &reach);
	run_reach_record(run, &reach);
	result = supervisor_seal(&reach);
	reach_clear(&reach);
	return result;
}

static int run_vm(struct run *run)
{
	int result, status = run_open(run);
	char title[128];

	if (status != EXIT_STATUS_OK)
		return status;
	snprintf(title, sizeof(title), "atoll: %s", run->config->name);
	process_title_set(title);
	log_identify("atoll", run->config->name);
	result = run_prepare(run);
	if (result < 0) {
		report_error("%s: cannot prepare: %s; see that this host has files and memory left",
			     run->config->name, strerror(-result));
		return EXIT_STATUS_FAILED;
	}
	status = run_make(run);
	if (status != EXIT_STATUS_OK)
		return status;
	inherited_close(&run->inherited);
	config_file_forget_lines(run->file);
	file_claims_clear(&run->claims);
	/* Whose folder it was may remove or unmount it. */
	if (run->launch->detached && (spawn_fix_paths() < 0 || chdir("/") < 0))
		log_warning("the VM keeps its folder in use: %s", strerror(errno));
	if (run_fork_starter(run) < 0)
		return EXIT_STATUS_HOST;
	if (run_seal(run) < 0)
		return EXIT_STATUS_FAILED;
	resources_empty(&run->resources);
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
	/* What the config took goes back to the host: a supervisor lives long. */
	malloc_trim(0);
	if (!run->vm.over)
		result = loop_run(run->loop);
	return result < 0 ? EXIT_STATUS_FAILED : run->exit_status;
}

int run_to_end(struct launch *launch)
{
	struct run run = {.launch = launch,
			  .file = &launch->file,
			  .config = launch->file.config,
			  .dir = {.fd = -1},
			  .tell_fd = -1,
			  .log = {.fd = -1}};
	int status, result;

	inherited_note(&run.inherited);
	resources_init(&run.resources);
	result = launch->detached ? detach_fork(&run.tell_fd) : 0;
	/* Unless it is gone already, and we were given to the first process. */
	if ((launch->detached || launch->waited) && getppid() > 1)
		run.waiting = getppid();
	if (result == 0 && launch->detached)
		result = detach_stdio();
	if (result < 0) {
		report_error("run: cannot detach: %s; see that this host can start more processes",
			     strerror(-result));
		status = EXIT_STATUS_FAILED;
	} else {
		status = run_vm(&run);
	}
	run_clean_up(&run);
	inherited_close(&run.inherited);
	if (run.tell_fd >= 0)
		detach_tell(run.tell_fd, status);
	return status;
}
