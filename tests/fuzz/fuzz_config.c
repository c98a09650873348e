/*
 * Any text as a config file: it is a configuration within the limits, or there are problems, each with a key,
 * a line and words; every look-up that the supervisor makes works on it, and nothing is left allocated.
 *
 * Nothing here touches the host: config_file_parse() reads memory, and what the file names is not opened.
 *
 * Input: a byte (bit 0: --detach), then the text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/names.h"
#include "common/base/report.h"
#include "config/config_load.h"
#include "config/config_pack.h"
#include "config/config_value.h"
#include "tests/fuzz/fuzz_support.h"

/* Of config_check.c. */
#define MEMORY_MIN (UINT64_C(2) << 20)
#define MEMORY_MAX (UINT64_C(512) << 30)
#define PCI_MAX	   31

static void check_id(const char *id)
{
	fuzz_require(id != NULL && name_check_device(id) == NULL && strlen(id) <= 31);
}

static void check_path(const struct config_file *file, const char *path)
{
	char *whole;

	fuzz_require(path != NULL && path[0] != '\0');
	whole = config_file_path(file, path);
	fuzz_require(whole != NULL &&
		     (path[0] == '/' ? strcmp(whole, path) == 0
				     : strncmp(whole, "/vm/", 4) == 0 && strcmp(whole + 4, path) == 0));
	free(whole);
}

static void check_restart(const struct config_restart *restart)
{
	if (restart == NULL)
		return;
	fuzz_require(restart->policy <= CONFIG_RESTART_NEVER && restart->backoff_us > 0 &&
		     restart->backoff_us <= 5000000 && restart->limit >= 1 && restart->limit <= 1000);
}

static void check_devices(const struct config_file *file)
{
	const struct config *config = file->config;
	unsigned functions = config->disks_count + config->networks_count;

	for (unsigned i = 0; i < config->consoles_count; i++) {
		const struct config_console *console = &config->consoles[i];

		check_id(console->device.id);
		check_restart(console->device.restart);
		functions += console->type == CONFIG_CONSOLE_VIRTIO;
		fuzz_require(console->type <= CONFIG_CONSOLE_VIRTIO && console->output <= CONFIG_OUTPUT_NULL);
		if (console->output == CONFIG_OUTPUT_FILE)
			check_path(file, console->path);
	}
	for (unsigned i = 0; i < config->disks_count; i++) {
		check_id(config->disks[i].device.id);
		check_restart(config->disks[i].device.restart);
		check_path(file, config->disks[i].path);
		fuzz_require(strlen(config->disks[i].device.id) <= 20 && config->disks[i].queues >= 1);
	}
	for (unsigned i = 0; i < config->networks_count; i++) {
		check_id(config->networks[i].device.id);
		check_restart(config->networks[i].device.restart);
		fuzz_require(value_check_interface(config->networks[i].tap) == NULL);
		fuzz_require((config->networks[i].mac_bytes[0] & 1) == 0);
	}
	fuzz_require(functions <= PCI_MAX);
}

static void check_config(const struct config_file *file)
{
	const struct config *config = file->config;

	fuzz_require(config != NULL && name_check_vm(config->name) == NULL);
	fuzz_require(config->cpus >= 1);
	fuzz_require(config->memory_bytes >= MEMORY_MIN && config->memory_bytes <= MEMORY_MAX &&
		     config->memory_bytes % 4096 == 0);
	fuzz_require(config->on_reset <= CONFIG_ON_RESET_EXIT && config->on_panic <= CONFIG_ON_PANIC_HOLD);
	check_path(file, config->boot.kernel);
	if (config->boot.initrd != NULL)
		check_path(file, config->boot.initrd);
	check_restart(config->restart);
	check_devices(file);
}

static void check_problems(const struct problems *problems)
{
	unsigned line = 0;

	fuzz_require(problems_exit_status(problems) == EXIT_STATUS_USAGE);
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];

		fuzz_require(problem->line >= 1 && problem->line >= line && problem->key[0] != '\0' &&
			     problem->text[0] != '\0');
		/* "PROBLEM; REMEDY" */
		fuzz_require(strchr(problem->text, ';') != NULL);
		line = problem->line;
	}
}

/* One line each, whatever was in the file. */
static void check_print(const struct problems *problems)
{
	static FILE *real;
	char *text = NULL;
	size_t size = 0, lines = 0;

	real = stdout;
	stdout = open_memstream(&text, &size);
	fuzz_require(stdout != NULL);
	problems_print(problems, "vm.yaml", false);
	fclose(stdout);
	stdout = real;
	for (size_t i = 0; i < size; i++) {
		fuzz_require((unsigned char)text[i] >= 0x20 || text[i] == '\n');
		lines += text[i] == '\n';
	}
	fuzz_require(lines == problems->count);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_file file = {.path = "/vm/vm.yaml"};
	struct problems problems = {0};

	if (size < 1)
		return 0;
	config_file_parse(data + 1, size - 1, data[0] & 1, &file, &problems);
	if (problems.count == 0)
		check_config(&file);
	else
		check_problems(&problems);
	check_print(&problems);
	fuzz_require(config_file_line(&file, "disks[%u].path", 3u) >= 1);
	problems_clear(&problems);
	config_file_forget_lines(&file);
	fuzz_require(config_file_line(&file, "name") == 1);
	config_file_clear(&file);
	return 0;
}
