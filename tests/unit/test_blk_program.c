/*
 * atoll-blk as the supervisor starts it: configured over the control wire, serving its one front end,
 * counting, and ending when it is told to or when it is alone. The program is the build tree's; `make check`
 * runs at its top.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/control_wire.h"
#include "common/base/log.h"
#include "common/program/child.h"
#include "common/ring/state_page.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"
#include "dev-blk/virtio_blk_spec.h"

#define TIMEOUT_MS 10000

struct program {
	pid_t pid;
	int control;
	int wire;
	char last_words[LOG_TEXT_MAX];
};

static void program_exec(int control)
{
	char name[] = "atoll-blk: web/root", variable[] = CHILD_CONTROL_FD_ENV "=3";
	char *const argv[] = {name, NULL};
	char *const environment[] = {variable, NULL};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(control, 3) != 3 || fcntl(3, F_SETFD, 0) < 0)
		_exit(126);
	close_range(4, ~0u, 0);
	execve("dev-blk/atoll-blk", argv, environment);
	_exit(127);
}

/* Starts it and sends its configuration with an image of `size` bytes. */
static struct program program_start(off_t size, bool readonly, uint32_t queues)
{
	Atoll__Control__DeviceConfigure configure = ATOLL__CONTROL__DEVICE_CONFIGURE__INIT;
	Atoll__Control__BlkConfigure blk = ATOLL__CONTROL__BLK_CONFIGURE__INIT;
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	struct program program = {0};
	char vm[] = "web", id[] = "root";
	int control[2], wire[2], fds[3];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), 0);
	/* As the supervisor gives it. */
	assert_int_equal(fcntl(wire[1], F_SETFL, O_NONBLOCK), 0);
	program.pid = fork();
	assert_true(program.pid >= 0);
	if (program.pid == 0)
		program_exec(control[1]);
	close(control[1]);
	program.control = control[0];
	program.wire = wire[0];

	fds[0] = wire[1];
	assert_int_equal(state_page_create(&fds[1]), 0);
	fds[2] = memfd_create("image", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fds[2], size), 0);
	configure.vm = vm;
	configure.id = id;
	configure.has_state = true;
	configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_BLK;
	configure.blk = &blk;
	blk.readonly = readonly;
	blk.queues = queues;
	configure.log_level = 3;
	configure.no_sandbox = true; /* a sanitizer could not live in it; and we are no supervisor */
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE;
	envelope.device_configure = &configure;
	assert_int_equal(control_send(program.control, &envelope, fds, 3), 0);
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	return program;
}

/* The next message that is not a log record. False at the program's end. */
static bool program_receive(struct program *program, struct control_message *message)
{
	for (;;) {
		int result = control_receive_timeout(program->control, TIMEOUT_MS, message);

		if (result == 0)
			return false;
		assert_int_equal(result, 1);
		if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD)
			return true;
		snprintf(program->last_words, sizeof(program->last_words), "%s",
			 message->envelope->log_record->text);
		control_message_clear(message);
	}
}

static void program_expect_ready(struct program *program)
{
	struct control_message message;

	assert_true(program_receive(program, &message));
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_READY);
	control_message_clear(&message);
}

/* Waits for its end and returns its exit status. */
static int program_end(struct program *program)
{
	struct control_message message;
	int status;

	while (program_receive(program, &message))
		control_message_clear(&message);
	assert_int_equal(waitpid(program->pid, &status, 0), program->pid);
	assert_true(WIFEXITED(status));
	close(program->control);
	if (program->wire >= 0)
		close(program->wire);
	return WEXITSTATUS(status);
}

static uint64_t wire_get(struct program *program, uint32_t request)
{
	struct vhost_user_receiver receiver;
	uint64_t value;

	vhost_user_receiver_init(&receiver);
	assert_int_equal(
		vhost_user_send(program->wire, request, VHOST_USER_VERSION, NULL, 0, NULL, 0, TIMEOUT_MS), 0);
	assert_int_equal(vhost_user_receive_timeout(program->wire, &receiver, TIMEOUT_MS), 1);
	assert_int_equal(receiver.message.header.request, request);
	assert_int_equal(receiver.message.header.size, sizeof(value));
	value = receiver.message.payload.u64;
	vhost_user_receiver_clear(&receiver);
	return value;
}

