/*
 * core_harness: runs atoll-core without a supervisor, for tests of the core alone and for a debugger.
 *
 *     core_harness [-m MIB] [-c CPUS] [-i INITRD] [-a CMDLINE] [-k KVM] [-d] CORE KERNEL
 *
 * Speaks the supervisor's half of the control wire: configures the core without devices, starts it when it is
 * ready, prints its log records to stderr, and at the end one line to stdout: "end KIND STATUS DETAIL", or
 * "no end". -d makes the debug-exit port. A line "button", "shut-down" or "statistics" on stdin sends that
 * order or request; the counters are printed as "counter NAME VALUE". The exit status is the core's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/control_wire.h"
#include "common/log.h"

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

static pid_t start_core(const char *program, int wire)
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
	execl(program, "atoll-core: harness", (char *)NULL);
	fail(program);
	return -1;
}

static void start_device(const char *command, int wire)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid > 0)
		return;
	if (wire == DEVICE_FD)
		fcntl(wire, F_SETFD, 0);
	else
		dup2(wire, DEVICE_FD);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	fail("/bin/sh");
}

/* description: TYPE:ID:COMMAND; is taken apart in place. */
static void attach_device(int core_wire, char *description)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__AttachDevice device = ATOLL__CONTROL__ATTACH_DEVICE__INIT;
	char *type = strsep(&description, ":"), *id = strsep(&description, ":");
	int pair[2];

	if (id == NULL || description == NULL) {
		fprintf(stderr, "core_harness: -D takes TYPE:ID:COMMAND\n");
		exit(125);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		fail("socketpair");
	start_device(description, pair[1]);
	close(pair[1]);
	device.id = id;
	device.queues = strcmp(type, "blk") == 0;
	device.type = strcmp(type, "blk") == 0	     ? ATOLL__CONTROL__DEVICE_TYPE__DEVICE_TYPE_BLK
		      : strcmp(type, "net") == 0     ? ATOLL__CONTROL__DEVICE_TYPE__DEVICE_TYPE_NET
		      : strcmp(type, "console") == 0 ? ATOLL__CONTROL__DEVICE_TYPE__DEVICE_TYPE_CONSOLE
						     : ATOLL__CONTROL__DEVICE_TYPE__DEVICE_TYPE_SERIAL;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE;
	envelope.attach_device = &device;
	if (control_send(core_wire, &envelope, &pair[0], 1) < 0)
		fail("control wire");
	close(pair[0]);
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
	else
		fprintf(stderr, "core_harness: unknown command: %s", command);
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
	char command[64];

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
	int fds[3], option, status, pair[2];
	size_t fd_count = 2;
	char *devices[DEVICES_MAX];
	const char *initrd = NULL, *kvm = "/dev/kvm";
	pid_t core;

	configure.vm = (char *)"harness";
	configure.cpus = 1;
	configure.memory_bytes = UINT64_C(256) << 20;
	configure.cmdline = (char *)"";
	configure.log_level = LOG_LEVEL_DEBUG;
	configure.no_sandbox = true; /* it is no child of a supervisor */
	while ((option = getopt(argc, argv, "m:c:i:a:k:dD:")) != -1) {
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
			if (configure.devices < DEVICES_MAX)
				devices[configure.devices++] = optarg;
			break;
		case 'd':
			configure.debug_exit = true;
			break;
		default:
			return 125;
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr,
			"Usage: core_harness [-m MIB] [-c CPUS] [-i INITRD] [-a CMDLINE] [-k KVM] [-d] "
			"[-D TYPE:ID:COMMAND]... CORE KERNEL\n");
		return 125;
	}
	setvbuf(stdin, NULL, _IONBF, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		fail("socketpair");
	core = start_core(argv[optind], pair[1]);
	close(pair[1]);
	fds[0] = open_or_fail(kvm, O_RDWR);
	fds[1] = open_or_fail(argv[optind + 1], O_RDONLY);
	if (initrd != NULL) {
		fds[fd_count++] = open_or_fail(initrd, O_RDONLY);
		configure.has_initrd = true;
	}
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CORE_CONFIGURE;
	envelope.core_configure = &configure;
	if (control_send(pair[0], &envelope, fds, fd_count) < 0)
		fail("control wire");
	for (unsigned i = 0; i < configure.devices; i++)
		attach_device(pair[0], devices[i]);
	serve(pair[0]);
	if (waitpid(core, &status, 0) < 0)
		fail("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
