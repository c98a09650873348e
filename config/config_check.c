/*
 * What the schema cannot say about a config: ranges, names, ids that are used twice, keys that do not go
 * together.
 */
#include "config/config_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/names.h"
#include "common/base/spare_devices.h"
#include "config/config_value.h"

/* One byte of APIC id, less the I/O APIC's and broadcast. KVM may allow fewer; the core says so then. */
#define CPUS_MAX	  254
#define MEMORY_DEFAULT	  (UINT64_C(256) << 20)
#define MEMORY_MIN	  (UINT64_C(2) << 20)
#define MEMORY_MAX	  (UINT64_C(512) << 30)
#define MEMORY_UNIT	  UINT64_C(4096)
#define SERIAL_MAX	  4 /* a PC's COM1 to COM4 */
#define PCI_MAX		  31
#define QUEUES_MAX	  32
#define DISK_ID_MAX	  20 /* virtio 1.2, 5.2.6: VIRTIO_BLK_T_GET_ID is 20 bytes */
#define BACKOFF_DEFAULT	  UINT64_C(50000)
#define BACKOFF_MAX	  UINT64_C(5000000)
#define LIMIT_DEFAULT	  10
#define LIMIT_MAX	  1000
#define FILE_DEFAULT	  (UINT64_C(64) << 20)
#define FILE_MIN	  (UINT64_C(64) << 10)
#define FILE_MAX	  (UINT64_C(1) << 60)
#define HEARTBEAT_DEFAULT UINT64_C(10000000)
#define HEARTBEAT_MIN	  UINT64_C(100000)
#define HEARTBEAT_MAX	  UINT64_C(3600000000)

/*
 * The kernel kills what cannot be held below a limit of memory. What follows is taken by a process that does no more
 * than it is for, so that no guest can bring one to its end.
 */
#define LIMIT_MEMORY_PROCESS (UINT64_C(16) << 20)
#define LIMIT_MEMORY_VM	     (UINT64_C(64) << 20)
#define LIMIT_MEMORY_TABLES  256 /* the guest's memory by this: page tables for it, the processor's and ours */
#define LIMIT_CPU_MIN	     5
#define LIMIT_CPU_MAX	     25600
#define LIMIT_PIDS_PROCESS   4	     /* beside the threads that are counted by the config */
#define LIMIT_PIDS_MAX	     4194304 /* what the kernel has numbers for */
#define LIMIT_IO_MIN	     UINT64_C(4096)
#define LIMIT_IOPS_MAX	     1000000000

struct check {
	const struct config_file *file;
	struct config *config;
	struct problems *problems;
};

/* Adds `problem` about the key, quoting its value, if there is one. */
static void check_value(struct check *check, const char *path, const char *value, const char *problem)
{
	if (problem != NULL)
		problem_add(check->problems, config_file_line(check->file, "%s", path), path, "\"%.64s\" %s",
			    value, problem);
}

static void check_range(struct check *check, const char *path, unsigned *value, unsigned otherwise,
			unsigned min, unsigned max)
{
	if (!config_lines_have(&check->file->lines, path))
		*value = otherwise;
	else if (*value < min || *value > max)
		problem_add(check->problems, config_file_line(check->file, "%s", path), path,
			    "%u is out of range; write %u to %u", *value, min, max);
}

static void check_memory(struct check *check)
{
	struct config *config = check->config;
	const char *problem = NULL;
	uint64_t bytes = 0;

	/* Also when the value is wrong: that is enough said about memory then. */
	config->memory_bytes = MEMORY_DEFAULT;
	if (config->memory == NULL)
		return;
	problem = value_parse_size(config->memory, &bytes);
	if (problem == NULL && bytes < MEMORY_MIN)
		problem = "is too little memory for any guest; write 2MiB or more, a Linux needs some 128MiB";
	else if (problem == NULL && bytes > MEMORY_MAX)
		problem = "is more than a guest can have; write 512GiB or less";
	else if (problem == NULL && bytes % MEMORY_UNIT != 0)
		problem = "is not a whole number of pages; write a multiple of 4KiB";
	if (problem == NULL)
		config->memory_bytes = bytes;
	check_value(check, "memory", config->memory, problem);
}

