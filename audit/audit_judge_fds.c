/*
 * The open descriptors of a process, counted by what they are for; and with whom it has descriptions in common.
 */
#include "audit/audit_judge_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_check.h"

/* Sealed by sealed_memfd_create(): nobody may change its size under the others. */
#define SIZE_SEALS ((unsigned)(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))

static const struct audit_fd_rule *rule_of_kind(const struct audit_rule *rule, enum audit_fd_kind kind)
{
	static const struct audit_fd_rule none = {AUDIT_FD_OTHER, 0, 0};
	const size_t lists = sizeof(rule->fds) / sizeof(rule->fds[0]);

	for (size_t i = 0; i < lists && rule->fds[i] != NULL; i++)
		for (const struct audit_fd_rule *entry = rule->fds[i]; entry->most > 0; entry++)
			if (entry->kind == kind)
				return entry;
	return &none;
}

/* Whether a person wants to know which one it is. */
static bool kind_is_resource(enum audit_fd_kind kind)
{
	return kind == AUDIT_FD_FILE || kind == AUDIT_FD_TAP || kind == AUDIT_FD_BOOT ||
	       kind == AUDIT_FD_OTHER;
}

static void say_each(const struct audit_process *process, enum audit_fd_kind kind, struct audit_check *check)
{
	unsigned told = 0;

	for (size_t i = 0; i < process->fds.count; i++) {
		const struct proc_fd *fd = &process->fds.fds[i];
		const struct audit_fd *role = &process->fd_roles[i];

		if (role->kind != kind)
			continue;
		if (told++ == 4) {
			check_say(check, " ...");
			break;
		}
		check_say(check, " %s", kind == AUDIT_FD_TAP ? fd->interface : fd->target);
		if (kind == AUDIT_FD_OTHER && role->role[0] != '\0')
			check_say(check, " (%s)", role->role);
	}
}

static void judge_seals(const struct audit_process *process, enum audit_fd_kind kind, const char *what,
			struct audit_check *check)
{
	for (size_t i = 0; i < process->fds.count; i++) {
		const struct audit_fd *role = &process->fd_roles[i];

		if (role->kind != kind)
			continue;
		if (role->seals_error == 0 && (role->seals & SIZE_SEALS) != SIZE_SEALS) {
			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, "; %s can change its size (written: sealed)", what);
			return;
		}
		if (role->seals_error < 0) {
			check_say(check, "; seals ");
			check_read(check, role->seals_error);
			return;
		}
	}
}

static void judge_kind(const struct audit_process *process, const struct audit_rule *rule,
		       enum audit_fd_kind kind, unsigned count, struct audit_check *check)
{
	const struct audit_fd_rule *fd_rule = rule_of_kind(rule, kind);

	if (count == 0 && fd_rule->least == 0)
		return;
	check_say(check, ", %u %s", count, audit_fd_kind_name(kind));
	if (count > 0 && (kind_is_resource(kind) || fd_rule->most == 0))
		say_each(process, kind, check);
	if (count >= fd_rule->least && count <= fd_rule->most)
		return;
	/* What could not be told apart may be what is missing. */
	check_worsen(check, kind == AUDIT_FD_UNIX ? AUDIT_UNREAD : AUDIT_DEVIATES);
	if (fd_rule->most == 0)
		check_say(check, kind == AUDIT_FD_UNIX ? " (with whom is unread)" : " (written: none)");
	else if (fd_rule->least == fd_rule->most)
		check_say(check, " (written: %u)", fd_rule->least);
	else
		check_say(check, " (written: %u to %u)", fd_rule->least, fd_rule->most);
}

/* --- how each is open --- */

static bool is_role(const struct audit_process *process, const char *role)
{
	return strcmp(process->role, role) == 0;
}

static bool same_file(const struct proc_fd *a, const struct proc_fd *b)
{
	/* A file may get another name between two looks; where the kernel tells no inode, its name is all there is. */
	return a->inode == b->inode && a->mount == b->mount &&
	       (a->inode != 0 || strcmp(a->target, b->target) == 0);
}

