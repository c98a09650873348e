/*
 * The back-end half of vhost-user against front ends of all kinds: proper ones, hasty ones, and ones that
 * send what no front end may. After each test no descriptor is open that was not before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/peers.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_backend.h"
#include "common/vhost-user/vhost_user_message.h"
#include "tests/unit/test_fds.h"

#define QUEUES	       3
#define CONFIG_SIZE    8
#define DEVICE_FEATURE VIRTIO_BIT(5)
#define RING_SIZE      8u

/* Guest memory: two regions of one memfd, as QEMU has them around the hole below 1 MiB. */
#define LOW_SIZE   0xa0000u
#define HIGH_GUEST 0xc0000u
#define HIGH_SIZE  0x3b10u
#define USER	   UINT64_C(0x7fab00000000)
#define FILE_SIZE  (HIGH_GUEST + 0x10000u)

/* Where ring `index` lies in the first region. */
#define RING_DESCRIPTORS(index) (0x1000u + 0x4000u * (index))
#define RING_AVAILABLE(index)	(RING_DESCRIPTORS(index) + 0x1000u)
#define RING_USED(index)	(RING_DESCRIPTORS(index) + 0x2000u)

struct fixture {
	unsigned fds_before;
	struct loop *loop;
	struct vhost_user_backend *backend;
	int socket_fd; /* the front end's */
	int memory_fd;
	uint8_t *memory;
	struct vhost_user_device_ops ops;
	/* What the device saw. */
	uint64_t features;
	unsigned features_calls, resets, starts[QUEUES], stops[QUEUES];
	struct virtqueue *queues[QUEUES];
	uint8_t config[CONFIG_SIZE];
	int start_result;
	uint16_t mtu;
	bool working; /* the host does something for it */
	unsigned quiesced[QUEUES];
	bool ended;
	int error;
	bool ours; /* the wire as the supervisor makes it */
};

/* --- The device --- */

static int device_set_features(void *device, uint64_t features)
{
	struct fixture *fixture = device;

	fixture->features = features;
	fixture->features_calls++;
	return 0;
}

static void device_get_config(void *device, uint8_t *config)
{
	memcpy(config, ((struct fixture *)device)->config, CONFIG_SIZE);
}

/* The first byte is writable. */
static int device_set_config(void *device, uint32_t offset, const uint8_t *data, uint32_t size)
{
	if (offset != 0 || size != 1)
		return -EINVAL;
	((struct fixture *)device)->config[0] = data[0];
	return 0;
}

static int device_start_queue(void *device, uint16_t index, struct virtqueue *queue)
{
	struct fixture *fixture = device;

	assert_true(index < QUEUES);
	assert_null(fixture->queues[index]);
	if (fixture->start_result < 0)
		return fixture->start_result;
	fixture->queues[index] = queue;
	fixture->starts[index]++;
	return 0;
}

static void device_stop_queue(void *device, uint16_t index)
{
	struct fixture *fixture = device;

	assert_true(index < QUEUES);
	assert_non_null(fixture->queues[index]);
	fixture->queues[index] = NULL;
	fixture->stops[index]++;
}

static bool device_quiesce(void *device, uint16_t index)
{
	struct fixture *fixture = device;

	assert_non_null(fixture->queues[index]);
	fixture->quiesced[index]++;
	return !fixture->working;
}

static bool device_settled(void *device)
{
	return !((struct fixture *)device)->working;
}

static void device_reset(void *device)
{
	((struct fixture *)device)->resets++;
}

static int device_set_mtu(void *device, uint16_t mtu)
{
	if (mtu < 68)
		return -EINVAL;
	((struct fixture *)device)->mtu = mtu;
	return 0;
}

static void device_session_end(void *device, int error)
{
	struct fixture *fixture = device;

	assert_false(fixture->ended);
	fixture->ended = true;
	fixture->error = error;
	vhost_user_backend_free(fixture->backend);
	fixture->backend = NULL;
}

/* --- The front end --- */

static void session_open(struct fixture *fixture)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fixture->socket_fd = pair[0];
	fixture->ended = false;
	if (fixture->ours)
		assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(
		vhost_user_backend_new(fixture->loop, pair[1], &fixture->ops, fixture, &fixture->backend), 0);
}

static void session_close(struct fixture *fixture)
{
	vhost_user_backend_free(fixture->backend);
	fixture->backend = NULL;
	close(fixture->socket_fd);
}

/* What goes wrong here goes wrong on purpose, hundreds of times. */
static void discard_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

static int set_up(void **state)
{
	static struct fixture fixture;

	log_set_sink(discard_log, NULL);
	memset(&fixture, 0, sizeof(fixture));
	fixture.fds_before = count_open_fds();
	fixture.ops = (struct vhost_user_device_ops){
		.device_features = DEVICE_FEATURE,
		.queue_max = QUEUES,
		.config_size = CONFIG_SIZE,
		.set_features = device_set_features,
		.get_config = device_get_config,
		.set_config = device_set_config,
		.start_queue = device_start_queue,
		.stop_queue = device_stop_queue,
		.reset = device_reset,
		.set_mtu = device_set_mtu,
		.session_end = device_session_end,
	};
	memcpy(fixture.config, "config!", CONFIG_SIZE);
	fixture.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fixture.memory_fd, FILE_SIZE), 0);
	fixture.memory = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fixture.memory_fd, 0);
	assert_true(fixture.memory != MAP_FAILED);
	fixture.loop = loop_new();
	assert_non_null(fixture.loop);
	session_open(&fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	session_close(fixture);
	loop_free(fixture->loop);
	munmap(fixture->memory, FILE_SIZE);
	close(fixture->memory_fd);
	assert_int_equal(count_open_fds(), fixture->fds_before);
	return 0;
}

static void send_raw(struct fixture *fixture, const void *bytes, size_t size, const int *fds, size_t fd_count)
{
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};

	assert_int_equal(fd_send(fixture->socket_fd, &iov, 1, fds, fd_count, MSG_DONTWAIT), size);
}

static void serve(struct fixture *fixture)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_run_once(fixture->loop, 0), 0);
}

/* A whole message in one piece. */
static void request(struct fixture *fixture, uint32_t number, uint32_t flags, const void *payload,
		    uint32_t size, const int *fds, size_t fd_count)
{
	uint8_t bytes[12 + 512];
	struct vhost_user_header header = {.request = number, .flags = flags | 1, .size = size};

	assert_true(size <= 512);
	memcpy(bytes, &header, 12);
	if (size > 0)
		memcpy(bytes + 12, payload, size);
	send_raw(fixture, bytes, 12 + size, fds, fd_count);
	serve(fixture);
}

/* The reply's payload size, or -1 when there is none. */
static int receive_reply(struct fixture *fixture, uint32_t number, void *payload, size_t room)
{
	struct vhost_user_receiver receiver;
	int result;

	vhost_user_receiver_init(&receiver);
	result = vhost_user_receive_timeout(fixture->socket_fd, &receiver, 0);
	if (result != 1) {
		vhost_user_receiver_clear(&receiver);
		return -1;
	}
	assert_int_equal(receiver.message.header.request, number);
	assert_int_equal(receiver.message.header.flags, 1 | VHOST_USER_REPLY_FLAG);
	assert_int_equal(receiver.message.fd_count, 0);
	assert_true(receiver.message.header.size <= room);
	memcpy(payload, receiver.message.payload.bytes, receiver.message.header.size);
	vhost_user_receiver_clear(&receiver);
	return (int)receiver.message.header.size;
}