/* A key that is not there has the value of `otherwise`: the VM's for a device. */
static void check_restart(struct check *check, const char *owner, struct config_restart *restart,
			  const struct config_restart *otherwise)
{
	char path[64];
	const char *problem;

	if (restart == NULL)
		return;
	snprintf(path, sizeof(path), "%srestart.policy", owner);
	if (!config_lines_have(&check->file->lines, path))
		restart->policy = otherwise->policy;
	restart->backoff_us = otherwise->backoff_us;
	snprintf(path, sizeof(path), "%srestart.backoff", owner);
	if (restart->backoff != NULL) {
		problem = value_parse_time(restart->backoff, &restart->backoff_us);
		if (problem == NULL && (restart->backoff_us == 0 || restart->backoff_us > BACKOFF_MAX))
			problem = "is out of range; write 1ms to 5s";
		check_value(check, path, restart->backoff, problem);
	}
	snprintf(path, sizeof(path), "%srestart.limit", owner);
	check_range(check, path, &restart->limit, otherwise->limit, 1, LIMIT_MAX);
}

/* --- limits --- */

static void check_limit_memory(struct check *check, const char *owner, struct config_limits *limits,
			       uint64_t least)
{
	const char *problem;
	char path[80];

	if (limits->memory == NULL)
		return;
	snprintf(path, sizeof(path), "%slimits.memory", owner);
	problem = value_parse_size(limits->memory, &limits->memory_bytes);
	check_value(check, path, limits->memory, problem);
	if (problem == NULL && limits->memory_bytes < least)
		problem_add(check->problems, config_file_line(check->file, "%s", path), path,
			    "\"%.64s\" is less than what is used without a fault, the guest's memory among "
			    "it; write "
			    "%" PRIu64 "MiB or more",
			    limits->memory, (least + (1 << 20) - 1) >> 20);
}

static void check_limit_cpu(struct check *check, const char *owner, struct config_limits *limits)
{
	const char *problem;
	char path[80];

	if (limits->cpu == NULL)
		return;
	snprintf(path, sizeof(path), "%slimits.cpu", owner);
	problem = value_parse_percent(limits->cpu, &limits->cpu_percent);
	if (problem == NULL && (limits->cpu_percent < LIMIT_CPU_MIN || limits->cpu_percent > LIMIT_CPU_MAX))
		problem = "is out of range; write 5% to 25600%";
	check_value(check, path, limits->cpu, problem);
}

static void check_limit_bps(struct check *check, const char *owner, const char *key, const char *text,
			    uint64_t *bytes)
{
	const char *problem;
	char path[96];

	if (text == NULL)
		return;
	snprintf(path, sizeof(path), "%slimits.io.%s", owner, key);
	problem = value_parse_size(text, bytes);
	if (problem == NULL && *bytes < LIMIT_IO_MIN)
		problem = "is less than a page a second; write 4KiB or more";
	check_value(check, path, text, problem);
}

static void check_limit_iops(struct check *check, const char *owner, const char *key, unsigned *value)
{
	char path[96];

	snprintf(path, sizeof(path), "%slimits.io.%s", owner, key);
	check_range(check, path, value, 0, 1, LIMIT_IOPS_MAX);
}

/* least_memory in bytes; least_pids: threads. */
static void check_limits(struct check *check, const char *owner, struct config_limits *limits,
			 uint64_t least_memory, unsigned least_pids)
{
	char path[80];

	snprintf(path, sizeof(path), "%slimits", owner);
	check->config->limited |= config_lines_have(&check->file->lines, path);
	if (limits == NULL)
		return;
	check_limit_memory(check, owner, limits, least_memory);
	check_limit_cpu(check, owner, limits);
	snprintf(path, sizeof(path), "%slimits.pids", owner);
	check_range(check, path, &limits->pids, 0, least_pids, LIMIT_PIDS_MAX);
	if (limits->io == NULL)
		return;
	check_limit_bps(check, owner, "read-bps", limits->io->read_bps, &limits->io->read_bytes);
	check_limit_bps(check, owner, "write-bps", limits->io->write_bps, &limits->io->write_bytes);
	check_limit_iops(check, owner, "read-iops", &limits->io->read_iops);
	check_limit_iops(check, owner, "write-iops", &limits->io->write_iops);
}

