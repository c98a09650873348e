/*
 * The vhost-user front end against a back end that keeps the protocol, and against one that breaks it at each
 * reply in each way. Linked with --wrap=vhost_user_receive_timeout, so that silence is told sooner.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/spec/virtio_spec.h"
#include "tests/unit/fake_backend.h"
#include "tests/unit/test_fds.h"
#include "tests/unit/test_ram.h"
#include "vmm-core/wire/vhost_user_frontend.h"

int __real_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);
int __wrap_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);

static bool impatient; /* wait less long than the front end says */

int __wrap_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms)
{
	return __real_vhost_user_receive_timeout(socket_fd, receiver, impatient ? 1 : timeout_ms);
}

struct owner {
	unsigned changes;
	unsigned ends;
	int error;
};

static void owner_config_changed(void *argument)
{
	((struct owner *)argument)->changes++;
}

static void owner_gone(void *argument, int error)
{
	struct owner *owner = argument;

	owner->ends++;
	owner->error = error;
}

static const struct vhost_user_frontend_ops owner_ops = {
	.config_changed = owner_config_changed,
	.gone = owner_gone,
};

struct session {
	struct loop *loop;
	struct owner owner;
	struct fake_backend backend;
	struct vhost_user_frontend *frontend;
	_Atomic bool cancelled;
	struct guest_ram ram;
	int eventfd;
};

/* Connects; 0 or what the front end says. */
static int session_open(struct session *session)
{
	int socket_fd = fake_backend_start(&session->backend);
	int result;

	memset(&session->owner, 0, sizeof(session->owner));
	session->loop = loop_new();
	session->frontend = NULL;
	session->eventfd = eventfd(0, EFD_CLOEXEC);
	result = test_ram_create(1 << 20, &session->ram);
	assert_int_equal(result, 0);
	session->cancelled = false;
	result = vhost_user_frontend_new(socket_fd, &session->cancelled, &owner_ops, &session->owner,
					 &session->frontend);
	if (result < 0)
		close(socket_fd);
	return result < 0 ? result : vhost_user_frontend_watch(session->frontend, session->loop);
}

static void session_close(struct session *session)
{
	vhost_user_frontend_free(session->frontend);
	fake_backend_join(&session->backend);
	loop_free(session->loop);
	guest_ram_destroy(&session->ram);
	close(session->eventfd);
}

static bool same_file(int a, int b)
{
	struct stat of_a, of_b;

	return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino &&
	       of_a.st_dev == of_b.st_dev;
}

/* Whether a count written to one eventfd is read from the other. */
static bool same_eventfd(int a, int b)
{
	eventfd_t count = 0;

	return eventfd_write(a, 3) == 0 && eventfd_read(b, &count) == 0 && count == 3;
}

static struct vhost_user_ring ring_of(const struct session *session)
{
	return (struct vhost_user_ring){
		.size = 64,
		.base = 7,
		.descriptors = 0x1000,
		.available = 0x2000,
		.used = 0x3000,
		.kick_fd = session->eventfd,
		.call_fd = session->eventfd,
	};
}

