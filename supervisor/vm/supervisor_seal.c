/*
 * Sealing the supervisor and its starter.
 *
 * The starter makes processes and namespaces for them, so its filter is a list of what the family never does, and two
 * capabilities stay: a user namespace takes the map of another user's id only from who has CAP_SETUID and CAP_SETGID
 * outside of it. In a rootless container, whose root is the only user that it has, there is none other to give: there the
 * map of root itself is what the kernel asks CAP_SETFCAP for (Linux 5.12), and that one stays.
 *
 * The supervisor keeps no capability. To kill its children it needs none: it owns their user namespaces, as who is the
 * user that made them. What it is still the owner of, as user 0, Landlock keeps out of its reach, but for what its work
 * takes; and a second filter takes what neither Landlock nor the absence of capabilities keeps from user 0: other
 * processes of root's, sockets.
 *
 * Source: user_namespaces(7), "Defining user and group ID mappings"; landlock(7).
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

#include "common/base/log.h"
#include "common/base/report.h"
#include "common/jail/jail.h"
#include "common/jail/jail_user.h"
#include "policy/filters.h"
#include "supervisor/host/own_process.h"

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

static int install_filter(const struct seccomp_filter *filter)
{
	struct sock_fprog program = {filter->count, (struct sock_filter *)filter->instructions};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

/* Without Landlock it says so; there is no less of the rest. */
static int restrict_files(const struct reach *reach)
{
	if (jail_landlock_version() == 0)
		log_info("this kernel has no Landlock, or it is not switched on: what the supervisor's user "
			 "may "
			 "reach, the supervisor may");
	return reach->error < 0 ? reach->error : jail_restrict_landlock_to(reach->paths, reach->count);
}

/* reach: the supervisor's; NULL: the starter's seal. */
static int seal(const struct kept *kept, const struct reach *reach)
{
	int result = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
	const char *step = "no_new_privs", *remedy = "use a kernel with seccomp filters";

	if (result == 0) {
		step = "capabilities";
		result = drop_bounding(kept);
	}
	if (result == 0)
		result = drop_capabilities(kept);
	if (result == 0 && reach != NULL) {
		step = "Landlock";
		result = restrict_files(reach);
		if (result == -E2BIG)
			remedy = "start it under fewer than 16 rulesets of Landlock's";
	}
	if (result == 0) {
		step = "its filter of system calls";
		result = install_filter(&filter_supervisor_main);
	}
	if (result == 0 && reach != NULL)
		result = install_filter(&filter_supervisor_sealed_main);
	if (result < 0)
		report_error("run: the supervisor cannot seal itself: %s: %s; %s", step, strerror(-result),
			     remedy);
	return result;
}

int supervisor_seal_starter(void)
{
	struct kept kept = kept_choose();

	return seal(&kept, NULL);
}

int supervisor_seal(const struct reach *reach)
{
	static const struct kept none = {NULL, 0};
	int result = own_process_open();

	if (result < 0) {
		report_error(
			"run: the supervisor cannot seal itself: a descriptor of its own: %s; see that files "
			"are left",
			strerror(-result));
		return result;
	}
	return seal(&none, reach);
}