static bool no_reply(struct fixture *fixture)
{
	uint8_t byte;

	return recv(fixture->socket_fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

static uint64_t get_u64(struct fixture *fixture, uint32_t number)
{
	uint64_t value = 0;

	request(fixture, number, 0, NULL, 0, NULL, 0);
	assert_int_equal(receive_reply(fixture, number, &value, sizeof(value)), 8);
	return value;
}

static void set_u64(struct fixture *fixture, uint32_t number, uint64_t value)
{
	request(fixture, number, 0, &value, sizeof(value), NULL, 0);
	assert_true(no_reply(fixture));
}

static void set_state(struct fixture *fixture, uint32_t number, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state vring = {.index = index, .num = num};

	request(fixture, number, 0, &vring, sizeof(vring), NULL, 0);
}

static uint64_t ack(struct fixture *fixture, uint32_t number, const void *payload, uint32_t size,
		    const int *fds, size_t fd_count)
{
	uint64_t value = UINT64_MAX;

	request(fixture, number, VHOST_USER_NEED_REPLY_FLAG, payload, size, fds, fd_count);
	assert_int_equal(receive_reply(fixture, number, &value, sizeof(value)), 8);
	return value;
}

static void negotiate(struct fixture *fixture, uint64_t features)
{
	set_u64(fixture, VHOST_USER_SET_PROTOCOL_FEATURES,
		get_u64(fixture, VHOST_USER_GET_PROTOCOL_FEATURES));
	request(fixture, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0);
	set_u64(fixture, VHOST_USER_SET_FEATURES, features | VIRTIO_BIT(VIRTIO_F_VERSION_1));
}

static void send_memory(struct fixture *fixture)
{
	struct vhost_user_memory memory = {
		.region_count = 2,
		.regions = {{0, LOW_SIZE, USER, 0}, {HIGH_GUEST, HIGH_SIZE, USER + HIGH_GUEST, HIGH_GUEST}},
	};
	int fds[2] = {fixture->memory_fd, fixture->memory_fd};

	request(fixture, VHOST_USER_SET_MEM_TABLE, 0, &memory, 8 + 2 * 32, fds, 2);
}

static void send_addresses(struct fixture *fixture, uint32_t index)
{
	struct vhost_user_vring_addr addresses = {
		.index = index,
		.descriptor = USER + RING_DESCRIPTORS(index),
		.available = USER + RING_AVAILABLE(index),
		.used = USER + RING_USED(index),
	};

	request(fixture, VHOST_USER_SET_VRING_ADDR, 0, &addresses, sizeof(addresses), NULL, 0);
}

/* number is SET_VRING_KICK, _CALL or _ERR. Returns the front end's end. */
static int send_eventfd(struct fixture *fixture, uint32_t number, uint64_t index)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_true(fd >= 0);
	request(fixture, number, 0, &index, sizeof(index), &fd, 1);
	return fd;
}

static void start_ring(struct fixture *fixture, uint32_t index)
{
	set_state(fixture, VHOST_USER_SET_VRING_NUM, index, RING_SIZE);
	set_state(fixture, VHOST_USER_SET_VRING_BASE, index, 0);
	send_addresses(fixture, index);
	close(send_eventfd(fixture, VHOST_USER_SET_VRING_KICK, index));
	close(send_eventfd(fixture, VHOST_USER_SET_VRING_CALL, index));
	set_state(fixture, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

#define PROTOCOL VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)

/* --- A session as it should be --- */

/*
 * E4: a network device's GET_QUEUE_NUM is queues to one front end and pairs to another: none is led to take more than
 * there are.
 */
static void a_device_of_one_set_of_queues_offers_no_choice(void **state)
{
	struct fixture *fixture = *state;

	assert_true(get_u64(fixture, VHOST_USER_GET_PROTOCOL_FEATURES) &
		    VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ));
	fixture->ops.single_set = true;
	assert_false(get_u64(fixture, VHOST_USER_GET_PROTOCOL_FEATURES) &
		     VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ));
	assert_int_equal(get_u64(fixture, VHOST_USER_GET_QUEUE_NUM), 1);
	/* All of its queues are there all the same. */
	negotiate(fixture, get_u64(fixture, VHOST_USER_GET_FEATURES));
	send_memory(fixture);
	start_ring(fixture, QUEUES - 1);
	assert_int_equal(fixture->starts[QUEUES - 1], 1);
}

static void a_session_from_hello_to_the_end(void **state)
{
	struct fixture *fixture = *state;
	static struct virtqueue_chain chain;
	struct vhost_user_vring_state vring = {.index = 1};
	struct virtq_desc *descriptors = (void *)(fixture->memory + RING_DESCRIPTORS(1));
	struct virtq_avail *available = (void *)(fixture->memory + RING_AVAILABLE(1));
	uint64_t features = get_u64(fixture, VHOST_USER_GET_FEATURES);

	assert_int_equal(features, DEVICE_FEATURE | PROTOCOL | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
					   VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
					   VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
	assert_int_equal(get_u64(fixture, VHOST_USER_GET_PROTOCOL_FEATURES), 0xa239);
	assert_int_equal(get_u64(fixture, VHOST_USER_GET_QUEUE_NUM), QUEUES);
	assert_int_equal(get_u64(fixture, VHOST_USER_GET_MAX_MEM_SLOTS), GUEST_MEMORY_REGIONS_MAX);
	negotiate(fixture, features);
	assert_int_equal(fixture->features, features);
	assert_int_equal(vhost_user_backend_features(fixture->backend), features);
	send_memory(fixture);
	start_ring(fixture, 1);
	assert_int_equal(fixture->starts[1], 1);
	assert_int_equal(fixture->starts[0] + fixture->starts[2], 0);

	/* A buffer in the second region, whose size is no multiple of a page. */
	descriptors[0] = (struct virtq_desc){.addr = HIGH_GUEST + HIGH_SIZE - 4, .len = 4};
	memcpy(fixture->memory + HIGH_GUEST + HIGH_SIZE - 4, "last", 4);
	available->ring[0] = 0;
	available->idx = 1;
	assert_int_equal(virtqueue_pop(fixture->queues[1], &chain), 1);
	assert_memory_equal((char *)chain.iov[0].iov_base, "last", 4);
	virtqueue_push(fixture->queues[1], &chain.token, 0);
	virtqueue_publish(fixture->queues[1]);

	request(fixture, VHOST_USER_GET_VRING_BASE, 0, &vring, sizeof(vring), NULL, 0);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_VRING_BASE, &vring, sizeof(vring)), 8);
	assert_int_equal(vring.index, 1);
	assert_int_equal(vring.num, 1);
	assert_int_equal(fixture->stops[1], 1);
	/* Only a new kick starts it again, and then where it was. */
	set_state(fixture, VHOST_USER_SET_VRING_ENABLE, 1, 1);
	assert_int_equal(fixture->starts[1], 1);
	close(send_eventfd(fixture, VHOST_USER_SET_VRING_KICK, 1));
	assert_int_equal(fixture->starts[1], 2);
	assert_int_equal(virtqueue_next_available(fixture->queues[1]), 1);

	shutdown(fixture->socket_fd, SHUT_WR);
	serve(fixture);
	assert_true(fixture->ended);
	assert_int_equal(fixture->error, 0);
	assert_int_equal(fixture->stops[1], 2);
	/* The driver may go on with a successor (C1). */
	assert_int_equal(fixture->resets, 0);
}

static void what_a_device_lacks_is_not_offered(void **state)
{
	struct fixture *fixture = *state;

	session_close(fixture);
	fixture->ops.config_size = 0;
	fixture->ops.set_mtu = NULL;
	fixture->ops.reset = NULL;
	session_open(fixture);
	assert_int_equal(get_u64(fixture, VHOST_USER_GET_PROTOCOL_FEATURES), 0xa029);
}

