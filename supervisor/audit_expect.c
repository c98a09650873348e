/*
 * What is written, a row a role. Change a row together with what it describes: the filters (policy/), the jail
 * (common/jail.h), or what a program opens.
 */
#include "supervisor/audit_expect.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>

#include "policy/filters.h"

/* jail_fork(): root gives each child a user id of its own. */
#define JAIL_USER_BASE UINT32_C(0x70000000)

#define NAMESPACE_BIT(name) (1u << PROC_NAMESPACE_##name)

#define JAIL_NAMESPACES                                                                             \
	(NAMESPACE_BIT(USER) | NAMESPACE_BIT(MOUNT) | NAMESPACE_BIT(PID) | NAMESPACE_BIT(NETWORK) | \
	 NAMESPACE_BIT(IPC) | NAMESPACE_BIT(UTS) | NAMESPACE_BIT(CGROUP))

/* jail_enter(), "limits". */
#define JAIL_LIMITS(files)                  \
	.limits = {{RLIMIT_CORE, 0},        \
		   {RLIMIT_MSGQUEUE, 0},    \
		   {RLIMIT_RTPRIO, 0},      \
		   {RLIMIT_NICE, 0},        \
		   {RLIMIT_NOFILE, files}}, \
	.limit_count = 5

/* Of every child: the control wire, its log, and what its event loop is made of. */
#define CHILD_FDS                                                                                      \
	{AUDIT_FD_NULL, 1, 1}, {AUDIT_FD_LOG, 2, 2}, {AUDIT_FD_CONTROL, 1, 1}, {AUDIT_FD_EPOLL, 1, 1}, \
		{AUDIT_FD_PIPE, 0, 2}, {AUDIT_FD_EVENTFD, 1, AUDIT_MANY}, {AUDIT_FD_SIGNALS, 0, 1},    \
		{AUDIT_FD_TIMER, 0, AUDIT_MANY},                                                       \
	{                                                                                              \
		AUDIT_FD_SHARED_EVENTFD, 0, AUDIT_MANY                                                 \
	}

/* Of a device on a queue wire: the wire, its back channel, and the guest's memory once a driver is there. */
#define QUEUE_WIRE_FDS                               \
	{AUDIT_FD_WIRE, 1, 2}, {AUDIT_FD_RAM, 0, 8}, \
	{                                            \
		AUDIT_FD_MEMFD, 0, 1                 \
	}

static const struct audit_rule audit_rules[] = {
	{
		.role = "supervisor",
		.threads = {{"main", {"supervisor.main"}, NULL}},
		.capabilities = UINT64_MAX,
		.bounding = UINT64_MAX,
		.fds = {{AUDIT_FD_OTHER, 0, AUDIT_MANY}, /* of who started it */
			{AUDIT_FD_NULL, 0, AUDIT_MANY},
			{AUDIT_FD_LOG, 2, 2},
			{AUDIT_FD_CONTROL, 0, AUDIT_MANY},
			{AUDIT_FD_STREAM, 0, AUDIT_MANY},
			{AUDIT_FD_LISTENER, 1, AUDIT_MANY},
			{AUDIT_FD_CLIENT, 0, AUDIT_MANY},
			{AUDIT_FD_NETLINK, 0, 1},
			{AUDIT_FD_PIPE, 0, AUDIT_MANY},
			{AUDIT_FD_EVENTFD, 1, AUDIT_MANY},
			{AUDIT_FD_EPOLL, 1, 1},
			{AUDIT_FD_TIMER, 0, AUDIT_MANY},
			{AUDIT_FD_SIGNALS, 0, 1},
			{AUDIT_FD_PIDFD, 0, AUDIT_MANY},
			{AUDIT_FD_KVM, 1, 1},
			{AUDIT_FD_FILE, 0, AUDIT_MANY},
			{AUDIT_FD_TAP, 0, AUDIT_MANY},
			{AUDIT_FD_PTY, 0, AUDIT_MANY},
			{AUDIT_FD_TERMINAL, 0, 2}},
	},
	{
		.role = "core",
		.threads = {{"main", {"core.main", "core.process"}, NULL},
			    {"vcpu", {"core.vcpu", "core.process"}, "anon_inode:kvm-vcpu:"}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		.fds = {CHILD_FDS,
			{AUDIT_FD_KVM, 0, 1},
			{AUDIT_FD_VM, 1, 1},
			{AUDIT_FD_VCPU, 1, AUDIT_MANY},
			{AUDIT_FD_RAM, 1, 1},
			{AUDIT_FD_MEMFD, 0, AUDIT_MANY},
			{AUDIT_FD_WIRE, 0, AUDIT_MANY}},
		JAIL_LIMITS(4096),
	},
	{
		.role = "blk",
		.threads = {{"main", {"blk.main", "blk.process"}, NULL},
			    {"queue-", {"blk.queue", "blk.process"}, NULL}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		.fds = {CHILD_FDS, QUEUE_WIRE_FDS, {AUDIT_FD_FILE, 1, 1}, {AUDIT_FD_URING, 0, AUDIT_MANY}},
		JAIL_LIMITS(512),
	},
	{
		.role = "net",
		.threads = {{"main", {"net.main"}, NULL}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		.fds = {CHILD_FDS, QUEUE_WIRE_FDS, {AUDIT_FD_TAP, 1, 1}},
		JAIL_LIMITS(512),
	},
	{
		.role = "console",
		.threads = {{"main", {"console.main"}, NULL}},
		.own_namespaces = JAIL_NAMESPACES,
		.jailed = true,
		/* One of the last four, by its output; a listener's clients come and go. */
		.fds = {CHILD_FDS,
			QUEUE_WIRE_FDS,
			{AUDIT_FD_CLIENT, 0, 16},
			{AUDIT_FD_STREAM, 0, 1},
			{AUDIT_FD_LISTENER, 0, 1},
			{AUDIT_FD_FILE, 0, 1},
			{AUDIT_FD_PTY, 0, 1}},
		JAIL_LIMITS(512),
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
