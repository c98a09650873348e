/*
 * The audit's readers, on folders that look like /proc/PID: what a kernel writes, what a hostile process makes
 * it write, and what is no kernel's. And once on a real one.
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
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/audit_proc.h"
#include "audit/audit_sockets.h"

static char base[] = "/tmp/atoll-audit-XXXXXX";
static int base_fd;

static int group_setup(void **state)
{
	(void)state;
	if (mkdtemp(base) == NULL)
		return -1;
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base_fd < 0 ? -1 : 0;
}

static int group_teardown(void **state)
{
	char command[128];

	(void)state;
	close(base_fd);
	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command) == 0 ? 0 : -1;
}

static void file_write(const char *path, const char *text, size_t size)
{
	int fd = openat(base_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), size);
	close(fd);
}

static void file_text(const char *path, const char *text)
{
	file_write(path, text, strlen(text));
}

static void folder_make(const char *path)
{
	assert_true(mkdirat(base_fd, path, 0700) == 0 || errno == EEXIST);
}

static void link_make(const char *target, const char *path)
{
	unlinkat(base_fd, path, 0);
	assert_int_equal(symlinkat(target, base_fd, path), 0);
}

/* --- status --- */

#define STATUS_HEAD \
	"Name:\tqueue-0\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nPid:\t8\nPPid:\t6\nTracerPid:\t0\n"
#define STATUS_IDS "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t27 100 \n"
#define STATUS_CAPS                                                                         \
	"CapInh:\t0000000000000001\nCapPrm:\t0000000000000002\nCapEff:\t0000000000000003\n" \
	"CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000004\n"
#define STATUS_SECCOMP "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n"

static void test_status(void **state)
{
	struct proc_status status;

	(void)state;
	file_text("status",
		  STATUS_HEAD STATUS_IDS STATUS_CAPS STATUS_SECCOMP "Speculation_Store_Bypass:\tx\n");
	assert_int_equal(proc_read_status(base_fd, &status), 0);
	assert_string_equal(status.name, "queue-0");
	assert_int_equal(status.state, 'S');
	assert_int_equal(status.parent, 6);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(status.uid[i], i + 1);
		assert_int_equal(status.gid[i], i + 5);
	}
	assert_int_equal(status.groups, 2);
	assert_int_equal(status.inheritable, 1);
	assert_int_equal(status.permitted, 2);
	assert_int_equal(status.effective, 3);
	assert_int_equal(status.bounding, 0x1ffffffffff);
	assert_int_equal(status.ambient, 4);
	assert_true(status.no_new_privs);
	assert_int_equal(status.seccomp_mode, 2);
	assert_int_equal(status.seccomp_filters, 3);

	/* A kernel that does not count filters; a name that would drive a terminal. */
	file_text("status", "Name:\t\033[2J\\n\t:x\n" STATUS_IDS "PPid:\t6\n" STATUS_CAPS
			    "NoNewPrivs:\t0\nSeccomp:\t0\n");
	assert_int_equal(proc_read_status(base_fd, &status), 0);
	assert_string_equal(status.name, "\\x1b[2J\\x5cn\\x09:x");
	assert_int_equal(status.seccomp_filters, -1);
	assert_false(status.no_new_privs);
}

static void test_status_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"no colon\n",
		STATUS_HEAD STATUS_CAPS STATUS_SECCOMP,
		STATUS_HEAD STATUS_IDS STATUS_SECCOMP,
		STATUS_HEAD STATUS_IDS STATUS_CAPS "Seccomp:\t2\n",
		STATUS_HEAD STATUS_IDS STATUS_CAPS "NoNewPrivs:\t1\n",
		STATUS_IDS STATUS_CAPS STATUS_SECCOMP,
		STATUS_HEAD "Uid:\t1\t2\t3\nGid:\t5\t6\t7\t8\n" STATUS_CAPS STATUS_SECCOMP,
		STATUS_HEAD STATUS_IDS STATUS_CAPS "CapEff:\tnone\n" STATUS_SECCOMP,
		STATUS_HEAD STATUS_IDS STATUS_CAPS "CapEff:\t-1\n" STATUS_SECCOMP,
		STATUS_HEAD STATUS_IDS STATUS_CAPS "CapEff:\t10000000000000000\n" STATUS_SECCOMP,
	};
	struct proc_status status = {.parent = 99};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		file_text("status", texts[i]);
		assert_int_equal(proc_read_status(base_fd, &status), -EPROTO);
		assert_int_equal(status.parent, 99);
	}
	unlinkat(base_fd, "status", 0);
	assert_int_equal(proc_read_status(base_fd, &status), -ESRCH);
}

