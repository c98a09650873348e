/*
 * The config file of a VM: what it says, checked. See docs/man/atoll.yaml.5.
 *
 * A struct config is what libcyaml fills by the schema in config_schema.c, plus what is worked out from it.
 * Nothing here touches the host; resources.c opens what a config names.
 */
#ifndef ATOLL_CONFIG_CONFIG_H
#define ATOLL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/roles/role.h"
#include "config/config_lines.h"

/* The first of each enum is the default. */
enum config_console_type {
	CONFIG_CONSOLE_SERIAL,
	CONFIG_CONSOLE_VIRTIO,
};

enum config_console_output {
	CONFIG_OUTPUT_STDIO,
	CONFIG_OUTPUT_PTY,
	CONFIG_OUTPUT_FILE,
	CONFIG_OUTPUT_SOCKET,
	CONFIG_OUTPUT_NULL,
};

enum config_on_reset {
	CONFIG_ON_RESET_RESTART,
	CONFIG_ON_RESET_EXIT,
};

enum config_on_panic {
	CONFIG_ON_PANIC_EXIT,
	CONFIG_ON_PANIC_RESTART,
	CONFIG_ON_PANIC_HOLD,
};

enum config_on_violation {
	CONFIG_ON_VIOLATION_FAIL,
	CONFIG_ON_VIOLATION_RESTART,
	CONFIG_ON_VIOLATION_HOLD,
};

enum config_restart_policy {
	CONFIG_RESTART_ALWAYS,
	CONFIG_RESTART_NEVER,
};

enum config_disk_format {
	CONFIG_FORMAT_AUTO, /* raw, if it does not look like something else */
	CONFIG_FORMAT_RAW,
};

struct config_restart {
	enum config_restart_policy policy;
	char *backoff;
	unsigned limit;
	uint64_t backoff_us;
};

/* Of the block device that holds an image. 0: no limit. */
struct config_io {
	char *read_bps, *write_bps;
	unsigned read_iops, write_iops;	  /* operations a second */
	uint64_t read_bytes, write_bytes; /* a second */
};

/* What the kernel holds a process to, or all of the VM's, in a cgroup (cgroup.h). 0 or NULL: no limit. */
struct config_limits {
	char *memory;
	char *cpu;
	unsigned pids;
	struct config_io *io;
	uint64_t memory_bytes;
	unsigned cpu_percent; /* of one processor */
};

struct config_core {
	struct config_limits *limits;
};

/* What each device has, of whatever kind; the first member of each. */
struct config_device {
	char *id;
	struct config_restart *restart;
	struct config_limits *limits;
	enum config_on_violation on_violation;
};

struct config_console {
	struct config_device device;
	enum config_console_type type;
	enum config_console_output output;
	char *path; /* file: the file; socket: where it listens instead of the runtime folder; else NULL */
	char *max_size;
	uint64_t max_bytes; /* that the file may have; 0: as many as come */
};

struct config_disk {
	struct config_device device;
	char *path;
	enum config_disk_format format;
	bool readonly;
	unsigned queues;
};

struct config_network {
	struct config_device device;
	char *tap;
	char *mac;
	uint8_t mac_bytes[6];
};

/* A device that has nothing to be chosen but whether it is there. */
struct config_simple {
	bool on;
	struct config_device
		device; /* its id is the key, the table's; of the rest it has what holds for the VM */
};

struct config_boot {
	char *kernel;
	char *initrd; /* NULL: none */
	char *cmdline;
};

struct config {
	char *name;
	unsigned cpus;
	char *memory;
	struct config_boot boot;
	struct config_console *consoles;
	unsigned consoles_count;
	struct config_disk *disks;
	unsigned disks_count;
	struct config_network *networks;
	unsigned networks_count;
	/* Of the roles from CHILD_ROLE_SIMPLE on; "rng: false" has none. */
	struct config_simple simples[CHILD_ROLE_SIMPLES_MAX];
	struct config_restart *restart;
	struct config_limits *limits;
	struct config_core *core;
	char *heartbeat;
	enum config_on_reset on_reset;
	enum config_on_panic on_panic;
	enum config_on_violation on_violation; /* of a device that does not say */
	bool debug_exit;

	uint64_t memory_bytes;
	uint64_t heartbeat_us;
	bool limited; /* limits are asked for, be they empty: it has cgroups */
	/* What holds for a device without a `restart` of its own. */
	struct config_restart restart_default;
};

/* One of a config's devices; all zeros before the first one. */
struct config_entry {
	enum child_role role;
	unsigned index; /* of its kind */
	char key[32];	/* "disks[0]" */
	const struct config_device *device;
	unsigned count; /* of entries so far, with this one */
};

struct config_file {
	const char *path;	   /* as the operator wrote it */
	struct config *config;	   /* NULL when the text is so wrong that there is none */
	struct config_lines lines; /* needed while problems are looked for */
};

/*
 * Goes on to the next device, in the order of the guest's PCI bus: disks, networks, consoles, and what is there without a list.
 * False: there is none.
 */
bool config_next_device(const struct config *config, struct config_entry *entry);
unsigned config_device_count(const struct config *config);
/* Of the role; NULL: it is not one of the simple ones. */
struct config_simple *config_simple_of(struct config *config, enum child_role role);

/* The line of a key, "disks[0].path" from a printf format; of its nearest parent when the file does not have
 * it. */
unsigned config_file_line(const struct config_file *file, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A path as the file means it: relative ones start at the file's folder. The caller frees it; NULL: no
 * memory. */
char *config_file_path(const struct config_file *file, const char *path);

#endif
