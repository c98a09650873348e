/*
 * Sealing the supervisor. It opens paths, makes processes and namespaces for them, so its filter is a list of what
 * it never does; what weighs more is that root's capabilities are gone by the time that the first process runs.
 *
 * Two stay: a user namespace takes the map of another user's id only from who has CAP_SETUID and CAP_SETGID
 * outside of it. To kill its children it needs none: it owns their user namespaces. In a rootless container, whose
 * root is the only user that it has, there is none other to give: there the map of root itself is what the kernel asks
 * CAP_SETFCAP for (Linux 5.12), and that one stays.
 *
 * Source: user_namespaces(7), "Defining user and group ID mappings".
 */
#include "supervisor/vm/supervisor_seal.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/report.h"
#include "common/jail/jail_user.h"
#include "policy/filters.h"

static const cap_value_t to_give_users[] = {CAP_SETUID, CAP_SETGID}, to_give_root[] = {CAP_SETFCAP};

struct kept {
	const cap_value_t *list;
	int count;
};

static struct kept kept_choose(void)
{
	struct jail_users users;

	jail_users_read(&users);
	if (geteuid() == 0 && !users.by_pid && users.count == 0)
		return (struct kept){to_give_root, 1};
	return (struct kept){to_give_users, 2};
}

static bool is_kept(const struct kept *kept, cap_value_t capability)
{
	for (int i = 0; i < kept->count; i++)
		if (kept->list[i] == capability)
			return true;
	return false;
}

/* Who may not change the bounding set, an ordinary user, cannot gain anything from it either: no_new_privs. */
static int drop_bounding(const struct kept *kept)
{
	for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); capability++)
		if (!is_kept(kept, capability) && cap_drop_bound(capability) < 0)
			return errno == EPERM ? 0 : -errno;
	return 0;
}

/* Those of the kept that there are. */
static int drop_capabilities(const struct kept *kept)
{
	cap_t now = cap_get_proc(), wanted = cap_init();
	int result = now == NULL || wanted == NULL ? -errno : 0;

	for (int i = 0; i < kept->count && result == 0; i++) {
		cap_flag_value_t has = CAP_CLEAR;

		if (cap_get_flag(now, kept->list[i], CAP_PERMITTED, &has) < 0 ||
		    (has == CAP_SET && (cap_set_flag(wanted, CAP_PERMITTED, 1, &kept->list[i], CAP_SET) < 0 ||
					cap_set_flag(wanted, CAP_EFFECTIVE, 1, &kept->list[i], CAP_SET) < 0)))
			result = -errno;
	}
	if (result == 0 && (cap_reset_ambient() < 0 || cap_set_proc(wanted) < 0))
		result = -errno;
	if (now != NULL)
		cap_free(now);
	if (wanted != NULL)
		cap_free(wanted);
	return result;
}

static int install_filter(void)
{
	struct sock_fprog program = {filter_supervisor_main.count,
				     (struct sock_filter *)filter_supervisor_main.instructions};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

int supervisor_seal(void)
{
	struct kept kept = kept_choose();
	int result = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
	const char *step = "no_new_privs";

	if (result == 0) {
		step = "capabilities";
		result = drop_bounding(&kept);
	}
	if (result == 0)
		result = drop_capabilities(&kept);
	if (result == 0) {
		step = "its filter of system calls";
		result = install_filter();
	}
	if (result < 0)
		report_error(
			"run: the supervisor cannot seal itself: %s: %s; use a kernel with seccomp filters",
			step, strerror(-result));
	return result;
}