/* The least limit of a process that maps the guest's memory: each page counts for the process that touches it first. */
static uint64_t least_memory(const struct config *config)
{
	return config->memory_bytes + config->memory_bytes / LIMIT_MEMORY_TABLES + LIMIT_MEMORY_PROCESS;
}

/* What the devices' processes have, and the core for each of them. */
static void check_vm_limits(struct check *check)
{
	struct config *config = check->config;
	unsigned devices = config_device_count(config);
	unsigned core = config->cpus + devices + SPARE_DEVICES + LIMIT_PIDS_PROCESS,
		 all = core + devices * LIMIT_PIDS_PROCESS;

	for (unsigned i = 0; i < config->disks_count; i++)
		all += config->disks[i].queues;
	check_limits(check, "", config->limits,
		     least_memory(config) + LIMIT_MEMORY_VM + devices * (LIMIT_MEMORY_PROCESS / 2), all);
	if (config->core != NULL)
		check_limits(check, "core.", config->core->limits, least_memory(config), core);
	if (config->limits != NULL && config->limits->io != NULL && config->disks_count == 0)
		problem_add(
			check->problems, config_file_line(check->file, "limits.io"), "limits.io",
			"is for the devices that hold the disks' images, and there is no disk; remove it");
}

static void check_restart_default(struct check *check)
{
	static const struct config_restart otherwise = {
		.policy = CONFIG_RESTART_ALWAYS, .limit = LIMIT_DEFAULT, .backoff_us = BACKOFF_DEFAULT};
	struct config *config = check->config;

	check_restart(check, "", config->restart, &otherwise);
	config->restart_default = config->restart != NULL ? *config->restart : otherwise;
	/* The text is the other's. */
	config->restart_default.backoff = NULL;
}

static void check_heartbeat(struct check *check)
{
	struct config *config = check->config;
	const char *problem;

	config->heartbeat_us = HEARTBEAT_DEFAULT;
	if (config->heartbeat == NULL)
		return;
	problem = value_parse_time(config->heartbeat, &config->heartbeat_us);
	if (problem == NULL && (config->heartbeat_us < HEARTBEAT_MIN || config->heartbeat_us > HEARTBEAT_MAX))
		problem = "is out of range; write 100ms to 3600s";
	check_value(check, "heartbeat", config->heartbeat, problem);
}

static void check_id_taken(struct check *check, const struct config_entry *entry,
			   const struct config_entry *other)
{
	const char *id = entry->device->id;
	char path[64], other_path[64];
	unsigned line, other_line;

	snprintf(path, sizeof(path), "%s.id", entry->key);
	line = config_file_line(check->file, "%s", path);
	snprintf(other_path, sizeof(other_path), "%s.id", other->key);
	other_line = config_file_line(check->file, "%s", other_path);
	if (entry->role >= CHILD_ROLE_SIMPLE)
		problem_add(check->problems, other_line, other_path,
			    "the id \"%s\" is that of a device which each VM has; choose another, or write "
			    "%s: false",
			    id, id);
	/* The complaint belongs to the one that stands further down. */
	else if (other_line > line)
		problem_add(check->problems, other_line, other_path,
			    "the id \"%s\" is taken, on line %u; give each device an id of its own", id,
			    line);
	else
		problem_add(check->problems, line, path,
			    "the id \"%s\" is taken, on line %u; give each device an id of its own", id,
			    other_line);
}

/* Commands name a device by its id alone, so it is unique over all kinds. */
static void check_ids(struct check *check)
{
	struct config_entry entry = {0};
	char path[64];

	while (config_next_device(check->config, &entry)) {
		struct config_entry other = {0};

		snprintf(path, sizeof(path), "%s.id", entry.key);
		check_value(check, path, entry.device->id, name_check_device(entry.device->id));
		while (config_next_device(check->config, &other) && other.count < entry.count)
			if (strcmp(entry.device->id, other.device->id) == 0) {
				check_id_taken(check, &entry, &other);
				break;
			}
	}
}

