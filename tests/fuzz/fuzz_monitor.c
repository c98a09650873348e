/*
 * The supervisor between hostile children and hostile commands: what its processes send, when they die, what
 * comes on the control socket, in any order and with time passing in between. Held to it: the run ends at
 * most once and with a status that there is; a command gets no more replies than it made requests; what is kept of a
 * process is bounded; when all is gone nothing stays open.
 *
 * No process is started and no clock is waited for: starter_start(), pidfds and their signals, timers and the
 * control socket's place in the file system are ours (see supervisor.mk for what is wrapped). A pidfd is an
 * eventfd here; the control socket has an abstract address.
 *
 * Input: a byte with what a reset and a panic do, then what happens, in order: see happen().
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/control_wire.h"
#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/base/report.h"
#include "supervisor/monitor/monitor.h"
#include "supervisor/vm/spawn.h"
#include "supervisor/vm/starter.h"
#include "supervisor/vm/vm.h"
#include "tests/fuzz/fuzz_support.h"

#define EVENTS_MAX    160
#define PROCESSES_MAX 40
#define CLIENTS_MAX   36
#define FDS_MAX	      1024

static const char config_text[] =
	"name: fuzz\n"
	"boot: {kernel: k}\n"
	"disks: [{id: disk, path: d}]\n"
	"networks: [{id: net, tap: t}]\n"
	"consoles: [{id: serial, output: 'null'}, {id: v, type: virtio, output: 'null'}]\n";

/* What starter_start() made. */
static struct process {
	int pidfd;
	int control_fd; /* its own end; -1: closed */
	bool dead;
	int code, status;
} processes[PROCESSES_MAX];
static unsigned process_count;

static struct client {
	int fd; /* -1: none */
	unsigned requests, replies;
} clients[CLIENTS_MAX];

static bool timer_armed[FDS_MAX];

static struct bench {
	struct loop *loop;
	struct config_file file;
	struct resources resources;
	struct vm vm;
	struct monitor *monitor;
	struct sockaddr_un address;
	socklen_t address_size;
	int null_fd;
	bool spawn_fails;
	bool ended;
} bench;

/* --- The host --- */

/* Typed after what they stand in for, so that a change of that is seen here. */
__typeof__(starter_start) __wrap_starter_start;
__typeof__(starter_pid) __wrap_starter_pid;
__typeof__(starter_process_is_stopped) __wrap_starter_process_is_stopped;
__typeof__(pidfd_send_signal) __wrap_pidfd_send_signal;
__typeof__(waitid) __wrap_waitid;
__typeof__(runtime_dir_listen) __wrap_runtime_dir_listen;
__typeof__(timerfd_create) __real_timerfd_create, __wrap_timerfd_create;
__typeof__(timerfd_settime) __real_timerfd_settime, __wrap_timerfd_settime;
__typeof__(log_write_line) __real_log_write_line, __wrap_log_write_line;
void __wrap_report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

pid_t __wrap_starter_pid(const struct starter *starter)
{
	fuzz_require(starter == NULL);
	return 1;
}

bool __wrap_starter_process_is_stopped(struct starter *starter, pid_t pid)
{
	fuzz_require(starter == NULL && pid > 0);
	return false;
}

int __wrap_starter_start(struct starter *starter, enum child_role role, const char *id,
			 const struct spawn_limits *limits, int control_fd, int output_fd, pid_t *pid,
			 int *pidfd, struct spawn_problem *problem)
{
	struct process *process = &processes[process_count];

	fuzz_require(starter == NULL && limits->memory < UINT64_MAX && limits->cgroup_fd < 0);
	fuzz_require(output_fd > STDERR_FILENO && (id[0] == '\0') == (role == CHILD_ROLE_CORE));
	*problem = (struct spawn_problem){"step", "remedy"};
	if (bench.spawn_fails || process_count == PROCESSES_MAX)
		return -EAGAIN;
	*process = (struct process){.pidfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
				    .control_fd = fcntl(control_fd, F_DUPFD_CLOEXEC, 0)};
	fuzz_require(process->pidfd >= 0 && process->control_fd >= 0);
	/* The number is another's now. */
	for (unsigned i = 0; i < process_count; i++)
		if (processes[i].pidfd == process->pidfd)
			processes[i].pidfd = -1;
	process_count++;
	*pid = (pid_t)process_count;
	*pidfd = process->pidfd;
	return 0;
}

static struct process *process_of(int pidfd)
{
	for (unsigned i = 0; i < process_count; i++)
		if (processes[i].pidfd == pidfd)
			return &processes[i];
	abort();
}

static void process_close_wire(struct process *process)
{
	if (process->control_fd >= 0)
		close(process->control_fd);
	process->control_fd = -1;
}

