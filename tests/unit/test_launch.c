/*
 * What the command hands to the supervisor (issue 9, item 1): a config of everything comes out as it went in, and of each
 * record that is none, of another version, cut, longer, or that could still be changed, nothing comes out.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config_check.h"
#include "config/config_load.h"
#include "config/config_pack.h"
#include "config/launch.h"

/* Every key that there is. */
static const char everything[] =
	"name: web\ncpus: 2\nmemory: 512MiB\nboot:\n  kernel: k\n  initrd: i\n  cmdline: a=b c\n"
	"consoles:\n  - {id: serial, type: serial, output: file, path: log, max-size: 1MiB, limits: {memory: "
	"64MiB}}\n"
	"  - {id: v, type: virtio, output: socket, path: s, on-violation: hold}\n"
	"disks:\n  - {id: root, path: root.img, format: raw}\n"
	"  - {id: data, path: /d, readonly: yes, queues: 4, limits: {io: {read-bps: 1MiB, write-bps: 2MiB, "
	"read-iops: 3, "
	"write-iops: 4}}}\n"
	"networks:\n  - {id: lan, tap: tap0, mac: '52:54:00:12:34:56', restart: {policy: never, limit: 2}}\n"
	"  - {id: wan, tap: tap1}\n"
	"restart: {policy: always, backoff: 1s, limit: 3}\nlimits: {cpu: 200%, pids: 100}\ncore: {limits: "
	"{cpu: 100%}}\n"
	"heartbeat: 2s\non-reset: exit\non-panic: hold\non-violation: restart\ndebug-exit: true\n";
static const char least[] = "name: least\nboot: {kernel: k}\n";

static const char *const no_sandbox[] = {"core", NULL};

static void load(const char *text, struct launch *launch)
{
	*launch = (struct launch){.mode = LAUNCH_RUN, .file = {.path = "folder/web.yaml"}, .log_level = 2};
	config_file_parse((const uint8_t *)text, strlen(text), launch->detached, &launch->file,
			  &launch->problems);
}

static void unload(struct launch *launch)
{
	problems_clear(&launch->problems);
	config_file_clear(&launch->file);
}

static uint8_t *packed(const struct launch *launch, size_t *size)
{
	uint8_t *bytes;

	assert_int_equal(launch_pack(launch, &bytes, size), 0);
	return bytes;
}

/* It says the same, to the last byte. */
static void assert_same(const struct launch *one, const struct launch *other)
{
	size_t size, other_size;
	uint8_t *bytes = packed(one, &size), *other_bytes = packed(other, &other_size);

	assert_int_equal(size, other_size);
	assert_memory_equal(bytes, other_bytes, size);
	free(bytes);
	free(other_bytes);
}

static void assert_same_restart(const struct config_restart *one, const struct config_restart *other)
{
	assert_int_equal(one->policy, other->policy);
	assert_int_equal(one->limit, other->limit);
	assert_int_equal(one->backoff_us, other->backoff_us);
}

/* What config_check() has worked out. */
static void assert_same_worked_out(const struct config *one, const struct config *other)
{
	assert_int_equal(one->memory_bytes, other->memory_bytes);
	assert_int_equal(one->heartbeat_us, other->heartbeat_us);
	assert_int_equal(one->limited, other->limited);
	assert_same_restart(&one->restart_default, &other->restart_default);
	for (unsigned i = 0; i < one->consoles_count; i++) {
		assert_int_equal(one->consoles[i].max_bytes, other->consoles[i].max_bytes);
		assert_int_equal(one->consoles[i].device.on_violation,
				 other->consoles[i].device.on_violation);
	}
	for (unsigned i = 0; i < one->disks_count; i++)
		if (one->disks[i].device.limits != NULL)
			assert_memory_equal(&one->disks[i].device.limits->io->read_bytes,
					    &other->disks[i].device.limits->io->read_bytes,
					    2 * sizeof(uint64_t));
	for (unsigned i = 0; i < one->networks_count; i++) {
		assert_memory_equal(one->networks[i].mac_bytes, other->networks[i].mac_bytes, 6);
		if (one->networks[i].device.restart != NULL)
			assert_same_restart(one->networks[i].device.restart,
					    other->networks[i].device.restart);
	}
	if (one->limits != NULL)
		assert_int_equal(one->limits->cpu_percent, other->limits->cpu_percent);
}

static void test_round_trip(void **state)
{
	const char *const texts[] = {everything, least};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct launch launch, arrived;
		struct problems problems = {0};
		uint8_t *bytes;
		size_t size;

		load(texts[i], &launch);
		assert_int_equal(launch.problems.count, 0);
		if (i == 0) {
			launch.detached = launch.waited = true;
			launch.log_file = (char *)"log";
			launch.no_sandbox = (const char **)no_sandbox;
			launch.no_sandbox_count = 2;
		}
		bytes = packed(&launch, &size);
		assert_int_equal(launch_unpack(bytes, size, &arrived), 0);
		assert_same(&launch, &arrived);
		assert_string_equal(arrived.file.path, "folder/web.yaml");
		assert_int_equal(arrived.log_level, 2);
		assert_int_equal(arrived.detached, i == 0);
		assert_int_equal(arrived.waited, i == 0);
		if (i == 0) {
			assert_string_equal(arrived.log_file, "log");
			assert_string_equal(arrived.no_sandbox[0], "core");
			assert_null(arrived.no_sandbox[1]);
		} else {
			assert_null(arrived.log_file);
			assert_string_equal(arrived.file.config->consoles[0].device.id, "serial");
		}
		config_check(&arrived.file, false, &problems);
		assert_int_equal(problems.count, 0);
		assert_same(&launch, &arrived);
		assert_same_worked_out(launch.file.config, arrived.file.config);
		launch_clear(&arrived);
		unload(&launch);
		free(bytes);
	}
}

