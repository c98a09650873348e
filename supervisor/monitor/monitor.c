/*
 * The monitor. A query asks every process for its counters first; who asks while a round of that is under way
 * is answered with the others. A process that does not answer does not hold the answer up.
 */
#include "supervisor/monitor/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/control_wire.h"
#include "common/base/log.h"
#include "common/base/report.h"
#include "config/nearest.h"
#include "supervisor/host/cgroup.h"
#include "supervisor/vm/starter.h"
#include "supervisor/vm/vm_device.h"
#include "supervisor/vm/vm_devices.h"

#define CLIENTS_MAX   32
#define STATISTICS_US 500000

struct monitor_client {
	LIST_ENTRY(monitor_client) link;
	struct monitor *monitor;
	int fd;
	struct loop_watch *watch;
	bool waiting;	 /* for the counters */
	uint32_t first;	 /* so many processes it has been told of */
	uint64_t ticket; /* for what was begun with it; 0: for nothing */
	uint64_t serial;
};

struct monitor {
	struct loop *loop;
	struct vm *vm;
	int fd;
	struct loop_watch *watch;
	LIST_HEAD(, monitor_client) clients;
	unsigned client_count;

	struct loop_watch *round_timer;
	uint64_t round; /* serial of the statistics requests under way */
	unsigned outstanding;
};

static void client_free(struct monitor_client *client)
{
	LIST_REMOVE(client, link);
	client->monitor->client_count--;
	/* There is room for the next. */
	if (client->monitor->watch != NULL)
		loop_watch_set_events(client->monitor->watch, LOOP_READ);
	loop_unwatch(client->watch);
	close(client->fd);
	free(client);
}

static void client_reply(struct monitor_client *client, Atoll__Control__MonitorReply *reply)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;

	envelope.serial = client->serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_MONITOR_REPLY;
	envelope.monitor_reply = reply;
	if (control_send(client->fd, &envelope, NULL, 0) == -EMSGSIZE)
		log_error(
			"the monitor has an answer that is too long for a packet; this is a fault of Atoll");
}

static void client_reply_error(struct monitor_client *client, const char *error)
{
	Atoll__Control__MonitorReply reply = ATOLL__CONTROL__MONITOR_REPLY__INIT;

	reply.error = (char *)error;
	client_reply(client, &reply);
}

/* --- the state of everything --- */

/* A cgroup's. NULL: there is no memory. */
static Atoll__Control__Limits *limits_new(const struct config_limits *limits)
{
	Atoll__Control__Limits *message = malloc(sizeof(*message));

	if (message == NULL)
		return NULL;
	atoll__control__limits__init(message);
	if (limits == NULL)
		return message;
	message->memory = limits->memory_bytes;
	message->cpu = limits->cpu_percent;
	message->pids = limits->pids;
	if (limits->io != NULL) {
		message->read_bps = limits->io->read_bytes;
		message->write_bps = limits->io->write_bytes;
		message->read_iops = limits->io->read_iops;
		message->write_iops = limits->io->write_iops;
	}
	return message;
}

static void process_state_free(Atoll__Control__ProcessState *process)
{
	for (size_t i = 0; i < process->n_counters; i++)
		free(process->counters[i]);
	free(process->counters);
	free(process->limits);
	free(process);
}

/* Strings are borrowed from the child. */
static Atoll__Control__ProcessState *process_state_new(const struct vm *vm, const struct child_process *child)
{
	Atoll__Control__ProcessState *process = malloc(sizeof(*process));
	const struct vm_device *device = vm_device_of(vm, child);

	if (process == NULL)
		return NULL;
	atoll__control__process_state__init(process);
	process->role = (char *)child_role_name(child->role);
	process->id = (char *)child->id;
	process->pid = child->state == CHILD_DEAD ? 0 : (uint32_t)child->pid;
	process->state = (char *)child_state_name(child->state);
	if (device != NULL && child == device->child) {
		process->restarts = device->restarts;
		process->trouble = (char *)device->trouble;
		/* What happens to a process that goes on, not what happened to the one before. */
		if (vm->state == VM_RUNNING)
			process->state = (char *)device_state_name(device->state);
	}
	process->no_sandbox = child->no_sandbox;
	process->recorded = vm->record != NULL;
	process->read_only =
		device != NULL && child->role == CHILD_ROLE_BLK && device->resource->disk.config->readonly;
	process->violation = (char *)child->violation;
	if (vm->cgroups != NULL)
		process->limits = limits_new(cgroups_limits(vm->cgroups, child->role, child->id));
	process->counters = calloc(child->counter_count + 1, sizeof(Atoll__Control__Counter *));
	for (size_t i = 0; process->counters != NULL && i < child->counter_count; i++) {
		Atoll__Control__Counter *counter = malloc(sizeof(*counter));

		if (counter == NULL)
			break;
		atoll__control__counter__init(counter);
		counter->name = child->counters[i].name;
		counter->value = child->counters[i].value;
		process->counters[process->n_counters++] = counter;
	}
	return process;
}

