/*
 * A process of a VM that does what no real one does. A copy of this program stands in the place of one of the
 * family; the last 32 bytes of its file, "MODE=" and blanks in front, say what it does. (Its user may open no
 * file beside it.)
 *
 *   good        is ready, and ends when ordered; a core powers off when its button is pressed
 *   die         logs a line and ends with status 7 at once
 *   silent      the same, without the line
 *   crash       is killed by SIGSEGV before it is ready
 *   never       is never ready
 *   garbage     sends bytes that are no message
 *   huge        sends a packet larger than any message
 *   descriptor  sends one with a log record
 *   supervisor  sends a supervisor's message
 *   close       closes its control wire and lives on
 *   forge       logs control characters
 *   stuck       is ready, and deaf to orders
 *   flood       is ready, and logs without end
 *   recorder    tells that it records what it calls
 *   early       is sealed, and makes a call that its filter does not allow
 *   library     the same, with another C library than the one that it was built with, as it says
 *   vague       is ended with a filter's status, without a word
 *   asked       the same as early, when it is ready and asked for its statistics
 *   pretend     tells that it did, and goes on
 *   nonsense    tells of a violation by a name that there is not
 *   few         tells of one with too few arguments
 *   bytes       tells of one in a thread whose name is no text
 *   many        tells as many counters as there may be, of names as long as there may be
 *   more        tells one more
 *   odd         tells a counter whose name is no text
 *   where       logs in which cgroup it has begun
 *   greedy      as a disk: takes what it can of memory, and makes its image larger; logs what came of it
 *   sender      as a disk: sends its image to itself, and takes it from nowhere
 *   mapper      as a disk: maps its image, shared
 *   opener      as a disk: has its image open to write, whatever it was given
 * at their first heartbeat, when the VM runs:
 *   late        ends with status 7
 *   twice       says again that it is ready
 *   impostor    tells of the guest's end, though no core
 *   echo        answers a heartbeat that it was not asked for
 *   gossip      tells counters that it was not asked for
 *   full        tells that its file is full
 *   latin       logs what is no UTF-8, and ends with status 7
 *   hung        does not answer
 *   stalled     answers that work is open, ever the same
 *   waiting     the same, but that it waits for the host
 *   hungry      takes 128 MiB of memory, and logs that it has
 *   teeming     makes processes, 50 at most, and logs how many
 *   scribble    does to its standard output and error what it can: empties it, makes it wait, forges, floods
 * as a device, whose wire to the core the others close:
 *   mute        keeps it and says nothing on it
 *   babbler     keeps it and sends bytes that are no message
 * as a core:
 *   panic, reset, off: its guest ends so, at once
 *   failure     its machine fails
 *   unknown     tells of an end that there is not
 *   deceiver    tells of a device that there is not
 *   undoer      tells, before the VM runs, that the wire of the disk "root" has ended
 *   eager       tells twice that it serves a device, when it is told of a successor
 *   answerer    answers heartbeats that it was not asked for, as they are numbered, when it is told of a successor
 *
 * Descriptors other than 0 to 3 at its start, or another environment than it should have, make it log "LEAK".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/control_wire.h"
#include "common/jail/jail.h"
#include "policy/filters.h"

#define WIRE 3

static const char *mode_read(void)
{
	static char mode[33];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *start;

	if (fd < 0 || lseek(fd, -32, SEEK_END) < 0 || read(fd, mode, 32) != 32)
		return "unknown";
	close(fd);
	start = strstr(mode, "MODE=");
	return start != NULL ? start + 5 : "good";
}

static int say(const char *text, const int *fds, size_t count)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__LogRecord record = ATOLL__CONTROL__LOG_RECORD__INIT;

	record.level = 1;
	record.text = (char *)text;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD;
	envelope.log_record = &record;
	return control_send(WIRE, &envelope, fds, count);
}

/* A violation that was none: it goes on. */
static void pretend(const char *thread, const char *filter, size_t arguments)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Violation violation = ATOLL__CONTROL__VIOLATION__INIT;
	uint64_t values[6] = {1, 2, 3, 4, 5, 6};

	violation.thread = (char *)thread;
	violation.filter = (char *)filter;
	violation.call = 2;
	violation.arguments = values;
	violation.n_arguments = arguments;
	violation.built_with = (char *)"glibc 2.36";
	violation.runs_with = (char *)"glibc 2.99";
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_VIOLATION;
	envelope.violation = &violation;
	control_send(WIRE, &envelope, NULL, 0);
}

