/*
 * core_harness: runs atoll-core without a supervisor, for tests of the core alone and for a debugger.
 *
 *     core_harness [-m MIB] [-c CPUS] [-i INITRD] [-a CMDLINE] [-k KVM] [-d] [-s] CORE KERNEL
 *
 * Speaks the supervisor's half of the control wire: configures the core, attaches the devices that -D names
 * (each a shell command that serves the wire on descriptor 4, but for a serial port: PROGRAM FILE, which is
 * atoll-console and where its output goes), starts the core when it is ready, prints its log
 * records to stderr, and at the end one line to stdout: "end KIND STATUS DETAIL", or "no end". -d makes the
 * debug-exit port. -s has the core in its jail and behind its filters, as a supervisor starts it, and prints "core PID"; CORE
 * is where ATOLL_LIBEXEC_DIR has it then. The exit status is the core's.
 *
 * Lines on stdin send orders and requests: "button", "shut-down", "pause", "resume"; "statistics", whose
 * counters are printed as "counter NAME VALUE"; "kill ID" ends a device's process, "attach ID" starts another
 * one in its place, "fail ID" says that none will come. What the core tells of devices is printed as
 * "device ID KIND SERIAL DETAIL"; the serial counts the attachments.
 *
 * "add TYPE:ID:COMMAND" attaches a new device, "remove ID" detaches one; "try ID VIRTIO-ID QUEUES WIRE" is a message to attach
 * a new one that no process stands behind: WIRE is what comes with it, "none", "two" of them, "null" (/dev/null), "closed",
 * whose other end is, or "deaf", where nobody answers. The core's answers are printed as "reply ID SERIAL ERROR"; these
 * messages count in the serial, too. The process of one that is detached is killed. "stop ID" stops a process.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/control_wire.h"
#include "common/base/log.h"
#include "common/base/sealed_memfd.h"
#include "common/program/child.h"
#include "common/ring/guest_memory.h"
#include "common/ring/inflight.h"
#include "common/ring/state_page.h"
#include "common/spec/virtio_spec.h"
#include "supervisor/vm/spawn.h"

#define CHILD_FD    3
#define DEVICE_FD   4
#define DEVICES_MAX 16

static void fail(const char *what)
{
	fprintf(stderr, "core_harness: %s: %s\n", what, strerror(errno));
	exit(125);
}

static int open_or_fail(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	return fd;
}

/* As the supervisor does it, whose starter makes what is a child of its own parent: here of ours. */
static pid_t start_sealed(int wire, uint64_t memory)
{
	const struct spawn_request request = {
		.program = "atoll-core",
		.title = "atoll-core: harness",
		.sandbox = true,
		.limits = {memory + ((uint64_t)512 << 20), INFLIGHT_FILE_MAX, -1},
		.control_fd = wire,
		.output_fd = STDERR_FILENO,
	};
	struct spawned spawned;
	struct spawn_problem problem = {"", "", false};
	int told[2], status;
	pid_t starter, pid = 0;

	if (pipe2(told, O_CLOEXEC) < 0 || (starter = fork()) < 0)
		fail("starter");
	if (starter == 0) {
		errno = -spawn_program(&request, &spawned, &problem);
		if (errno != 0) {
			fprintf(stderr, "core_harness: %s; %s\n", problem.step, problem.remedy);
			fail("atoll-core");
		}
		_exit(write(told[1], &spawned.pid, sizeof(spawned.pid)) == sizeof(spawned.pid) ? 0 : 1);
	}
	close(told[1]);
	if (read(told[0], &pid, sizeof(pid)) != sizeof(pid) || waitpid(starter, &status, 0) < 0)
		fail("starter");
	close(told[0]);
	printf("core %d\n", (int)pid);
	fflush(stdout);
	return pid;
}

static pid_t start_child(const char *program, int wire)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid > 0)
		return pid;
	if (wire == CHILD_FD)
		fcntl(wire, F_SETFD, 0);
	else
		dup2(wire, CHILD_FD);
	setenv(CHILD_CONTROL_FD_ENV, "3", 1);
	setpgid(0, 0);
	execl(program, "atoll: harness", (char *)NULL);
	fail(program);
	return -1;
}

static struct device {
	char *type, *id, *command;
	pid_t pid;
	uint64_t removal; /* serial of the message that detaches it */
	int state_fd;	  /* of a serial port; 0: not made yet */
} devices[DEVICES_MAX];
static unsigned device_count;
static uint64_t attachments;

