/*
 * The audit's judgement. A VM in order is made up of facts, as the kernel would tell them; then one fact after
 * the other is changed, and the check that it belongs to, and no other, must say so.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/audit.h"
#include "audit/audit_expect.h"

/* --- filters, as a compiler would make them --- */

#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)
#define ALLOW_ONE(number)                                               \
	LOAD_NUMBER, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)

static const struct sock_filter code_supervisor[] = {ALLOW_ONE(1)};
static const struct sock_filter code_sealed[] = {ALLOW_ONE(9)};
static const struct sock_filter code_core[] = {ALLOW_ONE(2)};
static const struct sock_filter code_core_main[] = {ALLOW_ONE(3)};
static const struct sock_filter code_vcpu[] = {LOAD_NUMBER, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
					       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
					       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
static const struct sock_filter code_blk[] = {ALLOW_ONE(5)};
static const struct sock_filter code_blk_main[] = {ALLOW_ONE(6)};
static const struct sock_filter code_queue[] = {ALLOW_ONE(7)};
static const struct sock_filter code_attendant[] = {ALLOW_ONE(8)};
static const struct seccomp_filter_slot vcpu_slots[] = {{"OWN_FD", 1}};

#define FILTER(its_name, code)                                     \
	{                                                          \
		.name = its_name, .instructions = code, .count = 4 \
	}

static const struct seccomp_filter filter_supervisor = FILTER("supervisor.main", code_supervisor);
static const struct seccomp_filter filter_sealed = FILTER("supervisor-sealed.main", code_sealed);
static const struct seccomp_filter filter_core = FILTER("core.process", code_core);
static const struct seccomp_filter filter_core_main = FILTER("core.main", code_core_main);
static const struct seccomp_filter filter_vcpu = {
	.name = "core.vcpu", .instructions = code_vcpu, .count = 4, .slots = vcpu_slots, .slot_count = 1};
static const struct seccomp_filter filter_blk = FILTER("blk.process", code_blk);
static const struct seccomp_filter filter_blk_main = FILTER("blk.main", code_blk_main);
static const struct seccomp_filter filter_queue = FILTER("blk.queue", code_queue);
static const struct seccomp_filter filter_attendant = FILTER("core.attendant", code_attendant);
static const struct seccomp_filter *const filters[] = {
	&filter_sealed, &filter_supervisor, &filter_core,  &filter_core_main, &filter_vcpu,
	&filter_blk,	&filter_blk_main,   &filter_queue, &filter_attendant, NULL};

static void filter_wear(struct audit_thread *thread, const struct seccomp_filter *filter)
{
	struct trace_filter *worn = &thread->filters.filters[thread->filters.count++];

	worn->count = filter->count;
	worn->instructions = malloc(filter->count * sizeof(*worn->instructions));
	assert_non_null(worn->instructions);
	memcpy(worn->instructions, filter->instructions, filter->count * sizeof(*worn->instructions));
	thread->status.seccomp_filters = (int)thread->filters.count;
}

/* --- a VM in order: a supervisor of root's and its starter, a core with one vCPU, a disk --- */

enum { SUPERVISOR, CORE, BLK, STARTER, PROCESSES };

#define RAM_NAME   "/memfd:atoll-guest-ram (deleted)"
#define STATE_NAME "/memfd:atoll-state (deleted)"

static void thread_make(struct audit_process *process, const char *name, uint32_t user,
			const struct seccomp_filter *own, const struct seccomp_filter *shared)
{
	struct audit_thread *thread;

	process->threads = realloc(process->threads, (process->thread_count + 1) * sizeof(*process->threads));
	assert_non_null(process->threads);
	thread = &process->threads[process->thread_count];
	*thread = (struct audit_thread){.thread = process->pid + (pid_t)process->thread_count++,
					.status = {.state = 'S', .no_new_privs = true, .seccomp_mode = 2}};
	snprintf(thread->status.name, sizeof(thread->status.name), "%s", name);
	thread->status.parent = 100;
	thread->namespaces = process->namespaces;
	for (unsigned i = 0; i < 4; i++)
		thread->status.uid[i] = thread->status.gid[i] = user;
	filter_wear(thread, own);
	if (shared != NULL)
		filter_wear(thread, shared);
	if (own != &filter_supervisor && shared != &filter_supervisor)
		filter_wear(thread, &filter_supervisor);
}

static void fd_make(struct audit_process *process, int fd, const char *target, uint64_t inode)
{
	process->fds.fds = realloc(process->fds.fds, (process->fds.count + 1) * sizeof(*process->fds.fds));
	assert_non_null(process->fds.fds);
	process->fds.fds[process->fds.count] =
		(struct proc_fd){.fd = fd, .mount = 1, .inode = inode, .eventfd = -1, .flags = O_RDWR};
	if (strncmp(target, "pipe:", 5) == 0 || strcmp(target, "/dev/null") == 0)
		process->fds.fds[process->fds.count].flags = O_RDONLY;
	snprintf(process->fds.fds[process->fds.count++].target, PROC_NAME_MAX, "%s", target);
}

static void map_make(struct audit_process *process, const char *name, uint64_t inode, const char *rights)
{
	struct proc_maps *maps = &process->maps;
	struct proc_map *map;

	maps->files = realloc(maps->files, (maps->file_count + 1) * sizeof(*maps->files));
	assert_non_null(maps->files);
	map = &maps->files[maps->file_count++];
	*map = (struct proc_map){.device = "fd:01",
				 .inode = inode,
				 .writable = rights[1] == 'w',
				 .executable = rights[2] == 'x',
				 .shared = rights[3] == 's'};
	snprintf(map->name, sizeof(map->name), "%s", name);
}

static void socket_make(struct audit *audit, uint32_t inode, uint32_t peer, uint8_t type)
{
	audit->sockets.sockets =
		realloc(audit->sockets.sockets, (audit->sockets.count + 1) * sizeof(*audit->sockets.sockets));
	assert_non_null(audit->sockets.sockets);
	audit->sockets.sockets[audit->sockets.count++] =
		(struct unix_socket){.inode = inode, .peer = peer, .type = type, .listening = peer == 0};
}

static void process_make(struct audit *audit, unsigned index, const char *role, const char *id)
{
	struct audit_process *process = &audit->processes[index];
	bool jailed = index != SUPERVISOR && index != STARTER;

	snprintf(process->role, sizeof(process->role), "%s", role);
	snprintf(process->id, sizeof(process->id), "%s", id);
	snprintf(process->title, sizeof(process->title), "%s%s%s", role, id[0] != '\0' ? " " : "", id);
	strcpy(process->state, "running");
	process->pid = 100 + 10 * (pid_t)index;
	process->dir_fd = -1;
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++)
		process->namespaces.inode[i] = jailed && i != PROC_NAMESPACE_TIME ? 1000 * index + i : i + 1;
	process->mounts = (struct proc_mounts){.count = 1, .root_readonly = true, .root_type = "tmpfs"};
	process->root.is_working_directory = true;
	process->maps.count = 30;
	map_make(process, "/usr/lib/libc.so.6", 300, "r-xp");
	map_make(process, "/usr/lib/libc.so.6", 300, "r--p");
	map_make(process, "/usr/lib/libc.so.6", 300, "rw-p");
	process->uid_map = process->gid_map =
		(struct proc_id_map){1, 0, audit_jail_user(process->pid), jailed ? 1 : UINT32_MAX};
	process->owner = audit_jail_user(process->pid);
	strcpy(process->cgroup, "0::/");
	if (jailed) {
		char pipe[32];

		snprintf(pipe, sizeof(pipe), "pipe:[%u]", 200 + index);
		fd_make(process, 0, "/dev/null", 3);
		for (int fd = 1; fd <= 2; fd++) {
			fd_make(process, fd, pipe, 200 + index);
			process->fds.fds[fd].flags = O_WRONLY;
		}
		fd_make(&audit->processes[SUPERVISOR], 20 + (int)index, pipe, 200 + index);
	}
}