/* As a real one: sealed, and then in a guest's hands. */
static void violate(void)
{
	jail_watch_violations(WIRE);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	jail_seal_process(&filter_blk_main, true);
	openat(AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void check_surroundings(void)
{
	DIR *list = opendir("/proc/self/fd");
	struct dirent *entry;
	char text[300];

	while (list != NULL && (entry = readdir(list)) != NULL) {
		if (entry->d_name[0] == '.' || atoi(entry->d_name) <= WIRE ||
		    atoi(entry->d_name) == dirfd(list))
			continue;
		snprintf(text, sizeof(text), "LEAK: descriptor %s is open", entry->d_name);
		say(text, NULL, 0);
	}
	if (list != NULL)
		closedir(list);
	if (environ[0] == NULL || strcmp(environ[0], "ATOLL_CONTROL_FD=3") != 0 || environ[1] != NULL)
		say("LEAK: the environment", NULL, 0);
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static void misbehave_when_running(const char *mode);

static void answer_heartbeat(const char *mode, uint64_t serial)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__HeartbeatReply reply = ATOLL__CONTROL__HEARTBEAT_REPLY__INIT;

	misbehave_when_running(mode);
	if (strcmp(mode, "hung") == 0)
		return;
	if (strcmp(mode, "stalled") == 0 || strcmp(mode, "waiting") == 0)
		reply.accepted = 1;
	reply.host_io = strcmp(mode, "waiting") == 0;
	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT_REPLY;
	envelope.heartbeat_reply = &reply;
	control_send(WIRE, &envelope, NULL, 0);
}

/* What commands wait for is numbered too. */
static void answer_all(uint64_t last)
{
	for (uint64_t serial = 1; serial <= last; serial++)
		answer_heartbeat("good", serial);
}

/* As a core. */
static void tell_device_as(const char *id, uint64_t serial, Atoll__Control__DeviceState__Kind kind)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__DeviceState state = ATOLL__CONTROL__DEVICE_STATE__INIT;

	state.id = (char *)id;
	state.kind = kind;
	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_STATE;
	envelope.device_state = &state;
	control_send(WIRE, &envelope, NULL, 0);
}

/* The successor of a device is served at once. */
static void tell_device(const char *id, uint64_t serial)
{
	tell_device_as(id, serial, ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_SERVING);
}

/* That its file is full. */
static void tell_full(void)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__ConsoleFull full = ATOLL__CONTROL__CONSOLE_FULL__INIT;

	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_FULL;
	envelope.console_full = &full;
	for (unsigned i = 0; i < 100; i++)
		control_send(WIRE, &envelope, NULL, 0);
}

/* Counters as `mode` has them. */
static void tell_counters(const char *mode, uint64_t serial)
{
	static Atoll__Control__Counter counters[257];
	static char names[257][48];
	Atoll__Control__Counter *list[257];
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Statistics statistics = ATOLL__CONTROL__STATISTICS__INIT;

	for (unsigned i = 0; i < 257; i++) {
		atoll__control__counter__init(&counters[i]);
		snprintf(names[i], sizeof(names[i]), "%047u", i);
		counters[i].name = strcmp(mode, "odd") == 0 ? (char *)"caf\xe9" : names[i];
		counters[i].value = UINT64_MAX;
		list[i] = &counters[i];
	}
	statistics.counters = list;
	statistics.n_counters = strcmp(mode, "many") == 0 ? 256 : strcmp(mode, "more") == 0 ? 257 : 1;
	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS;
	envelope.statistics = &statistics;
	control_send(WIRE, &envelope, NULL, 0);
}