/* description: TYPE:ID:COMMAND; is taken apart in place. */
static void add_device(char *description)
{
	struct device *device = &devices[device_count++];

	if (device_count == DEVICES_MAX) {
		fprintf(stderr, "core_harness: too many devices\n");
		exit(125);
	}
	memset(device, 0, sizeof(*device));
	device->type = strsep(&description, ":");
	device->id = strsep(&description, ":");
	device->command = description;
	if (device->id == NULL || description == NULL) {
		fprintf(stderr, "core_harness: -D takes TYPE:ID:COMMAND\n");
		exit(125);
	}
}

/* In a group of its own, to be killed with whatever its shell started. */
static void start_device(struct device *device, int wire)
{
	device->pid = fork();
	if (device->pid < 0)
		fail("fork");
	if (device->pid > 0)
		return;
	setpgid(0, 0);
	if (wire == DEVICE_FD)
		fcntl(wire, F_SETFD, 0);
	else
		dup2(wire, DEVICE_FD);
	execl("/bin/sh", "sh", "-c", device->command, (char *)NULL);
	fail("/bin/sh");
}

/* A serial port has no command line: it is configured as its supervisor does it. */
static void start_serial(struct device *device, int wire)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__DeviceConfigure configure = ATOLL__CONTROL__DEVICE_CONFIGURE__INIT;
	Atoll__Control__ConsoleConfigure console = ATOLL__CONTROL__CONSOLE_CONFIGURE__INIT;
	char program[512], path[512];
	int pair[2], fds[3] = {wire, -1, -1};

	if (sscanf(device->command, "%511s %511s", program, path) != 2 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		fail(device->command);
	fds[2] = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fds[2] < 0)
		fail(path);
	/* One for it and its successors. */
	configure.resume = device->state_fd > 0;
	if (device->state_fd <= 0 && state_page_create(&device->state_fd) < 0)
		fail("state page");
	fds[1] = device->state_fd;
	device->pid = start_child(program, pair[1]);
	close(pair[1]);
	configure.vm = (char *)"harness";
	configure.id = device->id;
	configure.has_state = true;
	configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_CONSOLE;
	configure.console = &console;
	console.serial = true;
	console.output = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_FILE;
	configure.no_sandbox = true;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE;
	envelope.device_configure = &configure;
	if (control_send(pair[0], &envelope, fds, 3) < 0)
		fail("control wire");
	close(fds[2]);
	/* pair[0] stays: its end would be the process's. Nobody reads what it logs. */
}

static void kill_device(struct device *device)
{
	if (device->pid > 0 && kill(-device->pid, SIGKILL) == 0)
		waitpid(device->pid, NULL, 0);
	device->pid = 0;
}

static void attach_device(int core_wire, struct device *device, uint64_t serial, bool is_new)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__AttachDevice attach = ATOLL__CONTROL__ATTACH_DEVICE__INIT;
	const char *type = device->type;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		fail("socketpair");
	if (strcmp(type, "serial") == 0)
		start_serial(device, pair[1]);
	else
		start_device(device, pair[1]);
	close(pair[1]);
	attach.id = device->id;
	attach.is_new = is_new;
	attach.queues = strcmp(type, "blk") == 0;
	attach.virtio_id = strcmp(type, "blk") == 0	  ? VIRTIO_ID_BLOCK
			   : strcmp(type, "net") == 0	  ? VIRTIO_ID_NET
			   : strcmp(type, "console") == 0 ? VIRTIO_ID_CONSOLE
							  : 0;
	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE;
	envelope.attach_device = &attach;
	if (control_send(core_wire, &envelope, &pair[0], 1) < 0)
		fail("control wire");
	close(pair[0]);
}

static struct device *device_find(const char *id)
{
	for (unsigned i = 0; i < device_count; i++)
		if (strcmp(devices[i].id, id) == 0)
			return &devices[i];
	return NULL;
}

static void send_remove(int wire, const char *id)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__DetachDevice detach = ATOLL__CONTROL__DETACH_DEVICE__INIT;

	struct device *device = device_find(id);

	detach.id = (char *)id;
	envelope.serial = ++attachments;
	if (device != NULL)
		device->removal = envelope.serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DETACH_DEVICE;
	envelope.detach_device = &detach;
	control_send(wire, &envelope, NULL, 0);
}