static void test_too_much(void **state)
{
	const size_t size = 5 * 1024 * 1024;
	char *text = malloc(size);
	struct proc_maps maps;
	struct proc_status status;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', size);
	file_write("status", text, size);
	file_write("maps", text, size);
	assert_int_equal(proc_read_status(base_fd, &status), -EFBIG);
	assert_int_equal(proc_read_maps(base_fd, &maps), -EFBIG);
	free(text);
}

static void test_kernel_worker(void **state)
{
	bool worker = false;

	(void)state;
	file_text("stat", "8 (a) S 1 (b) x) S 6 7 7 0 -1 4194368 1 0\n");
	assert_int_equal(proc_read_is_kernel_worker(base_fd, &worker), 0);
	assert_false(worker);
	/* PF_USER_WORKER; PF_IO_WORKER. */
	file_text("stat", "8 (kvm-nx-lpage-re) S 6 7 7 0 -1 4210752 1 0\n");
	assert_int_equal(proc_read_is_kernel_worker(base_fd, &worker), 0);
	assert_true(worker);
	file_text("stat", "8 (iou-wrk-7) S 6 7 7 0 -1 16 1 0\n");
	assert_int_equal(proc_read_is_kernel_worker(base_fd, &worker), 0);
	assert_true(worker);
	/* A name that imitates the rest of the line. */
	file_text("stat", "8 (x) S 6 7 7 0 -1 16 1 0) S 6 7 7 0 -1 64 1 0\n");
	assert_int_equal(proc_read_is_kernel_worker(base_fd, &worker), 0);
	assert_false(worker);
	file_text("stat", "8 (x) S 6 7\n");
	assert_int_equal(proc_read_is_kernel_worker(base_fd, &worker), -EPROTO);
	file_text("stat", "");
	assert_int_equal(proc_read_is_kernel_worker(base_fd, &worker), -EPROTO);
}

/* --- lists --- */

static void test_threads_and_children(void **state)
{
	struct proc_ids ids;

	(void)state;
	assert_int_equal(proc_read_threads(base_fd, &ids), -ESRCH);
	folder_make("task");
	assert_int_equal(proc_read_threads(base_fd, &ids), -ESRCH);
	folder_make("task/12");
	folder_make("task/7");
	folder_make("task/no-number");
	file_text("task/7/children", "");
	file_text("task/12/children", "31 32 ");
	assert_int_equal(proc_read_threads(base_fd, &ids), 0);
	assert_int_equal(ids.count, 2);
	assert_int_equal(ids.ids[0], 7);
	assert_int_equal(ids.ids[1], 12);
	proc_ids_free(&ids);
	assert_int_equal(proc_read_children(base_fd, &ids), 0);
	assert_int_equal(ids.count, 2);
	assert_int_equal(ids.ids[1], 32);
	proc_ids_free(&ids);
	/* This one ended meanwhile. */
	unlinkat(base_fd, "task/12/children", 0);
	assert_int_equal(proc_read_children(base_fd, &ids), 0);
	assert_int_equal(ids.count, 0);
	proc_ids_free(&ids);
	file_text("task/12/children", "x");
	assert_int_equal(proc_read_children(base_fd, &ids), -EPROTO);
}

/* --- namespaces, limits, groups --- */

