/*
 * A hostile guest and a tap full of odd frames: rings, buffers and commands are the input's, and so is the order of
 * kicks, frames, changes of memory and of the link, restarts and resets. Held to it: what reaches the tap is a frame
 * with a header that was negotiated; everything that was given is counted once; the device comes to rest after each
 * step; and nothing but guest memory is written.
 *
 * Input: features (two bytes), mode, length of the script (one byte each), the script, then guest memory from address
 * 0.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/spec/virtio_spec.h"
#include "dev-net/net_device.h"
#include "dev-net/net_header.h"
#include "tests/fuzz/fuzz_support.h"

#define MEMORY_BYTES 131072u
#define QUEUE_SIZE   16
#define QUEUE_BYTES  512u
#define AVAILABLE_AT 256
#define USED_AT	     304
/* More turns of the loop than a step has work for. */
#define TURNS_MAX 64

/* The script's steps, by the first byte modulo their number; operands follow. */
enum step {
	STEP_KICK,    /* queue */
	STEP_FRAME,   /* the tap's header (12 bytes), length (2), the frame's first 18 bytes */
	STEP_MEMORY,  /* address (2), length (1), bytes: the guest writes */
	STEP_LINK,    /* up or not */
	STEP_RESTART, /* queue, and whether the link changes while it is stopped */
	STEP_RESET,
	STEP_OFFLOADS, /* whether the tap takes other offloads from now on */
	STEP_UNPLUG,   /* the tap goes */
	STEPS,
};

#define RESTART_LINK 0x80

enum mode {
	MODE_POLLED = 1, /* queues have no kick eventfds */
	MODE_LINK_DOWN = 2,
};

static const unsigned feature_bits[16] = {
	VIRTIO_NET_F_CSUM,	 VIRTIO_NET_F_GUEST_CSUM,    VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
	VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_ECN,     VIRTIO_NET_F_GUEST_UFO,
	VIRTIO_NET_F_HOST_TSO4,	 VIRTIO_NET_F_HOST_TSO6,     VIRTIO_NET_F_HOST_ECN,
	VIRTIO_NET_F_MRG_RXBUF,	 VIRTIO_NET_F_CTRL_VQ,	     VIRTIO_NET_F_CTRL_RX,
	VIRTIO_NET_F_CTRL_VLAN,	 VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_EVENT_IDX,
};

struct fuzz {
	struct net_device device;
	struct loop *loop;
	struct virtqueue *queues[VIRTIO_NET_QUEUES];
	int kick_fds[VIRTIO_NET_QUEUES];
	int wire;
	uint64_t features;
	uint64_t frames;    /* that the tap was given for the guest */
	uint64_t sent;	    /* that it got */
	uint64_t forgotten; /* frames that a reset found held */
	bool polled;
};

static struct guest_memory memory;
static uint8_t *base;
static bool tap_refuses;
static uint8_t frame[NET_HEADER_SIZE + NET_FRAME_MAX + 1];

static void make_host(void)
{
	int memory_fd;

	if (base != NULL)
		return;
	fuzz_quiet_log();
	signal(SIGPIPE, SIG_IGN); /* a tap does not send it */
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	fuzz_require(memory_fd >= 0 && ftruncate(memory_fd, MEMORY_BYTES) == 0);
	guest_memory_init(&memory);
	/* Two regions, so that buffers lie across. */
	for (uint64_t at = 0; at < MEMORY_BYTES; at += MEMORY_BYTES / 2)
		fuzz_require(guest_memory_add(&memory, at, MEMORY_BYTES / 2, at, at, memory_fd) == 0);
	base = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	fuzz_require(base != MAP_FAILED);
	close(memory_fd);
}

static int fuzz_set_offload(int tap_fd, unsigned flags)
{
	(void)tap_fd;
	(void)flags;
	return tap_refuses ? -EINVAL : 0;
}

/* --- The device --- */

static void queue_start(struct fuzz *fuzz, uint16_t index)
{
	uint64_t at = index * QUEUE_BYTES;
	struct virtqueue_setup setup = {
		.memory = &memory,
		.size = QUEUE_SIZE,
		.descriptor_table = guest_memory_range(&memory, at, AVAILABLE_AT),
		.available_ring = guest_memory_range(&memory, at + AVAILABLE_AT, USED_AT - AVAILABLE_AT),
		.used_ring = guest_memory_range(&memory, at + USED_AT, 6 + 8 * QUEUE_SIZE),
		.features = fuzz->features,
		.kick_fd = fuzz->polled ? -1 : fuzz->kick_fds[index],
		.call_fd = -1,
	};

	fuzz_require(virtqueue_new(&setup, &fuzz->queues[index]) == 0);
	fuzz_require(fuzz->device.ops.start_queue(&fuzz->device, index, fuzz->queues[index]) == 0);
}