static void process_die(struct process *process, int code, int status)
{
	if (process->dead)
		return;
	process->dead = true;
	process->code = code;
	process->status = status;
	process_close_wire(process);
	eventfd_write(process->pidfd, 1);
}

int __wrap_pidfd_send_signal(int pidfd, int signal_number, siginfo_t *info, unsigned flags)
{
	fuzz_require(signal_number == SIGKILL && info == NULL && flags == 0);
	process_die(process_of(pidfd), CLD_KILLED, SIGKILL);
	return 0;
}

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	const struct process *process = process_of((int)id);

	fuzz_require(type == P_PIDFD && (options & WEXITED) != 0);
	/* Who waits has killed it. */
	fuzz_require(process->dead || (options & WNOHANG) != 0);
	if (info == NULL || !process->dead)
		return 0;
	info->si_pid = 1;
	info->si_code = process->code;
	info->si_status = process->status;
	return 0;
}

int __wrap_runtime_dir_listen(const struct runtime_dir *dir, const char *entry, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)dir;
	(void)entry;
	bench.address_size = sizeof(bench.address);
	/* No name: the kernel gives an abstract one. */
	fuzz_require(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address.sun_family)) == 0 &&
		     listen(fd, 16) == 0 &&
		     getsockname(fd, (struct sockaddr *)&bench.address, &bench.address_size) == 0);
	return fd;
}

int __wrap_timerfd_create(int clock, int flags)
{
	int fd = __real_timerfd_create(clock, flags);

	fuzz_require(fd >= 0 && fd < FDS_MAX);
	timer_armed[fd] = false;
	return fd;
}

/* Those that are armed for now fire by themselves, the others when the input says so. */
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
	static const struct itimerspec never;
	bool now = value->it_value.tv_sec == 0 && value->it_value.tv_nsec <= 1;

	timer_armed[fd] = !now;
	return __real_timerfd_settime(fd, flags, now ? value : &never, old);
}

static void time_passes(uint8_t which)
{
	const struct itimerspec soon = {.it_value.tv_nsec = 1};

	for (int fd = 0; fd < FDS_MAX; fd++) {
		if (!timer_armed[fd] || which-- > 0)
			continue;
		timer_armed[fd] = false;
		/* Its timer may be gone, and the number another's. */
		__real_timerfd_settime(fd, 0, &soon, NULL);
		return;
	}
}

void __wrap_log_write_line(int fd, const struct log_record *record)
{
	(void)fd;
	fuzz_require(strlen(record->text) < LOG_TEXT_MAX);
	__real_log_write_line(bench.null_fd, record);
}

void __wrap_report_error(const char *format, ...)
{
	char text[4096];
	va_list arguments;

	va_start(arguments, format);
	fuzz_require(vsnprintf(text, sizeof(text), format, arguments) > 0);
	va_end(arguments);
}

/* --- What run does around it --- */

static void vm_is_running(void *owner)
{
	fuzz_require(owner == &bench && !bench.ended);
}

static void vm_ended(void *owner, int exit_status)
{
	fuzz_require(owner == &bench && !bench.ended);
	fuzz_require(exit_status >= 0 && exit_status <= 255);
	bench.ended = true;
}

static void vm_statistics(void *owner, uint64_t serial)
{
	fuzz_require(owner == &bench);
	monitor_statistics(bench.monitor, serial);
}

static void vm_answered(void *owner, uint64_t ticket, const char *error)
{
	(void)owner;
	monitor_answered(bench.monitor, ticket, error);
}

static const struct vm_ops vm_ops = {vm_is_running, vm_ended, vm_statistics, vm_answered};

/* --- What the processes send --- */

static void send_envelope(int fd, Atoll__Control__Envelope *envelope)
{
	if (fd >= 0)
		control_send(fd, envelope, NULL, 0);
}

static void send_packet(int fd, struct fuzz_input *input)
{
	int fds[] = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
	uint16_t head = fuzz_take_u16(input);
	struct iovec iov;

	iov.iov_base = (void *)fuzz_take(input, head & 0x3fff, &iov.iov_len);
	if (fd >= 0)
		fd_send(fd, &iov, 1, fds, head >> 14, MSG_DONTWAIT);
}

static void send_ready(int fd)
{
	if (fd >= 0)
		control_send_ready(fd);
}

static void send_guest_event(int fd, struct fuzz_input *input)
{
	char detail[32] = "";
	uint8_t kind = fuzz_take_u8(input), status = fuzz_take_u8(input);

	memset(detail, kind, status & 31);
	if (fd >= 0)
		control_send_guest_event(fd, (Atoll__Control__GuestEvent__Kind)(kind % 8), status, detail);
}