/* Takes messages until the order to end or the end of the wire; a core's guest heeds its button. */
static int serve(const char *mode)
{
	for (;;) {
		struct control_message message;
		int result = control_receive_timeout(WIRE, -1, &message);
		Atoll__Control__Order__Kind kind = ATOLL__CONTROL__ORDER__KIND__KIND_UNSPECIFIED;

		if (result <= 0)
			return 0;
		if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_ORDER)
			kind = message.envelope->order->kind;
		else if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT)
			answer_heartbeat(mode, message.envelope->serial);
		else if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS_REQUEST &&
			 strcmp(mode, "asked") == 0)
			violate();
		else if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS_REQUEST)
			tell_counters(mode, message.envelope->serial);
		else if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE &&
			 strcmp(mode, "answerer") == 0)
			answer_all(message.envelope->serial);
		else if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE &&
			 strcmp(mode, "eager") == 0) {
			for (unsigned i = 0; i < 2; i++)
				tell_device(message.envelope->attach_device->id, message.envelope->serial);
		} else if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE)
			tell_device(message.envelope->attach_device->id, message.envelope->serial);
		control_message_clear(&message);
		if (kind == ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN)
			return 0;
		if (kind == ATOLL__CONTROL__ORDER__KIND__KIND_POWER_BUTTON) {
			control_send_guest_event(WIRE, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_POWER_OFF, 0,
						 "");
			return 0;
		}
	}
}

static void misbehave_before_ready(const char *mode)
{
	static char bytes[100000];
	int fd = STDIN_FILENO;

	if (strcmp(mode, "die") == 0) {
		say("these are my last words", NULL, 0);
		exit(7);
	}
	if (strcmp(mode, "silent") == 0)
		exit(7);
	if (strcmp(mode, "crash") == 0)
		*(volatile int *)0 = 0;
	if (strcmp(mode, "never") == 0)
		wait_for_ever();
	if (strcmp(mode, "garbage") == 0)
		send(WIRE, "\xff\xff\xff\xff garbage", 12, 0);
	if (strcmp(mode, "huge") == 0)
		send(WIRE, bytes, sizeof(bytes), 0);
	if (strcmp(mode, "descriptor") == 0)
		say("take this", &fd, 1);
	if (strcmp(mode, "recorder") == 0) {
		Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
		Atoll__Control__Recording recording = ATOLL__CONTROL__RECORDING__INIT;

		envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_RECORDING;
		envelope.recording = &recording;
		control_send(WIRE, &envelope, &fd, 1);
	}
	if (strcmp(mode, "supervisor") == 0)
		control_send_order(WIRE, ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN);
	if (strcmp(mode, "early") == 0)
		violate();
	if (strcmp(mode, "undoer") == 0)
		tell_device_as("root", 0, ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_GONE);
	if (strcmp(mode, "pretend") == 0)
		pretend("main", "blk.main", 6);
	if (strcmp(mode, "nonsense") == 0)
		pretend("main", "blk.main\nforged", 6);
	if (strcmp(mode, "bytes") == 0)
		pretend("ma\xffn", "blk.main", 6);
	if (strcmp(mode, "library") == 0) {
		pretend("main", "blk.main", 6);
		exit(159);
	}
	if (strcmp(mode, "vague") == 0)
		exit(159);
	if (strcmp(mode, "few") == 0)
		pretend("main", "blk.main", 2);
	if (strcmp(mode, "close") == 0) {
		close(WIRE);
		wait_for_ever();
	}
	if (strcmp(mode, "forge") == 0)
		say("one line\n2026-01-01T00:00:00.000000Z error atoll: web: forged \033[31mred", NULL, 0);
}

