/*
 * What fuzz targets share: an invariant that must hold, input that is taken apart byte by byte, and the look
 * for descriptors that were left open.
 */
#ifndef ATOLL_TESTS_FUZZ_FUZZ_SUPPORT_H
#define ATOLL_TESTS_FUZZ_FUZZ_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run, with what libFuzzer keeps as a crash, unless the condition holds. */
void fuzz_require(bool condition);

/* Input that is not used up yet; past its end everything is zero. */
struct fuzz_input {
	const uint8_t *data;
	size_t size;
};

uint8_t fuzz_take_u8(struct fuzz_input *input);
uint16_t fuzz_take_u16(struct fuzz_input *input);
uint32_t fuzz_take_u32(struct fuzz_input *input);
uint64_t fuzz_take_u64(struct fuzz_input *input);
/* The next `size` bytes, or as many as are left; *taken says how many. */
const uint8_t *fuzz_take(struct fuzz_input *input, size_t size, size_t *taken);

/* Makes the checksum of the record that counts right, as whoever wrote it could have done. */
struct device_state_page;
void fuzz_seal(struct device_state_page *page);

/* Formats what is logged, and throws it away. */
void fuzz_quiet_log(void);

/* The number that the next descriptor gets: it grows when one leaks. */
int fuzz_next_fd(void);

/* Reads everything that waits at a socket, and throws it away with its descriptors. */
void fuzz_drain(int socket_fd);

#endif