/* What it does not say it has from the VM. */
static void check_device(struct check *check, const char *owner, struct config_device *device)
{
	char path[80];

	check_restart(check, owner, device->restart, &check->config->restart_default);
	snprintf(path, sizeof(path), "%son-violation", owner);
	if (!config_lines_have(&check->file->lines, path))
		device->on_violation = check->config->on_violation;
}

/* Those are there that the config does not leave out. */
static void check_simples(struct check *check)
{
	for (unsigned role = CHILD_ROLE_SIMPLE; role < role_count(); role++) {
		struct config_simple *simple = config_simple_of(check->config, role);
		const char *key = role_of(role)->name;

		if (!config_lines_have(&check->file->lines, key))
			simple->on = true;
		simple->device.id = (char *)key;
		simple->device.on_violation = check->config->on_violation;
	}
}

static void check_console_path(struct check *check, unsigned index)
{
	const struct config_console *console = &check->config->consoles[index];
	char path[64];

	snprintf(path, sizeof(path), "consoles[%u].path", index);
	if (console->output == CONFIG_OUTPUT_FILE && console->path == NULL)
		problem_add(check->problems, config_file_line(check->file, "%s", path), path,
			    "output: file needs a file; add path: FILE");
	else if (console->path != NULL && console->output != CONFIG_OUTPUT_FILE &&
		 console->output != CONFIG_OUTPUT_SOCKET)
		problem_add(check->problems, config_file_line(check->file, "%s", path), path,
			    "goes with output: file or socket only; remove it, or choose one of these");
}

/* 0, as of journald and logrotate, is the word for no bound there as here. */
static void check_console_size(struct check *check, unsigned index)
{
	struct config_console *console = &check->config->consoles[index];
	const char *problem = NULL;
	char path[64];

	snprintf(path, sizeof(path), "consoles[%u].max-size", index);
	if (console->max_size == NULL) {
		console->max_bytes = console->output == CONFIG_OUTPUT_FILE ? FILE_DEFAULT : 0;
		return;
	}
	if (console->output != CONFIG_OUTPUT_FILE) {
		problem_add(check->problems, config_file_line(check->file, "%s", path), path,
			    "goes with output: file only; remove it, or choose that");
		return;
	}
	if (strcmp(console->max_size, "0") == 0 || strcmp(console->max_size, "unlimited") == 0)
		return;
	problem = value_parse_size(console->max_size, &console->max_bytes);
	if (problem == NULL && (console->max_bytes < FILE_MIN || console->max_bytes > FILE_MAX))
		problem = "is out of range; write 64KiB or more, or unlimited";
	check_value(check, path, console->max_size, problem);
}

static void check_consoles(struct check *check, bool detached)
{
	struct config *config = check->config;
	unsigned serials = 0, on_stdio = 0;

	for (unsigned i = 0; i < config->consoles_count; i++) {
		struct config_console *console = &config->consoles[i];
		unsigned line = config_file_line(check->file, "consoles[%u].output", i);
		char path[64];

		snprintf(path, sizeof(path), "consoles[%u].", i);
		check_device(check, path, &console->device);
		check_limits(check, path, console->device.limits,
			     console->type == CONFIG_CONSOLE_VIRTIO ? least_memory(config)
								    : LIMIT_MEMORY_PROCESS,
			     LIMIT_PIDS_PROCESS);
		check_console_path(check, i);
		check_console_size(check, i);
		snprintf(path, sizeof(path), "consoles[%u].output", i);
		if (console->output == CONFIG_OUTPUT_STDIO && on_stdio++ == 1)
			problem_add(check->problems, line, path,
				    "a second console on stdio; write output: pty for one of them");
		if (console->output == CONFIG_OUTPUT_STDIO && detached)
			problem_add(check->problems, line, path,
				    "stdio is not there with --detach; write output: pty");
		snprintf(path, sizeof(path), "consoles[%u].type", i);
		if (console->type == CONFIG_CONSOLE_SERIAL && serials++ == SERIAL_MAX)
			problem_add(check->problems, config_file_line(check->file, "%s", path), path,
				    "more than %d serial consoles; write type: virtio", SERIAL_MAX);
	}
}

