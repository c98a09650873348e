/*
 * virtio-net, the driver's side.
 */
#include "tests/guest/lib/net.h"

#define RX_SIZE_MAX 2048u

bool net_find(unsigned nth, struct net *net)
{
	memset(net, 0, sizeof(*net));
	return virtio_find(VIRTIO_ID_NET, nth, &net->device);
}

static void rx_give(struct net *net, int buffer)
{
	struct segment segment = {net->rx_memory + (uint32_t)buffer * RX_SIZE_MAX, net->rx_size};
	int head = virtqueue_add(&net->rx, &segment, 0, 1);

	net->rx_buffer[head] = buffer;
}

bool net_start(struct net *net, uint64_t wanted, uint32_t rx_size)
{
	int i;

	if (!virtio_negotiate(&net->device, wanted))
		return false;
	if (!virtqueue_setup(&net->rx, &net->device, 0, NET_RX_BUFFERS) ||
	    !virtqueue_setup(&net->tx, &net->device, 1, 64))
		return false;
	if (virtio_has(&net->device, NET_F_CTRL_VQ) && !virtqueue_setup(&net->control, &net->device, 2, 16))
		return false;
	if (!net->frame) {
		net->frame = memory_get(NET_FRAME_MAX + 64, 64);
		net->rx_memory = memory_get(NET_RX_BUFFERS * RX_SIZE_MAX, 4096);
		net->tx_memory = memory_get(NET_FRAME_MAX + 64, 64);
	}
	net->rx_size = rx_size;
	virtio_config_read(&net->device, NET_CONFIG_MAC, net->mac, sizeof(net->mac));
	virtio_start(&net->device);
	for (i = 0; i < NET_RX_BUFFERS && net->rx.free_count; i++)
		rx_give(net, i);
	virtqueue_kick(&net->rx);
	return true;
}

bool net_send(struct net *net, const struct net_header *header, const void *frame, uint32_t length,
	      unsigned parts)
{
	struct segment segments[8];
	uint32_t total = (uint32_t)sizeof(*header) + length, at = 0;
	unsigned i;

	memcpy(net->tx_memory, header, sizeof(*header));
	memcpy(net->tx_memory + sizeof(*header), frame, length);
	for (i = 0; i < parts; i++) {
		uint32_t size = i + 1 < parts ? total / parts : total - at;

		segments[i] = (struct segment){net->tx_memory + at, size};
		at += size;
	}
	if (virtqueue_add(&net->tx, segments, parts, 0) < 0)
		return false;
	virtqueue_kick(&net->tx);
	return virtqueue_wait(&net->tx, NULL, 2) >= 0;
}

/* One used buffer's bytes; false: none came. */
static bool rx_take(struct net *net, unsigned milliseconds, uint8_t **bytes, uint32_t *length, int *buffer)
{
	int head = -1;

	WAIT_UNTIL((head = virtqueue_take(&net->rx, length)) >= 0, milliseconds / 1000);
	if (head < 0) {
		uint64_t deadline = ticks() + (milliseconds % 1000) * (TICKS_PER_SECOND / 1000);

		while (head < 0 && ticks() < deadline)
			head = virtqueue_take(&net->rx, length);
	}
	if (head < 0)
		return false;
	*buffer = net->rx_buffer[head];
	*bytes = net->rx_memory + (uint32_t)*buffer * RX_SIZE_MAX;
	if (*length > net->rx_size)
		guest_fail("a receive buffer of %u bytes was filled with %u", net->rx_size, *length);
	return true;
}

bool net_receive(struct net *net, unsigned milliseconds)
{
	uint32_t length;
	uint8_t *bytes;
	unsigned i;
	int buffer;

	if (!rx_take(net, milliseconds, &bytes, &length, &buffer))
		return false;
	if (length < sizeof(net->header))
		guest_fail("a received frame has no header: %u bytes", length);
	memcpy(&net->header, bytes, sizeof(net->header));
	net->length = length - (uint32_t)sizeof(net->header);
	memcpy(net->frame, bytes + sizeof(net->header), net->length);
	rx_give(net, buffer);
	net->buffers = virtio_has(&net->device, NET_F_MRG_RXBUF) ? net->header.num_buffers : 1;
	for (i = 1; i < net->buffers; i++) {
		if (!rx_take(net, 100, &bytes, &length, &buffer))
			guest_fail("a frame of %u buffers ends after %u", net->buffers, i);
		if (net->length + length > NET_FRAME_MAX)
			guest_fail("a received frame has more than %u bytes", NET_FRAME_MAX);
		memcpy(net->frame + net->length, bytes, length);
		net->length += length;
		rx_give(net, buffer);
	}
	virtqueue_kick(&net->rx);
	return true;
}

uint8_t net_control(struct net *net, uint8_t class, uint8_t command, const void *data, uint32_t length)
{
	static uint8_t kind[2];
	static volatile uint8_t ack;
	struct segment segments[3] = {{kind, 2}, {data, length}, {&ack, 1}};

	kind[0] = class;
	kind[1] = command;
	ack = NET_NO_ACK;
	if (!length)
		segments[1] = segments[2];
	virtqueue_add(&net->control, segments, length ? 2 : 1, 1);
	virtqueue_kick(&net->control);
	virtqueue_wait(&net->control, NULL, 5);
	return ack;
}