/* O_RDONLY, O_WRONLY, O_RDWR; -1: any. */
static int access_written(const struct audit *audit, const struct audit_process *process,
			  const struct proc_fd *own, enum audit_fd_kind kind)
{
	switch (kind) {
	case AUDIT_FD_OTHER: /* it deviates anyway */
	case AUDIT_FD_NULL:
	case AUDIT_FD_LOG:
	case AUDIT_FD_PIPE:
	case AUDIT_FD_TERMINAL:
	case AUDIT_FD_INPUT:
		return -1;
	case AUDIT_FD_OUTPUT:
	case AUDIT_FD_BOOT:
	case AUDIT_FD_FOLDER:
		return O_RDONLY;
	case AUDIT_FD_FILE:
		if (is_role(process, "blk"))
			return process->read_only ? O_RDONLY : O_RDWR;
		if (!is_role(process, "supervisor"))
			return O_WRONLY;
		/* As the device that serves it. */
		for (size_t i = 1; i < audit->process_count; i++)
			for (size_t k = 0; k < audit->processes[i].fds.count; k++)
				if (same_file(&audit->processes[i].fds.fds[k], own))
					return access_written(audit, &audit->processes[i], own, kind);
		return -1;
	default:
		return O_RDWR;
	}
}

static void judge_access(const struct audit *audit, const struct audit_process *process,
			 struct audit_check *check)
{
	static const char *const names[] = {[O_RDONLY] = "read-only", "write-only", "read-write", "neither"};
	unsigned told = 0;

	for (size_t i = 0; i < process->fds.count; i++) {
		const struct proc_fd *fd = &process->fds.fds[i];
		int written = access_written(audit, process, fd, process->fd_roles[i].kind);

		if (written < 0 || (fd->flags & O_ACCMODE) == (unsigned)written)
			continue;
		check_worsen(check, AUDIT_DEVIATES);
		if (told++ < 4)
			check_say(check, "; %d (%s) is open %s (written: %s)", fd->fd, fd->target,
				  names[fd->flags & O_ACCMODE], names[written]);
	}
}

/*
 * What belongs to the VM as a whole: a kernel and an initrd, and the images of read-only disks that have no process. And
 * one pipe a process, which is read.
 */
static void judge_boot(const struct audit *audit, const struct audit_process *process, unsigned count,
		       unsigned outputs, struct audit_check *check)
{
	size_t children = 0;

	if (!is_role(process, "supervisor"))
		return;
	for (size_t i = 0; i < audit->process_count; i++)
		children += !is_role(&audit->processes[i], "supervisor") &&
			    !is_role(&audit->processes[i], "starter");
	if (outputs > children + audit->without) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "; %u pipes are read (written: one a process)", outputs);
	}
	if (count <= 2 + audit->without)
		return;
	check_worsen(check, AUDIT_DEVIATES);
	check_say(check, "; %u read-only files are no device's (written: at most %u)", count,
		  2 + audit->without);
}

void judge_fds(const struct audit *audit, struct audit_process *process, const struct audit_rule *rule)
{
	struct audit_check *check = check_add(process, "descriptors", 0);
	unsigned counts[AUDIT_FD_KIND_COUNT] = {0};

	if (!check_read(check, process->fds_error))
		return;
	for (size_t i = 0; i < process->fds.count; i++)
		counts[process->fd_roles[i].kind]++;
	check_say(check, "%zu", process->fds.count);
	for (unsigned i = 0; i < AUDIT_FD_KIND_COUNT; i++) {
		/* Without unix_diag, no socket has a role: they are not missing. */
		if (counts[AUDIT_FD_UNIX] > 0 && counts[i] == 0 &&
		    (i == AUDIT_FD_CONTROL || i == AUDIT_FD_WIRE || i == AUDIT_FD_LISTENER))
			continue;
		judge_kind(process, rule, (enum audit_fd_kind)i, counts[i], check);
	}
	judge_seals(process, AUDIT_FD_RAM, "the guest's memory", check);
	judge_seals(process, AUDIT_FD_STATE, "a state page", check);
	judge_access(audit, process, check);
	judge_boot(audit, process, counts[AUDIT_FD_BOOT], counts[AUDIT_FD_OUTPUT], check);
	if (is_role(process, "supervisor") && audit->folder_error < 0) {
		check_say(check, "; the runtime directory ");
		check_read(check, audit->folder_error);
	}
}