static void test_namespaces(void **state)
{
	struct proc_namespaces namespaces;

	(void)state;
	folder_make("ns");
	assert_int_equal(proc_read_namespaces(base_fd, &namespaces), -ESRCH);
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++) {
		const char *name = proc_namespace_name((enum proc_namespace)i);
		char path[32], target[48];

		snprintf(path, sizeof(path), "ns/%s", name);
		snprintf(target, sizeof(target), "%s:[%u]", name, 4026531835u + i);
		link_make(target, path);
	}
	assert_int_equal(proc_read_namespaces(base_fd, &namespaces), 0);
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++)
		assert_int_equal(namespaces.inode[i], 4026531835u + i);
	/* A kernel without one kind. */
	unlinkat(base_fd, "ns/time", 0);
	assert_int_equal(proc_read_namespaces(base_fd, &namespaces), 0);
	assert_int_equal(namespaces.inode[PROC_NAMESPACE_TIME], 0);
	link_make("pid:[12]", "ns/net");
	assert_int_equal(proc_read_namespaces(base_fd, &namespaces), -EPROTO);
	link_make("net:[x]", "ns/net");
	assert_int_equal(proc_read_namespaces(base_fd, &namespaces), -EPROTO);
}

static void test_limits(void **state)
{
	struct proc_limits limits, own;
	struct rlimit nofile;
	int fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(proc_read_limits(fd, &own), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &nofile), 0);
	assert_int_equal(own.soft[RLIMIT_NOFILE], nofile.rlim_cur);
	assert_int_equal(own.hard[RLIMIT_NOFILE], nofile.rlim_max);
	close(fd);
	/* One line of sixteen. */
	file_text("limits",
		  "Limit                     Soft Limit           Hard Limit           Units     \n"
		  "Max core file size        0                    unlimited            bytes     \n");
	assert_int_equal(proc_read_limits(base_fd, &limits), -EPROTO);
	assert_string_equal(proc_limit_name(RLIMIT_CORE), "core");
	assert_string_equal(proc_limit_name(99), "unknown");
}

static void test_cgroup_and_maps_of_ids(void **state)
{
	struct proc_id_map map;
	char text[64];

	(void)state;
	file_text("cgroup", "4:memory:/a\n0::/web\n1:cpu:/b\n");
	assert_int_equal(proc_read_cgroup(base_fd, text, sizeof(text)), 0);
	assert_string_equal(text, "0::/web");
	file_text("cgroup", "4:memory:/a\n1:cpu:/b\n");
	assert_int_equal(proc_read_cgroup(base_fd, text, sizeof(text)), 0);
	assert_string_equal(text, "4:memory:/a");
	file_text("cgroup", "");
	assert_int_equal(proc_read_cgroup(base_fd, text, sizeof(text)), -EPROTO);

	file_text("uid_map", "         0 1879048200          1\n");
	file_text("gid_map", "         0          0 4294967295\n         5          6          7\n");
	assert_int_equal(proc_read_id_map(base_fd, false, &map), 0);
	assert_int_equal(map.ranges, 1);
	assert_int_equal(map.inside, 0);
	assert_int_equal(map.outside, 1879048200);
	assert_int_equal(map.length, 1);
	assert_int_equal(proc_read_id_map(base_fd, true, &map), 0);
	assert_int_equal(map.ranges, 2);
	assert_int_equal(map.length, 4294967295u);
	assert_int_equal(map.more, 7);
	file_text("uid_map", "");
	assert_int_equal(proc_read_id_map(base_fd, false, &map), 0);
	assert_int_equal(map.ranges, 0);
	file_text("uid_map", "0 5 1\n1 x 1\n");
	assert_int_equal(proc_read_id_map(base_fd, false, &map), -EPROTO);
	file_text("uid_map", "0 x 1\n");
	assert_int_equal(proc_read_id_map(base_fd, false, &map), -EPROTO);
}

/* --- root --- */

