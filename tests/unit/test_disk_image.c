/*
 * Disk images: what is one, and who may have it (common/host/disk_image.h, common/host/image_lock.h).
 *
 * The other program of the lock's tests is a child of this one; QEMU's byte locks are played by hand, with
 * QEMU's own numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/host/disk_image.h"
#include "common/host/image_lock.h"

static char image_path[64];

static int image_setup(void **state)
{
	int fd;

	(void)state;
	strcpy(image_path, "/tmp/atoll-image-XXXXXX");
	fd = mkstemp(image_path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	return 0;
}

static int image_teardown(void **state)
{
	(void)state;
	unlink(image_path);
	return 0;
}

static int image_open(int flags)
{
	int fd = open(image_path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* --- What an image is --- */

static void probe_tells_a_file(void **state)
{
	struct disk_image image;
	const char *problem;
	int fd;

	(void)state;
	assert_int_equal(disk_image_open(image_path, false, &fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(disk_image_probe(fd, false, &image, &problem), 0);
	assert_int_equal(image.size, 1 << 20);
	assert_int_equal(image.logical_block_size, 512);
	assert_true(image.physical_block_size >= 512);
	assert_false(image.block_device);
	close(fd);
}

static void probe_expects(const char *path, bool readonly, int flags, int error)
{
	struct disk_image image;
	const char *problem = NULL;
	int fd = open(path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(disk_image_probe(fd, readonly, &image, &problem), error);
	assert_non_null(problem);
	assert_non_null(strstr(problem, "; "));
	close(fd);
}

static void probe_refuses(void **state)
{
	(void)state;
	probe_expects("/dev/zero", false, O_RDWR, -EINVAL);
	probe_expects("/", true, O_RDONLY, -EINVAL);
	probe_expects(image_path, false, O_RDONLY, -EBADF);
	probe_expects(image_path, false, O_WRONLY, -EBADF);
	probe_expects(image_path, true, O_WRONLY, -EBADF);
	assert_int_equal(truncate(image_path, 0), 0);
	probe_expects(image_path, false, O_RDWR, -ENODATA);
	assert_int_equal(truncate(image_path, 511), 0);
	probe_expects(image_path, false, O_RDWR, -ERANGE);
	assert_int_equal(truncate(image_path, 513), 0);
	probe_expects(image_path, false, O_RDWR, -ERANGE);
}

static void open_refuses(void **state)
{
	char fifo[80];
	int fd = -1;

	(void)state;
	assert_int_equal(disk_image_open("/nonexistent/image", true, &fd), -ENOENT);
	assert_int_equal(disk_image_open("/tmp", true, &fd), -EISDIR);
	assert_int_equal(disk_image_open("/dev/zero", true, &fd), -EINVAL);
	snprintf(fifo, sizeof(fifo), "%s.fifo", image_path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	/* Returns at once, although nobody has the other end. */
	assert_int_equal(disk_image_open(fifo, true, &fd), -EINVAL);
	unlink(fifo);
	assert_int_equal(fd, -1);
}

/* --- Who has it --- */

/* A child that takes the image as mode says (or QEMU's way) and keeps it until its end. */
static pid_t holder_start(void (*take)(int fd), int flags)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		take(image_open(flags));
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void holder_end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void take_write(int fd)
{
	struct image_lock_holder holder;

	if (image_lock(fd, IMAGE_LOCK_WRITE, &holder) != 0)
		_exit(1);
}

static void take_read(int fd)
{
	struct image_lock_holder holder;

	if (image_lock(fd, IMAGE_LOCK_READ, &holder) != 0)
		_exit(1);
}

static void take_byte(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (fcntl(fd, F_OFD_SETLK, &lock) != 0)
		_exit(1);
}

/* QEMU's virtio-blk on a raw image: has CONSISTENT_READ and WRITE, lets nobody WRITE or RESIZE. */
static void take_as_qemu_writer(int fd)
{
	take_byte(fd, 100);
	take_byte(fd, 101);
	take_byte(fd, 201);
	take_byte(fd, 203);
}

/* With share-rw=on: has them, lets others. */
static void take_as_qemu_shared_writer(int fd)
{
	take_byte(fd, 100);
	take_byte(fd, 101);
}

static void take_as_qemu_reader(int fd)
{
	take_byte(fd, 100);
	take_byte(fd, 201);
	take_byte(fd, 203);
}

/* Expects the lock to be refused, and the holder to be named. */
static void expect_busy(enum image_lock_mode mode, int flags, pid_t pid)
{
	struct image_lock_holder holder = {0};
	char text[IMAGE_LOCK_TEXT_MAX], number[32];
	int fd = image_open(flags);

	assert_int_equal(image_lock(fd, mode, &holder), -EBUSY);
	assert_int_equal(holder.pid, pid);
	image_lock_describe(&holder, text, sizeof(text));
	snprintf(number, sizeof(number), "pid %ld (", (long)pid);
	assert_non_null(strstr(text, number));
	/* A refusal leaves no lock behind. */
	assert_int_equal(image_lock(fd, mode, &holder), -EBUSY);
	close(fd);
}

static void expect_free(enum image_lock_mode mode, int flags)
{
	struct image_lock_holder holder;
	int fd = image_open(flags);

	assert_int_equal(image_lock(fd, mode, &holder), 0);
	close(fd);
}

static void writer_excludes_all(void **state)
{
	pid_t pid = holder_start(take_write, O_RDWR);

	(void)state;
	expect_busy(IMAGE_LOCK_WRITE, O_RDWR, pid);
	expect_busy(IMAGE_LOCK_READ, O_RDONLY, pid);
	holder_end(pid);
	expect_free(IMAGE_LOCK_WRITE, O_RDWR);
}

static void readers_share(void **state)
{
	pid_t pid = holder_start(take_read, O_RDONLY);

	(void)state;
	expect_free(IMAGE_LOCK_READ, O_RDONLY);
	expect_busy(IMAGE_LOCK_WRITE, O_RDWR, pid);
	/* The refused writer did not take the readers' lock away. */
	expect_busy(IMAGE_LOCK_WRITE, O_RDWR, pid);
	holder_end(pid);
}

static void qemu_is_seen(void **state)
{
	pid_t pid = holder_start(take_as_qemu_writer, O_RDWR);

	(void)state;
	expect_busy(IMAGE_LOCK_WRITE, O_RDWR, pid);
	expect_busy(IMAGE_LOCK_READ, O_RDONLY, pid);
	holder_end(pid);

	pid = holder_start(take_as_qemu_shared_writer, O_RDWR);
	expect_busy(IMAGE_LOCK_WRITE, O_RDWR, pid);
	expect_busy(IMAGE_LOCK_READ, O_RDONLY, pid);
	holder_end(pid);

	pid = holder_start(take_as_qemu_reader, O_RDONLY);
	expect_busy(IMAGE_LOCK_WRITE, O_RDWR, pid);
	expect_free(IMAGE_LOCK_READ, O_RDONLY);
	holder_end(pid);
}

static int byte_is_locked(off_t byte)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	int fd = image_open(O_RDWR);

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
	close(fd);
	return lock.l_type != F_UNLCK;
}

static void qemu_sees_us(void **state)
{
	pid_t pid = holder_start(take_write, O_RDWR);

	(void)state;
	assert_true(byte_is_locked(100) && byte_is_locked(101));
	assert_true(byte_is_locked(201) && byte_is_locked(203));
	holder_end(pid);

	pid = holder_start(take_read, O_RDONLY);
	assert_true(byte_is_locked(100) && !byte_is_locked(101));
	assert_true(byte_is_locked(201) && byte_is_locked(203) && !byte_is_locked(200));
	holder_end(pid);
}

/* The description keeps the lock, whoever took it: a supervisor's child that got the descriptor, for
 * instance. */
static void lock_lives_with_the_description(void **state)
{
	struct image_lock_holder holder;
	int fd = image_open(O_RDWR);
	pid_t pid = fork();
	int status, again;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		take_write(fd);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Its taker is gone: the process that has the description now is named. */
	again = image_open(O_RDWR);
	assert_int_equal(image_lock(again, IMAGE_LOCK_WRITE, &holder), -EBUSY);
	assert_int_equal(holder.pid, getpid());
	/* Taking it again through the same description is no conflict: a successor of a device may. */
	assert_int_equal(image_lock(fd, IMAGE_LOCK_WRITE, &holder), 0);
	close(fd);
	assert_int_equal(image_lock(again, IMAGE_LOCK_WRITE, &holder), 0);
	close(again);
}

static void refusal_by_bytes_leaves_no_flock(void **state)
{
	struct image_lock_holder holder;
	pid_t pid = holder_start(take_as_qemu_writer, O_RDWR);
	int refused = image_open(O_RDWR), other = image_open(O_RDWR);

	(void)state;
	assert_int_equal(image_lock(refused, IMAGE_LOCK_WRITE, &holder), -EBUSY);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	holder_end(pid);
	assert_false(byte_is_locked(100) || byte_is_locked(101) || byte_is_locked(201) ||
		     byte_is_locked(203));
	close(refused);
	close(other);
}

int main(void)
{
#define IMAGE_TEST(name) cmocka_unit_test_setup_teardown(name, image_setup, image_teardown)
	const struct CMUnitTest tests[] = {
		IMAGE_TEST(probe_tells_a_file),
		IMAGE_TEST(probe_refuses),
		IMAGE_TEST(open_refuses),
		IMAGE_TEST(writer_excludes_all),
		IMAGE_TEST(readers_share),
		IMAGE_TEST(qemu_is_seen),
		IMAGE_TEST(qemu_sees_us),
		IMAGE_TEST(lock_lives_with_the_description),
		IMAGE_TEST(refusal_by_bytes_leaves_no_flock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
