/*
 * atoll-blk's device, driven as a guest does: every request type, the edges of each, and what happens when
 * the host fails. Each test runs with both engines. The image is a memfd, which a test may seal or cut under
 * the device.
 *
 * The host's calls go through wrappers here (ld --wrap), so that a test can make them fail, do less than
 * asked, or count them. Operations on the io_uring itself do not; what is tested with wrappers alone is run
 * with the sync engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "common/spec/vhost_user_spec.h"
#include "tests/unit/blk_guest.h"

#define WRITEBACK_AT  ((uint32_t)offsetof(struct virtio_blk_config, writeback))
#define IMAGE_BYTES   (4u << 20)
#define IMAGE_SECTORS (IMAGE_BYTES / 512)

#define ALL_FEATURES                                                         \
	(VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | \
	 VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE))

static enum blk_engine_kind engine;

/* --- The host, wrapped --- */

static atomic_int host_syncs, host_stable_writes;
static atomic_int host_sync_error;     /* the next fdatasync fails with it */
static atomic_size_t host_write_limit; /* a write does at most this; 0: no limit */
static atomic_size_t host_read_limit;
static atomic_int host_dsync_refused; /* RWF_DSYNC is not supported */

static void (*host_during_write)(void); /* called once, in a write that is being done */
static void (*host_in_writes)(void);	/* called in each */
static atomic_bool host_sync_held;	/* an fdatasync waits until it is false */

static atomic_bool asked_in_submit; /* the next submission finds the driver choosing write-through */

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __real_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);

/* Witnesses are told once each, by their inodes: each is another file here. */
static atomic_int witness_syncs, witness_errors[DISK_WITNESSES];

static int witness_of(int fd)
{
	struct stat own, other;

	for (int i = 0; i < DISK_WITNESSES && guest_witnesses[i] >= 0; i++)
		if (fstat(fd, &own) == 0 && fstat(guest_witnesses[i], &other) == 0 &&
		    own.st_ino == other.st_ino)
			return i;
	return -1;
}

static bool is_witness(int fd)
{
	return witness_of(fd) >= 0;
}

static int witness_sync(int fd)
{
	atomic_fetch_add(&witness_syncs, 1);
	/* The kernel has told it. */
	errno = atomic_exchange(&witness_errors[witness_of(fd)], 0);
	return errno != 0 ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
	int error = atomic_exchange(&host_sync_error, 0);

	if (is_witness(fd))
		return witness_sync(fd);
	atomic_fetch_add(&host_syncs, 1);
	while (atomic_load(&host_sync_held))
		usleep(1000);
	if (error != 0) {
		errno = error;
		return -1;
	}
	return __real_fdatasync(fd);
}

/* At most `limit` bytes of the vector's first element. */
static struct iovec first_bytes(const struct iovec *iov, size_t limit)
{
	return (struct iovec){.iov_base = iov->iov_base,
			      .iov_len = iov->iov_len < limit ? iov->iov_len : limit};
}

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	size_t limit = atomic_load(&host_write_limit);

	if (host_during_write != NULL) {
		void (*during)(void) = host_during_write;

		host_during_write = NULL;
		during();
	}
	if (host_in_writes != NULL)
		host_in_writes();
	if (flags & RWF_DSYNC) {
		if (atomic_load(&host_dsync_refused)) {
			errno = EOPNOTSUPP;
			return -1;
		}
		atomic_fetch_add(&host_stable_writes, 1);
	}
	if (limit != 0) {
		struct iovec less = first_bytes(iov, limit);

		return __real_pwritev2(fd, &less, 1, offset, flags);
	}
	return __real_pwritev2(fd, iov, count, offset, flags);
}

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	size_t limit = atomic_load(&host_read_limit);

	if (limit != 0) {
		struct iovec less = first_bytes(iov, limit);

		return __real_preadv2(fd, &less, 1, offset, flags);
	}
	return __real_preadv2(fd, iov, count, offset, flags);
}

static void host_reset(void)
{
	host_syncs = host_stable_writes = host_sync_error = host_dsync_refused = 0;
	host_write_limit = host_read_limit = 0;
	host_during_write = host_in_writes = NULL;
	host_sync_held = false;
}

/* --- The log --- */

static struct {
	atomic_uint count;
	char last[LOG_TEXT_MAX];
} records;

static void record(const struct log_record *one, void *argument)
{
	(void)argument;
	strcpy(records.last, one->text);
	atomic_fetch_add(&records.count, 1);
}

/* --- The fixture --- */

static struct guest guest;
static int image_fd; /* our own description of the image */

/* A process over the image. */
static void start_process(uint64_t features, bool readonly, uint16_t ring_size)
{
	char path[64];
	int device_fd;

	host_reset();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", image_fd);
	device_fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	assert_true(device_fd >= 0);
	guest_start(&guest, device_fd, readonly, features, engine, ring_size);
}

static void start(uint64_t features, bool readonly, uint16_t ring_size)
{
	image_fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(image_fd >= 0);
	assert_int_equal(ftruncate(image_fd, IMAGE_BYTES), 0);
	start_process(features, readonly, ring_size);
}

static int setup(void **state)
{
	(void)state;
	start(ALL_FEATURES, false, 256);
	return 0;
}

static int setup_state(void **state)
{
	(void)state;
	assert_int_equal(state_page_create(&guest_state_fd), 0);
	guest_resume = false;
	start(ALL_FEATURES, false, 256);
	return 0;
}

/* This process ends, without a word, and the next one is there. resume: the VM goes on meanwhile. */
static void succeed(bool resume)
{
	guest_stop(&guest);
	guest_resume = resume;
	start_process(ALL_FEATURES, false, 256);
}

static int setup_readonly(void **state)
{
	(void)state;
	start(VIRTIO_BIT(VIRTIO_BLK_F_FLUSH), true, 256);
	return 0;
}

static int setup_no_features(void **state)
{
	(void)state;
	start(0, false, 256);
	return 0;
}

static int setup_ring_features(void **state)
{
	(void)state;
	start(ALL_FEATURES | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), false, 64);
	return 0;
}

static int setup_large_ring(void **state)
{
	(void)state;
	start(ALL_FEATURES, false, 4096);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_stop(&guest);
	close(image_fd);
	if (guest_state_fd >= 0)
		close(guest_state_fd);
	guest_state_fd = -1;
	host_reset();
	return 0;
}

/* --- Requests --- */

/* Where things lie in guest memory unless a test says otherwise. */
#define HEADER_AT GUEST_DATA
#define STATUS_AT (GUEST_DATA + 0x100)
#define DATA_AT	  (GUEST_DATA + 0x1000)
#define NO_STATUS 0xaa

static void put_header(uint32_t at, uint32_t type, uint64_t sector)
{
	struct virtio_blk_req_header header = {.type = type, .sector = sector};

	memcpy(guest.base + at, &header, sizeof(header));
}

static uint8_t status_of(uint32_t at)
{
	return *(volatile uint8_t *)(guest.base + at);
}

/* Offers what was built, waits, and returns the status. */
static uint8_t finish_chain(uint32_t status_at, uint32_t *length)
{
	uint16_t head;
	uint32_t id, used_length;

	guest.base[status_at] = NO_STATUS;
	head = guest_offer(&guest);
	guest_kick(&guest);
	assert_true(guest_wait(&guest, 5000, &id, &used_length));
	assert_int_equal(id, head);
	if (length != NULL)
		*length = used_length;
	return status_of(status_at);
}

static uint8_t do_read(uint64_t sector, uint32_t size, uint32_t *length)
{
	put_header(HEADER_AT, VIRTIO_BLK_T_IN, sector);
	guest_out(&guest, HEADER_AT, 16);
	if (size != 0)
		guest_in(&guest, DATA_AT, size);
	guest_in(&guest, STATUS_AT, 1);
	return finish_chain(STATUS_AT, length);
}