static void test_mounts(void **state)
{
	struct proc_mounts mounts;

	(void)state;
	file_text("mountinfo",
		  "900 899 0:55 / / ro,nosuid,nodev,noexec,relatime - tmpfs none ro,size=4k,uid=0\n");
	assert_int_equal(proc_read_mounts(base_fd, &mounts), 0);
	assert_int_equal(mounts.count, 1);
	assert_true(mounts.root_readonly);
	assert_string_equal(mounts.root_type, "tmpfs");
	assert_string_equal(mounts.first, "/");
	/* With optional fields; writable although its super block is read-only; a second one. */
	file_text("mountinfo", "28 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 ro\n"
			       "30 28 0:20 / /a\\040b\033 ro - sysfs sysfs rw\n");
	assert_int_equal(proc_read_mounts(base_fd, &mounts), 0);
	assert_int_equal(mounts.count, 2);
	assert_false(mounts.root_readonly);
	assert_string_equal(mounts.root_type, "ext4");
	assert_string_equal(mounts.second, "/a\\x5c040b\\x1b");
	/* Words of which "ro" is only a part. */
	file_text("mountinfo", "900 899 0:55 / / rox,errors=ro - tmpfs none rw\n");
	assert_int_equal(proc_read_mounts(base_fd, &mounts), 0);
	assert_false(mounts.root_readonly);
	file_text("mountinfo", "900 899 0:55 / / ro tmpfs none rw\n");
	assert_int_equal(proc_read_mounts(base_fd, &mounts), -EPROTO);
	file_text("mountinfo", "900 899\n");
	assert_int_equal(proc_read_mounts(base_fd, &mounts), -EPROTO);
}

static void test_root(void **state)
{
	struct proc_root root;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/ns", base);
	link_make(path, "root");
	link_make(path, "cwd");
	assert_int_equal(proc_read_root(base_fd, &root), 0);
	assert_int_not_equal(root.entries, 0);
	assert_true(root.is_working_directory);
	folder_make("empty");
	snprintf(path, sizeof(path), "%s/empty", base);
	link_make(path, "root");
	assert_int_equal(proc_read_root(base_fd, &root), 0);
	assert_int_equal(root.entries, 0);
	assert_false(root.is_working_directory);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "empty/%u\033", i);
		file_text(path, "");
	}
	assert_int_equal(proc_read_root(base_fd, &root), 0);
	assert_int_equal(root.entries, 64);
	assert_string_equal(root.first + strlen(root.first) - 4, "\\x1b");
	unlinkat(base_fd, "root", 0);
	assert_int_equal(proc_read_root(base_fd, &root), -ESRCH);
}

/* --- descriptors --- */

static void test_fds(void **state)
{
	struct proc_fds fds;
	char target[32];

	(void)state;
	folder_make("fd");
	folder_make("fdinfo");
	link_make("/dev/net/tun", "fd/11");
	file_text("fdinfo/11", "pos:\t0\nflags:\t0104002\nmnt_id:\t33\nino:\t120\niff:\ttap\033\n");
	link_make("anon_inode:[eventfd]", "fd/4");
	file_text("fdinfo/4", "pos:\t0\nflags:\t02004002\neventfd-count:                0\neventfd-id: 27\n");
	link_make("/a\nb", "fd/5");
	file_text("fdinfo/5", "no colon\nflags:\nino:\t-1\nmnt_id:\t99999999999999999999999\n");
	/* Closed between the two. */
	link_make("/gone", "fd/6");
	assert_int_equal(proc_read_fds(base_fd, &fds), 0);
	assert_int_equal(fds.count, 3);
	assert_int_equal(fds.fds[0].fd, 4);
	assert_int_equal(fds.fds[0].eventfd, 27);
	assert_int_equal(fds.fds[1].fd, 5);
	assert_string_equal(fds.fds[1].target, "/a\\x0ab");
	assert_int_equal(fds.fds[1].inode, 0);
	assert_int_equal(fds.fds[1].eventfd, -1);
	assert_int_equal(fds.fds[2].fd, 11);
	assert_int_equal(fds.fds[2].flags, 0104002);
	assert_int_equal(fds.fds[2].mount, 33);
	assert_int_equal(fds.fds[2].inode, 120);
	assert_string_equal(fds.fds[2].interface, "tap\\x1b");
	proc_fds_free(&fds);
	assert_int_equal(proc_read_fd_target(base_fd, 11, target, sizeof(target)), 0);
	assert_string_equal(target, "/dev/net/tun");
	assert_int_equal(proc_read_fd_target(base_fd, 12, target, sizeof(target)), -ESRCH);
}