/* --- what it has and no list tells --- */

static bool is_unix_socket(enum audit_fd_kind kind)
{
	return kind == AUDIT_FD_CONTROL || kind == AUDIT_FD_WIRE || kind == AUDIT_FD_STREAM ||
	       kind == AUDIT_FD_LISTENER || kind == AUDIT_FD_CLIENT || kind == AUDIT_FD_UNIX;
}

/* Whether it may be taken for being told what to do just now. */
static bool is_in_transit(const struct audit_process *process)
{
	return strcmp(process->state, "starting") == 0 || strcmp(process->state, "restarting") == 0 ||
	       strcmp(process->state, "stopping") == 0;
}

/*
 * A descriptor that was sent and is not yet received is in nobody's list, and so is one that is registered with a ring
 * and closed: both are as good as open. Nothing stays on its way to a process that works.
 */
void judge_in_flight(struct audit_process *process)
{
	struct audit_check *check = check_add(process, "in flight", 0);
	unsigned sockets = 0, found = 0, untold = 0;

	if (!check_read(check, process->fds_error))
		return;
	for (size_t i = 0; i < process->fds.count; i++) {
		const struct proc_fd *fd = &process->fds.fds[i];

		sockets += is_unix_socket(process->fd_roles[i].kind);
		untold += is_unix_socket(process->fd_roles[i].kind) && fd->in_flight < 0;
		if (fd->in_flight <= 0 && fd->registered <= 0)
			continue;
		if (found++ >= 4)
			continue;
		check_say(check, "%s%d descriptor%s %s %d (%s)", found > 1 ? ", " : "",
			  fd->in_flight > 0 ? fd->in_flight : fd->registered,
			  (fd->in_flight > 0 ? fd->in_flight : fd->registered) == 1 ? "" : "s",
			  fd->in_flight > 0 ? "sent to" : "registered with", fd->fd, fd->target);
	}
	if (found == 0)
		check_say(check, "no descriptor, at %u sockets", sockets - untold);
	else
		check_say(check, " (written: none)");
	if (found > 0)
		check_worsen(check, is_in_transit(process) ? AUDIT_UNREAD : AUDIT_DEVIATES);
	if (untold > 0)
		check_read(check, -ENODATA);
}

/* --- what it maps --- */

static bool map_is_of(const struct proc_map *map, const struct audit_process *process,
		      enum audit_fd_kind kind)
{
	for (size_t i = 0; i < process->fds.count && process->fd_roles != NULL; i++)
		if (process->fd_roles[i].kind == kind && process->fds.fds[i].inode == map->inode &&
		    strcmp(process->fds.fds[i].target, map->name) == 0)
			return true;
	return false;
}

/* Memory that is shared by design: rings, processors, the guest's memory, inflight regions, state pages. */
static bool map_is_shared_memory(const struct audit *audit, const struct audit_process *process,
				 const struct proc_map *map)
{
	/* The supervisor keeps these, and never looks into one. */
	if (map->executable || is_role(process, "supervisor") || is_role(process, "starter"))
		return false;
	for (size_t i = 0; i < audit->process_count; i++) {
		const struct audit_process *other = &audit->processes[i];

		if ((is_role(other, "core") &&
		     (map_is_of(map, other, AUDIT_FD_RAM) || map_is_of(map, other, AUDIT_FD_MEMFD))) ||
		    (is_role(other, "supervisor") && map_is_of(map, other, AUDIT_FD_STATE)))
			return true;
	}
	return map_is_of(map, process, AUDIT_FD_URING) || map_is_of(map, process, AUDIT_FD_VCPU);
}

