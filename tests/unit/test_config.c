/*
 * The config file: each way to be wrong, with the line, the key and the words; and what a good one becomes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config_load.h"
#include "config/config_pack.h"
#include "config/config_value.h"

#define HEAD "name: web\nboot:\n  kernel: k\n" /* three lines that a config needs */

static struct config_file file;
static struct problems problems;

static void parse(const char *text, bool detached)
{
	file = (struct config_file){.path = "vm.yaml"};
	config_file_parse((const uint8_t *)text, strlen(text), detached, &file, &problems);
}

static void clear(void)
{
	problems_clear(&problems);
	config_file_clear(&file);
}

/* All problems as "LINE: KEY: TEXT" lines. */
static const char *told(void)
{
	static char text[8192];
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < problems.count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%u: %s: %s\n",
					 problems.list[i].line, problems.list[i].key, problems.list[i].text);
	return text;
}

static void expect(const char *yaml, const char *problem)
{
	char line[1024] = "";

	parse(yaml, false);
	if (problem[0] != '\0')
		snprintf(line, sizeof(line), "%s\n", problem);
	assert_string_equal(told(), line);
	clear();
}

static void test_good(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
	const struct config *config;

	(void)state;
	parse("name: web\ncpus: 2\nmemory: 512MiB\nboot:\n  kernel: vmlinuz\n  initrd: initrd.img\n  "
	      "cmdline: a=b c\n"
	      "consoles:\n  - id: serial\n    type: serial\n    output: pty\n  - id: v\n    type: virtio\n   "
	      " output: null\n"
	      "disks:\n  - id: root\n    path: root.img\n  - {id: data, path: /d, readonly: yes, queues: 4, "
	      "on-violation: fail}\n"
	      "networks:\n  - id: lan\n    tap: tap0\n    mac: 52:54:00:12:34:56\n    restart: {policy: "
	      "never}\n"
	      "restart:\n  policy: always\n  backoff: 1s\n  limit: 3\n"
	      "heartbeat: 2s\non-reset: exit\non-panic: hold\non-violation: hold\ndebug-exit: true\n",
	      false);
	assert_string_equal(told(), "");
	config = file.config;
	assert_string_equal(config->name, "web");
	assert_int_equal(config->cpus, 2);
	assert_true(config->memory_bytes == UINT64_C(512) << 20);
	assert_string_equal(config->boot.cmdline, "a=b c");
	assert_int_equal(config->consoles_count, 2);
	assert_int_equal(config->consoles[0].output, CONFIG_OUTPUT_PTY);
	assert_int_equal(config->consoles[1].type, CONFIG_CONSOLE_VIRTIO);
	assert_int_equal(config->consoles[1].output, CONFIG_OUTPUT_NULL);
	assert_int_equal(config->disks_count, 2);
	assert_false(config->disks[0].readonly);
	assert_int_equal(config->disks[0].queues, 1);
	assert_true(config->disks[1].readonly);
	assert_int_equal(config->disks[1].queues, 4);
	assert_memory_equal(config->networks[0].mac_bytes, mac, 6);
	assert_int_equal(config->networks[0].device.restart->policy, CONFIG_RESTART_NEVER);
	assert_true(config->restart->backoff_us == 1000000);
	assert_int_equal(config->restart->limit, 3);
	/* What a device leaves out is the VM's. */
	assert_true(config->networks[0].device.restart->backoff_us == 1000000);
	assert_int_equal(config->networks[0].device.restart->limit, 3);
	assert_int_equal(config->restart_default.policy, CONFIG_RESTART_ALWAYS);
	assert_int_equal(config->restart_default.limit, 3);
	assert_int_equal(config->disks[0].device.on_violation, CONFIG_ON_VIOLATION_HOLD);
	assert_int_equal(config->disks[1].device.on_violation, CONFIG_ON_VIOLATION_FAIL);
	assert_int_equal(config->consoles[1].device.on_violation, CONFIG_ON_VIOLATION_HOLD);
	assert_true(config->heartbeat_us == 2000000);
	assert_int_equal(config->on_reset, CONFIG_ON_RESET_EXIT);
	assert_int_equal(config->on_panic, CONFIG_ON_PANIC_HOLD);
	assert_true(config->debug_exit);
	assert_int_equal(config_file_line(&file, "disks[1].path"), 18);
	assert_int_equal(config_file_line(&file, "networks[0].nothing"), 20);
	clear();
}

