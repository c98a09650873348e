/*
 * A network device's process, measured by a driver without a guest at its one side, and packet sockets at its tap.
 *
 * Out of the guest: as many frames are in flight as a Linux guest has at most; what is timed ends in the host's network
 * stack, which drops each frame at its door. In: a burst of frames lies ready in the tap's queue while the device has
 * no receive buffer; then it gets a full ring of them, and a kick, and the time from there to the burst's last frame
 * counts. So the device's work alone is measured, and not that of whoever sends. With one frame at a time, both ways,
 * it is the latency: out, from the kick until the buffer comes back; in, from before the frame is sent into the tap.
 *
 * As in bench_disk.c each measurement has a pass that verifies, one that counts system calls, and one that is timed.
 * The length of each frame that comes in is compared, and the kernel's count of those that went out.
 */
#include "tests/bench/bench_net.h"

#include <string.h>

#include "tests/bench/bench_clock.h"
#include "tests/bench/bench_frames.h"
#include "tests/bench/bench_link.h"
#include "tests/bench/bench_port.h"
#include "tests/bench/bench_say.h"

#define MEMORY	    (32u << 20)
#define RING_SIZE   1024u /* the most that a Linux guest gets of QEMU */
#define DEPTH_MAX   256u
#define HEADER_SIZE ((uint32_t)sizeof(struct virtio_net_hdr))
/* Header and frame of a slot to send, and what of a large frame is in one piece. */
#define SEND_LARGE 32u
#define SEND_PIECE 32768u
#define SLOT_SMALL 2048u
#define SLOT_LARGE (BENCH_FRAME_MAX + 4096u)
/* Receive buffers as Linux makes them, for Ethernet's frames and for larger ones. */
#define BUFFER_SMALL 1536u
#define BUFFER_LARGE 4096u
#define VERIFIED     64u

struct measure {
	const char *name;
	bool out;
	enum bench_frame_kind kind;
	uint32_t bytes;
	unsigned depth; /* frames in flight, or in a burst */
};

static const struct measure measures[] = {
	{"out-64-1", true, BENCH_FRAME_PLAIN, 64, 1},
	{"out-64", true, BENCH_FRAME_PLAIN, 64, DEPTH_MAX},
	{"out-1514", true, BENCH_FRAME_PLAIN, 1514, DEPTH_MAX},
	{"out-64k", true, BENCH_FRAME_SEGMENT, BENCH_FRAME_MAX, SEND_LARGE},
	{"in-64-1", false, BENCH_FRAME_PLAIN, 64, 1},
	{"in-64", false, BENCH_FRAME_PLAIN, 64, BENCH_PORT_BURST_MAX},
	{"in-1514", false, BENCH_FRAME_PLAIN, 1514, BENCH_PORT_BURST_MAX},
	{"in-64k", false, BENCH_FRAME_SEGMENT, BENCH_FRAME_MAX, 32},
};

struct net {
	struct bench_link link;
	struct bench_ring in, out;
	struct bench_port port;
	uint8_t mac[6];

	/* Out: each slot has a header and a frame behind it. */
	uint8_t *slots[DEPTH_MAX];
	unsigned slot_of[RING_SIZE]; /* by head */
	unsigned idle[DEPTH_MAX], idle_count;
	uint64_t submitted[DEPTH_MAX];

	/* In: buffers of BUFFER_LARGE, offered with as much of them as the measurement wants. */
	uint8_t *buffers[RING_SIZE];
	unsigned buffer_of[RING_SIZE]; /* by head */
	unsigned spare[RING_SIZE], spare_count;
	unsigned offered; /* buffers that the device has */

	/* A frame to send in, and one that was seen or received. */
	struct virtio_net_hdr header;
	uint8_t frame[BENCH_FRAME_MAX];
	uint8_t seen[BENCH_FRAME_MAX + 1];
};

static const uint8_t nobody[6] = {0x02, 0, 0, 0, 0, 0x01};

/* --- Out of the guest --- */

static void out_fill(struct net *net, const struct measure *measure, unsigned slot, uint32_t seed)
{
	struct virtio_net_hdr header;

	bench_frame_make(measure->kind, measure->bytes, nobody, seed, &header,
			 net->slots[slot] + HEADER_SIZE);
	memcpy(net->slots[slot], &header, HEADER_SIZE);
}