static void send_records(int fd, struct fuzz_input *input)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__LogRecord record = ATOLL__CONTROL__LOG_RECORD__INIT;
	char text[1500];
	uint8_t count = fuzz_take_u8(input);

	memset(text, count, sizeof(text));
	text[fuzz_take_u16(input) % sizeof(text)] = '\0';
	record.level = fuzz_take_u8(input);
	record.time_us = fuzz_take_u64(input);
	record.text = text;
	text[sizeof(text) - 1] = '\0';
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD;
	envelope.log_record = &record;
	/* A flood takes its time: rarely. */
	for (unsigned i = 0; i < (count < 0xf0 ? count & 7u : count); i++)
		send_envelope(fd, &envelope);
}

static void send_statistics(int fd, struct fuzz_input *input)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Statistics statistics = ATOLL__CONTROL__STATISTICS__INIT;
	Atoll__Control__Counter counter = ATOLL__CONTROL__COUNTER__INIT;
	Atoll__Control__Counter *counters[512];
	char name[128] = "";

	memset(name, 'n', fuzz_take_u8(input) % sizeof(name));
	name[sizeof(name) - 1] = '\0';
	counter.name = name;
	counter.value = fuzz_take_u8(input);
	for (unsigned i = 0; i < 512; i++)
		counters[i] = &counter;
	statistics.n_counters = fuzz_take_u16(input);
	statistics.n_counters =
		statistics.n_counters < 0xf000 ? statistics.n_counters % 8 : statistics.n_counters % 513;
	statistics.counters = counters;
	envelope.serial = fuzz_take_u8(input);
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS;
	envelope.statistics = &statistics;
	send_envelope(fd, &envelope);
}

static void send_violation(int fd, struct fuzz_input *input)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Violation violation = ATOLL__CONTROL__VIOLATION__INIT;
	uint64_t arguments[8] = {0, 1, UINT64_MAX};
	char thread[48] = "", filter[48] = "";
	size_t size;
	const uint8_t *bytes = fuzz_take(input, fuzz_take_u8(input) % sizeof(thread), &size);

	if (size > 0)
		memcpy(thread, bytes, size);
	bytes = fuzz_take(input, fuzz_take_u8(input) % sizeof(filter), &size);
	if (size > 0)
		memcpy(filter, bytes, size);
	thread[sizeof(thread) - 1] = filter[sizeof(filter) - 1] = '\0';
	violation.thread = thread;
	violation.filter = filter;
	violation.arch = fuzz_take_u32(input);
	violation.call = fuzz_take_u16(input);
	violation.n_arguments = 6 - fuzz_take_u8(input) % 3u;
	violation.arguments = arguments;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_VIOLATION;
	envelope.violation = &violation;
	send_envelope(fd, &envelope);
}

/* --- Commands --- */

static void client_connect(struct client *client)
{
	if (client->fd >= 0)
		return;
	*client = (struct client){.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
	fuzz_require(client->fd >= 0);
	/* Not when too many wait. */
	if (connect(client->fd, (struct sockaddr *)&bench.address, bench.address_size) == 0)
		return;
	close(client->fd);
	client->fd = -1;
}

static void client_request(struct client *client, struct fuzz_input *input)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__MonitorRequest request = ATOLL__CONTROL__MONITOR_REQUEST__INIT;

	request.command = (Atoll__Control__MonitorRequest__Command)(fuzz_take_u8(input) % 6);
	envelope.serial = fuzz_take_u8(input);
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_MONITOR_REQUEST;
	envelope.monitor_request = &request;
	client->requests++;
	send_envelope(client->fd, &envelope);
}

static void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static void client_read(struct client *client)
{
	struct control_message message;

	while (client->fd >= 0 && control_receive(client->fd, &message) == 1) {
		fuzz_require(message.fd_count == 0 &&
			     message.envelope->body_case == ATOLL__CONTROL__ENVELOPE__BODY_MONITOR_REPLY);
		fuzz_require(++client->replies <= client->requests);
		control_message_clear(&message);
	}
}

/* --- What happens --- */

static void check_vm(void)
{
	const struct child_process *child;

	fuzz_require(bench.vm.state <= VM_STOPPING && vm_state_name(&bench.vm) != NULL);
	TAILQ_FOREACH (child, &bench.vm.children, link) {
		fuzz_require(child->counter_count <= 256);
		fuzz_require(memchr(child->last_text, '\0', sizeof(child->last_text)) != NULL);
		fuzz_require(memchr(child->violation, '\0', sizeof(child->violation)) != NULL);
		fuzz_require((child->state == CHILD_DEAD) == (child->control_fd < 0));
	}
}

