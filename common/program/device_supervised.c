/*
 * A device's program that the supervisor started: one message configures it and brings its one wire, the supervisor asks how
 * it is, and an order or the supervisor's end ends it.
 *
 * In the order in which they run: the configuration comes; into the jail, before a byte of it is looked at; the device takes
 * what is its; what both lives share, up to the seal; ready; the loop.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/peers.h"
#include "common/program/device_life.h"

/* --- What the supervisor asks: child.h --- */

static void supervised_shut_down(void *argument)
{
	device_stop(argument);
}

static int supervised_message(void *argument, struct control_message *message)
{
	struct device_life *life = argument;

	return life->program->message != NULL ? life->program->message(life->device, message) : -EPROTO;
}

static void supervised_statistics(void *argument, struct child *child)
{
	struct device_life *life = argument;

	if (life->program->statistics != NULL)
		life->program->statistics(life->device, child);
}

static void supervised_heartbeat(void *argument, Atoll__Control__HeartbeatReply *reply)
{
	struct device_life *life = argument;

	/* The loop does all of such a device's work, and has come round if it answers. */
	if (life->virtio != NULL)
		reply->accepted = reply->completed = virtio_server_completed(life->virtio);
	else if (life->program->heartbeat != NULL)
		life->program->heartbeat(life->device, reply);
}

static const struct child_ops supervised_ops = {
	.shut_down = supervised_shut_down,
	.message = supervised_message,
	.statistics = supervised_statistics,
	.heartbeat = supervised_heartbeat,
};

/* --- Configuring --- */

/* Whether it is a configuration of this kind of device, with the descriptors that all devices are sent. */
static bool configuration_fits(const struct device_program *program, const struct control_message *message)
{
	const Atoll__Control__DeviceConfigure *configure;

	if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE)
		return false;
	configure = message->envelope->device_configure;
	return configure->device_case == program->kind &&
	       message->fd_count >= 1 + (size_t)configure->has_state &&
	       (configure->has_state || !program->has_state);
}

/* Takes the wire, and gives the device the rest. */
static int supervised_configure(struct device_life *life, struct control_message *message, int *wire_fd)
{
	const struct device_program *program = life->program;
	struct device_configuration configuration = {.child = life->child, .state_fd = -1};
	size_t taken = 1;
	int result = 0;

	if (!configuration_fits(program, message)) {
		log_error("the first message is not the configuration of a device of this kind");
		return -EPROTO;
	}
	configuration.message = message->envelope->device_configure;
	if (configuration.message->has_state)
		configuration.state_fd = message->fds[taken++];
	configuration.fds = message->fds + taken;
	configuration.fd_count = message->fd_count - taken;
	if (program->configure != NULL) {
		result = program->configure(life->device, &configuration);
	} else if (configuration.fd_count > 0) {
		log_error("the first message brings descriptors that this device has no use of");
		result = -EPROTO;
	}
	if (configuration.message->has_state)
		message->fds[1] = configuration.state_fd;
	if (result < 0)
		return result;
	*wire_fd = message->fds[0];
	message->fds[0] = -1;
	return 0;
}

/* --- Life --- */

/* From the configuration to ready. */
static int supervised_start(struct device_life *life, struct control_message *message)
{
	int wire_fd = -1;
	int result = child_enter_jail(life->child, life->program->name, DEVICE_FILES);

	if (result == 0)
		result = supervised_configure(life, message, &wire_fd);
	control_message_clear(message);
	if (result == 0)
		result = device_prepare(life);
	if (result == 0)
		result = device_session_start(life, wire_fd);
	if (result == 0)
		result = child_serve(life->child, life->loop, &supervised_ops, life);
	if (result == 0 && child_is_jailed(life->child))
		result = device_seal(life);
	if (result == 0)
		result = child_ready(life->child);
	return result;
}

int device_run_supervised(struct device_life *life)
{
	struct control_message message;
	int result = child_configuration(life->child, life->program->name, &message);

	if (result <= 0) {
		log_error("no configuration came over the control wire: %s",
			  result == 0 ? "the supervisor is gone" : strerror(-result));
		return result == 0 ? -EPIPE : result;
	}
	/* The terminal's signals go to the supervisor's whole group; what they mean is the supervisor's to say. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	peers_are_ours();
	result = supervised_start(life, &message);
	if (result < 0) {
		log_error("cannot start: %s", strerror(-result));
		return result;
	}
	return device_serve(life);
}