/* A small frame is one segment with its header; of a large one Linux has the headers in one piece and the rest in
 * pages, which mostly hang together. */
static void out_submit(struct net *net, const struct measure *measure, uint64_t now)
{
	unsigned slot = net->idle[--net->idle_count];
	uint8_t *at = net->slots[slot];
	uint32_t left = HEADER_SIZE + measure->bytes;
	struct bench_segment segments[BENCH_SEGMENTS_MAX];
	unsigned count = 0;

	if (measure->kind == BENCH_FRAME_SEGMENT) {
		segments[count++] = (struct bench_segment){at, HEADER_SIZE + net->header.hdr_len};
		at += segments[0].length;
		left -= segments[0].length;
	}
	for (; left > 0; at += segments[count++].length) {
		segments[count] = (struct bench_segment){at, left < SEND_PIECE ? left : SEND_PIECE};
		left -= segments[count].length;
	}
	net->submitted[slot] = now;
	net->slot_of[bench_ring_add(&net->out, segments, count, 0)] = slot;
}

static unsigned out_complete(struct net *net, const struct measure *measure, uint16_t head, uint32_t length)
{
	unsigned slot = net->slot_of[head];

	if (length != 0)
		bench_fail("%s: the device says that it wrote %u bytes into a frame that is sent",
			   measure->name, length);
	net->idle[net->idle_count++] = slot;
	return slot;
}

/* All that was sent since `before` has come out of the tap. */
static void out_arrived(const struct net *net, const struct measure *measure, struct bench_port_counts before,
			uint64_t frames)
{
	struct bench_port_counts now = bench_port_count(&net->port);
	uint32_t came = now.frames - before.frames;

	if (came != (uint32_t)frames)
		bench_fail("%s: of %llu frames sent (modulo 2^32) %u came out of the tap", measure->name,
			   (unsigned long long)frames, came);
	if (now.bytes - before.bytes != (uint32_t)(frames * measure->bytes))
		bench_fail("%s: the frames that came out of the tap are not of %u bytes", measure->name,
			   measure->bytes);
}

static void out_run(struct net *net, const struct measure *measure, uint64_t slice_ms,
		    struct bench_measured *measured)
{
	struct bench_port_counts before = bench_port_count(&net->port);
	uint64_t slice = bench_ticks_of_ms(slice_ms), now;
	unsigned flying = 0;

	bench_measure_start(measured);
	now = measured->ticks_start;
	while (flying > 0 || now - measured->ticks_start < slice) {
		uint32_t length;
		int head;

		while (flying < measure->depth && now - measured->ticks_start < slice) {
			out_submit(net, measure, now);
			flying++;
		}
		bench_ring_kick(&net->out);
		head = bench_ring_wait(&net->out, &length);
		now = bench_ticks();
		for (; head >= 0; head = bench_ring_take(&net->out, &length)) {
			unsigned slot = out_complete(net, measure, (uint16_t)head, length);

			if (measure->depth == 1)
				bench_latency_add(&measured->latencies, now - net->submitted[slot]);
			flying--;
			measured->requests++;
		}
	}
	measured->ticks = now - measured->ticks_start;
	out_arrived(net, measure, before, measured->requests);
}

static void out_verify(struct net *net, const struct measure *measure)
{
	struct virtio_net_hdr seen_header;

	/* The first slots alone have room for large frames. */
	for (net->idle_count = 0; net->idle_count < measure->depth; net->idle_count++) {
		net->idle[net->idle_count] = net->idle_count;
		out_fill(net, measure, net->idle_count, net->idle_count);
	}
	bench_port_see(&net->port);
	for (uint32_t seed = 0; seed < VERIFIED; seed++) {
		unsigned slot = net->idle[net->idle_count - 1];
		uint32_t length;
		uint16_t head;

		out_fill(net, measure, slot, seed);
		bench_frame_make(measure->kind, measure->bytes, nobody, seed, &net->header, net->frame);
		out_submit(net, measure, 0);
		bench_ring_kick(&net->out);
		head = bench_ring_wait(&net->out, &length);
		out_complete(net, measure, head, length);
		length = bench_port_seen(&net->port, &seen_header, net->seen, sizeof(net->seen));
		if (length != measure->bytes || memcmp(net->seen, net->frame, length) != 0 ||
		    seen_header.gso_type != net->header.gso_type ||
		    seen_header.gso_size != net->header.gso_size)
			bench_fail("%s: a frame of %u bytes came out of the tap as another one of %u",
				   measure->name, measure->bytes, length);
	}
	bench_port_look_away(&net->port);
}