/* `check` tells the file's with the host's; nothing with a problem is run. */
static void test_problems(void **state)
{
	struct launch launch, arrived;
	uint8_t *bytes;
	size_t size;

	(void)state;
	load("name: web\ncpus: many\nmemory: 3\nboot: {kernel: k}\ndisks: [{id: a b, path: x}]\n", &launch);
	assert_true(launch.problems.count >= 3);
	assert_non_null(launch.file.config);
	bytes = packed(&launch, &size);
	assert_int_equal(launch_unpack(bytes, size, &arrived), -EPROTO);
	free(bytes);
	launch.mode = LAUNCH_CHECK;
	bytes = packed(&launch, &size);
	assert_int_equal(launch_unpack(bytes, size, &arrived), 0);
	assert_same(&launch, &arrived);
	free(bytes);
	launch_clear(&arrived);
	unload(&launch);
}

static void test_no_record(void **state)
{
	struct launch launch, arrived;
	uint8_t *bytes;
	size_t size;

	(void)state;
	load(everything, &launch);
	bytes = packed(&launch, &size);
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *part = malloc(cut + 1); /* so that a byte too much is seen */

		memcpy(part, bytes, cut);
		part = realloc(part, cut > 0 ? cut : 1);
		assert_int_equal(launch_unpack(part, cut, &arrived), -EPROTO);
		assert_null(arrived.file.config);
		assert_null(arrived.file.path);
		free(part);
	}
	bytes = realloc(bytes, size + 1);
	bytes[size] = 0;
	assert_int_equal(launch_unpack(bytes, size + 1, &arrived), -EPROTO);
	/* The first text is what it is, the second of what version. */
	bytes[8]++;
	assert_int_equal(launch_unpack(bytes, size, &arrived), -EPROTO);
	bytes[8]--;
	bytes[8 + strlen("atoll launch 2") + 8]++;
	assert_int_equal(launch_unpack(bytes, size, &arrived), -EPROTONOSUPPORT);
	free(bytes);
	unload(&launch);
}

/* The config's last values are those of enums, and a flag: out of their range they are refused. */
static void test_values_without_a_name(void **state)
{
	static const uint64_t wrong[] = {3, UINT64_C(1) << 32, UINT64_MAX};
	struct launch launch, arrived;
	uint8_t *bytes;
	size_t size;

	(void)state;
	load(least, &launch);
	bytes = packed(&launch, &size);
	/* on-reset, on-panic, on-violation, debug-exit, the count of problems */
	for (size_t from_end = 1; from_end <= 5; from_end++)
		for (size_t i = 0; i < 3; i++) {
			uint8_t *place = bytes + size - from_end * sizeof(uint64_t);
			uint64_t before;

			memcpy(&before, place, sizeof(before));
			memcpy(place, &wrong[i], sizeof(wrong[i]));
			assert_int_equal(launch_unpack(bytes, size, &arrived), -EPROTO);
			memcpy(place, &before, sizeof(before));
		}
	assert_int_equal(launch_unpack(bytes, size, &arrived), 0);
	launch_clear(&arrived);
	free(bytes);
	unload(&launch);
}

static int memfd(const void *bytes, size_t size, int seals)
{
	int fd = memfd_create("launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void test_descriptor(void **state)
{
	const int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct launch launch, arrived;
	uint8_t *bytes;
	size_t size;
	int fd, pipe_fds[2];

	(void)state;
	load(everything, &launch);
	bytes = packed(&launch, &size);
	fd = launch_send(&launch);
	assert_true(fd >= 0);
	/* It outlives an exec, and nobody changes it. */
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(launch_receive(fd, &arrived), 0);
	assert_same(&launch, &arrived);
	launch_clear(&arrived);
	close(fd);
	assert_int_equal(launch_receive(fd, &arrived), -EBADF);
	for (int seal = F_SEAL_SEAL; seal <= F_SEAL_WRITE; seal <<= 1) {
		fd = memfd(bytes, size, all & ~seal);
		assert_int_equal(launch_receive(fd, &arrived), -EPERM);
		close(fd);
	}
	fd = memfd(bytes, size / 2, all);
	assert_int_equal(launch_receive(fd, &arrived), -EPROTO);
	close(fd);
	fd = memfd("", 0, all);
	assert_int_equal(launch_receive(fd, &arrived), -EPROTO);
	close(fd);
	fd = memfd_create("large", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, INT64_C(1) << 40), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, all), 0);
	assert_int_equal(launch_receive(fd, &arrived), -EMSGSIZE);
	close(fd);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(launch_receive(pipe_fds[0], &arrived), -EPERM);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(launch_receive(fd, &arrived), -EPERM);
	close(fd);
	free(bytes);
	unload(&launch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_problems),
		cmocka_unit_test(test_no_record),  cmocka_unit_test(test_values_without_a_name),
		cmocka_unit_test(test_descriptor),
	};

	return cmocka_run_group_tests_name("launch", tests, NULL, NULL);
}