/* What a program consists of: parts of files of which some are code, and that no process of the VM serves. */
static bool map_is_program(const struct audit *audit, const struct audit_process *process,
			   const struct proc_map *map)
{
	bool code = false;

	if (map->shared)
		return false;
	for (size_t i = 0; i < process->maps.file_count && !code; i++) {
		const struct proc_map *other = &process->maps.files[i];

		code = other->executable && other->inode == map->inode &&
		       strcmp(other->device, map->device) == 0;
	}
	for (size_t i = 0; i < audit->process_count; i++)
		if (map_is_of(map, &audit->processes[i], AUDIT_FD_FILE))
			return false;
	return code;
}

/* Not knowing who has what, a mapping cannot be told to be right or wrong. */
static bool files_are_known(const struct audit *audit, struct audit_check *check)
{
	for (size_t i = 0; i < audit->process_count; i++)
		if (audit->processes[i].fds_error < 0) {
			check_say(check, "; what files they are of is ");
			return check_read(check, audit->processes[i].fds_error);
		}
	return true;
}

void judge_files(const struct audit *audit, const struct audit_process *process, struct audit_check *check)
{
	unsigned shared = 0, told = 0;

	if (!files_are_known(audit, check))
		return;
	for (size_t i = 0; i < process->maps.file_count; i++) {
		const struct proc_map *map = &process->maps.files[i];

		shared += map->shared;
		if (map->shared ? map_is_shared_memory(audit, process, map)
				: map_is_program(audit, process, map))
			continue;
		check_worsen(check, AUDIT_DEVIATES);
		if (told++ < 4)
			check_say(check, "; %s is mapped%s%s (written: not)", map->name,
				  map->shared ? " shared" : "", map->writable ? " to write" : " to read");
	}
	check_say(check, "; %u shared", shared);
}

/* --- what it shares --- */

/*
 * What two processes may have in common: a flag or an offset that one of them changes is changed for the other.
 * With the supervisor, what it opened for the process and keeps for the next one; between the core and a device,
 * memory and eventfds. Nothing else, and two devices nothing at all.
 */
static bool may_share(const struct audit_process *process, const struct audit_process *other,
		      enum audit_fd_kind kind)
{
	if (is_role(other, "supervisor"))
		return kind == AUDIT_FD_KVM || kind == AUDIT_FD_FILE || kind == AUDIT_FD_TAP ||
		       kind == AUDIT_FD_PTY || kind == AUDIT_FD_LISTENER || kind == AUDIT_FD_STATE ||
		       kind == AUDIT_FD_STREAM || kind == AUDIT_FD_RAM;
	return (is_role(process, "core") != is_role(other, "core")) &&
	       (kind == AUDIT_FD_SHARED_EVENTFD || kind == AUDIT_FD_RAM || kind == AUDIT_FD_MEMFD);
}

void judge_shares(const struct audit *audit, struct audit_process *process)
{
	struct audit_check *check = check_add(process, "shared", 0);
	unsigned right = 0, told = 0;

	if (!check_read(check, process->fds_error) || !check_read(check, audit->shares_error))
		return;
	for (size_t i = 0; i < audit->share_count; i++) {
		const struct audit_share *share = &audit->shares[i];

		for (unsigned side = 0; side < 2; side++) {
			const struct audit_process *other = &audit->processes[share->process[!side]];
			const struct proc_fd *fd = &process->fds.fds[share->fd[side]];

			if (&audit->processes[share->process[side]] != process)
				continue;
			if (may_share(process, other, process->fd_roles[share->fd[side]].kind)) {
				right++;
				continue;
			}
			check_worsen(check, AUDIT_DEVIATES);
			if (told++ < 4)
				check_say(check, "%s%d (%s) with %s", told > 1 ? ", " : "", fd->fd,
					  fd->target, other->title);
		}
	}
	if (told > 0)
		check_say(check, " (written: not shared); ");
	check_say(check, "%u descriptions as written", right);
}
