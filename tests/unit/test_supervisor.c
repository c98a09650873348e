/*
 * The supervisor's parts that need no VM: keys behind Ctrl-a, the runtime directory, the relay.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/loop.h"
#include "common/host/image_lock.h"
#include "common/host/runtime_dir.h"
#include "supervisor/host/console_file.h"
#include "supervisor/host/log_output.h"
#include "supervisor/host/relay.h"
#include "supervisor/host/terminal.h"
#include "supervisor/vm/device_state.h"

/* --- the states of a device --- */

/* From launch to each state and out of it again; and whatever there is, a launch begins anew. */
static void test_device_states(void **state)
{
	static const enum device_event ways[][6] = {
		/* Replaced as a command asks. */
		{DEVICE_BEGAN, DEVICE_ORDERED, DEVICE_LOST, DEVICE_TRIED, DEVICE_SERVED, DEVICE_LAUNCHED},
		/* Its process dies, and the next one does not get ready. */
		{DEVICE_BEGAN, DEVICE_LOST, DEVICE_TRIED, DEVICE_LOST, DEVICE_TRIED, DEVICE_LAUNCHED},
		/* A violation: held, and revived. */
		{DEVICE_BEGAN, DEVICE_STOPPED, DEVICE_LOST, DEVICE_TRIED, DEVICE_SERVED, DEVICE_LAUNCHED},
		/* The same, and the guest goes on without it. */
		{DEVICE_BEGAN, DEVICE_STOPPED, DEVICE_GIVEN_UP, DEVICE_LOST, DEVICE_TRIED, DEVICE_LAUNCHED},
		/* Failed; its undertaker is ordered to end for the next process. */
		{DEVICE_BEGAN, DEVICE_GIVEN_UP, DEVICE_ORDERED, DEVICE_LOST, DEVICE_TRIED, DEVICE_LAUNCHED},
	};
	static const enum device_state ends[][6] = {
		{DEVICE_RUNNING, DEVICE_DRAINING, DEVICE_WAITING, DEVICE_SUCCEEDING, DEVICE_RUNNING,
		 DEVICE_STARTING},
		{DEVICE_RUNNING, DEVICE_WAITING, DEVICE_SUCCEEDING, DEVICE_WAITING, DEVICE_SUCCEEDING,
		 DEVICE_STARTING},
		{DEVICE_RUNNING, DEVICE_HELD, DEVICE_WAITING, DEVICE_SUCCEEDING, DEVICE_RUNNING,
		 DEVICE_STARTING},
		{DEVICE_RUNNING, DEVICE_HELD, DEVICE_FAILED, DEVICE_WAITING, DEVICE_SUCCEEDING,
		 DEVICE_STARTING},
		{DEVICE_RUNNING, DEVICE_FAILED, DEVICE_DRAINING, DEVICE_WAITING, DEVICE_SUCCEEDING,
		 DEVICE_STARTING},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		enum device_state at = DEVICE_STARTING;

		for (size_t k = 0; k < 6; k++) {
			at = device_state_after(at, ways[i][k]);
			assert_int_equal(at, ends[i][k]);
		}
	}
	for (unsigned at = 0; at < DEVICE_STATES; at++)
		assert_int_equal(device_state_after(at, DEVICE_LAUNCHED), DEVICE_STARTING);
}