static void vm_make(struct audit *audit)
{
	struct audit_process *supervisor, *core, *blk, *starter;

	*audit = (struct audit){.vm = "web", .state = "running", .filters = filters, .privileged = true};
	audit->processes = calloc(PROCESSES, sizeof(*audit->processes));
	assert_non_null(audit->processes);
	audit->process_count = PROCESSES;
	audit->base_inode = 400;
	audit->folder_inode = 401;
	audit->lock_inode = 402;
	audit->outsiders = 20;
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++)
		audit->own.inode[i] = i + 1;
	process_make(audit, SUPERVISOR, "supervisor", "");
	process_make(audit, CORE, "core", "");
	process_make(audit, BLK, "blk", "root");
	supervisor = &audit->processes[SUPERVISOR];
	core = &audit->processes[CORE];
	blk = &audit->processes[BLK];
	process_make(audit, STARTER, "starter", "");
	starter = &audit->processes[STARTER];
	thread_make(supervisor, "atoll", 0, &filter_sealed, &filter_supervisor);
	thread_make(starter, "atoll-starter", 0, &filter_supervisor, NULL);
	supervisor->threads[0].status.bounding = supervisor->threads[0].status.permitted = 0;
	thread_make(core, "atoll-core", audit_jail_user(core->pid), &filter_core_main, &filter_core);
	thread_make(core, "vcpu0", audit_jail_user(core->pid), &filter_vcpu, &filter_core);
	core->threads[1].filters.filters[0].instructions[1].k = 30;
	thread_make(blk, "atoll-blk", audit_jail_user(blk->pid), &filter_blk_main, &filter_blk);
	thread_make(blk, "queue-0", audit_jail_user(blk->pid), &filter_queue, &filter_blk);

	supervisor->children.ids = calloc(3, sizeof(pid_t));
	supervisor->children.ids[0] = core->pid;
	supervisor->children.ids[1] = blk->pid;
	supervisor->children.ids[2] = starter->pid;
	supervisor->children.count = 3;
	for (int fd = 0; fd <= 2; fd++)
		fd_make(starter, fd, "/dev/null", 3);
	fd_make(starter, 3, "socket:[58]", 58);
	fd_make(supervisor, 16, "socket:[57]", 57);
	fd_make(supervisor, 1, "/dev/pts/0", 4);
	fd_make(supervisor, 2, "/dev/pts/0", 4);
	fd_make(supervisor, 4, "anon_inode:[eventfd]", 5);
	fd_make(supervisor, 5, "anon_inode:[eventpoll]", 5);
	fd_make(supervisor, 6, "/dev/kvm", 6);
	fd_make(supervisor, 7, "/srv/root.img", 7);
	fd_make(supervisor, 8, "socket:[50]", 50);
	fd_make(supervisor, 9, "socket:[51]", 51);
	fd_make(supervisor, 10, "socket:[53]", 53);
	fd_make(supervisor, 11, "/run/atoll", 400);
	fd_make(supervisor, 12, "/run/atoll/web", 401);
	for (unsigned i = 1; i <= 2; i++)
		supervisor->fds.fds[supervisor->fds.count - i].flags = O_RDONLY | O_DIRECTORY;
	fd_make(supervisor, 13, "/run/atoll/web/pid", 402);
	fd_make(supervisor, 14, "/srv/kernel", 403);
	supervisor->fds.fds[supervisor->fds.count - 1].flags = O_RDONLY;
	fd_make(supervisor, 15, STATE_NAME, 61);
	fd_make(supervisor, 17, RAM_NAME, 60);
	fd_make(core, 3, "socket:[52]", 52);
	fd_make(core, 4, "anon_inode:[eventfd]", 5);
	fd_make(core, 5, "anon_inode:[eventpoll]", 5);
	fd_make(core, 6, "anon_inode:[eventfd]", 5);
	core->fds.fds[core->fds.count - 1].eventfd = 9;
	fd_make(core, 10, RAM_NAME, 60);
	fd_make(core, 11, "anon_inode:kvm-vm", 5);
	fd_make(core, 12, "socket:[55]", 55);
	fd_make(core, 30, "anon_inode:kvm-vcpu:0", 5);
	fd_make(blk, 3, "socket:[54]", 54);
	fd_make(blk, 4, "anon_inode:[eventfd]", 5);
	fd_make(blk, 5, "anon_inode:[eventpoll]", 5);
	fd_make(blk, 6, "pipe:[70]", 70);
	fd_make(blk, 7, "pipe:[70]", 70);
	fd_make(blk, 8, "/srv/root.img", 7);
	fd_make(blk, 9, "socket:[56]", 56);
	fd_make(blk, 10, RAM_NAME, 60);
	fd_make(blk, 11, "anon_inode:[eventfd]", 5);
	blk->fds.fds[blk->fds.count - 1].eventfd = 9;
	fd_make(blk, 12, "anon_inode:[io_uring]", 80);
	map_make(core, RAM_NAME, 60, "rw-s");
	map_make(core, "anon_inode:kvm-vcpu:0", 5, "rw-s");
	map_make(blk, RAM_NAME, 60, "rw-s");
	map_make(blk, STATE_NAME, 61, "rw-s");
	map_make(blk, "anon_inode:[io_uring]", 80, "rw-s");
	socket_make(audit, 50, 0, SOCK_SEQPACKET);
	socket_make(audit, 51, 52, SOCK_SEQPACKET);
	socket_make(audit, 52, 51, SOCK_SEQPACKET);
	socket_make(audit, 53, 54, SOCK_SEQPACKET);
	socket_make(audit, 54, 53, SOCK_SEQPACKET);
	socket_make(audit, 55, 56, SOCK_STREAM);
	socket_make(audit, 56, 55, SOCK_STREAM);
	socket_make(audit, 57, 58, SOCK_SEQPACKET);
	socket_make(audit, 58, 57, SOCK_SEQPACKET);
}

/* Names descriptors and judges. There are no memfds to ask for their seals: they are said to be sealed. */
static void vm_judge(struct audit *audit)
{
	assert_int_equal(audit_name_fds(audit), 0);
	for (size_t i = 0; i < audit->process_count; i++) {
		for (size_t k = 0; k < audit->processes[i].fds.count; k++) {
			struct audit_fd *fd = &audit->processes[i].fd_roles[k];

			if ((fd->kind != AUDIT_FD_RAM && fd->kind != AUDIT_FD_STATE) || fd->seals != 0)
				continue;
			fd->seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
			fd->seals_error = 0;
		}
	}
	audit_judge(audit);
}

static const struct audit_check *check_find(const struct audit *audit, unsigned process, const char *subject,
					    pid_t thread)
{
	for (size_t i = 0; i < audit->processes[process].check_count; i++) {
		const struct audit_check *check = &audit->processes[process].checks[i];

		if (strcmp(check->subject, subject) == 0 && check->thread == thread)
			return check;
	}
	return NULL;
}

/* All checks with this verdict are of this subject and process, and there is one. */
static void only(const struct audit *audit, enum audit_verdict verdict, unsigned process, const char *subject,
		 const char *text)
{
	bool found = false;

	for (unsigned i = 0; i < audit->process_count; i++) {
		for (size_t k = 0; k < audit->processes[i].check_count; k++) {
			const struct audit_check *check = &audit->processes[i].checks[k];

			if (check->verdict != verdict)
				continue;
			if (i != process || strcmp(check->subject, subject) != 0)
				fail_msg("%s %s: %s: %s", audit->processes[i].title, check->subject,
					 audit_verdict_name(verdict), check->text);
			if (strstr(check->text, text) == NULL)
				fail_msg("\"%s\" does not say \"%s\"", check->text, text);
			found = true;
		}
	}
	if (!found)
		fail_msg("nothing about %s %s", audit->processes[process].title, subject);
}

static void deviates(struct audit *audit, unsigned process, const char *subject, const char *text)
{
	vm_judge(audit);
	assert_int_equal(audit->verdict, AUDIT_DEVIATES);
	only(audit, AUDIT_DEVIATES, process, subject, text);
	audit_clear(audit);
}

static void unread(struct audit *audit, unsigned process, const char *subject, const char *text)
{
	vm_judge(audit);
	assert_int_equal(audit->verdict, AUDIT_UNREAD);
	only(audit, AUDIT_UNREAD, process, subject, text);
	audit_clear(audit);
}