/* Whatever the order, the ring starts once all is there, and once only. */
static void a_ring_starts_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	enum { STEPS = 6 };

	for (unsigned rotation = 0; rotation < STEPS; rotation++) {
		for (int direction = 1; direction <= STEPS - 1; direction += STEPS - 2) {
			session_close(fixture);
			session_open(fixture);
			memset(fixture->starts, 0, sizeof(fixture->starts));
			for (unsigned i = 0; i < STEPS; i++) {
				assert_int_equal(fixture->starts[0], 0);
				switch ((rotation + i * (unsigned)direction) % STEPS) {
				case 0:
					negotiate(fixture, PROTOCOL);
					break;
				case 1:
					send_memory(fixture);
					break;
				case 2:
					set_state(fixture, VHOST_USER_SET_VRING_NUM, 0, RING_SIZE);
					break;
				case 3:
					send_addresses(fixture, 0);
					break;
				case 4:
					close(send_eventfd(fixture, VHOST_USER_SET_VRING_KICK, 0));
					break;
				default:
					set_state(fixture, VHOST_USER_SET_VRING_ENABLE, 0, 1);
				}
			}
			assert_int_equal(fixture->starts[0], 1);
			assert_false(fixture->ended);
		}
	}
}

static void without_protocol_features_rings_need_no_enable(void **state)
{
	struct fixture *fixture = *state;

	set_u64(fixture, VHOST_USER_SET_FEATURES, VIRTIO_BIT(VIRTIO_F_VERSION_1));
	send_memory(fixture);
	set_state(fixture, VHOST_USER_SET_VRING_NUM, 0, RING_SIZE);
	send_addresses(fixture, 0);
	close(send_eventfd(fixture, VHOST_USER_SET_VRING_KICK, 0));
	assert_int_equal(fixture->starts[0], 1);
}

/* QEMU's block front end enables every ring, and uses those that the guest set up. */
static void rings_that_are_not_configured_may_be_enabled(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture, PROTOCOL);
	send_memory(fixture);
	for (uint32_t i = 0; i < QUEUES; i++)
		set_state(fixture, VHOST_USER_SET_VRING_ENABLE, i, 1);
	start_ring(fixture, 2);
	assert_int_equal(fixture->starts[0] + fixture->starts[1], 0);
	assert_non_null(fixture->queues[2]);
	set_state(fixture, VHOST_USER_SET_VRING_ENABLE, 2, 0);
	assert_null(fixture->queues[2]);
	set_state(fixture, VHOST_USER_SET_VRING_ENABLE, 2, 1);
	assert_non_null(fixture->queues[2]);
	assert_false(fixture->ended);
}

static void a_ring_without_a_kick_is_polled(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture, PROTOCOL);
	send_memory(fixture);
	start_ring(fixture, 0);
	assert_true(virtqueue_kick_fd(fixture->queues[0]) >= 0);
	set_u64(fixture, VHOST_USER_SET_VRING_KICK, VHOST_USER_VRING_NOFD);
	assert_non_null(fixture->queues[0]);
	assert_int_equal(virtqueue_kick_fd(fixture->queues[0]), -1);
}

static void nothing_changes_under_a_queue(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_memory_single single = {
		.region = {UINT64_C(1) << 32, 0x1000, UINT64_C(1) << 33, 0x1000}};
	unsigned starts;

	negotiate(fixture, PROTOCOL);
	send_memory(fixture);
	start_ring(fixture, 0);
	start_ring(fixture, 1);
	starts = fixture->starts[1];
	/* Another ring's business. */
	close(send_eventfd(fixture, VHOST_USER_SET_VRING_CALL, 0));
	assert_int_equal(fixture->starts[1], starts);
	/* Everybody's. */
	send_memory(fixture);
	assert_int_equal(fixture->starts[1], starts + 1);
	assert_int_equal(
		ack(fixture, VHOST_USER_ADD_MEM_REG, &single, sizeof(single), &fixture->memory_fd, 1), 0);
	assert_int_equal(fixture->starts[1], starts + 2);
	/* The same once more, and one that is not there. */
	assert_int_equal(
		ack(fixture, VHOST_USER_ADD_MEM_REG, &single, sizeof(single), &fixture->memory_fd, 1), 1);
	assert_int_equal(
		ack(fixture, VHOST_USER_REM_MEM_REG, &single, sizeof(single), &fixture->memory_fd, 1), 0);
	assert_int_equal(ack(fixture, VHOST_USER_REM_MEM_REG, &single, sizeof(single), NULL, 0), 1);
	assert_non_null(fixture->queues[0]);
	assert_non_null(fixture->queues[1]);
	assert_int_equal(fixture->stops[1], fixture->starts[1] - 1);
}

/* --- Acknowledgements --- */

static void acknowledgements_come_when_negotiated(void **state)
{
	struct fixture *fixture = *state;
	uint64_t value = VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);
	uint64_t mtu = 9000;
	struct vhost_user_vring_state enable = {.index = 0, .num = 1};

	request(fixture, VHOST_USER_SET_OWNER, VHOST_USER_NEED_REPLY_FLAG, NULL, 0, NULL, 0);
	assert_true(no_reply(fixture));
	request(fixture, VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_NEED_REPLY_FLAG, &value, 8, NULL, 0);
	assert_true(no_reply(fixture));
	assert_int_equal(ack(fixture, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(ack(fixture, VHOST_USER_RESET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(fixture->resets, 0);
	assert_int_equal(ack(fixture, VHOST_USER_SET_VRING_ENABLE, &enable, 8, NULL, 0), 0);
	assert_int_equal(ack(fixture, VHOST_USER_NET_SET_MTU, &mtu, 8, NULL, 0), 0);
	assert_int_equal(fixture->mtu, 9000);
	mtu = 67;
	assert_int_equal(ack(fixture, VHOST_USER_NET_SET_MTU, &mtu, 8, NULL, 0), 1);
	mtu = 0x10000;
	assert_int_equal(ack(fixture, VHOST_USER_NET_SET_MTU, &mtu, 8, NULL, 0), 1);
	/* A request with an answer has that one alone. */
	request(fixture, VHOST_USER_GET_QUEUE_NUM, VHOST_USER_NEED_REPLY_FLAG, NULL, 0, NULL, 0);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_QUEUE_NUM, &value, 8), 8);
	assert_int_equal(value, QUEUES);
	assert_true(no_reply(fixture));
}

static void unknown_requests_are_survived(void **state)
{
	/* What is not in our table, what the specification does not have, and what is beyond all. */
	static const uint32_t numbers[] = {0,  6,  7,  19, 22, 23, 26,	28,
					   31, 32, 33, 35, 41, 44, 255, UINT32_MAX};
	struct fixture *fixture = *state;
	uint8_t payload[64] = {0};

	negotiate(fixture, PROTOCOL);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		request(fixture, numbers[i], 0, payload, sizeof(payload), &fixture->memory_fd, 1);
		assert_true(no_reply(fixture));
		assert_int_equal(ack(fixture, numbers[i], payload, 12, &fixture->memory_fd, 1), 1);
	}
	assert_false(fixture->ended);
}

/* --- The config space --- */