static void happen(struct fuzz_input *input)
{
	static struct process nobody = {.control_fd = -1, .dead = true};
	uint8_t what = fuzz_take_u8(input), who = fuzz_take_u8(input);
	struct process *process = process_count > 0 ? &processes[who % process_count] : &nobody;
	struct client *client = &clients[who % CLIENTS_MAX];

	switch (what & 0xf) {
	case 0:
		send_packet(process->control_fd, input);
		break;
	case 1:
		send_ready(process->control_fd);
		break;
	case 2:
		send_guest_event(process->control_fd, input);
		break;
	case 3:
		send_records(process->control_fd, input);
		break;
	case 4:
		send_statistics(process->control_fd, input);
		break;
	case 5:
		if (what & 0x40)
			process_die(process, CLD_KILLED, 1 + (what >> 4 & 3));
		else
			process_die(process, CLD_EXITED, what >> 4 & 3);
		break;
	case 6:
		if (what & 0x40)
			send_violation(process->control_fd, input);
		else
			process_close_wire(process);
		break;
	case 7:
		client_connect(client);
		break;
	case 8:
		/* It may be a request, or several in one. */
		client->requests++;
		send_packet(client->fd, input);
		break;
	case 9:
		client_request(client, input);
		break;
	case 10:
		client_close(client);
		break;
	case 11:
		client_read(client);
		break;
	case 12:
		time_passes(who);
		break;
	case 13:
		vm_power_button(&bench.vm, what & 0x40 ? 1000000 : 0);
		break;
	case 14:
		vm_link_changed(&bench.vm, 7, who & 1);
		vm_console_resize(&bench.vm, who, 25);
		break;
	default:
		bench.spawn_fails = who & 1;
		break;
	}
	/* Or more happens before the supervisor looks. */
	if ((what & 0x80) == 0)
		loop_run_once(bench.loop, 0);
	check_vm();
}

/* --- One run --- */

static void prepare(void)
{
	struct resources *resources = &bench.resources;
	struct problems problems = {0};
	struct resource *resource;

	fuzz_quiet_log();
	log_set_level(LOG_LEVEL_DEBUG);
	bench.loop = loop_new();
	bench.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	fuzz_require(bench.loop != NULL && bench.null_fd >= 0);
	config_file_parse((const uint8_t *)config_text, strlen(config_text), true, &bench.file, &problems);
	fuzz_require(problems.count == 0);
	config_file_forget_lines(&bench.file);
	fuzz_require(resources_allocate(resources, bench.file.config));
	resources->kvm_fd = resources->kernel_fd = bench.null_fd;
	TAILQ_FOREACH (resource, &resources->devices, link) {
		resource->state_fd = bench.null_fd;
		if (resource->of.role != CHILD_ROLE_CONSOLE)
			resource->fd = bench.null_fd;
		if (resource->of.role == CHILD_ROLE_NET) {
			resource->tap.interface_index = 7;
			resource->tap.mtu = 1500;
		}
		for (unsigned i = 0; i < DISK_WITNESSES && resource->of.role == CHILD_ROLE_BLK; i++)
			resource->disk.witnesses[i] = bench.null_fd;
	}
}

static void tear_down(void)
{
	monitor_free(bench.monitor);
	vm_release(&bench.vm);
	for (unsigned i = 0; i < process_count; i++)
		process_close_wire(&processes[i]);
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		client_read(&clients[i]);
		client_close(&clients[i]);
	}
	process_count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct runtime_dir dir = {.fd = -1};
	uint8_t ways;
	int first_fd;

	if (bench.loop == NULL)
		prepare();
	first_fd = fuzz_next_fd();
	bench.ended = bench.spawn_fails = false;
	memset(timer_armed, 0, sizeof(timer_armed));
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		clients[i] = (struct client){.fd = -1};
	ways = fuzz_take_u8(&input);
	bench.file.config->on_reset = (enum config_on_reset)(ways & 1);
	bench.file.config->on_panic = (enum config_on_panic)((ways >> 1) % 3);
	bench.file.config->debug_exit = ways >> 7;
	fuzz_require(vm_init(&bench.vm, bench.loop, bench.file.config, &bench.resources, &vm_ops, &bench) ==
		     0);
	fuzz_require(monitor_new(bench.loop, &dir, &bench.vm, &bench.monitor) == 0);
	vm_launch(&bench.vm);
	for (unsigned i = 0; i < EVENTS_MAX && input.size > 0 && !bench.ended; i++)
		happen(&input);
	tear_down();
	fuzz_require(fuzz_next_fd() == first_fd);
	return 0;
}
