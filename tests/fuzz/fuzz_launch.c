/*
 * A record for the supervisor (config/launch.h), made of any config file and then changed: it is refused and nothing is left
 * allocated, or it says what it says. One that was not changed comes out as it went in.
 *
 * Input: a byte (bit 0: for `check`; bits 1 and up: how many changes), the changes, then the text of a config file. A change is
 * where (2 bytes), what (a byte: another byte there, a number there, or the end there), and a byte for it. So the corpus
 * does not know how a record is laid out, which every new key of the config changes.
 */
#include <stdlib.h>
#include <string.h>

#include "config/config_check.h"
#include "config/config_load.h"
#include "config/config_pack.h"
#include "config/launch.h"
#include "tests/fuzz/fuzz_support.h"

#define CHANGE_SIZE 4

static size_t change(uint8_t *record, size_t size, const uint8_t *how)
{
	size_t at = (size_t)(how[0] | how[1] << 8);
	/* Numbers that a count or a length may be, up to those that overflow. */
	uint64_t number = how[3] < 0xc0 ? how[3] : UINT64_MAX << (how[3] & 0x3f);

	if (at >= size)
		return size;
	switch (how[2] % 3) {
	case 0:
		record[at] = how[3];
		return size;
	case 1:
		memcpy(record + at, &number, size - at < sizeof(number) ? size - at : sizeof(number));
		return size;
	default:
		return at;
	}
}

static void check_arrived(const struct launch *arrived, const uint8_t *record, size_t size)
{
	const struct config *config = arrived->file.config;
	uint8_t *again;
	size_t again_size;

	/* There is one way to say a thing. */
	fuzz_require(launch_pack(arrived, &again, &again_size) == 0);
	fuzz_require(again_size == size && memcmp(again, record, size) == 0);
	free(again);
	fuzz_require(arrived->file.path != NULL && config != NULL && config->name != NULL &&
		     config->boot.kernel != NULL);
	fuzz_require(config->on_reset <= CONFIG_ON_RESET_EXIT && config->on_panic <= CONFIG_ON_PANIC_HOLD &&
		     config->on_violation <= CONFIG_ON_VIOLATION_HOLD);
	for (unsigned i = 0; i < config->disks_count; i++)
		fuzz_require(config->disks[i].device.id != NULL && config->disks[i].path != NULL);
	fuzz_require(arrived->mode == LAUNCH_CHECK || arrived->problems.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct launch launch = {.file = {.path = "/vm/vm.yaml"}}, arrived;
	struct problems problems = {0};
	size_t changes = size > 0 ? data[0] >> 1 : 0, record_size, changed_size, exact_size;
	uint8_t *record, *exact;
	int result;

	if (size < 1 + changes * CHANGE_SIZE)
		return 0;
	launch.mode = data[0] & 1 ? LAUNCH_CHECK : LAUNCH_RUN;
	config_file_parse(data + 1 + changes * CHANGE_SIZE, size - 1 - changes * CHANGE_SIZE, false,
			  &launch.file, &launch.problems);
	if (launch.file.config == NULL)
		goto clear;
	fuzz_require(launch_pack(&launch, &record, &record_size) == 0);
	changed_size = record_size;
	for (size_t i = 0; i < changes; i++)
		changed_size = change(record, changed_size, data + 1 + i * CHANGE_SIZE);
	/* So that a byte behind it is nobody's. */
	exact_size = changed_size;
	exact = malloc(exact_size > 0 ? exact_size : 1);
	fuzz_require(exact != NULL);
	memcpy(exact, record, exact_size);
	free(record);
	result = launch_unpack(exact, exact_size, &arrived);
	fuzz_require(changes > 0 || result == 0 || launch.problems.count > 0);
	if (result == 0) {
		check_arrived(&arrived, exact, exact_size);
		config_check(&arrived.file, arrived.detached, &problems);
		fuzz_require(changes > 0 || launch.problems.count > 0 || problems.count == 0);
		problems_clear(&problems);
	} else {
		fuzz_require(arrived.file.config == NULL && arrived.file.path == NULL);
	}
	launch_clear(&arrived);
	free(exact);
clear:
	problems_clear(&launch.problems);
	config_file_clear(&launch.file);
	return 0;
}