static void config_has_the_length_that_is_asked(void **state)
{
	static const uint32_t sizes[] = {0, 1, 7, 8, 9, 57, 60, 256};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int whole = 0; whole < 2; whole++) {
			struct vhost_user_config config = {.size = sizes[i]}, answer;
			uint8_t expected[256] = "config!";

			memset(&answer, 0xff, sizeof(answer));
			request(fixture, VHOST_USER_GET_CONFIG, 0, &config, whole ? 12 + sizes[i] : 12, NULL,
				0);
			assert_int_equal(
				receive_reply(fixture, VHOST_USER_GET_CONFIG, &answer, sizeof(answer)),
				12 + sizes[i]);
			assert_int_equal(answer.size, sizes[i]);
			assert_memory_equal(answer.payload, expected, sizes[i]);
		}
	}
}

static void config_is_read_from_its_middle(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_config config = {.offset = 3, .size = 3}, answer;

	request(fixture, VHOST_USER_GET_CONFIG, 0, &config, 12, NULL, 0);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_CONFIG, &answer, sizeof(answer)), 15);
	assert_memory_equal(answer.payload, "fig", 3);
}

/* A guest may write where it should not: that is for the device to refuse, and for the session to survive. */
static void config_writes_that_fail_end_nothing(void **state)
{
	static const struct {
		uint32_t offset, size;
	} bad[] = {{1, 1}, {0, 2}, {0, 0}, {8, 1}, {7, 2}, {255, 1}, {UINT32_MAX, 1}, {UINT32_MAX - 3, 8}};
	struct fixture *fixture = *state;
	struct vhost_user_config config = {.size = 1, .payload = {'C'}};

	negotiate(fixture, PROTOCOL);
	assert_int_equal(ack(fixture, VHOST_USER_SET_CONFIG, &config, 13, NULL, 0), 0);
	assert_int_equal(fixture->config[0], 'C');
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config.offset = bad[i].offset;
		config.size = bad[i].size;
		request(fixture, VHOST_USER_SET_CONFIG, 0, &config, 12 + config.size, NULL, 0);
		assert_true(no_reply(fixture));
		assert_int_equal(ack(fixture, VHOST_USER_SET_CONFIG, &config, 12 + config.size, NULL, 0), 1);
	}
	assert_memory_equal(fixture->config, "Config!", 8);
}

static void config_changes_are_told(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_receiver receiver;
	int pair[2];

	assert_int_equal(vhost_user_backend_config_changed(fixture->backend), -ENOTCONN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	negotiate(fixture, PROTOCOL);
	assert_int_equal(ack(fixture, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	assert_int_equal(vhost_user_backend_config_changed(fixture->backend), 0);
	vhost_user_receiver_init(&receiver);
	assert_int_equal(vhost_user_receive_timeout(pair[0], &receiver, 0), 1);
	assert_int_equal(receiver.message.header.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(receiver.message.header.flags, 1);
	assert_int_equal(receiver.message.header.size, 0);
	close(pair[0]);
	assert_int_equal(vhost_user_backend_config_changed(fixture->backend), -EPIPE);
}

/* --- Status and reset --- */

/* C4: a front end that has it says 0 for a guest that is stopped and goes on. */
static void status_is_not_offered(void **state)
{
	struct fixture *fixture = *state;
	uint64_t offered = get_u64(fixture, VHOST_USER_GET_PROTOCOL_FEATURES);

	assert_int_equal(offered & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS), 0);
	assert_int_not_equal(offered & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE), 0);
}

static void a_reset_forgets_the_driver(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture, PROTOCOL);
	send_memory(fixture);
	assert_int_equal(get_u64(fixture, VHOST_USER_GET_STATUS), 0);
	for (unsigned round = 1; round <= 2; round++) {
		set_u64(fixture, VHOST_USER_SET_STATUS, VIRTIO_STATUS_DRIVER_OK);
		assert_int_equal(get_u64(fixture, VHOST_USER_GET_STATUS), VIRTIO_STATUS_DRIVER_OK);
		start_ring(fixture, 0);
		assert_non_null(fixture->queues[0]);
		if (round == 1)
			set_u64(fixture, VHOST_USER_SET_STATUS, 0);
		else
			request(fixture, VHOST_USER_RESET_DEVICE, 0, NULL, 0, NULL, 0);
		assert_null(fixture->queues[0]);
		assert_int_equal(fixture->resets, round);
		assert_int_equal(get_u64(fixture, VHOST_USER_GET_STATUS), 0);
		/* Nothing of the old life starts the ring. */
		set_state(fixture, VHOST_USER_SET_VRING_ENABLE, 0, 1);
		close(send_eventfd(fixture, VHOST_USER_SET_VRING_KICK, 0));
		assert_null(fixture->queues[0]);
	}
}

/* --- Rings that a guest lays out badly --- */

static void a_bad_ring_harms_itself_alone(void **state)
{
	static const struct {
		uint64_t descriptor, available, used;
	} bad[] = {
		{0, USER + 0x2000, USER + 0x3000},
		{USER + LOW_SIZE - 16, USER + 0x2000, USER + 0x3000},
		{USER + 0x1000, USER + LOW_SIZE - 4, USER + 0x3000},
		{USER + 0x1000, USER + 0x2000, USER + LOW_SIZE - 8},
		{USER + 0x1008, USER + 0x2000, USER + 0x3000},
		{USER + 0x1000, USER + 0x2001, USER + 0x3000},
		{USER + 0x1000, USER + 0x2000, USER + 0x3002},
		{UINT64_MAX, UINT64_MAX, UINT64_MAX},
	};
	struct fixture *fixture = *state;
	int error_fd;
	eventfd_t count;

	negotiate(fixture, PROTOCOL);
	send_memory(fixture);
	start_ring(fixture, 0);
	start_ring(fixture, 1);
	error_fd = send_eventfd(fixture, VHOST_USER_SET_VRING_ERR, 0);
	assert_int_equal(eventfd_read(error_fd, &count), -1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vhost_user_vring_addr addresses = {
			.descriptor = bad[i].descriptor, .available = bad[i].available, .used = bad[i].used};

		request(fixture, VHOST_USER_SET_VRING_ADDR, 0, &addresses, sizeof(addresses), NULL, 0);
		assert_false(fixture->ended);
		assert_null(fixture->queues[0]);
		assert_non_null(fixture->queues[1]);
		assert_int_equal(eventfd_read(error_fd, &count), 0);
		assert_int_equal(
			ack(fixture, VHOST_USER_SET_VRING_ADDR, &addresses, sizeof(addresses), NULL, 0), 1);
		assert_int_equal(eventfd_read(error_fd, &count), 0);
	}
	send_addresses(fixture, 0);
	assert_non_null(fixture->queues[0]);

	/* One that breaks later. */
	virtqueue_break(fixture->queues[0], "a test");
	vhost_user_backend_queue_broken(fixture->backend, 0);
	assert_int_equal(eventfd_read(error_fd, &count), 0);
	assert_false(fixture->ended);
	close(error_fd);
}

static void a_device_that_cannot_start_a_queue_says_so(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_vring_state enable = {.index = 0, .num = 1};

	negotiate(fixture, PROTOCOL);
	send_memory(fixture);
	start_ring(fixture, 0);
	fixture->start_result = -ENOMEM;
	set_state(fixture, VHOST_USER_SET_VRING_ENABLE, 0, 0);
	assert_int_equal(ack(fixture, VHOST_USER_SET_VRING_ENABLE, &enable, 8, NULL, 0), 1);
	assert_false(fixture->ended);
	set_state(fixture, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	assert_true(fixture->ended);
	assert_int_equal(fixture->error, -ENOMEM);
}

static void a_bad_memory_table_leaves_nothing_behind(void **state)
{
	struct fixture *fixture = *state;
	/* The second lies over the first. */
	struct vhost_user_memory memory = {
		.region_count = 2,
		.regions = {{0, LOW_SIZE, USER, 0}, {0x1000, 0x1000, USER + HIGH_GUEST, 0}},
	};
	int fds[2] = {fixture->memory_fd, fixture->memory_fd};

	negotiate(fixture, PROTOCOL);
	send_memory(fixture);
	start_ring(fixture, 0);
	assert_int_equal(ack(fixture, VHOST_USER_SET_MEM_TABLE, &memory, 72, fds, 2), 1);
	assert_null(fixture->queues[0]);
	send_memory(fixture);
	assert_non_null(fixture->queues[0]);
	request(fixture, VHOST_USER_SET_MEM_TABLE, 0, &memory, 72, fds, 2);
	assert_true(fixture->ended);
	assert_int_equal(fixture->error, -EINVAL);
}

/* --- What ends a session --- */

static void expect_end(struct fixture *fixture, int error)
{
	assert_true(fixture->ended);
	assert_int_equal(fixture->error, error);
	session_close(fixture);
	session_open(fixture);
}

/* Each request with its only size and number of descriptors (of those that have one). */
static const struct {
	uint32_t number;
	uint32_t size;
	size_t fds;
} shapes[] = {
	{VHOST_USER_GET_FEATURES, 0, 0},
	{VHOST_USER_SET_FEATURES, 8, 0},
	{VHOST_USER_SET_OWNER, 0, 0},
	{VHOST_USER_RESET_OWNER, 0, 0},
	{VHOST_USER_SET_VRING_NUM, 8, 0},
	{VHOST_USER_SET_VRING_ADDR, 40, 0},
	{VHOST_USER_SET_VRING_BASE, 8, 0},
	{VHOST_USER_GET_VRING_BASE, 8, 0},
	{VHOST_USER_SET_VRING_KICK, 8, 1},
	{VHOST_USER_SET_VRING_CALL, 8, 1},
	{VHOST_USER_SET_VRING_ERR, 8, 1},
	{VHOST_USER_GET_PROTOCOL_FEATURES, 0, 0},
	{VHOST_USER_SET_PROTOCOL_FEATURES, 8, 0},
	{VHOST_USER_GET_QUEUE_NUM, 0, 0},
	{VHOST_USER_SET_VRING_ENABLE, 8, 0},
	{VHOST_USER_NET_SET_MTU, 8, 0},
	{VHOST_USER_SET_BACKEND_REQ_FD, 0, 1},
	{VHOST_USER_RESET_DEVICE, 0, 0},
	{VHOST_USER_GET_MAX_MEM_SLOTS, 0, 0},
	{VHOST_USER_ADD_MEM_REG, 40, 1},
	{VHOST_USER_SET_STATUS, 8, 0},
	{VHOST_USER_GET_STATUS, 0, 0},
};

static void wrong_sizes_end_the_session(void **state)
{
	struct fixture *fixture = *state;
	uint8_t payload[64] = {0};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		request(fixture, shapes[i].number, 0, payload, shapes[i].size + 1, &fixture->memory_fd,
			shapes[i].fds);
		expect_end(fixture, -EPROTO);
		if (shapes[i].size == 0)
			continue;
		request(fixture, shapes[i].number, 0, payload, shapes[i].size - 1, &fixture->memory_fd,
			shapes[i].fds);
		expect_end(fixture, -EPROTO);
		request(fixture, shapes[i].number, 0, NULL, 0, &fixture->memory_fd, shapes[i].fds);
		expect_end(fixture, -EPROTO);
	}
}

static void wrong_descriptor_counts_end_the_session(void **state)
{
	struct fixture *fixture = *state;
	uint8_t payload[64] = {0};
	int fds[9];

	for (size_t i = 0; i < 9; i++)
		fds[i] = fixture->memory_fd;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		request(fixture, shapes[i].number, 0, payload, shapes[i].size, fds, shapes[i].fds + 1);
		expect_end(fixture, -EPROTO);
		if (shapes[i].fds == 0)
			continue;
		request(fixture, shapes[i].number, 0, payload, shapes[i].size, NULL, 0);
		expect_end(fixture, -EPROTO);
	}
	/* More than any request may have. */
	request(fixture, VHOST_USER_SET_MEM_TABLE, 0, payload, 8, fds, 9);
	expect_end(fixture, -EPROTO);
}

