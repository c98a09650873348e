/*
 * Any packets on the control wire, with any number of descriptors: each is refused or taken; one that is
 * taken has a body and the descriptors that it names, and packs into bytes that mean the same; nothing stays
 * open.
 *
 * Input: records of a byte with the number of descriptors (low five bits) and whether zeros without end follow
 * (bit 7), two bytes with a size, and the packet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/control_wire.h"
#include "common/base/fd_passing.h"
#include "tests/fuzz/fuzz_support.h"

#define PADDING CONTROL_FRAME_MAX

static uint8_t packet[65536 + PADDING];

static bool send_packet(int socket_fd, const uint8_t *data, size_t size, unsigned fd_count, bool padded)
{
	struct iovec iov = {.iov_base = packet, .iov_len = size + (padded ? PADDING : 0)};
	int fds[32];

	memcpy(packet, data, size);
	if (padded)
		memset(packet + size, 0, PADDING);
	for (unsigned i = 0; i < 32; i++)
		fds[i] = STDERR_FILENO;
	return fd_send(socket_fd, &iov, 1, fds, fd_count, 0) == (ssize_t)iov.iov_len;
}

/*
 * What was read packs, and what is read from that packs into the same bytes. Fields that we do not know are kept
 * by protobuf-c as they came, even with a number that no field can have; those it does not read a second time.
 */
static void check_round_trip(const Atoll__Control__Envelope *envelope, size_t fd_count)
{
	static uint8_t first[CONTROL_FRAME_MAX], second[CONTROL_FRAME_MAX];
	Atoll__Control__Envelope *again;
	size_t first_size, second_size;
	int result = control_frame_pack(envelope, first, &first_size);

	/* An enumeration below zero takes more room than a peer may have sent it in. */
	fuzz_require(result == 0 || result == -EMSGSIZE);
	if (result < 0)
		return;
	result = control_frame_unpack(first, first_size, fd_count, &again);
	fuzz_require(result == 0 || result == -EPROTO);
	if (result < 0)
		return;
	fuzz_require(again->body_case == envelope->body_case && again->serial == envelope->serial);
	fuzz_require(control_frame_pack(again, second, &second_size) == 0);
	fuzz_require(first_size == second_size && memcmp(first, second, first_size) == 0);
	atoll__control__envelope__free_unpacked(again, NULL);
}

static void receive(int socket_fd, unsigned fd_count, size_t size)
{
	struct control_message message;
	int result = control_receive(socket_fd, &message);

	if (result != 1) {
		/* A packet of nothing looks like the end. */
		fuzz_require(result == (size == 0 ? 0 : -EPROTO));
		fuzz_require(message.envelope == NULL && message.fd_count == 0);
		return;
	}
	fuzz_require(size <= CONTROL_FRAME_MAX && message.fd_count == fd_count);
	fuzz_require(message.envelope->fd_count == fd_count &&
		     message.envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY__NOT_SET);
	check_round_trip(message.envelope, fd_count);
	control_message_clear(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int pair[2] = {-1, -1};
	struct fuzz_input input = {data, size};
	int first_fd;

	if (pair[0] < 0)
		fuzz_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ==
			     0);
	first_fd = fuzz_next_fd();
	while (input.size > 0) {
		uint8_t kind = fuzz_take_u8(&input);
		size_t wanted = fuzz_take_u16(&input), length;
		const uint8_t *bytes = fuzz_take(&input, wanted, &length);
		bool padded = (kind & 0x80) != 0;

		if (!send_packet(pair[0], bytes, length, kind & 0x1f, padded))
			break;
		receive(pair[1], kind & 0x1f, length + (padded ? PADDING : 0));
		/* What was refused for its size is still there. */
		fuzz_drain(pair[1]);
		if (length == 0)
			recv(pair[1], packet, 1, MSG_DONTWAIT);
	}
	fuzz_require(fuzz_next_fd() == first_fd);
	return 0;
}