/* Among others. */
static void deviates_also(struct audit *audit, unsigned process, const char *subject, const char *text)
{
	const struct audit_check *check;

	vm_judge(audit);
	check = check_find(audit, process, subject, 0);
	assert_int_equal(check->verdict, AUDIT_DEVIATES);
	if (strstr(check->text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", check->text, text);
	audit_clear(audit);
}

static struct proc_fd *supervisor_fd(struct audit *audit, int number)
{
	struct proc_fds *fds = &audit->processes[SUPERVISOR].fds;

	for (size_t i = 0; i < fds->count; i++)
		if (fds->fds[i].fd == number)
			return &fds->fds[i];
	fail_msg("the supervisor has no %d", number);
	return NULL;
}

static void fd_set_target(struct proc_fd *fd, const char *target, uint64_t inode)
{
	snprintf(fd->target, sizeof(fd->target), "%s", target);
	fd->inode = inode;
}

static void test_in_order(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	vm_judge(&audit);
	for (unsigned i = 0; i < audit.process_count; i++)
		for (size_t k = 0; k < audit.processes[i].check_count; k++)
			if (audit.processes[i].checks[k].verdict > AUDIT_INFERRED)
				fail_msg("%s %s: %s", audit.processes[i].title,
					 audit.processes[i].checks[k].subject,
					 audit.processes[i].checks[k].text);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	/* What the kernel tells nobody is not passed off as read. */
	assert_int_equal(check_find(&audit, BLK, "dumps", 0)->verdict, AUDIT_INFERRED);
	assert_string_equal(check_find(&audit, CORE, "filters", 111)->text,
			    "core.vcpu (4 instructions); its own descriptor 30 is anon_inode:kvm-vcpu:0 over "
			    "core.process (4 instructions) over the supervisor's");
	assert_string_equal(audit.processes[BLK].threads[1].filter_names[0], "blk.queue");
	assert_string_equal(audit.processes[BLK].threads[1].filter_names[2], "supervisor.main");
	audit_clear(&audit);
}

/* --- filters --- */

static void test_filters(void **state)
{
	struct audit audit;
	struct audit_thread *thread;

	(void)state;
	/* One bit of one instruction. */
	vm_make(&audit);
	audit.processes[BLK].threads[1].filters.filters[0].instructions[1].jf ^= 1;
	deviates(&audit, BLK, "filters", "blk.queue is written, and there is another of 4 instructions");
	/* Another thread's. */
	vm_make(&audit);
	memcpy(audit.processes[BLK].threads[1].filters.filters[0].instructions, code_blk_main,
	       sizeof(code_blk_main));
	deviates(&audit, BLK, "filters", "blk.queue is written, and there is blk.main of 4 instructions");
	/* The process's own alone. */
	vm_make(&audit);
	memcpy(audit.processes[BLK].threads[0].filters.filters[0].instructions, code_blk, sizeof(code_blk));
	deviates(&audit, BLK, "filters", "blk.main is written, and there is blk.process");
	/* None. */
	vm_make(&audit);
	thread = &audit.processes[CORE].threads[0];
	trace_filters_free(&thread->filters);
	thread->filters_error = -ENODATA;
	thread->status.seccomp_mode = 0;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_DEVIATES);
	only(&audit, AUDIT_DEVIATES, CORE, "filters", "none (written: core.main over core.process)");
	assert_int_equal(check_find(&audit, CORE, "MDWE", 0)->verdict, AUDIT_UNREAD);
	audit_clear(&audit);
	/* What the parent wore is missing; is another's. */
	vm_make(&audit);
	thread = &audit.processes[CORE].threads[0];
	free(thread->filters.filters[--thread->filters.count].instructions);
	deviates(&audit, CORE, "filters", "below are 0 that are not the supervisor's 1");
	vm_make(&audit);
	memcpy(audit.processes[CORE].threads[0].filters.filters[2].instructions, code_blk, sizeof(code_blk));
	deviates(&audit, CORE, "filters", "below are 1 that are not the supervisor's 1");
	/* A thread that nobody wrote of. */
	vm_make(&audit);
	strcpy(audit.processes[BLK].threads[1].status.name, "queue-0x");
	deviates(&audit, BLK, "filters", "no thread of this name is written");
	/* A thread of that name in a process that has none. */
	vm_make(&audit);
	strcpy(audit.processes[BLK].threads[1].status.name, "vcpu0");
	deviates(&audit, BLK, "filters", "no thread of this name is written");
	/* Threads that are alike have one name, and filters all the same. */
	vm_make(&audit);
	for (unsigned i = 0; i < 2; i++)
		thread_make(&audit.processes[CORE], "attendant", audit_jail_user(110), &filter_attendant,
			    &filter_core);
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	thread_make(&audit.processes[CORE], "vcpu0", audit_jail_user(110), &filter_vcpu, &filter_core);
	audit.processes[CORE].threads[2].filters.filters[0].instructions[1].k = 30;
	deviates(&audit, CORE, "threads", "vcpu0 (written: each name once)");
	/* The kernel's own threads run nothing of the process. */
	vm_make(&audit);
	audit.processes[BLK].threads[1].kernel_worker = true;
	strcpy(audit.processes[BLK].threads[1].status.name, "iou-wrk-120");
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	/* This program was built without that filter: no proof of anything. */
	vm_make(&audit);
	audit.filters = filters + 1;
	vm_judge(&audit);
	only(&audit, AUDIT_DEVIATES, SUPERVISOR, "filters", "this atoll has no such filter");
	/* Nor of what is inferred from it. */
	assert_int_equal(check_find(&audit, SUPERVISOR, "Landlock", 0)->verdict, AUDIT_UNREAD);
	audit_clear(&audit);
}

static void test_own_descriptor(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	audit.processes[CORE].threads[1].filters.filters[0].instructions[1].k = 11;
	deviates(&audit, CORE, "filters", "its own descriptor is 11, anon_inode:kvm-vm");
	vm_make(&audit);
	audit.processes[CORE].threads[1].filters.filters[0].instructions[1].k = 77;
	deviates(&audit, CORE, "filters", "its own descriptor is 77, which is not open");
	vm_make(&audit);
	strcpy(audit.processes[CORE].threads[1].status.name, "vcpu1");
	deviates(&audit, CORE, "filters", "(written: anon_inode:kvm-vcpu:1)");
}

/* Without the right to read them, their number still tells. */
static void test_filters_unread(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	audit.processes[BLK].threads[1].filters_error = -EACCES;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_UNREAD);
	assert_int_equal(check_find(&audit, BLK, "filters", 121)->verdict, AUDIT_UNREAD);
	assert_string_equal(check_find(&audit, BLK, "filters", 121)->text, "unread: needs root; 3 installed");
	assert_int_equal(check_find(&audit, BLK, "filters", 120)->verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	audit.processes[BLK].threads[1].filters_error = -EACCES;
	audit.processes[BLK].threads[1].status.seccomp_filters = 2;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_DEVIATES);
	only(&audit, AUDIT_DEVIATES, BLK, "filters", "2 installed (written: 3)");
	audit_clear(&audit);
	/* The supervisor's cannot be read: what is below a child's own is not compared. */
	vm_make(&audit);
	audit.processes[SUPERVISOR].threads[0].filters_error = -ETIMEDOUT;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_UNREAD);
	assert_int_equal(check_find(&audit, CORE, "filters", 110)->verdict, AUDIT_UNREAD);
	audit_clear(&audit);
}

/* --- rights --- */