static void wrong_memory_tables_end_the_session(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_memory memory = {.region_count = 2, .regions = {{0, LOW_SIZE, USER, 0}}};
	int fds[2] = {fixture->memory_fd, fixture->memory_fd};

	/* Fewer descriptors, fewer regions than said; more than there may be. */
	request(fixture, VHOST_USER_SET_MEM_TABLE, 0, &memory, 72, fds, 1);
	expect_end(fixture, -EPROTO);
	request(fixture, VHOST_USER_SET_MEM_TABLE, 0, &memory, 40, fds, 2);
	expect_end(fixture, -EPROTO);
	memory.region_count = 9;
	request(fixture, VHOST_USER_SET_MEM_TABLE, 0, &memory, sizeof(memory), fds, 2);
	expect_end(fixture, -EPROTO);
	memory.region_count = UINT32_MAX;
	request(fixture, VHOST_USER_SET_MEM_TABLE, 0, &memory, sizeof(memory), fds, 2);
	expect_end(fixture, -EPROTO);
	/* A file that is shorter than the region. */
	memory.region_count = 1;
	memory.regions[0].size = FILE_SIZE + 1;
	request(fixture, VHOST_USER_SET_MEM_TABLE, 0, &memory, 40, fds, 1);
	expect_end(fixture, -EINVAL);
}

static void wrong_values_end_the_session(void **state)
{
	static const struct {
		uint32_t number, index, num;
	} bad[] = {
		{VHOST_USER_SET_VRING_NUM, QUEUES, RING_SIZE},
		{VHOST_USER_SET_VRING_NUM, 0, 0},
		{VHOST_USER_SET_VRING_NUM, 0, 3},
		{VHOST_USER_SET_VRING_NUM, 0, 65536},
		{VHOST_USER_SET_VRING_BASE, QUEUES, 0},
		{VHOST_USER_SET_VRING_BASE, 0, 65536},
		{VHOST_USER_GET_VRING_BASE, QUEUES, 0},
		{VHOST_USER_SET_VRING_ENABLE, QUEUES, 1},
		{VHOST_USER_SET_VRING_ENABLE, 0, 2},
		{VHOST_USER_SET_VRING_ENABLE, UINT32_MAX, 1},
	};
	struct fixture *fixture = *state;
	struct vhost_user_vring_addr addresses = {.index = QUEUES};
	struct vhost_user_config config = {.size = 257};
	uint64_t value;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set_state(fixture, bad[i].number, bad[i].index, bad[i].num);
		expect_end(fixture, -EPROTO);
	}
	request(fixture, VHOST_USER_SET_VRING_ADDR, 0, &addresses, sizeof(addresses), NULL, 0);
	expect_end(fixture, -EPROTO);

	for (uint32_t number = VHOST_USER_SET_VRING_KICK; number <= VHOST_USER_SET_VRING_ERR; number++) {
		/* No such ring; a bit of no meaning; a descriptor and the bit that says that there is none.
		 */
		static const uint64_t words[] = {QUEUES, 0x200, VHOST_USER_VRING_NOFD, UINT64_C(1) << 32};

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			request(fixture, number, 0, &words[i], 8, &fixture->memory_fd, 1);
			expect_end(fixture, -EPROTO);
		}
	}

	/* Features that nobody offered. */
	value = VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	request(fixture, VHOST_USER_SET_FEATURES, 0, &value, 8, NULL, 0);
	expect_end(fixture, -EPROTO);
	value = VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	request(fixture, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &value, 8, NULL, 0);
	expect_end(fixture, -EPROTO);
	value = 256;
	request(fixture, VHOST_USER_SET_STATUS, 0, &value, 8, NULL, 0);
	expect_end(fixture, -EPROTO);

	request(fixture, VHOST_USER_GET_CONFIG, 0, &config, 12, NULL, 0);
	expect_end(fixture, -EPROTO);
	config = (struct vhost_user_config){.offset = UINT32_MAX, .size = 2};
	request(fixture, VHOST_USER_GET_CONFIG, 0, &config, 14, NULL, 0);
	expect_end(fixture, -EPROTO);
	config = (struct vhost_user_config){.size = 4};
	request(fixture, VHOST_USER_GET_CONFIG, 0, &config, 15, NULL, 0);
	expect_end(fixture, -EPROTO);
	request(fixture, VHOST_USER_SET_CONFIG, 0, &config, 15, NULL, 0);
	expect_end(fixture, -EPROTO);
	assert_int_equal(fixture->features_calls, 0);
}