/* What cannot be is no state: the supervisor's own fault, which ends it here and now. */
static void test_device_state_never(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		device_state_after(DEVICE_WAITING, DEVICE_SERVED);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* --- keys --- */

static void keys_expect(struct terminal_keys *keys, const char *typed, size_t size, const char *passed,
			size_t taken, enum terminal_command command)
{
	enum terminal_command told;
	char out[64];
	size_t out_size;

	assert_int_equal(terminal_keys_filter(keys, typed, size, out, &out_size, &told), taken);
	assert_int_equal(told, command);
	assert_int_equal(out_size, strlen(passed));
	assert_memory_equal(out, passed, out_size);
}

static void test_keys(void **state)
{
	struct terminal_keys keys = {0};

	(void)state;
	keys_expect(&keys, "hello\r", 6, "hello\r", 6, TERMINAL_COMMAND_NONE);
	keys_expect(&keys, "a\001xb", 4, "a", 3, TERMINAL_COMMAND_END);
	keys_expect(&keys, "a\001hb", 4, "a", 3, TERMINAL_COMMAND_HELP);
	keys_expect(&keys, "\001a\001\001", 4, "\001\001", 4, TERMINAL_COMMAND_NONE);
	keys_expect(&keys, "1\001z2", 4, "12", 4, TERMINAL_COMMAND_NONE);
	/* Over two reads. */
	keys_expect(&keys, "q\001", 2, "q", 2, TERMINAL_COMMAND_NONE);
	keys_expect(&keys, "x", 1, "", 1, TERMINAL_COMMAND_END);
	keys_expect(&keys, "x", 1, "x", 1, TERMINAL_COMMAND_NONE);
	keys_expect(&keys, "", 0, "", 0, TERMINAL_COMMAND_NONE);
}

/* --- standard error --- */

/* What there is to read, behind what was read; 0: nothing, or no room. */
static size_t read_more(int fd, char *got, size_t room, size_t used)
{
	ssize_t size = used < room ? read(fd, got + used, room - used) : 0;

	return size > 0 ? (size_t)size : 0;
}

/* B3: a pipe that nobody reads holds up nobody; what does not fit is counted. */
static void test_log_output(void **state)
{
	static char got[4 * LOG_OUTPUT_ROOM], line[1000];
	int saved = dup(STDERR_FILENO), ends[2];
	struct loop *loop = loop_new();
	size_t used = 0, size;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(log_output_start(loop), 0);
	/* The description that others have is left as it is. */
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	alarm(20);
	for (unsigned i = 0; i < 300; i++)
		log_output_write(line, sizeof(line));
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	do {
		size = read_more(ends[0], got, sizeof(got), used);
		used += size;
		loop_run_once(loop, 0);
	} while (size > 0 || used < 2 * LOG_OUTPUT_ROOM - 2000);
	log_output_write("the end\n", 8);
	log_output_stop();
	used += read_more(ends[0], got, sizeof(got), used);
	alarm(0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
	loop_free(loop);
	/* Whole lines, then how many are missing, then what came later. */
	size_t whole = 0;
	while (memcmp(got + whole * sizeof(line), line, sizeof(line)) == 0)
		whole++;
	assert_true(whole >= 2 * LOG_OUTPUT_ROOM / sizeof(line) - 8);
	assert_true(whole <= 2 * LOG_OUTPUT_ROOM / sizeof(line));
	char words[64];

	snprintf(words, sizeof(words), " warning atoll: %zu lines dropped: ", 300 - whole);
	assert_non_null(strstr(got + whole * sizeof(line), words));
	assert_string_equal(got + used - 8, "the end\n");
}

/* --- runtime directory --- */

static char base[64];

static int base_make(void **state)
{
	(void)state;
	strcpy(base, "/tmp/atoll-test-XXXXXX");
	assert_non_null(mkdtemp(base));
	setenv("ATOLL_RUNTIME_DIR", base, 1);
	return 0;
}

static int base_remove(void **state)
{
	(void)state;
	return rmdir(base);
}

static void test_runtime_dir(void **state)
{
	struct runtime_dir dir, second;
	struct stat status;
	char path[128], text[16] = "";
	pid_t holder = -1;
	int fd;

	(void)state;
	assert_int_equal(runtime_dir_take("web", &dir, &holder), 0);
	snprintf(path, sizeof(path), "%s/web", base);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	strcat(path, "/pid");
	fd = open(path, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_int_equal(atoi(text), getpid());
	/* flock(2) holds between descriptions, so also within one process. */
	assert_int_equal(runtime_dir_take("web", &second, &holder), -EBUSY);
	assert_int_equal(holder, getpid());
	assert_int_equal(runtime_vm_find(dir.base_fd, "web", &holder), 1);
	assert_int_equal(runtime_vm_find(dir.base_fd, "other", &holder), 0);
	assert_int_equal(runtime_vm_find(dir.base_fd, "../web", &holder), 0);
	assert_int_equal(runtime_dir_link(&dir, "/dev/null", "console-a"), 0);
	fd = runtime_dir_listen(&dir, RUNTIME_CONTROL_SOCKET, SOCK_SEQPACKET);
	assert_true(fd >= 0);
	int client = runtime_vm_connect(dir.base_fd, "web");

	assert_true(client >= 0);
	close(client);
	close(fd);
	runtime_dir_remove(&dir);
	snprintf(path, sizeof(path), "%s/web", base);
	assert_int_equal(access(path, F_OK), -1);
	/* And once more is harmless. */
	runtime_dir_remove(&dir);
}

/* A supervisor that was killed leaves everything. */
static void leave_stale(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct runtime_dir dir;
		pid_t holder;

		if (runtime_dir_take("web", &dir, &holder) == 0 &&
		    runtime_dir_listen(&dir, RUNTIME_CONTROL_SOCKET, SOCK_SEQPACKET) >= 0)
			_exit(0);
		_exit(1);
	}
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_runtime_stale(void **state)
{
	struct runtime_dir dir;
	char path[128];
	pid_t holder;
	int base_fd, fd;

	(void)state;
	leave_stale();
	assert_int_equal(runtime_dir_take("web", &dir, &holder), 0);
	/* What it left would be in the way. */
	fd = runtime_dir_listen(&dir, RUNTIME_CONTROL_SOCKET, SOCK_SEQPACKET);
	assert_true(fd >= 0);
	close(fd);
	runtime_dir_remove(&dir);

	leave_stale();
	assert_int_equal(runtime_base_open(&base_fd, 0), 0);
	assert_int_equal(runtime_vm_find(base_fd, "web", &holder), 0);
	close(base_fd);
	snprintf(path, sizeof(path), "%s/web", base);
	assert_int_equal(access(path, F_OK), -1);
}

static void file_make(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", base, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static bool file_is_there(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return access(path, F_OK) == 0;
}

static void file_remove(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	assert_int_equal(remove(path), 0);
}

/* B1: a folder with files that is no VM's is neither taken, nor emptied by who only looks. */
static void test_runtime_foreign(void **state)
{
	struct runtime_dir dir;
	char path[128];
	pid_t holder;
	int base_fd;

	(void)state;
	assert_int_equal(runtime_base_open(&base_fd, 0), 0);
	snprintf(path, sizeof(path), "%s/web", base);
	assert_int_equal(mkdir(path, 0700), 0);
	file_make("web/pid", "12345\n");
	file_make("web/image", "precious");
	assert_int_equal(runtime_vm_find(base_fd, "web", &holder), 0);
	assert_int_equal(runtime_dir_look(base_fd, "web", &holder), -RUNTIME_ERROR_FOREIGN);
	assert_int_equal(runtime_dir_take("web", &dir, &holder), -RUNTIME_ERROR_FOREIGN);
	assert_true(file_is_there("web/image") && file_is_there("web/pid"));
	file_remove("web/image");
	/* Some daemon's. */
	assert_int_equal(runtime_dir_take("web", &dir, &holder), -RUNTIME_ERROR_FOREIGN);
	file_make("web/pid", "");
	/* As of one that was about to take it. */
	assert_int_equal(runtime_dir_take("web", &dir, &holder), 0);
	runtime_dir_remove(&dir);
	assert_false(file_is_there("web"));
	/* Others can write NAME/. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(runtime_dir_take("web", &dir, &holder), -RUNTIME_ERROR_FOREIGN);
	assert_int_equal(rmdir(path), 0);
	/* Not through a link either. */
	assert_int_equal(symlink("/", path), 0);
	assert_true(runtime_dir_take("web", &dir, &holder) < 0);
	assert_int_equal(runtime_vm_find(base_fd, "web", &holder), 0);
	assert_int_equal(unlink(path), 0);
	close(base_fd);
}

/* B1: what was put beside a VM's own files stays, and is in nobody's way afterwards. */
static void test_runtime_beside(void **state)
{
	struct runtime_dir dir;
	pid_t holder;
	int base_fd, fd;

	(void)state;
	assert_int_equal(runtime_base_open(&base_fd, 0), 0);
	assert_int_equal(runtime_dir_take("web", &dir, &holder), 0);
	file_make("web/image", "precious");
	/* The name is like ours, the kind is not. */
	file_make("web/console-root", "precious");
	assert_int_equal(runtime_dir_link(&dir, "/dev/null", "console-a"), 0);
	runtime_dir_remove(&dir);
	assert_true(file_is_there("web/image") && file_is_there("web/console-root"));
	assert_false(file_is_there("web/console-a") || file_is_there("web/pid"));
	assert_int_equal(runtime_vm_find(base_fd, "web", &holder), 0);
	assert_int_equal(runtime_dir_take("web", &dir, &holder), 0);
	fd = runtime_dir_listen(&dir, RUNTIME_CONTROL_SOCKET, SOCK_SEQPACKET);
	assert_true(fd >= 0);
	close(fd);
	/* Killed: who looks deletes nothing, not what is ours either. */
	close(dir.lock_fd);
	assert_int_equal(runtime_vm_find(base_fd, "web", &holder), 0);
	assert_true(file_is_there("web/image") && file_is_there("web/control"));
	file_remove("web/image");
	file_remove("web/console-root");
	assert_int_equal(runtime_vm_find(base_fd, "web", &holder), 0);
	assert_false(file_is_there("web"));
	close(dir.fd);
	close(dir.base_fd);
	close(base_fd);
}

/* B1: a directory that others can write, or that is another's. */
static void test_runtime_base(void **state)
{
	struct runtime_dir dir;
	pid_t holder;
	int base_fd;

	(void)state;
	for (mode_t mode = 0720; mode != 0; mode = mode == 0720 ? 0702 : mode == 0702 ? 01777 : 0) {
		assert_int_equal(chmod(base, mode), 0);
		assert_int_equal(runtime_base_open(&base_fd, 1), -RUNTIME_ERROR_MODE);
		assert_int_equal(runtime_dir_take("web", &dir, &holder), -RUNTIME_ERROR_MODE);
	}
	assert_int_equal(chmod(base, 0755), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(base, 65534, 65534), 0);
		assert_int_equal(runtime_base_open(&base_fd, 1), -RUNTIME_ERROR_OWNER);
		assert_int_equal(runtime_dir_take("web", &dir, &holder), -RUNTIME_ERROR_OWNER);
		/* Root may look at it. */
		assert_int_equal(runtime_base_open(&base_fd, 0), 0);
		close(base_fd);
		assert_int_equal(chown(base, 0, 0), 0);
	}
	assert_int_equal(runtime_base_open(&base_fd, 0), 0);
	close(base_fd);
}

/* Only ever one of many that try at once has it. */
static void test_runtime_race(void **state)
{
	char path[128];
	FILE *owners;
	int order[2];
	char go;

	(void)state;
	assert_int_equal(pipe(order), 0);
	snprintf(path, sizeof(path), "%s/owner", base);
	for (int i = 0; i < 8; i++) {
		if (fork() != 0)
			continue;
		close(order[1]);
		if (read(order[0], &go, 1) != 0)
			_exit(2);
		for (int round = 0; round < 200; round++) {
			struct runtime_dir dir;
			pid_t holder;
			int fd;

			if (runtime_dir_take("race", &dir, &holder) < 0)
				continue;
			/* Were there two owners, the second would find the first's mark. */
			fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
			if (fd < 0)
				_exit(1);
			close(fd);
			unlink(path);
			runtime_dir_remove(&dir);
		}
		_exit(0);
	}
	close(order[0]);
	close(order[1]);
	for (int i = 0; i < 8; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	owners = fopen(path, "r");
	assert_null(owners);
	snprintf(path, sizeof(path), "%s/race", base);
	assert_int_equal(access(path, F_OK), -1);
}

/* --- relay --- */

static bool drained;
static struct loop *loop;

static void relay_command(void *owner, enum terminal_command command)
{
	(void)owner;
	(void)command;
}

static void relay_drained(void *owner)
{
	(void)owner;
	drained = true;
	loop_stop(loop);
}

static const struct relay_ops relay_ops = {relay_command, relay_drained};

static void fill(char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 7 + i / 251);
}

#define TRANSFER 300000

/* The console process: sends back what it gets, as many bytes as are to come, and ends. */
static pid_t echo_start(int fd)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		char data[1000];
		size_t total = 0;

		alarm(20);
		while (total < TRANSFER) {
			ssize_t size = recv(fd, data, sizeof(data), 0);

			if (size <= 0 || send(fd, data, (size_t)size, 0) != size)
				_exit(1);
			total += (size_t)size;
		}
		_exit(0);
	}
	return child;
}

