/*
 * What is written, a row a role, and the lists that the rows share. Change one together with what it describes: the filters (policy/), the jail
 * (common/jail/jail.h), or what a program opens.
 */
#include "audit/audit_expect.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>

#include "common/host/disk_image.h"
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
	{PROC_LIMITS_COUNT, 0},
};
static const struct audit_limit_rule core_limits[] = {
	{RLIMIT_NOFILE, 4096}, {RLIMIT_FSIZE, INFLIGHT_FILE_MAX}, {PROC_LIMITS_COUNT, 0}};
static const struct audit_limit_rule blk_limits[] = {{RLIMIT_NOFILE, 512}, {PROC_LIMITS_COUNT, 0}};
/* For these the kernel starts no threads either. */
static const struct audit_limit_rule taskless_limits[] = {
	{RLIMIT_NOFILE, 512}, {RLIMIT_NPROC, 0}, {PROC_LIMITS_COUNT, 0}};

/* --- descriptors --- */

static const struct audit_fd_rule supervisor_fds[] = {
	{AUDIT_FD_LOG, 2, 2},
	{AUDIT_FD_KVM, 1, 1},
	{AUDIT_FD_EPOLL, 1, 1},
	{AUDIT_FD_EVENTFD, 1, AUDIT_MANY},
	{AUDIT_FD_LISTENER, 1, AUDIT_MANY},
	{AUDIT_FD_NULL, 0, AUDIT_MANY},
	{AUDIT_FD_CONTROL, 0, AUDIT_MANY},
	{AUDIT_FD_STREAM, 0, AUDIT_MANY},
	{AUDIT_FD_CLIENT, 0, AUDIT_MANY},
	{AUDIT_FD_NETLINK, 0, 1},
	{AUDIT_FD_OUTPUT, 0, AUDIT_MANY},
	{AUDIT_FD_PIPE, 0, AUDIT_MANY},
	{AUDIT_FD_TIMER, 0, AUDIT_MANY},
	{AUDIT_FD_SIGNALS, 0, 1},
	{AUDIT_FD_PIDFD, 0, AUDIT_MANY},
	{AUDIT_FD_FILE, 0, AUDIT_MANY},
	{AUDIT_FD_BOOT, 0, AUDIT_MANY},	  /* judge_fds() knows how many */
	{AUDIT_FD_FOLDER, 2, AUDIT_MANY}, /* and one a console that writes a file */
	{AUDIT_FD_LOCK, 1, 1},
	{AUDIT_FD_INPUT, 0, 1},
	{AUDIT_FD_TAP, 0, AUDIT_MANY},
	{AUDIT_FD_PTY, 0, AUDIT_MANY},
	{AUDIT_FD_RAM, 0, 1}, /* judge_files(): not mapped */
	{AUDIT_FD_STATE, 0, AUDIT_MANY},
	{AUDIT_FD_TERMINAL, 0, 6}, /* standard ones, and opened anew to be read and written */
	{AUDIT_FD_OTHER, 0, 0},
};

/* Its wire, and nothing else. */
static const struct audit_fd_rule starter_fds[] = {
	{AUDIT_FD_NULL, 3, 3}, {AUDIT_FD_CONTROL, 1, 1}, {AUDIT_FD_OTHER, 0, 0}};

/* Of every child but that: the control wire, its log, and what its event loop is made of. */
static const struct audit_fd_rule child_fds[] = {
	{AUDIT_FD_NULL, 1, 1},
	{AUDIT_FD_LOG, 2, 2},
	{AUDIT_FD_CONTROL, 1, 1},
	{AUDIT_FD_EPOLL, 1, 1},
	{AUDIT_FD_PIPE, 0, 2},
	{AUDIT_FD_EVENTFD, 1, AUDIT_MANY},
	{AUDIT_FD_SHARED_EVENTFD, 0, AUDIT_MANY},
	{AUDIT_FD_SIGNALS, 0, 1},
	{AUDIT_FD_TIMER, 0, AUDIT_MANY},
	{AUDIT_FD_OTHER, 0, 0},
};

/* Of a device: its wire and the back channel; what the core sends over it is closed once it is mapped. */
static const struct audit_fd_rule wire_fds[] = {
	{AUDIT_FD_WIRE, 1, 2}, {AUDIT_FD_RAM, 0, 8}, {AUDIT_FD_MEMFD, 0, 1}, {AUDIT_FD_OTHER, 0, 0}};