/* --- The inflight region --- */

/* A session anew, of a device that keeps a log. */
static void track(struct fixture *fixture)
{
	session_close(fixture);
	fixture->ops.track_inflight = true;
	session_open(fixture);
	assert_true(get_u64(fixture, VHOST_USER_GET_PROTOCOL_FEATURES) &
		    VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD));
}

/* The reply is as long as the question: 20 bytes, or the 24 of a C struct. Returns the region's descriptor. */
static int get_inflight(struct fixture *fixture, uint32_t size, struct vhost_user_inflight *region)
{
	struct vhost_user_receiver receiver;
	int fd;

	request(fixture, VHOST_USER_GET_INFLIGHT_FD, 0, region, size, NULL, 0);
	vhost_user_receiver_init(&receiver);
	assert_int_equal(vhost_user_receive_timeout(fixture->socket_fd, &receiver, 0), 1);
	assert_int_equal(receiver.message.header.request, VHOST_USER_GET_INFLIGHT_FD);
	assert_int_equal(receiver.message.header.size, size);
	assert_int_equal(receiver.message.fd_count, 1);
	*region = receiver.message.payload.inflight;
	fd = receiver.message.fds[0];
	receiver.message.fds[0] = -1;
	vhost_user_receiver_clear(&receiver);
	return fd;
}

static void the_inflight_region_comes_and_goes(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_inflight description = {.num_queues = QUEUES, .queue_size = RING_SIZE};
	struct vhost_user_vring_state vring = {.index = 1};
	struct virtq_used *used = (void *)(fixture->memory + RING_USED(1));
	struct virtq_avail *available = (void *)(fixture->memory + RING_AVAILABLE(1));
	struct vhost_user_inflight_queue *parts;
	static struct virtqueue_chain chain;
	uint8_t *mapping;
	int fd;

	track(fixture);
	close(get_inflight(fixture, sizeof(description), &description));
	description = (struct vhost_user_inflight){.num_queues = QUEUES, .queue_size = RING_SIZE};
	fd = get_inflight(fixture, VHOST_USER_INFLIGHT_SIZE_MIN, &description);
	assert_int_equal(description.mmap_size, QUEUES * VHOST_USER_INFLIGHT_QUEUE_SIZE(RING_SIZE));
	assert_int_equal(description.mmap_offset, 0);
	mapping = mmap(NULL, description.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(mapping != MAP_FAILED);
	parts = (void *)(mapping + VHOST_USER_INFLIGHT_QUEUE_SIZE(RING_SIZE));

	/* What a predecessor left for ring 1: head 3 is to be done again. It comes before the memory does. */
	*parts = (struct vhost_user_inflight_queue){.version = 1, .desc_num = RING_SIZE, .used_idx = 40};
	parts->entries[3] = (struct vhost_user_inflight_entry){.inflight = 1, .counter = 9};
	used->idx = 40;
	available->idx = 41;
	request(fixture, VHOST_USER_SET_INFLIGHT_FD, 0, &description, VHOST_USER_INFLIGHT_SIZE_MIN, &fd, 1);
	negotiate(fixture, get_u64(fixture, VHOST_USER_GET_FEATURES));
	send_memory(fixture);
	start_ring(fixture, 1);
	assert_int_equal(fixture->starts[1], 1);
	assert_int_equal(virtqueue_next_available(fixture->queues[1]), 41);
	assert_int_equal(virtqueue_pop(fixture->queues[1], &chain), 1);
	assert_int_equal(chain.token.head, 3);
	virtqueue_push(fixture->queues[1], &chain.token, 0);
	virtqueue_publish(fixture->queues[1]);
	assert_int_equal(parts->entries[3].inflight, 0);
	assert_int_equal(parts->used_idx, 41);
	assert_int_equal(virtqueue_pop(fixture->queues[1], &chain), 0);

	/* It stops with nothing under way, and its part is as new; so is every part after a reset. */
	request(fixture, VHOST_USER_GET_VRING_BASE, 0, &vring, sizeof(vring), NULL, 0);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_VRING_BASE, &vring, sizeof(vring)), 8);
	assert_int_equal(vring.num, 41);
	assert_int_equal(parts->version, 0);
	parts->version = 1;
	request(fixture, VHOST_USER_RESET_DEVICE, 0, NULL, 0, NULL, 0);
	assert_int_equal(parts->version, 0);

	/* A part that cannot be costs its ring, and nothing else. */
	parts->version = 7;
	start_ring(fixture, 1);
	start_ring(fixture, 2);
	assert_null(fixture->queues[1]);
	assert_non_null(fixture->queues[2]);
	assert_false(fixture->ended);
	munmap(mapping, description.mmap_size);
	close(fd);
}

/* --- A device whose host is slow --- */

static void wait_for_host(struct fixture *fixture)
{
	fixture->ops.quiesce = device_quiesce;
	fixture->ops.settled = device_settled;
	track(fixture);
	negotiate(fixture, get_u64(fixture, VHOST_USER_GET_FEATURES));
	send_memory(fixture);
	start_ring(fixture, 0);
	start_ring(fixture, 1);
	memset(fixture->quiesced, 0, sizeof(fixture->quiesced));
	fixture->resets = 0;
	fixture->working = true;
}

/* D3: what stops a queue waits, without holding up the loop, and what comes behind it waits too. */
static void a_queue_stops_when_the_host_is_done(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_vring_state vring = {.index = 1};
	uint64_t features;

	wait_for_host(fixture);
	request(fixture, VHOST_USER_GET_VRING_BASE, 0, &vring, sizeof(vring), NULL, 0);
	request(fixture, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
	assert_true(fixture->quiesced[1] > 0);
	assert_int_equal(fixture->quiesced[0], 0);
	assert_true(no_reply(fixture));
	assert_int_equal(fixture->stops[1], 0);
	vhost_user_backend_resume(fixture->backend);
	serve(fixture);
	assert_true(no_reply(fixture));
	fixture->working = false;
	vhost_user_backend_resume(fixture->backend);
	serve(fixture);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_VRING_BASE, &vring, sizeof(vring)), 8);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_FEATURES, &features, sizeof(features)), 8);
	assert_int_equal(fixture->stops[1], 1);
	assert_non_null(fixture->queues[0]);

	/* All of them; and the end of a session that waits. */
	fixture->working = true;
	request(fixture, VHOST_USER_RESET_DEVICE, 0, NULL, 0, NULL, 0);
	assert_int_equal(fixture->quiesced[0], 1);
	assert_int_equal(fixture->resets, 0);
	fixture->working = false;
	vhost_user_backend_resume(fixture->backend);
	assert_int_equal(fixture->resets, 1);
	vhost_user_backend_resume(fixture->backend);
	start_ring(fixture, 0);
	fixture->working = true;
	request(fixture, VHOST_USER_RESET_DEVICE, 0, NULL, 0, NULL, 0);
	shutdown(fixture->socket_fd, SHUT_RDWR);
	serve(fixture);
	assert_false(fixture->ended);
	fixture->working = false;
	vhost_user_backend_resume(fixture->backend);
	expect_end(fixture, 0);
}