static void test_rights(void **state)
{
	struct audit audit;

	(void)state;
	for (unsigned set = 0; set < 5; set++) {
		struct proc_status *status;
		uint64_t *sets[5];

		vm_make(&audit);
		status = &audit.processes[BLK].threads[1].status;
		sets[0] = &status->inheritable;
		sets[1] = &status->permitted;
		sets[2] = &status->effective;
		sets[3] = &status->bounding;
		sets[4] = &status->ambient;
		*sets[set] = UINT64_C(1) << 21;
		vm_judge(&audit);
		only(&audit, AUDIT_DEVIATES, BLK, "capabilities", "200000 (written: 0)");
		assert_non_null(check_find(&audit, BLK, "capabilities", 121));
		assert_int_equal(check_find(&audit, BLK, "capabilities", 0)->verdict, AUDIT_AS_WRITTEN);
		audit_clear(&audit);
	}
	/* F6: the starter of root keeps two, CAP_SETUID and CAP_SETGID, the supervisor none. */
	vm_make(&audit);
	audit.processes[STARTER].threads[0].status.effective = 0xc0;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	audit.processes[STARTER].threads[0].status.permitted = 0x2000c0;
	deviates(&audit, STARTER, "capabilities", "permitted 2000c0 (written: at most c0)");
	vm_make(&audit);
	audit.processes[STARTER].threads[0].status.bounding = 0x1ffffffffff;
	deviates(&audit, STARTER, "capabilities", "bounding 1ffffffffff (written: at most c0)");
	vm_make(&audit);
	audit.processes[SUPERVISOR].threads[0].status.effective = 0xc0;
	deviates(&audit, SUPERVISOR, "capabilities", "effective c0 (written: 0)");
	vm_make(&audit);
	audit.processes[SUPERVISOR].threads[0].status.bounding = 0x80;
	deviates(&audit, SUPERVISOR, "capabilities", "bounding 80 (written: 0)");
	vm_make(&audit);
	audit.processes[CORE].threads[1].status.no_new_privs = false;
	deviates(&audit, CORE, "privileges", "no_new_privs is not set");
	for (unsigned i = 0; i < 4; i++) {
		vm_make(&audit);
		audit.processes[CORE].threads[0].status.uid[i] = 0;
		vm_judge(&audit);
		assert_int_equal(check_find(&audit, CORE, "user", 0)->verdict, AUDIT_DEVIATES);
		audit_clear(&audit);
		vm_make(&audit);
		audit.processes[CORE].threads[1].status.gid[i] = 27;
		vm_judge(&audit);
		assert_int_equal(check_find(&audit, CORE, "user", 111)->verdict, AUDIT_DEVIATES);
		audit_clear(&audit);
	}
	vm_make(&audit);
	audit.processes[CORE].threads[0].status.groups = 1;
	deviates(&audit, CORE, "user", "no more groups");
	/* The core's user is the disk's. */
	vm_make(&audit);
	for (unsigned i = 0; i < 4; i++)
		audit.processes[BLK].threads[0].status.uid[i] = audit_jail_user(110);
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, BLK, "user", 0)->verdict, AUDIT_DEVIATES);
	audit_clear(&audit);
}

/* G: a container's root, whose ids are fewer than there are pids: each process has one, and no two the same. */
static void container_make(struct audit *audit, const uint32_t *users)
{
	vm_make(audit);
	audit->processes[SUPERVISOR].uid_map = audit->processes[SUPERVISOR].gid_map =
		(struct proc_id_map){.ranges = 2, .inside = 0, .outside = 1000, .length = 1, .more = 65536};
	audit->processes[STARTER].uid_map = audit->processes[STARTER].gid_map =
		audit->processes[SUPERVISOR].uid_map;
	for (unsigned i = CORE; i <= BLK; i++) {
		for (size_t k = 0; k < audit->processes[i].thread_count; k++)
			for (unsigned m = 0; m < 4; m++)
				audit->processes[i].threads[k].status.uid[m] =
					audit->processes[i].threads[k].status.gid[m] = users[i];
		audit->processes[i].uid_map.outside = audit->processes[i].owner = users[i];
	}
}

static void test_container(void **state)
{
	static const uint32_t own[PROCESSES] = {0, 32768, 40000}, shared[PROCESSES] = {0, 32768, 32768},
			      roots[PROCESSES] = {0, 32768, 0};
	const uint64_t setfcap = UINT64_C(1) << 31;
	struct audit audit;

	(void)state;
	container_make(&audit, own);
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	container_make(&audit, shared);
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, BLK, "user", 0)->verdict, AUDIT_DEVIATES);
	assert_int_equal(check_find(&audit, CORE, "user", 0)->verdict, AUDIT_DEVIATES);
	audit_clear(&audit);
	container_make(&audit, roots);
	deviates(&audit, BLK, "user", "a user that no other process is");
	container_make(&audit, own);
	audit.processes[CORE].threads[1].status.gid[2] = 7;
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, CORE, "user", 111)->verdict, AUDIT_DEVIATES);
	audit_clear(&audit);
	/* CAP_SETFCAP is of who has root alone to give. */
	container_make(&audit, own);
	audit.processes[STARTER].threads[0].status.permitted = setfcap;
	deviates(&audit, STARTER, "capabilities", "80000000 (written: at most c0)");
	container_make(&audit, (uint32_t[PROCESSES]){0});
	audit.processes[SUPERVISOR].uid_map.more = audit.processes[STARTER].uid_map.more = 0;
	audit.processes[STARTER].threads[0].status.permitted =
		audit.processes[STARTER].threads[0].status.effective =
			audit.processes[STARTER].threads[0].status.bounding = setfcap;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
}

/* A VM of an ordinary user: everything has its uid, and its groups stay. */
static void test_ordinary_user(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	for (unsigned i = 0; i < PROCESSES; i++) {
		for (size_t k = 0; k < audit.processes[i].thread_count; k++) {
			struct proc_status *status = &audit.processes[i].threads[k].status;

			for (unsigned m = 0; m < 4; m++)
				status->uid[m] = status->gid[m] = 1000;
			status->groups = 2;
			if (i == SUPERVISOR || i == STARTER)
				status->bounding = 0x1ffffffffff;
		}
		audit.processes[i].uid_map.outside = audit.processes[i].owner = 1000;
	}
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
}

/* --- the process --- */

static void test_family(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	audit.processes[BLK].threads[0].status.parent = 1;
	deviates(&audit, BLK, "family", "child of process 1, written: of the supervisor");
	vm_make(&audit);
	audit.processes[BLK].children.ids = calloc(1, sizeof(pid_t));
	audit.processes[BLK].children.ids[audit.processes[BLK].children.count++] = 110;
	deviates(&audit, BLK, "family", "process 110 is a child that is not written");
	vm_make(&audit);
	audit.processes[SUPERVISOR].children.ids[1] = 999;
	deviates(&audit, SUPERVISOR, "family", "process 999 is a child that is not written");
	/* F6: the starter is a child like the others, and has none itself; and it is there. */
	vm_make(&audit);
	audit.processes[STARTER].threads[0].status.parent = 1;
	deviates(&audit, STARTER, "family", "child of process 1, written: of the supervisor");
	vm_make(&audit);
	audit.processes[STARTER].children.ids = calloc(1, sizeof(pid_t));
	audit.processes[STARTER].children.ids[audit.processes[STARTER].children.count++] = 110;
	deviates(&audit, STARTER, "family", "process 110 is a child that is not written");
	vm_make(&audit);
	strcpy(audit.processes[STARTER].role, "blk");
	deviates_also(&audit, SUPERVISOR, "family", "its starter has ended (written: there)");
	vm_make(&audit);
	audit.processes[BLK].no_sandbox = true;
	deviates(&audit, BLK, "sandbox", "--no-sandbox");
	vm_make(&audit);
	audit.processes[BLK].recorded = true;
	deviates(&audit, BLK, "sandbox", "recorded");
	vm_make(&audit);
	strcpy(audit.processes[BLK].role, "gpu");
	vm_judge(&audit);
	assert_string_equal(check_find(&audit, BLK, "process", 0)->text, "no such role is written");
	assert_int_equal(audit.verdict, AUDIT_DEVIATES);
	audit_clear(&audit);
	vm_make(&audit);
	audit.processes[BLK].threads_error = -EAGAIN;
	deviates(&audit, BLK, "threads", "they come and go");
}

static void test_namespaces(void **state)
{
	struct audit audit;

	(void)state;
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++) {
		if (i == PROC_NAMESPACE_TIME)
			continue;
		vm_make(&audit);
		audit.processes[BLK].namespaces.inode[i] = i + 1;
		deviates(&audit, BLK, "namespaces", "not as written: ");
	}
	/* Two that share one: neither has its own. */
	vm_make(&audit);
	audit.processes[BLK].namespaces.inode[PROC_NAMESPACE_NETWORK] =
		audit.processes[CORE].namespaces.inode[PROC_NAMESPACE_NETWORK];
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, BLK, "namespaces", 0)->verdict, AUDIT_DEVIATES);
	assert_int_equal(check_find(&audit, CORE, "namespaces", 0)->verdict, AUDIT_DEVIATES);
	audit_clear(&audit);
	vm_make(&audit);
	audit.processes[BLK].uid_map.length = 65536;
	deviates(&audit, BLK, "namespaces", "(written: one user and one group)");
	vm_make(&audit);
	audit.processes[BLK].gid_map.ranges = 2;
	deviates(&audit, BLK, "namespaces", "(written: one user and one group)");
	vm_make(&audit);
	audit.processes[BLK].namespaces.inode[PROC_NAMESPACE_TIME] = 77;
	deviates(&audit, BLK, "namespaces", "not as written: time");
}