static void queue_stop(struct fuzz *fuzz, uint16_t index)
{
	fuzz->device.ops.stop_queue(&fuzz->device, index);
	virtqueue_free(fuzz->queues[index]);
	fuzz->queues[index] = NULL;
}

static void device_start(struct fuzz *fuzz, uint8_t mode)
{
	static const uint8_t mac[] = {0x52, 0x54, 0, 0, 0, 1};
	struct net_setup setup = {.mac = mac, .mtu = 1500, .link_up = (mode & MODE_LINK_DOWN) == 0};
	const char *problem;
	int sockets[2];

	fuzz->polled = (mode & MODE_POLLED) != 0;
	fuzz_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
	setup.tap_fd = sockets[0];
	fuzz->wire = sockets[1];
	fuzz->loop = loop_new();
	fuzz_require(fuzz->loop != NULL);
	net_device_init(&fuzz->device);
	fuzz_require(net_device_configure(&fuzz->device, &setup, &problem) == 0);
	fuzz->device.port.set_offload = fuzz_set_offload;
	fuzz_require(net_device_prepare(&fuzz->device, fuzz->loop) == 0);
	fuzz_require(fuzz->device.ops.set_features(&fuzz->device, fuzz->features) == 0);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++) {
		fuzz->kick_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fuzz_require(fuzz->kick_fds[i] >= 0);
		queue_start(fuzz, i);
	}
}

static void device_end(struct fuzz *fuzz)
{
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++) {
		queue_stop(fuzz, i);
		close(fuzz->kick_fds[i]);
	}
	net_device_close(&fuzz->device);
	loop_free(fuzz->loop);
	if (fuzz->wire >= 0)
		close(fuzz->wire);
}

/* --- What is held to it --- */

static void check_sent(struct fuzz *fuzz, const uint8_t *data, ssize_t size)
{
	struct virtio_net_hdr header, judged;
	size_t frame_bytes;

	fuzz_require(size >= NET_HEADER_SIZE + NET_FRAME_MIN && size <= NET_HEADER_SIZE + NET_FRAME_MAX);
	frame_bytes = (size_t)size - NET_HEADER_SIZE;
	memcpy(&header, data, sizeof(header));
	fuzz_require((header.flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 && header.num_buffers == 0);
	fuzz_require(header.hdr_len <= frame_bytes);
	fuzz_require(header.flags == 0 ? (header.csum_start | header.csum_offset | header.gso_type) == 0
				       : header.csum_start + header.csum_offset + 2u <= frame_bytes);
	fuzz_require((header.gso_type == VIRTIO_NET_HDR_GSO_NONE) == (header.gso_size == 0));
	/* Judged once more it stays as it is. */
	judged = header;
	fuzz_require(net_header_from_driver(fuzz->features, frame_bytes, &judged));
	fuzz_require(memcmp(&judged, &header, sizeof(header)) == 0);
	fuzz->sent++;
}

static void wire_drain(struct fuzz *fuzz)
{
	ssize_t size;

	while (fuzz->wire >= 0 && (size = recv(fuzz->wire, frame, sizeof(frame), 0)) > 0)
		check_sent(fuzz, frame, size);
}

static bool readable(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) > 0;
}

/* Whether the device waits for somebody else. */
static bool at_rest(const struct fuzz *fuzz)
{
	if ((fuzz->device.tap_events & LOOP_READ) != 0 && readable(fuzz->device.port.tap_fd))
		return false;
	for (size_t i = 0; i < VIRTIO_NET_QUEUES; i++) {
		if (fuzz->device.queues[i].kick_watch != NULL && readable(fuzz->kick_fds[i]))
			return false;
	}
	return true;
}

static void settle(struct fuzz *fuzz)
{
	unsigned turns = 0;

	if (fuzz->polled) {
		/* Each look at the queues is a timer's. */
		for (unsigned i = 0; i < 2; i++)
			fuzz_require(loop_run_once(fuzz->loop, 1) == 0);
	}
	do {
		fuzz_require(turns++ < TURNS_MAX);
		fuzz_require(loop_run_once(fuzz->loop, 0) == 0);
		wire_drain(fuzz);
	} while (!at_rest(fuzz));
}

/* Frames for the guest that came to an end, each for one reason. */
static uint64_t frames_done(const struct fuzz *fuzz)
{
	const uint64_t *counters = fuzz->device.port.counters;

	return counters[NET_COUNTER_RX_PACKETS] + counters[NET_COUNTER_RX_DROPPED_FILTER] +
	       counters[NET_COUNTER_RX_DROPPED_LINK_DOWN] + counters[NET_COUNTER_RX_DROPPED_TOO_LARGE] +
	       counters[NET_COUNTER_RX_DROPPED_OFFLOAD] + counters[NET_COUNTER_RX_ERRORS] + fuzz->forgotten +
	       (fuzz->device.rx.held_bytes > 0);
}