/* A request whose data the device reads. */
static uint8_t do_out(uint32_t type, uint64_t sector, uint32_t size)
{
	put_header(HEADER_AT, type, sector);
	guest_out(&guest, HEADER_AT, 16);
	if (size != 0)
		guest_out(&guest, DATA_AT, size);
	guest_in(&guest, STATUS_AT, 1);
	return finish_chain(STATUS_AT, NULL);
}

static uint8_t do_write(uint64_t sector, uint32_t size)
{
	return do_out(VIRTIO_BLK_T_OUT, sector, size);
}

static void fill(uint8_t *data, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(seed + i * 7 + i / 512);
}

static void expect_filled(const uint8_t *data, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] != (uint8_t)(seed + i * 7 + i / 512))
			fail_msg("byte %zu differs", i);
	}
}

static void expect_zero(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] != 0)
			fail_msg("byte %zu is not zero", i);
	}
}

static void image_read(void *data, size_t size, off_t offset)
{
	assert_int_equal(pread(image_fd, data, size, offset), size);
}

static void image_fill(size_t size, off_t offset, unsigned seed)
{
	uint8_t *data = malloc(size);

	assert_non_null(data);
	fill(data, size, seed);
	assert_int_equal(pwrite(image_fd, data, size, offset), size);
	free(data);
}

static void image_expect_filled(size_t size, off_t offset, unsigned seed)
{
	uint8_t *data = malloc(size);

	assert_non_null(data);
	image_read(data, size, offset);
	expect_filled(data, size, seed);
	free(data);
}

static void image_expect_zero(size_t size, off_t offset)
{
	uint8_t *data = malloc(size);

	assert_non_null(data);
	image_read(data, size, offset);
	expect_zero(data, size);
	free(data);
}

static uint64_t counter(enum blk_counter which)
{
	uint64_t totals[BLK_COUNTERS];

	blk_device_count(&guest.device, totals);
	return totals[which];
}

/* --- Reads and writes --- */

static void reads_and_writes(void **state)
{
	uint32_t length;

	(void)state;
	fill(guest.base + DATA_AT, 8192, 1);
	assert_int_equal(do_write(8, 8192), VIRTIO_BLK_S_OK);
	image_expect_filled(8192, 4096, 1);
	image_expect_zero(4096, 0);
	image_expect_zero(4096, 12288);

	image_fill(1024, 512 * 100, 9);
	memset(guest.base + DATA_AT, 0, 2048);
	assert_int_equal(do_read(100, 1024, &length), VIRTIO_BLK_S_OK);
	assert_int_equal(length, 1025);
	expect_filled(guest.base + DATA_AT, 1024, 9);
	expect_zero(guest.base + DATA_AT + 1024, 1024);

	assert_int_equal(counter(BLK_COUNTER_READS), 1);
	assert_int_equal(counter(BLK_COUNTER_WRITES), 1);
	assert_int_equal(counter(BLK_COUNTER_READ_BYTES), 1024);
	assert_int_equal(counter(BLK_COUNTER_WRITTEN_BYTES), 8192);
	assert_int_equal(counter(BLK_COUNTER_ERRORS), 0);
	assert_int_equal(counter(BLK_COUNTER_BATCHES), 2);
	assert_true(counter(BLK_COUNTER_KICKS) <= 2);
}

static void ends_at_the_capacity(void **state)
{
	(void)state;
	image_fill(512, IMAGE_BYTES - 512, 3);
	assert_int_equal(do_read(IMAGE_SECTORS - 1, 512, NULL), VIRTIO_BLK_S_OK);
	expect_filled(guest.base + DATA_AT, 512, 3);
	fill(guest.base + DATA_AT, 1024, 4);
	assert_int_equal(do_write(IMAGE_SECTORS - 1, 512), VIRTIO_BLK_S_OK);
	image_expect_filled(512, IMAGE_BYTES - 512, 4);

	assert_int_equal(do_read(IMAGE_SECTORS - 1, 1024, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_write(IMAGE_SECTORS - 1, 1024), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_read(IMAGE_SECTORS, 512, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_write(IMAGE_SECTORS, 512), VIRTIO_BLK_S_IOERR);
	/* Nothing was done halfway, and the image has not grown. */
	image_expect_filled(512, IMAGE_BYTES - 512, 4);
	assert_int_equal(lseek(image_fd, 0, SEEK_END), IMAGE_BYTES);
	assert_int_equal(counter(BLK_COUNTER_ERRORS), 4);
}

static void sector_arithmetic_does_not_wrap(void **state)
{
	static const uint64_t sectors[] = {
		UINT64_MAX,	   UINT64_MAX - 1, UINT64_C(1) << 55, (UINT64_C(1) << 55) + 1,
		UINT64_C(1) << 63, INT64_MAX,	   UINT64_MAX / 512,  UINT64_MAX / 512 + 1,
	};

	(void)state;
	fill(guest.base + DATA_AT, 1024, 5);
	for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
		assert_int_equal(do_write(sectors[i], 1024), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_read(sectors[i], 1024, NULL), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_read(sectors[i], 0, NULL), VIRTIO_BLK_S_IOERR);
	}
	image_expect_zero(4096, 0);
	assert_int_equal(lseek(image_fd, 0, SEEK_END), IMAGE_BYTES);
}

static void odd_sizes_fail(void **state)
{
	static const uint32_t sizes[] = {1, 511, 513, 4095};

	(void)state;
	memset(guest.base + DATA_AT, 0xff, 4096);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(do_read(0, sizes[i], NULL), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_write(0, sizes[i]), VIRTIO_BLK_S_IOERR);
	}
	image_expect_zero(4096, 0);
}

static void nothing_is_nothing(void **state)
{
	uint32_t length;

	(void)state;
	assert_int_equal(do_read(0, 0, &length), VIRTIO_BLK_S_OK);
	assert_int_equal(length, 1);
	assert_int_equal(do_write(IMAGE_SECTORS, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(do_write(IMAGE_SECTORS + 1, 0), VIRTIO_BLK_S_IOERR);
}

/* --- Layouts of a chain: 2.7.4, the device must not rely on one --- */

static void header_may_be_split(void **state)
{
	(void)state;
	fill(guest.base + DATA_AT, 512, 6);
	put_header(HEADER_AT, VIRTIO_BLK_T_OUT, 3);
	guest_out(&guest, HEADER_AT, 1);
	guest_out(&guest, HEADER_AT + 1, 8);
	guest_out(&guest, HEADER_AT + 9, 7);
	guest_out(&guest, DATA_AT, 512);
	guest_in(&guest, STATUS_AT, 1);
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_OK);
	image_expect_filled(512, 3 * 512, 6);
}

static void header_and_data_may_share(void **state)
{
	(void)state;
	put_header(DATA_AT, VIRTIO_BLK_T_OUT, 4);
	fill(guest.base + DATA_AT + 16, 1024, 7);
	guest_out(&guest, DATA_AT, 16 + 100);
	guest_out(&guest, DATA_AT + 116, 1024 - 100);
	guest_in(&guest, STATUS_AT, 1);
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_OK);
	image_expect_filled(1024, 4 * 512, 7);
}

static void status_may_share(void **state)
{
	uint32_t length;

	(void)state;
	image_fill(1024, 0, 8);
	put_header(HEADER_AT, VIRTIO_BLK_T_IN, 0);
	guest_out(&guest, HEADER_AT, 16);
	guest_in(&guest, DATA_AT, 100);
	guest_in(&guest, DATA_AT + 100, 1024 - 100 + 1);
	assert_int_equal(finish_chain(DATA_AT + 1024, &length), VIRTIO_BLK_S_OK);
	assert_int_equal(length, 1025);
	expect_filled(guest.base + DATA_AT, 1024, 8);
}