static void test_fds_of_a_process(void **state)
{
	int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);
	int memfd = memfd_create("x\033[1m", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const struct proc_fd *found = NULL;
	struct proc_fds fds;
	unsigned seals = 0;

	(void)state;
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(proc_read_fds(self, &fds), 0);
	for (size_t i = 0; i < fds.count; i++) {
		if (fds.fds[i].fd == event)
			assert_string_equal(fds.fds[i].target, "anon_inode:[eventfd]");
		if (fds.fds[i].fd == memfd)
			found = &fds.fds[i];
	}
	assert_non_null(found);
	assert_string_equal(found->target, "/memfd:x\\x1b[1m (deleted)");
	proc_fds_free(&fds);
	assert_int_equal(proc_read_seals(self, memfd, &seals), 0);
	assert_int_equal(seals, F_SEAL_GROW);
	assert_int_equal(proc_read_seals(self, event, &seals), -EINVAL);
	close(self);
	close(event);
	close(memfd);
}

/* --- memory --- */

static void maps_expect(const char *line, unsigned writable_executable, unsigned anonymous_executable)
{
	struct proc_maps maps;

	file_text("maps", line);
	assert_int_equal(proc_read_maps(base_fd, &maps), 0);
	assert_int_equal(maps.count, 1);
	assert_int_equal(maps.writable_executable, writable_executable);
	assert_int_equal(maps.anonymous_executable, anonymous_executable);
	assert_int_equal(maps.first[0] != '\0', writable_executable + anonymous_executable);
	proc_maps_free(&maps);
}

static void test_maps(void **state)
{
	struct proc_maps maps;

	(void)state;
	maps_expect("1000-2000 r-xp 00000000 08:01 77                         /usr/bin/x\n", 0, 0);
	maps_expect("1000-2000 rw-p 00000000 00:00 0                          [heap]\n", 0, 0);
	maps_expect("1000-2000 rw-s 00000000 00:00 0 \n", 0, 0);
	maps_expect("1000-2000 r-xp 00000000 00:00 0                          [vdso]\n", 0, 0);
	maps_expect("1000-2000 --xp 00000000 00:00 0                          [vsyscall]\n", 0, 0);
	maps_expect("1000-2000 rwxp 00000000 00:00 0 \n", 1, 0);
	maps_expect("1000-2000 rwxp 00000000 08:01 77                         /usr/bin/x\n", 1, 0);
	maps_expect("1000-2000 r-xp 00000000 00:00 0 \n", 0, 1);
	maps_expect("1000-2000 --xp 00000000 00:00 0                          [anon:[vdso]]\n", 0, 1);
	maps_expect("1000-2000 r-xs 00000000 00:01 99                         /memfd:code (deleted)\n", 0, 1);
	file_text("maps", "1000-2000 r-xp\n");
	assert_int_equal(proc_read_maps(base_fd, &maps), -EPROTO);
	file_text("maps", "1000-2000 rwx 0 0:0 0 \n");
	assert_int_equal(proc_read_maps(base_fd, &maps), -EPROTO);
}

