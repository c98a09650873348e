/*
 * The keys of the config file, their types and where their values go. What a key means is in atoll.yaml(5);
 * what values are allowed beyond the type is in config_check.c.
 */
#include "config/config_schema.h"

#include <string.h>

#include "config/config.h"

static const cyaml_strval_t console_types[] = {{"serial", CONFIG_CONSOLE_SERIAL},
					       {"virtio", CONFIG_CONSOLE_VIRTIO}};
static const cyaml_strval_t console_outputs[] = {{"stdio", CONFIG_OUTPUT_STDIO},
						 {"pty", CONFIG_OUTPUT_PTY},
						 {"file", CONFIG_OUTPUT_FILE},
						 {"socket", CONFIG_OUTPUT_SOCKET},
						 {"null", CONFIG_OUTPUT_NULL}};
static const cyaml_strval_t disk_formats[] = {{"auto", CONFIG_FORMAT_AUTO}, {"raw", CONFIG_FORMAT_RAW}};
static const cyaml_strval_t on_resets[] = {{"restart", CONFIG_ON_RESET_RESTART},
					   {"exit", CONFIG_ON_RESET_EXIT}};
static const cyaml_strval_t on_panics[] = {
	{"exit", CONFIG_ON_PANIC_EXIT}, {"restart", CONFIG_ON_PANIC_RESTART}, {"hold", CONFIG_ON_PANIC_HOLD}};
static const cyaml_strval_t on_violations[] = {{"fail", CONFIG_ON_VIOLATION_FAIL},
					       {"restart", CONFIG_ON_VIOLATION_RESTART},
					       {"hold", CONFIG_ON_VIOLATION_HOLD}};
static const cyaml_strval_t restart_policies[] = {{"always", CONFIG_RESTART_ALWAYS},
						  {"never", CONFIG_RESTART_NEVER}};

#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL
#define TEXT(key, flags, type, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, 0, CYAML_UNLIMITED)
#define CHOICE(key, type, member, strings) \
	CYAML_FIELD_ENUM(key, OPTIONAL, type, member, strings, CYAML_ARRAY_LEN(strings))
#define RESTART(type, member) \
	CYAML_FIELD_MAPPING_PTR("restart", CYAML_FLAG_POINTER | OPTIONAL, type, member, restart_fields)
#define LIMITS(type, member, fields) \
	CYAML_FIELD_MAPPING_PTR("limits", CYAML_FLAG_POINTER | OPTIONAL, type, member, fields)
#define ON_VIOLATION(type, member) CHOICE("on-violation", type, member, on_violations)

