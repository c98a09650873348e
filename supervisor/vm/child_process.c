/*
 * One process of the VM.
 *
 * Records flood control: each process has a bucket of tokens, one for a record. When it is empty, records are
 * dropped and counted, and the wire is read only every HOLD_US from then on, so that a process that does
 * nothing but log costs the supervisor a bounded share of a processor, while what else it says still arrives.
 * What it writes to its standard output and error draws from the same bucket, a token a line.
 */
#include "supervisor/vm/child_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/jail/jail.h"
#include "common/jail/jail_violation.h"
#include "supervisor/host/log_output.h"
#include "supervisor/vm/spawn.h"
#include "supervisor/vm/starter.h"

#define LOG_TOKENS_MAX	  200
#define LOG_TOKENS_SECOND 50
#define MESSAGES_AT_ONCE  64
#define MESSAGES_AT_DEATH 1024
#define READS_AT_ONCE	  4
/* More than the pipe holds: what is read then is there already. */
#define READS_AT_DEATH 64
#define HOLD_US	       100000
#define CLOSED_WIRE_US 2000000
#define COUNTERS_MAX   256
/* A record's own time is believed if it is about now. */
#define LOG_TIME_SLACK_US UINT64_C(10000000)

const char *child_state_name(enum child_state state)
{
	static const char *const names[] = {"starting", "running", "stopping", "dead"};

	return names[state];
}

int child_process_signal(const struct child_process *child)
{
	if (child->wait_code != CLD_EXITED)
		return child->wait_status;
	return child->wait_status == JAIL_EXIT_ABORTED ? SIGABRT : 0;
}

bool child_process_violated(const struct child_process *child)
{
	return child->violation[0] != '\0' ||
	       (child->wait_code == CLD_EXITED && child->wait_status == JAIL_EXIT_VIOLATION) ||
	       child_process_signal(child) == SIGSYS;
}

bool child_process_misfits(const struct child_process *child)
{
	return !child->was_ready && child->broken == NULL && child_process_violated(child);
}

bool child_process_has_ended(const struct child_process *child)
{
	struct pollfd exited = {.fd = child->pidfd, .events = POLLIN};

	return child->state == CHILD_DEAD || poll(&exited, 1, 0) > 0;
}

void child_process_describe_end(const struct child_process *child, char *text, size_t size)
{
	int number = child_process_signal(child);

	if (child->violation[0] != '\0')
		snprintf(text, size, "was ended by its filter");
	else if (child->broken != NULL)
		snprintf(text, size, "was killed: %s", child->broken);
	else if (number != 0)
		snprintf(text, size, "was killed by signal %d (%s)", number, strsignal(number));
	else if (child->wait_status == JAIL_EXIT_VIOLATION)
		snprintf(text, size, "was ended by its filter, for a system call that it could not name");
	else
		snprintf(text, size, "ended with status %d", child->wait_status);
}

/* --- what it says --- */

/* Mostly because it did what no process of ours does. */
void child_process_break(struct child_process *child, const char *why)
{
	if (child->broken != NULL || child->state == CHILD_DEAD)
		return;
	snprintf(child->broken_text, sizeof(child->broken_text), "%s", why);
	child->broken = child->broken_text;
	loop_unwatch(child->control_watch);
	child->control_watch = NULL;
	child_process_kill(child);
}

static void child_print(struct child_process *child, enum log_level level, uint64_t when_us, const char *text)
{
	struct log_record record = {.level = level,
				    .time_us = when_us,
				    .program = child_role_program(child->role),
				    .object = child->object,
				    .text = text};

	if (level <= log_get_level())
		log_output_record(&record, NULL);
}

static void child_print_dropped(struct child_process *child)
{
	char text[64];

	if (child->log_dropped == 0)
		return;
	snprintf(text, sizeof(text), "%u log records dropped: too many in a short time", child->log_dropped);
	child->log_dropped = 0;
	child_print(child, LOG_LEVEL_WARNING, clock_us(CLOCK_REALTIME), text);
}

