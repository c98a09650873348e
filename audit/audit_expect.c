/*
 * What is written: of the supervisor and its starter here, of their children in the table of roles (common/roles/role.h), to which
 * comes what all children share. Change one together with what it describes: the filters (policy/), the jail (common/jail/jail.h), or
 * what a program opens.
 */
#include "audit/audit_expect.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>

#include "common/jail/jail_user.h"
#include "common/ring/inflight.h"
#include "policy/filters.h"

/* jail_fork(): root gives each child a user id of its own. */

#define NAMESPACE_BIT(name) (1u << PROC_NAMESPACE_##name)

#define JAIL_NAMESPACES                                                                             \
	(NAMESPACE_BIT(USER) | NAMESPACE_BIT(MOUNT) | NAMESPACE_BIT(PID) | NAMESPACE_BIT(NETWORK) | \
	 NAMESPACE_BIT(IPC) | NAMESPACE_BIT(UTS) | NAMESPACE_BIT(CGROUP))

/* --- limits: the supervisor's vm_limits(), jail_enter(), "limits", and jail_seal_process() --- */

static const struct audit_limit_rule jail_limits[] = {
	{RLIMIT_CORE, 0},	    {RLIMIT_MSGQUEUE, 0}, {RLIMIT_RTPRIO, 0},
	{RLIMIT_NICE, 0},	    {RLIMIT_MEMLOCK, 0},
#ifndef __SANITIZE_ADDRESS__
	{RLIMIT_AS, AUDIT_LIMITED},
#endif
};
/* --- descriptors --- */

static const struct role_fd supervisor_fds[] = {
	{FD_KIND_LOG, 2, 2},
	{FD_KIND_KVM, 1, 1},
	{FD_KIND_EPOLL, 1, 1},
	{FD_KIND_EVENTFD, 1, ROLE_FD_MANY},
	{FD_KIND_LISTENER, 1, ROLE_FD_MANY},
	{FD_KIND_NULL, 0, ROLE_FD_MANY},
	{FD_KIND_CONTROL, 0, ROLE_FD_MANY},
	{FD_KIND_STREAM, 0, ROLE_FD_MANY},
	{FD_KIND_CLIENT, 0, ROLE_FD_MANY},
	{FD_KIND_NETLINK, 0, 1},
	{FD_KIND_OUTPUT, 0, ROLE_FD_MANY},
	{FD_KIND_PIPE, 0, ROLE_FD_MANY},
	{FD_KIND_TIMER, 0, ROLE_FD_MANY},
	{FD_KIND_SIGNALS, 0, 1},
	{FD_KIND_PIDFD, 0, ROLE_FD_MANY},
	{FD_KIND_FILE, 0, ROLE_FD_MANY},
	{FD_KIND_BOOT, 0, ROLE_FD_MANY},   /* judge_fds() knows how many */
	{FD_KIND_FOLDER, 2, ROLE_FD_MANY}, /* and one a console that writes a file */
	{FD_KIND_LOCK, 1, 1},
	{FD_KIND_INPUT, 0, 1},
	{FD_KIND_TAP, 0, ROLE_FD_MANY},
	{FD_KIND_PTY, 0, ROLE_FD_MANY},
	{FD_KIND_RAM, 0, 1}, /* judge_files(): not mapped */
	{FD_KIND_STATE, 0, ROLE_FD_MANY},
	{FD_KIND_TERMINAL, 0, 6}, /* standard ones, and opened anew to be read and written */
	{FD_KIND_OTHER, 0, 0},
};

/* The starter has its wire, and nothing else. */
static const struct role_fd starter_fds[] = {
	{FD_KIND_NULL, 3, 3}, {FD_KIND_CONTROL, 1, 1}, {FD_KIND_OTHER, 0, 0}};