static void test_defaults(void **state)
{
	(void)state;
	parse(HEAD, false);
	assert_string_equal(told(), "");
	assert_int_equal(file.config->cpus, 1);
	assert_true(file.config->memory_bytes == UINT64_C(256) << 20);
	assert_int_equal(file.config->consoles_count, 1);
	assert_string_equal(file.config->consoles[0].device.id, "serial");
	assert_int_equal(file.config->consoles[0].type, CONFIG_CONSOLE_SERIAL);
	assert_int_equal(file.config->consoles[0].output, CONFIG_OUTPUT_STDIO);
	assert_int_equal(file.config->on_reset, CONFIG_ON_RESET_RESTART);
	assert_int_equal(file.config->on_panic, CONFIG_ON_PANIC_EXIT);
	assert_false(file.config->debug_exit);
	clear();
	parse(HEAD, true);
	assert_string_equal(told(), "");
	assert_int_equal(file.config->consoles[0].output, CONFIG_OUTPUT_PTY);
	clear();
	parse(HEAD "consoles: []\n", false);
	assert_string_equal(told(), "");
	assert_int_equal(file.config->consoles_count, 0);
	clear();
	parse("{\"name\": \"web\", \"cpus\": 3, \"boot\": {\"kernel\": \"k\"}}", false);
	assert_string_equal(told(), "");
	assert_int_equal(file.config->cpus, 3);
	clear();
}

static void test_keys(void **state)
{
	(void)state;
	expect(HEAD "colour: blue\n", "4: colour: unknown key; known here: name, cpus, memory, boot, "
				      "consoles, disks, networks, restart, limits, core, heartbeat, "
				      "on-reset, on-panic, on-violation, debug-exit, rng");
	expect(HEAD "disks:\n  - id: a\n    paht: x\n    path: x\n",
	       "6: disks[0].paht: unknown key; did you mean \"path\"? known here: id, path, format, "
	       "readonly, "
	       "queues, restart, limits, on-violation");
	expect(HEAD "onreset: exit\n",
	       "4: onreset: unknown key; did you mean \"on-reset\"? known here: name, cpus, "
	       "memory, boot, consoles, disks, networks, restart, limits, core, heartbeat, "
	       "on-reset, on-panic, on-violation, debug-exit, rng");
	expect(HEAD "cpus: 1\ncpus: 2\n",
	       "5: cpus: the key is there twice, first on line 4; keep one of them");
	expect("boot:\n  kernel: k\n", "1: name: the key is missing; add it");
	expect("name: web\nboot:\n  initrd: k\n", "2: boot.kernel: the key is missing; add it");
	expect(HEAD "disks:\n  - id: a\n", "5: disks[0].path: the key is missing; add it");
	expect(HEAD "[a]: 1\n", "4: yaml: a key must be a word; look for a stray ?, :, [ or {");
	/* Nothing could be said about a key of this name, and "cpus" is not what the second says. */
	expect(HEAD "\"\": 1\n", "4: yaml: a key must be a word; look for a stray ?, :, [ or {");
	expect(HEAD "\"cpus\\0x\": 1\n", "4: yaml: a key must be a word; look for a stray ?, :, [ or {");
}

