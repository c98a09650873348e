/*
 * Landlock, as the jail uses it: handle every right that this kernel knows, allow none. What is open stays
 * usable; nothing is opened any more, connected to or signalled, whatever a filter may let through.
 *
 * The structures and rights are written out here: headers older than the kernel know fewer of them.
 *
 * Source: Linux, Documentation/userspace-api/landlock.rst.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/jail/jail.h"

#define LANDLOCK_CREATE_RULESET_VERSION_FLAG 1u

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

int jail_restrict_landlock(void)
{
	struct landlock_ruleset ruleset;
	const struct landlock_abi *abi;
	size_t known = sizeof(landlock_abis) / sizeof(landlock_abis[0]);
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION_FLAG);
	int fd, result = 0;

	/* Not built in, or not switched on. */
	if (version <= 0)
		return 0;
	abi = &landlock_abis[(size_t)version <= known ? (size_t)version - 1 : known - 1];
	ruleset = (struct landlock_ruleset){rights(abi->fs_rights), rights(abi->net_rights),
					    rights(abi->scopes)};
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, abi->size, 0);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		result = -errno;
	close(fd);
	return result;
}
