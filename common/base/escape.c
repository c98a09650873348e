/*
 * The escaper. It looks at one character at a time: how many bytes of well-formed UTF-8 begin here, and which
 * character that is.
 */
#include "common/base/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The bytes of the character that begins the text, with *character; 0: none does. */
static size_t utf8_length(const unsigned char *text, size_t length, uint32_t *character)
{
	/* The least character of each length: what could be shorter is not well-formed. */
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t bytes = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

	if (bytes == 0 || text[0] > 0xf4 || bytes > length)
		return 0;
	*character = bytes == 1 ? text[0] : text[0] & (0xffu >> (bytes + 1));
	for (size_t i = 1; i < bytes; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (text[i] & 0x3f);
	}
	if (*character < least[bytes] || *character > 0x10ffff ||
	    (*character >= 0xd800 && *character < 0xe000))
		return 0;
	return bytes;
}

static bool is_plain(uint32_t character, enum escape_as as)
{
	if (as == ESCAPE_NAME)
		return character >= 0x20 && character < 0x7f && character != '\\';
	return character >= 0x20 && (character < 0x7f || character >= 0xa0) &&
	       (character < 0x2028 || character > 0x202e) && (character < 0x2066 || character > 0x2069);
}

size_t escape_text(const char *text, size_t length, enum escape_as as, char *out, size_t size)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t used = 0, fits = 0; /* fits: where "..." would still have room */

	for (size_t at = 0; at < length;) {
		char piece[4 * ESCAPE_BYTE_MAX + 1];
		uint32_t character = 0;
		size_t taken = utf8_length(bytes + at, length - at, &character), piece_length = 0;

		if (taken > 0 && is_plain(character, as)) {
			memcpy(piece, bytes + at, taken);
			piece_length = taken;
		} else {
			taken = taken > 0 ? taken : 1;
			for (size_t i = 0; i < taken; i++)
				piece_length +=
					(size_t)snprintf(piece + piece_length, sizeof(piece) - piece_length,
							 "\\x%02x", bytes[at + i]);
		}
		if (used + piece_length >= size) {
			snprintf(out + fits, size - fits, "...");
			return strlen(out);
		}
		memcpy(out + used, piece, piece_length);
		used += piece_length;
		at += taken;
		if (used + 4 <= size)
			fits = used;
	}
	out[used] = '\0';
	return used;
}