static void check_disks(struct check *check)
{
	for (unsigned i = 0; i < check->config->disks_count; i++) {
		struct config_disk *disk = &check->config->disks[i];
		char path[64];

		snprintf(path, sizeof(path), "disks[%u].", i);
		check_device(check, path, &disk->device);
		snprintf(path, sizeof(path), "disks[%u].queues", i);
		check_range(check, path, &disk->queues, 1, 1, QUEUES_MAX);
		snprintf(path, sizeof(path), "disks[%u].", i);
		check_limits(check, path, disk->device.limits, least_memory(check->config),
			     disk->queues + LIMIT_PIDS_PROCESS);
		snprintf(path, sizeof(path), "disks[%u].id", i);
		if (strlen(disk->device.id) > DISK_ID_MAX)
			check_value(check, path, disk->device.id,
				    "is too long for a disk; the guest sees 20 characters at most");
	}
}

static void check_networks(struct check *check)
{
	struct config *config = check->config;

	for (unsigned i = 0; i < config->networks_count; i++) {
		struct config_network *network = &config->networks[i];
		char path[64];

		snprintf(path, sizeof(path), "networks[%u].", i);
		check_device(check, path, &network->device);
		check_limits(check, path, network->device.limits, least_memory(config), LIMIT_PIDS_PROCESS);
		snprintf(path, sizeof(path), "networks[%u].tap", i);
		check_value(check, path, network->tap, value_check_interface(network->tap));
		for (unsigned j = 0; j < i; j++) {
			if (strcmp(network->tap, config->networks[j].tap) == 0)
				check_value(
					check, path, network->tap,
					"is the tap of another network above; give each a tap of its own");
		}
		snprintf(path, sizeof(path), "networks[%u].mac", i);
		value_derive_mac(config->name, network->device.id, network->mac_bytes);
		if (network->mac != NULL)
			check_value(check, path, network->mac,
				    value_parse_mac(network->mac, network->mac_bytes));
	}
}

static void check_pci(struct check *check)
{
	const struct config *config = check->config;
	unsigned functions = config_device_count(config);

	for (unsigned i = 0; i < config->consoles_count; i++)
		functions -= config->consoles[i].type == CONFIG_CONSOLE_SERIAL;
	if (functions > PCI_MAX)
		problem_add(check->problems, config_file_line(check->file, "disks"), "disks",
			    "%u devices are to be on the PCI bus, which has room for %d of them", functions,
			    PCI_MAX);
}

/* Without the key there is one serial console, which is there already if this is checked again. */
static void config_add_default_console(struct check *check, bool detached)
{
	struct config *config = check->config;

	if (config_lines_have(&check->file->lines, "consoles") || config->consoles_count > 0)
		return;
	config->consoles = calloc(1, sizeof(*config->consoles));
	if (config->consoles != NULL)
		config->consoles[0].device.id = strdup("serial");
	if (config->consoles == NULL || config->consoles[0].device.id == NULL) {
		free(config->consoles);
		config->consoles = NULL;
		problem_add(check->problems, 1, "consoles", "out of memory; free some, and try again");
		return;
	}
	config->consoles[0].output = detached ? CONFIG_OUTPUT_PTY : CONFIG_OUTPUT_STDIO;
	config->consoles_count = 1;
}

/* The end of a block of YAML's, "cmdline: >", is no part of the line. */
static void check_cmdline(struct check *check)
{
	char *cmdline = check->config->boot.cmdline;

	for (size_t length = cmdline != NULL ? strlen(cmdline) : 0; length > 0 && cmdline[length - 1] == '\n';
	     length--)
		cmdline[length - 1] = '\0';
}

void config_check(struct config_file *file, bool detached, struct problems *problems)
{
	struct check check = {file, file->config, problems};

	check_cmdline(&check);
	check_value(&check, "name", file->config->name, name_check_vm(file->config->name));
	check_range(&check, "cpus", &file->config->cpus, 1, 1, CPUS_MAX);
	check_memory(&check);
	check_restart_default(&check);
	check_heartbeat(&check);
	config_add_default_console(&check, detached);
	check_simples(&check);
	check_ids(&check);
	check_consoles(&check, detached);
	check_disks(&check);
	check_networks(&check);
	check_vm_limits(&check);
	check_pci(&check);
}