static void a_session(void **state)
{
	static struct session session;
	struct fake_backend *backend = &session.backend;
	struct vhost_user_ring ring;
	uint8_t config[60];
	uint16_t base = 0;
	unsigned fds = count_open_fds();

	(void)state;
	fake_backend_init(backend);
	assert_int_equal(session_open(&session), 0);
	assert_true(vhost_user_frontend_features(session.frontend) ==
		    (backend->features & ~VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
	assert_int_equal(vhost_user_frontend_queues(session.frontend), FAKE_BACKEND_QUEUES);
	assert_true(vhost_user_frontend_has_config(session.frontend));
	/* What we cannot drive is not acknowledged. */
	assert_int_equal(backend->acked_protocol_features & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS), 0);
	assert_true(backend->channel_fd >= 0);

	assert_int_equal(vhost_user_frontend_get_config(session.frontend, 0, config, 60), 0);
	assert_memory_equal(config, backend->config, 60);
	memset(config, 0x77, 4);
	assert_int_equal(vhost_user_frontend_set_config(session.frontend, 32, config, 4), 0);
	assert_memory_equal(backend->config + 32, config, 4);
	assert_int_equal(vhost_user_frontend_get_config(session.frontend, 0, config, 257), -EINVAL);

	assert_int_equal(vhost_user_frontend_set_features(session.frontend, VIRTIO_BIT(VIRTIO_F_VERSION_1)),
			 0);
	assert_true(backend->acked_features ==
		    (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
	assert_int_equal(vhost_user_frontend_set_memory(session.frontend, &session.ram), 0);
	assert_int_equal(backend->memory.region_count, 1);
	assert_int_equal(backend->memory.regions[0].size, 1 << 20);
	assert_true(same_file(backend->memory_fds[0], session.ram.memfd));

	ring = ring_of(&session);
	assert_int_equal(vhost_user_frontend_start_ring(session.frontend, 2, &ring), 0);
	assert_true(backend->rings[2].enabled);
	assert_int_equal(backend->rings[2].size, 64);
	assert_int_equal(backend->rings[2].base, 7);
	assert_true(backend->rings[2].addresses.available == 0x2000);
	assert_true(same_eventfd(session.eventfd, backend->rings[2].kick_fd));
	assert_true(same_eventfd(backend->rings[2].call_fd, session.eventfd));
	assert_int_equal(vhost_user_frontend_set_call(session.frontend, 2, -1), 0);
	assert_int_equal(backend->rings[2].call_fd, -1);
	assert_int_equal(vhost_user_frontend_stop_ring(session.frontend, 2, &base), 0);
	assert_int_equal(base, 12);
	session_close(&session);
	assert_int_equal(count_open_fds(), fds);
}

static void a_back_end_of_few_features(void **state)
{
	static struct session session;
	struct vhost_user_ring ring;

	(void)state;
	/* Neither replies nor config nor a channel nor queues: as old as the specification. */
	fake_backend_init(&session.backend);
	session.backend.features = VIRTIO_BIT(VIRTIO_F_VERSION_1);
	assert_int_equal(session_open(&session), 0);
	assert_int_equal(vhost_user_frontend_queues(session.frontend), 0);
	assert_false(vhost_user_frontend_has_config(session.frontend));
	assert_int_equal(vhost_user_frontend_set_features(session.frontend, VIRTIO_BIT(VIRTIO_F_VERSION_1)),
			 0);
	ring = ring_of(&session);
	assert_int_equal(vhost_user_frontend_start_ring(session.frontend, 0, &ring), 0);
	assert_int_equal(vhost_user_frontend_stop_ring(session.frontend, 0, &ring.base), 0);
	/* Bit 30 was not offered: neither acknowledged, nor rings enabled. */
	assert_true(session.backend.acked_features == VIRTIO_BIT(VIRTIO_F_VERSION_1));
	assert_false(session.backend.rings[0].enabled);
	session_close(&session);
}

static void refusals_are_told_and_survived(void **state)
{
	static struct session session;
	uint32_t value = 1;

	(void)state;
	fake_backend_init(&session.backend);
	session.backend.refuse_config = true;
	assert_int_equal(session_open(&session), 0);
	assert_int_equal(vhost_user_frontend_set_config(session.frontend, 0, &value, 4), -EREMOTEIO);
	assert_int_equal(vhost_user_frontend_get_config(session.frontend, 0, &value, 4), 0);
	session_close(&session);
}

/* All that a device does in its life. 0 or the first failure. */
static int whole_life(struct session *session)
{
	struct vhost_user_ring ring;
	uint8_t config[60];
	int result = session_open(session);

	ring = ring_of(session);
	if (result < 0 ||
	    (result = vhost_user_frontend_get_config(session->frontend, 0, config, sizeof(config))) < 0 ||
	    (result = vhost_user_frontend_set_features(session->frontend, 0)) < 0 ||
	    (result = vhost_user_frontend_set_memory(session->frontend, &session->ram)) < 0 ||
	    (result = vhost_user_frontend_start_ring(session->frontend, 1, &ring)) < 0)
		return result;
	return vhost_user_frontend_stop_ring(session->frontend, 1, &ring.base);
}

static const uint32_t replies[] = {
	VHOST_USER_GET_FEATURES,   VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_USER_GET_QUEUE_NUM,
	VHOST_USER_GET_CONFIG,	   VHOST_USER_SET_BACKEND_REQ_FD,    VHOST_USER_SET_FEATURES,
	VHOST_USER_SET_MEM_TABLE,  VHOST_USER_SET_VRING_NUM,	     VHOST_USER_SET_VRING_BASE,
	VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_CALL,	     VHOST_USER_SET_VRING_KICK,
	VHOST_USER_GET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE,
};

static int expected(enum fake_lie lie)
{
	switch (lie) {
	case LIE_SILENCE:
	case LIE_HALF:
		return -ETIMEDOUT;
	case LIE_HANG_UP:
		return -EPIPE;
	default:
		return -EPROTO;
	}
}

static void every_lie_at_every_reply(void **state)
{
	static struct session session;

	(void)state;
	for (unsigned i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		for (enum fake_lie lie = LIE_SILENCE; lie < LIE_VALUE; lie++) {
			unsigned fds = count_open_fds();
			unsigned asked;
			uint8_t byte;
			int result;

			fake_backend_init(&session.backend);
			session.backend.lie = lie;
			session.backend.lie_at = replies[i];
			impatient = expected(lie) == -ETIMEDOUT;
			result = whole_life(&session);
			impatient = false;
			if (result != expected(lie))
				fail_msg("lie %d at request %u: %d", lie, replies[i], result);
			/* The wire is not used again. */
			asked = session.backend.request_count;
			if (session.frontend != NULL) {
				assert_int_equal(
					vhost_user_frontend_get_config(session.frontend, 0, &byte, 1),
					result);
				assert_int_equal(session.backend.request_count, asked);
			}
			session_close(&session);
			assert_int_equal(count_open_fds(), fds);
		}
	}
}

static void values_that_cannot_be(void **state)
{
	static struct session session;
	static const struct {
		uint32_t request;
		int result;
	} cases[] = {
		{VHOST_USER_GET_CONFIG, -EPROTO},     /* offset and size of another question */
		{VHOST_USER_GET_VRING_BASE, -EPROTO}, /* another ring, and no index */
		{VHOST_USER_SET_MEM_TABLE, -EREMOTEIO},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_backend_init(&session.backend);
		session.backend.lie = LIE_VALUE;
		session.backend.lie_at = cases[i].request;
		assert_int_equal(whole_life(&session), cases[i].result);
		session_close(&session);
	}
	fake_backend_init(&session.backend);
	session.backend.queue_num = UINT64_MAX;
	assert_int_equal(session_open(&session), 0);
	assert_int_equal(vhost_user_frontend_queues(session.frontend), UINT16_MAX);
	session_close(&session);
}

static void cancelling_shortens_the_wait(void **state)
{
	static struct session session;
	uint8_t byte;

	(void)state;
	fake_backend_init(&session.backend);
	session.backend.lie = LIE_SILENCE;
	session.backend.lie_at = VHOST_USER_GET_CONFIG;
	assert_int_equal(session_open(&session), 0);
	session.cancelled = true;
	/* FRONTEND_TIMEOUT_MS would be more than the test may take. */
	assert_int_equal(vhost_user_frontend_get_config(session.frontend, 0, &byte, 1), -ETIMEDOUT);
	session_close(&session);
}

/* --- The back end's own channel --- */

static void notice(struct session *session, uint32_t request, uint32_t flags, uint32_t size)
{
	uint8_t payload[16] = {0};

	assert_int_equal(
		vhost_user_send(session->backend.channel_fd, request, flags, payload, size, NULL, 0, 1000),
		0);
	assert_int_equal(loop_run_once(session->loop, 1000), 0);
}

static uint64_t notice_answer(struct session *session)
{
	struct vhost_user_receiver receiver;
	uint64_t answer;

	vhost_user_receiver_init(&receiver);
	assert_int_equal(__real_vhost_user_receive_timeout(session->backend.channel_fd, &receiver, 1000), 1);
	assert_int_equal(receiver.message.header.size, 8);
	answer = receiver.message.payload.u64;
	vhost_user_receiver_clear(&receiver);
	return answer;
}

static void notices(void **state)
{
	static struct session session;

	(void)state;
	fake_backend_init(&session.backend);
	assert_int_equal(session_open(&session), 0);
	notice(&session, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, 0);
	assert_int_equal(session.owner.changes, 1);
	notice(&session, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_NEED_REPLY_FLAG, 0);
	assert_int_equal(session.owner.changes, 2);
	assert_int_equal(notice_answer(&session), 0);
	/* One that we did not ask for is refused, and no reason to part. */
	notice(&session, VHOST_USER_BACKEND_VRING_CALL, VHOST_USER_NEED_REPLY_FLAG, 8);
	assert_int_not_equal(notice_answer(&session), 0);
	assert_int_equal(session.owner.ends, 0);
	/* A change that says too much is. */
	notice(&session, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, 8);
	assert_int_equal(session.owner.changes, 2);
	assert_int_equal(session.owner.ends, 1);
	assert_int_equal(session.owner.error, -EPROTO);
	session_close(&session);
}

static void the_end_of_the_channel(void **state)
{
	static struct session session;

	(void)state;
	fake_backend_init(&session.backend);
	assert_int_equal(session_open(&session), 0);
	shutdown(session.backend.channel_fd, SHUT_RDWR);
	assert_int_equal(loop_run_once(session.loop, 1000), 0);
	assert_int_equal(session.owner.ends, 1);
	assert_int_equal(session.owner.error, 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session),
		cmocka_unit_test(a_back_end_of_few_features),
		cmocka_unit_test(refusals_are_told_and_survived),
		cmocka_unit_test(every_lie_at_every_reply),
		cmocka_unit_test(values_that_cannot_be),
		cmocka_unit_test(cancelling_shortens_the_wait),
		cmocka_unit_test(notices),
		cmocka_unit_test(the_end_of_the_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
