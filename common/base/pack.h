/*
 * Numbers and texts one behind the other in memory, and back again: for a record that one program of the family hands to
 * another of the same build. No tags, no padding: who reads asks for the same things in the same order.
 *
 * A number is 8 bytes, as the processor has them; a text is its length plus one, or 0 for none, and its bytes without the
 * terminator.
 *
 * Reading trusts nothing: what is not there, or is longer than what is left, sets `bad`, after which everything reads as 0
 * or NULL. Writing ends in `failed` when there is no memory. Pure; any thread.
 */
#ifndef ATOLL_COMMON_BASE_PACK_H
#define ATOLL_COMMON_BASE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack {
	uint8_t *bytes; /* whoever has the struct frees it */
	size_t size, allocated;
	bool failed;
};

void pack_number(struct pack *pack, uint64_t number);
void pack_text(struct pack *pack, const char *text); /* NULL: none */

struct unpack {
	const uint8_t *bytes;
	size_t left;
	bool bad;
};

/* Up to most, else it is bad. */
uint64_t unpack_number(struct unpack *unpack, uint64_t most);
/* How many entries follow, of which none is less than a number. */
size_t unpack_count(struct unpack *unpack);
/* A copy, which the caller frees; NULL: there is none, or it is bad, as one with a NUL within. */
char *unpack_text(struct unpack *unpack);

#endif