static bool child_log_allowed(struct child_process *child)
{
	uint64_t now = clock_us(CLOCK_MONOTONIC);
	uint64_t fresh = (now - child->log_refilled_us) * LOG_TOKENS_SECOND / 1000000;

	if (fresh > 0) {
		child->log_refilled_us = now;
		child->log_tokens = child->log_tokens + fresh > LOG_TOKENS_MAX
					    ? LOG_TOKENS_MAX
					    : child->log_tokens + (unsigned)fresh;
	}
	if (child->log_tokens == 0)
		return false;
	child->log_tokens--;
	return true;
}

/* text is what it said, at a level and a time. */
static void child_take_text(struct child_process *child, enum log_level level, uint64_t when_us,
			    const char *text)
{
	if (!child_log_allowed(child)) {
		child->log_dropped++;
		return;
	}
	child_print_dropped(child);
	child_print(child, level, when_us, text);
}

static void child_take_record(struct child_process *child, const Atoll__Control__LogRecord *record)
{
	uint64_t now = clock_us(CLOCK_REALTIME), when = record->time_us;
	enum log_level level =
		record->level <= LOG_LEVEL_DEBUG ? (enum log_level)record->level : LOG_LEVEL_DEBUG;

	snprintf(child->last_text, sizeof(child->last_text), "%s", record->text);
	if (when > now + LOG_TIME_SLACK_US || when + LOG_TIME_SLACK_US < now)
		when = now;
	child_take_text(child, level, when, child->last_text);
}

/* What names a thread, a filter, a counter; it is shown to people and put into JSON as it is. */
static bool is_name(const char *text, size_t size)
{
	static const char bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ";
	size_t length = strspn(text, bytes);

	return length < size && text[length] == '\0';
}

static bool statistics_are_sound(const Atoll__Control__Statistics *statistics)
{
	if (statistics->n_counters > COUNTERS_MAX)
		return false;
	for (size_t i = 0; i < statistics->n_counters; i++)
		if (!is_name(statistics->counters[i]->name, COUNTER_NAME_SIZE))
			return false;
	return true;
}

/* As many as there may be, of names that there may be, and asked for: what is kept of a process is bounded by that. */
static void child_take_statistics(struct child_process *child, uint64_t serial,
				  const Atoll__Control__Statistics *statistics)
{
	size_t count = statistics->n_counters;
	struct child_counter *counters;

	if (serial == 0 || serial != child->statistics_serial) {
		child_process_break(child, "it told its counters, and was not asked for them");
		return;
	}
	if (!statistics_are_sound(statistics)) {
		child_process_break(child, "it told counters that there cannot be");
		return;
	}
	child->statistics_serial = 0;
	counters = calloc(count + 1, sizeof(*counters));
	if (counters == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		snprintf(counters[i].name, sizeof(counters[i].name), "%s", statistics->counters[i]->name);
		counters[i].value = statistics->counters[i]->value;
	}
	free(child->counters);
	child->counters = counters;
	child->counter_count = count;
	child->ops->statistics(child->owner, child, serial);
}

int child_process_ask_statistics(struct child_process *child, uint64_t serial)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__StatisticsRequest request = ATOLL__CONTROL__STATISTICS_REQUEST__INIT;
	int result;

	if (child->statistics_serial != 0)
		return -EBUSY;
	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS_REQUEST;
	envelope.statistics_request = &request;
	result = child_process_send(child, &envelope, NULL, 0);
	if (result == 0)
		child->statistics_serial = serial;
	return result;
}

/*
 * Its last message. Text of it is printed and shown, so it is taken as a name only if it looks like one; a
 * process that goes on after this message did not get it from a filter.
 */
