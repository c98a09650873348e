/*
 * Landlock, as the jail uses it: handle every right that this kernel knows, allow none. What is open stays
 * usable; nothing is opened any more, connected to or signalled, whatever a filter may let through. The supervisor
 * wears the same but for some paths, and for signals.
 *
 * The structures and rights are written out here: headers older than the kernel know fewer of them.
 *
 * Source: Linux, Documentation/userspace-api/landlock.rst.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/jail/jail.h"

#define LANDLOCK_CREATE_RULESET_VERSION_FLAG 1u
#define LANDLOCK_RULE_PATH		     1
/* ABI 6, of the scopes. */
#define LANDLOCK_SCOPE_SIGNALS (UINT64_C(1) << 1)
/* Those that a rule for a file may have: EXECUTE, WRITE_FILE, READ_FILE, TRUNCATE, IOCTL_DEV. */
#define LANDLOCK_FILE_RIGHTS UINT64_C(0xc007)

struct landlock_path {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct landlock_ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* ABI 4 */
	uint64_t scoped;	     /* ABI 6 */
};

/* The rights of each ABI: the lowest so many bits. */
struct landlock_abi {
	unsigned fs_rights, net_rights, scopes;
	size_t size; /* of the structure that it knows */
};

static const struct landlock_abi landlock_abis[] = {
	{13, 0, 0, 8},	/* 1: Linux 5.13 */
	{14, 0, 0, 8},	/* 2: 5.19, REFER */
	{15, 0, 0, 8},	/* 3: 6.2, TRUNCATE */
	{15, 2, 0, 16}, /* 4: 6.7, TCP */
	{16, 2, 0, 16}, /* 5: 6.10, IOCTL_DEV */
	{16, 2, 2, 24}, /* 6: 6.12, abstract sockets, signals */
};

static uint64_t rights(unsigned count)
{
	return (UINT64_C(1) << count) - 1;
}

int jail_landlock_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION_FLAG);

	/* Not built in, or not switched on. */
	return version > 0 ? (int)version : 0;
}

/* What has no place in a tree of files, as a pipe, is reached by no path. */
static int landlock_allow(int ruleset_fd, const struct jail_path *path, uint64_t handled)
{
	struct landlock_path rule = {.allowed_access = path->rights & handled, .parent_fd = path->fd};
	struct stat status;

	if (fstat(path->fd, &status) < 0)
		return -errno;
	if (!S_ISDIR(status.st_mode))
		rule.allowed_access &= LANDLOCK_FILE_RIGHTS;
	if (rule.allowed_access == 0)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH, &rule, 0) < 0 && errno != EBADFD)
		return -errno;
	return 0;
}

static int landlock_restrict(const struct jail_path *paths, size_t count, uint64_t scopes)
{
	struct landlock_ruleset ruleset;
	const struct landlock_abi *abi;
	size_t known = sizeof(landlock_abis) / sizeof(landlock_abis[0]);
	size_t version = (size_t)jail_landlock_version();
	int fd, result = 0;

	if (version == 0)
		return 0;
	abi = &landlock_abis[version <= known ? version - 1 : known - 1];
	ruleset = (struct landlock_ruleset){rights(abi->fs_rights), rights(abi->net_rights),
					    rights(abi->scopes) & scopes};
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, abi->size, 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < count && result == 0; i++)
		result = landlock_allow(fd, &paths[i], ruleset.handled_access_fs);
	if (result == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		result = -errno;
	close(fd);
	return result;
}

int jail_restrict_landlock(void)
{
	return landlock_restrict(NULL, 0, UINT64_MAX);
}

int jail_restrict_landlock_to(const struct jail_path *paths, size_t count)
{
	return landlock_restrict(paths, count, ~LANDLOCK_SCOPE_SIGNALS);
}