static void test_root(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	audit.processes[BLK].mounts.count = 2;
	deviates(&audit, BLK, "root", "2 mounts (written: one, empty and read-only)");
	vm_make(&audit);
	audit.processes[BLK].mounts.root_readonly = false;
	deviates(&audit, BLK, "root", "writable");
	vm_make(&audit);
	audit.processes[BLK].root.entries = 2;
	strcpy(audit.processes[BLK].root.first, "etc");
	deviates(&audit, BLK, "root", "holds \"etc\" and more (written: nothing)");
	vm_make(&audit);
	audit.processes[BLK].root.is_working_directory = false;
	deviates(&audit, BLK, "root", "its working directory is elsewhere");
	vm_make(&audit);
	strcpy(audit.processes[BLK].mounts.root_type, "fuse");
	audit.processes[BLK].root_error = -ENODATA;
	deviates(&audit, BLK, "root", "fuse");
}

static void test_memory_and_limits(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	audit.processes[CORE].maps.writable_executable = 1;
	strcpy(audit.processes[CORE].maps.first, "1000-2000 rwxp");
	deviates(&audit, CORE, "memory", "(written: none): 1000-2000 rwxp");
	vm_make(&audit);
	audit.processes[CORE].maps.anonymous_executable = 1;
	deviates(&audit, CORE, "memory", "1 executable and of no file");
	vm_make(&audit);
	audit.processes[BLK].limits.hard[RLIMIT_CORE] = UINT64_MAX;
	deviates(&audit, BLK, "limits", "core unlimited (written: at most 0)");
	vm_make(&audit);
	audit.processes[BLK].owner = 0;
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, BLK, "dumps", 0)->verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	/* Its own user's files in /proc, who is not root of its namespace: dumpable. */
	vm_make(&audit);
	audit.processes[BLK].uid_map.inside = 1;
	deviates(&audit, BLK, "dumps", "dumpable (written: not)");
}

/* --- descriptors --- */

static void test_descriptors(void **state)
{
	struct audit audit;

	(void)state;
	/* A second image, although the supervisor has it too. */
	vm_make(&audit);
	fd_make(&audit.processes[SUPERVISOR], 20, "/srv/data.img", 17);
	fd_make(&audit.processes[BLK], 20, "/srv/data.img", 17);
	deviates(&audit, BLK, "descriptors", "1 other /srv/data.img (a second image) (written: none)");
	/* Its own once more: a witness. There are two. */
	vm_make(&audit);
	for (int fd = 20; fd < 22; fd++)
		fd_make(&audit.processes[BLK], fd, "/srv/root.img", 7);
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	for (int fd = 20; fd < 23; fd++)
		fd_make(&audit.processes[BLK], fd, "/srv/root.img", 7);
	deviates(&audit, BLK, "descriptors",
		 "4 file /srv/root.img /srv/root.img /srv/root.img /srv/root.img (written: 1 to 3)");
	/* A file of the same name that is another. */
	vm_make(&audit);
	fd_make(&audit.processes[BLK], 20, "/srv/root.img", 8);
	deviates(&audit, BLK, "descriptors", "1 other /srv/root.img (not the supervisor's) (written: none)");
	vm_make(&audit);
	fd_make(&audit.processes[BLK], 20, "/dev/kvm", 6);
	deviates(&audit, BLK, "descriptors", "1 kvm /dev/kvm (written: none)");
	vm_make(&audit);
	fd_make(&audit.processes[BLK], 20, "/dev/mem", 8);
	deviates(&audit, BLK, "descriptors", "/dev/mem (not the supervisor's)");
	vm_make(&audit);
	fd_make(&audit.processes[BLK], 20, "anon_inode:bpf-prog", 5);
	deviates(&audit, BLK, "descriptors", "anon_inode:bpf-prog");
	/* A socket that is none of the three wires: internet; another device's; the world's. */
	vm_make(&audit);
	fd_make(&audit.processes[BLK], 20, "socket:[90]", 90);
	deviates(&audit, BLK, "descriptors", "socket:[90] (no unix socket)");
	vm_make(&audit);
	socket_make(&audit, 90, 91, SOCK_STREAM);
	fd_make(&audit.processes[BLK], 20, "socket:[90]", 90);
	deviates(&audit, BLK, "descriptors", "1 client socket:[90] (written: none)");
	/* A second control wire. */
	vm_make(&audit);
	socket_make(&audit, 90, 91, SOCK_SEQPACKET);
	socket_make(&audit, 91, 90, SOCK_SEQPACKET);
	fd_make(&audit.processes[BLK], 20, "socket:[90]", 90);
	fd_make(&audit.processes[SUPERVISOR], 20, "socket:[91]", 91);
	deviates(&audit, BLK, "descriptors", "2 control (written: 1)");
	/* Memory that the core does not have. */
	vm_make(&audit);
	fd_make(&audit.processes[BLK], 20, RAM_NAME, 61);
	deviates(&audit, BLK, "descriptors", "(not the core's)");
	/* A pipe to somebody. */
	vm_make(&audit);
	fd_make(&audit.processes[BLK], 20, "pipe:[71]", 71);
	deviates(&audit, BLK, "descriptors", "pipe with a process outside");
	/* An eventfd that only the core should have with each. */
	vm_make(&audit);
	supervisor_fd(&audit, 4)->eventfd = 9;
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, BLK, "descriptors", 0)->verdict, AUDIT_DEVIATES);
	audit_clear(&audit);
}

/* F1: what a process has as 0, 1 and 2 says nothing of what it may have there. */
static void test_standard_descriptors(void **state)
{
	struct audit audit;
	const char *text;

	(void)state;
	/* What the core has is no measure, whatever it is. */
	for (unsigned process = CORE; process <= BLK; process++) {
		vm_make(&audit);
		for (int fd = 1; fd <= 2; fd++) {
			strcpy(audit.processes[process].fds.fds[fd].target, "/etc/shadow");
			audit.processes[process].fds.fds[fd].flags = O_RDWR;
		}
		vm_judge(&audit);
		text = check_find(&audit, process, "descriptors", 0)->text;
		assert_int_equal(check_find(&audit, process, "descriptors", 0)->verdict, AUDIT_DEVIATES);
		assert_non_null(strstr(text, "2 other /etc/shadow (not the supervisor's) /etc/shadow"));
		assert_non_null(strstr(text, "0 log (written: 2)"));
		audit_clear(&audit);
	}
	/* Nor is what the supervisor has: its terminal; its log. */
	vm_make(&audit);
	for (int fd = 1; fd <= 2; fd++)
		fd_set_target(&audit.processes[BLK].fds.fds[fd], "/dev/pts/0", 4);
	deviates_also(&audit, BLK, "descriptors", "0 log (written: 2)");
	vm_make(&audit);
	for (int fd = 1; fd <= 2; fd++)
		fd_set_target(supervisor_fd(&audit, fd), "/srv/log", 8);
	fd_set_target(&audit.processes[BLK].fds.fds[2], "/srv/log", 8);
	deviates(&audit, BLK, "descriptors", "1 log (written: 2)");
	/* A pipe that is another's too, or that the supervisor could write to, or the process read from. */
	vm_make(&audit);
	fd_set_target(&audit.processes[BLK].fds.fds[1], "pipe:[201]", 201);
	fd_set_target(&audit.processes[BLK].fds.fds[2], "pipe:[201]", 201);
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, BLK, "descriptors", 0)->verdict, AUDIT_DEVIATES);
	assert_int_equal(check_find(&audit, CORE, "descriptors", 0)->verdict, AUDIT_DEVIATES);
	audit_clear(&audit);
	vm_make(&audit);
	supervisor_fd(&audit, 22)->flags = O_RDWR;
	deviates_also(&audit, BLK, "descriptors", "pipe:[202] (pipe with supervisor)");
	vm_make(&audit);
	audit.processes[BLK].fds.fds[2].flags = O_RDWR;
	deviates_also(&audit, BLK, "descriptors", "0 log (written: 2)");
	/* 0 is there to read nothing from. */
	vm_make(&audit);
	audit.processes[BLK].fds.fds[0].flags = O_RDWR;
	deviates(&audit, BLK, "descriptors", "0 null (written: 1)");
	vm_make(&audit);
	fd_set_target(&audit.processes[BLK].fds.fds[0], "/srv/root.img", 7);
	deviates(&audit, BLK, "descriptors", "0 null (written: 1)");
}