static void check_counters(const struct fuzz *fuzz)
{
	const uint64_t *counters = fuzz->device.port.counters;

	fuzz_require(frames_done(fuzz) <= fuzz->frames);
	fuzz_require(counters[NET_COUNTER_CONTROL_REFUSED] <= counters[NET_COUNTER_CONTROL_COMMANDS]);
	fuzz_require(fuzz->sent == counters[NET_COUNTER_TX_PACKETS]);
	fuzz_require(fuzz->device.rx.held_bytes <= NET_HEADER_SIZE + NET_FRAME_MAX);
}

/* What the device has not taken is still there. */
static void check_frames_left(const struct fuzz *fuzz)
{
	uint64_t left = 0;

	while (recv(fuzz->device.port.tap_fd, frame, 1, 0) > 0)
		left++;
	fuzz_require(frames_done(fuzz) + left == fuzz->frames);
}

/* --- Steps --- */

/* Copies what the script has of `size` bytes. */
static void script_copy(struct fuzz_input *script, uint8_t *to, size_t size)
{
	size_t taken;
	const uint8_t *from = fuzz_take(script, size, &taken);

	memcpy(to, from, taken);
}

static void step_frame(struct fuzz *fuzz, struct fuzz_input *script)
{
	size_t size;

	/* Nothing of the last input: a crash must happen again. */
	memset(frame, 0x5a, sizeof(frame));
	script_copy(script, frame, NET_HEADER_SIZE);
	size = fuzz_take_u16(script);
	script_copy(script, frame + NET_HEADER_SIZE, NET_FILTER_LOOK);
	if (fuzz->wire >= 0 && size > 0 && send(fuzz->wire, frame, size, 0) == (ssize_t)size)
		fuzz->frames++;
}

static void step_memory(struct fuzz_input *script)
{
	size_t address = fuzz_take_u16(script), size = fuzz_take_u8(script);

	script_copy(script, base + address, size);
}

static void step_reset(struct fuzz *fuzz)
{
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		queue_stop(fuzz, i);
	fuzz->forgotten += fuzz->device.rx.held_bytes > 0;
	fuzz->device.ops.reset(&fuzz->device);
	/* A tap that takes no offloads refuses the driver. */
	tap_refuses = false;
	fuzz_require(fuzz->device.ops.set_features(&fuzz->device, fuzz->features) == 0);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		queue_start(fuzz, i);
}

static void step_restart(struct fuzz *fuzz, struct fuzz_input *script)
{
	uint8_t what = fuzz_take_u8(script);
	uint16_t queue = what % VIRTIO_NET_QUEUES;

	queue_stop(fuzz, queue);
	if ((what & RESTART_LINK) != 0)
		net_device_set_link(&fuzz->device, !fuzz->device.port.link_up);
	settle(fuzz);
	queue_start(fuzz, queue);
}

static void step_run(struct fuzz *fuzz, struct fuzz_input *script)
{
	switch (fuzz_take_u8(script) % STEPS) {
	case STEP_KICK:
		eventfd_write(fuzz->kick_fds[fuzz_take_u8(script) % VIRTIO_NET_QUEUES], 1);
		break;
	case STEP_FRAME:
		step_frame(fuzz, script);
		break;
	case STEP_MEMORY:
		step_memory(script);
		break;
	case STEP_LINK:
		net_device_set_link(&fuzz->device, fuzz_take_u8(script) & 1);
		break;
	case STEP_RESTART:
		step_restart(fuzz, script);
		break;
	case STEP_RESET:
		step_reset(fuzz);
		break;
	case STEP_OFFLOADS:
		tap_refuses = fuzz_take_u8(script) & 1;
		break;
	case STEP_UNPLUG:
		wire_drain(fuzz);
		if (fuzz->wire >= 0)
			close(fuzz->wire);
		fuzz->wire = -1;
		break;
	default:
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz fuzz;
	struct fuzz_input input = {data, size}, script;
	unsigned features;
	uint8_t mode;

	if (size < 4)
		return -1;
	make_host();
	tap_refuses = false;
	fuzz = (struct fuzz){.features = VIRTIO_BIT(VIRTIO_F_VERSION_1)};
	features = fuzz_take_u16(&input);
	for (size_t i = 0; i < sizeof(feature_bits) / sizeof(feature_bits[0]); i++) {
		if ((features & 1u << i) != 0)
			fuzz.features |= VIRTIO_BIT(feature_bits[i]);
	}
	mode = fuzz_take_u8(&input);
	script.size = fuzz_take_u8(&input);
	script.data = fuzz_take(&input, script.size, &script.size);
	memset(base, 0, MEMORY_BYTES);
	script_copy(&input, base, MEMORY_BYTES);

	device_start(&fuzz, mode);
	settle(&fuzz);
	while (script.size > 0) {
		step_run(&fuzz, &script);
		settle(&fuzz);
		check_counters(&fuzz);
	}
	check_frames_left(&fuzz);
	device_end(&fuzz);
	return 0;
}