/* The status is the last writable byte, whatever room there is before it. */
static void status_is_the_last_byte(void **state)
{
	(void)state;
	put_header(HEADER_AT, VIRTIO_BLK_T_OUT, 0);
	memset(guest.base + STATUS_AT, NO_STATUS, 16);
	guest_out(&guest, HEADER_AT, 16);
	guest_out(&guest, DATA_AT, 512);
	guest_in(&guest, STATUS_AT, 5);
	assert_int_equal(finish_chain(STATUS_AT + 4, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(status_of(STATUS_AT + 3), NO_STATUS);
	assert_int_equal(status_of(STATUS_AT + 5), NO_STATUS);
}

static void buffers_may_cross_regions(void **state)
{
	uint32_t at = GUEST_REGION_BYTES - 1000;

	(void)state;
	fill(guest.base + at, 4096, 10);
	put_header(HEADER_AT, VIRTIO_BLK_T_OUT, 16);
	guest_out(&guest, HEADER_AT, 16);
	guest_out(&guest, at, 4096);
	guest_in(&guest, STATUS_AT, 1);
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_OK);
	image_expect_filled(4096, 16 * 512, 10);

	memset(guest.base + at, 0, 4096);
	put_header(GUEST_REGION_BYTES - 7, VIRTIO_BLK_T_IN, 16);
	guest_out(&guest, GUEST_REGION_BYTES - 7, 16);
	guest_in(&guest, at + 4096, 4096);
	guest_in(&guest, STATUS_AT, 1);
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_OK);
	expect_filled(guest.base + at + 4096, 4096, 10);
}

/* More than the config space's seg_max, and more than fit into a request: still served, bytes in their
 * places. */
static void many_segments(void **state)
{
	enum { SEGMENTS = 300, SIZE = 512 };

	(void)state;
	image_fill(SEGMENTS * SIZE, 0, 11);
	put_header(HEADER_AT, VIRTIO_BLK_T_IN, 0);
	guest_out(&guest, HEADER_AT, 16);
	for (uint32_t i = 0; i < SEGMENTS; i++)
		guest_in(&guest, DATA_AT + (SEGMENTS - 1 - i) * SIZE, SIZE);
	guest_in(&guest, STATUS_AT, 1);
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_OK);
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		uint8_t expected[SIZE];

		image_read(expected, SIZE, i * SIZE);
		assert_memory_equal(guest.base + DATA_AT + (SEGMENTS - 1 - i) * SIZE, expected, SIZE);
	}
}

static void short_header_fails(void **state)
{
	(void)state;
	put_header(HEADER_AT, VIRTIO_BLK_T_FLUSH, 0);
	guest_out(&guest, HEADER_AT, 15);
	guest_in(&guest, STATUS_AT, 1);
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_IOERR);
	guest_in(&guest, STATUS_AT, 1);
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_IOERR);
}