/* What is behind 1 and 2 is to be nobody's but ours. */
static void scribble(void)
{
	static const char forged[] =
		"2026-01-01T00:00:00.000000Z error atoll: web: forged\n\x1b[2Jred \xc2\x9b"
		"2J \x9b"
		"2J gr\xc3\xbcn\n";
	char line[64];

	if (ftruncate(STDERR_FILENO, 0) == 0)
		say("LEAK: it can be emptied", NULL, 0);
	fcntl(STDERR_FILENO, F_SETFL, 0);
	dprintf(STDOUT_FILENO, "on the standard output\n%s", forged);
	for (unsigned i = 0; i < 5000; i++) {
		int length = snprintf(line, sizeof(line), "scribble %u\n", i);

		if (write(STDERR_FILENO, line, (size_t)length) < 0)
			break;
	}
}

static void say_result(const char *what, bool done)
{
	char text[128];

	snprintf(text, sizeof(text), "greedy: %s: %s", what, done ? "done" : strerrorname_np(errno));
	say(text, NULL, 0);
}

#define GREEDY_MAPPING ((size_t)8 << 30)
#define HUNGRY_SIZE    ((size_t)128 << 20)
#define TEEMING_MOST   50
#define GREEDY_FILE    ((off_t)64 << 20)

static void take_what_there_is(int image)
{
	int fd = memfd_create("greedy", MFD_CLOEXEC);
	struct stat status;
	char byte = 'x';

	say_result("8 GiB mapped", mmap(NULL, GREEDY_MAPPING, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
	say_result("a memfd of 64 MiB", ftruncate(fd, GREEDY_FILE) == 0);
	fstat(image, &status);
	say_result("written behind the image's end", pwrite(image, &byte, 1, status.st_size) == 1);
	say_result("the image lengthened", ftruncate(image, status.st_size + 1) == 0);
	say_result("the image allocated", fallocate(image, 0, 0, GREEDY_FILE) == 0);
	say_result("written at the image's end", pwrite(image, &byte, 1, status.st_size - 1) == 1);
}

/* What is not among its descriptors is open all the same. */
static void hide_image(const char *mode, int image)
{
	struct iovec byte = {.iov_base = (char[]){'x'}, .iov_len = 1};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &byte,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	char path[32];
	int sockets[2];

	memcpy(CMSG_DATA(&control.header), &image, sizeof(image));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
	if (strcmp(mode, "sender") == 0 &&
	    (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0 || sendmsg(sockets[0], &message, 0) < 0))
		say("it cannot be sent", NULL, 0);
	if (strcmp(mode, "mapper") == 0 &&
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, image, 0) == MAP_FAILED)
		say("it cannot be mapped", NULL, 0);
	if (strcmp(mode, "opener") == 0 && open(path, O_RDWR) < 0)
		say("it cannot be opened", NULL, 0);
}

static void misbehave_when_ready(const char *mode)
{
	if (strcmp(mode, "scribble") == 0)
		scribble();
	if (strcmp(mode, "deceiver") == 0)
		tell_device("nobody", 0);
	if (strcmp(mode, "stuck") == 0)
		wait_for_ever();
	while (strcmp(mode, "flood") == 0) {
		if (say("water, water everywhere", NULL, 0) == -EPIPE)
			exit(0);
	}
}

/* Its first step. */
static void where_am_i(char *text, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "0::", 3) == 0)
			snprintf(text, size, "where: %.*s", (int)strcspn(line, "\n"), line);
	if (file != NULL)
		fclose(file);
}