/* --- Into the guest --- */

static uint32_t in_buffer_size(const struct measure *measure)
{
	return measure->kind == BENCH_FRAME_SEGMENT ? BUFFER_LARGE : BUFFER_SMALL;
}

static unsigned in_buffers_of_frame(const struct measure *measure)
{
	uint32_t size = in_buffer_size(measure);

	return (HEADER_SIZE + measure->bytes + size - 1) / size;
}

/* Gives the device all buffers that it does not have. */
static void in_offer(struct net *net, const struct measure *measure)
{
	while (net->spare_count > 0) {
		unsigned buffer = net->spare[--net->spare_count];
		struct bench_segment segment = {net->buffers[buffer], in_buffer_size(measure)};

		net->buffer_of[bench_ring_add(&net->in, &segment, 0, 1)] = buffer;
		net->offered++;
	}
}

/* One buffer that the device filled; it is spare again. */
static uint8_t *in_take(struct net *net, uint32_t *length)
{
	unsigned buffer = net->buffer_of[bench_ring_wait(&net->in, length)];

	net->spare[net->spare_count++] = buffer;
	net->offered--;
	return net->buffers[buffer];
}

/* The next frame, which must have the right length; copied to net->seen if it is to be kept. */
static struct virtio_net_hdr in_receive(struct net *net, const struct measure *measure, bool keep)
{
	struct virtio_net_hdr header;
	uint32_t length, total;
	uint8_t *buffer = in_take(net, &length);

	memcpy(&header, buffer, sizeof(header));
	if (length < HEADER_SIZE || header.num_buffers == 0)
		bench_fail("%s: a frame came without its header", measure->name);
	buffer += HEADER_SIZE;
	length -= HEADER_SIZE;
	for (total = 0;; buffer = in_take(net, &length)) {
		if (total + length > measure->bytes)
			bench_fail("%s: a frame of %u bytes came in with more", measure->name,
				   measure->bytes);
		if (keep)
			memcpy(net->seen + total, buffer, length);
		total += length;
		if (--header.num_buffers == 0)
			break;
	}
	if (total != measure->bytes)
		bench_fail("%s: a frame of %u bytes came in with %u", measure->name, measure->bytes, total);
	return header;
}

static void in_send(struct net *net, const struct measure *measure, unsigned count)
{
	bench_port_send(&net->port, &net->header, net->frame, measure->bytes, count);
}

/* Leaves the device without a buffer, or with too few of them for a frame. */
static void in_starve(struct net *net, const struct measure *measure)
{
	unsigned room;

	while ((room = net->offered / in_buffers_of_frame(measure)) > 0) {
		unsigned count = room < measure->depth ? room : measure->depth;

		in_send(net, measure, count);
		while (count-- > 0)
			in_receive(net, measure, false);
	}
}

/* Bursts. *calls counts what the device called in them, if that is wanted. */
static void in_run(struct net *net, const struct measure *measure, uint64_t slice_ms, uint64_t *calls,
		   struct bench_measured *measured)
{
	uint64_t slice = bench_ticks_of_ms(slice_ms), start, calls_before = 0;

	bench_measure_start(measured);
	do {
		in_starve(net, measure);
		in_send(net, measure, measure->depth);
		bench_ring_wait_starved(&net->in);
		in_offer(net, measure);
		if (calls != NULL)
			calls_before = bench_calls_read();
		start = bench_ticks();
		bench_ring_kick(&net->in);
		for (unsigned i = 0; i < measure->depth; i++)
			in_receive(net, measure, false);
		measured->ticks += bench_ticks() - start;
		measured->requests += measure->depth;
		if (calls != NULL)
			*calls += bench_calls_read() - calls_before;
	} while (measured->ticks < slice);
}