/* Everything that stands on in_fd comes out of out_fd, through the echo, before `drained`. */
static void relay_run(int in_fd, int out_fd)
{
	struct relay *relay;
	int sockets[2], status;
	pid_t child;

	drained = false;
	loop = loop_new();
	assert_non_null(loop);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	child = echo_start(sockets[1]);
	close(sockets[1]);
	assert_int_equal(relay_new(loop, in_fd, out_fd, false, &relay_ops, NULL, &relay), 0);
	assert_int_equal(relay_attach(relay, sockets[0]), 0);
	assert_true(relay_busy(relay));
	assert_int_equal(loop_run(loop), 0);
	assert_true(drained);
	assert_false(relay_busy(relay));
	relay_free(relay);
	loop_free(loop);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static char sent[TRANSFER], received[TRANSFER + 1];

static int temporary_file(void)
{
	char path[] = "/tmp/atoll-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static void test_relay_files(void **state)
{
	int in_fd = temporary_file(), out_fd = temporary_file();

	(void)state;
	fill(sent, sizeof(sent));
	assert_int_equal(write(in_fd, sent, sizeof(sent)), sizeof(sent));
	lseek(in_fd, 0, SEEK_SET);
	/* Written from where the file's position is, which the shell's >> and ours share. */
	assert_int_equal(write(out_fd, "x", 1), 1);
	relay_run(in_fd, out_fd);
	assert_int_equal(pread(out_fd, received, sizeof(received), 1), sizeof(sent));
	assert_memory_equal(received, sent, sizeof(sent));
	close(in_fd);
	close(out_fd);
}

/* A writer and a slow reader on pipes; descriptors keep their flags. */
static void test_relay_pipes(void **state)
{
	int in[2], out[2], status;
	pid_t writer, reader;

	(void)state;
	fill(sent, sizeof(sent));
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	writer = fork();
	if (writer == 0) {
		size_t done = 0;

		while (done < sizeof(sent)) {
			ssize_t size = write(in[1], sent + done, sizeof(sent) - done);

			if (size <= 0)
				_exit(1);
			done += (size_t)size;
		}
		_exit(0);
	}
	reader = fork();
	if (reader == 0) {
		size_t done = 0;
		ssize_t size;

		close(out[1]);
		alarm(20);
		while (done < sizeof(received) &&
		       (size = read(out[0], received + done, sizeof(received) - done)) > 0) {
			done += (size_t)size;
			/* The pipe is full most of the time. */
			usleep(100);
		}
		_exit(done == sizeof(sent) && memcmp(sent, received, sizeof(sent)) == 0 ? 0 : 1);
	}
	close(in[1]);
	close(out[0]);
	relay_run(in[0], out[1]);
	assert_int_equal(fcntl(out[1], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
	close(in[0]);
	close(out[1]);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_int_equal(status, 0);
}

/* A reader that has gone: the VM's output is dropped, and the run ends nonetheless. */
static void test_relay_closed_out(void **state)
{
	int in_fd = temporary_file(), out[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(write(in_fd, sent, sizeof(sent)), sizeof(sent));
	lseek(in_fd, 0, SEEK_SET);
	assert_int_equal(pipe(out), 0);
	close(out[0]);
	relay_run(in_fd, out[1]);
	close(in_fd);
	close(out[1]);
}

/* --- B5: a console's file that is full --- */

static char folder[] = "/tmp/atoll-console-XXXXXX";

static void in_folder(char path[64], const char *name)
{
	snprintf(path, 64, "%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
	char path[64];
	int fd;

	in_folder(path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void expect_text(const char *name, const char *text)
{
	char path[64], data[64] = {0};
	int fd;

	in_folder(path, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	assert_int_equal(read(fd, data, sizeof(data)), strlen(text));
	assert_string_equal(data, text);
	close(fd);
}

static int console_file_begin(struct console_file *file)
{
	char path[64];
	int fd;

	assert_non_null(mkdtemp(folder));
	in_folder(path, "log");
	put("log", "");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(console_file_open(file, path, fd, 4), 0);
	return fd;
}

static void console_file_end(struct console_file *file, int fd)
{
	static const char *const names[] = {"log", "log.1", "other", "away"};
	char path[64];

	console_file_close(file);
	close(fd);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		in_folder(path, names[i]);
		if (unlink(path) < 0)
			rmdir(path);
	}
	assert_int_equal(rmdir(folder), 0);
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
}

static void test_console_file_rotates(void **state)
{
	struct console_file file;
	const char *problem;
	struct stat status;
	int fd = console_file_begin(&file);

	(void)state;
	assert_false(console_file_is_full(&file, fd));
	assert_int_equal(write(fd, "1111", 4), 4);
	assert_true(console_file_is_full(&file, fd));
	assert_int_equal(console_file_rotate(&file, &fd, &problem), 0);
	expect_text("log", "");
	expect_text("log.1", "1111");
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	/* Who still has the one before gets no third. */
	assert_int_equal(write(file.spare_fd, "old", 3), 3);
	assert_int_equal(write(fd, "2222", 4), 4);
	assert_int_equal(console_file_rotate(&file, &fd, &problem), 0);
	expect_text("log", "");
	expect_text("log.1", "2222");
	assert_int_equal(write(fd, "3", 1), 1);
	expect_text("log", "3");
	assert_false(console_file_is_full(&file, fd));
	console_file_end(&file, fd);
}

static void test_console_file_takes_up_an_earlier_part(void **state)
{
	struct console_file file;
	const char *problem;
	int fd = console_file_begin(&file);

	(void)state;
	put("log.1", "of an earlier run");
	assert_null(console_file_check(file.path, fd));
	assert_int_equal(write(fd, "1111", 4), 4);
	assert_int_equal(console_file_rotate(&file, &fd, &problem), 0);
	expect_text("log", "");
	expect_text("log.1", "1111");
	console_file_end(&file, fd);
}

/* Each is refused at the start and later, and stays as it is. */
static void test_console_file_leaves_others_alone(void **state)
{
	char path[64], other[64], away[64], log[64];
	struct image_lock_holder holder;
	struct console_file file;
	const char *problem;
	int fd, lock;

	(void)state;
	for (unsigned turn = 0; turn < 5; turn++) {
		fd = console_file_begin(&file);
		in_folder(path, "log.1");
		in_folder(other, "other");
		put("other", "precious");
		if (turn == 0)
			assert_int_equal(mkdir(path, 0700), 0);
		else if (turn == 1)
			assert_int_equal(symlink("other", path), 0);
		else if (turn == 2)
			assert_int_equal(link(other, path), 0);
		else if (turn == 3)
			assert_int_equal(mkfifo(path, 0600), 0);
		else
			put("log.1", "an image");
		lock = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
		if (turn == 4)
			assert_int_equal(image_lock(lock, IMAGE_LOCK_WRITE, &holder), 0);
		else
			assert_non_null(console_file_check(file.path, fd));
		assert_int_equal(write(fd, "1111", 4), 4);
		assert_true(console_file_rotate(&file, &fd, &problem) < 0);
		assert_non_null(problem);
		expect_text("log", "1111");
		expect_text("other", "precious");
		if (turn == 4)
			expect_text("log.1", "an image");
		if (lock >= 0)
			close(lock);
		console_file_end(&file, fd);
	}
	/* Put there while the VM runs. */
	fd = console_file_begin(&file);
	in_folder(path, "log.1");
	in_folder(away, "away");
	in_folder(log, "log");
	assert_int_equal(write(fd, "1111", 4), 4);
	assert_int_equal(console_file_rotate(&file, &fd, &problem), 0);
	assert_int_equal(rename(path, away), 0);
	put("log.1", "another's");
	assert_int_equal(write(fd, "2222", 4), 4);
	assert_int_equal(console_file_rotate(&file, &fd, &problem), -EEXIST);
	expect_text("log.1", "another's");
	expect_text("away", "1111");
	/* What the operator has moved away stays what it is; there is a new one then. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(console_file_rotate(&file, &fd, &problem), 0);
	expect_text("away", "1111");
	expect_text("log.1", "2222");
	expect_text("log", "");
	/* As the file itself, if he has moved that. */
	assert_int_equal(write(fd, "3333", 4), 4);
	assert_int_equal(rename(log, away), 0);
	assert_int_equal(console_file_rotate(&file, &fd, &problem), -ENOENT);
	put("log", "new");
	assert_int_equal(console_file_rotate(&file, &fd, &problem), -ESTALE);
	expect_text("log", "new");
	expect_text("log.1", "2222");
	console_file_end(&file, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device_states),
		cmocka_unit_test(test_device_state_never),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_log_output),
		cmocka_unit_test_setup_teardown(test_runtime_dir, base_make, base_remove),
		cmocka_unit_test_setup_teardown(test_runtime_stale, base_make, base_remove),
		cmocka_unit_test_setup_teardown(test_runtime_foreign, base_make, base_remove),
		cmocka_unit_test_setup_teardown(test_runtime_beside, base_make, base_remove),
		cmocka_unit_test_setup_teardown(test_runtime_base, base_make, base_remove),
		cmocka_unit_test_setup_teardown(test_runtime_race, base_make, base_remove),
		cmocka_unit_test(test_relay_files),
		cmocka_unit_test(test_relay_pipes),
		cmocka_unit_test(test_relay_closed_out),
		cmocka_unit_test(test_console_file_rotates),
		cmocka_unit_test(test_console_file_takes_up_an_earlier_part),
		cmocka_unit_test(test_console_file_leaves_others_alone),
	};

	return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