/* Whether a packet has room for it. */
static bool reply_fits(Atoll__Control__MonitorReply *reply)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;

	envelope.serial = UINT64_MAX;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_MONITOR_REPLY;
	envelope.monitor_reply = reply;
	return atoll__control__envelope__get_packed_size(&envelope) <= CONTROL_FRAME_MAX;
}

/* As many processes as a packet has room for; one fits always, for what is kept of it is bounded. */
static void reply_add_processes(Atoll__Control__MonitorReply *reply, const struct vm *vm, uint32_t first)
{
	const struct child_process *child;
	uint32_t index = 0;

	TAILQ_FOREACH (child, &vm->children, link) {
		Atoll__Control__ProcessState *process;

		if (index++ < first)
			continue;
		process = process_state_new(vm, child);
		if (process == NULL)
			return;
		reply->processes[reply->n_processes++] = process;
		/* Also for the field that would be set then. */
		reply->more = true;
		if (!reply_fits(reply)) {
			process_state_free(reply->processes[--reply->n_processes]);
			return;
		}
	}
	reply->more = false;
}

static void client_reply_state(struct monitor_client *client)
{
	Atoll__Control__MonitorReply reply = ATOLL__CONTROL__MONITOR_REPLY__INIT;
	const struct vm *vm = client->monitor->vm;
	const struct child_process *child;
	size_t count = 0;

	TAILQ_FOREACH (child, &vm->children, link)
		count++;
	reply.vm = vm->config->name;
	reply.state = (char *)vm_state_name(vm);
	reply.uptime_us = vm_uptime(vm);
	reply.starter = (uint32_t)starter_pid(vm->starter);
	if (vm->cgroups != NULL)
		reply.limits = limits_new(vm->config->limits);
	reply.processes = calloc(count + 1, sizeof(Atoll__Control__ProcessState *));
	if (reply.processes != NULL)
		reply_add_processes(&reply, vm, client->first);
	client_reply(client, &reply);
	for (size_t i = 0; i < reply.n_processes; i++)
		process_state_free(reply.processes[i]);
	free(reply.processes);
	free(reply.limits);
}

static void monitor_round_end(void *argument)
{
	struct monitor *monitor = argument;
	struct monitor_client *client;

	loop_timer_disarm(monitor->round_timer);
	monitor->outstanding = 0;
	LIST_FOREACH (client, &monitor->clients, link) {
		if (client->waiting) {
			client->waiting = false;
			client_reply_state(client);
		}
	}
}

static void monitor_round_start(struct monitor *monitor)
{
	if (monitor->outstanding > 0)
		return;
	monitor->outstanding = vm_request_statistics(monitor->vm, &monitor->round);
	loop_timer_arm(monitor->round_timer, monitor->outstanding > 0 ? STATISTICS_US : 0);
}

void monitor_statistics(struct monitor *monitor, uint64_t serial)
{
	if (serial == monitor->round && monitor->outstanding > 0 && --monitor->outstanding == 0)
		monitor_round_end(monitor);
}

void monitor_answered(struct monitor *monitor, uint64_t ticket, const char *error)
{
	struct monitor_client *client;

	LIST_FOREACH (client, &monitor->clients, link) {
		if (client->ticket == 0 || client->ticket != ticket)
			continue;
		client->ticket = 0;
		client_reply_error(client, error);
	}
}

/* --- requests --- */

/* Replies now, if nothing was begun. */
static void client_wait(struct monitor_client *client, uint64_t ticket, const char *why)
{
	client->ticket = ticket;
	if (ticket == 0)
		client_reply_error(client, why);
}

static void client_restart(struct monitor_client *client, const char *id)
{
	struct vm_device *device = vm_device_find(client->monitor->vm, id), *other;
	struct nearest nearest = nearest_begin(id);
	char hint[64], unknown[128];
	const char *why = unknown;
	uint64_t ticket;

	TAILQ_FOREACH (other, &client->monitor->vm->devices, link)
		nearest_try(&nearest, other->id);
	snprintf(unknown, sizeof(unknown), "it has no device of this id; %ssee \"atoll list\"",
		 nearest_hint(&nearest, hint, sizeof(hint)));
	/* Before the call of client_wait(), for this one sets why. */
	ticket = device != NULL ? vm_device_replace(device, &why) : 0;
	client_wait(client, ticket, why);
}