static void child_take_violation(struct child_process *child, const Atoll__Control__Violation *message)
{
	const char *names[] = {message->thread, message->filter, message->built_with, message->runs_with};
	struct violation violation = {
		.thread = message->thread,
		.filter = message->filter,
		.arch = message->arch,
		.call = message->call,
		.instruction = message->instruction,
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (message->n_arguments == VIOLATION_ARGUMENTS && is_name(names[i], sizeof(child->id)))
			continue;
		child_process_break(child, "it told of a violation that there cannot be");
		return;
	}
	memcpy(violation.arguments, message->arguments, sizeof(violation.arguments));
	violation_describe(&violation, child->violation, sizeof(child->violation));
	if (!child->was_ready)
		violation_describe_misfit(message->filter, message->built_with, message->runs_with,
					  child->misfit, sizeof(child->misfit));
	child_print(child, LOG_LEVEL_ERROR, clock_us(CLOCK_REALTIME), child->violation);
}

static void child_take(struct child_process *child, struct control_message *message)
{
	const Atoll__Control__Envelope *envelope = message->envelope;

	if (message->fd_count != (envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_RECORDING ? 1 : 0)) {
		child_process_break(child, "it sent descriptors, or none where one belongs");
		return;
	}
	switch (envelope->body_case) {
	case ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD:
		child_take_record(child, envelope->log_record);
		return;
	case ATOLL__CONTROL__ENVELOPE__BODY_READY:
		if (child->state == CHILD_STARTING) {
			child->state = CHILD_RUNNING;
			child->was_ready = true;
			child->ops->ready(child->owner, child);
		} else if (child->state == CHILD_RUNNING) {
			child_process_break(child, "it said twice that it is ready");
		}
		return;
	case ATOLL__CONTROL__ENVELOPE__BODY_GUEST_EVENT:
		if (child->role != CHILD_ROLE_CORE || child->state == CHILD_STARTING || child->told_event) {
			child_process_break(child,
					    "it told of the guest's end, and that is not its to tell now");
			return;
		}
		child->told_event = true;
		child->ops->guest_event(child->owner, child, envelope->guest_event);
		return;
	case ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS:
		child_take_statistics(child, envelope->serial, envelope->statistics);
		return;
	case ATOLL__CONTROL__ENVELOPE__BODY_RECORDING:
		if (child->ops->recording == NULL || child->state != CHILD_STARTING) {
			child_process_break(child, "it records, and was not asked to");
			return;
		}
		child->ops->recording(child->owner, child, message->fds[0]);
		message->fds[0] = -1;
		return;
	case ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_STATE:
		if (child->role != CHILD_ROLE_CORE ||
		    !child->ops->device_state(child->owner, child, envelope->serial, envelope->device_state))
			child_process_break(child, "it told of a device's wire what cannot be");
		return;
	case ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT_REPLY:
		if (!child->ops->heartbeat_reply(child->owner, child, envelope->serial,
						 envelope->heartbeat_reply))
			child_process_break(child, "it answered a heartbeat that it was not asked for");
		return;
	case ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_FULL:
		if (!child->ops->console_full(child->owner, child))
			child_process_break(child, "it told of a full file that it has not, or has told of");
		return;
	case ATOLL__CONTROL__ENVELOPE__BODY_VIOLATION:
		child_take_violation(child, envelope->violation);
		return;
	default:
		child_process_break(child, "it sent a message that is the supervisor's to send");
	}
}

/* Takes up to `count` messages. Returns 1 if more may wait, 0 at the end of the wire, -EAGAIN when it is
 * empty, or -errno. */
static int child_receive(struct child_process *child, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct control_message message;
		int result = control_receive(child->control_fd, &message);

		if (result <= 0)
			return result;
		child_take(child, &message);
		control_message_clear(&message);
		/* A violation is the last that it says. */
		if (child->broken != NULL || child->violation[0] != '\0')
			return 0;
	}
	return 1;
}

static void child_timer(void *argument)
{
	struct child_process *child = argument;

	if (child->control_watch == NULL) {
		/* Its wire is closed, and yet it lives. */
		child_process_break(child, child->violation[0] != '\0'
						   ? "it went on after a violation"
						   : "it closed its control wire and went on");
	} else {
		loop_watch_set_events(child->control_watch, LOOP_READ);
	}
}