static void eat(void)
{
	char *memory = mmap(NULL, HUNGRY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		exit(7);
	for (size_t at = 0; at < HUNGRY_SIZE; at += 4096)
		((volatile char *)memory)[at] = 'x';
	say("hungry: 128 MiB are taken", NULL, 0);
	munmap(memory, HUNGRY_SIZE);
}

static void multiply(void)
{
	pid_t pids[TEEMING_MOST];
	char text[128];
	int count = 0, error = 0;

	while (count < TEEMING_MOST && error == 0) {
		pids[count] = fork();
		if (pids[count] == 0)
			wait_for_ever();
		if (pids[count] < 0)
			error = errno;
		else
			count++;
	}
	for (int i = 0; i < count; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	snprintf(text, sizeof(text), "teeming: %d processes: %s", count,
		 error != 0 ? strerrorname_np(error) : "done");
	say(text, NULL, 0);
}

/* The VM runs: a device is asked how it is. */
static void misbehave_when_running(const char *mode)
{
	if (strcmp(mode, "hungry") == 0)
		eat();
	if (strcmp(mode, "teeming") == 0)
		multiply();
	if (strcmp(mode, "twice") == 0)
		control_send_ready(WIRE);
	if (strcmp(mode, "impostor") == 0)
		control_send_guest_event(WIRE, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_POWER_OFF, 0, "");
	if (strcmp(mode, "echo") == 0)
		answer_heartbeat("good", 12345);
	if (strcmp(mode, "gossip") == 0)
		tell_counters(mode, 12345678);
	if (strcmp(mode, "full") == 0)
		tell_full();
	if (strcmp(mode, "latin") == 0) {
		say("caf\xe9", NULL, 0);
		exit(7);
	}
	if (strcmp(mode, "late") == 0) {
		say("these are my late words", NULL, 0);
		exit(7);
	}
}

static int end_guest(const char *mode)
{
	static const struct {
		const char *mode;
		Atoll__Control__GuestEvent__Kind kind;
	} ends[] = {{"panic", ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_PANIC},
		    {"reset", ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET},
		    {"off", ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_POWER_OFF},
		    {"failure", ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_FAILURE},
		    {"unknown", (Atoll__Control__GuestEvent__Kind)99}};
	struct control_message message;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (strcmp(mode, ends[i].mode) != 0)
			continue;
		/* The order to start. */
		if (control_receive_timeout(WIRE, -1, &message) > 0)
			control_message_clear(&message);
		control_send_guest_event(WIRE, ends[i].kind, 0, "the test said so");
		return 1;
	}
	return 0;
}

static void keep_wire(const char *mode, struct control_message *message)
{
	bool babbles = strcmp(mode, "babbler") == 0;

	for (size_t i = 0; i < message->fd_count && (babbles || strcmp(mode, "mute") == 0); i++) {
		/* On a disk's image it is not let. */
		if (babbles)
			send(message->fds[i], "these are bytes that are no message of vhost-user", 49,
			     MSG_NOSIGNAL);
		message->fds[i] = -1;
	}
}

/* What it was given of the host: a disk's image; -1: nothing. */
static int resource_of(const struct control_message *message)
{
	size_t own = 0;

	if (message->envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE)
		own = message->envelope->device_configure->has_state ? 2 : 1;
	return own < message->fd_count ? message->fds[own] : -1;
}

int main(void)
{
	const char *mode = mode_read();
	struct control_message message;
	unsigned devices = 0;
	int resource;
	char where[300] = "where: ?";

	where_am_i(where, sizeof(where));
	check_surroundings();
	fcntl(WIRE, F_SETFL, O_NONBLOCK);
	signal(SIGTERM, SIG_IGN);
	/* The configuration; a core's devices too. */
	do {
		if (control_receive_timeout(WIRE, 10000, &message) <= 0)
			return 1;
		if (message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_CORE_CONFIGURE)
			devices = message.envelope->core_configure->devices + 1;
		resource = resource_of(&message);
		if (strcmp(mode, "greedy") == 0 && resource >= 0)
			take_what_there_is(resource);
		if (resource >= 0)
			hide_image(mode, resource);
		keep_wire(mode, &message);
		control_message_clear(&message);
	} while (devices > 1 && devices-- > 0);
	if (strcmp(mode, "where") == 0)
		say(where, NULL, 0);
	misbehave_before_ready(mode);
	jail_serves();
	control_send_ready(WIRE);
	misbehave_when_ready(mode);
	if (end_guest(mode))
		return 0;
	return serve(mode);
}
