/*
 * Hostile requests: all of guest memory, rings and buffers alike, is the input's. Each chain is parsed and
 * carried out against a small image, with a host that fails or does half as the input says. Held to it:
 * operations stay within the image, statuses are the specification's and lie in guest memory, every request
 * ends, and a read-only image is never written.
 *
 * Input: features, host, mode (one byte each), one unused, then guest memory from address 0.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/spec/virtio_spec.h"
#include "dev-blk/blk_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_BYTES 65536u
#define IMAGE_BYTES  65536u
#define QUEUE_SIZE   16
#define AVAILABLE_AT 256
#define USED_AT	     304
#define CHAINS_MAX   64
#define STEPS_MAX    4096

enum host_mode {
	HOST_WORKS,
	HOST_FAILS,	  /* each third operation */
	HOST_UNSUPPORTED, /* fallocate and RWF_DSYNC */
	HOST_SHORT,	  /* half of what was asked */
	HOST_MODES,
};

static struct guest_memory memory;
static uint8_t *base;
static int image_fd = -1;
static struct iovec large_iov[VIRTQUEUE_IOV_MAX];

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void make_host(void)
{
	int memory_fd;

	if (image_fd >= 0)
		return;
	log_set_level(LOG_LEVEL_ERROR);
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	image_fd = memfd_create("image", MFD_CLOEXEC);
	require(memory_fd >= 0 && image_fd >= 0);
	require(ftruncate(memory_fd, MEMORY_BYTES) == 0);
	guest_memory_init(&memory);
	/* Two regions, so that buffers lie across. */
	for (uint64_t at = 0; at < MEMORY_BYTES; at += MEMORY_BYTES / 2)
		require(guest_memory_add(&memory, at, MEMORY_BYTES / 2, at, at, memory_fd) == 0);
	base = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	require(base != MAP_FAILED);
	close(memory_fd);
}

static uint64_t io_bytes(const struct blk_io *io)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < io->iov_count; i++)
		bytes += io->iov[i].iov_len;
	return bytes;
}

static void check_io(const struct blk_io *io, bool readonly)
{
	uint64_t bytes;

	if (io->kind == BLK_IO_SYNC)
		return;
	require(!readonly || io->kind == BLK_IO_READ);
	bytes = io->kind == BLK_IO_ALLOCATE ? io->length : io_bytes(io);
	require(bytes > 0 && io->offset <= IMAGE_BYTES && bytes <= IMAGE_BYTES - io->offset);
	require(io->kind == BLK_IO_ALLOCATE || (io->iov_count > 0 && io->iov_count <= VIRTQUEUE_IOV_MAX));
}

static void carry_out(struct blk_io *io, enum host_mode host, unsigned step)
{
	if (host == HOST_FAILS && step % 3 == 2) {
		io->result = -EIO;
		return;
	}
	if (host == HOST_UNSUPPORTED && (io->kind == BLK_IO_ALLOCATE || io->stable)) {
		io->result = -EOPNOTSUPP;
		return;
	}
	blk_io_execute(image_fd, io);
	/* As if the rest had not been done. */
	if (host == HOST_SHORT && io->result > 1 && io->kind != BLK_IO_ALLOCATE)
		io->result /= 2;
}

static void run_request(struct blk_request *request, struct blk_disk *disk, int step, enum host_mode host)
{
	unsigned steps = 0;

	while (step == BLK_STEP_IO) {
		require(steps < STEPS_MAX);
		check_io(&request->io, disk->readonly);
		carry_out(&request->io, host, steps++);
		step = blk_request_advance(request, disk);
	}
	require(request->status <= VIRTIO_BLK_S_UNSUPP);
	blk_request_finish(request);
}

static void run_queue(struct virtqueue *queue, struct blk_disk *disk, enum host_mode host)
{
	static struct virtqueue_chain chain;
	struct blk_request request = {.large_iov = large_iov};

	for (int i = 0; i < CHAINS_MAX && virtqueue_pop(queue, &chain) == 1; i++) {
		int step = blk_request_parse(&request, &chain, disk);

		if (step < 0) {
			require(step == -EPROTO && chain.in_bytes == 0);
			virtqueue_rewind(queue, &chain.token);
			virtqueue_break(queue, "no status");
			break;
		}
		run_request(&request, disk, step, host);
		require(request.written <= chain.in_bytes);
		virtqueue_push(queue, &request.token, request.written);
	}
	virtqueue_complete(queue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtqueue_setup setup = {
		.memory = &memory,
		.size = QUEUE_SIZE,
		.features = VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX),
		.kick_fd = -1,
		.call_fd = -1,
	};
	struct blk_disk disk;
	struct virtqueue *queue;
	const char *problem;
	bool readonly;

	if (size < 4 || size - 4 > MEMORY_BYTES)
		return -1;
	make_host();
	readonly = data[2] & 1;
	require(ftruncate(image_fd, 0) == 0 && ftruncate(image_fd, IMAGE_BYTES) == 0);
	require(blk_disk_init(&disk, image_fd, readonly, 1, "fuzz", &problem) == 0);
	blk_disk_negotiate(&disk, (data[0] & 1 ? VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) : 0) |
					  (data[0] & 2 ? VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) : 0) |
					  (data[0] & 4 ? VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) : 0) |
					  (data[0] & 8 ? VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) : 0));
	memset(base, 0, MEMORY_BYTES);
	memcpy(base, data + 4, size - 4);
	setup.descriptor_table = guest_memory_range(&memory, 0, AVAILABLE_AT);
	setup.available_ring = guest_memory_range(&memory, AVAILABLE_AT, USED_AT - AVAILABLE_AT);
	setup.used_ring = guest_memory_range(&memory, USED_AT, 6 + 8 * QUEUE_SIZE);
	require(virtqueue_new(&setup, &queue) == 0);
	run_queue(queue, &disk, (enum host_mode)(data[1] % HOST_MODES));
	virtqueue_free(queue);
	require(lseek(image_fd, 0, SEEK_END) == IMAGE_BYTES);
	if (readonly)
		require(lseek(image_fd, 0, SEEK_DATA) < 0 && errno == ENXIO);
	return 0;
}
