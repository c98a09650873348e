/* Signals and the terminal; see run_signals.h. */
#include "supervisor/run_signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/report.h"
#include "supervisor/host/own_process.h"
#include "supervisor/host/relay.h"
#include "supervisor/host/terminal.h"

/* How often it is looked whether the shell has put us into the foreground (fg), which nothing tells of. Only while we are
 * in the background. */
#define FOREGROUND_US UINT64_C(250000)
/* What SIGTERM gives the guest to power off. */
#define POWER_OFF_US UINT64_C(30000000)

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

void run_take_terminal(void *argument)
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
	if (!run->launch->detached || run->tell_fd >= 0) {
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

int run_watch_signals(struct run *run)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGQUIT};
	int result = run_watch_signal(run, SIGHUP, run_hang_up);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && result == 0; i++)
		result = run_watch_signal(run, ends[i], run_terminate);
	if (!run->terminal || result < 0)
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
