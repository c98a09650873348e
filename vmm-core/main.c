/*
 * atoll-core: the process that owns /dev/kvm, guest RAM and the vCPUs of one VM. See atoll-core(8).
 *
 * The supervisor starts it with a control wire and nothing else. In order: take the configuration with its
 * descriptors, go into the jail, build the machine, take the devices, load the kernel, seal itself, say that it is ready; then serve the
 * control wire until the run is over, report its end, exit. After `ready` it opens nothing.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/jail/jail.h"
#include "common/program/child.h"
#include "policy/filters.h"
#include "vmm-core/machine.h"

#define PROGRAM		  "atoll-core"
#define ATTACH_TIMEOUT_MS 10000
/* For each vCPU one, for each queue three, for each device a wire, also of what is attached later: more than a machine can have. */
#define CORE_FILES	      4096
#define EVENT_SEND_TIMEOUT_MS 1000

/* Descriptors of CoreConfigure, in their order. */
enum core_fd {
	CORE_FD_KVM,
	CORE_FD_MEMORY,
	CORE_FD_KERNEL,
	CORE_FD_INITRD,
};

struct core_process {
	struct child *child;
	struct machine *machine;
};

/* --- control wire --- */

static void core_shut_down(void *argument)
{
	struct core_process *process = argument;

	machine_shut_down(process->machine);
}

static int core_order(struct core_process *process, Atoll__Control__Order__Kind kind)
{
	switch (kind) {
	case ATOLL__CONTROL__ORDER__KIND__KIND_START:
		machine_start(process->machine);
		return 0;
	case ATOLL__CONTROL__ORDER__KIND__KIND_POWER_BUTTON:
		machine_press_power_button(process->machine);
		return 0;
	case ATOLL__CONTROL__ORDER__KIND__KIND_PAUSE:
		machine_pause(process->machine);
		return 0;
	case ATOLL__CONTROL__ORDER__KIND__KIND_RESUME:
		machine_resume(process->machine);
		return 0;
	default:
		return -EPROTO;
	}
}

static int core_tell_device(void *argument, const char *id, const struct device_report *report)
{
	struct core_process *process = argument;
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__DeviceState state = ATOLL__CONTROL__DEVICE_STATE__INIT;
	int result;

	state.id = (char *)id;
	state.kind = report->kind;
	state.detail = (char *)report->detail;
	envelope.serial = report->serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_STATE;
	envelope.device_state = &state;
	result = control_send(child_control_fd(process->child), &envelope, NULL, 0);
	if (result < 0 && result != -EAGAIN)
		log_error("cannot tell the supervisor of device %s: %s", id, strerror(-result));
	return result;
}

static int core_answer_device(void *argument, uint64_t serial, const char *id, const char *error)
{
	struct core_process *process = argument;
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__DeviceReply reply = ATOLL__CONTROL__DEVICE_REPLY__INIT;
	int result;

	reply.id = (char *)id;
	reply.error = (char *)error;
	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_REPLY;
	envelope.device_reply = &reply;
	result = control_send(child_control_fd(process->child), &envelope, NULL, 0);
	if (result < 0 && result != -EAGAIN)
		log_error("cannot answer the supervisor about device %s: %s", id, strerror(-result));
	return result;
}

/* A new one. Another number of descriptors than one is told with the answer. */
static int core_add_device(struct core_process *process, struct control_message *message)
{
	int wire_fd = message->fd_count == 1 ? message->fds[0] : -1;

	if (wire_fd >= 0)
		message->fds[0] = -1;
	machine_add_device(process->machine, message->envelope->attach_device, message->envelope->serial,
			   wire_fd);
	return 0;
}

/* A successor. One for a device that there is not is the supervisor's mistake, and harms nobody. */
static int core_replace_device(struct core_process *process, struct control_message *message)
{
	const Atoll__Control__AttachDevice *device = message->envelope->attach_device;

	if (message->fd_count != 1)
		return -EPROTO;
	if (machine_replace_device(process->machine, device, message->envelope->serial, message->fds[0]) < 0)
		log_error("device %s: there is none to attach a successor to", device->id);
	message->fds[0] = -1;
	return 0;
}

static int core_message(void *argument, struct control_message *message)
{
	struct core_process *process = argument;
	const Atoll__Control__Envelope *envelope = message->envelope;

	switch (envelope->body_case) {
	case ATOLL__CONTROL__ENVELOPE__BODY_ORDER:
		return core_order(process, envelope->order->kind);
	case ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE:
		return envelope->attach_device->is_new ? core_add_device(process, message)
						       : core_replace_device(process, message);
	case ATOLL__CONTROL__ENVELOPE__BODY_DETACH_DEVICE:
		machine_remove_device(process->machine, envelope->detach_device->id, envelope->serial);
		return 0;
	case ATOLL__CONTROL__ENVELOPE__BODY_FAIL_DEVICE:
		if (machine_fail_device(process->machine, envelope->fail_device->id) < 0)
			log_error("device %s: there is none to fail", envelope->fail_device->id);
		return 0;
	default:
		return -EPROTO;
	}
}

static void core_count(void *argument, const char *name, uint64_t value)
{
	child_counter(argument, name, value);
}

static void core_statistics(void *argument, struct child *child)
{
	struct core_process *process = argument;

	machine_counters(process->machine, core_count, child);
}

static bool core_settled(void *argument)
{
	struct core_process *process = argument;

	return machine_settled(process->machine);
}

static void core_answer(void *argument)
{
	struct core_process *process = argument;

	child_answer_heartbeats(process->child);
}