static void child_readable(int fd, unsigned events, void *argument)
{
	struct child_process *child = argument;
	int result = child_receive(child, MESSAGES_AT_ONCE);

	(void)fd;
	(void)events;
	if (child->broken != NULL)
		return;
	if (result == 1 && child->log_dropped > 0) {
		loop_watch_set_events(child->control_watch, 0);
		loop_timer_arm(child->timer, HOLD_US);
	} else if (result == 0) {
		/* It is about to end: its last act is to close this, or was to tell of its end. */
		loop_unwatch(child->control_watch);
		child->control_watch = NULL;
		loop_timer_arm(child->timer, CLOSED_WIRE_US);
	} else if (result < 0 && result != -EAGAIN) {
		child_process_break(child, "its control wire carried what is no message");
	}
}

/* --- what it writes to its standard output and error --- */

/* Nothing of ours writes there in the order of things: it is the C library's, the loader's, a violation's line. */
static void child_take_line(void *argument, const char *line)
{
	struct child_process *child = argument;
	char text[LOG_TEXT_MAX];

	snprintf(text, sizeof(text), "stderr: %s", line);
	/* The reason why a program could not even begin. */
	if (child->last_text[0] == '\0')
		memcpy(child->last_text, text, sizeof(text));
	child_take_text(child, LOG_LEVEL_WARNING, clock_us(CLOCK_REALTIME), text);
}

static void child_output_readable(int fd, unsigned events, void *argument)
{
	struct child_process *child = argument;
	int result = 1;

	(void)fd;
	(void)events;
	for (unsigned i = 0; i < READS_AT_ONCE && result == 1; i++)
		result = child_output_read(&child->output, child_take_line, child);
	if (result == 1 && child->log_dropped > 0) {
		loop_watch_set_events(child->output_watch, 0);
		loop_timer_arm(child->output_timer, HOLD_US);
	} else if (result != 1 && result != -EAGAIN) {
		/* It closed both; that is its own affair. */
		loop_unwatch(child->output_watch);
		child->output_watch = NULL;
	}
}

static void child_output_timer(void *argument)
{
	struct child_process *child = argument;

	if (child->output_watch != NULL)
		loop_watch_set_events(child->output_watch, LOOP_READ);
}

/* --- its end --- */

