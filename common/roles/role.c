/*
 * The table of roles; see role.h, and device_type.h for what of a row is the virtio device's.
 *
 * Source: virtio 1.2, 5 (types, queues, configuration); PCI Code and ID Assignment 1.11 (classes).
 */
#include "common/roles/role.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/host/disk_image.h"
#include "common/spec/virtio_spec.h"

/* Descriptors of a device's process: each of its queues has two, and a few are the program's. */
#define DEVICE_DESCRIPTORS 512

static const struct role roles[] = {
	[CHILD_ROLE_CORE] =
		{
			.name = "core",
			.program = "atoll-core",
			.has_tasks = true,
			.descriptors = 4096,
			.threads = {{"main", {"core.main", "core.process"}, NULL, false},
				    {"vcpu", {"core.vcpu", "core.process"}, "anon_inode:kvm-vcpu:", false},
				    {"attendant", {"core.attendant", "core.process"}, NULL, true}},
			.fds = {{FD_KIND_KVM, 0, 1},
				{FD_KIND_VM, 1, 1},
				{FD_KIND_VCPU, 1, ROLE_FD_MANY},
				{FD_KIND_RAM, 1, 1},
				{FD_KIND_MEMFD, 0, ROLE_FD_MANY},
				{FD_KIND_WIRE, 0, ROLE_FD_MANY}},
		},
	[CHILD_ROLE_BLK] =
		{
			.name = "blk",
			.program = "atoll-blk",
			.config_list = "disks",
			.type =
				{
					.name = "blk",
					.virtio_id = VIRTIO_ID_BLOCK,
					.pci_class = 0x010000,
					.config_size = 60,
					.queues_min = 1,
					.tracks_inflight = true,
					.rite_count = 1,
					.rites = {DEVICE_RITE_REFUSE_LAST},
				},
			.has_state = true,
			.has_tasks = true,
			.descriptors = DEVICE_DESCRIPTORS,
			.threads = {{"main", {"blk.main", "blk.process"}, NULL, false},
				    {"queue-", {"blk.queue", "blk.process"}, NULL, false}},
			/* The image, and its witnesses until a successor has asked them. */
			.fds = {{FD_KIND_FILE, 1, 1 + DISK_WITNESSES}, {FD_KIND_URING, 0, ROLE_FD_MANY}},
		},
	[CHILD_ROLE_NET] =
		{
			.name = "net",
			.program = "atoll-net",
			.config_list = "networks",
			.type =
				{
					.name = "net",
					.virtio_id = VIRTIO_ID_NET,
					.pci_class = 0x020000,
					.config_size = 24,
					.queues_min = 2,
					.queues = 3,
					.queue_pairs = true,
					/* receiveq1, transmitq1, controlq. */
					.rite_count = 3,
					.rites = {DEVICE_RITE_LEAVE, DEVICE_RITE_DROP,
						  DEVICE_RITE_REFUSE_FIRST},
				},
			.has_state = true,
			.descriptors = DEVICE_DESCRIPTORS,
			.threads = {{"main", {"net.main"}, NULL, false}},
			.fds = {{FD_KIND_TAP, 1, 1}},
		},
	[CHILD_ROLE_CONSOLE] =
		{
			.name = "console",
			.program = "atoll-console",
			.config_list = "consoles",
			/* Or a 16550A, behind the register wire. */
			.type =
				{
					.name = "console",
					.virtio_id = VIRTIO_ID_CONSOLE,
					.pci_class = 0x078000,
					.config_size = 12,
					.queues_min = 2,
					.queues = 4,
					.config_acts = true,
					/* 5.3.2: receiveq(port0), transmitq(port0), and the same of control
					 * messages. */
					.rite_count = 2,
					.rites = {DEVICE_RITE_LEAVE, DEVICE_RITE_DROP},
				},
			.has_state = true,
			.descriptors = DEVICE_DESCRIPTORS,
			.threads = {{"main", {"console.main"}, NULL, false}},
			/* One of the last four, by its output; a listener's clients come and go. A file is changed
			 * for another at its bound: there are two for a moment. */
			.fds = {{FD_KIND_CLIENT, 0, 16},
				{FD_KIND_STREAM, 0, 1},
				{FD_KIND_LISTENER, 0, 1},
				{FD_KIND_FILE, 0, 2},
				{FD_KIND_PTY, 0, 1}},
		},
	/* In the place of any failed virtio device; it has nothing of the host's. */
	[CHILD_ROLE_UNDERTAKER] =
		{
			.name = "undertaker",
			.program = "atoll-undertaker",
			.descriptors = DEVICE_DESCRIPTORS,
			.threads = {{"main", {"undertaker.main"}, NULL, false}},
		},
	[CHILD_ROLE_SIMPLE] =
		{
			.name = "rng",
			.program = "atoll-rng",
			.type =
				{
					.name = "rng",
					.virtio_id = VIRTIO_ID_ENTROPY,
					.pci_class = 0xff0000, /* none that is defined */
					.queues_min = 1,
					.queues = 1,
					/* Who asks for random bytes waits for them. */
					.rite_count = 1,
					.rites = {DEVICE_RITE_LEAVE},
				},
			.descriptors = DEVICE_DESCRIPTORS,
			.threads = {{"main", {"rng.main"}, NULL, false}},
		},
};

#define ROLES (sizeof(roles) / sizeof(roles[0]))

_Static_assert(ROLES <= CHILD_ROLES_MAX, "CHILD_ROLE_SIMPLES_MAX is too small");

const struct role *role_of(enum child_role role)
{
	assert(role < ROLES);
	return &roles[role];
}

const struct role *role_named(const char *name)
{
	for (size_t i = 0; i < ROLES; i++)
		if (strcmp(roles[i].name, name) == 0)
			return &roles[i];
	return NULL;
}

unsigned role_count(void)
{
	return ROLES;
}

enum child_role role_place(const struct role *role)
{
	return (enum child_role)(role - roles);
}

const char *child_role_name(enum child_role role)
{
	return role_of(role)->name;
}

const char *child_role_program(enum child_role role)
{
	return role_of(role)->program;
}

/* --- device_type.h --- */

const struct device_type *device_type_of(uint32_t virtio_id)
{
	for (size_t i = 0; i < ROLES && virtio_id != 0; i++)
		if (roles[i].type.virtio_id == virtio_id)
			return &roles[i].type;
	return NULL;
}

const struct device_type *device_type_named(const char *name)
{
	const struct role *role = role_named(name);

	return role != NULL && role->type.virtio_id != 0 ? &role->type : NULL;
}

const char *device_type_names(char *text, size_t size)
{
	size_t used = 0, left = 0;

	for (size_t i = 0; i < ROLES; i++)
		left += roles[i].type.virtio_id != 0;
	text[0] = '\0';
	for (size_t i = 0; i < ROLES && used < size; i++) {
		if (roles[i].type.virtio_id == 0)
			continue;
		left--;
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 used == 0   ? ""
					 : left == 0 ? " or "
						     : ", ",
					 roles[i].type.name);
	}
	return text;
}