static void test_types(void **state)
{
	(void)state;
	expect(HEAD "cpus: two\n", "4: cpus: \"two\" is not a whole number; write one, as in 2");
	expect(HEAD "cpus: -1\n", "4: cpus: \"-1\" is not a whole number; write one, as in 2");
	expect(HEAD "cpus: 010\n", "4: cpus: \"010\" is not a whole number; write one, as in 2");
	expect(HEAD "cpus: 4294967296\n",
	       "4: cpus: \"4294967296\" is not a whole number; write one, as in 2");
	expect(HEAD "cpus: 99999999999999999999999\n",
	       "4: cpus: \"99999999999999999999999\" is not a whole number; write one, as in 2");
	expect(HEAD "cpus: [1]\n",
	       "4: cpus: is a list, not a single value; write one value behind the colon");
	expect(HEAD "cpus:\n", "4: cpus: \"\" is not a whole number; write one, as in 2");
	expect(HEAD "debug-exit: maybe\n",
	       "4: debug-exit: \"maybe\" is neither true nor false; write one of them");
	expect(HEAD "debug-exit: off\n",
	       "4: debug-exit: \"off\" is neither true nor false; write one of them");
	expect(HEAD "on-reset: reboot\n",
	       "4: on-reset: \"reboot\" is not a choice here; write restart or exit");
	expect(HEAD "on-reset: Restrat\n", "4: on-reset: \"Restrat\" is not a choice here; did you mean "
					   "\"restart\"? write restart or exit");
	expect(HEAD "on-violation: kill\n",
	       "4: on-violation: \"kill\" is not a choice here; write fail, restart or hold");
	expect(HEAD "disks: x\n",
	       "4: disks: is a single value, not a list; write items that start with \"- \" below it");
	expect("name: web\nboot: k\n", "2: boot: is a single value, not a block of keys; write \"KEY: "
				       "VALUE\" lines, indented below it");
	expect("name: web\nboot:\n  kernel:\n",
	       "3: boot.kernel: has no value; write one, or leave the key out");
	expect("name: web\nboot:\n  kernel: \"a\\0b\"\n",
	       "3: boot.kernel: has a control character; write the value on one line, without escapes");
	expect("name: web\nboot:\n  kernel: \"a\\nb\"\n",
	       "3: boot.kernel: has a line break; write the value on one line, or fold it with >-");
}

/* small: values are looked at when the type of others is wrong; nothing is said twice about one. */
static void test_values_beside_types(void **state)
{
	(void)state;
	parse("cpus: two\nmemory: 512M\nboot:\n  cmdline: 5\n"
	      "consoles:\n  - {id: a, output: ptty}\n  - {id: b}\n  - 7\n"
	      "disks:\n  - {id: root, path: p, queues: 99}\n  - {id: root, path: [x]}\n"
	      "networks: none\nheartbeat: 1us\ndebug-exit: maybe\n",
	      false);
	assert_string_equal(
		told(),
		"1: cpus: \"two\" is not a whole number; write one, as in 2\n"
		"1: name: the key is missing; add it\n"
		"2: memory: \"512M\" has no unit that is known; write 512MiB\n"
		"3: boot.kernel: the key is missing; add it\n"
		"6: consoles[0].output: \"ptty\" is not a choice here; did you mean \"pty\"? write stdio, "
		"pty, file, socket or null\n"
		"8: consoles[2]: is a single value, not a block of keys; write \"KEY: VALUE\" lines, "
		"indented below it\n"
		"10: disks[0].queues: 99 is out of range; write 1 to 32\n"
		"11: disks[1].path: is a list, not a single value; write one value behind the colon\n"
		"11: disks[1].id: the id \"root\" is taken, on line 10; give each device an id of its own\n"
		"12: networks: is a single value, not a list; write items that start with \"- \" below it\n"
		"13: heartbeat: \"1us\" has no unit that is known; write ms or s right after the number\n"
		"14: debug-exit: \"maybe\" is neither true nor false; write one of them\n");
	clear();
}

/* small: a command line that is folded, as a long one is. */
static void test_blocks(void **state)
{
	static const char *const blocks[] = {">\n    a=b\n    c\n", ">-\n    a=b\n    c\n", "|\n    a=b c\n",
					     ">+\n    a=b\n    c\n\n\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		char text[128];

		snprintf(text, sizeof(text), HEAD "  cmdline: %s", blocks[i]);
		parse(text, false);
		assert_string_equal(told(), "");
		assert_string_equal(file.config->boot.cmdline, "a=b c");
		clear();
	}
	expect(HEAD "  cmdline: |\n    a=b\n    c\n",
	       "4: boot.cmdline: has a line break; write the value on one line, or fold it with >-");
	expect(HEAD "  cmdline: \"a\\n\"\n",
	       "4: boot.cmdline: has a line break; write the value on one line, or fold it with >-");
	expect(HEAD "  cmdline: \"a\\tb\"\n",
	       "4: boot.cmdline: has a control character; write the value on one line, without escapes");
	expect(HEAD "  cmdline: >\n\n", "4: boot.cmdline: has no value; write one, or leave the key out");
}