static void share_make(struct audit *audit, unsigned a, int a_fd, unsigned b, int b_fd)
{
	struct audit_share share = {{a, b}, {0, 0}};

	while (audit->processes[a].fds.fds[share.fd[0]].fd != a_fd)
		share.fd[0]++;
	while (audit->processes[b].fds.fds[share.fd[1]].fd != b_fd)
		share.fd[1]++;
	audit->shares = realloc(audit->shares, (audit->share_count + 1) * sizeof(share));
	assert_non_null(audit->shares);
	audit->shares[audit->share_count++] = share;
}

/* A1 to A4: no description of a sealed process is anybody's but its own, and that of the peers that need it. */
static void test_shared(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	share_make(&audit, SUPERVISOR, 6, CORE, 6); /* an eventfd, here: as if */
	deviates(&audit, CORE, "shared", "6 (anon_inode:[eventfd]) with supervisor (written: not shared)");
	vm_make(&audit);
	share_make(&audit, SUPERVISOR, 7, BLK, 8);
	share_make(&audit, CORE, 6, BLK, 11);
	share_make(&audit, CORE, 10, BLK, 10);
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	assert_string_equal(check_find(&audit, BLK, "shared", 0)->text, "3 descriptions as written");
	assert_string_equal(check_find(&audit, CORE, "shared", 0)->text, "2 descriptions as written");
	audit_clear(&audit);
	/* The image, with the core. */
	vm_make(&audit);
	share_make(&audit, CORE, 11, BLK, 8);
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, BLK, "shared", 0)->verdict, AUDIT_DEVIATES);
	audit_clear(&audit);
	vm_make(&audit);
	audit.shares_error = -EACCES;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_UNREAD);
	assert_int_equal(check_find(&audit, BLK, "shared", 0)->verdict, AUDIT_UNREAD);
	audit_clear(&audit);
}

/* Two processes that are both this one. */
static size_t shares_of(int fd, const char *name, unsigned flags, int other_fd, const char *other_name)
{
	struct stat status;
	struct proc_fd fds[2] = {{.fd = fd, .eventfd = -1, .flags = flags}, {.fd = other_fd, .eventfd = -1}};
	struct audit_process processes[2] = {{.pid = getpid()}, {.pid = getpid()}};
	struct audit audit = {.processes = processes, .process_count = 2};
	size_t count;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(fstat(fds[i].fd, &status), 0);
		fds[i].inode = status.st_ino;
		strcpy(fds[i].target, i == 0 ? name : other_name);
		processes[i].fds = (struct proc_fds){&fds[i], 1};
	}
	audit_gather_shares(&audit);
	if (audit.shares_error == -ENODATA || audit.shares_error == -EACCES)
		skip();
	assert_int_equal(audit.shares_error, 0);
	count = audit.share_count;
	free(audit.shares);
	return count;
}

/* By the kernel's word on identities: a name may change between two looks, as a console's file's does, and so may flags. */
static void test_shares_are_found_whatever_the_names(void **state)
{
	int file = memfd_create("file", MFD_CLOEXEC), same = dup(file),
	    other = memfd_create("file", MFD_CLOEXEC);
	char path[32];
	int again;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	again = open(path, O_RDWR | O_CLOEXEC);
	assert_true(file >= 0 && same >= 0 && other >= 0 && again >= 0);
	assert_int_equal(shares_of(file, "/srv/out", 0, same, "/srv/out"), 1);
	assert_int_equal(shares_of(file, "/srv/out", 0, same, "/srv/out.1"), 1);
	assert_int_equal(shares_of(file, "/srv/out", O_NONBLOCK, same, "/srv/out"), 1);
	/* Opened once more, and another of the same name, they are none. */
	assert_int_equal(shares_of(file, "/srv/out", 0, again, "/srv/out"), 0);
	assert_int_equal(shares_of(file, "/srv/out", 0, other, "/srv/out"), 0);
	close(file);
	close(same);
	close(other);
	close(again);
}

/* --- what was not seen --- */

static struct proc_fd *fd_of(struct audit *audit, unsigned process, int number)
{
	struct proc_fds *fds = &audit->processes[process].fds;

	for (size_t i = 0; i < fds->count; i++)
		if (fds->fds[i].fd == number)
			return &fds->fds[i];
	fail_msg("%s has no %d", audit->processes[process].title, number);
	return NULL;
}

/* F2: what was sent and is not received, or is registered with a ring, is open. */
static void test_in_flight(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	vm_judge(&audit);
	assert_string_equal(check_find(&audit, BLK, "in flight", 0)->text, "no descriptor, at 2 sockets");
	audit_clear(&audit);
	vm_make(&audit);
	fd_of(&audit, BLK, 9)->in_flight = 2;
	deviates(&audit, BLK, "in flight", "2 descriptors sent to 9 (socket:[56]) (written: none)");
	vm_make(&audit);
	supervisor_fd(&audit, 9)->in_flight = 1;
	deviates(&audit, SUPERVISOR, "in flight", "1 descriptor sent to 9 (socket:[51]) (written: none)");
	vm_make(&audit);
	fd_of(&audit, BLK, 12)->registered = 1;
	deviates(&audit, BLK, "in flight", "1 descriptor registered with 12 (anon_inode:[io_uring])");
	/* One that is just being told what to serve. */
	vm_make(&audit);
	strcpy(audit.processes[BLK].state, "restarting");
	fd_of(&audit, BLK, 3)->in_flight = 3;
	unread(&audit, BLK, "in flight", "3 descriptors sent to 3");
	vm_make(&audit);
	fd_of(&audit, BLK, 3)->in_flight = -1;
	unread(&audit, BLK, "in flight", "this kernel does not tell");
}

/* F2: what a process maps, also where it cannot be executed. */
static void test_mappings(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	map_make(&audit.processes[BLK], "/srv/root.img", 7, "rw-s");
	deviates(&audit, BLK, "memory", "/srv/root.img is mapped shared to write (written: not)");
	vm_make(&audit);
	map_make(&audit.processes[BLK], "/srv/root.img", 7, "r--s");
	deviates(&audit, BLK, "memory", "/srv/root.img is mapped shared to read");
	vm_make(&audit);
	map_make(&audit.processes[BLK], "/etc/shadow", 500, "r--p");
	deviates(&audit, BLK, "memory", "/etc/shadow is mapped to read (written: not)");
	/* Nor by being code. */
	vm_make(&audit);
	map_make(&audit.processes[BLK], "/srv/root.img", 7, "r-xp");
	deviates(&audit, BLK, "memory", "/srv/root.img is mapped to read");
	/* A file of another file system that has a library's number. */
	vm_make(&audit);
	map_make(&audit.processes[BLK], "/etc/shadow", 300, "r--p");
	strcpy(audit.processes[BLK].maps.files[audit.processes[BLK].maps.file_count - 1].device, "08:01");
	deviates(&audit, BLK, "memory", "/etc/shadow is mapped");
	/* Memory of the same name that nobody gave it; another device's state; shared memory of no name. */
	vm_make(&audit);
	map_make(&audit.processes[BLK], RAM_NAME, 99, "rw-s");
	deviates(&audit, BLK, "memory", RAM_NAME " is mapped shared to write");
	vm_make(&audit);
	map_make(&audit.processes[CORE], "/dev/zero (deleted)", 99, "rw-s");
	deviates(&audit, CORE, "memory", "/dev/zero (deleted) is mapped shared");
	vm_make(&audit);
	map_make(&audit.processes[BLK], "anon_inode:kvm-vcpu:0", 5, "rw-s");
	deviates(&audit, BLK, "memory", "anon_inode:kvm-vcpu:0 is mapped shared");
	vm_make(&audit);
	map_make(&audit.processes[SUPERVISOR], RAM_NAME, 99, "rw-s");
	deviates(&audit, SUPERVISOR, "memory", RAM_NAME " is mapped shared to write");
	/* Issue 9, 6: it keeps the guest's memory, and does not map it; and of no other. */
	vm_make(&audit);
	map_make(&audit.processes[SUPERVISOR], RAM_NAME, 60, "rw-s");
	deviates(&audit, SUPERVISOR, "memory", RAM_NAME " is mapped shared to write");
	vm_make(&audit);
	map_make(&audit.processes[SUPERVISOR], RAM_NAME, 60, "r--s");
	deviates(&audit, SUPERVISOR, "memory", RAM_NAME " is mapped shared to read");
	vm_make(&audit);
	fd_make(&audit.processes[SUPERVISOR], 18, RAM_NAME, 60);
	deviates(&audit, SUPERVISOR, "descriptors", "2 guest-memory (written: 0 to 1)");
	vm_make(&audit);
	supervisor_fd(&audit, 17)->inode = 62;
	deviates(&audit, SUPERVISOR, "descriptors", RAM_NAME " (not the core's) (written: none)");
}