/* What comes with a message that nobody stands behind; how many, in fds. */
static size_t make_wires(const char *kind, int fds[2])
{
	int pair[2];

	if (strcmp(kind, "none") == 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		fail("socketpair");
	fds[0] = pair[0];
	fds[1] = pair[1];
	if (strcmp(kind, "two") == 0)
		return 2;
	/* Else it stays open, and nobody reads from it. */
	if (strcmp(kind, "deaf") != 0)
		close(pair[1]);
	if (strcmp(kind, "null") == 0) {
		close(fds[0]);
		fds[0] = open_or_fail("/dev/null", O_RDWR);
	}
	return 1;
}

static void send_try(int wire, char *id, unsigned virtio_id, unsigned queues, const char *kind)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__AttachDevice attach = ATOLL__CONTROL__ATTACH_DEVICE__INIT;
	int fds[2];
	size_t count = make_wires(kind, fds);

	attach.id = id;
	attach.is_new = true;
	attach.virtio_id = virtio_id;
	attach.queues = queues;
	envelope.serial = ++attachments;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE;
	envelope.attach_device = &attach;
	control_send(wire, &envelope, fds, count);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* Devices that come and go; false for what is none. */
static bool send_change(int wire, const char *command)
{
	char id[64], kind[16];
	unsigned virtio_id, queues;

	if (strncmp(command, "add ", 4) == 0) {
		add_device(strndup(command + 4, strcspn(command + 4, "\n")));
		attach_device(wire, &devices[device_count - 1], ++attachments, true);
	} else if (sscanf(command, "remove %63s", id) == 1) {
		send_remove(wire, id);
	} else if (sscanf(command, "try %63s %u %u %15s", id, &virtio_id, &queues, kind) == 4) {
		send_try(wire, id, virtio_id, queues, kind);
	} else {
		return false;
	}
	return true;
}

/* "kill ID" and the like; false for what is none. */
static bool send_device_command(int wire, const char *command)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__FailDevice failed = ATOLL__CONTROL__FAIL_DEVICE__INIT;
	char verb[16], id[48];

	if (sscanf(command, "%15s %47s", verb, id) != 2)
		return false;
	for (unsigned i = 0; i < device_count; i++) {
		struct device *device = &devices[i];

		if (strcmp(device->id, id) != 0)
			continue;
		if (strcmp(verb, "kill") == 0) {
			kill_device(device);
		} else if (strcmp(verb, "attach") == 0) {
			kill_device(device);
			attach_device(wire, device, ++attachments, false);
		} else if (strcmp(verb, "stop") == 0) {
			kill(-device->pid, SIGSTOP);
		} else if (strcmp(verb, "fail") == 0) {
			kill_device(device);
			failed.id = id;
			envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_FAIL_DEVICE;
			envelope.fail_device = &failed;
			control_send(wire, &envelope, NULL, 0);
		} else {
			return false;
		}
		return true;
	}
	return false;
}

static void send_command(int wire, const char *command)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__StatisticsRequest request = ATOLL__CONTROL__STATISTICS_REQUEST__INIT;

	envelope.serial = 1;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS_REQUEST;
	envelope.statistics_request = &request;
	if (strcmp(command, "button\n") == 0)
		control_send_order(wire, ATOLL__CONTROL__ORDER__KIND__KIND_POWER_BUTTON);
	else if (strcmp(command, "shut-down\n") == 0)
		control_send_order(wire, ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN);
	else if (strcmp(command, "statistics\n") == 0)
		control_send(wire, &envelope, NULL, 0);
	else if (strcmp(command, "pause\n") == 0)
		control_send_order(wire, ATOLL__CONTROL__ORDER__KIND__KIND_PAUSE);
	else if (strcmp(command, "resume\n") == 0)
		control_send_order(wire, ATOLL__CONTROL__ORDER__KIND__KIND_RESUME);
	else if (!send_change(wire, command) && !send_device_command(wire, command))
		fprintf(stderr, "core_harness: unknown command: %s", command);
}

/* The process of a device that is detached is done with. */
static void take_reply(uint64_t serial, const Atoll__Control__DeviceReply *reply)
{
	struct device *device = device_find(reply->id);

	if (device != NULL && serial == device->removal && reply->error[0] == '\0') {
		kill_device(device);
		*device = devices[--device_count];
	}
	printf("reply %s %llu %s\n", reply->id, (unsigned long long)serial, reply->error);
	fflush(stdout);
}