static void test_values(void **state)
{
	(void)state;
	expect("name: Web\nboot:\n  kernel: k\n",
	       "1: name: \"Web\" is not a name; use 1 to 63 of a-z, 0-9 and -, and no - at the front");
	expect("name: ../x\nboot:\n  kernel: k\n",
	       "1: name: \"../x\" is not a name; use 1 to 63 of a-z, 0-9 and -, and no - at the front");
	expect(HEAD "cpus: 0\n", "4: cpus: 0 is out of range; write 1 to 254");
	expect(HEAD "cpus: 255\n", "4: cpus: 255 is out of range; write 1 to 254");
	expect(HEAD "memory: 512\n",
	       "4: memory: \"512\" has no unit that is known; write KiB, MiB or GiB right after the number");
	/* small: the unit that is meant is told. */
	expect(HEAD "memory: 512MB\n", "4: memory: \"512MB\" has no unit that is known; write 512MiB");
	expect(HEAD "memory: 512M\n", "4: memory: \"512M\" has no unit that is known; write 512MiB");
	expect(HEAD "memory: 2 g\n", "4: memory: \"2 g\" has no unit that is known; write 2GiB");
	expect(HEAD "memory: 2T\n", "4: memory: \"2T\" has no unit that is known; write 2048GiB");
	expect(HEAD "memory: 18446744073709551615T\n", "4: memory: \"18446744073709551615T\" has no unit "
						       "that is known; write KiB, MiB or GiB right after the "
						       "number");
	expect(HEAD "heartbeat: 2m\n", "4: heartbeat: \"2m\" has no unit that is known; write 120s");
	expect(HEAD "memory: lots\n",
	       "4: memory: \"lots\" is not a size; write a whole number and a unit, as in 512MiB");
	expect(HEAD "memory: -1MiB\n",
	       "4: memory: \"-1MiB\" is not a size; write a whole number and a unit, as in 512MiB");
	expect(HEAD "memory: 1MiB\n", "4: memory: \"1MiB\" is too little memory for any guest; write 2MiB or "
				      "more, a Linux needs some 128MiB");
	expect(HEAD "memory: 99999999999GiB\n",
	       "4: memory: \"99999999999GiB\" is larger than any machine; write a smaller size");
	expect(HEAD "memory: 99999999999999999999999999GiB\n",
	       "4: memory: \"99999999999999999999999999GiB\" is larger than any machine; write a smaller "
	       "size");
	expect(HEAD "memory: 4097KiB\n",
	       "4: memory: \"4097KiB\" is not a whole number of pages; write a multiple of 4KiB");
	expect(HEAD "restart:\n  backoff: 1h\n",
	       "5: restart.backoff: \"1h\" has no unit that is known; write 3600s");
	expect(HEAD "restart:\n  backoff: 1d\n",
	       "5: restart.backoff: \"1d\" has no unit that is known; write ms or s right after the number");
	expect(HEAD "restart:\n  backoff: 6s\n",
	       "5: restart.backoff: \"6s\" is out of range; write 1ms to 5s");
	expect(HEAD "restart:\n  limit: 0\n", "5: restart.limit: 0 is out of range; write 1 to 1000");
	expect(HEAD "disks:\n  - id: a\n    path: x\n    queues: 33\n",
	       "7: disks[0].queues: 33 is out of range; write 1 to 32");
}

