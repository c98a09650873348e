/*
 * A supervised process's side of the control wire.
 *
 * Two things about the wire are the child's to guarantee. It must never wait for a slow supervisor: the
 * socket is non-blocking, a log record that does not fit is counted, and the count is sent ahead of the next
 * one that does. And it must not outlive the supervisor: the end of the socket is an order to shut down.
 */
#include "common/program/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/jail/jail.h"

#define CHILD_CONFIGURATION_TIMEOUT_MS 10000
#define CHILD_COUNTERS_MAX	       256

struct child {
	int fd;
	struct loop *loop;
	struct loop_watch *watch;
	const struct child_ops *ops;
	void *argument;
	_Atomic unsigned lost_records;
	bool shutting_down;
	bool no_sandbox; /* as configured */

	/* The Statistics reply being built. */
	Atoll__Control__Counter *counters[CHILD_COUNTERS_MAX];
	size_t counter_count;

	/* Heartbeats whose replies wait. */
	uint64_t *waiting;
	size_t waiting_count;
};

int child_attach(struct child **child)
{
	const char *text = getenv(CHILD_CONTROL_FD_ENV);
	struct child *new_child;
	char *end;
	long fd;
	int type = 0;
	socklen_t length = sizeof(type);

	if (text == NULL)
		return -ENOENT;
	errno = 0;
	fd = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || fd < 0 || fd > 1 << 20)
		return -EBADF;
	if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_SEQPACKET)
		return -EBADF;
	new_child = calloc(1, sizeof(*new_child));
	if (new_child == NULL)
		return -ENOMEM;
	new_child->fd = (int)fd;
	fcntl(new_child->fd, F_SETFD, FD_CLOEXEC);
	fcntl(new_child->fd, F_SETFL, O_NONBLOCK);
	unsetenv(CHILD_CONTROL_FD_ENV);
	*child = new_child;
	return 0;
}

static int child_send_record(struct child *child, unsigned level, uint64_t time_us, const char *text)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__LogRecord message = ATOLL__CONTROL__LOG_RECORD__INIT;

	message.level = level;
	message.time_us = time_us;
	message.text = (char *)text;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD;
	envelope.log_record = &message;
	return control_send(child->fd, &envelope, NULL, 0);
}

/* The log's sink; any thread. */
static void child_log(const struct log_record *record, void *argument)
{
	struct child *child = argument;
	unsigned lost = atomic_exchange(&child->lost_records, 0);
	int result = 0;

	if (lost > 0) {
		char text[64];

		snprintf(text, sizeof(text), "%u log records lost: the supervisor was busy", lost);
		result = child_send_record(child, LOG_LEVEL_WARNING, record->time_us, text);
	}
	if (result == 0) {
		lost = 0;
		result = child_send_record(child, (unsigned)record->level, record->time_us, record->text);
	}
	if (result == -EPIPE)
		log_write_line(STDERR_FILENO, record);
	else if (result < 0)
		atomic_fetch_add(&child->lost_records, lost + 1);
}

/* The VM and the device that a *Configure names; false if the message is none. */
static bool child_names(const Atoll__Control__Envelope *envelope, const char **vm, const char **id,
			unsigned *log_level, bool *no_sandbox)
{
	*id = "";
	switch (envelope->body_case) {
	case ATOLL__CONTROL__ENVELOPE__BODY_CORE_CONFIGURE:
		*vm = envelope->core_configure->vm;
		*log_level = envelope->core_configure->log_level;
		*no_sandbox = envelope->core_configure->no_sandbox;
		return true;
	case ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE:
		*vm = envelope->device_configure->vm;
		*id = envelope->device_configure->id;
		*log_level = envelope->device_configure->log_level;
		*no_sandbox = envelope->device_configure->no_sandbox;
		return true;
	default:
		return false;
	}
}

int child_configuration(struct child *child, const char *program, struct control_message *message)
{
	int result = control_receive_timeout(child->fd, CHILD_CONFIGURATION_TIMEOUT_MS, message);
	const char *vm, *id;
	unsigned log_level;
	char object[160];

	if (result <= 0)
		return result;
	if (!child_names(message->envelope, &vm, &id, &log_level, &child->no_sandbox)) {
		control_message_clear(message);
		return -EPROTO;
	}
	snprintf(object, sizeof(object), id[0] != '\0' ? "%s/%s" : "%s%s", vm, id);
	log_identify(program, object);
	log_set_level(log_level <= LOG_LEVEL_DEBUG ? (enum log_level)log_level : LOG_LEVEL_NOTICE);
	log_set_sink(child_log, child);
	log_bound_sites();
	return 1;
}

int child_enter_jail(struct child *child, const char *program, unsigned files)
{
	const struct jail jail = {.program = program, .parent_fd = child->fd, .files = files};
	int result;

	if (child->no_sandbox) {
		log_warning("it runs without its sandbox (--no-sandbox), with all rights of its user: do not "
			    "let a guest run that you do not trust");
		return 0;
	}
	result = jail_enter(&jail);
	return result < 0 ? result : jail_watch_violations(child->fd);
}

bool child_is_jailed(const struct child *child)
{
	return !child->no_sandbox;
}