/* D3: so does what a write to the configuration brought about. */
static void a_config_write_is_acknowledged_when_the_host_is_done(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_config config = {.size = 1, .payload = "C"};
	uint64_t answer;

	wait_for_host(fixture);
	request(fixture, VHOST_USER_SET_CONFIG, VHOST_USER_NEED_REPLY_FLAG, &config,
		VHOST_USER_CONFIG_HEADER_SIZE + 1, NULL, 0);
	assert_int_equal(fixture->config[0], 'C');
	assert_true(no_reply(fixture));
	vhost_user_backend_resume(fixture->backend);
	assert_true(no_reply(fixture));
	fixture->working = false;
	vhost_user_backend_resume(fixture->backend);
	assert_int_equal(receive_reply(fixture, VHOST_USER_SET_CONFIG, &answer, sizeof(answer)), 8);
	assert_int_equal(answer, 0);
	assert_non_null(fixture->queues[0]);
	assert_int_equal(fixture->stops[0], 0);
}

/* A request that was going to stop queues, and fails before it comes to them, leaves them running. */
static void a_request_that_fails_stops_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_inflight description = {
		.mmap_size = 1, .num_queues = QUEUES, .queue_size = RING_SIZE};
	unsigned starts;

	wait_for_host(fixture);
	fixture->working = false;
	starts = fixture->starts[0];
	assert_int_equal(ack(fixture, VHOST_USER_SET_INFLIGHT_FD, &description, 24, &fixture->memory_fd, 1),
			 1);
	assert_int_equal(fixture->starts[0], starts + 1);
	assert_non_null(fixture->queues[0]);
	assert_non_null(fixture->queues[1]);
	assert_false(fixture->ended);
}

static struct {
	unsigned count;
	char last[LOG_TEXT_MAX];
} records;

static void record(const struct log_record *one, void *argument)
{
	(void)argument;
	records.count++;
	strcpy(records.last, one->text);
}

/* E8: QEMU 10 asks for a region of fewer descriptors than its rings then have. They are served, without it. */
static void a_ring_larger_than_the_region_is_served(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_inflight description = {.num_queues = QUEUES - 1, .queue_size = RING_SIZE / 2};
	struct vhost_user_vring_state vring = {.index = 1};
	static struct virtqueue_chain chain;
	struct virtq_avail *available = (void *)(fixture->memory + RING_AVAILABLE(1));
	uint8_t *mapping, untouched[4096] = {0};
	enum log_level level = log_get_level();
	int fd, error_fd;
	eventfd_t count;

	track(fixture);
	fd = get_inflight(fixture, sizeof(description), &description);
	mapping = mmap(NULL, description.mmap_size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(mapping != MAP_FAILED);
	assert_true(description.mmap_size <= sizeof(untouched));
	negotiate(fixture, get_u64(fixture, VHOST_USER_GET_FEATURES));
	send_memory(fixture);
	request(fixture, VHOST_USER_SET_INFLIGHT_FD, 0, &description, VHOST_USER_INFLIGHT_SIZE_MIN, &fd, 1);
	error_fd = send_eventfd(fixture, VHOST_USER_SET_VRING_ERR, 1);
	available->idx = 1;
	records.count = 0;
	log_set_sink(record, NULL);
	log_set_level(LOG_LEVEL_WARNING);
	/* Too large, and, the last, beyond the region's queues. */
	for (uint16_t i = 1; i < QUEUES; i++)
		start_ring(fixture, i);
	log_set_level(level);
	log_set_sink(discard_log, NULL);
	for (uint16_t i = 1; i < QUEUES; i++)
		assert_non_null(fixture->queues[i]);
	assert_int_equal(eventfd_read(error_fd, &count), -1);
	/* One warning, which says what helps. */
	assert_int_equal(records.count, 1);
	assert_non_null(strstr(records.last, "queue-size=1024"));

	assert_int_equal(virtqueue_pop(fixture->queues[1], &chain), 1);
	virtqueue_push(fixture->queues[1], &chain.token, 0);
	virtqueue_publish(fixture->queues[1]);
	request(fixture, VHOST_USER_GET_VRING_BASE, 0, &vring, sizeof(vring), NULL, 0);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_VRING_BASE, &vring, sizeof(vring)), 8);
	assert_int_equal(vring.num, 1);
	assert_memory_equal(mapping, untouched, description.mmap_size);
	munmap(mapping, description.mmap_size);
	close(error_fd);
	close(fd);
}

static void inflight_requests_that_cannot_be(void **state)
{
	struct vhost_user_inflight wrong[] = {
		{.num_queues = 0, .queue_size = RING_SIZE},
		{.num_queues = 257, .queue_size = RING_SIZE},
		{.num_queues = QUEUES, .queue_size = 0},
		{.num_queues = QUEUES, .queue_size = 32769},
	};
	struct vhost_user_inflight description = {.num_queues = QUEUES, .queue_size = RING_SIZE};
	struct fixture *fixture = *state;
	int fd;

	track(fixture);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		request(fixture, VHOST_USER_GET_INFLIGHT_FD, 0, &wrong[i], 24, NULL, 0);
		expect_end(fixture, -EPROTO);
	}
	request(fixture, VHOST_USER_GET_INFLIGHT_FD, 0, &description, 19, NULL, 0);
	expect_end(fixture, -EPROTO);
	request(fixture, VHOST_USER_SET_INFLIGHT_FD, 0, &description, 24, NULL, 0);
	expect_end(fixture, -EPROTO);
	fd = get_inflight(fixture, 24, &description);
	description.mmap_size--;
	request(fixture, VHOST_USER_SET_INFLIGHT_FD, 0, &description, 24, &fd, 1);
	expect_end(fixture, -EINVAL);
	/* A file that is shorter than it is said to be. */
	description.mmap_size++;
	description.mmap_offset = 4096;
	request(fixture, VHOST_USER_SET_INFLIGHT_FD, 0, &description, 24, &fd, 1);
	expect_end(fixture, -EINVAL);
	close(fd);
}

static void wrong_headers_end_the_session(void **state)
{
	static const struct vhost_user_header headers[] = {
		{VHOST_USER_GET_FEATURES, 0, 0},
		{VHOST_USER_GET_FEATURES, 2, 0},
		{VHOST_USER_GET_FEATURES, 1 | VHOST_USER_REPLY_FLAG, 0},
		{VHOST_USER_GET_FEATURES, 1, 0x10000},
		{999, 1, UINT32_MAX},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		send_raw(fixture, &headers[i], 12, NULL, 0);
		serve(fixture);
		expect_end(fixture, -EPROTO);
	}
}

/* --- Pieces --- */

static void a_message_may_come_byte_by_byte(void **state)
{
	struct fixture *fixture = *state;
	struct {
		struct vhost_user_header header;
		struct vhost_user_memory_single single;
	} __attribute__((packed)) message = {
		.header = {VHOST_USER_ADD_MEM_REG, 1, sizeof(struct vhost_user_memory_single)},
		.single.region = {0, LOW_SIZE, USER, 0},
	};

	negotiate(fixture, PROTOCOL);
	for (size_t i = 0; i < sizeof(message); i++) {
		send_raw(fixture, (uint8_t *)&message + i, 1, &fixture->memory_fd, i == 0);
		serve(fixture);
	}
	assert_false(fixture->ended);
	/* It was taken: the ring starts in it. */
	start_ring(fixture, 0);
	assert_non_null(fixture->queues[0]);
}