static void no_room_for_status_breaks_the_queue(void **state)
{
	uint32_t id, length;

	(void)state;
	assert_int_equal(do_out(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	put_header(HEADER_AT, VIRTIO_BLK_T_FLUSH, 0);
	guest_out(&guest, HEADER_AT, 16);
	guest_offer(&guest);
	guest_kick(&guest);
	/* A good one behind it is not looked at either. */
	guest_out(&guest, HEADER_AT, 16);
	guest_in(&guest, STATUS_AT, 1);
	guest_offer(&guest);
	guest_kick(&guest);
	/* Stopping ends what was going on: after it nothing more can have been completed. The bad chain was
	 * not taken. */
	assert_int_equal(guest_restart_queue(&guest), 1);
	assert_false(guest_wait(&guest, 0, &id, &length));
	assert_int_equal(do_out(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
}

static void a_broken_ring_can_be_reset(void **state)
{
	(void)state;
	guest.available->ring[0] = guest.size;
	__atomic_store_n(&guest.available->idx, 1, __ATOMIC_RELEASE);
	guest_kick(&guest);
	guest_restart_queue(&guest);
	assert_int_equal(do_out(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
}

static atomic_uint broken_told;

void __wrap_vhost_user_backend_queue_broken(struct vhost_user_backend *backend, uint16_t index);
void __wrap_vhost_user_backend_queue_broken(struct vhost_user_backend *backend, uint16_t index)
{
	assert_ptr_equal(backend, &broken_told);
	assert_int_equal(index, 0);
	assert_non_null(virtqueue_broken(guest.queue));
	atomic_fetch_add(&broken_told, 1);
}

/* E3: the session hears of it, once, and tells the front end (test_vhost_user). */
static void a_broken_ring_is_told(void **state)
{
	(void)state;
	/* Nothing but its address is used. */
	guest.device.session = (struct vhost_user_backend *)&broken_told;
	for (unsigned i = 1; i <= 2; i++) {
		guest.available->ring[0] = guest.size;
		__atomic_store_n(&guest.available->idx, 1, __ATOMIC_RELEASE);
		for (int j = 0; j < 500 && broken_told != i; j++) {
			guest_kick(&guest);
			usleep(10000);
		}
		guest_kick(&guest);
		guest_restart_queue(&guest);
		assert_int_equal(broken_told, i);
	}
	guest.device.session = NULL;
	broken_told = 0;
}

/* --- The other requests --- */

static void get_id_tells_the_serial(void **state)
{
	uint32_t length;

	(void)state;
	put_header(HEADER_AT, VIRTIO_BLK_T_GET_ID, 0);
	for (uint32_t size = 8; size <= 40; size += 16) {
		uint32_t expected = size < 20 ? size : 20;

		memset(guest.base + DATA_AT, 0xee, 64);
		guest_out(&guest, HEADER_AT, 16);
		guest_in(&guest, DATA_AT, size);
		guest_in(&guest, STATUS_AT, 1);
		assert_int_equal(finish_chain(STATUS_AT, &length), VIRTIO_BLK_S_OK);
		assert_memory_equal(guest.base + DATA_AT, "a-serial-of-twenty-b", expected);
		assert_int_equal(guest.base[DATA_AT + expected], 0xee);
	}
}

static void unknown_types_are_unsupported(void **state)
{
	static const uint32_t types[] = {
		2, 3, 5, VIRTIO_BLK_T_GET_LIFETIME, VIRTIO_BLK_T_SECURE_ERASE, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(do_out(types[i], 0, 512), VIRTIO_BLK_S_UNSUPP);
}

static uint8_t do_ranges(uint32_t type, const struct virtio_blk_discard_write_zeroes *ranges, size_t count)
{
	size_t size = count * sizeof(ranges[0]);

	memcpy(guest.base + DATA_AT, ranges, size);
	return do_out(type, 0, (uint32_t)size);
}

static uint8_t do_range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = {
		.sector = sector, .num_sectors = sectors, .flags = flags};

	return do_ranges(type, &range, 1);
}

static void discard_frees(void **state)
{
	struct virtio_blk_discard_write_zeroes ranges[BLK_RANGES_MAX + 1] = {0};

	(void)state;
	image_fill(IMAGE_BYTES, 0, 12);
	assert_int_equal(do_range(VIRTIO_BLK_T_DISCARD, 8, 16, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(lseek(image_fd, 0, SEEK_HOLE), 4096);
	assert_int_equal(lseek(image_fd, 4096, SEEK_DATA), 12288);
	image_expect_filled(4096, 0, 12);
	/* Several, with empty ones between. */
	for (size_t i = 0; i < BLK_RANGES_MAX; i++) {
		ranges[i].sector = 1024 + i * 16;
		ranges[i].num_sectors = i % 2 == 0 ? 8 : 0;
	}
	assert_int_equal(do_ranges(VIRTIO_BLK_T_DISCARD, ranges, BLK_RANGES_MAX), VIRTIO_BLK_S_OK);
	for (off_t i = 0; i < BLK_RANGES_MAX; i += 2)
		assert_int_equal(lseek(image_fd, (1024 + i * 16) * 512, SEEK_HOLE), (1024 + i * 16) * 512);
	assert_int_equal(do_range(VIRTIO_BLK_T_DISCARD, 0, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(counter(BLK_COUNTER_DISCARDS), 3);
	/* A hole at the end does not shorten the image. */
	assert_int_equal(do_range(VIRTIO_BLK_T_DISCARD, IMAGE_SECTORS - 8, 8, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(lseek(image_fd, 0, SEEK_END), IMAGE_BYTES);
}

static void bad_ranges_fail(void **state)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct virtio_blk_discard_write_zeroes ranges[BLK_RANGES_MAX + 1] = {{.num_sectors = 8}};

	(void)state;
	image_fill(IMAGE_BYTES, 0, 13);
	for (size_t i = 0; i < 2; i++) {
		uint32_t most = i == 0 ? BLK_DISCARD_SECTORS_MAX : BLK_WRITE_ZEROES_SECTORS_MAX;

		assert_int_equal(do_range(types[i], IMAGE_SECTORS, 1, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_range(types[i], IMAGE_SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_range(types[i], UINT64_MAX, 2, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_range(types[i], UINT64_C(1) << 55, 8, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_range(types[i], 0, most + 1, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_range(types[i], 0, 8, 2), VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(do_range(types[i], 0, 8, 0x80000000u), VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(do_out(types[i], 0, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_out(types[i], 0, 15), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_out(types[i], 0, 24), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_ranges(types[i], ranges, BLK_RANGES_MAX + 1), VIRTIO_BLK_S_IOERR);
		/* The good first one is not carried out when the second is bad. */
		ranges[1] =
			(struct virtio_blk_discard_write_zeroes){.sector = IMAGE_SECTORS, .num_sectors = 1};
		assert_int_equal(do_ranges(types[i], ranges, 2), VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(do_range(VIRTIO_BLK_T_DISCARD, 0, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
			 VIRTIO_BLK_S_UNSUPP);
	image_expect_filled(IMAGE_BYTES, 0, 13);
}

static void write_zeroes_zeroes(void **state)
{
	/* Not a multiple of what is written at once, nor of pages. */
	const uint32_t sectors = 3 * 2048 + 3;

	(void)state;
	for (uint32_t flags = 0; flags <= VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP; flags++) {
		image_fill(IMAGE_BYTES, 0, 14);
		assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 5, sectors, flags), VIRTIO_BLK_S_OK);
		image_expect_filled(5 * 512, 0, 14);
		image_expect_zero(sectors * 512, 5 * 512);
		image_expect_filled(512, (5 + sectors) * 512, 14 + (5 + sectors) * 512 * 7 + 5 + sectors);
	}
	/* Without leave to unmap, the blocks stay allocated. */
	image_fill(IMAGE_BYTES, 0, 14);
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 2048, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(lseek(image_fd, 0, SEEK_HOLE), IMAGE_BYTES);
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 2048, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(lseek(image_fd, 0, SEEK_HOLE), 0);
}

static void what_was_not_negotiated_is_unsupported(void **state)
{
	(void)state;
	image_fill(4096, 0, 15);
	assert_int_equal(do_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	image_expect_filled(4096, 0, 15);
}

/* --- Read-only --- */

static void read_only_refuses_writes(void **state)
{
	struct virtio_blk_config config;

	(void)state;
	image_fill(4096, 0, 16);
	memset(guest.base + DATA_AT, 0, 4096);
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_write(0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	image_expect_filled(4096, 0, 16);
	assert_int_equal(do_read(0, 4096, NULL), VIRTIO_BLK_S_OK);
	expect_filled(guest.base + DATA_AT, 4096, 16);
	assert_int_equal(do_out(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);

	assert_true(guest.device.ops.device_features & VIRTIO_BIT(VIRTIO_BLK_F_RO));
	assert_false(guest.device.ops.device_features & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD));
	guest.device.ops.get_config(&guest.device, (uint8_t *)&config);
	assert_int_equal(config.max_discard_sectors, 0);
}

/* --- The write cache --- */

static uint8_t config_writeback(void)
{
	struct virtio_blk_config config;

	guest.device.ops.get_config(&guest.device, (uint8_t *)&config);
	return config.writeback;
}

static int config_write(uint32_t offset, uint8_t value, uint32_t size)
{
	uint8_t data[4] = {value};

	return guest.device.ops.set_config(&guest.device, offset, data, size);
}

/* On the queue's thread, in the middle of its round. */
int __wrap_io_uring_submit(struct io_uring *ring)
{
	if (atomic_exchange(&asked_in_submit, false))
		config_write(WRITEBACK_AT, 0, 1);
	return __real_io_uring_submit(ring);
}

/* Waits for what a write to the configuration brought about. */
static void settle(void)
{
	for (int i = 0; i < 1000 && !guest.device.ops.settled(&guest.device); i++)
		usleep(10000);
	assert_true(guest.device.ops.settled(&guest.device));
}

static uint64_t ring_operations(enum blk_ring_operation operation)
{
	uint64_t totals[BLK_RING_OPERATIONS];

	blk_device_count_ring(&guest.device, totals);
	return totals[operation];
}

/* By system calls and by the ring. */
static uint64_t all_syncs(void)
{
	return (uint64_t)host_syncs + ring_operations(BLK_RING_FSYNC);
}

static void write_cache_can_be_turned_off(void **state)
{
	(void)state;
	assert_int_equal(config_writeback(), 1);
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(host_stable_writes, 0);
	assert_int_equal(host_syncs, 0);

	/* What completed before is put on the medium by the change itself. */
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
	settle();
	assert_int_equal(config_writeback(), 0);
	assert_int_equal(all_syncs(), 1);
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(host_stable_writes, engine == BLK_ENGINE_SYNC ? 1 : 0);
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(all_syncs(), 2);

	assert_int_equal(config_write(WRITEBACK_AT, 1, 1), 0);
	settle();
	assert_int_equal(config_writeback(), 1);
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(host_stable_writes, engine == BLK_ENGINE_SYNC ? 1 : 0);
}

static void turn_cache_off(void)
{
	config_write(WRITEBACK_AT, 0, 1);
}

/* The mode changes while a write is under way: the change's own flush may have been too early for it. */
static void a_write_that_sees_the_change_is_stable(void **state)
{
	(void)state;
	host_during_write = turn_cache_off;
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(config_writeback(), 0);
	settle();
	/* The change's, and the write's. */
	assert_int_equal(all_syncs(), 2);
}

static struct blk_heartbeat heartbeat_now(void)
{
	struct blk_heartbeat heartbeat = {0};

	blk_queue_heartbeat(guest.device.queues[0], &heartbeat);
	return heartbeat;
}

/*
 * D3: the session's thread waits neither for the medium, when the driver chooses write-through, nor for requests that
 * it has to wait for, when a queue stops; and both are the host's work.
 */
static void a_slow_disk_does_not_hold_up_the_session(void **state)
{
	uint32_t id, length;

	(void)state;
	host_sync_held = true;
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
	for (int i = 0; i < 1000 && host_syncs == 0; i++)
		usleep(10000);
	assert_false(guest.device.ops.settled(&guest.device));
	assert_true(heartbeat_now().host_io);
	/* One that was asked for later begins later. */
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
	host_sync_held = false;
	settle();
	assert_int_equal(host_syncs, 2);
	assert_int_equal(do_read(0, 512, NULL), VIRTIO_BLK_S_OK);
	assert_false(heartbeat_now().host_io);

	host_sync_held = true;
	put_header(HEADER_AT, VIRTIO_BLK_T_FLUSH, 0);
	guest.base[STATUS_AT] = NO_STATUS;
	guest_out(&guest, HEADER_AT, 16);
	guest_in(&guest, STATUS_AT, 1);
	guest_offer(&guest);
	guest_kick(&guest);
	for (int i = 0; i < 1000 && host_syncs == 2; i++)
		usleep(10000);
	assert_false(guest.device.ops.quiesce(&guest.device, 0));
	assert_true(heartbeat_now().host_io);
	host_sync_held = false;
	for (int i = 0; i < 1000 && !guest.device.ops.quiesce(&guest.device, 0); i++)
		usleep(10000);
	assert_true(guest.device.ops.quiesce(&guest.device, 0));
	assert_true(guest_wait(&guest, 0, &id, &length));
	assert_int_equal(status_of(STATUS_AT), VIRTIO_BLK_S_OK);

	/* Without a running queue, too: the driver may choose before it starts one. */
	guest.device.ops.stop_queue(&guest.device, 0);
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
	settle();
	assert_int_equal(host_syncs, 4);
	guest.device.ops.start_queue(&guest.device, 0, guest.queue);
}

static void only_writeback_can_be_written(void **state)
{
	(void)state;
	assert_int_equal(config_write(WRITEBACK_AT + 1, 0, 1), -EINVAL);
	assert_int_equal(config_write(WRITEBACK_AT, 0, 2), -EINVAL);
	assert_int_equal(config_write(0, 0, 1), -EINVAL);
	assert_int_equal(config_write(UINT32_MAX, 0, 1), -EINVAL);
	assert_int_equal(config_writeback(), 1);
}

static void a_new_driver_finds_the_default(void **state)
{
	(void)state;
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
	guest.device.ops.reset(&guest.device);
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), -EINVAL);
	guest.device.ops.set_features(&guest.device, ALL_FEATURES);
	assert_int_equal(config_writeback(), 1);
	/* 5.2.5.2: CONFIG_WCE without FLUSH starts as write-through. */
	guest.device.ops.set_features(&guest.device, VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	assert_int_equal(config_writeback(), 0);
}

/* C4: front ends say the features again when a guest that was stopped goes on. */
static void features_said_again_change_nothing(void **state)
{
	(void)state;
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
	host_syncs = 0;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t features = guest.features | (i ? VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) : 0);

		guest.device.ops.stop_queue(&guest.device, 0);
		assert_int_equal(guest.device.ops.set_features(&guest.device, features), 0);
		assert_int_equal(guest.device.ops.start_queue(&guest.device, 0, guest.queue), 0);
		assert_int_equal(config_writeback(), 0);
		/* A driver in write-through does not flush. */
		assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
		if (engine == BLK_ENGINE_SYNC)
			assert_int_equal(host_stable_writes, i + 1);
	}
	/* Other features are another driver's. */
	assert_int_equal(guest.device.ops.set_features(&guest.device,
						       guest.features & ~VIRTIO_BIT(VIRTIO_BLK_F_DISCARD)),
			 0);
	assert_int_equal(config_writeback(), 1);
}

static void without_flush_writes_are_stable(void **state)
{
	(void)state;
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	if (engine == BLK_ENGINE_SYNC)
		assert_int_equal(host_stable_writes, 1);
	/* A file system that does not know RWF_DSYNC. */
	host_dsync_refused = 1;
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	if (engine == BLK_ENGINE_SYNC)
		assert_int_equal(host_syncs, 1);
}

/* --- A successor (C1) --- */

static uint8_t do_flush(void)
{
	return do_out(VIRTIO_BLK_T_FLUSH, 0, 0);
}

static void a_successor_knows_that_data_was_lost(void **state)
{
	(void)state;
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_OK);
	succeed(true);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_OK);
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	blk_disk_lost(&guest.device.disk, -EIO);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
	for (unsigned i = 0; i < 3; i++) {
		/* The host's disk works again, and what was lost is not there. */
		succeed(true);
		assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
		assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
		assert_int_equal(do_read(0, 4096, NULL), VIRTIO_BLK_S_OK);
	}
	/* Nor does it come back with another driver, or when the VM is reset. */
	guest.device.ops.reset(&guest.device);
	guest.device.ops.set_features(&guest.device, guest.features);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
	succeed(false);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
	succeed(true);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
}

static int setup_witnesses(void **state)
{
	for (int i = 0; i < DISK_WITNESSES; i++)
		assert_true((guest_witnesses[i] = memfd_create("witness", MFD_CLOEXEC)) >= 0);
	witness_syncs = 0;
	for (int i = 0; i < DISK_WITNESSES; i++)
		witness_errors[i] = 0;
	return setup_state(state);
}

static int teardown_witnesses(void **state)
{
	int result = teardown(state);

	for (int i = 0; i < DISK_WITNESSES; i++) {
		close(guest_witnesses[i]);
		guest_witnesses[i] = -1;
	}
	return result;
}

/* The kernel told a process that died before it could note it. */
static void lose(void)
{
	for (int i = 0; i < DISK_WITNESSES; i++)
		witness_errors[i] = EIO;
}

static void a_successor_asks_the_witness_before_its_first_flush(void **state)
{
	(void)state;
	/* The first process is told itself. */
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_OK);
	assert_int_equal(witness_syncs, 0);
	succeed(true);
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(witness_syncs, 0);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_OK);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_OK);
	assert_int_equal(witness_syncs, 1);
	lose();
	succeed(true);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
	assert_int_equal(witness_syncs, 2);
	/* It is noted: nobody has to be asked again. */
	succeed(true);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
	succeed(false);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
	assert_int_equal(witness_syncs, 2);
}

static void a_loss_is_found_whatever_is_in_the_page(void **state)
{
	void *mapping;

	(void)state;
	succeed(true);
	lose();
	assert_int_equal(state_page_map(guest_state_fd, &mapping), 0);
	memset(mapping, 0xff, sizeof(struct device_state_page));
	state_page_unmap(mapping);
	succeed(true);
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
}

/* What a process that is killed while it asks leaves. */
static void killed_while_it_asks(void)
{
	blk_disk_ask_witness(&guest.device.disk);
	for (unsigned i = 0; i < DISK_WITNESSES; i++)
		if (atomic_exchange(&witness_errors[i], 0) != 0)
			break;
	/* It has no time for more: its queue would still ask when it is stopped. */
	atomic_store(&guest.device.disk.witnessed, true);
	succeed(true);
}

static void one_that_dies_while_it_asks_leaves_another_witness(void **state)
{
	(void)state;
	succeed(true);
	lose();
	killed_while_it_asks();
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
	assert_int_equal(witness_syncs, 1);
}

static void nothing_is_lost_because_one_dies_while_it_asks(void **state)
{
	(void)state;
	succeed(true);
	for (unsigned i = 0; i < 3; i++) {
		killed_while_it_asks();
		assert_int_equal(do_flush(), VIRTIO_BLK_S_OK);
		succeed(true);
	}
	/* With no witness left, it is taken to be. */
	killed_while_it_asks();
	killed_while_it_asks();
	assert_int_equal(do_flush(), VIRTIO_BLK_S_IOERR);
}

/* Another queue asks: flushes wait for the answer, nothing else does, and it is no hang. */
static void flushes_wait_for_the_witness(void **state)
{
	uint32_t id, length;

	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		succeed(true);
		assert_true(blk_disk_ask_witness(&guest.device.disk) >= 0);
		put_header(HEADER_AT, VIRTIO_BLK_T_FLUSH, 0);
		guest.base[STATUS_AT] = NO_STATUS;
		guest_out(&guest, HEADER_AT, 16);
		guest_in(&guest, STATUS_AT, 1);
		guest_offer(&guest);
		guest_kick(&guest);
		/* The read behind it overtakes it. */
		put_header(HEADER_AT + 0x20, VIRTIO_BLK_T_IN, 0);
		guest_out(&guest, HEADER_AT + 0x20, 16);
		guest_in(&guest, DATA_AT, 512);
		guest_in(&guest, STATUS_AT + 1, 1);
		guest_offer(&guest);
		guest_kick(&guest);
		assert_true(guest_wait(&guest, 5000, &id, &length));
		assert_int_equal(status_of(STATUS_AT + 1), VIRTIO_BLK_S_OK);
		assert_false(guest_wait(&guest, 50, &id, &length));
		assert_true(heartbeat_now().host_io);
		assert_false(guest.device.ops.quiesce(&guest.device, 0));
		blk_disk_witness_told(&guest.device.disk, lost ? -ENOSPC : 0);
		blk_queue_wake(guest.device.queues[0]);
		assert_true(guest_wait(&guest, 5000, &id, &length));
		assert_int_equal(status_of(STATUS_AT), lost ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
	}
}

static void a_successor_keeps_the_cache_mode(void **state)
{
	(void)state;
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
	/* The core says the features again, and they are the same. */
	succeed(true);
	assert_int_equal(config_writeback(), 0);
	succeed(true);
	assert_int_equal(config_writeback(), 0);
	/* A driver's reset forgets it, also for a successor. */
	guest.device.ops.reset(&guest.device);
	succeed(true);
	assert_int_equal(config_writeback(), 1);
	assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
	/* And so does the VM's. */
	succeed(false);
	assert_int_equal(config_writeback(), 1);
}

/* What a process ends with is in its page, and sealed; `change` is what a hostile one made of it. */
#define REFUSED(change)                                                                                \
	do {                                                                                           \
		struct device_state_page *page;                                                        \
		struct device_state_slot *slot;                                                        \
		struct blk_record *record;                                                             \
		void *mapping;                                                                         \
                                                                                                       \
		assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);                                 \
		assert_int_equal(state_page_map(guest_state_fd, &mapping), 0);                         \
		page = mapping;                                                                        \
		slot = &page->slots[page->commits & 1];                                                \
		record = (struct blk_record *)slot->record;                                            \
		assert_int_equal(record->writeback, 0);                                                \
		change;                                                                                \
		slot->checksum = device_state_checksum(slot->sequence, slot->record, sizeof(*record)); \
		state_page_unmap(page);                                                                \
		succeed(true);                                                                         \
		if (config_writeback() != 1)                                                           \
			fail_msg("%s was taken over", #change);                                        \
		assert_int_equal(do_flush(), VIRTIO_BLK_S_OK);                                         \
	} while (0)

static void bad_records_are_refused(void **state)
{
	(void)state;
	REFUSED(record->features = UINT64_MAX);
	REFUSED(record->features |= VIRTIO_BIT(VIRTIO_BLK_F_RO));
	REFUSED(record->features |= UINT64_C(1) << 63);
	REFUSED(record->features &= ~VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	REFUSED(record->lost = 1);
	REFUSED(record->lost = -4096);
	REFUSED(record->lost = INT32_MIN);
	REFUSED(record->lost = INT32_MAX);
	REFUSED(record->writeback = 2);
	REFUSED(record->writeback = 255);
	REFUSED(record->asked = DISK_WITNESSES + 1);
	REFUSED(record->asked = 255);
	REFUSED(record->reserved[0] = 1);
	REFUSED(record->reserved[1] = 1);
	REFUSED(page->kind = DEVICE_STATE_NET);
	REFUSED(page->version++);
	REFUSED(memset(page, 0, sizeof(*page)));
	REFUSED(memset(page, 0xff, sizeof(*page)));
}

static void flush_syncs(void **state)
{
	(void)state;
	assert_int_equal(do_out(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(counter(BLK_COUNTER_FLUSHES), 1);
	if (engine == BLK_ENGINE_SYNC)
		assert_int_equal(host_syncs, 1);
}

/* A failed write-back loses data that nobody can name; the kernel tells it once. */
static void no_flush_succeeds_after_a_loss(void **state)
{
	(void)state;
	host_sync_error = EIO;
	if (engine == BLK_ENGINE_SYNC) {
		assert_int_equal(do_out(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_IOERR);
	} else {
		/* By a call, for nothing runs. */
		guest.device.ops.stop_queue(&guest.device, 0);
		assert_int_equal(config_write(WRITEBACK_AT, 0, 1), 0);
		settle();
		guest.device.ops.start_queue(&guest.device, 0, guest.queue);
	}
	assert_int_equal(do_out(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_read(0, 512, NULL), VIRTIO_BLK_S_OK);
}

/* --- The host fails --- */

static void a_cut_image_fails_that_request_alone(void **state)
{
	uint32_t ids[3], length;

	(void)state;
	image_fill(8192, 0, 17);
	assert_int_equal(ftruncate(image_fd, 8192), 0);
	/* In one batch: below the cut, across it, below it. */
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t at = DATA_AT + i * 0x10000;

		put_header(at, VIRTIO_BLK_T_IN, i == 1 ? 8 : 0);
		guest.base[at + 0x100] = NO_STATUS;
		guest_out(&guest, at, 16);
		guest_in(&guest, at + 0x1000, 8192);
		guest_in(&guest, at + 0x100, 1);
		guest_offer(&guest);
	}
	guest_kick(&guest);
	for (size_t i = 0; i < 3; i++) {
		assert_true(guest_wait(&guest, 5000, &ids[i], &length));
		/* Nothing of the failed one is announced. */
		assert_int_equal(length, ids[i] == 3 ? 0 : 8193);
	}
	assert_int_equal(status_of(DATA_AT + 0x100), VIRTIO_BLK_S_OK);
	assert_int_equal(status_of(DATA_AT + 0x10100), VIRTIO_BLK_S_IOERR);
	assert_int_equal(status_of(DATA_AT + 0x20100), VIRTIO_BLK_S_OK);
	expect_filled(guest.base + DATA_AT + 0x21000, 8192, 17);
}

static void expect_beyond(uint64_t sector, uint32_t size)
{
	assert_int_equal(do_read(sector, size, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_write(sector, size), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, sector, size / 512, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		do_range(VIRTIO_BLK_T_WRITE_ZEROES, sector, size / 512, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP),
		VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_range(VIRTIO_BLK_T_DISCARD, sector, size / 512, 0), VIRTIO_BLK_S_IOERR);
}

/* A disk that shrinks: nothing that the guest does brings the end back, and one record says it. */
static void a_cut_image_does_not_grow(void **state)
{
	struct stat before, after;

	(void)state;
	image_fill(8192, 0, 17);
	assert_int_equal(ftruncate(image_fd, 8192), 0);
	assert_int_equal(fstat(image_fd, &before), 0);
	records.count = 0;
	log_set_sink(record, NULL);
	log_set_level(LOG_LEVEL_WARNING);
	/* Behind the end, the last sector of all, and across the end. */
	expect_beyond(16, 4096);
	expect_beyond(IMAGE_SECTORS - 1, 512);
	expect_beyond(12, 4096);
	log_set_level(LOG_LEVEL_ERROR);
	log_set_sink(NULL, NULL);
	assert_int_equal(records.count, 1);
	assert_non_null(strstr(records.last, "shorter"));
	assert_int_equal(fstat(image_fd, &after), 0);
	assert_int_equal(after.st_size, 8192);
	assert_int_equal(after.st_blocks, before.st_blocks);
	image_expect_filled(8192, 0, 17);
	/* What is there is served, and so is all of it when it is back. */
	assert_int_equal(do_write(0, 8192), VIRTIO_BLK_S_OK);
	assert_int_equal(ftruncate(image_fd, IMAGE_BYTES), 0);
	assert_int_equal(do_write(16, 4096), VIRTIO_BLK_S_OK);
}

static void a_refused_write_fails(void **state)
{
	(void)state;
	assert_int_equal(fcntl(image_fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_read(0, 4096, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(counter(BLK_COUNTER_ERRORS), 4);
}

/* The kernel itself does a short write up to the limit, then EFBIG. */
static void a_limit_fails_a_write_halfway(void **state)
{
	struct rlimit before, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){.rlim_cur = 65536 + 1024, .rlim_max = before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	fill(guest.base + DATA_AT, 4096, 18);
	assert_int_equal(do_write(128, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(do_write(126, 1024), VIRTIO_BLK_S_OK);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	image_expect_filled(1024, 126 * 512, 18);
}

static void short_io_is_continued(void **state)
{
	(void)state;
	host_write_limit = 700;
	fill(guest.base + DATA_AT, 8192, 19);
	put_header(HEADER_AT, VIRTIO_BLK_T_OUT, 0);
	guest_out(&guest, HEADER_AT, 16);
	guest_out(&guest, DATA_AT, 1000);
	guest_out(&guest, DATA_AT + 1000, 24);
	guest_out(&guest, DATA_AT + 1024, 8192 - 1024);
	guest_in(&guest, STATUS_AT, 1);
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_OK);
	host_write_limit = 0;
	image_expect_filled(8192, 0, 19);

	host_read_limit = 333;
	memset(guest.base + DATA_AT, 0, 8192);
	assert_int_equal(do_read(0, 8192, NULL), VIRTIO_BLK_S_OK);
	host_read_limit = 0;
	expect_filled(guest.base + DATA_AT, 8192, 19);

	host_write_limit = 1000;
	assert_int_equal(do_range(VIRTIO_BLK_T_WRITE_ZEROES, 1, 14, 0), VIRTIO_BLK_S_OK);
	host_write_limit = 0;
	image_expect_filled(512, 0, 19);
	image_expect_zero(14 * 512, 512);
	image_expect_filled(512, 15 * 512, 19 + 15 * 512 * 7 + 15);
}

/* --- The queue --- */

/* Offers `count` 512-byte reads or writes, each with buffers of its own. */
static void offer_many(uint32_t type, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = DATA_AT + i * 1024;

		put_header(at, type, i);
		guest.base[at + 16] = NO_STATUS;
		guest_out(&guest, at, 16);
		if (type == VIRTIO_BLK_T_IN)
			guest_in(&guest, at + 512, 512);
		else
			guest_out(&guest, at + 512, 512);
		guest_in(&guest, at + 16, 1);
		guest_offer(&guest);
	}
}

static void collect_many(uint32_t count)
{
	uint8_t seen[4096] = {0};

	for (uint32_t i = 0; i < count; i++) {
		uint32_t id, length;

		assert_true(guest_wait(&guest, 5000, &id, &length));
		assert_true(id < sizeof(seen));
		assert_int_equal(seen[id]++, 0);
	}
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(status_of(DATA_AT + i * 1024 + 16), VIRTIO_BLK_S_OK);
}

/* More than the device keeps under way at a time; each completes once. */
static void a_full_ring_is_worked_off(void **state)
{
	enum { COUNT = 1000 };

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		fill(guest.base + DATA_AT + i * 1024 + 512, 512, i);
	offer_many(VIRTIO_BLK_T_OUT, COUNT);
	guest_kick(&guest);
	collect_many(COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		image_expect_filled(512, i * 512, i);
	/* In batches, not one by one. */
	assert_true(counter(BLK_COUNTER_BATCHES) < COUNT / 4);

	guest_restart_queue(&guest);
	offer_many(VIRTIO_BLK_T_IN, COUNT);
	guest_kick(&guest);
	collect_many(COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		expect_filled(guest.base + DATA_AT + i * 1024 + 512, 512, i);
}

/* --- Zeroes that are written by hand --- */

static struct {
	unsigned writes;
	bool read_completed, beat_answered;
} zeroing;

static void in_zeroing(void)
{
	struct blk_heartbeat heartbeat = {0};

	switch (++zeroing.writes) {
	case 2:
		/* The first piece is done, and with it what was taken together with it. */
		for (int i = 0; i < 500 && !zeroing.read_completed; i++) {
			zeroing.read_completed = __atomic_load_n(&guest.used->idx, __ATOMIC_ACQUIRE) == 1;
			usleep(10000);
		}
		blk_queue_heartbeat(guest.device.queues[0], &heartbeat);
		break;
	case 3:
		blk_queue_heartbeat(guest.device.queues[0], &heartbeat);
		zeroing.beat_answered = !heartbeat.kicked;
		assert_true(heartbeat.host_io);
		break;
	}
}

/* D4: WRITE_ZEROES by writing leaves the thread between its pieces. */
static void zeroing_by_hand_holds_up_nothing(void **state)
{
	struct virtio_blk_discard_write_zeroes range = {.num_sectors = IMAGE_SECTORS};
	uint32_t id, length;
	uint16_t read_head;

	(void)state;
	image_fill(IMAGE_BYTES, 0, 3);
	zeroing.writes = 0;
	zeroing.read_completed = zeroing.beat_answered = false;
	host_write_limit = 65536;
	host_in_writes = in_zeroing;
	put_header(DATA_AT, VIRTIO_BLK_T_WRITE_ZEROES, 0);
	memcpy(guest.base + DATA_AT + 16, &range, sizeof(range));
	guest.base[DATA_AT + 64] = NO_STATUS;
	guest_out(&guest, DATA_AT, 16 + sizeof(range));
	guest_in(&guest, DATA_AT + 64, 1);
	guest_offer(&guest);
	put_header(HEADER_AT, VIRTIO_BLK_T_IN, 0);
	guest_out(&guest, HEADER_AT, 16);
	guest_in(&guest, DATA_AT + 4096, 4096);
	guest_in(&guest, STATUS_AT, 1);
	read_head = guest_offer(&guest);
	guest_kick(&guest);
	assert_true(guest_wait(&guest, 10000, &id, &length));
	assert_int_equal(id, read_head);
	assert_true(guest_wait(&guest, 10000, &id, &length));
	assert_int_equal(status_of(DATA_AT + 64), VIRTIO_BLK_S_OK);
	assert_true(zeroing.read_completed);
	/* The ring's pieces are not seen here. */
	if (engine == BLK_ENGINE_SYNC)
		assert_true(zeroing.beat_answered);
	image_expect_zero(IMAGE_BYTES, 0);
}

/* --- Where writes are carried out --- */

/* As a thread that another one has taken the processor from: time passes, and it does not sleep. */
static void without_sleep(void)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < 3000000);
}

static void with_sleep(void)
{
	usleep(3000);
}

/* D5: to be kept waiting for a processor is not to be kept waiting by the disk. */
static void a_busy_host_is_no_slow_disk(void **state)
{
	(void)state;
	host_in_writes = without_sleep;
	for (int i = 0; i < 20; i++)
		assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(ring_operations(BLK_RING_WRITEV), 0);
	host_in_writes = with_sleep;
	for (int i = 0; i < 20; i++)
		assert_int_equal(do_write(0, 4096), VIRTIO_BLK_S_OK);
	if (engine == BLK_ENGINE_URING)
		assert_true(ring_operations(BLK_RING_WRITEV) > 10);
}

static void every_kick_is_heard(void **state)
{
	(void)state;
	/* The ring goes round several times, the device asleep or awake. */
	for (int i = 0; i < 2000; i++)
		assert_int_equal(do_read((uint64_t)i % IMAGE_SECTORS, 512, NULL), VIRTIO_BLK_S_OK);
}

/* A front end may give no kick eventfd (VHOST_USER_VRING_NOFD_MASK): the ring is looked at again and again.
 */
static void a_queue_without_kicks_is_polled(void **state)
{
	int kick_fd = guest.kick_fd;
	uint32_t id, length;

	(void)state;
	guest.kick_fd = -1;
	guest_restart_queue(&guest);
	for (int i = 0; i < 20; i++) {
		put_header(HEADER_AT, VIRTIO_BLK_T_FLUSH, 0);
		guest_out(&guest, HEADER_AT, 16);
		guest_in(&guest, STATUS_AT, 1);
		guest_offer(&guest);
		assert_true(guest_wait(&guest, 5000, &id, &length));
	}
	guest.kick_fd = kick_fd;
}

static void stopping_completes_what_was_taken(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		uint32_t id, length;
		uint16_t taken, completed = 0;

		offer_many(round % 2 ? VIRTIO_BLK_T_FLUSH : VIRTIO_BLK_T_IN, 60);
		guest_kick(&guest);
		guest.device.ops.stop_queue(&guest.device, 0);
		taken = virtqueue_next_available(guest.queue);
		while (guest_wait(&guest, 0, &id, &length))
			completed++;
		assert_int_equal(completed, taken);
		guest.device.ops.start_queue(&guest.device, 0, guest.queue);
		guest_restart_queue(&guest);
	}
}

static void indirect_requests(void **state)
{
	struct virtq_desc *table = (struct virtq_desc *)(void *)(guest.base + GUEST_DATA + 0x800);

	(void)state;
	image_fill(4096, 0, 21);
	put_header(HEADER_AT, VIRTIO_BLK_T_IN, 0);
	guest.base[STATUS_AT] = NO_STATUS;
	table[0] = (struct virtq_desc){.addr = HEADER_AT, .len = 16, .flags = VIRTQ_DESC_F_NEXT, .next = 1};
	table[1] = (struct virtq_desc){
		.addr = DATA_AT, .len = 4096, .flags = VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, .next = 2};
	table[2] = (struct virtq_desc){.addr = STATUS_AT, .len = 1, .flags = VIRTQ_DESC_F_WRITE};
	guest_out(&guest, GUEST_DATA + 0x800, sizeof(table[0]) * 3);
	guest.descriptors[guest.chain_head].flags |= VIRTQ_DESC_F_INDIRECT;
	assert_int_equal(finish_chain(STATUS_AT, NULL), VIRTIO_BLK_S_OK);
	expect_filled(guest.base + DATA_AT, 4096, 21);
}

/* E5: what the device says, and within what a guest may be told. */
static void discard_of_a_block_device(void **state)
{
	static const struct {
		struct disk_discard discard;
		uint32_t sectors, alignment;
	} cases[] = {
		{{0, 0}, 0, 0},
		{{0, 4096}, 0, 0},
		{{1 << 20, 4096}, 2048, 8},
		{{(1 << 20) + 512, 65536}, 2048, 128},
		{{4096, 65536}, 8, 128}, /* less than a unit: as it says */
		{{UINT64_MAX, 512}, BLK_DISCARD_SECTORS_MAX, 1},
		{{UINT64_MAX, 0}, BLK_DISCARD_SECTORS_MAX, 8},
		{{UINT64_MAX, 513}, BLK_DISCARD_SECTORS_MAX, 8},
		{{511, 512}, 0, 0},
	};
	struct virtio_blk_config config;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blk_disk disk = {.image = {1 << 30, 512, 4096, 0, 4096, true}};

		blk_disk_set_discard(&disk, &cases[i].discard);
		blk_disk_config(&disk, &config);
		assert_int_equal(config.max_discard_sectors, cases[i].sectors);
		assert_int_equal(config.discard_sector_alignment, cases[i].alignment);
		assert_int_equal((blk_disk_features(&disk) & VIRTIO_BIT(VIRTIO_BLK_F_DISCARD)) != 0,
				 cases[i].sectors != 0);
	}
}

static void config_tells_the_disk(void **state)
{
	struct virtio_blk_config config;
	uint64_t features = guest.device.ops.device_features;

	(void)state;
	assert_int_equal(guest.device.ops.config_size, sizeof(config));
	guest.device.ops.get_config(&guest.device, (uint8_t *)&config);
	assert_int_equal(config.capacity, IMAGE_SECTORS);
	assert_int_equal(config.seg_max, BLK_SEG_MAX);
	assert_int_equal(config.blk_size, 512);
	assert_int_equal(config.topology.physical_block_exp, 3);
	assert_int_equal(config.num_queues, 1);
	assert_int_equal(config.max_discard_seg, BLK_RANGES_MAX);
	assert_int_equal(config.discard_sector_alignment, 8);
	assert_int_equal(config.write_zeroes_may_unmap, 1);
	assert_int_equal(features & ALL_FEATURES, ALL_FEATURES);
	assert_false(features & VIRTIO_BIT(VIRTIO_BLK_F_RO));
	assert_false(features & VIRTIO_BIT(VIRTIO_BLK_F_MQ));
}

/* --- All of it, twice --- */

static int run_all(const char *name)
{
#define T(test, with) cmocka_unit_test_setup_teardown(test, with, teardown)
	const struct CMUnitTest tests[] = {
		T(reads_and_writes, setup),
		T(ends_at_the_capacity, setup),
		T(sector_arithmetic_does_not_wrap, setup),
		T(odd_sizes_fail, setup),
		T(nothing_is_nothing, setup),
		T(header_may_be_split, setup),
		T(header_and_data_may_share, setup),
		T(status_may_share, setup),
		T(status_is_the_last_byte, setup),
		T(buffers_may_cross_regions, setup),
		T(many_segments, setup_large_ring),
		T(short_header_fails, setup),
		T(no_room_for_status_breaks_the_queue, setup),
		T(a_broken_ring_can_be_reset, setup),
		T(a_broken_ring_is_told, setup),
		T(get_id_tells_the_serial, setup),
		T(unknown_types_are_unsupported, setup),
		cmocka_unit_test(discard_of_a_block_device),
		T(discard_frees, setup),
		T(bad_ranges_fail, setup),
		T(write_zeroes_zeroes, setup),
		T(what_was_not_negotiated_is_unsupported, setup_no_features),
		T(read_only_refuses_writes, setup_readonly),
		T(write_cache_can_be_turned_off, setup),
		T(a_write_that_sees_the_change_is_stable, setup),
		T(only_writeback_can_be_written, setup),
		T(features_said_again_change_nothing, setup),
		T(a_successor_knows_that_data_was_lost, setup_state),
		cmocka_unit_test_setup_teardown(flushes_wait_for_the_witness, setup_witnesses,
						teardown_witnesses),
		T(a_successor_keeps_the_cache_mode, setup_state),
		T(bad_records_are_refused, setup_state),
		T(a_new_driver_finds_the_default, setup),
		T(without_flush_writes_are_stable, setup_no_features),
		T(flush_syncs, setup),
		T(no_flush_succeeds_after_a_loss, setup),
		T(a_cut_image_fails_that_request_alone, setup),
		T(a_cut_image_does_not_grow, setup),
		T(a_refused_write_fails, setup),
		T(a_limit_fails_a_write_halfway, setup),
		T(short_io_is_continued, setup),
		T(a_full_ring_is_worked_off, setup_large_ring),
		T(zeroing_by_hand_holds_up_nothing, setup),
		T(a_busy_host_is_no_slow_disk, setup),
		T(every_kick_is_heard, setup),
		T(every_kick_is_heard, setup_ring_features),
		T(a_queue_without_kicks_is_polled, setup),
		T(stopping_completes_what_was_taken, setup),
		T(indirect_requests, setup_ring_features),
		T(config_tells_the_disk, setup),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

/*
 * A wake that comes when the queue has looked at what is wanted, and is taken up before it sleeps, is seen to all the
 * same.
 */
static void what_is_asked_late_in_a_round_is_done(void **state)
{
	(void)state;
	asked_in_submit = true;
	guest_restart_queue(&guest);
	for (int i = 0; i < 500 && (asked_in_submit || !guest.device.ops.settled(&guest.device)); i++)
		usleep(10000);
	assert_false(asked_in_submit);
	assert_true(guest.device.ops.settled(&guest.device));
}

static int run_with_ring(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_asked_late_in_a_round_is_done, setup, teardown),
	};

	return cmocka_run_group_tests_name("rounds", tests, NULL, NULL);
}

/* With io_uring it is the kernel that is slow. */
static int run_with_slow_calls(void)
{
#define W(test) cmocka_unit_test_setup_teardown(test, setup_witnesses, teardown_witnesses)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_slow_disk_does_not_hold_up_the_session, setup, teardown),
		W(a_successor_asks_the_witness_before_its_first_flush),
		W(a_loss_is_found_whatever_is_in_the_page),
		W(one_that_dies_while_it_asks_leaves_another_witness),
		W(nothing_is_lost_because_one_dies_while_it_asks),
	};

	return cmocka_run_group_tests_name("slow calls", tests, NULL, NULL);
}

static bool uring_available(void)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct blk_engine *made;
	int result = blk_engine_new(BLK_ENGINE_URING, wake_fd, wake_fd, 4, NULL, &made);

	if (result == 0)
		blk_engine_free(made);
	close(wake_fd);
	return result == 0;
}

int main(void)
{
	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	engine = BLK_ENGINE_SYNC;
	failed = run_all("sync") + run_with_slow_calls();
	if (uring_available()) {
		engine = BLK_ENGINE_URING;
		failed += run_all("io_uring") + run_with_ring();
	} else {
		puts("# io_uring is not available here: its engine is not tested");
	}
	return failed;
}