static void serves_and_ends_by_order(void **state)
{
	struct program program = program_start(1 << 20, true, 3);
	uint64_t features;

	(void)state;
	program_expect_ready(&program);
	features = wire_get(&program, VHOST_USER_GET_FEATURES);
	assert_true(features & VIRTIO_BIT(VIRTIO_BLK_F_RO));
	assert_true(features & VIRTIO_BIT(VIRTIO_BLK_F_MQ));
	assert_true(features & VIRTIO_BIT(VIRTIO_F_VERSION_1));
	assert_int_equal(wire_get(&program, VHOST_USER_GET_QUEUE_NUM), 3);
	assert_int_equal(control_send_order(program.control, ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN), 0);
	assert_int_equal(program_end(&program), 0);
}

static void counts(void **state)
{
	static const char *const names[] = {"reads",	     "writes", "flushes", "discards",	"read-bytes",
					    "written-bytes", "errors", "kicks",	  "interrupts", "batches"};
	Atoll__Control__StatisticsRequest request = ATOLL__CONTROL__STATISTICS_REQUEST__INIT;
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	struct program program = program_start(1 << 20, false, 1);
	struct control_message message;

	(void)state;
	program_expect_ready(&program);
	envelope.serial = 42;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS_REQUEST;
	envelope.statistics_request = &request;
	assert_int_equal(control_send(program.control, &envelope, NULL, 0), 0);
	assert_true(program_receive(&program, &message));
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS);
	assert_int_equal(message.envelope->serial, 42);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const Atoll__Control__Statistics *statistics = message.envelope->statistics;
		bool found = false;

		for (size_t j = 0; j < statistics->n_counters; j++)
			found |= strcmp(statistics->counters[j]->name, names[i]) == 0;
		if (!found)
			fail_msg("no counter %s", names[i]);
	}
	control_message_clear(&message);
	assert_int_equal(control_send_order(program.control, ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN), 0);
	assert_int_equal(program_end(&program), 0);
}

static void ends_when_the_supervisor_is_gone(void **state)
{
	struct program program = program_start(1 << 20, false, 1);
	int status;

	(void)state;
	program_expect_ready(&program);
	close(program.control);
	assert_int_equal(waitpid(program.pid, &status, 0), program.pid);
	assert_true(WIFEXITED(status));
	close(program.wire);
}

static void a_bad_configuration_ends_it_with_a_reason(void **state)
{
	static const struct {
		off_t size;
		uint32_t queues;
		const char *reason;
	} cases[] = {
		{0, 1, "empty"},
		{1000, 1, "not a multiple of 512"},
		{1 << 20, 0, "number of queues"},
		{1 << 20, 33, "number of queues"},
		{1 << 20, UINT32_MAX, "number of queues"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct program program = program_start(cases[i].size, false, cases[i].queues);
		struct control_message message;
		bool said = false;
		int status, result;

		while ((result = control_receive_timeout(program.control, TIMEOUT_MS, &message)) == 1) {
			assert_int_equal(message.envelope->body_case,
					 ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD);
			said |= strstr(message.envelope->log_record->text, cases[i].reason) != NULL;
			control_message_clear(&message);
		}
		assert_int_equal(result, 0);
		assert_true(said);
		assert_int_equal(waitpid(program.pid, &status, 0), program.pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		close(program.control);
		close(program.wire);
	}
}

/* A front end that breaks the protocol ends the one session, and with it the program: an end told, not a
 * crash. */
static void garbage_on_the_wire_is_an_orderly_end(void **state)
{
	struct program program = program_start(1 << 20, false, 1);
	uint8_t garbage[64];

	(void)state;
	program_expect_ready(&program);
	memset(garbage, 0xff, sizeof(garbage));
	assert_int_equal(send(program.wire, garbage, sizeof(garbage), MSG_NOSIGNAL), sizeof(garbage));
	/* It closes the wire... */
	while (recv(program.wire, garbage, sizeof(garbage), 0) > 0)
		;
	/* ...and ends with a status that tells of it, without being told to. */
	assert_int_equal(program_end(&program), 1);
	assert_true(program.last_words[0] != '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_and_ends_by_order),
		cmocka_unit_test(counts),
		cmocka_unit_test(ends_when_the_supervisor_is_gone),
		cmocka_unit_test(a_bad_configuration_ends_it_with_a_reason),
		cmocka_unit_test(garbage_on_the_wire_is_an_orderly_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