static void client_pause(struct monitor_client *client, bool paused)
{
	const char *why = "";
	uint64_t ticket = vm_pause(client->monitor->vm, paused, &why);

	client_wait(client, ticket, why);
}

static void client_take(struct monitor_client *client, const Atoll__Control__Envelope *envelope)
{
	struct vm *vm = client->monitor->vm;

	client->serial = envelope->serial;
	switch (envelope->monitor_request->command) {
	case ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_QUERY:
		client->first = envelope->monitor_request->first;
		/* The counters of all were gathered for the first of them. */
		if (client->first > 0) {
			client_reply_state(client);
			return;
		}
		client->waiting = true;
		monitor_round_start(client->monitor);
		return;
	case ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_POWER_BUTTON:
		client_reply_error(client, "");
		log_info("a stop command presses the power button");
		vm_power_button(vm, 0);
		return;
	case ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_KILL:
		client_reply_error(client, "");
		vm_kill(vm, EXIT_STATUS_FAILED, "killed by a command");
		return;
	case ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_RESET:
		client_reply_error(client,
				   vm_reset(vm) == 0 ? "" : "the VM is ending; start it again afterwards");
		return;
	case ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_RESTART:
		client_restart(client, envelope->monitor_request->device);
		return;
	case ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_PAUSE:
		client_pause(client, true);
		return;
	case ATOLL__CONTROL__MONITOR_REQUEST__COMMAND__COMMAND_RESUME:
		client_pause(client, false);
		return;
	default:
		client_reply_error(client,
				   "a command that this supervisor does not know; use one atoll for both");
	}
}

static void client_readable(int fd, unsigned events, void *argument)
{
	struct monitor_client *client = argument;
	struct control_message message;
	int result = control_receive(fd, &message);

	(void)events;
	if (result == -EAGAIN)
		return;
	if (result == 1 && message.fd_count == 0 &&
	    message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_MONITOR_REQUEST) {
		client_take(client, message.envelope);
		control_message_clear(&message);
		return;
	}
	if (result == 1)
		control_message_clear(&message);
	client_free(client);
}

static void monitor_accept(int fd, unsigned events, void *argument)
{
	struct monitor *monitor = argument;
	struct monitor_client *client;
	int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (client_fd < 0)
		return;
	client = calloc(1, sizeof(*client));
	if (client == NULL) {
		close(client_fd);
		return;
	}
	client->monitor = monitor;
	client->fd = client_fd;
	client->watch = loop_watch_fd(monitor->loop, client_fd, LOOP_READ, client_readable, client);
	if (client->watch == NULL) {
		close(client_fd);
		free(client);
		return;
	}
	LIST_INSERT_HEAD(&monitor->clients, client, link);
	if (++monitor->client_count == CLIENTS_MAX)
		loop_watch_set_events(monitor->watch, 0);
}

int monitor_new(struct loop *loop, const struct runtime_dir *dir, struct vm *vm, struct monitor **monitor)
{
	struct monitor *new_monitor = calloc(1, sizeof(*new_monitor));
	int fd;

	if (new_monitor == NULL)
		return -ENOMEM;
	fd = runtime_dir_listen(dir, RUNTIME_CONTROL_SOCKET, SOCK_SEQPACKET);
	if (fd < 0) {
		free(new_monitor);
		return fd;
	}
	new_monitor->loop = loop;
	new_monitor->vm = vm;
	new_monitor->fd = fd;
	LIST_INIT(&new_monitor->clients);
	new_monitor->watch = loop_watch_fd(loop, fd, LOOP_READ, monitor_accept, new_monitor);
	new_monitor->round_timer = loop_watch_timer(loop, monitor_round_end, new_monitor);
	if (new_monitor->watch == NULL || new_monitor->round_timer == NULL) {
		monitor_free(new_monitor);
		return -ENOMEM;
	}
	*monitor = new_monitor;
	return 0;
}

void monitor_free(struct monitor *monitor)
{
	struct monitor_client *client;

	if (monitor == NULL)
		return;
	loop_unwatch(monitor->watch);
	monitor->watch = NULL;
	while ((client = LIST_FIRST(&monitor->clients)) != NULL)
		client_free(client);
	loop_unwatch(monitor->round_timer);
	close(monitor->fd);
	free(monitor);
}