static const struct audit_fd_rule core_fds[] = {
	{AUDIT_FD_KVM, 0, 1},
	{AUDIT_FD_VM, 1, 1},
	{AUDIT_FD_VCPU, 1, AUDIT_MANY},
	{AUDIT_FD_RAM, 1, 1},
	{AUDIT_FD_MEMFD, 0, AUDIT_MANY},
	{AUDIT_FD_WIRE, 0, AUDIT_MANY},
	{AUDIT_FD_OTHER, 0, 0},
};

static const struct audit_fd_rule blk_fds[] = {
	/* The image, and its witnesses until a successor has asked them. */
	{AUDIT_FD_FILE, 1, 1 + DISK_WITNESSES},
	{AUDIT_FD_URING, 0, AUDIT_MANY},
	{AUDIT_FD_OTHER, 0, 0}};

static const struct audit_fd_rule net_fds[] = {{AUDIT_FD_TAP, 1, 1}, {AUDIT_FD_OTHER, 0, 0}};

/* One of the last four, by its output; a listener's clients come and go. A file is changed for another at its bound: there are
 * two for a moment. */
static const struct audit_fd_rule console_fds[] = {{AUDIT_FD_CLIENT, 0, 16},  {AUDIT_FD_STREAM, 0, 1},
						   {AUDIT_FD_LISTENER, 0, 1}, {AUDIT_FD_FILE, 0, 2},
						   {AUDIT_FD_PTY, 0, 1},      {AUDIT_FD_OTHER, 0, 0}};

/* --- the table --- */

/* supervisor_seal_starter(). */
#define STARTER_CAPABILITIES (UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID)

static const struct audit_rule audit_rules[] = {
	{
		.role = "supervisor",
		.threads = {{"main", {"supervisor-sealed.main", "supervisor.main"}, NULL}},
		.restricted = true,
		.fds = {supervisor_fds},
	},
	{
		.role = "starter",
		.threads = {{"main", {"supervisor.main"}, NULL}},
		.capabilities = STARTER_CAPABILITIES,
		.bounding = STARTER_CAPABILITIES,
		.child = true,
		.fds = {starter_fds},
	},
	{
		.role = "core",
		.threads = {{"main", {"core.main", "core.process"}, NULL},
			    {"vcpu", {"core.vcpu", "core.process"}, "anon_inode:kvm-vcpu:"},
			    {"attendant", {"core.attendant", "core.process"}, .alike = true}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		.child = true,
		.fds = {child_fds, core_fds},
		.limits = {jail_limits, core_limits},
	},
	{
		.role = "blk",
		.threads = {{"main", {"blk.main", "blk.process"}, NULL},
			    {"queue-", {"blk.queue", "blk.process"}, NULL}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		.child = true,
		.fds = {child_fds, wire_fds, blk_fds},
		.limits = {jail_limits, blk_limits},
	},
	{
		.role = "net",
		.threads = {{"main", {"net.main"}, NULL}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		.child = true,
		.fds = {child_fds, wire_fds, net_fds},
		.limits = {jail_limits, taskless_limits},
	},
	{
		.role = "console",
		.threads = {{"main", {"console.main"}, NULL}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		.child = true,
		.fds = {child_fds, wire_fds, console_fds},
		.limits = {jail_limits, taskless_limits},
	},
	/* Nothing of the host's. */
	{
		.role = "undertaker",
		.threads = {{"main", {"undertaker.main"}, NULL}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		.child = true,
		.fds = {child_fds, wire_fds},
		.limits = {jail_limits, taskless_limits},
	},
};

const struct audit_rule *audit_rule_find(const char *role)
{
	for (size_t i = 0; i < sizeof(audit_rules) / sizeof(audit_rules[0]); i++)
		if (strcmp(role, audit_rules[i].role) == 0)
			return &audit_rules[i];
	return NULL;
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

const struct audit_thread_rule *audit_rule_of_thread(const struct audit_rule *rule, const char *name,
						     bool first)
{
	if (first)
		return &rule->threads[0];
	for (const struct audit_thread_rule *entry = &rule->threads[1]; entry->name != NULL; entry++)
		if (entry->alike ? strcmp(name, entry->name) == 0
				 : audit_name_number(name, entry->name) != NULL)
			return entry;
	return NULL;
}