static void messages_may_come_together(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_header headers[3] = {{VHOST_USER_SET_OWNER, 1, 0},
					       {VHOST_USER_GET_QUEUE_NUM, 1, 0},
					       {VHOST_USER_GET_STATUS, 1, 0}};
	uint64_t value;

	send_raw(fixture, headers, sizeof(headers), NULL, 0);
	serve(fixture);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_QUEUE_NUM, &value, 8), 8);
	assert_int_equal(receive_reply(fixture, VHOST_USER_GET_STATUS, &value, 8), 8);
}

static void descriptors_in_the_middle_end_the_session(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_header header = {VHOST_USER_SET_VRING_KICK, 1, 8};
	uint64_t index = 0;

	send_raw(fixture, &header, 12, NULL, 0);
	serve(fixture);
	assert_false(fixture->ended);
	send_raw(fixture, &index, 8, &fixture->memory_fd, 1);
	serve(fixture);
	expect_end(fixture, -EPROTO);
}

/* The descriptor of a message that never becomes whole is not left open (tear_down counts). */
static void half_a_message_ends_the_session(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_header header = {VHOST_USER_SET_VRING_KICK, 1, 8};

	for (size_t size = 1; size <= 12; size++) {
		send_raw(fixture, &header, size, &fixture->memory_fd, 1);
		serve(fixture);
		assert_false(fixture->ended);
		shutdown(fixture->socket_fd, SHUT_WR);
		serve(fixture);
		expect_end(fixture, -EPROTO);
	}
}

/* A front end that asks and never reads must not hold the device for ever. */
static void a_front_end_that_does_not_read_is_left(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_user_header header = {VHOST_USER_GET_FEATURES, 1, 0};
	struct iovec iov = {.iov_base = &header, .iov_len = 12};

	for (int i = 0; i < 100000 && !fixture->ended; i++) {
		ssize_t sent = fd_send(fixture->socket_fd, &iov, 1, NULL, 0, MSG_DONTWAIT);

		if (sent == 12)
			continue;
		assert_int_equal(sent, -EAGAIN);
		serve(fixture);
	}
	expect_end(fixture, -ETIMEDOUT);
}

static void a_session_may_be_ended_by_its_owner(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture, PROTOCOL);
	send_memory(fixture);
	for (uint32_t i = 0; i < QUEUES; i++)
		start_ring(fixture, i);
	/* Half a message with a descriptor is on its way. */
	send_raw(fixture, "\5", 1, &fixture->memory_fd, 1);
	serve(fixture);
	vhost_user_backend_free(fixture->backend);
	fixture->backend = NULL;
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(fixture->starts[i], fixture->stops[i]);
	assert_false(fixture->ended);
}

/*
 * A4: a foreign front end's eventfds are made not to block. One of ours hands over none that does, has its inflight
 * region made by nobody, and no ring polled: so that a supervised process need not be allowed the calls for it, and is
 * not ended by its filter when a core that was taken over asks for them. The last test: from here on all peers are
 * ours.
 */
static void our_own_front_end_leaves_nothing_to_us(void **state)
{
	static const uint32_t numbers[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					   VHOST_USER_SET_VRING_ERR, VHOST_USER_SET_BACKEND_REQ_FD};
	struct vhost_user_inflight region = {.num_queues = QUEUES, .queue_size = RING_SIZE};
	struct fixture *fixture = *state;
	uint64_t index = 0;
	int fd;

	for (size_t i = 0; i < 3; i++) {
		fd = send_eventfd(fixture, numbers[i], 0);
		assert_false(fixture->ended);
		assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
		close(fd);
	}
	track(fixture);
	close(get_inflight(fixture, 24, &region));
	/* A blocking wire is none of ours either. */
	peers_are_ours();
	fd = fcntl(fixture->socket_fd, F_GETFL);
	assert_int_equal(peer_fd_nonblocking(fixture->socket_fd), -EPROTO);
	assert_int_equal(fcntl(fixture->socket_fd, F_GETFL), fd);
	fixture->ours = true;
	region = (struct vhost_user_inflight){.num_queues = QUEUES, .queue_size = RING_SIZE};
	request(fixture, VHOST_USER_GET_INFLIGHT_FD, 0, &region, 24, NULL, 0);
	expect_end(fixture, -EPROTO);
	/* Nor does it leave it to us to poll; to signal nobody it may. */
	for (size_t i = 1; i < 3; i++)
		set_u64(fixture, numbers[i], VHOST_USER_VRING_NOFD);
	assert_false(fixture->ended);
	index = VHOST_USER_VRING_NOFD;
	request(fixture, VHOST_USER_SET_VRING_KICK, 0, &index, sizeof(index), NULL, 0);
	index = 0;
	expect_end(fixture, -EPROTO);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint32_t size = i < 3 ? sizeof(index) : 0;

		set_u64(fixture, VHOST_USER_SET_PROTOCOL_FEATURES,
			VIRTIO_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ));
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		request(fixture, numbers[i], 0, &index, size, &fd, 1);
		assert_false(fixture->ended);
		close(fd);
		fd = eventfd(0, EFD_CLOEXEC);
		request(fixture, numbers[i], 0, &index, size, &fd, 1);
		assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
		close(fd);
		expect_end(fixture, -EPROTO);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session_from_hello_to_the_end),
		TEST(a_device_of_one_set_of_queues_offers_no_choice),
		TEST(what_a_device_lacks_is_not_offered),
		TEST(a_ring_starts_in_any_order),
		TEST(without_protocol_features_rings_need_no_enable),
		TEST(rings_that_are_not_configured_may_be_enabled),
		TEST(a_ring_without_a_kick_is_polled),
		TEST(nothing_changes_under_a_queue),
		TEST(acknowledgements_come_when_negotiated),
		TEST(unknown_requests_are_survived),
		TEST(config_has_the_length_that_is_asked),
		TEST(config_is_read_from_its_middle),
		TEST(config_writes_that_fail_end_nothing),
		TEST(config_changes_are_told),
		TEST(status_is_not_offered),
		TEST(a_reset_forgets_the_driver),
		TEST(a_bad_ring_harms_itself_alone),
		TEST(a_device_that_cannot_start_a_queue_says_so),
		TEST(a_bad_memory_table_leaves_nothing_behind),
		TEST(wrong_sizes_end_the_session),
		TEST(wrong_descriptor_counts_end_the_session),
		TEST(wrong_memory_tables_end_the_session),
		TEST(wrong_values_end_the_session),
		TEST(the_inflight_region_comes_and_goes),
		TEST(a_queue_stops_when_the_host_is_done),
		TEST(a_config_write_is_acknowledged_when_the_host_is_done),
		TEST(a_request_that_fails_stops_nothing),
		TEST(a_ring_larger_than_the_region_is_served),
		TEST(inflight_requests_that_cannot_be),
		TEST(wrong_headers_end_the_session),
		TEST(a_message_may_come_byte_by_byte),
		TEST(messages_may_come_together),
		TEST(descriptors_in_the_middle_end_the_session),
		TEST(half_a_message_ends_the_session),
		TEST(a_front_end_that_does_not_read_is_left),
		TEST(a_session_may_be_ended_by_its_owner),
		TEST(our_own_front_end_leaves_nothing_to_us),
	};

	return cmocka_run_group_tests_name("vhost-user", tests, NULL, NULL);
}