static void test_devices(void **state)
{
	(void)state;
	expect(HEAD "disks:\n  - id: a\n    path: x\n  - id: a\n    path: y\n",
	       "7: disks[1].id: the id \"a\" is taken, on line 5; give each device an id of its own");
	/* Over kinds, and the one that stands further down is at fault. */
	expect(HEAD "disks:\n  - id: a\n    path: x\nconsoles:\n  - id: a\n    output: pty\n",
	       "8: consoles[0].id: the id \"a\" is taken, on line 5; give each device an id of its own");
	expect(HEAD "disks:\n  - id: a/b\n    path: x\n",
	       "5: disks[0].id: \"a/b\" is not an id; use 1 to 31 of a-z, A-Z, 0-9, ., _ and -, and a letter "
	       "or digit "
	       "at the front");
	expect(HEAD "disks:\n  - id: abcdefghijklmnopqrstu\n    path: x\n",
	       "5: disks[0].id: \"abcdefghijklmnopqrstu\" is too long for a disk; the guest sees 20 "
	       "characters at most");
	expect(HEAD "networks:\n  - id: a\n    tap: this-is-too-long\n",
	       "6: networks[0].tap: \"this-is-too-long\" is not the name of a network interface; it has 1 to "
	       "15 "
	       "characters, none of them /, : or a space");
	expect(HEAD "networks:\n  - id: a\n    tap: t\n  - id: b\n    tap: t\n",
	       "8: networks[1].tap: \"t\" is the tap of another network above; give each a tap of its own");
	expect(HEAD "networks:\n  - id: a\n    tap: t\n    mac: 52:54:00:12:34\n",
	       "7: networks[0].mac: \"52:54:00:12:34\" is not a MAC address; write six bytes in hex, as in "
	       "52:54:00:12:34:56");
	expect(HEAD "networks:\n  - id: a\n    tap: t\n    mac: 01:00:5e:00:00:01\n",
	       "7: networks[0].mac: \"01:00:5e:00:00:01\" is a group address; the first byte of a network "
	       "card's own "
	       "address is even");
	expect(HEAD "consoles:\n  - id: a\n  - id: b\n",
	       "6: consoles[1].output: a second console on stdio; write output: pty for one of them");
	expect(HEAD "consoles:\n  - id: a\n    output: file\n",
	       "5: consoles[0].path: output: file needs a file; add path: FILE");
	expect(HEAD "consoles:\n  - id: a\n    output: pty\n    path: x\n",
	       "7: consoles[0].path: goes with output: file or socket only; remove it, or choose one of "
	       "these");
	/* B5: the bound of a file. */
	expect(HEAD "consoles:\n  - id: a\n    output: pty\n    max-size: 1MiB\n",
	       "7: consoles[0].max-size: goes with output: file only; remove it, or choose that");
	expect(HEAD "consoles:\n  - id: a\n    output: file\n    path: x\n    max-size: 63KiB\n",
	       "8: consoles[0].max-size: \"63KiB\" is out of range; write 64KiB or more, or unlimited");
	expect(HEAD "consoles:\n  - id: a\n    output: file\n    path: x\n    max-size: 64M\n",
	       "8: consoles[0].max-size: \"64M\" has no unit that is known; write 64MiB");
	expect(HEAD "consoles:\n  - id: a\n    output: file\n    path: x\n    max-size: lots\n",
	       "8: consoles[0].max-size: \"lots\" is not a size; write a whole number and a unit, as in "
	       "512MiB");
	expect(HEAD "consoles:\n"
		    "  - {id: a, output: pty}\n  - {id: b, output: pty}\n  - {id: c, output: pty}\n"
		    "  - {id: d, output: pty}\n  - {id: e, output: pty}\n",
	       "9: consoles[4].type: more than 4 serial consoles; write type: virtio");
	parse(HEAD "consoles:\n  - id: a\n", true);
	assert_string_equal(told(),
			    "5: consoles[0].output: stdio is not there with --detach; write output: pty\n");
	clear();
}

/* B5 */
static void test_bound_of_a_file(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} bounds[] = {{"", UINT64_C(64) << 20},
		      {"    max-size: 64KiB\n", 65536},
		      {"    max-size: 2GiB\n", UINT64_C(2) << 30},
		      {"    max-size: 0\n", 0},
		      {"    max-size: unlimited\n", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		char text[512];

		snprintf(text, sizeof(text), HEAD "consoles:\n  - id: a\n    output: file\n    path: x\n%s",
			 bounds[i].text);
		parse(text, false);
		assert_string_equal(told(), "");
		assert_true(file.config->consoles[0].max_bytes == bounds[i].bytes);
		clear();
	}
	parse(HEAD "consoles:\n  - id: a\n    output: pty\n", false);
	assert_true(file.config->consoles[0].max_bytes == 0);
	clear();
}

