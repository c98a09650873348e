/*
 * atoll-undertaker: answers for one virtio device of one VM whose process has failed; see undertaker.h.
 *
 * The supervisor starts it. By hand it serves a front end that wants to see how its driver takes a device that
 * fails everything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/program/device_program.h"
#include "dev-undertaker/undertaker.h"
#include "policy/filters.h"

struct undertaker_program {
	struct undertaker undertaker;
	struct device_program *program;
	/* Options by hand. */
	const char *type;
	unsigned queues;
};

/* --- By hand --- */

static const struct device_option undertaker_options[] = {
	{"type", "TYPE", "blk, net, console, ...: what the device is (required)"},
	{"queues", "N", "queues of a blk device (1)"},
	{0},
};

static int undertaker_option(void *argument, const char *name, const char *value)
{
	struct undertaker_program *program = argument;
	char *end;
	unsigned long number;

	if (strcmp(name, "type") == 0) {
		program->type = value;
		return 0;
	}
	errno = 0;
	number = strtoul(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || number < 1 || number > UNDERTAKER_QUEUES_MAX) {
		log_error("--queues=%s: not a number of queues; give 1 to %d", value, UNDERTAKER_QUEUES_MAX);
		return -EINVAL;
	}
	program->queues = (unsigned)number;
	return 0;
}

static int undertaker_open_by_hand(void *argument)
{
	struct undertaker_program *program = argument;
	const struct device_type *type = program->type != NULL ? device_type_named(program->type) : NULL;
	char names[128];

	if (type == NULL) {
		log_error("give --type=TYPE, which is %s", device_type_names(names, sizeof(names)));
		return -EINVAL;
	}
	return undertaker_init(&program->undertaker, type, program->queues);
}

/* --- Supervised --- */

static int undertaker_configure(void *argument, struct device_configuration *configuration)
{
	struct undertaker_program *program = argument;
	const Atoll__Control__UndertakerConfigure *configure = configuration->message->undertaker;
	const struct device_type *type = device_type_of(configure->virtio_id);

	if (configuration->fd_count != 0 || type == NULL ||
	    undertaker_init(&program->undertaker, type, configure->queues) < 0) {
		log_error("the configuration is not one of an undertaker");
		return -EPROTO;
	}
	return 0;
}

static void undertaker_statistics(void *argument, struct child *child)
{
	struct undertaker_program *program = argument;

	child_counter(child, "refused", program->undertaker.refused);
	child_counter(child, "dropped", program->undertaker.dropped);
}

/* The loop does all of the work, and has come round if it answers. */
static void undertaker_heartbeat(void *argument, Atoll__Control__HeartbeatReply *reply)
{
	struct undertaker_program *program = argument;

	reply->accepted = reply->completed = program->undertaker.refused + program->undertaker.dropped;
}

/* --- Both --- */

static int undertaker_make_ready(void *argument, struct loop *loop)
{
	struct undertaker_program *program = argument;

	return undertaker_prepare(&program->undertaker, loop);
}

static void undertaker_session_ended(void *argument, int error)
{
	struct undertaker_program *program = argument;

	device_program_session_ended(program->program, error);
}

static int undertaker_start(void *argument, struct device_program *device_program, int socket_fd)
{
	struct undertaker_program *program = argument;

	program->program = device_program;
	return undertaker_session_start(&program->undertaker, socket_fd, undertaker_session_ended, program);
}

static void undertaker_stop(void *argument)
{
	struct undertaker_program *program = argument;

	undertaker_session_stop(&program->undertaker);
}

static void undertaker_end(void *argument)
{
	struct undertaker_program *program = argument;

	undertaker_close(&program->undertaker);
}

static const struct device_program_ops undertaker_ops = {
	.program = "atoll-undertaker",
	.summary = "Fail everything that a driver asks of a virtio device, over vhost-user.",
	.capabilities = "{\n  \"type\": \"undertaker\",\n  \"features\": [\n  ]\n}\n",
	.options = undertaker_options,
	.option = undertaker_option,
	.open_by_hand = undertaker_open_by_hand,
	.kind = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_UNDERTAKER,
	.configure = undertaker_configure,
	.prepare = undertaker_make_ready,
	.filter = &filter_undertaker_main,
	.hand_filter = &filter_undertaker_hand_main,
	.session_start = undertaker_start,
	.session_stop = undertaker_stop,
	.statistics = undertaker_statistics,
	.heartbeat = undertaker_heartbeat,
	.close = undertaker_end,
};

int main(int argc, char **argv)
{
	static struct undertaker_program program = {.queues = 1};

	return device_program_main(argc, argv, &undertaker_ops, &program);
}
