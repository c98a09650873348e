/*
 * The open descriptors of a process, counted by what they are for; and with whom it has descriptions in common.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/audit_judge.h"

/* Sealed by guest_ram.c and state_page.c: nobody may change its size under the others. */
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
	return kind == AUDIT_FD_FILE || kind == AUDIT_FD_TAP || kind == AUDIT_FD_OTHER;
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

void judge_fds(const struct audit *audit, struct audit_process *process, const struct audit_rule *rule)
{
	struct audit_check *check = check_add(process, "descriptors", 0);
	unsigned counts[AUDIT_FD_KIND_COUNT] = {0};

	(void)audit;
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
}

/* --- what it shares --- */

static bool is_role(const struct audit_process *process, const char *role)
{
	return strcmp(process->role, role) == 0;
}

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
		       kind == AUDIT_FD_STREAM;
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