/* One list of them all, whatever their kind, in the order of the guest's bus. */
static void test_all_devices(void **state)
{
	static const struct {
		enum child_role role;
		const char *key, *id;
	} expected[] = {{CHILD_ROLE_BLK, "disks[0]", "root"},
			{CHILD_ROLE_BLK, "disks[1]", "data"},
			{CHILD_ROLE_NET, "networks[0]", "lan"},
			{CHILD_ROLE_CONSOLE, "consoles[0]", "a"},
			{CHILD_ROLE_CONSOLE, "consoles[1]", "serial"}};
	size_t count = sizeof(expected) / sizeof(expected[0]);
	struct config_entry entry = {0};

	(void)state;
	parse(HEAD "consoles:\n  - {id: a, type: virtio, output: pty}\n  - {id: serial}\n"
		   "networks: [{id: lan, tap: t}]\n"
		   "disks: [{id: root, path: r}, {id: data, path: d}]\n",
	      false);
	assert_string_equal(told(), "");
	for (size_t i = 0; i < count; i++) {
		assert_true(config_next_device(file.config, &entry));
		assert_int_equal(entry.role, expected[i].role);
		assert_string_equal(entry.key, expected[i].key);
		assert_string_equal(entry.device->id, expected[i].id);
	}
	/* Then those that each VM has. */
	for (unsigned role = CHILD_ROLE_SIMPLE; role < role_count(); role++) {
		assert_true(config_next_device(file.config, &entry));
		assert_int_equal(entry.role, role);
		assert_string_equal(entry.key, role_of(role)->name);
		assert_string_equal(entry.device->id, role_of(role)->name);
	}
	assert_false(config_next_device(file.config, &entry));
	assert_int_equal(entry.count, config_device_count(file.config));
	clear();
}

/* Devices that each VM has, unless it says no; their ids are theirs. */
static void test_simple_devices(void **state)
{
	struct config_simple *rng;

	(void)state;
	parse(HEAD, false);
	rng = config_simple_of(file.config, CHILD_ROLE_SIMPLE);
	assert_true(rng->on);
	assert_string_equal(rng->device.id, "rng");
	clear();
	parse(HEAD "rng: true\non-violation: hold\n", false);
	rng = config_simple_of(file.config, CHILD_ROLE_SIMPLE);
	assert_true(rng->on);
	assert_int_equal(rng->device.on_violation, CONFIG_ON_VIOLATION_HOLD);
	clear();
	parse(HEAD "rng: false\ndisks: [{id: rng, path: p}]\n", false);
	assert_string_equal(told(), "");
	assert_false(config_simple_of(file.config, CHILD_ROLE_SIMPLE)->on);
	assert_null(config_simple_of(file.config, CHILD_ROLE_BLK));
	clear();
	expect(HEAD "disks:\n  - id: rng\n    path: p\n",
	       "5: disks[0].id: the id \"rng\" is that of a device which each VM has; choose another, or "
	       "write rng: false");
	expect(HEAD "rng: perhaps\n", "4: rng: \"perhaps\" is neither true nor false; write one of them");
}

static void test_too_many_devices(void **state)
{
	char text[4096] = HEAD "disks:\n";
	size_t used = strlen(text);

	(void)state;
	for (int i = 0; i < 32; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "  - {id: d%d, path: x}\n", i);
	expect(text, "4: disks: 33 devices are to be on the PCI bus, which has room for 31 of them");
}

static void test_no_yaml(void **state)
{
	(void)state;
	expect("", "1: yaml: the file has no keys; see atoll.yaml(5) for what it must have");
	expect("# nothing\n", "1: yaml: the file has no keys; see atoll.yaml(5) for what it must have");
	expect("- a\n", "1: yaml: the file has no keys; see atoll.yaml(5) for what it must have");
	expect("name: web\n\tboot: x\n", "2: yaml: found a tab character that violates indentation; the file "
					 "goes wrong here or just above");
	expect("name: \"web\nboot: x\n",
	       "3: yaml: found unexpected end of stream; the file goes wrong here or just above");
	expect(HEAD "---\nname: b\n", "5: yaml: a second document; write one VM a file, without --- between");
	expect("\xff\xfe\xff",
	       "1: yaml: incomplete UTF-16 character; the file goes wrong here or just above");
	/* A cycle, by an alias to what contains it. */
	parse("&a\nname: web\nboot: *a\n", false);
	assert_true(problems.count > 0);
	clear();
}

