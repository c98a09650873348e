/* What the tests of atoll-net say and expect to hear: see net_talk.h. */
#include "tests/unit/net_talk.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct net_guest guest;
uint8_t wire[NET_HEADER_SIZE + NET_FRAME_MAX + 64];
uint8_t sent[NET_FRAME_MAX + 64];

const uint8_t own[] = {0x52, 0x54, 0, 0, 0, 1};
const uint8_t other[] = {0x52, 0x54, 0, 0, 0, 2};
const uint8_t group[] = {0x01, 0x00, 0x5e, 0, 0, 1};
const uint8_t everybody[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

uint64_t counter(enum net_counter which)
{
	return guest.device.port.counters[which];
}

int teardown(void **state)
{
	(void)state;
	guest_stop(&guest);
	return 0;
}

/* A frame of this size, told from others by its mark. */
const uint8_t *frame_make(const uint8_t *address, size_t size, uint8_t mark)
{
	for (size_t i = 0; i < size; i++)
		sent[i] = (uint8_t)(mark + i * 7 + (i >> 8));
	memcpy(sent, address, size < 6 ? size : 6);
	if (size > 13) {
		sent[12] = 0x08;
		sent[13] = 0;
	}
	return sent;
}

/* --- The wire's side --- */

void wire_send(const struct virtio_net_hdr *header, const void *frame, size_t size)
{
	memcpy(wire, header, sizeof(*header));
	memcpy(wire + NET_HEADER_SIZE, frame, size);
	assert_int_equal(send(guest.wire, wire, NET_HEADER_SIZE + size, 0),
			 (ssize_t)(NET_HEADER_SIZE + size));
}

void wire_send_plain(const uint8_t *address, size_t size, uint8_t mark)
{
	wire_send(&(struct virtio_net_hdr){0}, frame_make(address, size, mark), size);
	guest_settle(&guest);
}

/* The next frame that the device wrote, with its header, into wire[]; -1 when there is none. */
ssize_t wire_receive(void)
{
	return recv(guest.wire, wire, sizeof(wire), 0);
}

void expect_on_wire(const uint8_t *address, size_t size, uint8_t mark)
{
	assert_int_equal(wire_receive(), (ssize_t)(NET_HEADER_SIZE + size));
	assert_memory_equal(wire + NET_HEADER_SIZE, frame_make(address, size, mark), size);
}

void expect_silence(void)
{
	assert_int_equal(wire_receive(), -1);
	assert_int_equal(errno, EAGAIN);
}

/* --- The guest's side --- */

void transmit_offer(const struct virtio_net_hdr *header, const void *frame, uint32_t size)
{
	memcpy(guest_out(&guest, TX, guest_buffer(&guest, NET_HEADER_SIZE), NET_HEADER_SIZE), header,
	       NET_HEADER_SIZE);
	if (size > 0)
		memcpy(guest_out(&guest, TX, guest_buffer(&guest, size), size), frame, size);
	guest_offer(&guest, TX);
}

void transmit(const struct virtio_net_hdr *header, const void *frame, uint32_t size)
{
	transmit_offer(header, frame, size);
	guest_kick(&guest, TX);
	guest_settle(&guest);
}

void transmit_plain(const uint8_t *address, uint32_t size, uint8_t mark)
{
	transmit(&(struct virtio_net_hdr){0}, frame_make(address, size, mark), size);
}

void expect_used(uint16_t queue, uint32_t length)
{
	uint32_t id, found;

	assert_true(guest_used(&guest, queue, &id, &found));
	assert_int_equal(found, length);
}

void expect_nothing_used(uint16_t queue)
{
	uint32_t id, length;

	assert_false(guest_used(&guest, queue, &id, &length));
}

/* A receive buffer of this many bytes; returns its address. */
uint32_t receive_offer(uint32_t size)
{
	uint32_t address = guest_buffer(&guest, size);

	memset(guest_in(&guest, RX, address, size), 0xee, size);
	guest_offer(&guest, RX);
	return address;
}

uint32_t receive_offer_now(uint32_t size)
{
	uint32_t address = receive_offer(size);

	guest_kick(&guest, RX);
	guest_settle(&guest);
	return address;
}

/* The frame arrived in the one buffer at address. */
void expect_received(uint32_t address, const uint8_t *destination, size_t size, uint8_t mark)
{
	struct virtio_net_hdr header;

	expect_used(RX, (uint32_t)(NET_HEADER_SIZE + size));
	memcpy(&header, guest.base + address, sizeof(header));
	assert_int_equal(header.num_buffers, 1);
	assert_memory_equal(guest.base + address + NET_HEADER_SIZE, frame_make(destination, size, mark),
			    size);
}

/* A command, and whether the device took it. */
bool command(uint8_t class, uint8_t number, const void *data, uint32_t size)
{
	uint64_t commands = counter(NET_COUNTER_CONTROL_COMMANDS),
		 refused = counter(NET_COUNTER_CONTROL_REFUSED);
	uint8_t *head = guest_out(&guest, CONTROL, guest_buffer(&guest, 2), 2);
	uint8_t *answer;

	head[0] = class;
	head[1] = number;
	if (size > 0)
		memcpy(guest_out(&guest, CONTROL, guest_buffer(&guest, size), size), data, size);
	answer = guest_in(&guest, CONTROL, guest_buffer(&guest, 1), 1);
	*answer = 0xee;
	guest_offer(&guest, CONTROL);
	guest_kick(&guest, CONTROL);
	guest_settle(&guest);
	expect_used(CONTROL, 1);
	assert_true(*answer == VIRTIO_NET_OK || *answer == VIRTIO_NET_ERR);
	assert_int_equal(counter(NET_COUNTER_CONTROL_COMMANDS), commands + 1);
	assert_int_equal(counter(NET_COUNTER_CONTROL_REFUSED), refused + *answer);
	return *answer == VIRTIO_NET_OK;
}

bool mode(uint8_t number, uint8_t on)
{
	return command(VIRTIO_NET_CTRL_RX, number, &on, 1);
}

struct virtio_net_config config(void)
{
	struct virtio_net_config values;

	guest.device.ops.get_config(&guest.device, (uint8_t *)&values);
	return values;
}