/* One frame at a time, and always buffers for it. */
static void in_run_single(struct net *net, const struct measure *measure, uint64_t slice_ms,
			  struct bench_measured *measured)
{
	uint64_t slice = bench_ticks_of_ms(slice_ms), now;

	bench_measure_start(measured);
	do {
		uint64_t start;

		in_offer(net, measure);
		bench_ring_kick(&net->in);
		start = bench_ticks();
		in_send(net, measure, 1);
		in_receive(net, measure, false);
		now = bench_ticks();
		bench_latency_add(&measured->latencies, now - start);
		measured->ticks += now - start;
		measured->requests++;
	} while (now - measured->ticks_start < slice);
}

static void in_verify(struct net *net, const struct measure *measure)
{
	for (uint32_t seed = 0; seed < VERIFIED; seed++) {
		struct virtio_net_hdr header;

		bench_frame_make(measure->kind, measure->bytes, net->mac, seed, &net->header, net->frame);
		in_offer(net, measure);
		bench_ring_kick(&net->in);
		in_send(net, measure, 1);
		header = in_receive(net, measure, true);
		if (memcmp(net->seen, net->frame, measure->bytes) != 0 ||
		    header.gso_type != net->header.gso_type || header.gso_size != net->header.gso_size)
			bench_fail("%s: a frame came in as another one", measure->name);
	}
}

/* --- Both --- */

static void net_run(struct net *net, const struct measure *measure, uint64_t slice_ms, uint64_t *calls,
		    struct bench_measured *measured)
{
	uint64_t before = 0;

	if (!measure->out && measure->depth > 1) {
		in_run(net, measure, slice_ms, calls, measured);
		return;
	}
	if (calls != NULL)
		before = bench_calls_read();
	if (measure->out)
		out_run(net, measure, slice_ms, measured);
	else
		in_run_single(net, measure, slice_ms, measured);
	if (calls != NULL)
		*calls = bench_calls_read() - before;
}

static void net_measure(struct net *net, const struct measure *measure, const struct bench_slices *slices)
{
	static struct bench_measured measured;
	double calls_each = -1;

	if (measure->out)
		out_verify(net, measure);
	else
		in_verify(net, measure);
	if (bench_calls_wanted(&slices->calls)) {
		uint64_t calls = 0;

		bench_calls_start(&slices->calls);
		net_run(net, measure, slices->counted_ms, &calls, &measured);
		bench_calls_stop();
		calls_each = measured.requests > 0 ? (double)calls / (double)measured.requests : 0;
	}
	net_run(net, measure, slices->timed_ms, NULL, &measured);
	bench_measure_print(measure->name, &measured, calls_each);
}

static void net_start(struct net *net, const char *socket_path, const char *tap)
{
	struct virtio_net_config config;

	bench_port_open(&net->port, tap);
	bench_link_open(&net->link, socket_path, MEMORY);
	if (vhost_user_frontend_get_config(net->link.frontend, 0, &config, sizeof(config)) < 0)
		bench_fail("the device does not tell its MAC address");
	memcpy(net->mac, config.mac, sizeof(net->mac));
	bench_link_negotiate(&net->link,
			     VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
				     VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_NET_F_MAC) |
				     VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_BIT(VIRTIO_NET_F_CSUM) |
				     VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4) |
				     VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |
				     VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4),
			     2, RING_SIZE);
	bench_link_start_ring(&net->link, VIRTIO_NET_QUEUE_RX, RING_SIZE, "the receive ring", &net->in);
	bench_link_start_ring(&net->link, VIRTIO_NET_QUEUE_TX, RING_SIZE, "the send ring", &net->out);
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		net->slots[i] = bench_link_memory(&net->link, i < SEND_LARGE ? SLOT_LARGE : SLOT_SMALL);
	for (unsigned i = 0; i < RING_SIZE; i++) {
		net->buffers[i] = bench_link_memory(&net->link, BUFFER_LARGE);
		net->spare[net->spare_count++] = i;
	}
}

void bench_net(const char *socket_path, const char *tap, const struct bench_slices *slices)
{
	static struct net net;

	net_start(&net, socket_path, tap);
	for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
		net_measure(&net, &measures[i], slices);
}