static void test_all_at_once(void **state)
{
	(void)state;
	parse("name: Web\nmemory: 1\ncolour: x\nboot:\n  kernel: k\ndisks:\n  - id: a\n    path: x\n    "
	      "queues: 0\n",
	      false);
	assert_int_equal(problems.count, 4);
	assert_int_equal(problems.list[0].line, 1);
	assert_int_equal(problems.list[1].line, 2);
	assert_int_equal(problems.list[2].line, 3);
	assert_int_equal(problems.list[3].line, 9);
	assert_int_equal(problems_exit_status(&problems), 2);
	clear();
	problem_add_host(&problems, 1, "host", "x");
	assert_int_equal(problems_exit_status(&problems), 3);
	problem_add(&problems, 1, "name", "x");
	assert_int_equal(problems_exit_status(&problems), 2);
	clear();
	/* A file with more faults than anyone reads tells some of them. */
	char *many = calloc(1, 8000);

	assert_non_null(many);
	for (int i = 0; i < 400; i++)
		sprintf(many + strlen(many), "key%d: 1\n", i);
	parse(many, false);
	assert_true(problems.count == 100);
	clear();
	free(many);
}

static void test_paths(void **state)
{
	char *path;

	(void)state;
	file.path = "a/b/vm.yaml";
	path = config_file_path(&file, "x/y");
	assert_string_equal(path, "a/b/x/y");
	free(path);
	path = config_file_path(&file, "/x");
	assert_string_equal(path, "/x");
	free(path);
	file.path = "vm.yaml";
	path = config_file_path(&file, "x");
	assert_string_equal(path, "x");
	free(path);
}

static void test_files(void **state)
{
	(void)state;
	assert_int_equal(config_file_load("/nonexistent/vm.yaml", false, &file, &problems), -2);
	assert_string_equal(
		told(), "1: file: cannot read the config file: No such file or directory; give the path of a "
			"VM's description\n");
	clear();
	assert_true(config_file_load("/", false, &file, &problems) < 0);
	assert_int_equal(problems.count, 1);
	clear();
	/* Does not read without end. */
	assert_true(config_file_load("/dev/zero", false, &file, &problems) < 0);
	assert_string_equal(
		told(), "1: file: cannot read the config file: larger than 1 MiB; give the path of a VM's "
			"description\n");
	clear();
}

/* B4. 16 MiB of guest memory: the least limits are worked out from that. */
#define LIMITED "name: web\nmemory: 16MiB\nboot: {kernel: k}\n"
static void test_limits(void **state)
{
	(void)state;
	parse(LIMITED
	      "limits: {memory: 2GiB, cpu: 150%, pids: 200, io: {read-bps: 100MiB, write-iops: 500}}\n"
	      "core: {limits: {cpu: 120%}}\n"
	      "disks:\n  - {id: root, path: r, limits: {memory: 64MiB, io: {write-bps: 4KiB}}}\n"
	      "networks:\n  - {id: lan, tap: t, limits: {pids: 4}}\n"
	      "consoles:\n  - {id: serial, limits: {memory: 16MiB, cpu: 5%}}\n  - {id: free, output: "
	      "\"null\"}\n",
	      false);
	assert_string_equal(told(), "");
	assert_true(file.config->limited);
	assert_int_equal(file.config->limits->memory_bytes, UINT64_C(2) << 30);
	assert_int_equal(file.config->limits->cpu_percent, 150);
	assert_int_equal(file.config->limits->pids, 200);
	assert_int_equal(file.config->limits->io->read_bytes, 100 << 20);
	assert_int_equal(file.config->limits->io->write_bytes, 0);
	assert_int_equal(file.config->limits->io->write_iops, 500);
	assert_int_equal(file.config->core->limits->cpu_percent, 120);
	assert_int_equal(file.config->core->limits->memory_bytes, 0);
	assert_int_equal(file.config->disks[0].device.limits->memory_bytes, 64 << 20);
	assert_int_equal(file.config->disks[0].device.limits->io->write_bytes, 4096);
	assert_int_equal(file.config->networks[0].device.limits->pids, 4);
	assert_int_equal(file.config->consoles[0].device.limits->memory_bytes, 16 << 20);
	assert_null(file.config->consoles[1].device.limits);
	clear();
	/* None are asked for; they are, but none is set. */
	parse(LIMITED, false);
	assert_false(file.config->limited);
	clear();
	parse(LIMITED "limits: {}\n", false);
	assert_string_equal(told(), "");
	assert_true(file.config->limited);
	clear();
	parse(LIMITED "consoles:\n  - {id: serial, limits: {}}\n", false);
	assert_true(file.config->limited);
	clear();
}

