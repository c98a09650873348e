/*
 * atoll stop, kill, reset, restart, pause and resume: one order to a running VM.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "common/base/control_wire.h"
#include "common/host/monitor_client.h"
#include "common/host/runtime_dir.h"
#include "config/config_value.h"

#define STOP_TIMEOUT_S	   60
#define STOP_TIMEOUT_MAX_S 86400
/* The supervisor's own bounds on an end, and some more. */
#define END_TIMEOUT_MS 20000
/* The supervisor bounds a restart by the config's `heartbeat`, twice. */
#define RESTART_TIMEOUT_MS (3 * 3600 * 1000)

/* Connects, or reports why not. */
static int order_connect(const char *name, pid_t *pid)
{
	int fd = monitor_client_connect(name, pid);

	if (fd == -ENOENT)
		report_error("%s: no VM of this name is running; see \"atoll list\"", name);
	else if (fd < 0)
		report_error("%s: cannot reach its supervisor: %s; see that the runtime directory is yours",
			     name, runtime_strerror(fd));
	return fd;
}

/* Gives the order, or reports why not. -EPIPE is success of a kind: it has just ended. */
static int order_give(int fd, const char *name, Atoll__Control__MonitorRequest__Command command)
{
	struct control_message message;
	int result = monitor_client_ask(fd, command, NULL, MONITOR_CLIENT_TIMEOUT_MS, &message);

	if (result == -EPIPE)
		return 0;
	if (result < 0) {
		report_error("%s: its supervisor does not answer: %s; end it with kill(1)", name,
			     strerror(-result));
		return result;
	}
	if (message.envelope->monitor_reply->error[0] != '\0') {
		report_error("%s: %s", name, message.envelope->monitor_reply->error);
		result = -EINVAL;
	}
	control_message_clear(&message);
	return result;
}

static int order_kill(int fd, const char *name, pid_t pid)
{
	if (order_give(fd, name, ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_KILL) < 0)
		return EXIT_STATUS_FAILED;
	if (monitor_client_wait_end(fd, pid, END_TIMEOUT_MS) == 0)
		return EXIT_STATUS_OK;
	report_error("%s: it did not end in %d seconds; end process %d with kill -9", name,
		     END_TIMEOUT_MS / 1000, (int)pid);
	return EXIT_STATUS_FAILED;
}

static bool parse_timeout(const char *text, int *seconds)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	/* "30s" is what the config file would take. */
	if (strcmp(end, "s") == 0)
		end++;
	if (errno != 0 || end == text || *end != '\0' || value < 0 || value > STOP_TIMEOUT_MAX_S) {
		report_error("usage: --timeout=%s is not a time; give seconds, 0 to %d", text,
			     STOP_TIMEOUT_MAX_S);
		return false;
	}
	*seconds = (int)value;
	return true;
}

int command_stop(int argc, char **argv)
{
	static const struct option options[] = {{"timeout", required_argument, NULL, 't'},
						{NULL, 0, NULL, 0}};
	int timeout = STOP_TIMEOUT_S, status, fd, result;
	pid_t pid;

	while (command_option(argc, argv, options, &status) != -1)
		if (!parse_timeout(optarg, &timeout))
			return EXIT_STATUS_USAGE;
	if (status >= 0)
		return status;
	if (!command_operands(argc, argv, 1))
		return EXIT_STATUS_USAGE;
	fd = order_connect(argv[optind], &pid);
	if (fd < 0)
		return EXIT_STATUS_FAILED;
	result = order_give(fd, argv[optind], ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_POWER_BUTTON);
	status = EXIT_STATUS_FAILED;
	if (result == 0)
		status = monitor_client_wait_end(fd, pid, timeout * 1000) == 0
				 ? EXIT_STATUS_OK
				 : order_kill(fd, argv[optind], pid);
	close(fd);
	return status;
}

/* A command that takes a name and nothing else; the socket, or -1 with *status. */
static int order_start(int argc, char **argv, int *status, pid_t *pid)
{
	int fd;

	while (command_option(argc, argv, NULL, status) != -1)
		;
	if (*status >= 0)
		return -1;
	*status = EXIT_STATUS_USAGE;
	if (!command_operands(argc, argv, 1))
		return -1;
	fd = order_connect(argv[optind], pid);
	*status = EXIT_STATUS_FAILED;
	return fd < 0 ? -1 : fd;
}

int command_kill(int argc, char **argv)
{
	int status, fd;
	pid_t pid;

	fd = order_start(argc, argv, &status, &pid);
	if (fd < 0)
		return status;
	status = order_kill(fd, argv[optind], pid);
	close(fd);
	return status;
}

int command_reset(int argc, char **argv)
{
	int status, fd;
	pid_t pid;

	fd = order_start(argc, argv, &status, &pid);
	if (fd < 0)
		return status;
	status = order_give(fd, argv[optind], ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_RESET) < 0
			 ? EXIT_STATUS_FAILED
			 : EXIT_STATUS_OK;
	close(fd);
	return status;
}

/*
 * An order whose answer says that it was carried out; the VM's end is no such answer.
 */
static int order_await(int fd, const char *name, Atoll__Control__MonitorRequest__Command command,
		       const char *device)
{
	struct control_message message;
	int result =
		monitor_client_ask(fd, command, device,
				   device != NULL ? RESTART_TIMEOUT_MS : MONITOR_CLIENT_TIMEOUT_MS, &message);
	int status = EXIT_STATUS_FAILED;

	if (result == -EPIPE) {
		report_error("%s: the VM ended meanwhile; see its log", name);
		return status;
	}
	if (result < 0) {
		report_error("%s: its supervisor does not answer: %s; see its log", name, strerror(-result));
		return status;
	}
	if (message.envelope->monitor_reply->error[0] == '\0')
		status = EXIT_STATUS_OK;
	else if (device != NULL)
		report_error("%s: %s: %s", name, device, message.envelope->monitor_reply->error);
	else
		report_error("%s: %s", name, message.envelope->monitor_reply->error);
	control_message_clear(&message);
	return status;
}

int command_restart(int argc, char **argv)
{
	int status, fd;
	pid_t pid;

	while (command_option(argc, argv, NULL, &status) != -1)
		;
	if (status >= 0)
		return status;
	if (!command_operands(argc, argv, 2))
		return EXIT_STATUS_USAGE;
	fd = order_connect(argv[optind], &pid);
	if (fd < 0)
		return EXIT_STATUS_FAILED;
	status = order_await(fd, argv[optind], ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_RESTART,
			     argv[optind + 1]);
	close(fd);
	return status;
}

static int order_pause(int argc, char **argv, Atoll__Control__MonitorRequest__Command command)
{
	int status, fd;
	pid_t pid;

	fd = order_start(argc, argv, &status, &pid);
	if (fd < 0)
		return status;
	status = order_await(fd, argv[optind], command, NULL);
	close(fd);
	return status;
}

int command_pause(int argc, char **argv)
{
	return order_pause(argc, argv, ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_PAUSE);
}

int command_resume(int argc, char **argv)
{
	return order_pause(argc, argv, ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_RESUME);
}
