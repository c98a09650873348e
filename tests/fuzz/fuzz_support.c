#include "tests/fuzz/fuzz_support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/ring/device_state.h"

void fuzz_require(bool condition)
{
	if (!condition)
		abort();
}

const uint8_t *fuzz_take(struct fuzz_input *input, size_t size, size_t *taken)
{
	const uint8_t *data = input->data;

	*taken = size < input->size ? size : input->size;
	input->data += *taken;
	input->size -= *taken;
	return data;
}

static uint64_t fuzz_take_number(struct fuzz_input *input, size_t size)
{
	uint64_t number = 0;
	size_t taken;
	const uint8_t *bytes = fuzz_take(input, size, &taken);

	if (taken > 0)
		memcpy(&number, bytes, taken);
	return number;
}

uint8_t fuzz_take_u8(struct fuzz_input *input)
{
	return (uint8_t)fuzz_take_number(input, 1);
}

uint16_t fuzz_take_u16(struct fuzz_input *input)
{
	return (uint16_t)fuzz_take_number(input, 2);
}

uint32_t fuzz_take_u32(struct fuzz_input *input)
{
	return (uint32_t)fuzz_take_number(input, 4);
}

uint64_t fuzz_take_u64(struct fuzz_input *input)
{
	return fuzz_take_number(input, 8);
}

static void discard_record(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

void fuzz_quiet_log(void)
{
	log_set_sink(discard_record, NULL);
}

int fuzz_next_fd(void)
{
	int fd = dup(STDIN_FILENO);

	/* Standard input may be closed; then it is what comes next. */
	if (fd < 0)
		return STDIN_FILENO;
	close(fd);
	return fd;
}

void fuzz_drain(int socket_fd)
{
	uint8_t bytes[65536];

	while (recv(socket_fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

void fuzz_seal(struct device_state_page *page)
{
	struct device_state_slot *slot = &page->slots[page->commits & 1];

	if (slot->length <= sizeof(slot->record) && slot->length % sizeof(uint64_t) == 0)
		slot->checksum = device_state_checksum(slot->sequence, slot->record, slot->length);
}
