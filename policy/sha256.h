/*
 * SHA-256 (FIPS 180-4), for naming a text by its contents.
 */
#ifndef ATOLL_POLICY_SHA256_H
#define ATOLL_POLICY_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_HEX_SIZE = 65 };

struct sha256 {
	uint32_t state[8];
	uint64_t length; /* bytes so far */
	uint8_t block[64];
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t size);

/* The digest in hexadecimal. */
void sha256_finish(struct sha256 *sha, char hex[SHA256_HEX_SIZE]);

#endif
