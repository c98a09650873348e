/*
 * The back-end half of vfio-user against a stream of any bytes. The first byte of the input says how the
 * stream is cut into pieces; a proper version message comes first unless its top bit is set, so that the
 * fuzzer need not find one.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/vfio-user/vfio_user_backend.h"

struct bench {
	struct vfio_user_backend *backend;
	uint8_t registers[32];
};

static int device_read(void *device, uint32_t region, uint64_t offset, void *data, uint32_t count)
{
	struct bench *bench = device;

	if (region > 1 || offset + count > sizeof(bench->registers))
		abort();
	memcpy(data, bench->registers + offset, count);
	return 0;
}

static int device_write(void *device, uint32_t region, uint64_t offset, const void *data, uint32_t count)
{
	struct bench *bench = device;

	if (region != 0 || offset + count > sizeof(bench->registers))
		abort();
	memcpy(bench->registers + offset, data, count);
	if (bench->registers[0] & 1)
		vfio_user_backend_interrupt(bench->backend, 1);
	return bench->registers[0] & 2 ? -5 : 0;
}

static void device_reset(void *device)
{
	memset(((struct bench *)device)->registers, 0, sizeof(((struct bench *)device)->registers));
}

static void device_session_end(void *device, int error)
{
	struct bench *bench = device;

	(void)error;
	vfio_user_backend_free(bench->backend);
	bench->backend = NULL;
}

static const struct vfio_user_device_ops device_ops = {
	.device_flags = VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET,
	.region_count = 2,
	.regions = {{32, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE},
		    {8, VFIO_REGION_INFO_FLAG_READ}},
	.irq_count = 2,
	.region_read = device_read,
	.region_write = device_write,
	.reset = device_reset,
	.session_end = device_session_end,
};

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

static void send_version(int socket_fd)
{
	static const char text[] = "{\"capabilities\":{\"write_multiple\":true}}";
	struct vfio_user_header header = {.command = VFIO_USER_VERSION,
					  .message_size = sizeof(header) + sizeof(struct vfio_user_version) +
							  sizeof(text)};
	struct vfio_user_version version = {VFIO_USER_VERSION_MAJOR, VFIO_USER_VERSION_MINOR};
	struct iovec iov[] = {
		{&header, sizeof(header)}, {&version, sizeof(version)}, {(void *)text, sizeof(text)}};

	fd_send(socket_fd, iov, 3, NULL, 0, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct bench bench = {0};
	uint8_t sink[16384];
	size_t piece;
	int pair[2];

	if (size < 1 || size > 16384)
		return 0;
	if (loop == NULL) {
		loop = loop_new();
		log_set_sink(ignore_log, NULL);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	if (vfio_user_backend_new(loop, pair[1], &device_ops, &bench, &bench.backend) < 0)
		abort();
	if (!(data[0] & 0x80))
		send_version(pair[0]);
	piece = (data[0] & 0x3f) == 0 ? size : (data[0] & 0x3fu) * 8;
	for (size_t sent = 1; sent < size && bench.backend != NULL; sent += piece) {
		struct iovec iov = {(void *)(data + sent), size - sent < piece ? size - sent : piece};
		int fds[2] = {eventfd(0, EFD_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC)};

		fd_send(pair[0], &iov, 1, fds, data[0] & 0x40 ? 1 + (sent & 1) : 0, MSG_DONTWAIT);
		fds_close(fds, 2);
		for (int turn = 0; turn < 3 && bench.backend != NULL; turn++)
			loop_run_once(loop, 0);
		while (recv(pair[0], sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
	if (bench.backend != NULL)
		vfio_user_backend_drain(bench.backend);
	vfio_user_backend_free(bench.backend);
	close(pair[0]);
	return 0;
}
