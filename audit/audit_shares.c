/*
 * Which open file descriptions two processes of the VM have in common. The inode behind a descriptor says whether
 * two can be the same; whether they are, the kernel tells by kcmp(2). Two that opened the same file are none.
 *
 * Source: kcmp(2), KCMP_FILE.
 */
#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/audit.h"

static int shares_add(struct audit *audit, const struct audit_share *share)
{
	struct audit_share *larger =
		realloc(audit->shares, (audit->share_count + 1) * sizeof(*audit->shares));

	if (larger == NULL)
		return -ENOMEM;
	audit->shares = larger;
	larger[audit->share_count++] = *share;
	return 0;
}

/*
 * By what cannot change between two looks: a file may be renamed meanwhile, and flags be set. What has no file of its
 * own (anon_inode) shares an inode with all of that, and is told apart by a name that nobody can change.
 */
static bool may_be_same(const struct proc_fd *a, const struct proc_fd *b)
{
	return a->inode == b->inode && a->mount == b->mount && a->eventfd == b->eventfd &&
	       (a->target[0] == '/' ? b->target[0] == '/' : strcmp(a->target, b->target) == 0);
}

/* 0 if they are the same, 1 if not, or -errno. */
static int compare(const struct audit_process *a, const struct proc_fd *a_fd, const struct audit_process *b,
		   const struct proc_fd *b_fd)
{
	long result = syscall(SYS_kcmp, a->pid, b->pid, KCMP_FILE, (unsigned long)a_fd->fd,
			      (unsigned long)b_fd->fd);

	if (result >= 0)
		return result != 0;
	switch (errno) {
	case EBADF: /* closed meanwhile */
	case ESRCH:
		return 1;
	case EPERM:
		return -EACCES;
	case ENOSYS:
		return -ENODATA;
	default:
		return -errno;
	}
}

static int pair_gather(struct audit *audit, size_t a, size_t b)
{
	const struct audit_process *first = &audit->processes[a], *second = &audit->processes[b];

	for (size_t i = 0; i < first->fds.count; i++) {
		for (size_t k = 0; k < second->fds.count; k++) {
			struct audit_share share = {{a, b}, {i, k}};
			int result = 1;

			if (may_be_same(&first->fds.fds[i], &second->fds.fds[k]))
				result = compare(first, &first->fds.fds[i], second, &second->fds.fds[k]);
			if (result == 0)
				result = shares_add(audit, &share);
			if (result < 0)
				return result;
		}
	}
	return 0;
}

void audit_gather_shares(struct audit *audit)
{
	for (size_t a = 0; a < audit->process_count && audit->shares_error == 0; a++)
		for (size_t b = a + 1; b < audit->process_count && audit->shares_error == 0; b++)
			audit->shares_error = pair_gather(audit, a, b);
}
