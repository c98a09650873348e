/*
 * The asking side of the monitor.
 */
#include "common/host/monitor_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "common/host/runtime_dir.h"

/* A supervisor closes its sockets as almost the last thing that it does. */
#define PROCESS_END_MS 2000

int monitor_client_connect(const char *name, pid_t *pid)
{
	int base_fd, result;

	*pid = 0;
	result = runtime_base_open(&base_fd, 0);
	if (result < 0)
		return result;
	result = runtime_vm_find(base_fd, name, pid);
	if (result == 1)
		result = runtime_vm_connect(base_fd, name);
	else if (result == 0)
		result = -ENOENT;
	close(base_fd);
	return result;
}

static int client_ask(int socket_fd, Atoll__Control__MonitorRequest__Command command, const char *device,
		      uint32_t first, int timeout_ms, struct control_message *message)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__MonitorRequest request = ATOLL__CONTROL__MONITOR_REQUEST__INIT;
	int result;

	request.command = command;
	request.first = first;
	request.device = (char *)(device != NULL ? device : "");
	envelope.serial = 1;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_MONITOR_REQUEST;
	envelope.monitor_request = &request;
	result = control_send(socket_fd, &envelope, NULL, 0);
	if (result == 0)
		result = control_receive_timeout(socket_fd, timeout_ms, message);
	if (result <= 0)
		return result == 0 ? -EPIPE : result;
	if (message->fd_count == 0 &&
	    message->envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_MONITOR_REPLY)
		return 0;
	control_message_clear(message);
	return -EPROTO;
}

int monitor_client_ask(int socket_fd, Atoll__Control__MonitorRequest__Command command, const char *device,
		       int timeout_ms, struct control_message *message)
{
	return client_ask(socket_fd, command, device, 0, timeout_ms, message);
}

/* The processes of `more` go behind those of `all`. */
static int reply_append(Atoll__Control__MonitorReply *all, Atoll__Control__MonitorReply *more)
{
	Atoll__Control__ProcessState **processes =
		realloc(all->processes, (all->n_processes + more->n_processes + 1) * sizeof(*processes));

	if (processes == NULL)
		return -ENOMEM;
	all->processes = processes;
	for (size_t i = 0; i < more->n_processes; i++)
		processes[all->n_processes++] = more->processes[i];
	more->n_processes = 0;
	all->more = more->more;
	return 0;
}

int monitor_client_query(int socket_fd, int timeout_ms, struct control_message *message)
{
	const Atoll__Control__MonitorRequest__Command query =
		ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_QUERY;
	int result = client_ask(socket_fd, query, NULL, 0, timeout_ms, message);

	while (result == 0 && message->envelope->monitor_reply->more) {
		Atoll__Control__MonitorReply *all = message->envelope->monitor_reply;
		struct control_message next;

		result = client_ask(socket_fd, query, NULL, (uint32_t)all->n_processes, timeout_ms, &next);
		if (result == 0) {
			/* Each brings one at least; or it would go on for ever. */
			if (next.envelope->monitor_reply->n_processes == 0 &&
			    next.envelope->monitor_reply->more)
				result = -EPROTO;
			else
				result = reply_append(all, next.envelope->monitor_reply);
			control_message_clear(&next);
		}
		if (result < 0)
			control_message_clear(message);
	}
	return result;
}

int monitor_client_wait_end(int socket_fd, pid_t pid, int timeout_ms)
{
	struct control_message message;
	/* The supervisor lives, since its socket is open: so the number is still its own. */
	struct pollfd process = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	int result = control_receive_timeout(socket_fd, timeout_ms, &message);

	if (result == 1) {
		/* Nothing is said that was not asked for. */
		control_message_clear(&message);
		result = -EPROTO;
	}
	if (process.fd >= 0) {
		if (result == 0)
			poll(&process, 1, PROCESS_END_MS);
		close(process.fd);
	}
	return result;
}