int child_control_fd(const struct child *child)
{
	return child->fd;
}

int child_ready(struct child *child)
{
	jail_serves();
	return control_send_ready(child->fd);
}

static void child_shut_down(struct child *child)
{
	if (child->shutting_down)
		return;
	child->shutting_down = true;
	child->ops->shut_down(child->argument);
}

void child_counter(struct child *child, const char *name, uint64_t value)
{
	Atoll__Control__Counter *counter;

	if (child->counter_count == CHILD_COUNTERS_MAX)
		return;
	counter = malloc(sizeof(*counter));
	if (counter == NULL)
		return;
	atoll__control__counter__init(counter);
	counter->name = strdup(name);
	counter->value = value;
	if (counter->name == NULL)
		free(counter);
	else
		child->counters[child->counter_count++] = counter;
}

static void child_send_statistics(struct child *child, uint64_t serial)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Statistics statistics = ATOLL__CONTROL__STATISTICS__INIT;
	int result;

	log_flush_held(false);
	if (child->ops->statistics != NULL)
		child->ops->statistics(child->argument, child);
	statistics.counters = child->counters;
	statistics.n_counters = child->counter_count;
	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS;
	envelope.statistics = &statistics;
	result = control_send(child->fd, &envelope, NULL, 0);
	if (result < 0)
		log_warning("cannot send statistics: %s", strerror(-result));
	for (size_t i = 0; i < child->counter_count; i++) {
		free(child->counters[i]->name);
		free(child->counters[i]);
	}
	child->counter_count = 0;
}

static void child_send_heartbeat(struct child *child, uint64_t serial)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__HeartbeatReply reply = ATOLL__CONTROL__HEARTBEAT_REPLY__INIT;

	if (child->ops->heartbeat != NULL)
		child->ops->heartbeat(child->argument, &reply);
	log_flush_held(false);
	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT_REPLY;
	envelope.heartbeat_reply = &reply;
	/* A supervisor that does not take it would take this for a hang; it is none of ours to wait. */
	control_send(child->fd, &envelope, NULL, 0);
}

void child_answer_heartbeats(struct child *child)
{
	if (child->waiting_count == 0 || !child->ops->settled(child->argument))
		return;
	for (size_t i = 0; i < child->waiting_count; i++)
		child_send_heartbeat(child, child->waiting[i]);
	child->waiting_count = 0;
}

static void child_take_heartbeat(struct child *child, uint64_t serial)
{
	uint64_t *waiting;

	if (child->ops->settled == NULL) {
		child_send_heartbeat(child, serial);
		return;
	}
	/* As many as the supervisor asks for, which has a bound for what its clients ask it. */
	waiting = realloc(child->waiting, (child->waiting_count + 1) * sizeof(*waiting));
	if (waiting == NULL) {
		log_warning("a heartbeat is not answered: out of memory");
		return;
	}
	child->waiting = waiting;
	child->waiting[child->waiting_count++] = serial;
	child_answer_heartbeats(child);
}

static int child_take(struct child *child, struct control_message *message)
{
	const Atoll__Control__Envelope *envelope = message->envelope;

	if (envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS_REQUEST) {
		child_send_statistics(child, envelope->serial);
		return 0;
	}
	if (envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT) {
		child_take_heartbeat(child, envelope->serial);
		return 0;
	}
	if (envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_ORDER &&
	    envelope->order->kind == ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN) {
		child_shut_down(child);
		return 0;
	}
	return child->ops->message != NULL ? child->ops->message(child->argument, message) : -EPROTO;
}

static void child_readable(int fd, unsigned events, void *argument)
{
	struct child *child = argument;
	struct control_message message;
	int result = control_receive(fd, &message);

	(void)events;
	if (result == -EAGAIN)
		return;
	if (result == 1) {
		result = child_take(child, &message);
		control_message_clear(&message);
		if (result == 0)
			return;
		log_error("control wire: the supervisor sent a message that is not for this process");
	} else if (result < 0) {
		log_error("control wire: %s", strerror(-result));
	}
	/* End of file, or a wire that cannot be trusted any more: nobody can order us to end, so we end. */
	loop_unwatch(child->watch);
	child->watch = NULL;
	child_shut_down(child);
}

int child_serve(struct child *child, struct loop *loop, const struct child_ops *ops, void *argument)
{
	child->loop = loop;
	child->ops = ops;
	child->argument = argument;
	child->watch = loop_watch_fd(loop, child->fd, LOOP_READ, child_readable, child);
	return child->watch != NULL ? 0 : -ENOMEM;
}

int child_take_one(struct child *child, int timeout_ms)
{
	struct pollfd readable = {.fd = child->fd, .events = POLLIN};

	if (child->watch == NULL)
		return -EPIPE;
	if (poll(&readable, 1, timeout_ms) <= 0)
		return -ETIMEDOUT;
	child_readable(child->fd, LOOP_READ, child);
	return child->watch != NULL ? 0 : -EPIPE;
}

void child_free(struct child *child)
{
	if (child == NULL)
		return;
	loop_unwatch(child->watch);
	log_set_sink(NULL, NULL);
	close(child->fd);
	free(child->waiting);
	free(child);
}