/* F2: a descriptor that is expected, but open in another way. */
static void test_access(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	fd_of(&audit, BLK, 8)->flags = O_RDONLY;
	deviates(&audit, BLK, "descriptors", "8 (/srv/root.img) is open read-only (written: read-write)");
	/* A read-only disk. */
	vm_make(&audit);
	audit.processes[BLK].read_only = true;
	fd_of(&audit, BLK, 8)->flags = supervisor_fd(&audit, 7)->flags = O_RDONLY;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	audit.processes[BLK].read_only = true;
	supervisor_fd(&audit, 7)->flags = O_RDONLY;
	deviates(&audit, BLK, "descriptors", "8 (/srv/root.img) is open read-write (written: read-only)");
	vm_make(&audit);
	audit.processes[BLK].read_only = true;
	fd_of(&audit, BLK, 8)->flags = O_RDONLY;
	deviates(&audit, SUPERVISOR, "descriptors",
		 "7 (/srv/root.img) is open read-write (written: read-only)");
	vm_make(&audit);
	supervisor_fd(&audit, 6)->flags = O_RDONLY;
	deviates(&audit, SUPERVISOR, "descriptors", "6 (/dev/kvm) is open read-only (written: read-write)");
	vm_make(&audit);
	fd_of(&audit, CORE, 10)->flags = O_RDONLY;
	deviates(&audit, CORE, "descriptors", "10 (" RAM_NAME ") is open read-only");
}

/* F2: namespaces that are others' too, outside of the VM; and a thread that has left its process's. */
static void test_outsiders(void **state)
{
	struct audit audit;

	(void)state;
	for (unsigned i = 0; i < PROC_NAMESPACE_TIME; i++) {
		char text[128];

		vm_make(&audit);
		audit.processes[BLK].outsider[i] = 4711;
		snprintf(text, sizeof(text), "process 4711 outside of the VM is in its %s (written: nobody)",
			 proc_namespace_name((enum proc_namespace)i));
		deviates(&audit, BLK, "namespaces", text);
	}
	vm_make(&audit);
	vm_judge(&audit);
	assert_non_null(strstr(check_find(&audit, BLK, "namespaces", 0)->text,
			       "in them is none of 20 processes outside"));
	audit_clear(&audit);
	/* Whom we may not ask may be there. */
	vm_make(&audit);
	audit.outsiders_unread = 3;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_UNREAD);
	assert_non_null(strstr(check_find(&audit, BLK, "namespaces", 0)->text,
			       "17 processes outside, 3 more unread"));
	audit_clear(&audit);
	vm_make(&audit);
	audit.processes[BLK].threads[1].namespaces.inode[PROC_NAMESPACE_NETWORK] = 77;
	deviates(&audit, BLK, "namespaces", "thread queue-0 is in another net");
}

/* F2: each descriptor of the supervisor's is for something. */
static void test_supervisor_descriptors(void **state)
{
	struct audit audit;

	(void)state;
	/* Somebody's file, pipe, connection. */
	vm_make(&audit);
	fd_make(&audit.processes[SUPERVISOR], 30, "/etc/shadow", 500);
	deviates(&audit, SUPERVISOR, "descriptors", "1 other /etc/shadow (no device's) (written: none)");
	vm_make(&audit);
	fd_make(&audit.processes[SUPERVISOR], 30, "pipe:[71]", 71);
	deviates(&audit, SUPERVISOR, "descriptors", "3 pipes are read (written: one a process)");
	vm_make(&audit);
	fd_make(&audit.processes[SUPERVISOR], 30, "pipe:[71]", 71);
	supervisor_fd(&audit, 30)->flags = O_WRONLY;
	deviates(&audit, SUPERVISOR, "descriptors", "pipe:[71] (pipe with a process outside)");
	vm_make(&audit);
	socket_make(&audit, 90, 91, SOCK_STREAM);
	fd_make(&audit.processes[SUPERVISOR], 30, "socket:[90]", 90);
	deviates(&audit, SUPERVISOR, "descriptors", "with a process outside of the VM");
	vm_make(&audit);
	fd_make(&audit.processes[SUPERVISOR], 30, "/etc", 501);
	supervisor_fd(&audit, 30)->flags = O_RDONLY | O_DIRECTORY;
	deviates(&audit, SUPERVISOR, "descriptors", "/etc (a folder that is not the VM's)");
	/* The folder of a console's file, and the file's former part; of no other. */
	vm_make(&audit);
	audit.without = 1;
	fd_make(&audit.processes[SUPERVISOR], 29, "/srv/out.1", 601);
	fd_make(&audit.processes[SUPERVISOR], 30, "/srv/out", 600);
	fd_make(&audit.processes[SUPERVISOR], 31, "/srv", 602);
	supervisor_fd(&audit, 29)->flags = supervisor_fd(&audit, 30)->flags = O_WRONLY;
	supervisor_fd(&audit, 31)->flags = O_PATH | O_DIRECTORY;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	fd_make(&audit.processes[SUPERVISOR], 29, "/srv/out.1", 601);
	fd_make(&audit.processes[SUPERVISOR], 30, "/srv/out", 600);
	supervisor_fd(&audit, 29)->flags = supervisor_fd(&audit, 30)->flags = O_WRONLY;
	deviates(&audit, SUPERVISOR, "descriptors",
		 "2 other /srv/out.1 (no device's) /srv/out (no device's)");
	vm_make(&audit);
	audit.without = 1;
	fd_make(&audit.processes[SUPERVISOR], 30, "/srv/out", 600);
	fd_make(&audit.processes[SUPERVISOR], 31, "/sr", 602);
	supervisor_fd(&audit, 30)->flags = O_WRONLY;
	supervisor_fd(&audit, 31)->flags = O_PATH | O_DIRECTORY;
	deviates(&audit, SUPERVISOR, "descriptors", "/sr (a folder that is not the VM's)");
	/* A kernel, an initrd, and no more. */
	vm_make(&audit);
	for (int fd = 30; fd < 32; fd++) {
		fd_make(&audit.processes[SUPERVISOR], fd, "/srv/initrd", 404);
		supervisor_fd(&audit, fd)->flags = O_RDONLY;
	}
	deviates(&audit, SUPERVISOR, "descriptors", "3 read-only files are no device's (written: at most 2)");
	/* What a device had that has failed, an image with its witnesses, and no second one. */
	vm_make(&audit);
	audit.without = 1;
	for (int fd = 30; fd < 33; fd++)
		fd_make(&audit.processes[SUPERVISOR], fd, "/srv/data.img", 600);
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	audit.without = 1;
	for (int fd = 30; fd < 34; fd++)
		fd_make(&audit.processes[SUPERVISOR], fd, "/srv/data.img", 600);
	deviates(&audit, SUPERVISOR, "descriptors", "1 other /srv/data.img (no device's) (written: none)");
	/* Two taps have one name. */
	vm_make(&audit);
	audit.without = 1;
	fd_make(&audit.processes[SUPERVISOR], 30, "/dev/net/tun", 600);
	strcpy(supervisor_fd(&audit, 30)->interface, "t8");
	fd_make(&audit.processes[SUPERVISOR], 31, "/dev/net/tun", 600);
	strcpy(supervisor_fd(&audit, 31)->interface, "t9");
	deviates(&audit, SUPERVISOR, "descriptors", "1 other /dev/net/tun (no device's: t9) (written: none)");
	vm_make(&audit);
	audit.without = 1;
	fd_make(&audit.processes[SUPERVISOR], 30, "/srv/data.img", 600);
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	audit.without = 1;
	fd_make(&audit.processes[SUPERVISOR], 30, "/srv/data.img", 600);
	fd_make(&audit.processes[SUPERVISOR], 31, "/etc/shadow", 500);
	deviates(&audit, SUPERVISOR, "descriptors", "1 other /etc/shadow (no device's) (written: none)");
	/* What it was started with on 0 is its own affair; nothing else is. */
	vm_make(&audit);
	fd_make(&audit.processes[SUPERVISOR], 0, "pipe:[71]", 71);
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	audit_clear(&audit);
	vm_make(&audit);
	audit.folder_error = -EACCES;
	unread(&audit, SUPERVISOR, "descriptors", "the runtime directory");
}

