/*
 * What both lives of a device's program do once all that takes a right is open: prepare, seal, serve. See device_life.h.
 */
#include "common/program/device_life.h"

#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "common/jail/jail.h"

int device_prepare(struct device_life *life)
{
	const struct device_program *program = life->program;
	int result;

	life->loop = loop_new();
	if (life->loop == NULL) {
		result = -errno;
		log_error("cannot make an event loop: %s", strerror(-result));
		return result;
	}
	result = program->prepare != NULL ? program->prepare(life->device, life->loop) : 0;
	if (result == 0 && program->virtio != NULL)
		result = virtio_server_new(life->loop, program->virtio, life->device, &life->virtio);
	return result;
}

int device_seal(struct device_life *life)
{
	const struct device_program *program = life->program;
	bool by_hand = life->child == NULL;
	const struct seccomp_filter *filter = by_hand ? program->hand_filter : program->filter;
	const struct seccomp_filter *main_filter = by_hand ? program->hand_main_filter : program->main_filter;
	int result = 0;

	if (filter != NULL)
		result = jail_seal_process(filter, program->tasks);
	if (result == 0 && program->seal != NULL)
		result = program->seal(life->device);
	if (result == 0 && main_filter != NULL)
		result = jail_seal_thread(main_filter, NULL, 0);
	return result;
}

int device_serve(struct device_life *life)
{
	int result = loop_run(life->loop);

	if (result < 0)
		log_error("the event loop failed: %s", strerror(-result));
	return result;
}