/* Returns true when the core has told the end. */
static bool take_message(int wire, const Atoll__Control__Envelope *envelope)
{
	switch (envelope->body_case) {
	case ATOLL__CONTROL__ENVELOPE__BODY_READY:
		control_send_order(wire, ATOLL__CONTROL__ORDER__KIND__KIND_START);
		return false;
	case ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD:
		fprintf(stderr, "%s: %s\n", log_level_name((enum log_level)envelope->log_record->level),
			envelope->log_record->text);
		return false;
	case ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS:
		for (size_t i = 0; i < envelope->statistics->n_counters; i++)
			printf("counter %s %llu\n", envelope->statistics->counters[i]->name,
			       (unsigned long long)envelope->statistics->counters[i]->value);
		fflush(stdout);
		return false;
	case ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_STATE:
		printf("device %s %s %llu %s\n", envelope->device_state->id,
		       protobuf_c_enum_descriptor_get_value(&atoll__control__device_state__kind__descriptor,
							    (int)envelope->device_state->kind)
			       ->name,
		       (unsigned long long)envelope->serial, envelope->device_state->detail);
		fflush(stdout);
		return false;
	case ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_REPLY:
		take_reply(envelope->serial, envelope->device_reply);
		return false;
	case ATOLL__CONTROL__ENVELOPE__BODY_GUEST_EVENT:
		printf("end %s %u %s\n",
		       protobuf_c_enum_descriptor_get_value(&atoll__control__guest_event__kind__descriptor,
							    (int)envelope->guest_event->kind)
			       ->name,
		       envelope->guest_event->status, envelope->guest_event->detail);
		return true;
	default:
		fprintf(stderr, "core_harness: unexpected message %d\n", (int)envelope->body_case);
		return false;
	}
}

static void serve(int wire)
{
	struct pollfd fds[2] = {{.fd = wire, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	char command[1024];

	for (;;) {
		struct control_message message;
		bool ended;

		if (poll(fds, 2, -1) < 0)
			fail("poll");
		if (fds[1].revents != 0) {
			if (fgets(command, sizeof(command), stdin) != NULL)
				send_command(wire, command);
			else
				fds[1].fd = -1;
		}
		if (fds[0].revents == 0)
			continue;
		if (control_receive(wire, &message) <= 0) {
			printf("no end\n");
			return;
		}
		ended = take_message(wire, message.envelope);
		control_message_clear(&message);
		if (ended)
			return;
	}
}

int main(int argc, char **argv)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__CoreConfigure configure = ATOLL__CONTROL__CORE_CONFIGURE__INIT;
	int fds[4], option, status, pair[2];
	size_t fd_count = 3;
	const char *initrd = NULL, *kvm = "/dev/kvm";
	pid_t core;

	configure.vm = (char *)"harness";
	configure.cpus = 1;
	configure.memory_bytes = UINT64_C(256) << 20;
	configure.cmdline = (char *)"";
	configure.log_level = LOG_LEVEL_DEBUG;
	configure.no_sandbox = true; /* it is no child of a supervisor */
	while ((option = getopt(argc, argv, "m:c:i:a:k:dsD:")) != -1) {
		switch (option) {
		case 'm':
			configure.memory_bytes = strtoull(optarg, NULL, 0) << 20;
			break;
		case 'c':
			configure.cpus = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'i':
			initrd = optarg;
			break;
		case 'a':
			configure.cmdline = optarg;
			break;
		case 'k':
			kvm = optarg;
			break;
		case 'D':
			add_device(optarg);
			break;
		case 'd':
			configure.debug_exit = true;
			break;
		case 's':
			configure.no_sandbox = false;
			break;
		default:
			return 125;
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr,
			"Usage: core_harness [-m MIB] [-c CPUS] [-i INITRD] [-a CMDLINE] [-k KVM] [-d] [-s] "
			"[-D TYPE:ID:COMMAND]... CORE KERNEL\n");
		return 125;
	}
	setvbuf(stdin, NULL, _IONBF, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		fail("socketpair");
	core = configure.no_sandbox ? start_child(argv[optind], pair[1])
				    : start_sealed(pair[1], configure.memory_bytes);
	close(pair[1]);
	fds[0] = open_or_fail(kvm, O_RDWR);
	errno = -sealed_memfd_create(GUEST_MEMORY_NAME, configure.memory_bytes, &fds[1]);
	if (errno != 0)
		fail("the guest's memory");
	fds[2] = open_or_fail(argv[optind + 1], O_RDONLY);
	if (initrd != NULL) {
		fds[fd_count++] = open_or_fail(initrd, O_RDONLY);
		configure.has_initrd = true;
	}
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CORE_CONFIGURE;
	envelope.core_configure = &configure;
	configure.devices = device_count;
	if (control_send(pair[0], &envelope, fds, fd_count) < 0)
		fail("control wire");
	for (unsigned i = 0; i < device_count; i++)
		attach_device(pair[0], &devices[i], 0, false);
	serve(pair[0]);
	for (unsigned i = 0; i < device_count; i++)
		kill_device(&devices[i]);
	if (waitpid(core, &status, 0) < 0)
		fail("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