/* What every child but the starter has: the control wire, its log, and what its event loop is made of. */
static const struct role_fd child_fds[] = {
	{FD_KIND_NULL, 1, 1},
	{FD_KIND_LOG, 2, 2},
	{FD_KIND_CONTROL, 1, 1},
	{FD_KIND_EPOLL, 1, 1},
	{FD_KIND_PIPE, 0, 2},
	{FD_KIND_EVENTFD, 1, ROLE_FD_MANY},
	{FD_KIND_SHARED_EVENTFD, 0, ROLE_FD_MANY},
	{FD_KIND_SIGNALS, 0, 1},
	{FD_KIND_TIMER, 0, ROLE_FD_MANY},
	{FD_KIND_OTHER, 0, 0},
};

/*
 * What a device's process has besides: its wire and the back channel; descriptors of memory that come over the wire are
 * closed once they are mapped.
 */
static const struct role_fd wire_fds[] = {
	{FD_KIND_WIRE, 1, 2}, {FD_KIND_RAM, 0, 8}, {FD_KIND_MEMFD, 0, 1}, {FD_KIND_OTHER, 0, 0}};

/* --- the table --- */

/* supervisor_seal_starter(). */
#define STARTER_CAPABILITIES (UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID)

static const struct role_thread supervisor_threads[] = {
	{"main", {"supervisor-sealed.main", "supervisor.main"}, NULL, false}, {0}};
static const struct role_thread starter_threads[] = {{"main", {"supervisor.main"}, NULL, false}, {0}};

static const struct audit_rule parents[] = {
	{
		.role = "supervisor",
		.threads = supervisor_threads,
		.restricted = true,
		.fds = {supervisor_fds},
	},
	{
		.role = "starter",
		.threads = starter_threads,
		.capabilities = STARTER_CAPABILITIES,
		.bounding = STARTER_CAPABILITIES,
		.child = true,
		.fds = {starter_fds},
	},
};

static void rule_add_limit(struct audit_rule *rule, unsigned limit, uint64_t most)
{
	rule->limits[rule->limit_count++] = (struct audit_limit_rule){limit, most};
}

static void rule_of_child(const struct role *role, struct audit_rule *rule)
{
	bool core = role_place(role) == CHILD_ROLE_CORE;

	*rule = (struct audit_rule){
		.role = role->name,
		.threads = role->threads,
		.child = true,
		.jailed = true,
		.own_namespaces = JAIL_NAMESPACES,
		.fds = {child_fds, core ? role->fds : wire_fds, core ? NULL : role->fds},
	};
	for (size_t i = 0; i < sizeof(jail_limits) / sizeof(jail_limits[0]); i++)
		rule_add_limit(rule, jail_limits[i].limit, jail_limits[i].most);
	rule_add_limit(rule, RLIMIT_NOFILE, role->descriptors);
	if (core)
		rule_add_limit(rule, RLIMIT_FSIZE, INFLIGHT_FILE_MAX);
	else if (!role->has_tasks)
		rule_add_limit(rule, RLIMIT_NPROC, 0);
}

const struct audit_rule *audit_rule_find(const char *name)
{
	static struct audit_rule children[CHILD_ROLES_MAX];
	const struct role *role = role_named(name);

	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++)
		if (strcmp(name, parents[i].role) == 0)
			return &parents[i];
	if (role == NULL)
		return NULL;
	rule_of_child(role, &children[role_place(role)]);
	return &children[role_place(role)];
}

uint32_t audit_jail_user(pid_t pid)
{
	return JAIL_USER_BASE | (uint32_t)pid;
}

const struct seccomp_filter *const *audit_filters(void)
{
	return seccomp_filters;
}

const char *audit_name_number(const char *name, const char *kind)
{
	size_t length = strlen(kind);
	const char *number = name + length;

	if (strncmp(name, kind, length) != 0 || *number == '\0' ||
	    strspn(number, "0123456789") != strlen(number))
		return NULL;
	return number;
}

const struct role_thread *audit_rule_of_thread(const struct audit_rule *rule, const char *name, bool first)
{
	if (first)
		return &rule->threads[0];
	for (const struct role_thread *entry = &rule->threads[1]; entry->name != NULL; entry++)
		if (entry->alike ? strcmp(name, entry->name) == 0
				 : audit_name_number(name, entry->name) != NULL)
			return entry;
	return NULL;
}