static const cyaml_schema_field_t restart_fields[] = {
	CHOICE("policy", struct config_restart, policy, restart_policies),
	TEXT("backoff", OPTIONAL, struct config_restart, backoff),
	CYAML_FIELD_UINT("limit", OPTIONAL, struct config_restart, limit),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t io_fields[] = {
	TEXT("read-bps", OPTIONAL, struct config_io, read_bps),
	TEXT("write-bps", OPTIONAL, struct config_io, write_bps),
	CYAML_FIELD_UINT("read-iops", OPTIONAL, struct config_io, read_iops),
	CYAML_FIELD_UINT("write-iops", OPTIONAL, struct config_io, write_iops),
	CYAML_FIELD_END,
};

/* I/O is limited where there are images. */
#define LIMITS_ANY                                                \
	TEXT("memory", OPTIONAL, struct config_limits, memory),   \
		TEXT("cpu", OPTIONAL, struct config_limits, cpu), \
		CYAML_FIELD_UINT("pids", OPTIONAL, struct config_limits, pids)
static const cyaml_schema_field_t limits_fields[] = {
	LIMITS_ANY,
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t limits_io_fields[] = {
	LIMITS_ANY,
	CYAML_FIELD_MAPPING_PTR("io", CYAML_FLAG_POINTER | OPTIONAL, struct config_limits, io, io_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t core_fields[] = {
	LIMITS(struct config_core, limits, limits_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t console_fields[] = {
	TEXT("id", REQUIRED, struct config_console, device.id),
	CHOICE("type", struct config_console, type, console_types),
	CHOICE("output", struct config_console, output, console_outputs),
	TEXT("path", OPTIONAL, struct config_console, path),
	TEXT("max-size", OPTIONAL, struct config_console, max_size),
	RESTART(struct config_console, device.restart),
	LIMITS(struct config_console, device.limits, limits_fields),
	ON_VIOLATION(struct config_console, device.on_violation),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t console_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_console, console_fields)};

static const cyaml_schema_field_t disk_fields[] = {
	TEXT("id", REQUIRED, struct config_disk, device.id),
	TEXT("path", REQUIRED, struct config_disk, path),
	CHOICE("format", struct config_disk, format, disk_formats),
	CYAML_FIELD_BOOL("readonly", OPTIONAL, struct config_disk, readonly),
	CYAML_FIELD_UINT("queues", OPTIONAL, struct config_disk, queues),
	RESTART(struct config_disk, device.restart),
	LIMITS(struct config_disk, device.limits, limits_io_fields),
	ON_VIOLATION(struct config_disk, device.on_violation),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t disk_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_disk, disk_fields)};

static const cyaml_schema_field_t network_fields[] = {
	TEXT("id", REQUIRED, struct config_network, device.id),
	TEXT("tap", REQUIRED, struct config_network, tap),
	TEXT("mac", OPTIONAL, struct config_network, mac),
	RESTART(struct config_network, device.restart),
	LIMITS(struct config_network, device.limits, limits_fields),
	ON_VIOLATION(struct config_network, device.on_violation),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t network_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_network, network_fields)};

static const cyaml_schema_field_t boot_fields[] = {
	TEXT("kernel", REQUIRED, struct config_boot, kernel),
	TEXT("initrd", OPTIONAL, struct config_boot, initrd),
	TEXT("cmdline", OPTIONAL, struct config_boot, cmdline),
	CYAML_FIELD_END,
};

#define LIST(key, member, schema)                                                                     \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | OPTIONAL, struct config, member, &(schema), 0, \
			     CYAML_UNLIMITED)

static const cyaml_schema_field_t config_fields[] = {
	TEXT("name", REQUIRED, struct config, name),
	CYAML_FIELD_UINT("cpus", OPTIONAL, struct config, cpus),
	TEXT("memory", OPTIONAL, struct config, memory),
	CYAML_FIELD_MAPPING("boot", REQUIRED, struct config, boot, boot_fields),
	LIST("consoles", consoles, console_schema),
	LIST("disks", disks, disk_schema),
	LIST("networks", networks, network_schema),
	RESTART(struct config, restart),
	LIMITS(struct config, limits, limits_io_fields),
	CYAML_FIELD_MAPPING_PTR("core", CYAML_FLAG_POINTER | OPTIONAL, struct config, core, core_fields),
	TEXT("heartbeat", OPTIONAL, struct config, heartbeat),
	CHOICE("on-reset", struct config, on_reset, on_resets),
	CHOICE("on-panic", struct config, on_panic, on_panics),
	ON_VIOLATION(struct config, on_violation),
	CYAML_FIELD_BOOL("debug-exit", OPTIONAL, struct config, debug_exit),
	CYAML_FIELD_END,
};

#define FIXED (CYAML_ARRAY_LEN(config_fields) - 1)

/* These, and a key for each role that has no list. */
static cyaml_schema_field_t all_fields[FIXED + CHILD_ROLE_SIMPLES_MAX + 1];
static const cyaml_schema_value_t all_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, all_fields)};

const cyaml_schema_value_t *config_schema(void)
{
	const cyaml_schema_field_t simple = CYAML_FIELD_BOOL("", OPTIONAL, struct config, simples[0].on);
	cyaml_schema_field_t *field = all_fields;

	if (field->key != NULL)
		return &all_schema;
	memcpy(field, config_fields, FIXED * sizeof(*field));
	field += FIXED;
	for (unsigned role = CHILD_ROLE_SIMPLE; role < role_count(); role++, field++) {
		*field = simple;
		field->key = role_of(role)->name;
		field->data_offset += (uint32_t)((role - CHILD_ROLE_SIMPLE) * sizeof(struct config_simple));
	}
	*field = config_fields[FIXED];
	return &all_schema;
}