static void test_maps_of_a_process(void **state)
{
	int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct proc_maps before, after;
	void *page;

	(void)state;
	assert_int_equal(proc_read_maps(self, &before), 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	assert_int_equal(proc_read_maps(self, &after), 0);
	assert_int_equal(after.writable_executable, before.writable_executable + 1);
	munmap(page, 4096);
	proc_maps_free(&before);
	proc_maps_free(&after);
	close(self);
}

/* F2: files that are mapped, executable or not; and what is on its way. */
static void test_files_and_flight_of_a_process(void **state)
{
	int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC), sockets[2],
	    file = memfd_create("mine", 0);
	struct iovec byte = {.iov_base = (char[]){'x'}, .iov_len = 1};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = {0};
	struct msghdr message = {.msg_iov = &byte,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct proc_maps maps;
	struct proc_fd fd;
	bool found = false, code = false;
	void *page;

	(void)state;
	assert_int_equal(ftruncate(file, 4096), 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	assert_int_equal(proc_read_maps(self, &maps), 0);
	for (size_t i = 0; i < maps.file_count; i++) {
		const struct proc_map *map = &maps.files[i];

		found = found || (strcmp(map->name, "/memfd:mine (deleted)") == 0 && map->shared &&
				  map->writable && !map->executable && map->inode != 0);
		code = code || (map->executable && !map->shared && !map->writable);
	}
	assert_true(found && code);
	proc_maps_free(&maps);
	munmap(page, 4096);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	assert_int_equal(proc_read_fd(self, sockets[0], &fd), 0);
	assert_int_equal(fd.in_flight, 0);
	control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), &file, sizeof(file));
	assert_int_equal(sendmsg(sockets[1], &message, 0), 1);
	close(file);
	assert_int_equal(proc_read_fd(self, sockets[0], &fd), 0);
	assert_int_equal(fd.in_flight, 1);
	assert_int_equal(proc_read_fd(self, sockets[1], &fd), 0);
	assert_int_equal(fd.in_flight, 0);
	close(sockets[0]);
	close(sockets[1]);
	assert_int_equal(proc_read_fd(self, sockets[0], &fd), -ESRCH);
	close(self);
}

/* --- processes that end --- */

static void test_gone(void **state)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir_fd;
	pid_t child = fork();
	struct proc_namespaces namespaces;
	struct proc_status status;
	struct proc_ids ids;
	struct proc_fds fds;
	char text[16];

	(void)state;
	if (child == 0)
		for (;;)
			pause();
	dir_fd = proc_open(proc_fd, child);
	assert_true(dir_fd >= 0);
	assert_int_equal(proc_read_status(dir_fd, &status), 0);
	assert_int_equal(status.parent, getpid());
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(proc_read_status(dir_fd, &status), -ESRCH);
	assert_int_equal(proc_read_threads(dir_fd, &ids), -ESRCH);
	assert_int_equal(proc_read_namespaces(dir_fd, &namespaces), -ESRCH);
	assert_int_equal(proc_read_fds(dir_fd, &fds), -ESRCH);
	assert_int_equal(proc_read_cgroup(dir_fd, text, sizeof(text)), -ESRCH);
	close(dir_fd);
	assert_int_equal(proc_open(proc_fd, child), -ESRCH);
	close(proc_fd);
}

/* --- sockets --- */

static uint32_t socket_inode(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return (uint32_t)status.st_ino;
}

static void test_sockets(void **state)
{
	struct unix_sockets sockets = {0};
	const struct unix_socket *socket;
	int pair[2], result;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	result = unix_sockets_read(&sockets);
	if (result == -EOPNOTSUPP)
		skip();
	assert_int_equal(result, 0);
	unix_sockets_sort(&sockets);
	socket = unix_sockets_find(&sockets, socket_inode(pair[0]));
	assert_non_null(socket);
	assert_int_equal(socket->type, SOCK_SEQPACKET);
	assert_false(socket->listening);
	assert_int_equal(socket->peer, socket_inode(pair[1]));
	assert_null(unix_sockets_find(&sockets, (uint64_t)socket_inode(pair[0]) | UINT64_C(1) << 32));
	close(pair[0]);
	close(pair[1]);
	unix_sockets_free(&sockets);
	assert_null(unix_sockets_find(&sockets, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_refused),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_kernel_worker),
		cmocka_unit_test(test_threads_and_children),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cgroup_and_maps_of_ids),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_fds_of_a_process),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_maps_of_a_process),
		cmocka_unit_test(test_files_and_flight_of_a_process),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_sockets),
	};

	return cmocka_run_group_tests_name("audit_proc", tests, group_setup, group_teardown);
}