static void test_odd_limits(void **state)
{
	static const struct {
		const char *yaml, *problem;
	} cases[] = {
		{"limits: {memory: 512M}",
		 "4: limits.memory: \"512M\" has no unit that is known; write 512MiB"},
		{"limits: {memory: 16MiB}",
		 "4: limits.memory: \"16MiB\" is less than what is used without a fault, the guest's memory "
		 "among it; write 113MiB or more"},
		{"core: {limits: {memory: 32MiB}}",
		 "4: core.limits.memory: \"32MiB\" is less than what is used without a fault, the guest's "
		 "memory among it; write 33MiB or more"},
		{"consoles: [{id: serial, limits: {memory: 4KiB}}]",
		 "4: consoles[0].limits.memory: \"4KiB\" is less than what is used without a fault, the "
		 "guest's "
		 "memory among it; write 16MiB or more"},
		{"limits: {memory: 99999999999999999999GiB}",
		 "4: limits.memory: \"99999999999999999999GiB\" is larger than any machine; write a smaller "
		 "size"},
		{"limits: {cpu: 150}", "4: limits.cpu: \"150\" has no unit that is known; write 150%"},
		{"limits: {cpu: 0%}", "4: limits.cpu: \"0%\" is out of range; write 5% to 25600%"},
		{"limits: {cpu: 25601%}", "4: limits.cpu: \"25601%\" is out of range; write 5% to 25600%"},
		{"limits: {cpu: 4294967446%}",
		 "4: limits.cpu: \"4294967446%\" is more than any machine has; write less"},
		{"limits: {cpu: -5%}",
		 "4: limits.cpu: \"-5%\" is not a share; write a whole number and %, as in 150% for one "
		 "processor and a half"},
		{"limits: {cpu: 1.5}",
		 "4: limits.cpu: \"1.5\" has no unit that is known; write % right after the number"},
		{"limits: {pids: 0}", "4: limits.pids: 0 is out of range; write 23 to 4194304"},
		{"core: {limits: {pids: 13}}",
		 "4: core.limits.pids: 13 is out of range; write 15 to 4194304"},
		{"limits: {pids: 4194305}", "4: limits.pids: 4194305 is out of range; write 23 to 4194304"},
		{"limits: {io: {read-bps: 1MiB}}",
		 "4: limits.io: is for the devices that hold the disks' images, and there is no disk; remove "
		 "it"},
		{"disks: [{id: a, path: a, limits: {io: {read-bps: 0KiB}}}]",
		 "4: disks[0].limits.io.read-bps: \"0KiB\" is less than a page a second; write 4KiB or more"},
		{"disks: [{id: a, path: a, limits: {io: {write-iops: 0}}}]",
		 "4: disks[0].limits.io.write-iops: 0 is out of range; write 1 to 1000000000"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char yaml[512];

		snprintf(yaml, sizeof(yaml), LIMITED "%s\n", cases[i].yaml);
		expect(yaml, cases[i].problem);
	}
	/* Only disks have I/O that can be limited; and keys that are nearly ours. */
	parse(LIMITED "networks: [{id: a, tap: t, limits: {io: {read-bps: 1MiB}}}]\nlimits: {memry: 2GiB}\n",
	      false);
	assert_non_null(strstr(told(), "4: networks[0].limits.io: "));
	assert_non_null(strstr(told(), "did you mean \"memory\"?"));
	clear();
}

static void test_mac(void **state)
{
	uint8_t first[6], second[6];

	(void)state;
	/* Other releases derive the same. */
	static const uint8_t known[] = {0x52, 0x54, 0x00, 0xd3, 0x71, 0xfe};

	value_derive_mac("web", "lan", first);
	assert_memory_equal(first, known, 6);
	value_derive_mac("web", "lan", second);
	assert_memory_equal(first, second, 6);
	value_derive_mac("web", "lan2", second);
	assert_memory_not_equal(first, second, 6);
	value_derive_mac("we", "blan", second);
	assert_memory_not_equal(first, second, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_values_beside_types),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_bound_of_a_file),
		cmocka_unit_test(test_all_devices),
		cmocka_unit_test(test_simple_devices),
		cmocka_unit_test(test_too_many_devices),
		cmocka_unit_test(test_no_yaml),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_odd_limits),
		cmocka_unit_test(test_mac),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
