/*
 * atoll-undertaker: answers for one virtio device of one VM whose process has failed; see undertaker.h.
 *
 * The supervisor starts it. By hand it serves a front end that wants to see how its driver takes a device that
 * fails everything.
 */
#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "common/program/device_program.h"
#include "dev-undertaker/undertaker.h"
#include "policy/filters.h"

static struct undertaker undertaker;

/* --- By hand --- */

static const char *type_name;
static unsigned queues = 1;

static const struct device_option options[] = {
	{"type", "TYPE", "blk, net, console, ...: what the device is (required)"},
	{"queues", "N", "queues of a blk device (1)"},
	{0},
};

static int undertaker_option(void *device, const char *name, const char *value)
{
	(void)device;
	if (strcmp(name, "queues") == 0)
		return device_option_number(name, value, "a number of queues", 1, UNDERTAKER_QUEUES_MAX, "",
					    &queues);
	type_name = value;
	return 0;
}

static int undertaker_open_by_hand(void *device)
{
	const struct device_type *type = type_name != NULL ? device_type_named(type_name) : NULL;
	char names[128];

	if (type != NULL)
		return undertaker_init(device, type, queues);
	log_error("give --type=TYPE, which is %s", device_type_names(names, sizeof(names)));
	return -EINVAL;
}

/* --- Supervised --- */

static int undertaker_configure(void *device, struct device_configuration *configuration)
{
	const Atoll__Control__UndertakerConfigure *configure = configuration->message->undertaker;
	const struct device_type *type = device_type_of(configure->virtio_id);

	if (configuration->fd_count == 0 && type != NULL &&
	    undertaker_init(device, type, configure->queues) == 0)
		return 0;
	log_error("the configuration is not one of an undertaker");
	return -EPROTO;
}

static void undertaker_statistics(void *device, struct child *child)
{
	const struct undertaker *counted = device;

	child_counter(child, "refused", counted->refused);
	child_counter(child, "dropped", counted->dropped);
}

static const struct device_program program = {
	.name = "atoll-undertaker",
	.summary = "Fail everything that a driver asks of a virtio device, over vhost-user.",
	.capabilities = "{\n  \"type\": \"undertaker\",\n  \"features\": [\n  ]\n}\n",
	.kind = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_UNDERTAKER,
	.virtio = &undertaker.virtio,
	.filter = &filter_undertaker_main,
	.hand_filter = &filter_undertaker_hand_main,
	.options = options,
	.option = undertaker_option,
	.open_by_hand = undertaker_open_by_hand,
	.configure = undertaker_configure,
	.statistics = undertaker_statistics,
};

int main(int argc, char **argv)
{
	return device_program_main(argc, argv, &program, &undertaker);
}