static const struct child_ops core_ops = {
	.shut_down = core_shut_down,
	.message = core_message,
	.statistics = core_statistics,
	.settled = core_settled,
};

/* The last message must not be lost because the supervisor is busy at this moment; it must not hold us up
 * either. */
static void core_report(struct core_process *process, const struct machine_end *end)
{
	int fd = child_control_fd(process->child), result;

	log_flush_held(true);
	if (end->kind == ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_UNSPECIFIED)
		return;
	while ((result = control_send_guest_event(fd, end->kind, end->status, end->detail)) == -EAGAIN) {
		struct pollfd writable = {.fd = fd, .events = POLLOUT};

		if (poll(&writable, 1, EVENT_SEND_TIMEOUT_MS) == 0)
			break;
	}
	if (result < 0)
		log_error("cannot tell the supervisor that the guest ended: %s", strerror(-result));
}

/* --- start-up --- */

static int core_attach_devices(struct core_process *process, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct control_message message;
		int result = control_receive_timeout(child_control_fd(process->child), ATTACH_TIMEOUT_MS,
						     &message);

		if (result == 0)
			return -EPIPE;
		if (result < 0) {
			log_error("control wire: device %u of %u: %s", i + 1, count, strerror(-result));
			return result;
		}
		if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE &&
		    !message.envelope->attach_device->is_new && message.fd_count == 1) {
			result = machine_attach(process->machine, message.envelope->attach_device,
						message.fds[0]);
			message.fds[0] = -1;
		} else {
			/* An order to shut down comes here when another process failed meanwhile: not an
			 * error. */
			result = message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_ORDER
					 ? -ECANCELED
					 : -EPROTO;
			if (result == -EPROTO)
				log_error("control wire: a message that does not attach a device");
		}
		control_message_clear(&message);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Builds the machine that the first message describes. */
static int core_build(struct core_process *process, struct control_message *message)
{
	const Atoll__Control__CoreConfigure *configure = message->envelope->core_configure;
	int kvm_fd, memory_fd, initrd_fd, result;

	if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_CORE_CONFIGURE ||
	    message->fd_count != (size_t)CORE_FD_INITRD + (configure->has_initrd ? 1 : 0)) {
		log_error("control wire: the first message does not configure a core");
		return -EPROTO;
	}
	kvm_fd = message->fds[CORE_FD_KVM];
	memory_fd = message->fds[CORE_FD_MEMORY];
	message->fds[CORE_FD_KVM] = message->fds[CORE_FD_MEMORY] = -1;
	initrd_fd = configure->has_initrd ? message->fds[CORE_FD_INITRD] : -1;
	if ((result = machine_new(configure, kvm_fd, memory_fd, &process->machine)) < 0 ||
	    (result = core_attach_devices(process, configure->devices)) < 0 ||
	    (result = machine_load(process->machine, message->fds[CORE_FD_KERNEL], initrd_fd,
				   configure->cmdline)) < 0)
		return result;
	machine_on_device_report(process->machine, core_tell_device, core_answer_device, process);
	machine_on_settled(process->machine, core_answer, process);
	return child_serve(process->child, machine_loop(process->machine), &core_ops, process);
}

/* The guest has not run yet. KVM may start threads for us when it does. */
static int core_seal(struct core_process *process)
{
	int result = machine_stock(process->machine);

	if (result < 0)
		return result;
	if (!child_is_jailed(process->child))
		return machine_seal(process->machine, NULL, NULL);
	result = jail_seal_process(&filter_core_process, true);
	if (result == 0)
		result = machine_seal(process->machine, &filter_core_vcpu, &filter_core_attendant);
	return result < 0 ? result : jail_seal_thread(&filter_core_main, NULL, 0);
}

static int core_run(struct core_process *process)
{
	struct control_message message;
	struct machine_end end;
	int result = child_configuration(process->child, PROGRAM, &message);

	if (result <= 0) {
		if (result < 0)
			log_error("control wire: no configuration: %s", strerror(-result));
		return EXIT_FAILURE;
	}
	result = child_enter_jail(process->child, PROGRAM, CORE_FILES);
	if (result == 0)
		result = core_build(process, &message);
	control_message_clear(&message);
	if (result == 0)
		result = core_seal(process);
	if (result == 0)
		result = child_ready(process->child);
	if (result == 0) {
		result = machine_run(process->machine, &end);
		core_report(process, &end);
	}
	return result == 0 || result == -ECANCELED ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int core_print_help(FILE *stream, int status)
{
	fprintf(stream,
		"Usage: " PROGRAM " [--help | --version]\n"
		"The core of an Atoll VM: KVM, guest memory, vCPUs. It is started by atoll(1), which gives "
		"it a\n"
		"control socket in " CHILD_CONTROL_FD_ENV "; it has no use of its own. See atoll-core(8).\n");
	return status;
}

int main(int argc, char **argv)
{
	struct core_process process = {0};
	int result;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return core_print_help(stdout, EXIT_SUCCESS);
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf(PROGRAM " " PACKAGE_VERSION "\n") < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (argc > 1)
		return core_print_help(stderr, 2);
	log_identify(PROGRAM, "");
	/* One arena for all threads: none maps and protects memory for one of its own. */
	mallopt(M_ARENA_MAX, 1);
	/* A peer that goes away is an error of a write, never a signal. */
	signal(SIGPIPE, SIG_IGN);
	result = child_attach(&process.child);
	if (result < 0) {
		log_error("no control wire: %s; start a VM with \"atoll run\"", strerror(-result));
		return 2;
	}
	result = core_run(&process);
	machine_free(process.machine);
	child_free(process.child);
	return result;
}
