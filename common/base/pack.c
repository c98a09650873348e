#include "common/base/pack.h"

#include <stdlib.h>
#include <string.h>

static void pack_bytes(struct pack *pack, const void *bytes, size_t size)
{
	if (!pack->failed && pack->allocated - pack->size < size) {
		size_t larger = pack->allocated + (size > pack->allocated ? size : pack->allocated) + 256;
		uint8_t *moved = realloc(pack->bytes, larger);

		pack->failed = moved == NULL;
		if (moved != NULL) {
			pack->bytes = moved;
			pack->allocated = larger;
		}
	}
	if (pack->failed || size == 0)
		return;
	memcpy(pack->bytes + pack->size, bytes, size);
	pack->size += size;
}

void pack_number(struct pack *pack, uint64_t number)
{
	pack_bytes(pack, &number, sizeof(number));
}

void pack_text(struct pack *pack, const char *text)
{
	size_t length = text != NULL ? strlen(text) : 0;

	pack_number(pack, text != NULL ? length + 1 : 0);
	pack_bytes(pack, text, length);
}

/* NULL: so much is not left. */
static const uint8_t *unpack_bytes(struct unpack *unpack, size_t size)
{
	const uint8_t *bytes = unpack->bytes;

	if (unpack->bad || size > unpack->left) {
		unpack->bad = true;
		return NULL;
	}
	unpack->bytes += size;
	unpack->left -= size;
	return bytes;
}

uint64_t unpack_number(struct unpack *unpack, uint64_t most)
{
	const uint8_t *bytes = unpack_bytes(unpack, sizeof(uint64_t));
	uint64_t number = 0;

	if (bytes != NULL)
		memcpy(&number, bytes, sizeof(number));
	if (number > most) {
		unpack->bad = true;
		return 0;
	}
	return number;
}

size_t unpack_count(struct unpack *unpack)
{
	return unpack_number(unpack, unpack->left / sizeof(uint64_t));
}

char *unpack_text(struct unpack *unpack)
{
	size_t length = unpack_number(unpack, SIZE_MAX);
	const uint8_t *bytes = length > 0 ? unpack_bytes(unpack, length - 1) : NULL;
	char *text;

	if (bytes == NULL)
		return NULL;
	if (memchr(bytes, '\0', length - 1) != NULL) {
		unpack->bad = true;
		return NULL;
	}
	text = strndup((const char *)bytes, length - 1);
	unpack->bad = text == NULL;
	return text;
}