static void child_exited(int fd, unsigned events, void *argument)
{
	struct child_process *child = argument;
	siginfo_t info = {0};

	(void)fd;
	(void)events;
	/* What it said before comes before its end: its last words, or that the guest ended. */
	if (child->control_watch != NULL)
		child_receive(child, MESSAGES_AT_DEATH);
	if (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return;
	for (unsigned i = 0; i < READS_AT_DEATH; i++)
		if (child_output_read(&child->output, child_take_line, child) != 1)
			break;
	child_output_close(&child->output, child_take_line, child);
	child_print_dropped(child);
	child->wait_code = info.si_code;
	child->wait_status = info.si_status;
	child->state = CHILD_DEAD;
	loop_unwatch(child->pid_watch);
	loop_unwatch(child->control_watch);
	loop_unwatch(child->output_watch);
	child->pid_watch = child->control_watch = child->output_watch = NULL;
	loop_timer_disarm(child->timer);
	loop_timer_disarm(child->output_timer);
	close(child->control_fd);
	child->control_fd = -1;
	child->ops->died(child->owner, child);
}

void child_process_kill(struct child_process *child)
{
	if (child->state == CHILD_DEAD)
		return;
	child->killed = true;
	pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
}

void child_process_shut_down(struct child_process *child)
{
	if (child->state == CHILD_STOPPING || child->state == CHILD_DEAD)
		return;
	child->state = CHILD_STOPPING;
	/* EPIPE: it is ending by itself. */
	if (control_send_order(child->control_fd, ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN) == -EAGAIN)
		child_process_break(child, "it does not read its control wire");
}

int child_process_send(struct child_process *child, Atoll__Control__Envelope *envelope, const int *fds,
		       size_t fd_count)
{
	int result = child->state == CHILD_DEAD ? -EPIPE
						: control_send(child->control_fd, envelope, fds, fd_count);

	if (result < 0 && result != -EPIPE)
		log_warning("cannot send to %s: %s: %s", child_role_program(child->role), child->object,
			    strerror(-result));
	return result;
}

/* --- its beginning --- */

static int child_watch(struct child_process *child)
{
	child->control_watch =
		loop_watch_fd(child->loop, child->control_fd, LOOP_READ, child_readable, child);
	child->pid_watch = loop_watch_fd(child->loop, child->pidfd, LOOP_READ, child_exited, child);
	child->timer = loop_watch_timer(child->loop, child_timer, child);
	child->output_watch =
		loop_watch_fd(child->loop, child->output.fd, LOOP_READ, child_output_readable, child);
	child->output_timer = loop_watch_timer(child->loop, child_output_timer, child);
	return child->control_watch != NULL && child->pid_watch != NULL && child->timer != NULL &&
			       child->output_watch != NULL && child->output_timer != NULL
		       ? 0
		       : -ENOMEM;
}

int child_process_start(struct loop *loop, struct starter *starter, enum child_role role, const char *vm,
			const char *id, bool no_sandbox, const struct spawn_limits *limits,
			const struct child_process_ops *ops, void *owner, struct child_process **child,
			struct spawn_problem *problem)
{
	struct child_process *new_child = calloc(1, sizeof(*new_child));
	int sockets[2], output_fd, result;

	*problem = (struct spawn_problem){"cannot make it", "see that memory and files are left", false};
	if (new_child == NULL)
		return -ENOMEM;
	new_child->loop = loop;
	new_child->no_sandbox = no_sandbox;
	new_child->ops = ops;
	new_child->owner = owner;
	new_child->role = role;
	new_child->log_tokens = LOG_TOKENS_MAX;
	new_child->log_refilled_us = clock_us(CLOCK_MONOTONIC);
	new_child->pidfd = -1;
	snprintf(new_child->id, sizeof(new_child->id), "%s", id);
	snprintf(new_child->object, sizeof(new_child->object), id[0] != '\0' ? "%s/%s" : "%s%s", vm, id);
	result = child_output_open(&new_child->output, &output_fd);
	if (result < 0) {
		free(new_child);
		return result;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) < 0) {
		result = -errno;
		close(output_fd);
		close(new_child->output.fd);
		free(new_child);
		return result;
	}
	new_child->control_fd = sockets[0];
	result = starter_start(starter, role, id, limits, sockets[1], output_fd, &new_child->pid,
			       &new_child->pidfd, problem);
	close(sockets[1]);
	close(output_fd);
	if (result == 0)
		result = child_watch(new_child);
	if (result < 0) {
		child_process_free(new_child);
		return result;
	}
	*child = new_child;
	return 0;
}

void child_process_free(struct child_process *child)
{
	loop_unwatch(child->control_watch);
	loop_unwatch(child->pid_watch);
	loop_unwatch(child->timer);
	loop_unwatch(child->output_watch);
	loop_unwatch(child->output_timer);
	if (child->output.fd >= 0)
		close(child->output.fd);
	if (child->pidfd >= 0 && child->state != CHILD_DEAD) {
		child_process_kill(child);
		waitid(P_PIDFD, (id_t)child->pidfd, NULL, WEXITED);
	}
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (child->control_fd >= 0)
		close(child->control_fd);
	free(child->counters);
	free(child);
}

void child_process_tell_end(const struct child_process *child, char *text, size_t size)
{
	char how[320];

	child_process_describe_end(child, how, sizeof(how));
	if (child->violation[0] != '\0')
		snprintf(text, size, "%.160s: %.512s%.256s", how, child->violation, child->misfit);
	else if (child->broken == NULL && child_process_signal(child) == 0 && child->last_text[0] != '\0')
		snprintf(text, size, "%s: \"%.600s\"", how, child->last_text);
	else
		snprintf(text, size, "%s", how);
}