static void test_seals(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	assert_int_equal(audit_name_fds(&audit), 0);
	for (size_t i = 0; i < audit.processes[BLK].fds.count; i++) {
		struct audit_fd *fd = &audit.processes[BLK].fd_roles[i];

		if (fd->kind != AUDIT_FD_RAM)
			continue;
		fd->seals = F_SEAL_GROW | F_SEAL_SEAL;
		fd->seals_error = 0;
	}
	for (size_t i = 0; i < audit.processes[SUPERVISOR].fds.count; i++) {
		audit.processes[SUPERVISOR].fd_roles[i].seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
		audit.processes[SUPERVISOR].fd_roles[i].seals_error = 0;
	}
	for (size_t i = 0; i < audit.processes[CORE].fds.count; i++) {
		audit.processes[CORE].fd_roles[i].seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
		audit.processes[CORE].fd_roles[i].seals_error = 0;
	}
	audit_judge(&audit);
	only(&audit, AUDIT_DEVIATES, BLK, "descriptors", "the guest's memory can change its size");
	audit_clear(&audit);
}

/* --- what was not read --- */

static void test_unread(void **state)
{
	struct audit audit;

	(void)state;
	vm_make(&audit);
	audit.processes[BLK].namespaces_error = -EACCES;
	unread(&audit, BLK, "namespaces", "unread: needs root");
	vm_make(&audit);
	audit.processes[BLK].mounts_error = audit.processes[BLK].root_error = -EACCES;
	unread(&audit, BLK, "root", "unread: needs root");
	vm_make(&audit);
	audit.processes[BLK].root_error = -EACCES;
	unread(&audit, BLK, "root", "unread: needs root");
	vm_make(&audit);
	audit.processes[BLK].maps_error = -EACCES;
	unread(&audit, BLK, "memory", "unread: needs root");
	vm_make(&audit);
	audit.processes[BLK].limits_error = -EACCES;
	unread(&audit, BLK, "limits", "unread: needs root");
	vm_make(&audit);
	audit.processes[BLK].cgroup_error = -EPROTO;
	unread(&audit, BLK, "cgroup", "unread: Protocol error");
	vm_make(&audit);
	audit.processes[BLK].children_error = -EACCES;
	unread(&audit, BLK, "family", "unread: needs root");
	vm_make(&audit);
	proc_fds_free(&audit.processes[BLK].fds);
	audit.processes[BLK].fds_error = -EACCES;
	vm_judge(&audit);
	assert_int_equal(check_find(&audit, BLK, "descriptors", 0)->verdict, AUDIT_UNREAD);
	audit_clear(&audit);
	/* More than any has is no lack of rights. */
	vm_make(&audit);
	audit.processes[BLK].maps_error = -EFBIG;
	deviates(&audit, BLK, "memory", "more than any process of a VM has");
	/* It ended: nothing can be said of it, and nothing is. */
	vm_make(&audit);
	audit.processes[BLK].error = -ESRCH;
	vm_judge(&audit);
	assert_int_equal(audit.processes[BLK].check_count, 1);
	assert_int_equal(audit.verdict, AUDIT_UNREAD);
	audit_clear(&audit);
	/* A thread that ended is none any more. */
	vm_make(&audit);
	audit.processes[BLK].threads[1].error = -ESRCH;
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_AS_WRITTEN);
	assert_null(check_find(&audit, BLK, "filters", 121));
	audit_clear(&audit);
}

/* --- the table --- */

/* Each filter that the table names was compiled, and each that was compiled is named: but for those of programs that were
 * started by hand (A4), which no process of a VM may wear. */
static void test_table_and_filters(void **state)
{
	static const char *const roles[] = {"supervisor", "core", "blk", "net", "console", "undertaker"};
	const struct seccomp_filter *const *compiled = audit_filters();
	bool named[64] = {0};

	(void)state;
	assert_null(audit_rule_find("gpu"));
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		const struct audit_rule *rule = audit_rule_find(roles[i]);

		assert_non_null(rule);
		for (size_t k = 0; k < 4 * 2; k++) {
			const char *name = rule->threads[k / 2].name != NULL
						   ? rule->threads[k / 2].filters[k % 2]
						   : NULL;
			size_t at = 0;

			if (name == NULL)
				continue;
			while (compiled[at] != NULL && strcmp(compiled[at]->name, name) != 0)
				at++;
			if (compiled[at] == NULL)
				fail_msg("%s: no filter %s", roles[i], name);
			named[at] = true;
		}
	}
	for (size_t i = 0; compiled[i] != NULL; i++)
		if (named[i] == (strstr(compiled[i]->name, "-hand.") != NULL))
			fail_msg("filter %s is %s thread's", compiled[i]->name, named[i] ? "a" : "no");
}

/* --- a real process --- */

static void test_gather(void **state)
{
	struct audit audit = {.filters = filters};
	struct audit_process *process;
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	audit.processes = process = calloc(1, sizeof(*process));
	assert_non_null(process);
	audit.process_count = 1;
	strcpy(process->role, "net");
	process->pid = child;
	process->dir_fd = -1;
	audit_gather_process(process, proc_fd);
	assert_int_equal(process->error, 0);
	assert_int_equal(process->thread_count, 1);
	assert_int_equal(process->threads[0].status.parent, getpid());
	assert_int_equal(process->limits_error, 0);
	vm_judge(&audit);
	assert_int_equal(audit.verdict, AUDIT_DEVIATES);
	assert_int_equal(check_find(&audit, 0, "filters", child)->verdict, AUDIT_DEVIATES);
	assert_int_equal(check_find(&audit, 0, "privileges", 0)->verdict, AUDIT_DEVIATES);
	assert_int_equal(check_find(&audit, 0, "limits", 0)->verdict, AUDIT_DEVIATES);
	/* It was not stopped for longer than that took. */
	assert_int_equal(waitpid(child, &status, WNOHANG | WUNTRACED), 0);
	audit_clear(&audit);

	/* A dead one that nobody has reaped, and one that was. */
	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct audit_process dead = {.role = "net", .pid = child, .dir_fd = -1};

		audit_gather_process(&dead, proc_fd);
		assert_int_equal(dead.error, -ESRCH);
		audit.processes = malloc(sizeof(dead));
		audit.processes[0] = dead;
		audit.process_count = 1;
		vm_judge(&audit);
		assert_int_equal(audit.verdict, AUDIT_UNREAD);
		audit_clear(&audit);
		waitpid(child, NULL, 0);
	}
	close(proc_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_own_descriptor),
		cmocka_unit_test(test_filters_unread),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_container),
		cmocka_unit_test(test_ordinary_user),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_memory_and_limits),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_standard_descriptors),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_shares_are_found_whatever_the_names),
		cmocka_unit_test(test_in_flight),
		cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_outsiders),
		cmocka_unit_test(test_supervisor_descriptors),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_table_and_filters),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_gather),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
